#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What goes when a store is full: its order, what it does in traffic, and what it remembers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache.backends import MemoryCacheBackend
from pipecat_tts_cache.backends.eviction import (
    Eviction,
    EvictionQueue,
    UsesOfTheGone,
    priority,
)
from pipecat_tts_cache.checks import check_choice
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

SHORT, LONG = 3_200, 144_000
"""Bytes; one is 45 times the other."""
ROOM = 10


def worth(**values: Any) -> float:
    usual: dict[str, Any] = {"floor": 0.0, "uses": 1, "size": 100, "now": 5.0}
    return priority("gdsf", **usual | values)


def make_store(**options: Any) -> MemoryCacheBackend:
    """Make a store with room for ten short lines."""
    room = ROOM * make_utterance(num_bytes=SHORT).size
    options.setdefault("max_bytes", room)
    return MemoryCacheBackend(**options)


async def say(store: MemoryCacheBackend, name: str, *, num_bytes: int = SHORT) -> bool:
    """Say a sentence as the cache does: look it up, and store it if it is not there."""
    if await store.get(make_key(name)):
        return True
    await store.set(make_key(name), make_utterance(num_bytes=num_bytes))
    return False


async def kept(store: MemoryCacheBackend, *names: str) -> list[str]:
    return [name for name in names if await store.exists(make_key(name))]


def test_what_it_is_worth() -> None:
    """Short lines and those that repeat are worth more, up to eight uses, above the floor."""
    assert 0.01 == worth()
    assert 0.02 == worth(size=50)
    assert 0.09 == worth(uses=3)
    assert worth(uses=8) == worth(uses=9) == 0.64
    assert 2.01 == worth(floor=2.0)
    assert 5.0 == priority("lru", floor=2.0, uses=3, size=100, now=5.0)


def test_an_unknown_policy_is_refused() -> None:
    """The message says which there are."""
    for known in ("gdsf", "lru"):
        assert known == check_choice("eviction", known, Eviction)
    for nonsense in ("LFU", "", None, 1):
        with pytest.raises(ValueError, match="'gdsf' or 'lru'"):
            check_choice("eviction", nonsense, Eviction)
    with pytest.raises(ValueError, match="'gdsf' or 'lru'"):
        MemoryCacheBackend(eviction="fifo")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [10, 45])
async def test_long_one_off_answers_cannot_push_out_short_lines(seconds: int) -> None:
    """However many answers are given once, the lines that repeat stay; under LRU none does."""
    lines = [f"line {i}" for i in range(6)]
    for eviction, expected in (("gdsf", True), ("lru", False)):
        store = make_store(eviction=eviction, max_bytes=LONG + 5 * SHORT)
        for turn in range(100):
            for line in lines:
                assert (expected and turn > 0) == await say(store, line)
            for number in range(5):
                await say(store, f"answer {turn} {number}", num_bytes=seconds * SHORT)


async def test_lines_that_repeat_survive_short_ones_said_once() -> None:
    """What was said twice stays while ever other lines of the same length come by once."""
    store = make_store()
    for number in range(200):
        for line in ("hello", "goodbye"):
            assert (number > 1) == await say(store, line)
        for other in range(ROOM):
            await say(store, f"{number} {other}")


async def test_old_favourites_make_way() -> None:
    """After a change of script a full store comes to hold the new one, whole."""
    store = make_store()
    old = [f"old {i}" for i in range(ROOM)]
    new = [f"new {i}" for i in range(ROOM)]
    for line in old * 1000:
        await say(store, line)
    for _ in range(30):
        for line in new:
            await say(store, line)
    assert new == await kept(store, *old, *new)


async def test_each_refusal_ages_the_favourites() -> None:
    """Lines that are said once each would else be refused for ever."""
    store = make_store(max_size=1)
    for _ in range(3):
        await say(store, "favourite")
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"]:
        await say(store, name)
        assert (name <= "h") == (["favourite"] == await kept(store, "favourite", name))
    await say(store, "i")
    assert ["i"] == await kept(store, "favourite", "i")


async def test_a_refusal_leaves_all_in_place() -> None:
    """An answer for which what is worth more would have to go pushes out nothing at all."""
    store = make_store()
    for _ in range(2):
        await say(store, "favourite")
    for number in range(ROOM - 1):
        await say(store, f"line {number}")
    before = await store.get_stats()
    answer = make_utterance(num_bytes=before["max_bytes"] - 600)
    for _ in range(3):
        assert not await store.set(make_key("answer"), answer)
    after = await store.get_stats()
    assert {**before, "refused": 3} == after
    for name in ("favourite", *(f"line {number}" for number in range(ROOM - 1))):
        assert await store.get(make_key(name)) == make_utterance(num_bytes=SHORT)


