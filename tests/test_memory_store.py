#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The memory store: bounds, order of eviction, expiry, accounts."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipecat_tts_cache.backends import CacheKey, Entry, MemoryCacheBackend
from pipecat_tts_cache.backends.eviction import Eviction
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance

MAX_SIZE = 5
MAX_BYTES = 20_000

keys = st.builds(make_key, st.sampled_from("abcd"), st.sampled_from(["", "n", "n:"]))
utterances = st.builds(
    lambda seed, size: make_utterance(seed, num_bytes=size),
    st.integers(0, 3),
    st.sampled_from([2, 3000, 8000, 19_000, 30_000]),
)
ttls = st.one_of(st.none(), st.sampled_from([1.0, 2.0, 5.0]))


@dataclass
class Line:
    utterance: Utterance
    deadline: float
    number: int
    uses: int
    priority: float


class Model(RuleBasedStateMachine):
    """The store beside the plainest code that does the same: it sorts."""

    eviction: Eviction = "gdsf"

    def __init__(self) -> None:
        super().__init__()
        self.now = self.floor = 0.0
        self.turn = 0
        self.store = MemoryCacheBackend(
            MAX_SIZE, max_bytes=MAX_BYTES, eviction=self.eviction, clock=lambda: self.now
        )
        self.model: dict[CacheKey, Line] = {}
        self.gone: dict[CacheKey, int] = {}
        self.evictions = self.refused = 0

    def alive(self) -> dict[CacheKey, Line]:
        self.model = {key: line for key, line in self.model.items() if line.deadline > self.now}
        return self.model

    def priority(self, uses: int, utterance: Utterance) -> float:
        if self.eviction == "lru":
            return self.turn
        return self.floor + min(uses, 8) ** 2 / utterance.size

    def make_room(self, key: CacheKey, size: int, worth: float) -> bool:
        others = {other: line for other, line in self.alive().items() if other != key}
        going = []
        for other, line in sorted(others.items(), key=lambda x: (x[1].priority, x[1].number)):
            left = [line for other, line in others.items() if other not in going]
            if len(left) < MAX_SIZE and sum(x.utterance.size for x in left) + size <= MAX_BYTES:
                break
            if line.priority > worth:
                self.floor = worth
                return False
            going.append(other)
        for other in going:
            line = self.model.pop(other)
            self.floor = max(self.floor, line.priority)
            self.gone[other] = line.uses
            self.evictions += 1
        return True

    @rule(key=keys, utterance=utterances, ttl=ttls)
    def set(self, key: CacheKey, utterance: Utterance, ttl: float | None) -> None:
        kept = run(self.store.set(key, utterance, ttl=ttl))
        self.refused += not kept
        if utterance.size > MAX_BYTES:
            assert not kept
            return
        before = self.alive().get(key)
        self.turn += 1
        uses = before.uses if before else self.gone.pop(key, 0) + 1
        assert kept == self.make_room(key, utterance.size, self.priority(uses, utterance))
        if kept:
            deadline = float("inf") if ttl is None else self.now + ttl
            worth = self.priority(uses, utterance)
            self.model[key] = Line(utterance, deadline, self.turn, uses, worth)
        elif before is None:
            self.gone[key] = uses

    @rule(key=keys)
    def get(self, key: CacheKey) -> None:
        line = self.alive().get(key)
        if line is not None:
            self.turn += 1
            line.uses += 1
            line.priority = self.priority(line.uses, line.utterance)
        assert run(self.store.get(key)) is (line and line.utterance)

    @rule(key=keys)
    def exists(self, key: CacheKey) -> None:
        assert (key in self.alive()) == run(self.store.exists(key))

    @rule(key=keys)
    def peek(self, key: CacheKey) -> None:
        line = self.alive().get(key)
        assert run(self.store.peek(key)) is (line and line.utterance)

    @rule(key=keys)
    def delete(self, key: CacheKey) -> None:
        self.gone.pop(key, None)
        assert (self.alive().pop(key, None) is not None) == run(self.store.delete(key))

    @rule(namespace=st.sampled_from([None, "", "n", "n:", "nobody"]))
    def clear(self, namespace: str | None) -> None:
        mine = [key for key in self.alive() if namespace in (None, key.namespace)]
        assert len(mine) == run(self.store.clear(namespace))
        for key in mine:
            del self.model[key]
        for key in [key for key in self.gone if namespace in (None, key.namespace)]:
            del self.gone[key]

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def all_is_there(self) -> None:
        found = {entry.key: entry.uses for entry in run(listed(self.store))}
        assert {key: line.uses - 1 for key, line in self.alive().items()} == found

    @rule()
    def accounts_are_right(self) -> None:
        stats = run(self.store.get_stats())
        assert len(self.alive()) == stats["entries"]
        assert sum(line.utterance.size for line in self.model.values()) == stats["bytes"]
        assert len({key.namespace for key in self.model}) == stats["namespaces"]
        assert (self.evictions, self.refused) == (stats["evictions"], stats["refused"])


