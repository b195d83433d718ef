#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a disk store does when its clock is set, forwards or back."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipecat_tts_cache.backends import DiskCacheBackend
from pipecat_tts_cache.backends.wall_clock import SETTLED
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.disk import check, looks_at_files, query

__all__ = ["looks_at_files"]

pytestmark = pytest.mark.usefixtures("looks_at_files")

HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_536_000.0


class Clocks:
    """The time that passes, and what the wall clock says it is."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.wall = time.time()

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds
        self.wall += seconds

    def open(self, folder: Path) -> DiskCacheBackend:
        """A store, as a process would make it that starts now."""
        return DiskCacheBackend(
            folder,
            codec="raw",
            timeout=20,
            write_timeout=20,
            clock=lambda: self.passed,
            wall_clock=lambda: self.wall,
        )


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
async def store(tmp_path: Path, clocks: Clocks) -> AsyncIterator[DiskCacheBackend]:
    async with clocks.open(tmp_path) as store:
        yield store


async def write(store: DiskCacheBackend) -> None:
    """Some write, as there is always one: it sweeps."""
    await store.set(make_key("some"), make_utterance())


async def test_expiry_is_swept_with_writes(
    store: DiskCacheBackend, clocks: Clocks, tmp_path: Path
) -> None:
    """What nobody asks for any more leaves the disk all the same."""
    for seed in range(50):
        await store.set(make_key(str(seed)), make_utterance(seed), ttl=HOUR)
    clocks.pass_by(HOUR)
    assert 0 == (await store.get_stats())["entries"]
    assert 50 == check(tmp_path)
    await write(store)
    await write(store)
    assert 1 == check(tmp_path)
    assert 50 == (await store.get_stats())["expirations"]


async def test_all_that_has_expired_is_swept_at_once(
    store: DiskCacheBackend, clocks: Clocks, tmp_path: Path
) -> None:
    """However much it is, it leaves the disk when somebody asks for that."""
    for seed in range(150):
        await store.set(make_key(str(seed)), make_utterance(num_bytes=2), ttl=HOUR)
    clocks.pass_by(HOUR)
    assert 150 == await store.sweep()
    assert 0 == check(tmp_path)
    assert 0 == await store.sweep()


async def test_a_process_that_starts_later_sweeps(tmp_path: Path, clocks: Clocks) -> None:
    """Time that passes while nothing runs counts."""
    async with clocks.open(tmp_path) as store:
        await store.set(make_key(), make_utterance(), ttl=HOUR)
    clocks.pass_by(2 * HOUR)
    async with clocks.open(tmp_path) as store:
        assert await store.get(make_key()) is None
        await write(store)
    assert 1 == check(tmp_path)


async def test_a_clock_that_jumps_ahead_and_back_loses_nothing(
    store: DiskCacheBackend, clocks: Clocks
) -> None:
    """What seems to have expired is a miss, and is there again when the clock is put right."""
    await store.set(make_key(), make_utterance(), ttl=DAY)
    clocks.pass_by(HOUR)
    clocks.wall += YEAR
    assert await store.get(make_key()) is None
    await write(store)
    clocks.pass_by(SETTLED / 2)
    await write(store)
    clocks.wall -= YEAR
    await write(store)
    assert make_utterance() == await store.get(make_key())
    clocks.pass_by(DAY)
    assert await store.get(make_key()) is None


async def test_a_clock_that_was_set_ahead_for_good_is_believed(
    store: DiskCacheBackend, clocks: Clocks, tmp_path: Path
) -> None:
    """After a while what has expired by the new time is deleted, and nothing else."""
    await store.set(make_key("x"), make_utterance(), ttl=DAY)
    await store.set(make_key("y"), make_utterance(), ttl=2 * YEAR)
    await store.set(make_key("z"), make_utterance())
    clocks.wall += YEAR
    await write(store)
    assert 4 == check(tmp_path)
    clocks.pass_by(SETTLED)
    await write(store)
    assert 3 == check(tmp_path)
    assert not await store.exists(make_key("x"))
    assert await store.exists(make_key("y"))
    assert await store.exists(make_key("z"))


async def test_a_clock_that_jumps_back_keeps_nothing_for_ever(
    store: DiskCacheBackend, clocks: Clocks
) -> None:
    """What was stored in the future is kept, but from then on for its time to live at most."""
    await store.set(make_key(), make_utterance(), ttl=HOUR)
    clocks.wall -= YEAR
    assert make_utterance() == await store.get(make_key())
    await write(store)
    clocks.pass_by(SETTLED)
    await write(store)
    (entry,) = [entry async for entry in store.entries() if entry.key == make_key()]
    assert clocks.wall + HOUR == entry.expires_at
    clocks.pass_by(HOUR - 1)
    assert make_utterance() == await store.get(make_key())
    clocks.pass_by(1)
    assert await store.get(make_key()) is None


async def test_a_start_with_a_clock_that_is_behind_loses_nothing(
    tmp_path: Path, clocks: Clocks
) -> None:
    """A machine that starts in 1970 until the network tells the time has spoilt nothing by then."""
    async with clocks.open(tmp_path) as store:
        await store.set(make_key(), make_utterance(), ttl=DAY)
        before = query(tmp_path, "SELECT expires_at FROM entries")
    today, clocks.wall = clocks.wall, 60.0
    async with clocks.open(tmp_path) as store:
        await write(store)
        clocks.pass_by(SETTLED / 2)
        await write(store)
        clocks.wall = today + 2 * SETTLED
        await write(store)
        clocks.pass_by(2 * SETTLED)
        await write(store)
        assert make_utterance() == await store.get(make_key())
    sql = "SELECT expires_at FROM entries WHERE digest = ?"
    assert before == query(tmp_path, sql, make_key().digest)


async def test_a_clock_that_is_slewed_has_not_jumped(
    store: DiskCacheBackend, clocks: Clocks, tmp_path: Path
) -> None:
    """Small corrections, however many, hold up nothing."""
    await store.set(make_key(), make_utterance(), ttl=HOUR)
    for _ in range(50):
        clocks.pass_by(0.02 * HOUR)
        clocks.wall += 2
        await write(store)
    assert 1 == check(tmp_path)