async def test_a_refused_replacement_leaves_what_was_there() -> None:
    """So it is with a longer take of a line that is kept."""
    store = make_store()
    await say(store, "a")
    for number in range(ROOM - 1):
        for _ in range(3):
            await say(store, f"line {number}")
    assert not await store.set(make_key("a"), make_utterance(1, num_bytes=2 * SHORT))
    assert await store.get(make_key("a")) == make_utterance(num_bytes=SHORT)


async def test_a_replacement_does_not_evict_itself() -> None:
    """What is replaced is no eviction, and what was said for it counts on."""
    store = make_store(max_size=ROOM)
    for line in ("a", "b", *map(str, range(ROOM - 2))):
        await say(store, line)
    for line in ("b", "b", *map(str, range(ROOM - 2))):
        await say(store, line)
    assert await store.set(make_key("a"), make_utterance(1, num_bytes=SHORT // 2))
    assert 0 == (await store.get_stats())["evictions"]
    for _ in range(2):
        await say(store, "a")
    assert await store.set(make_key("a"), make_utterance(2, num_bytes=SHORT + 1000))
    stats = await store.get_stats()
    assert (ROOM - 1, 1) == (stats["entries"], stats["evictions"])
    assert ["a", "b"] == await kept(store, "a", "b", "0")
    assert 2 == {entry.key: entry.uses async for entry in store.entries()}[make_key("a")]


async def test_what_is_replaced_may_be_what_goes_first() -> None:
    """Then it is passed over: it is no eviction, and it is kept."""
    store = make_store(eviction="lru")
    names = [str(number) for number in range(ROOM)]
    for line in names:
        await say(store, line)
    longer = make_utterance(num_bytes=2 * SHORT)
    assert await store.set(make_key("0"), longer)
    assert ["0", *names[2:]] == await kept(store, *names)
    assert await store.get(make_key("0")) == longer
    assert 1 == (await store.get_stats())["evictions"]


async def test_what_was_refused_as_a_replacement_is_not_remembered_as_gone() -> None:
    """When what is kept expires, its line begins anew like any other."""
    now = 0.0
    store = make_store(max_bytes=2 * make_utterance(num_bytes=SHORT).size, clock=lambda: now)
    await store.set(make_key("a"), make_utterance(num_bytes=SHORT), ttl=1)
    for _ in range(3):
        await say(store, "favourite")
    assert not await store.set(make_key("a"), make_utterance(num_bytes=SHORT + 2))
    now = 1.0
    assert await store.set(make_key("a"), make_utterance(num_bytes=2))
    assert 0 == {entry.key: entry.uses async for entry in store.entries()}[make_key("a")]


@pytest.mark.parametrize("eviction", ["gdsf", "lru"])
async def test_of_equals_the_oldest_goes_and_the_newcomer_comes_in(eviction: str) -> None:
    """Lines of one length that were said once go in the order in which they came."""
    store = make_store(eviction=eviction)
    names = [str(number) for number in range(3 * ROOM)]
    for number, name in enumerate(names):
        await say(store, name)
        assert names[max(0, number - ROOM + 1) : number + 1] == await kept(store, *names)
    assert 0 == (await store.get_stats())["refused"]


@pytest.mark.parametrize("eviction", ["gdsf", "lru"])
async def test_a_store_of_one(eviction: str) -> None:
    """Room for one utterance is enough."""
    store = make_store(max_size=1, eviction=eviction)
    for name in "abc":
        await say(store, name)
        assert await say(store, name) or eviction == "gdsf"
    for _ in range(10):
        await say(store, "z")
    assert ["z"] == await kept(store, *"abcz")


async def test_what_comes_back_does_not_begin_anew() -> None:
    """A line that was refused, or given up, gets in when it has been asked for often enough."""
    store = make_store(max_size=1)
    for _ in range(8):
        await say(store, "favourite")
    asked = 0
    while not await say(store, "new"):
        asked += 1
    assert 6 == asked  # 1 + 4 + … + 36 is more than 64, and it takes 64 without the memory
    await say(store, "favourite")
    await say(store, "favourite")
    assert await say(store, "favourite")


@pytest.mark.parametrize("how", ["delete", "clear", "clear all", "clear another"])
async def test_what_was_erased_is_not_remembered(how: str) -> None:
    """Who deletes a line or clears a namespace wants nothing left, not even how often it was."""
    store, key = make_store(max_size=1), make_key("line", "n")
    await store.set(make_key("favourite"), make_utterance())
    for _ in range(8):
        await store.get(make_key("favourite"))
    for _ in range(2):
        assert not await store.set(key, make_utterance())
    if how == "delete":
        assert not await store.delete(key)
        await store.clear("")
    elif how == "clear another":
        assert 1 == await store.clear("")
    else:
        assert 0 == await store.clear("n")
        await store.clear("" if how == "clear" else None)
    assert await store.set(key, make_utterance())
    (entry,) = [entry async for entry in store.entries()]
    assert (2 if how == "clear another" else 0) == entry.uses


def test_only_so_many_are_remembered() -> None:
    """The first that went are the first to be forgotten, and nothing is remembered twice."""
    gone: UsesOfTheGone[str] = UsesOfTheGone(2)
    for uses, key in enumerate("abc", start=1):
        gone.add(key, uses)
    assert 2 == len(gone)
    assert [0, 2, 3] == [gone.take(key) for key in "abc"]
    assert 0 == gone.take("c")
    gone.add("a", 5)
    gone.add("b", 6)
    gone.forget(lambda key: key == "a")
    assert [0, 6] == [gone.take(key) for key in "ab"]


async def test_the_memory_of_a_store_is_bounded() -> None:
    """A store that turns over for ever remembers a thousand keys."""
    store = make_store(max_size=1)
    for number in range(1500):
        await store.set(make_key(str(number)), make_utterance(num_bytes=2))
    assert 1000 == len(store._gone)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["use", "drop", "again"]))))
