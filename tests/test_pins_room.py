#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#
"""A store with bounds of its own never makes room at the cost of what is pinned."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.backends import CacheBackend, DiskCacheBackend, MemoryCacheBackend
from pipecat_tts_cache.backends.disk.writes import room
from pipecat_tts_cache.backends.eviction import PINNED, Eviction, must_stay, priority
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance

LINE = make_utterance(num_bytes=3_200)
PIN = replace(LINE, pinned=True)
ROOM = 4


def open_disk(folder: Path, **options: Any) -> DiskCacheBackend:
    return DiskCacheBackend(folder, codec="raw", timeout=20, write_timeout=20, **options)


@pytest.fixture(
    params=itertools.product(["disk", "memory", "entries"], ["gdsf", "lru"]), ids="-".join
)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheBackend]:
    """A store with room for four lines, by bytes or by number, with either policy."""
    kind, eviction = request.param
    if kind == "disk":
        size = ROOM * room(PIN.to_bytes(), PIN.text)
        store: CacheBackend = open_disk(tmp_path, max_bytes=size, eviction=eviction)
    else:
        bounds = {"max_bytes": ROOM * PIN.size} if kind == "memory" else {"max_size": ROOM}
        store = MemoryCacheBackend(**bounds, eviction=eviction)
    async with store:
        yield store


async def fill(store: CacheBackend, names: str, utterance: Utterance = LINE) -> list[bool]:
    return [await store.set(make_key(name), utterance) for name in names]


async def kept(store: CacheBackend, names: str) -> str:
    return "".join([name for name in names if await store.exists(make_key(name))])


async def counts(store: CacheBackend) -> tuple[int, int, int, int]:
    stats = await store.get_stats()
    return stats["entries"], stats["pinned"], stats["evictions"], stats["refused"]


def test_a_pin_is_worth_more_than_anything() -> None:
    """Its priority is above all others, and no newcomer takes its room, not even another pin."""
    for policy in ("gdsf", "lru"):
        worth = priority(policy, floor=1e300, uses=8, size=1, now=1e300)  # type: ignore[arg-type]
        assert worth < PINNED == priority("gdsf", floor=0, uses=1, size=9, now=0, pinned=True)
        assert not must_stay(worth, PINNED)
    assert must_stay(PINNED, 1e300)
    assert must_stay(PINNED, PINNED)


async def test_eviction_passes_over_pins(store: CacheBackend) -> None:
    """However much is said, and however long ago a pin was used, the others make room."""
    await fill(store, "ab", PIN)
    for name in "cdefghijkl":
        for _ in range(9):
            await store.get(make_key(name))
        await store.set(make_key(name), LINE)
    assert "ab" == await kept(store, "ab")
    assert ROOM == len(await kept(store, "abcdefghijkl"))
    assert 2 == (await counts(store))[1]


async def test_a_pin_takes_the_room_of_anything_else(store: CacheBackend) -> None:
    """It needs no uses to be kept in place of what is said all day."""
    await fill(store, "abcd")
    for name in 20 * "abcd":
        await store.get(make_key(name))
    assert [True] * 3 == await fill(store, "xyz", PIN)
    assert "xyz" == await kept(store, "xyz")
    assert (4, 3, 3, 0) == await counts(store)


async def test_what_only_pins_could_make_room_for_is_refused(store: CacheBackend) -> None:
    """A store full of pins refuses the next one, and speech, and counts it."""
    assert [True] * ROOM == await fill(store, "abcd", PIN)
    assert [False] == await fill(store, "e", PIN)
    assert [False] * 3 == await fill(store, "fgf")
    assert "abcd" == await kept(store, "abcdefg")
    assert (4, 4, 0, 4) == await counts(store)
    assert [True] == await fill(store, "a", PIN)


async def test_what_was_refused_for_pins_does_not_spoil_the_order(store: CacheBackend) -> None:
    """When pins are gone, the store makes room as if they had never been."""
    await fill(store, "abcd", PIN)
    await fill(store, "efgh", PIN)
    await fill(store, "ijkl")
    assert 4 == await store.clear()
    await fill(store, "mnop")
    for name in "nop":
        await store.get(make_key(name))
    assert [True] == await fill(store, "n")
    assert [True] == await fill(store, "q", PIN)
    assert "nopq" == await kept(store, "mnopq")


async def test_uses_do_not_lower_a_pin(store: CacheBackend) -> None:
    """A pin that is heard all day is pinned as before."""
    await fill(store, "a", PIN)
    for _ in range(20):
        assert await store.get(make_key("a")) == PIN
    for name in "bcdefghij":
        await store.get(make_key(name))
        await store.set(make_key(name), LINE)
    assert [False] == await fill(store, "a")
    assert [("a", True)] == [
        ("a", entry.pinned) async for entry in store.entries() if entry.key == make_key("a")
    ]


async def test_a_removed_pin_leaves_room(store: CacheBackend) -> None:
    """What is unpinned by a removal counts no more."""
    await fill(store, "abcd", PIN)
    await store.delete(make_key("a"))
    assert (3, 3) == (await counts(store))[:2]
    assert [True] == await fill(store, "a")
    assert (4, 3) == (await counts(store))[:2]


@pytest.mark.parametrize("eviction", ["gdsf", "lru"])
async def test_a_pin_on_disk_outlives_the_process(tmp_path: Path, eviction: Eviction) -> None:
    """After a restart, with another policy too, it is a pin like before."""
    async with open_disk(tmp_path) as store:
        await fill(store, "a", PIN)
        assert await store.get(make_key("a")) == PIN
    size = 2 * room(PIN.to_bytes(), PIN.text)
    async with open_disk(tmp_path, max_bytes=size, eviction=eviction) as store:
        assert await store.get(make_key("a")) == PIN
        await fill(store, "bcdefg")
        assert [False] == await fill(store, "a")
        assert "a" == await kept(store, "a")
        assert 1 == (await counts(store))[1]
