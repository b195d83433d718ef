#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store when levels fail, hang and come back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipecat_tts_cache.backends import CacheKey, CacheLevel, MemoryCacheBackend, TieredCacheBackend
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.statistics.stats import CacheStats
from pipecat_tts_cache.store import Store
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.levels import Obedient, idle

SHORT = 0.1
"""A time limit for what hangs, in seconds."""

PATIENT = 60.0
"""One that nothing comes near which does not hang."""


@pytest.fixture
def levels() -> list[Obedient]:
    return [Obedient() for _ in range(3)]


def make_store(levels: list[Obedient], **options: Any) -> TieredCacheBackend:
    return TieredCacheBackend(levels, **({"timeout": PATIENT, "write_timeout": PATIENT} | options))


@pytest.mark.parametrize("dead", [{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}])
async def test_as_long_as_one_level_lives_all_is_well(
    levels: list[Obedient], dead: set[int]
) -> None:
    """Dead levels are passed over, in look-ups and writes."""
    async with make_store(levels) as store:
        for number in dead:
            levels[number].fails = OSError("gone")
        assert await store.set(make_key(), make_utterance())
        for _ in range(5):
            assert make_utterance() == await store.get(make_key())
            assert make_utterance() == await store.peek(make_key())
            assert await store.exists(make_key())
            assert await store.get(make_key("other")) is None
            assert not await store.exists(make_key("other"))
        stats = await store.get_stats()
        assert 1 == stats["entries"]
        assert dead == {i for i, level in enumerate(stats["levels"]) if level["errors"]}
        for level in levels:
            level.fails = None


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get(make_key()),
        lambda store: store.peek(make_key()),
        lambda store: store.exists(make_key()),
        lambda store: store.set(make_key(), make_utterance()),
        lambda store: store.delete(make_key()),
        lambda store: store.delete_many([make_key()]),
        lambda store: store.clear(),
    ],
)
async def test_if_all_are_dead_that_is_an_error(
    levels: list[Obedient], call: Callable[[TieredCacheBackend], Awaitable[Any]]
) -> None:
    """When no level answers it is said why, for each, without what is nobody's business."""
    store = make_store(levels)
    for level in levels:
        level.fails = OSError("user:password@host")
    levels[1].fails = BackendError("host: connection refused")
    with pytest.raises(BackendError) as raised:
        await call(store)
    message = str(raised.value)
    for reason in ("level 1 (Obedient): OSError", "level 2 (Obedient): host: connection refused"):
        assert reason in message
    assert "password" not in message


async def test_a_dead_level_is_left_alone(levels: list[Obedient]) -> None:
    """After three failed look-ups in a row a level is not asked any more; removals try still."""
    async with make_store(levels) as store:
        levels[1].fails = OSError("gone")
        for _ in range(5):
            await store.get(make_key())
        assert 3 == levels[1].calls["get"]
        assert await store.set(make_key(), make_utterance())
        assert 0 == levels[1].calls["set"]
        stats = (await store.get_stats())["levels"][1]
        assert (3, 3, "open") == (stats["errors"], stats["skipped"], stats["breaker"])
        with pytest.raises(BackendError, match="level 2"):
            await store.delete(make_key())
        levels[1].fails = None
        assert not await store.delete(make_key())
        assert "closed" == (await store.get_stats())["levels"][1]["breaker"]


