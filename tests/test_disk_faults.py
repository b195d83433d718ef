#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The disk store on a disk that is slow, full, damaged, read-only or gone, and back again."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.backends import DiskCacheBackend, Entry
from pipecat_tts_cache.backends.disk.database import is_damage, set_aside
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.disk import (
    check,
    contents,
    damaged_of,
    database_of,
    have,
    locked,
    looks_at_files,
    query,
    sizes,
    spoil,
)

__all__ = ["looks_at_files"]

pytestmark = pytest.mark.usefixtures("looks_at_files")

SHORT = 0.3
"""A time limit that a healthy disk keeps, in seconds."""


def open_store(folder: Path, **options: Any) -> DiskCacheBackend:
    return DiskCacheBackend(
        folder, **({"codec": "raw", "timeout": 20, "write_timeout": 20} | options)
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskCacheBackend]:
    """A store with one utterance."""
    async with open_store(tmp_path) as store:
        await store.set(make_key(), make_utterance())
        yield store


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "TTS cache" in each.getMessage()]


# Slow


async def test_a_lock_that_another_holds(tmp_path: Path) -> None:
    """Writes fail in time, look-ups go on and wait for nothing; when it is let go, all is well."""
    async with open_store(tmp_path, write_timeout=SHORT) as store:
        await store.set(make_key(), make_utterance())
        with locked(tmp_path):
            for _ in range(3):
                with pytest.raises(BackendError, match=r"locked by another|no answer within 0.3 s"):
                    await store.set(make_key("x"), make_utterance())
                assert make_utterance() == await store.get(make_key())
            with pytest.raises(BackendError):
                await store.clear()
            stats = await store.get_stats()
            assert (True, 1, 4) == (stats["available"], stats["entries"], stats["errors"])
        assert await store.set(make_key("x"), make_utterance())
        assert 2 == (await store.get_stats())["entries"]
    assert 2 == check(tmp_path)
    assert [] == damaged_of(tmp_path)


async def test_a_hit_never_waits_for_a_write(tmp_path: Path) -> None:
    """With the writer stuck, look-ups are answered, and their uses are noted when it is free."""
    async with open_store(tmp_path) as store:
        await store.set(make_key(), make_utterance())
        with locked(tmp_path):
            stuck = asyncio.ensure_future(store.set(make_key("x"), make_utterance()))
            for _ in range(20):
                assert make_utterance() == await store.get(make_key())
            assert not stuck.done()
        assert await stuck
    assert [(20,)] == query(tmp_path, "SELECT uses FROM entries ORDER BY uses DESC LIMIT 1")


async def test_a_look_up_that_takes_too_long(tmp_path: Path) -> None:
    """It fails in time and is counted; what waited behind it and is wanted no more is not done."""
    async with open_store(tmp_path, timeout=SHORT) as store:
        await store.set(make_key(), make_utterance())
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()
        released = asyncio.run_coroutine_threadsafe
        slow = asyncio.ensure_future(
            store._reader.ask(lambda _: released(go_on.wait(), loop).result(20), within=20)
        )
        await asyncio.sleep(0)
        with pytest.raises(BackendError, match=r"no answer within 0.3 s"):
            await store.get(make_key())
        go_on.set()
        assert await slow
        assert make_utterance() == await store.get(make_key())
        stats = await store.get_stats()
    assert (1, 1, 1) == (stats["errors"], stats["timeouts"], stats["hits"])


async def test_what_has_failed_is_not_done_later(tmp_path: Path) -> None:
    """A write that nobody waits for any more, or whose time is over, does not happen."""
    async with open_store(tmp_path, write_timeout=SHORT) as store:
        await store.set(make_key(), make_utterance())
        go_on = threading.Event()
        slow = asyncio.ensure_future(store._writer.ask(lambda _: go_on.wait(20), within=20))
        left = asyncio.ensure_future(store.set(make_key("left"), make_utterance()))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(BackendError, match=r"no answer within 0.3 s"):
            await store.set(make_key("late"), make_utterance())
        go_on.set()
        assert await slow
        assert await store.set(make_key("next"), make_utterance())
        assert not await store.exists(make_key("left"))
        assert not await store.exists(make_key("late"))


# Full


async def fill(store: DiskCacheBackend, *, failures: int) -> list[int]:
    """Store until the disk is full, so many times in a row."""
    kept: list[int] = []
    failed = 0
    for seed in range(1000):
        try:
            await store.set(make_key(f"fill {seed}"), make_utterance(seed, num_bytes=100_000))
        except BackendError as error:
            assert "the disk is full" in str(error)  # noqa: PT017 - one of many
            assert await store.get(make_key(f"fill {seed}")) is None
            failed += 1
            if failed == failures:
                return kept
        else:
            kept.append(seed)
            failed = 0
    raise AssertionError("the disk is never full")


