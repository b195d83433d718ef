#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whatever a store does, look-ups keep to their budget and nobody waits for writes."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from pipecat_tts_cache import (
    BackendError,
    BackendUnavailableError,
    CacheKey,
    MemoryCacheBackend,
    NotStored,
    Utterance,
    Word,
)
from pipecat_tts_cache import store as guard
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.statistics.stats import CacheStats
from pipecat_tts_cache.store import Store
from pipecat_tts_cache.testing.simulation import simulated_time

KEY = CacheKey("tenant", "ab" * 32)
OTHER = CacheKey("tenant", "cd" * 32)
UTTERANCE = Utterance(
    audio=bytes(480), sample_rate=24000, seal=KEY.seal, text="My name is Ada.", created_at=1.0
)
PRIVATE = ("tenant", KEY.digest, "Ada", "hunter2")


class Moody(MemoryCacheBackend):
    """A store that does something else `instead`, by the name of the method."""

    def __init__(self, **instead: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.instead = instead
        self.asked: Counter[str] = Counter()

    async def _answer(self, name: str, normally: Any) -> Any:
        self.asked[name] += 1
        if name not in self.instead:
            return await normally
        normally.close()
        return await self.instead[name]()

    async def get(self, key: CacheKey) -> Utterance | None:
        return await self._answer("get", super().get(key))

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        return await self._answer("set", super().set(key, utterance, ttl=ttl))

    async def delete(self, key: CacheKey) -> bool:
        return await self._answer("delete", super().delete(key))

    async def get_stats(self) -> dict[str, Any]:
        return await self._answer("get_stats", super().get_stats())


def takes(seconds: float) -> Callable[[], Awaitable[bool]]:
    async def wait() -> bool:
        await asyncio.sleep(seconds)
        return True

    return wait


def stubborn(seconds: float) -> Callable[[], Awaitable[bool]]:
    async def wait() -> bool:
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(seconds)  # as one that closes its connection properly
        return True

    return wait


def raises(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def fail() -> Any:
        raise error

    return fail


def gives(answer: object) -> Callable[[], Awaitable[Any]]:
    async def give() -> Any:
        return answer

    return give


def guarded(backend: MemoryCacheBackend, stats: CacheStats | None = None) -> Store:
    return Store(backend, stats=stats or CacheStats(), lookup_timeout=0.25)


def write(store: Store, utterance: Utterance | None = UTTERANCE, *, of: str = "turn") -> None:
    store.write(KEY, lambda: utterance, ttl=None, of=of)


async def let_go() -> None:
    """Let everything run that can run now."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def stats() -> CacheStats:
    """Statistics of one service."""
    return CacheStats()


@pytest.fixture(autouse=True)
async def loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """The event loop; waiting takes no time on it, and nothing goes wrong unnoticed."""
    complaints: list[Any] = []
    async with simulated_time() as running:
        running.set_exception_handler(lambda _, context: complaints.append(context))
        yield running
        gc.collect(1)  # tasks complain when they are collected
    assert [] == complaints


# Look-ups


async def test_what_is_kept_is_found(stats: CacheStats) -> None:
    """What was written comes back, and nothing is counted but the time."""
    store = guarded(MemoryCacheBackend(), stats)
    assert await store.look_up(KEY) is None
    write(store)
    await store.drain()
    assert UTTERANCE == await store.look_up(KEY)
    assert 1 == stats.stores
    assert 2 == len(stats.lookup_seconds)
    assert (0, 0, 0) == (stats.store_errors, stats.store_timeouts, stats.lookups_skipped)


@pytest.mark.parametrize("slow", [takes, stubborn])
async def test_a_look_up_keeps_to_its_budget(
    loop: asyncio.AbstractEventLoop, stats: CacheStats, slow: Callable[..., Any]
) -> None:
    """A store that takes 5 s delays speech by the look-up timeout, willing to stop or not."""
    store = guarded(Moody(get=slow(5)), stats)
    began = loop.time()
    assert await store.look_up(KEY) is None
    assert 0.25 == pytest.approx(loop.time() - began, abs=1e-3)
    assert (0, 1) == (stats.store_errors, stats.store_timeouts)
    await asyncio.sleep(20)


class Heeding(Moody):
    heeds_cancellation = True


class Deriving(Heeding):
    """Does not say so itself."""


@pytest.mark.parametrize(("kind", "alone"), [(Moody, True), (Heeding, False), (Deriving, True)])
async def test_who_heeds_cancellation_is_asked_without_a_task(
    loop: asyncio.AbstractEventLoop, stats: CacheStats, kind: type[Moody], alone: bool
) -> None:
    """A store that says it can be cancelled is asked at once; one derived from it may not be."""
    tasks: list[asyncio.Task[Any] | None] = []

    async def take_long() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(5)

    store = guarded(kind(get=take_long), stats)
    began = loop.time()
    assert await store.look_up(KEY) is None
    assert 0.25 == pytest.approx(loop.time() - began, abs=1e-3)
    assert 1 == stats.store_timeouts
    assert alone is (tasks != [asyncio.current_task()])


async def test_a_store_may_fail_after_it_was_given_up(stats: CacheStats) -> None:
    """What a store raises when nobody waits any more does not come up anywhere."""

    async def fail_late() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            raise OSError("hunter2")

    assert await guarded(Moody(get=fail_late), stats).look_up(KEY) is None
    await asyncio.sleep(10)


@pytest.mark.parametrize(
    "error",
    [
        OSError("hunter2"),
        BackendError("hunter2"),
        KeyError("hunter2"),
        RecursionError(),
        MemoryError(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_is_a_miss(stats: CacheStats, error: BaseException) -> None:
    """Whatever a store raises is a miss that is counted."""
    assert await guarded(Moody(get=raises(error)), stats).look_up(KEY) is None
    assert (1, 0) == (stats.store_errors, stats.store_timeouts)


async def test_a_timeout_of_the_store_itself_is_counted_as_one(stats: CacheStats) -> None:
    """A store that gives up by itself took too long."""
    assert await guarded(Moody(get=raises(TimeoutError())), stats).look_up(KEY) is None
    assert (0, 1) == (stats.store_errors, stats.store_timeouts)


async def test_a_store_that_forgot_to_be_async_is_a_miss(stats: CacheStats) -> None:
    """A method that is no coroutine is a failure of the store, not of the call."""

    class Hasty(MemoryCacheBackend):
        def get(self, key: CacheKey) -> Any:
            return UTTERANCE

    assert await guarded(Hasty(), stats).look_up(KEY) is None
    assert 1 == stats.store_errors


LIES: dict[str, object] = {
    "another key's": replace(UTTERANCE, seal=OTHER.seal),
    "another namespace's": replace(UTTERANCE, seal=CacheKey("other", KEY.digest).seal),
    "no key's": replace(UTTERANCE, seal=""),
    "bytes": b"PTTS",
    "text": "utterance",
    "number": 1,
    "no audio": replace(UTTERANCE, audio=b""),
    "half a sample": replace(UTTERANCE, audio=b"\x00" * 3),
    "mutable audio": replace(UTTERANCE, audio=bytearray(480)),  # type: ignore[arg-type]
    "no rate": replace(UTTERANCE, sample_rate=0),
    "rate as text": replace(UTTERANCE, sample_rate="24000"),  # type: ignore[arg-type]
    "no channels": replace(UTTERANCE, num_channels=0),
    "words as lists": replace(UTTERANCE, words=(["Hello", 0.0, False],)),  # type: ignore[arg-type]
    "no words": replace(UTTERANCE, words=None),  # type: ignore[arg-type]
    "absurd word": replace(UTTERANCE, words=(Word("Hello", float("nan")),)),
    "word beyond numbers": replace(UTTERANCE, words=(Word("Hello", 10**400),)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_a_miss_that_heals(stats: CacheStats, lie: str) -> None:
    """What is not what was asked for is not replayed, but counted and removed."""
    backend = Moody(get=gives(LIES[lie]))
    await backend.set(KEY, UTTERANCE)
    store = guarded(backend, stats)
    assert await store.look_up(KEY) is None
    assert 1 == stats.store_errors
    await store.drain()
    assert not await backend.exists(KEY)


@pytest.mark.parametrize("deletion", [raises(OSError("hunter2")), takes(60)])
async def test_a_lie_that_cannot_be_removed_is_still_a_miss(
    stats: CacheStats, deletion: Callable[[], Awaitable[Any]]
) -> None:
    """A removal that fails, or hangs, changes nothing for speech."""
    store = guarded(Moody(get=gives("lie"), delete=deletion), stats)
    assert await store.look_up(KEY) is None
    await asyncio.sleep(20)
    assert 2 == stats.store_errors + stats.store_timeouts
    assert {} == stats.not_stored


async def test_an_interrupted_look_up_leaves_the_store_alone() -> None:
    """A look-up that is cancelled cancels what the store does for it."""
    over = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            over.set()

    looking = asyncio.create_task(guarded(Moody(get=wait)).look_up(KEY))
    await let_go()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    await let_go()
    assert over.is_set()


# The breaker


@pytest.fixture
def clock() -> list[float]:
    """The breakers' clock, as a list of the time in seconds."""
    return [0.0]


def with_clock(backend: MemoryCacheBackend, clock: list[float]) -> None:
    guard._breakers[backend] = CircuitBreaker(clock=lambda: clock[0])


async def test_a_dead_store_is_left_alone(stats: CacheStats, clock: list[float]) -> None:
    """After some failures in a row the store is not asked, until it may be back."""
    backend = Moody(get=raises(OSError()))
    with_clock(backend, clock)
    store = guarded(backend, stats)
    for _ in range(10):
        assert await store.look_up(KEY) is None
    assert (3, 7) == (backend.asked["get"], stats.lookups_skipped)
    assert 3 == len(stats.lookup_seconds)
    del backend.instead["get"]
    assert await store.look_up(KEY) is None
    assert 3 == backend.asked["get"]
    clock[0] += 1.0
    await backend.set(KEY, UTTERANCE)
    assert UTTERANCE == await store.look_up(KEY)
    assert UTTERANCE == await store.look_up(KEY)
    assert 8 == stats.lookups_skipped


async def test_a_slow_store_is_left_alone(
    loop: asyncio.AbstractEventLoop, stats: CacheStats, clock: list[float]
) -> None:
    """A store that hangs costs the budget a few times, then nothing."""
    backend = Moody(get=takes(5))
    with_clock(backend, clock)
    store = guarded(backend, stats)
    began = loop.time()
    for _ in range(10):
        await store.look_up(KEY)
    assert 0.75 == pytest.approx(loop.time() - began, abs=1e-3)
    assert (3, 7) == (stats.store_timeouts, stats.lookups_skipped)


async def test_services_on_one_store_share_what_they_know(clock: list[float]) -> None:
    """What one service finds out about a store, the others need not."""
    backend, healthy = Moody(get=raises(OSError())), Moody()
    with_clock(backend, clock)
    one, other, elsewhere = CacheStats(), CacheStats(), CacheStats()
    first, second = guarded(backend, one), guarded(backend, other)
    for _ in range(3):
        await first.look_up(KEY)
    await second.look_up(KEY)
    await guarded(healthy, elsewhere).look_up(KEY)
    assert (0, 1) == (one.lookups_skipped, other.lookups_skipped)
    assert 1 == healthy.asked["get"]


async def test_nothing_is_written_to_a_store_that_is_left_alone(
    stats: CacheStats, clock: list[float]
) -> None:
    """A dead store is not asked to write either; look-ups find out when it is back."""
    backend = Moody(get=raises(OSError()))
    with_clock(backend, clock)
    store = guarded(backend, stats)
    for _ in range(3):
        await store.look_up(KEY)
    write(store)
    await store.drain()
    assert 0 == backend.asked["set"]
    assert {NotStored.STORE_FAILED: 1} == stats.not_stored


async def test_a_full_store_is_read(stats: CacheStats, clock: list[float]) -> None:
    """Writes that fail at once, however many, say nothing about look-ups."""
    backend = Moody(set=raises(OSError("no room")))
    with_clock(backend, clock)
    await MemoryCacheBackend.set(backend, KEY, UTTERANCE)
    store = guarded(backend, stats)
    for _ in range(10):
        write(store)
    await store.drain()
    assert UTTERANCE == await store.look_up(KEY)
    assert (10, 0) == (stats.store_errors, stats.lookups_skipped)
    assert {NotStored.STORE_FAILED: 10} == stats.not_stored


async def test_a_store_with_a_breaker_of_its_own_is_asked(stats: CacheStats) -> None:
    """A store that says by itself that it is not asked is counted so, and goes on being asked."""
    backend = Moody(get=raises(BackendUnavailableError("left alone")))
    store = guarded(backend, stats)
    for _ in range(10):
        assert await store.look_up(KEY) is None
    assert 10 == backend.asked["get"]
    assert (0, 10) == (stats.store_errors, stats.lookups_skipped)
    backend.instead = {"set": backend.instead["get"]}
    for _ in range(5):
        write(store)
    await store.drain()
    await store.look_up(KEY)
    assert {NotStored.STORE_FAILED: 5} == stats.not_stored
    assert 11 == backend.asked["get"]


async def test_any_object_can_be_a_store(stats: CacheStats) -> None:
    """A store that cannot be hashed gets a breaker all the same."""

    class Unhashable(Moody):
        __hash__ = None  # type: ignore[assignment]

    backend = Unhashable(get=raises(OSError()))
    store = guarded(backend, stats)
    for _ in range(10):
        await store.look_up(KEY)
    assert 3 == backend.asked["get"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_failure_that_nobody_waits_for_is_not_complained_of(
    stats: CacheStats, turns: int
) -> None:
    """A look-up that is cancelled as the store fails leaves no error behind that nobody fetched."""
    store = guarded(Moody(get=raises(OSError())), stats)
    look_up = asyncio.create_task(store.look_up(KEY))
    for _ in range(turns):
        await asyncio.sleep(0)
    look_up.cancel()
    await asyncio.gather(look_up, return_exceptions=True)
    await asyncio.sleep(0)


# Writes


async def test_nobody_waits_for_a_write(loop: asyncio.AbstractEventLoop, stats: CacheStats) -> None:
    """A store that takes 5 s to write delays neither speech nor look-ups."""
    store = guarded(Moody(set=takes(5)), stats)
    began = loop.time()
    write(store)
    assert await store.look_up(KEY) is None
    assert 0 == pytest.approx(loop.time() - began, abs=1e-3)
    await asyncio.sleep(6)
    assert 1 == stats.stores


async def test_the_time_to_live_reaches_the_store(stats: CacheStats) -> None:
    """What is written is forgotten after its time to live."""
    now = [0.0]
    backend = MemoryCacheBackend(clock=lambda: now[0])
    store = guarded(backend, stats)
    store.write(KEY, lambda: UTTERANCE, ttl=60, of="turn")
    await store.drain()
    now[0] = 59
    assert UTTERANCE == await store.look_up(KEY)
    now[0] = 61
    assert await store.look_up(KEY) is None


@pytest.mark.parametrize("slow", [takes, stubborn])
async def test_a_write_is_given_up_in_the_end(
    loop: asyncio.AbstractEventLoop, stats: CacheStats, slow: Callable[..., Any]
) -> None:
    """A write that hangs is given up after 10 s and counted."""
    write(guarded(Moody(set=slow(60)), stats))
    await asyncio.sleep(9)
    assert {} == stats.not_stored
    await asyncio.sleep(2)
    assert {NotStored.STORE_FAILED: 1} == stats.not_stored
    assert 1 == stats.store_timeouts
    await asyncio.sleep(200)


@pytest.mark.parametrize(
    ("instead", "reason", "errors"),
    [
        (raises(OSError("hunter2")), NotStored.STORE_FAILED, 1),
        (raises(asyncio.CancelledError()), NotStored.STORE_FAILED, 1),
        (gives(False), NotStored.REFUSED, 0),
    ],
)
async def test_what_is_not_written_is_counted(
    stats: CacheStats,
    instead: Callable[[], Awaitable[Any]],
    reason: NotStored,
    errors: int,
) -> None:
    """A write that fails, or is refused, is counted by its reason."""
    store = guarded(Moody(set=instead), stats)
    write(store)
    await store.drain()
    assert {reason: 1} == stats.not_stored
    assert (0, errors) == (stats.stores, stats.store_errors)


async def test_what_is_decided_against_is_not_written(stats: CacheStats) -> None:
    """Whoever makes the utterance can decide against it, and counts that."""
    backend = Moody()
    store = guarded(backend, stats)
    write(store, None)
    await store.drain()
    assert 0 == backend.asked["set"]
    assert (0, {}) == (stats.stores, stats.not_stored)


async def test_writes_do_not_pile_up(stats: CacheStats) -> None:
    """With too many writes waiting, the next one is not begun, but counted."""
    backend = Moody(set=takes(5))
    store = guarded(backend, stats)
    for _ in range(70):
        write(store)
    await let_go()
    assert 64 == backend.asked["set"]
    assert {NotStored.PENDING_WRITES: 6} == stats.not_stored
    await asyncio.sleep(6)
    write(store)
    await asyncio.sleep(6)
    assert 65 == stats.stores


@pytest.mark.parametrize("begun", [False, True])
async def test_an_interruption_cancels_the_writes_of_its_turn(
    stats: CacheStats, begun: bool
) -> None:
    """Pending writes of one turn are cancelled and counted, begun or not; others are kept."""
    backend = Moody(set=takes(1))
    store = guarded(backend, stats)
    write(store, of="interrupted")
    write(store, of="other")
    if begun:
        await let_go()
    store.cancel("interrupted")
    await asyncio.sleep(2)
    assert {NotStored.INTERRUPTED: 1} == stats.not_stored
    assert 1 == stats.stores


async def test_pending_writes_end_before_the_pipeline_does(stats: CacheStats) -> None:
    """At the end, writes that take a while are waited for."""
    store = guarded(Moody(set=takes(1)), stats)
    write(store)
    await store.drain()
    assert 1 == stats.stores


@pytest.mark.parametrize("slow", [takes, stubborn])
async def test_late_writes_are_cancelled_at_the_end(
    loop: asyncio.AbstractEventLoop, stats: CacheStats, slow: Callable[..., Any]
) -> None:
    """At the end, nobody waits for a store for more than two seconds, whatever it does."""
    store = guarded(Moody(set=slow(8)), stats)
    write(store)
    began = loop.time()
    await store.drain()
    assert 2.0 == pytest.approx(loop.time() - began, abs=1e-3)
    assert {NotStored.INTERRUPTED: 1} == stats.not_stored
    await asyncio.sleep(20)


# The rest


async def test_clearing_includes_what_is_being_written() -> None:
    """What was about to be written when the store is cleared is gone, too."""
    store = guarded(MemoryCacheBackend())
    write(store)
    assert 1 == await store.clear("tenant")
    assert 0 == await store.clear(None)


async def test_clearing_says_what_went_wrong() -> None:
    """Clearing is not speech: whoever asks for it is told when it fails."""

    class Broken(MemoryCacheBackend):
        async def clear(self, namespace: str | None = None) -> int:
            raise BackendError("down")

    with pytest.raises(BackendError, match="down"):
        await guarded(Broken()).clear(None)


@pytest.mark.parametrize(
    "instead", [raises(OSError("hunter2")), takes(60), stubborn(60), gives("entries"), gives(None)]
)
async def test_a_store_need_not_tell_its_statistics(
    loop: asyncio.AbstractEventLoop, instead: Callable[[], Awaitable[Any]]
) -> None:
    """A store that fails at its statistics, hangs, or talks nonsense has none."""
    began = loop.time()
    assert await guarded(Moody(get_stats=instead)).describe() is None
    assert 2.001 >= loop.time() - began
    await asyncio.sleep(200)


async def test_statistics_are_a_copy() -> None:
    """What a store tells cannot be changed through what is handed on."""
    told = {"entries": 1}
    described = await guarded(Moody(get_stats=gives(told))).describe()
    assert told == described
    assert told is not described


async def test_a_store_that_fails_is_complained_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each kind of trouble is logged once, without anything that is nobody's business."""
    error = BackendError("hunter2")
    error.__cause__ = ConnectionRefusedError("hunter2")
    backend = Moody(get=raises(error), set=raises(error), get_stats=raises(error))
    store = guarded(backend)
    for _ in range(5):
        await store.look_up(KEY)
        write(store)
        await store.drain()
        await store.describe()
    lies = guarded(Moody(get=gives("Ada hunter2")))
    for _ in range(5):
        await lies.look_up(KEY)
    await lies.drain()
    messages = [record.getMessage() for record in caplog.records if "TTS cache" in record.message]
    assert 4 == len(messages)
    assert "BackendError from ConnectionRefusedError" in messages[0]
    assert "Check that the store is up" in messages[0]
    assert not [word for word in PRIVATE if word in "".join(messages)]


@pytest.mark.parametrize("fails", ["", "set", "peek"])
async def test_what_is_regretted_is_removed_but_no_pin(fails: str) -> None:
    """What should not have been written goes again, unless a pin kept it from being written."""

    async def fail() -> Any:
        raise ConnectionError

    class Peeking(Moody):
        async def peek(self, key: CacheKey) -> Utterance | None:
            return await self._answer("peek", super().peek(key))

    for pinned in (False, True):
        backend, stats = Peeking(), CacheStats()
        await backend.set(KEY, replace(UTTERANCE, pinned=pinned))
        backend.instead = {fails: fail} if fails else {}
        store = guarded(backend, stats)
        store.write(KEY, lambda: UTTERANCE, ttl=None, of=1, regret=lambda: NotStored.ERROR)
        await store.drain()
        assert 1 == stats.not_stored[NotStored.ERROR]
        backend.instead = {}
        assert pinned is await backend.exists(KEY)
