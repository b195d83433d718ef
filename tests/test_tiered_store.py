#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store: construction, what goes into which level, what it says, what it closes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pipecat_tts_cache.backends import (
    CacheBackend,
    CacheKey,
    CacheLevel,
    MemoryCacheBackend,
    TieredCacheBackend,
)
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.clock import EPOCH, Clock, clock
from tests.levels import Obedient, idle

__all__ = ["clock"]


@pytest.fixture
def levels(clock: Clock) -> list[Obedient]:
    return [Obedient(clock=clock, wall_clock=clock.wall) for _ in range(3)]


@pytest.fixture
async def store(levels: list[Obedient], clock: Clock) -> AsyncIterator[TieredCacheBackend]:
    async with TieredCacheBackend(levels, timeout=60, wall_clock=clock.wall) as store:
        yield store


async def held(levels: list[Obedient], key: CacheKey | None = None) -> list[bool]:
    """Tell which levels hold an utterance that has not expired."""
    await idle()
    return [await MemoryCacheBackend.exists(level, key or make_key()) for level in levels]


# Construction


def memory() -> MemoryCacheBackend:
    return MemoryCacheBackend()


SAME = memory()


@pytest.mark.parametrize(
    ("levels", "error", "message"),
    [
        ([], ValueError, "levels must name a store at least"),
        (None, TypeError, "levels must be a list of stores, not NoneType"),
        ("memory://", TypeError, "levels must be a list of stores, not str"),
        (memory(), TypeError, "levels must be a list of stores, not MemoryCacheBackend"),
        ({memory()}, TypeError, "levels must be a list of stores, not set"),
        (["memory://"], TypeError, "a level must be a CacheBackend, not str"),
        ([MemoryCacheBackend], TypeError, "not the class MemoryCacheBackend"),
        ([memory(), None], TypeError, "not NoneType"),
        ([SAME, SAME], ValueError, "must not be in more than one level"),
        ([SAME, CacheLevel(SAME)], ValueError, "must not be in more than one level"),
        ([SAME, TieredCacheBackend([memory(), SAME])], ValueError, "more than one level"),
    ],
)
def test_nonsense_levels_are_refused(levels: Any, error: type[Exception], message: str) -> None:
    """What is no list of different stores is refused, in words."""
    with pytest.raises(error, match=message):
        TieredCacheBackend(levels)


@pytest.mark.parametrize("name", ["timeout", "write_timeout", "max_copies", "ttl"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError)])
def test_nonsense_limits_are_refused(name: str, value: Any, error: type[Exception]) -> None:
    """A limit that makes no sense is refused, and the message names it."""
    if name != "ttl":
        with pytest.raises(error, match=name):
            TieredCacheBackend([memory()], **{name: value})
    if name != "max_copies":
        with pytest.raises(error, match=name):
            CacheLevel(memory(), **{name: value})


def test_a_switch_is_one() -> None:
    """Text is neither True nor False."""
    with pytest.raises(TypeError, match="close_levels must be a bool, not str"):
        TieredCacheBackend([memory()], close_levels="no")  # type: ignore[arg-type]


def test_it_shows_its_levels() -> None:
    """Its repr tells what it is made of."""
    store = TieredCacheBackend([MemoryCacheBackend(5, max_bytes=7), CacheLevel(memory(), ttl=3)])
    assert f"TieredCacheBackend([MemoryCacheBackend(5, max_bytes=7), {memory()!r}])" == repr(store)


# Look-ups and copies