async def has_room_again(store: DiskCacheBackend, folder: Path, kept: list[int]) -> None:
    """Whatever was stored is there whole, what was not is not, and writing works again."""
    for seed in kept:
        found = await store.get(make_key(f"fill {seed}"))
        assert make_utterance(seed, num_bytes=100_000) == found
    assert await store.set(make_key("after"), make_utterance(num_bytes=100_000))
    assert await store.get(make_key("after")) is not None
    assert len(kept) + 2 == (await store.get_stats())["entries"] == check(folder)
    assert [] == damaged_of(folder)


async def test_a_database_that_may_not_grow(store: DiskCacheBackend, tmp_path: Path) -> None:
    """SQLite says that it is full: `set` fails, look-ups go on, and it heals."""
    await have(store, "PRAGMA max_page_count = 200")
    kept = await fill(store, failures=1)
    assert make_utterance() == await store.get(make_key())
    await has_room_again(store, tmp_path, kept)  # the connection was made anew


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, where this user may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    """No byte is left on the disk: `set` fails, look-ups go on, and it heals when there is room."""
    ballast = small_disk / "ballast"
    async with open_store(small_disk / "speech") as store:
        await store.set(make_key(), make_utterance())
        await asyncio.to_thread(ballast.write_bytes, bytes(1_000_000))
        kept = await fill(store, failures=5)
        assert make_utterance() == await store.get(make_key())
        assert len(kept) + 1 == (await store.get_stats())["entries"]
        await asyncio.to_thread(ballast.unlink)
        await has_room_again(store, small_disk / "speech", kept)


async def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    """A store that cannot even be made fails, and is made when there is room."""
    ballast = small_disk / "ballast"
    with pytest.raises(OSError):
        await asyncio.to_thread(ballast.write_bytes, bytes(8_000_000))
    async with open_store(small_disk / "speech") as store:
        with pytest.raises(BackendError):
            await store.set(make_key(), make_utterance())
        await asyncio.to_thread(ballast.unlink)
        assert await store.set(make_key(), make_utterance())
        assert make_utterance() == await store.get(make_key())
    assert 1 == check(small_disk / "speech")


# Damaged


def garbage(file: Path) -> None:
    file.write_bytes(random.Random(7).randbytes(200_000))


def text(file: Path) -> None:
    file.write_text("This is no database.\n" * 1000)


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 // 8192 * 8192)


def first_page(file: Path) -> None:
    overwrite(file, 0, bytes(100))


def other_pages(file: Path) -> None:
    for page in range(1, file.stat().st_size // 8192):
        overwrite(file, page * 8192, random.Random(page).randbytes(8192))


def overwrite(file: Path, offset: int, what: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(what)


DAMAGES: list[Callable[[Path], None]] = [garbage, text, half, first_page, other_pages]


async def keep_some(store: DiskCacheBackend) -> None:
    for seed in range(20):
        await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=20_000))