class LruModel(Model):
    eviction = "lru"


TestModel = Model.TestCase
TestLruModel = LruModel.TestCase


async def listed(store: MemoryCacheBackend) -> list[Entry]:
    return [entry async for entry in store.entries()]


def run(call: Any) -> Any:
    """Run a call of the memory store, which never waits."""
    with pytest.raises(StopIteration) as end:
        call.send(None)
    return end.value.value


def make_store(**options: Any) -> MemoryCacheBackend:
    return MemoryCacheBackend(**options)


async def test_a_look_up_returns_the_same_object() -> None:
    """Nothing is copied."""
    store, utterance = make_store(), make_utterance()
    await store.set(make_key(), utterance)
    assert await store.get(make_key()) is utterance


async def test_the_least_recently_used_goes_first() -> None:
    """A look-up keeps an utterance, asking whether it exists does not."""
    store = make_store(max_size=2, eviction="lru")
    await store.set(make_key("a"), make_utterance())
    await store.set(make_key("b"), make_utterance())
    await store.get(make_key("a"))
    await store.exists(make_key("b"))
    await store.set(make_key("c"), make_utterance())
    assert [True, False, True] == [await store.exists(make_key(name)) for name in "abc"]
    assert 1 == (await store.get_stats())["evictions"]


async def test_what_has_expired_goes_before_what_is_used() -> None:
    """Room is made of expired utterances first, however recently they were used."""
    now = 0.0
    store = make_store(max_size=2, clock=lambda: now)
    await store.set(make_key("old"), make_utterance())
    await store.set(make_key("expired"), make_utterance(), ttl=1)
    await store.get(make_key("expired"))
    now = 1.0
    await store.set(make_key("new"), make_utterance())
    assert await store.exists(make_key("old"))
    stats = await store.get_stats()
    assert (0, 1) == (stats["evictions"], stats["expirations"])


async def test_a_refusal_changes_nothing() -> None:
    """An utterance larger than the bound leaves even the one in its own place."""
    store = make_store(max_bytes=10_000)
    await store.set(make_key("a"), make_utterance(1))
    await store.set(make_key("b"), make_utterance(2, num_bytes=2))
    assert not await store.set(make_key("a"), make_utterance(num_bytes=10_000))
    assert await store.get(make_key("a")) == make_utterance(1)
    stats = await store.get_stats()
    assert (2, 1, 0) == (stats["entries"], stats["refused"], stats["evictions"])


async def test_an_utterance_as_large_as_the_bound_is_kept() -> None:
    """The bound is the most that fits."""
    utterance = make_utterance()
    store = make_store(max_bytes=utterance.size)
    assert await store.set(make_key("a"), utterance)
    assert await store.set(make_key("b"), utterance)
    assert 1 == (await store.get_stats())["entries"]


async def test_statistics() -> None:
    """Every field says what it is documented to."""
    store = make_store(max_size=3, max_bytes=100_000)
    utterance = make_utterance()
    await store.set(make_key("a", "x"), utterance)
    await store.set(make_key("b", "y"), utterance)
    await store.get(make_key("a", "x"))
    await store.get(make_key("a", "x"))
    await store.get(make_key("a", "y"))
    expected = {
        "entries": 2,
        "bytes": 2 * utterance.size,
        "namespaces": 2,
        "max_size": 3,
        "pinned": 0,
        "max_bytes": 100_000,
        "hits": 2,
        "misses": 1,
        "evictions": 0,
        "expirations": 0,
        "refused": 0,
    }
    assert expected == await store.get_stats()


@given(st.lists(st.tuples(keys, ttls), min_size=1, max_size=300))
def test_what_is_gone_leaves_no_trail(writes: list[tuple[CacheKey, Any]]) -> None:
    """Overwriting and deleting for ever takes no more memory than what is kept."""
    store = MemoryCacheBackend(clock=lambda: 0.0)
    for key, ttl in writes * 3:
        run(store.set(key, make_utterance(num_bytes=2), ttl=ttl))
    assert len(store._deadlines) <= 2 * len(store._kept) + 65
    assert len(store._queue) <= 2 * len(store._kept) + 65
    assert len(store._kept) == run(store.clear())
    assert {} == store._namespaces


