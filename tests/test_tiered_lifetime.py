#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store lets the levels behind know what is in use, and purges nothing else."""

from pathlib import Path
from typing import Literal

import pytest

from pipecat_tts_cache.backends import (
    CacheBackend,
    CacheLevel,
    DiskCacheBackend,
    MemoryCacheBackend,
    TieredCacheBackend,
    open_backend,
)
from pipecat_tts_cache.backends.tiered.level import FRONT_TTL
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import Purged, Selection, purge
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock
from tests.levels import Obedient, idle

DAY = 86_400.0
UNUSED = Selection(unused_for=90 * DAY)


class Clocked(Clock):
    """A clock for memories and purges."""

    def memory(self) -> MemoryCacheBackend:
        return MemoryCacheBackend(clock=self, wall_clock=self.wall)

    async def purge(self, store: CacheBackend) -> int:
        """Purge what was unused for 90 days, and tell how much that is."""
        expected = await purge(store, UNUSED, dry_run=True, wall_clock=self.wall)
        purged = await purge(store, UNUSED, wall_clock=self.wall)
        assert expected == purged
        return purged.entries


@pytest.fixture
def clock() -> Clocked:
    return Clocked()


@pytest.mark.parametrize("count", [2, 3])
async def test_a_purge_keeps_what_is_said_every_day(clock: Clocked, count: int) -> None:
    """What is in use in front is in use behind; what nobody says any more goes from all levels."""
    levels = [clock.memory() for _ in range(count)]
    async with TieredCacheBackend(levels, timeout=60, wall_clock=clock.wall) as store:
        await store.set(make_key("daily"), make_utterance())
        await store.set(make_key("once"), make_utterance())
        for _ in range(200):
            clock.now += DAY / 2
            assert await store.get(make_key("daily"))
            await idle()
        assert 1 == await clock.purge(store)
        assert not await store.exists(make_key("once"))
        assert await store.exists(make_key("daily"))
        clock.now += 100 * DAY
        assert 1 == await clock.purge(store)
        assert not await store.exists(make_key("daily"))


async def test_a_purge_keeps_what_is_in_use_in_front_of_a_disk(
    clock: Clocked, tmp_path: Path
) -> None:
    """A disk that memory stands before takes note of what is said, once a day."""
    disk = DiskCacheBackend(tmp_path, timeout=60, write_timeout=60, wall_clock=clock.wall)
    async with TieredCacheBackend(
        [clock.memory(), disk], timeout=60, wall_clock=clock.wall
    ) as store:
        await store.set(make_key(), make_utterance())
        for _ in range(50):
            clock.now += 2 * DAY
            assert await store.get(make_key())
        assert 0 == await clock.purge(store)
        assert await disk.exists(make_key())
        clock.now += 100 * DAY
        assert 1 == await clock.purge(store)
        assert not await disk.exists(make_key())


@pytest.mark.parametrize(
    ("front", "expected"), [("auto", FRONT_TTL), (None, None), (3600.0, 3600.0)]
)
async def test_only_a_level_before_the_last_forgets_by_itself(
    clock: Clocked, front: float | Literal["auto"] | None, expected: float | None
) -> None:
    """A level before the last forgets after a day, or as it was told; the last one as it was."""
    levels = [
        CacheLevel(clock.memory(), ttl=front),
        CacheLevel(clock.memory(), ttl=front, timeout=60),
        CacheLevel(clock.memory(), timeout=60),
    ]
    async with TieredCacheBackend(levels, timeout=60, wall_clock=clock.wall) as store:
        told = [level["ttl"] for level in (await store.get_stats())["levels"]]
        assert [expected, expected, None] == told
        await store.set(make_key(), make_utterance())
        for moment, is_held in (((expected or DAY) - 1, True), (expected or DAY, not expected)):
            clock.now = moment
            held = [await level.backend.exists(make_key()) for level in levels]
            assert [is_held, is_held, True] == held


async def test_a_store_that_is_the_only_level_forgets_nothing(clock: Clocked) -> None:
    """The first level is the last one, too, if there is no other."""
    async with TieredCacheBackend([clock.memory()], wall_clock=clock.wall) as store:
        await store.set(make_key(), make_utterance())
        clock.now = 1000 * DAY
        assert await store.exists(make_key())


@pytest.mark.parametrize(
    ("option", "expected"), [("", FRONT_TTL), ("?ttl=1h", 3600.0), ("?ttl=", None)]
)
async def test_a_url_says_the_same(option: str, expected: float | None) -> None:
    """Levels of a URL forget as others do."""
    async with open_backend(f"tiered:memory://{option},memory://") as store:
        told = [level["ttl"] for level in (await store.get_stats())["levels"]]
    assert [expected, None] == told


async def test_a_purge_counts_what_it_counts_in_a_dry_run() -> None:
    """Whatever levels hold what, a key counts once, and one that none holds does not count."""
    levels = [Obedient(), Obedient(), Obedient()]
    for level, names in zip(levels, ("ab", "bc", "cdef"), strict=True):
        for name in names:
            await level.set(make_key(name), make_utterance())
    async with TieredCacheBackend(levels, timeout=60) as store:
        chosen = Selection(namespace=make_key().namespace)
        dry = await purge(store, chosen, dry_run=True)
        assert 6 == dry.entries
        assert 3 == await store.delete_many([make_key(name) for name in "acdx"])
        assert 3 == (await purge(store, chosen)).entries
        assert Purged() == await purge(store, chosen)
    assert [frozenset()] * 3 == [level.held for level in levels]


async def test_a_level_that_fails_keeps_no_other_from_removing() -> None:
    """Whatever is in front or behind goes, though one level can neither be asked nor cleared."""
    levels = [Obedient(), Obedient(), Obedient()]
    for level, names in zip(levels, ("a", "", "ab"), strict=True):
        for name in names:
            await level.set(make_key(name), make_utterance())
    async with TieredCacheBackend(levels, timeout=60) as store:
        levels[1].fails = OSError("gone")
        with pytest.raises(BackendError, match="not removed from every level: level 2"):
            await store.delete_many([make_key("a"), make_key("b")])
        levels[1].fails = None
    assert [frozenset()] * 3 == [level.held for level in levels]