async def heals(store: DiskCacheBackend, folder: Path) -> None:
    """Whatever is asked is answered, with the truth or with nothing; in the end all is well."""
    for seed in range(20):
        found = await store.get(make_key(str(seed)))
        assert found in (None, make_utterance(seed, num_bytes=20_000))
    assert await store.set(make_key("new"), make_utterance())
    assert make_utterance() == await store.get(make_key("new"))
    assert await store.clear() >= 1
    await keep_some(store)
    assert [("ok",)] == query(folder, "PRAGMA integrity_check")
    assert 20 == (await store.get_stats())["entries"] == check(folder)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_database_is_found_at_the_start(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is set aside and replaced, and that is said once, with what to do."""
    async with open_store(tmp_path) as store:
        await keep_some(store)
    spoil(tmp_path, damage)
    async with open_store(tmp_path) as store:
        await heals(store, tmp_path)
    assert ["speech-1.damaged.sqlite3"] == damaged_of(tmp_path)
    assert "speech-2.sqlite3" == database_of(tmp_path).name
    (said,) = warnings(caplog)
    assert "was set aside as speech-1.damaged.sqlite3" in said
    assert "Delete what was set aside" in said
    assert "check the disk" in said


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_database_is_damaged_while_it_is_open(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The same holds in the middle of a call, for two stores that have it open."""
    async with open_store(tmp_path) as store, open_store(tmp_path) as other:
        await keep_some(store)
        assert await other.get(make_key("1")) is not None
        query(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(tmp_path, damage)
        await heals(store, tmp_path)
        await heals(other, tmp_path)
        assert make_utterance(1, num_bytes=20_000) == await store.get(make_key("1"))
    assert ["speech-1.damaged.sqlite3"] == damaged_of(tmp_path)
    assert 1 == len(warnings(caplog))


async def test_an_empty_file_is_a_new_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost with an empty file, so nothing is set aside; while open, it is."""
    spoil(tmp_path / "speech-1.sqlite3", Path.touch)
    async with open_store(tmp_path) as store:
        await keep_some(store)
        assert [] == damaged_of(tmp_path)
        query(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(tmp_path, lambda file: os.truncate(file, 0))
        await heals(store, tmp_path)
    assert len(warnings(caplog)) <= 1


@pytest.mark.parametrize("end", ["-wal", "-shm"])
async def test_a_damaged_log_costs_what_was_in_it(tmp_path: Path, end: str) -> None:
    """What a killed process left beside the database may be garbage, too."""
    async with open_store(tmp_path) as store:
        await keep_some(store)
    spoil(Path(f"{database_of(tmp_path)}{end}"), garbage)
    async with open_store(tmp_path) as store:
        await heals(store, tmp_path)


async def test_flipped_bits_never_make_an_answer_wrong(tmp_path: Path) -> None:
    """A bit that flips anywhere gives the right utterance, none, or a new database."""
    async with open_store(tmp_path / "whole") as store:
        await keep_some(store)
    whole = contents(tmp_path / "whole")
    for seed in range(40):
        dice = random.Random(seed)
        folder = tmp_path / f"flipped {seed}"
        changed = bytearray(whole)
        for _ in range(20):
            changed[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        spoil(folder / "speech-1.sqlite3", lambda file, to=bytes(changed): file.write_bytes(to))
        async with open_store(folder) as store:
            for i in range(20):
                found = await store.get(make_key(str(i)))
                assert found in (None, make_utterance(i, num_bytes=20_000))
            await store.set(make_key("new"), make_utterance())
            assert await store.get(make_key("new")) in (make_utterance(), None)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE entries RENAME COLUMN codec TO kodec",
        "ALTER TABLE records RENAME TO recordings",
        "DELETE FROM state",
    ],
)
async def test_tables_that_are_amiss(tmp_path: Path, change: str) -> None:
    """A database that SQLite finds in order, and that cannot be used all the same, is replaced."""
    async with open_store(tmp_path) as store:
        await keep_some(store)
        query(tmp_path, change)
        await heals(store, tmp_path)
    assert ["speech-1.damaged.sqlite3"] == damaged_of(tmp_path)


def test_what_is_damage() -> None:
    """Words that cannot be read are, and a row that is there twice; a disk that fails is not."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE one (a UNIQUE NOT NULL, b NOT NULL)")
    connection.execute("INSERT INTO one VALUES (1, 1)")
    with pytest.raises(sqlite3.Error) as twice:
        connection.execute("INSERT INTO one VALUES (1, 2)")
    with pytest.raises(sqlite3.Error) as missing:
        connection.execute("INSERT INTO one VALUES (2, NULL)")
    connection.close()
    assert is_damage(twice.value)
    assert is_damage(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"))
    for error in (missing.value, sqlite3.OperationalError("?"), OSError(), ValueError()):
        assert not is_damage(error)


async def test_who_comes_second_sets_nothing_aside(store: DiskCacheBackend, tmp_path: Path) -> None:
    """Two threads may find the damage at the same moment: the new database is left alone."""
    await store.get(make_key())
    damaged = store._reader._database
    assert damaged is not None
    for _ in range(2):
        deadline = time.monotonic() + 20
        await asyncio.to_thread(set_aside, store._folder, damaged, "a test", deadline=deadline)
        assert await store.set(make_key(), make_utterance())
    assert "speech-2.sqlite3" == database_of(tmp_path).name


async def test_only_the_last_damaged_one_is_kept(tmp_path: Path) -> None:
    """What is set aside again and again does not fill the disk."""
    for number in range(1, 4):
        async with open_store(tmp_path) as store:
            await store.set(make_key(), make_utterance())
            assert [number > 1] == [bool(damaged_of(tmp_path))]
        spoil(tmp_path, garbage)
    async with open_store(tmp_path) as store:
        assert await store.get(make_key()) is None
    assert ["speech-3.damaged.sqlite3"] == damaged_of(tmp_path)
    expected = {"speech-3.damaged.sqlite3", "speech-4.sqlite3", "speech.lock"}
    assert expected == sizes(tmp_path).keys()


async def test_a_row_that_is_no_use_is_no_damage(
    store: DiskCacheBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description that the tables do not take is an error, and costs the others nothing."""
    of: Any = Entry.of
    with monkeypatch.context() as context:
        context.setattr(Entry, "of", lambda *args, **more: replace(of(*args, **more), service=None))
        with pytest.raises(BackendError):
            await store.set(make_key("odd"), make_utterance())
    assert make_utterance() == await store.get(make_key())
    assert [] == damaged_of(tmp_path)


# Gone, read-only, not allowed


async def test_a_folder_that_is_removed_is_made_again(
    store: DiskCacheBackend, tmp_path: Path
) -> None:
    """Whoever empties the cache with rm need not restart the bot."""
    await asyncio.to_thread(shutil.rmtree, tmp_path)
    assert await store.get(make_key()) is None
    assert await store.set(make_key(), make_utterance())
    assert make_utterance() == await store.get(make_key())
    assert 1 == check(tmp_path)


async def test_a_path_that_cannot_be_a_folder(tmp_path: Path) -> None:
    """A file in its place is an error with each call, and none when it has gone."""
    file = tmp_path / "speech"
    await asyncio.to_thread(file.touch)
    async with open_store(file) as store:
        for call in (store.get(make_key()), store.set(make_key(), make_utterance())):
            with pytest.raises(BackendError, match="Not a directory"):
                await call
        assert (await store.get_stats())["available"] is False
        await asyncio.to_thread(file.unlink)
        assert await store.set(make_key(), make_utterance())


@pytest.fixture
def writable_or_not(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A way to make a disk read-only and back, where this user may."""
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("only root can mount a disk read-only")

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(tmp_path)], check=True)

    yield remount
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


async def test_a_disk_that_is_read_only(
    writable_or_not: Callable[[str], None], tmp_path: Path
) -> None:
    """Look-ups work; whatever writes is an error that says so; nothing is set aside."""
    folder = tmp_path / "speech"
    async with open_store(folder) as store:
        await store.set(make_key(), make_utterance())
    await asyncio.to_thread(writable_or_not, "ro")
    async with open_store(folder) as store:
        for _ in range(3):
            assert make_utterance() == await store.get(make_key())
        assert 1 == (await store.get_stats())["entries"]
        assert [make_key()] == [entry.key async for entry in store.entries()]
        for call in (
            store.set(make_key("x"), make_utterance()),
            store.delete(make_key()),
            store.clear(),
        ):
            with pytest.raises(BackendError, match="read-only"):
                await call
        await asyncio.to_thread(writable_or_not, "rw")
        assert await store.set(make_key("x"), make_utterance())
        assert await store.get(make_key("x")) is not None
    assert 2 == check(folder)
    assert [] == damaged_of(folder)


AS_SOMEBODY = """
import asyncio, sys, os
from pipecat_tts_cache.backends import DiskCacheBackend, Entry
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

async def main(folder):
    async with DiskCacheBackend(folder, codec="raw", timeout=20, write_timeout=20) as store:
        await store.set(make_key(), make_utterance())
        for mode, hit in ((0o500, True), (0o000, None), (0o700, True)):
            os.chmod(folder, mode)
            try:
                found = await store.get(make_key()) == make_utterance()
            except BackendError:
                found = None
            assert found is hit, (oct(mode), found)
    os.chmod(folder, 0o500)
    async with DiskCacheBackend(folder, codec="raw", timeout=20, write_timeout=20) as store:
        assert await store.get(make_key()) == make_utterance()
        try:
            await store.set(make_key(), make_utterance())
        except BackendError as error:
            assert "read-only" in str(error), error
        else:
            raise AssertionError("it wrote")
    os.chmod(folder, 0o000)
    async with DiskCacheBackend(folder, codec="raw", timeout=20, write_timeout=20) as store:
        try:
            await store.get(make_key())
        except BackendError as error:
            assert "Permission denied" in str(error), error
        else:
            raise AssertionError("it read")
        os.chmod(folder, 0o700)
        assert await store.get(make_key()) == make_utterance()
        assert await store.set(make_key(), make_utterance())

asyncio.run(asyncio.to_thread(int))  # imports what somebody may not
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that any user may write to, below folders that any user may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions")
def test_a_folder_without_permissions(open_to_all: Path) -> None:
    """Not allowed to write, a store still reads; not allowed to read, it says so, and recovers."""
    code = ["-c", AS_SOMEBODY, str(open_to_all / "speech")]
    done = subprocess.run([sys.executable, *code], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr[-2000:])


async def test_errors_do_not_quote_what_was_said(store: DiskCacheBackend, tmp_path: Path) -> None:
    """Words, keys and namespaces stay out of messages."""
    query(
        tmp_path, "CREATE TRIGGER no BEFORE INSERT ON entries BEGIN SELECT raise(ABORT, 'no'); END"
    )
    with pytest.raises(BackendError) as raised:
        await store.set(make_key("x", "alice"), make_utterance(1))
    assert f"{tmp_path}: no" == str(raised.value)
    assert isinstance(raised.value.__cause__, sqlite3.Error)