async def test_expiry_is_to_the_moment() -> None:
    """Just before its time is over an utterance is there, at that very time it is not."""
    now = 0.0
    store = make_store(clock=lambda: now)
    await store.set(make_key(), make_utterance(), ttl=1)
    now = 0.999
    assert await store.get(make_key()) == make_utterance()
    now = 1.0
    assert not await store.exists(make_key())
    assert await store.get(make_key()) is None
    stats = await store.get_stats()
    assert (1, 1, 1) == (stats["hits"], stats["misses"], stats["expirations"])


async def test_overwriting_for_ever_takes_no_memory() -> None:
    """A line that is stored over and over leaves no trail of deadlines, nor in the queue."""
    store = make_store(clock=lambda: 0.0)
    for _ in range(1000):
        await store.set(make_key("x"), make_utterance(num_bytes=2), ttl=60)
        await store.set(make_key("y"), make_utterance(num_bytes=2))
    assert 100 > len(store._deadlines)
    assert 100 > len(store._queue)
    assert 2 == await store.clear()


async def test_it_takes_note_of_uses() -> None:
    """An entry tells how often it was looked up, and when last; a peek is no use."""
    now = 5.0
    store = make_store(wall_clock=lambda: now)
    await store.set(make_key(), make_utterance())
    now = 6.0
    await store.get(make_key())
    now = 7.0
    await store.get(make_key())
    now = 8.0
    await store.peek(make_key())
    (entry,) = await listed(store)
    assert (2, 7.0) == (entry.uses, entry.last_used_at)


async def test_a_deadline_is_that_of_the_last_one_stored() -> None:
    """What was stored again without a time to live does not go with what it replaced."""
    now = 0.0
    store = make_store(clock=lambda: now)
    await store.set(make_key(), make_utterance(1), ttl=1)
    await store.set(make_key(), make_utterance(2))
    now = 1.0
    assert 1 == (await store.get_stats())["entries"]


async def test_others_have_their_turn_while_it_is_listed() -> None:
    """A long listing lets go of the event loop now and then."""
    store = make_store()
    for name in map(str, range(1000)):
        await store.set(make_key(name), make_utterance(num_bytes=2))
    listing = asyncio.ensure_future(listed(store))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not listing.done()
    assert 1000 == len(await listing)


async def test_it_serves_one_event_loop_after_the_other() -> None:
    """Nothing in it belongs to a loop."""
    store = make_store()

    def in_a_loop_of_its_own(name: str) -> bool:
        return asyncio.run(store.set(make_key(name), make_utterance()))

    assert await asyncio.to_thread(in_a_loop_of_its_own, "a")
    assert await asyncio.to_thread(in_a_loop_of_its_own, "b")
    assert await store.get(make_key("a")) == make_utterance()


async def test_closing_keeps_what_others_may_share() -> None:
    """One of several services that closes it takes nothing from the rest."""
    store = make_store()
    await store.set(make_key(), make_utterance())
    await store.close()
    assert await store.get(make_key()) == make_utterance()


def test_the_bound_may_be_given_by_place_or_name() -> None:
    """Both ways of writing it mean the same, and its repr tells the bounds."""
    assert "MemoryCacheBackend(7, max_bytes=9)" == repr(MemoryCacheBackend(7, max_bytes=9))
    assert repr(MemoryCacheBackend(7)) == repr(MemoryCacheBackend(max_size=7))


@pytest.mark.parametrize("name", ["max_size", "max_bytes"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (True, TypeError),
        (1.0, TypeError),
        ("5", TypeError),
        (None, TypeError),
    ],
)
def test_nonsense_bounds_are_refused(name: str, value: Any, error: type[Exception]) -> None:
    """A bound that makes no sense is refused, and the message names it."""
    with pytest.raises(error, match=name):
        MemoryCacheBackend(**{name: value})


@pytest.mark.parametrize(
    ("ttl", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (1e300, ValueError),
        (True, TypeError),
        ("5", TypeError),
    ],
)
async def test_nonsense_time_to_live_is_refused(ttl: Any, error: type[Exception]) -> None:
    """A time to live that makes no sense is refused, and nothing is stored."""
    store = make_store()
    with pytest.raises(error, match="ttl"):
        await store.set(make_key(), make_utterance(), ttl=ttl)
    assert not await store.exists(make_key())


async def test_a_key_that_is_none_leaves_no_trace() -> None:
    """A pair in place of a key fails, and what the store holds and counts stays as it was."""
    store = make_store()
    before = await store.get_stats()
    with pytest.raises(AttributeError):
        await store.set(tuple(make_key()), make_utterance())  # type: ignore[arg-type]
    assert before == await store.get_stats()
    assert 0 == await store.clear()
    assert before == await store.get_stats()
