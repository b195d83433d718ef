#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Several processes on one disk store: killed in mid-write, all at once, found damaged, forked."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.backends import DiskCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.disk import check, damaged_of, database_of, query

BEGIN = """
import asyncio, os, random, sys, time
from dataclasses import replace
from loguru import logger
from pipecat_tts_cache.backends import DiskCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

logger.remove()
logger.add(sys.stdout, format="{message}", level="WARNING")
folder, seed = sys.argv[1], int(sys.argv[2])
dice = random.Random(seed)

def open_store(**options):
    options = {"codec": "raw", "timeout": 60, "write_timeout": 60} | options
    return DiskCacheBackend(folder, **options)

def utterance_for(key):
    audio = dice.randbytes(2 * dice.randrange(1, 30_000))
    return replace(make_utterance(), audio=audio, seal=key.seal)
"""

WRITE = """
async def main():
    async with open_store(max_bytes=2_000_000) as store:
        print("open", flush=True)
        for turn in range(1_000_000):
            key = make_key(str(dice.randrange(200)), f"namespace {turn % 3}")
            what = dice.random()
            if what < 0.8:
                await store.set(key, utterance_for(key), ttl=dice.choice([None, 0.05, 1000]))
            elif what < 0.9:
                await store.delete(key)
            elif what < 0.98:
                await store.get(key)
            else:
                await store.clear("namespace 1")

asyncio.run(main())
"""

HAMMER = """
async def main():
    async with open_store(max_bytes=1_500_000) as store:
        for turn in range(150):
            key = make_key(str(dice.randrange(40)), f"namespace {dice.randrange(3)}")
            found, *_ = await asyncio.gather(
                store.get(key),
                store.set(key, utterance_for(key)) if turn % 2 else store.exists(key),
                store.delete(make_key(str(dice.randrange(40)), "namespace 0")),
            )
            assert found is None or found.seal == key.seal, "somebody else's"
            if turn % 40 == 39:
                await store.clear(dice.choice([None, "namespace 1"]))
            if turn % 25 == 0:
                async for entry in store.entries():
                    assert entry.size > 0
        stats = await store.get_stats()
        assert stats["errors"] == stats["corrupt"] == 0, stats
        assert stats["hits"] > 0, stats

asyncio.run(main())
"""

FIND_DAMAGE = """
async def main():
    async with open_store() as store:
        while time.time() < float(sys.argv[3]):
            pass
        for turn in range(20):
            key = make_key(f"{seed} {turn}")
            assert await store.set(key, utterance_for(key))
            assert (await store.get(key)).seal == key.seal
        assert (await store.get_stats())["errors"] == 0

asyncio.run(main())
"""

FORK = """
async def use(store, name):
    key = make_key(name)
    assert await store.set(key, replace(make_utterance(), seal=key.seal))
    for _ in range(20):
        assert (await store.get(key)).seal == key.seal
    assert (await store.get(make_key("before"))) is not None

async def run(store, name):
    await use(store, name)
    await store.close()

store = open_store()
asyncio.run(use(store, "before"))
closed, close = os.pipe()
child = os.fork()
if child == 0:
    asyncio.run(use(store, "child"))
    os.read(closed, 1)  # the parent has closed its own, and others come and go
    asyncio.run(run(store, "child again"))
    os._exit(0)
asyncio.run(run(store, "parent"))
asyncio.run(run(open_store(), "another"))
os.write(close, b"x")
asyncio.run(run(open_store(), "and another"))
_, status = os.waitpid(child, 0)
assert status == 0, status
"""


def start(code: str, folder: Path, seed: int = 0, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + code, str(folder), str(seed)]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(*processes: subprocess.Popen[str]) -> str:
    """Wait until all have ended well, and return what they said."""
    said = ""
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert (0, "") == (process.returncode, errors[-2000:])
        said += output
    return said