async def test_everything_goes_into_every_level(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What is stored is in all levels, and what is removed in none."""
    assert await store.set(make_key(), make_utterance())
    assert [True] * 3 == await held(levels)
    assert await store.delete(make_key())
    assert [False] * 3 == await held(levels)
    assert not await store.delete(make_key())


async def test_a_hit_in_front_asks_nobody_behind(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What the front has is not looked for any further."""
    await store.set(make_key(), make_utterance())
    assert make_utterance() == await store.get(make_key())
    assert [1, 0, 0] == [level.calls["get"] for level in levels]


@pytest.mark.parametrize("place", [1, 2])
async def test_a_hit_is_copied_to_all_levels_before(
    store: TieredCacheBackend, levels: list[Obedient], place: int
) -> None:
    """What a level behind has is in all those before it afterwards, and in none behind."""
    await levels[place].set(make_key(), make_utterance())
    assert make_utterance() == await store.get(make_key())
    assert [number <= place for number in range(3)] == await held(levels)
    assert make_utterance() == await store.get(make_key())
    assert 1 == levels[place].calls["get"]


async def test_copies_are_made_behind_the_answer(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """A level that hangs when it is written to holds up no answer."""
    await levels[1].set(make_key(), make_utterance())
    levels[0].before["set"] = asyncio.Event()
    assert make_utterance() == await store.get(make_key())
    assert [False, True, False] == await held(levels)
    levels[0].before["set"].set()
    assert [True, True, False] == await held(levels)


async def test_copies_are_bounded_in_number(clock: Clock) -> None:
    """No more than so many copies are under way; one of the same key does not count twice."""
    levels = [Obedient(), Obedient()]
    levels[0].before["set"] = asyncio.Event()
    async with TieredCacheBackend(levels, timeout=60, max_copies=2) as store:
        for name in "abcd":
            await levels[1].set(make_key(name), make_utterance())
        for name in "aaabcd":
            assert await store.get(make_key(name))
        await idle()
        assert 2 == levels[0].calls["set"]
        assert 2 == (await store.get_stats())["copies_skipped"]
        levels[0].before["set"].set()
        await idle()
        assert {make_key("a"), make_key("b")} == levels[0].held
        assert await store.get(make_key("c"))
        await idle()
        assert make_key("c") in levels[0].held


async def test_a_hundred_at_once_make_one_copy(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """Many look-ups of the same utterance bring it to the front once."""
    await levels[2].set(make_key(), make_utterance())
    found = await asyncio.gather(*(store.get(make_key()) for _ in range(100)))
    await idle()
    assert [make_utterance()] * 100 == found
    assert [1, 1] == [level.calls["set"] for level in levels[:2]]


async def test_a_peek_copies_nothing_and_is_no_use(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """A peek finds what any level has, and leaves everything as it was."""
    await levels[2].set(make_key(), make_utterance())
    assert make_utterance() == await store.peek(make_key())
    assert await store.exists(make_key())
    assert [False, False, True] == await held(levels)
    assert [0, 0, 0] == [level.calls["get"] for level in levels]
    assert await store.peek(make_key("other")) is None
    assert not await store.exists(make_key("other"))


# Time to live


async def test_each_level_has_a_time_to_live_of_its_own(clock: Clock) -> None:
    """The shorter one of a level's and an utterance's counts; what is behind fills the front."""
    levels = [Obedient(clock=clock), Obedient(clock=clock)]
    store = TieredCacheBackend(
        [CacheLevel(levels[0], ttl=10), levels[1]], timeout=60, wall_clock=clock.wall
    )
    async with store:
        await store.set(make_key("for ever"), make_utterance())
        await store.set(make_key("long"), make_utterance(), ttl=15)
        await store.set(make_key("short"), make_utterance(), ttl=5)
        clock.now = 5
        assert [False, False] == await held(levels, make_key("short"))
        assert [True, True] == await held(levels, make_key("long"))
        clock.now = 10
        assert [False, True] == await held(levels, make_key("long"))
        assert [False, True] == await held(levels, make_key("for ever"))
        assert await store.get(make_key("long"))
        assert await store.get(make_key("for ever"))
        assert [True, True] == await held(levels, make_key("long"))
        clock.now = 15
        assert [False, False] == await held(levels, make_key("long"))
        clock.now = 20
        assert [False, True] == await held(levels, make_key("for ever"))


async def test_a_copy_says_when_it_expires(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What is kept says until when, whatever it said before; that makes it no other utterance."""
    for ttl, expected in ((30.0, EPOCH + 30), (None, None)):
        await store.set(make_key(), replace(make_utterance(), expires_at=7.0), ttl=ttl)
        for level in levels:
            found = await level.get(make_key())
            assert found is not None
            assert expected == found.expires_at
        assert make_utterance() == await store.get(make_key())


async def test_what_outlived_its_time_behind_is_not_copied(
    store: TieredCacheBackend, levels: list[Obedient], clock: Clock
) -> None:
    """A level behind may keep an utterance longer, as by a sliding time to live."""
    await levels[2].set(make_key(), replace(make_utterance(), expires_at=EPOCH + 5))
    clock.now = 5
    assert make_utterance() == await store.get(make_key())
    assert [False, False, True] == await held(levels)
    assert [0] * 3 == [level["errors"] for level in (await store.get_stats())["levels"]]


async def test_an_absurd_time_does_no_harm(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """A copy of what expires in a million years is made, too."""
    await levels[2].set(make_key(), replace(make_utterance(), expires_at=1e300))
    assert await store.get(make_key())
    assert [True, True, True] == await held(levels)


@pytest.mark.parametrize(
    ("ttl", "error"), [(0, ValueError), (float("nan"), ValueError), ("5", TypeError)]
)
async def test_nonsense_time_to_live_is_refused(
    store: TieredCacheBackend, levels: list[Obedient], ttl: Any, error: type[Exception]
) -> None:
    """A time to live that makes no sense is the caller's fault, and no level's."""
    with pytest.raises(error, match="ttl"):
        await store.set(make_key(), make_utterance(), ttl=ttl)
    assert [False] * 3 == await held(levels)
    assert [0] * 3 == [level["errors"] for level in (await store.get_stats())["levels"]]


# Refusals


async def test_one_level_that_takes_it_is_enough(clock: Clock) -> None:
    """What is too large for the front is kept behind, and what it replaces is gone in front."""
    levels = [Obedient(max_bytes=10_000), Obedient()]
    large = make_utterance(1, num_bytes=20_000)
    async with TieredCacheBackend(levels, timeout=60) as store:
        await store.set(make_key(), make_utterance())
        assert await store.set(make_key(), large)
        assert [False, True] == await held(levels)
        assert large == await store.get(make_key())


async def test_a_refusal_by_all_changes_nothing() -> None:
    """What no level takes leaves what was there."""
    levels = [Obedient(max_bytes=10_000), Obedient(max_bytes=10_000)]
    async with TieredCacheBackend(levels, timeout=60) as store:
        await store.set(make_key(), make_utterance())
        assert not await store.set(make_key(), make_utterance(1, num_bytes=20_000))
        assert make_utterance() == await store.get(make_key())


# Counting and listing


async def test_removals_count_what_the_fullest_level_held(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """However many levels held it, an utterance counts once."""
    for name in "abcd":
        await levels[2].set(make_key(name, "n"), make_utterance())
    for name in "ab":
        await levels[0].set(make_key(name, "n"), make_utterance())
    await levels[0].set(make_key("front"), make_utterance())
    assert 4 == (await store.get_stats())["entries"]
    assert 2 == await store.delete_many([make_key(name, "n") for name in "bcx"])
    assert 2 == await store.clear("n")
    assert await store.delete(make_key("front"))
    assert 0 == await store.clear()


async def test_entries_of_all_levels_are_listed_once(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What several levels hold is told by the last of them; what one holds alone is told, too."""
    for number, level in enumerate(levels):
        await level.set(make_key(f"only {number}"), make_utterance())
        await level.set(make_key("all"), make_utterance(number, num_bytes=2 * number + 2))
        for i in range(100):
            await level.set(make_key(f"{i}", f"{number} or behind"), make_utterance(num_bytes=2))
            if number:
                await level.set(make_key(f"{i}", "behind"), make_utterance(num_bytes=2))
    listed = [entry async for entry in store.entries()]
    keys = [entry.key for entry in listed]
    assert frozenset.union(*(level.held for level in levels)) == set(keys)
    assert len(set(keys)) == len(keys)
    (shared,) = [entry for entry in listed if make_key("all") == entry.key]
    assert 6 / 48000 == shared.duration
    assert 100 == len([entry async for entry in store.entries("behind")])


async def test_what_is_copied_while_listing_is_listed_once(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """A look-up in the middle of a listing neither hides an utterance nor shows it twice."""
    for i in range(200):
        await levels[2].set(make_key(f"{i}"), make_utterance(num_bytes=2))
    seen = []
    async for entry in store.entries():
        seen.append(entry.key)
        await store.get(make_key(f"{199 - len(seen)}"))
        await store.get(make_key(f"{len(seen)}"))
        await idle()
    assert levels[2].held == set(seen)
    assert 200 == len(seen)


async def test_what_is_given_up_while_listing_is_listed(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What the last level gives up in the middle of a listing, the front still tells."""
    for i in range(10):
        await store.set(make_key(f"{i}"), make_utterance(num_bytes=2))
    seen = set()
    async for entry in store.entries():
        seen.add(entry.key)
        await levels[2].clear()
    assert levels[0].held == seen


async def test_statistics_tell_of_every_level(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """Hits and misses are counted for the whole and for each level."""
    await levels[1].set(make_key(), make_utterance())
    await store.get(make_key())
    await idle()
    await store.get(make_key())
    await store.get(make_key("other"))
    stats = await store.get_stats()
    assert stats == json.loads(json.dumps(stats))
    assert (1, 2, 1) == (stats["entries"], stats["hits"], stats["misses"])
    assert [1, 1, 0] == [level["hits"] for level in stats["levels"]]
    assert [2, 1, 1] == [level["misses"] for level in stats["levels"]]
    assert [1, 0, 0] == [level["copies"] for level in stats["levels"]]
    assert ["Obedient"] * 3 == [level["store"] for level in stats["levels"]]
    assert [1, 1, 0] == [level["stats"]["entries"] for level in stats["levels"]]


# Closing


@pytest.mark.parametrize("close_levels", [True, False])
async def test_closing_closes_the_levels_unless_told_otherwise(close_levels: bool) -> None:
    """Levels belong to the tiered store, unless it is told that others use them."""
    levels = [Obedient(), Obedient()]
    async with TieredCacheBackend(levels, close_levels=close_levels):
        pass
    assert [int(close_levels)] * 2 == [level.closed for level in levels]


async def test_closing_ends_what_is_done_behind_answers(levels: list[Obedient]) -> None:
    """No copy goes on behind a close, and none begins."""
    before = asyncio.all_tasks()
    store = TieredCacheBackend(levels, timeout=60)
    await levels[2].set(make_key("a"), make_utterance())
    await levels[2].set(make_key("b"), make_utterance())
    levels[0].before["set"] = asyncio.Event()
    await store.get(make_key("a"))
    await idle()
    await store.close()
    assert before == asyncio.all_tasks()
    levels[2].tell()
    assert before == asyncio.all_tasks()
    assert set() == levels[0].held


@pytest.mark.parametrize("close_levels", [True, False])
async def test_a_closed_store_says_so(levels: list[Obedient], close_levels: bool) -> None:
    """Nothing is stored, found, told or removed any more, but the statistics."""
    store = TieredCacheBackend(levels, close_levels=close_levels)
    await store.set(make_key(), make_utterance())
    await store.close()
    await store.close()
    calls = Counter(levels[0].calls)
    for call in (
        *(partial(method, make_key()) for method in (store.get, store.exists, store.peek)),
        *(partial(store.delete, make_key()), partial(store.delete_many, [make_key()])),
        *(partial(store.set, make_key(), make_utterance(1)), store.clear, store.sweep),
        partial(anext, store.entries()),
    ):
        with pytest.raises(BackendError, match="the tiered store is closed"):
            await call()
    assert calls == levels[0].calls
    assert 1 == (await store.get_stats())["entries"]
    assert {make_key()} == levels[0].held


async def test_all_levels_are_closed_even_if_one_fails() -> None:
    """A level that cannot be closed keeps none from it, and is told."""
    levels = [Obedient(), Obedient()]
    levels[0].fails = OSError("secret")
    store = TieredCacheBackend(levels)
    with pytest.raises(BackendError, match=r"not closed: level 1 \(Obedient\): OSError$"):
        await store.close()
    assert 1 == levels[1].closed


async def test_it_serves_one_event_loop_after_the_other() -> None:
    """What one event loop left undone does not bother the next."""
    levels = [Obedient(), Obedient()]
    store = TieredCacheBackend(levels, timeout=60)

    async def leave_a_copy_undone() -> None:
        await levels[1].set(make_key(), make_utterance())
        levels[0].before["set"] = asyncio.Event()
        levels[0].hangs = False
        assert await store.get(make_key())
        levels[1].tell("n")
        await idle()

    await asyncio.to_thread(asyncio.run, leave_a_copy_undone())
    levels[0].before.clear()
    assert await store.get(make_key())
    await idle()
    assert {make_key()} == levels[0].held
    assert await store.delete(make_key())
    levels[1].tell("n")
    await idle()
    assert 0 == (await store.get_stats())["levels"][0]["to_drop"]
    await store.close()


class Minimal(CacheBackend):
    """What a user wrote in an afternoon."""

    def __init__(self) -> None:
        self.utterances: dict[CacheKey, Utterance] = {}

    async def get(self, key: CacheKey) -> Utterance | None:
        return self.utterances.get(key)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        self.utterances[key] = utterance
        return True

    async def delete(self, key: CacheKey) -> bool:
        return self.utterances.pop(key, None) is not None

    async def exists(self, key: CacheKey) -> bool:
        return key in self.utterances

    async def clear(self, namespace: str | None = None) -> int:
        count = len(self.utterances)
        self.utterances.clear()
        return count

    async def get_stats(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        pass


async def test_a_store_with_the_least_methods_will_do() -> None:
    """Only a listing needs more than a store has to have, and says so."""
    levels = [Minimal(), Minimal()]
    async with TieredCacheBackend(levels, timeout=60) as store:
        assert not store.on_removal(lambda _namespace, _digest: None)
        assert await store.set(make_key(), make_utterance())
        levels[0].utterances.clear()
        assert make_utterance() == await store.peek(make_key())
        assert make_utterance() == await store.get(make_key())
        await idle()
        assert {make_key()} == set(levels[0].utterances)
        with pytest.raises(BackendError, match=r"level 2.*Minimal does not list"):
            _ = [entry async for entry in store.entries()]
        assert (await store.get_stats())["entries"] is None
        assert 1 == await store.delete_many([make_key(), make_key("other")])


@pytest.mark.parametrize("nonsense", [None, 7, {"entries": "many"}, {"entries": None}])
async def test_statistics_that_are_none_do_no_harm(nonsense: Any) -> None:
    """What a store of a user's own says of itself need make no sense."""
    levels: list[Any] = [Minimal(), MemoryCacheBackend()]

    async def get_stats() -> Any:
        return nonsense

    levels[0].get_stats = get_stats
    async with TieredCacheBackend(levels) as store:
        assert 0 == (await store.get_stats())["entries"]


async def test_what_a_lying_level_returns_is_not_copied() -> None:
    """Something that is no utterance is passed on for the cache to judge, and not kept."""
    levels: list[Any] = [Minimal(), Minimal()]
    levels[1].utterances[make_key()] = "nonsense"
    async with TieredCacheBackend(levels, timeout=60) as store:
        assert "nonsense" == await store.get(make_key())
        await idle()
    assert {} == levels[0].utterances