async def test_a_level_that_goes_and_comes_back_is_told_once(
    levels: list[Obedient], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says when a level is left alone, why, and when it answers again."""
    async with make_store(levels) as store:
        levels[1].fails = OSError("user:password@host")
        for _ in range(9):
            await store.get(make_key())
        levels[1].fails = None
        for _ in range(3):
            await store.delete(make_key())
    told = [record.getMessage() for record in caplog.records if "level 2" in record.getMessage()]
    assert 2 == len(told)
    assert told[0].startswith("TTS cache: level 2 (Obedient): OSError. The other levels go on")
    assert told[1].startswith("TTS cache: level 2 (Obedient) answers again")


async def test_a_full_level_is_still_read(levels: list[Obedient]) -> None:
    """A level that takes nothing more, however often, goes on answering look-ups."""
    async with make_store(levels[:2]) as store:
        await levels[1].set(make_key("old"), make_utterance())
        levels[1].set = fail  # type: ignore[method-assign]
        for i in range(5):
            assert await store.set(make_key(f"{i}"), make_utterance())
        assert make_utterance() == await store.get(make_key("old"))
        assert 5 == (await store.get_stats())["levels"][1]["errors"]


async def fail(*_: Any, **__: Any) -> Any:
    raise BackendError("out of memory")


async def test_when_all_are_left_alone_that_is_told(levels: list[Obedient]) -> None:
    """Whoever asks a store that asks nobody is told that it was not tried."""
    store = make_store(levels)
    for level in levels:
        level.fails = OSError("gone")
    for _ in range(3):
        with pytest.raises(BackendError) as raised:
            await store.get(make_key())
        assert BackendError is type(raised.value)
    for call in (store.get(make_key()), store.set(make_key(), make_utterance())):
        with pytest.raises(BackendUnavailableError, match=r"left alone for \d"):
            await call


async def test_a_level_that_leaves_its_server_alone_is_no_failure(levels: list[Obedient]) -> None:
    """A store with a breaker of its own is asked each time, and costs nothing."""
    async with make_store(levels) as store:
        levels[1].fails = BackendUnavailableError("left alone")
        for _ in range(5):
            assert await store.get(make_key()) is None
        stats = (await store.get_stats())["levels"][1]
        assert (0, 5, "closed") == (stats["errors"], stats["skipped"], stats["breaker"])
        assert 5 == levels[1].calls["get"]
        levels[1].fails = None


# Time


class Slow(Obedient):
    """Takes its time for a look-up."""

    async def get(self, key: CacheKey) -> Any:
        await asyncio.sleep(SHORT)
        return await super().get(key)


async def test_the_first_that_hangs_leaves_time_for_the_next(levels: list[Obedient]) -> None:
    """Of the time of a look-up each level gets its share, so that what is behind still answers."""
    levels[2] = Slow()
    async with make_store(levels, timeout=20 * SHORT) as store:
        await levels[2].set(make_key(), make_utterance())
        levels[0].hangs = True
        assert make_utterance() == await store.get(make_key())
        levels[0].hangs = False
        stats = await store.get_stats()
        assert [1, 0, 0] == [level["timeouts"] for level in stats["levels"]]


async def test_who_is_left_no_time_has_not_failed(levels: list[Obedient]) -> None:
    """A level that takes all the time there is takes it from the others, and only it has failed."""
    first = CacheLevel(levels[0], timeout=PATIENT)
    async with TieredCacheBackend([first, *levels[1:]], timeout=SHORT) as store:
        levels[0].hangs = True
        with pytest.raises(BackendError, match="no time is left for level 2; no time"):
            await store.get(make_key())
        levels[0].hangs = False
        stats = await store.get_stats()
        assert [1, 0, 0] == [level["errors"] for level in stats["levels"]]


async def test_a_level_may_have_a_limit_of_its_own(levels: list[Obedient]) -> None:
    """A short limit of a level cuts it off, however much time there would be."""
    async with TieredCacheBackend(
        [CacheLevel(levels[0], timeout=SHORT), levels[1]], timeout=PATIENT
    ) as store:
        await levels[1].set(make_key(), make_utterance())
        levels[0].hangs = True
        assert make_utterance() == await store.get(make_key())
        levels[0].hangs = False


async def test_a_level_that_hangs_is_left_alone(levels: list[Obedient]) -> None:
    """After three calls in a row that took too long nobody waits for it any more."""
    async with make_store(levels, timeout=3 * SHORT, write_timeout=SHORT) as store:
        levels[0].hangs = True
        for i in range(3):
            assert await store.set(make_key(f"{i}"), make_utterance())
        assert await store.set(make_key(), make_utterance())
        assert make_utterance() == await store.get(make_key())
        assert (3, 0) == (levels[0].calls["set"], levels[0].calls["get"])
        levels[0].hangs = False


async def test_a_removal_from_a_level_that_hangs_fails(levels: list[Obedient]) -> None:
    """Whoever removes something is told that it may still be there, and the rest is done."""
    async with make_store(levels, write_timeout=SHORT) as store:
        await store.set(make_key(), make_utterance())
        levels[1].hangs = True
        with pytest.raises(BackendError, match=r"level 2 \(Obedient\) takes too long"):
            await store.delete(make_key())
        levels[1].hangs = False
        assert [False, True, False] == [make_key() in level.held for level in levels]


@pytest.mark.parametrize("removal", ["delete", "delete_many", "clear"])
async def test_a_removal_that_fails_somewhere_says_so(levels: list[Obedient], removal: str) -> None:
    """Every level is tried, and whoever asked learns that one was not reached."""
    arguments = {"delete": [make_key()], "delete_many": [[make_key()]], "clear": [""]}[removal]
    async with make_store(levels) as store:
        await store.set(make_key(), make_utterance())
        levels[0].fails = OSError("gone")
        with pytest.raises(BackendError, match="not removed from every level: level 1"):
            await getattr(store, removal)(*arguments)
        levels[0].fails = None
        assert [True, False, False] == [make_key() in level.held for level in levels]
        assert await getattr(store, removal)(*arguments)
        assert await store.get(make_key()) is None


class Deaf(Obedient):
    """Does not let itself be cancelled in a look-up."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def get(self, key: CacheKey) -> Any:
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                continue
        raise OSError("too late")


async def test_a_level_that_is_deaf_holds_nobody_up() -> None:
    """A level that ignores that it is cancelled is turned away from, and leaves nothing behind."""
    levels = [Deaf(), Obedient()]
    await levels[1].set(make_key(), make_utterance())
    before = asyncio.all_tasks()
    store = make_store(levels, timeout=2 * SHORT)
    assert make_utterance() == await store.get(make_key())
    levels[0].gate.set()
    await store.close()
    assert before == asyncio.all_tasks()


class CancelsItself(Obedient):
    async def get(self, key: CacheKey) -> Any:
        raise asyncio.CancelledError


class CancelsItselfInPlace(CancelsItself):
    heeds_cancellation = True


@pytest.mark.parametrize("kind", [CancelsItself, CancelsItselfInPlace])
async def test_a_level_that_cancels_itself_has_failed(kind: type[Obedient]) -> None:
    """A level cannot cancel whoever asks it."""
    levels = [kind(), Obedient()]
    await levels[1].set(make_key(), make_utterance())
    async with make_store(levels) as store:
        assert make_utterance() == await store.get(make_key())
        assert 1 == (await store.get_stats())["levels"][0]["errors"]


class Tired(Obedient):
    """Hangs in a look-up, and ends at once when it is cancelled."""

    heeds_cancellation = True


async def test_a_level_that_heeds_cancellation_gets_no_task(levels: list[Obedient]) -> None:
    """Such a level is asked in place, within the same limits."""
    levels[0] = Tired()
    async with make_store(levels[:2], timeout=2 * SHORT) as store:
        await levels[1].set(make_key(), make_utterance())
        levels[0].hangs = True
        assert make_utterance() == await store.get(make_key())
        levels[0].hangs = False
        assert 1 == (await store.get_stats())["levels"][0]["timeouts"]


async def test_a_cancelled_look_up_ends_at_once(levels: list[Obedient]) -> None:
    """Whoever does not wait any longer is let go, and what was begun ends, too."""
    before = asyncio.all_tasks()
    store = make_store(levels)
    levels[1].hangs = True
    for _ in range(3):
        call = asyncio.create_task(store.get(make_key()))
        await idle()
        call.cancel()
        await asyncio.wait({call}, timeout=PATIENT)
        assert call.cancelled()
    await idle()
    assert before == asyncio.all_tasks()
    levels[1].hangs = False
    assert "closed" == (await store.get_stats())["levels"][1]["breaker"]
    await store.close()


async def test_in_a_call_it_stays_within_the_budget(levels: list[Obedient]) -> None:
    """When time for a look-up is up in the same moment for service and store, that is a miss."""
    store = make_store(levels, timeout=SHORT)
    levels[0].hangs = True
    levels[1].hangs = True
    levels[2].hangs = True
    guarded = Store(store, stats=CacheStats(), lookup_timeout=SHORT)
    for _ in range(4):
        assert await guarded.look_up(make_key()) is None
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()
    for level in levels:
        level.hangs = False
    await store.close()


async def test_statistics_come_without_a_dead_level(levels: list[Obedient]) -> None:
    """A level that does not tell is described by what is known of it here."""
    async with TieredCacheBackend([MemoryCacheBackend(), levels[0]]) as store:
        await store.set(make_key(), make_utterance())
        levels[0].fails = OSError("gone")
        stats = await store.get_stats()
        assert 1 == stats["entries"]
        assert (None, None) == (stats["levels"][1]["entries"], stats["levels"][1]["stats"])
        levels[0].fails = None


async def test_a_listing_needs_every_level(levels: list[Obedient]) -> None:
    """What would not be complete is an error, so that nobody takes it for all there is."""
    async with make_store(levels) as store:
        await store.set(make_key(), make_utterance())
        for level in levels:
            level.fails = OSError("gone")
            with pytest.raises(BackendError, match="OSError"):
                _ = [entry async for entry in store.entries()]
            level.fails = None