def open_store(folder: Path, **options: Any) -> DiskCacheBackend:
    return DiskCacheBackend(folder, codec="raw", timeout=60, write_timeout=60, **options)


async def keep_one(folder: Path) -> None:
    async with open_store(folder) as store:
        assert await store.set(make_key(), make_utterance())
        assert make_utterance() == await store.get(make_key())


async def read_all(folder: Path) -> int:
    """Look up whatever is listed, and see to it that it is whole and where it belongs."""
    read = 0
    async with open_store(folder) as store:
        async for entry in store.entries():
            found = await store.get(entry.key)
            if found is not None:  # else it has just expired
                assert entry.key.seal == found.seal
                assert entry.duration == found.duration
                read += 1
        assert await store.set(make_key(), make_utterance())
        assert make_utterance() == await store.get(make_key())
        stats = await store.get_stats()
        assert (0, 0) == (stats["corrupt"], stats["errors"])
        await store.delete(make_key())
    return read


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder that processes were writing to when they were killed, at any moment."""
    dice = random.Random()
    for seed in range(8):
        with start(WRITE, tmp_path, seed) as writer:
            assert writer.stdout is not None
            if seed % 4:
                assert "open\n" == writer.stdout.readline()
                time.sleep(dice.uniform(0, 0.5))
            else:  # while it makes the database, or before
                time.sleep(dice.uniform(0.5, 1))
            writer.kill()
            _, errors = writer.communicate()
            assert "" == errors
        if list(tmp_path.glob("*.sqlite3")) and query(tmp_path, "PRAGMA user_version") == [(1,)]:
            check(tmp_path)
    return tmp_path


def test_a_killed_writer_leaves_nothing_broken(killed: Path) -> None:
    """Every record is there whole or not at all, the totals are right, and the store works."""
    assert asyncio.run(read_all(killed)) > 0
    assert [] == damaged_of(killed)


def test_a_database_that_was_not_finished(tmp_path: Path) -> None:
    """A process that was killed as it made the database leaves one that the next one replaces."""
    for sql in (
        "PRAGMA page_size = 8192",
        "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA journal_mode = WAL",
    ):
        query(tmp_path, sql, create="speech-1.sqlite3")
    asyncio.run(keep_one(tmp_path))
    assert "speech-2.sqlite3" == database_of(tmp_path).name
    assert [(2,)] == query(tmp_path, "PRAGMA auto_vacuum")


def test_processes_hammer_one_store(tmp_path: Path) -> None:
    """All at once they look up, write, delete and clear: each answer is whole and its own."""
    finish(*(start(HAMMER, tmp_path, seed) for seed in range(3)))
    assert 0 < check(tmp_path)
    assert asyncio.run(read_all(tmp_path)) > 0
    assert [] == damaged_of(tmp_path)


def test_processes_make_one_store_at_once(tmp_path: Path) -> None:
    """Of processes that start together on a new folder, one makes the database."""
    at = str(time.time() + 3)
    said = finish(*(start(FIND_DAMAGE, tmp_path / "new", seed, at) for seed in range(4)))
    assert "" == said
    assert "speech-1.sqlite3" == database_of(tmp_path / "new").name
    assert 80 == check(tmp_path / "new")


def test_processes_find_the_damage_at_once(tmp_path: Path) -> None:
    """One sets the database aside and says so, the others use the new one: nothing is lost."""
    asyncio.run(keep_one(tmp_path))
    database_of(tmp_path).write_bytes(os.urandom(50_000))
    at = str(time.time() + 3)
    said = finish(*(start(FIND_DAMAGE, tmp_path, seed, at) for seed in range(4)))
    assert 1 == said.count("was set aside as")
    assert ["speech-1.damaged.sqlite3"] == damaged_of(tmp_path)
    assert 80 == check(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_store_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    """Used before a fork, it is used after it by parent and child, whoever closes first."""
    finish(start(FORK, tmp_path))
    assert 6 == check(tmp_path)
    assert [] == damaged_of(tmp_path)