def test_the_queue_is_in_order(steps: list[tuple[int, str]]) -> None:
    """Whatever rose, went or came back meanwhile, keys come out as if they were sorted."""
    there = {key: (float(key % 3), key) for key in range(10)}
    queue: EvictionQueue[int] = EvictionQueue(there.get)
    for key, (value, number) in there.items():
        queue.add(key, value, number)
    for turn, (key, what) in enumerate(steps, start=10):
        if what == "use" and key in there:
            there[key] = there[key][0] + turn % 4, there[key][1]
        elif what == "drop":
            there.pop(key, None)
        elif what == "again":
            there[key] = float(turn % 5), turn
            queue.add(key, *there[key])
        queue.compact(len(there))
    expected = [(value, key) for key, (value, _) in sorted(there.items(), key=lambda x: x[1])]
    assert expected == list(iter(queue.pop, None))


def test_a_spared_key_goes_first_again() -> None:
    """What was taken out and added again is where it was."""
    there = {"a": (1.0, 1), "b": (2.0, 2)}
    queue: EvictionQueue[str] = EvictionQueue(there.get)
    queue.add("b", 2.0, 2)
    queue.add("a", 1.0, 1)
    for _ in range(3):
        assert (1.0, "a") == queue.pop()
        queue.add("a", 1.0, 1)


def test_the_queue_forgets_what_is_gone() -> None:
    """It is never much longer than twice what there is."""
    there: dict[int, tuple[float, int]] = {}
    queue: EvictionQueue[int] = EvictionQueue(there.get)
    for number in range(10_000):
        there[number % 10] = 1.0, number
        queue.add(number % 10, 1.0, number)
        queue.compact(len(there))
        assert len(queue) <= 2 * 10 + 64
    assert list(range(10)) == [key for _, key in iter(queue.pop, None)]


def test_the_queue_stays_in_order_when_it_forgets() -> None:
    """What is left comes out as if nothing had been forgotten."""
    there = {key: (float(37 * key % 1000), key) for key in range(1000)}
    queue: EvictionQueue[int] = EvictionQueue(there.get)
    for key, (value, number) in there.items():
        queue.add(key, value, number)
    for key in range(0, 1000, 3):
        there[key] = there[key][0] + 500, key
    for key in range(700):
        del there[key]
    queue.compact(len(there))
    assert len(there) == len(queue)
    assert sorted(there.values()) == [(value, key) for value, key in iter(queue.pop, None)]


def test_nobody_waits_until_all_is_put_in_order() -> None:
    """When everything has been used since, one eviction looks at some hundreds, not at all."""
    there = {key: (float(key), key) for key in range(10_000)}
    asked = []

    def current(key: int) -> tuple[float, int]:
        asked.append(key)
        return there[key]

    queue = EvictionQueue(current)
    for key, (value, number) in there.items():
        queue.add(key, value, number)
        there[key] = 20_000.0 - key, number
    assert (19_745.0, 255) == queue.pop()
    assert 256 == len(asked)
    assert 9_999 == len(queue)
    assert sorted(there.keys() - {255}) == sorted(key for _, key in iter(queue.pop, None))
