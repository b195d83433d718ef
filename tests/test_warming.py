#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech can be prepared, under the very keys that it has in a call."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger
from pipecat.frames.frames import CancelWorkerFrame
from pipecat.processors.frame_processor import FrameDirection

from pipecat_tts_cache import BackendError, CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.preparation.warming import Line, Outcome, Warmed, is_warm, warm
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED, SCRIPTED_KINDS
from tests.company import Company, no_time
from tests.scripted import SCRIPTED
from tests.stored import check_store, entries

__all__ = ["no_time"]

LINES = ["One is here.", "Two is over there.", "Three is everywhere."]


async def say_live(tts: Any, *lines: str) -> Any:
    async with running(tts, sample_rate=24_000) as bot:
        for line in lines:
            await bot.speak(line)
            await bot.until_quiet()
        return bot.said()


# Under the same keys


@pytest.mark.parametrize("title", KINDS)
async def test_every_service_finds_its_speech_prepared(title: str) -> None:
    """What is prepared is replayed in the first call; a service that is left alone says why."""
    kind = KINDS[title]
    clock, rate = simulated_time if kind.simulate_time else real_time, kind.sample_rate
    async with clock(), kind.server(chunk_ms=100) as server:
        store = MemoryCacheBackend()

        def make() -> Any:
            return kind.with_cache(server, cache_backend=store)

        done = await warm(make, LINES[:2], concurrency=2, sample_rate=rate)
        asked = len(server.requests)
        if done.failed:
            assert set(done.failed.values()) <= {("end_unknown",), ("pipecat_changed",)}
            assert 0 == asked
            return
        assert LINES[:2] == done.stored
        tts = make()
        async with running(tts, sample_rate=rate, simulate_time=kind.simulate_time) as bot:
            for line in LINES[:2]:
                await bot.speak(line)
                said = await bot.until_quiet()
        assert asked == len(server.requests)
        assert " ".join(LINES[:2]).split() == said.heard.words
        assert 2 == (await tts.get_cache_stats())["hits"]


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_a_turn_is_prepared_sentence_by_sentence(kind: str) -> None:
    """What an LLM is to say is looked up as it is in a call, one sentence at a time."""
    make = Company(kind)
    done = await warm(make, ["One is here. Two is over there."], as_turns=True)
    assert {} == done.failed
    assert ["One is here.", "Two is over there."] == check_store(make.store)
    tts = make()
    async with running(tts, sample_rate=24_000) as bot:
        await bot.llm_turn(["Two is over there. ", "One is here."])
        await bot.until_quiet()
    assert 2 == (await tts.get_cache_stats())["hits"]
    assert 2 == len(make.provider.requests)


async def test_voices_are_prepared_in_one_call() -> None:
    """A line may say how its service is made, with another voice for instance."""
    make = Company()
    lines = ["Hello.", Line("Hello.", {"voice": "ben"}), Line("Good bye.", {"voice": "ben"})]
    assert 3 == len((await warm(make, lines)).stored)
    assert {("Hello.", "anna"), ("Hello.", "ben"), ("Good bye.", "ben")} == {
        (each.text, each.voice) for each in entries(make.store)
    }
    tts = make(voice="ben")
    await say_live(tts, "Hello.", "Good bye.")
    assert 2 == (await tts.get_cache_stats())["hits"]


class Voice:
    """A voice that looks like every other."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "Voice"


async def test_options_that_look_alike_are_not_the_same() -> None:
    """Each voice says its line, and each says it once."""
    make = Company()
    voices = [Voice("anna"), Voice("ben"), Voice("anna")]
    lines = [Line("Hello.", {"voice": voice}) for voice in [*voices, *voices]]
    done = await warm(lambda voice: make(voice=voice.name), lines, concurrency=1)
    assert lines[:3] == [each.line for each in done.outcomes]
    assert ["Hello.", "Hello."] == done.stored
    assert {"anna", "ben"} == {each.voice for each in entries(make.store)}


async def test_voices_are_shared_out() -> None:
    """Two workers and two voices take two services, not two for each voice."""
    make = Company("inline", first_audio=1.0)
    lines = [Line(text, {"voice": voice}) for voice in ("anna", "ben") for text in LINES]
    assert {} == (await warm(make, lines, concurrency=2)).failed
    assert 2 == len(make.made)


async def test_a_slow_store_is_waited_for() -> None:
    """What is told to be stored is."""

    class Slow(MemoryCacheBackend):
        async def set(self, *args: Any, **kwargs: Any) -> bool:
            await asyncio.sleep(3)
            return await super().set(*args, **kwargs)

    make = Company()
    make.store = Slow()
    assert LINES == (await warm(make, LINES, concurrency=1)).stored


async def test_the_sample_rate_is_part_of_the_key() -> None:
    """What is prepared for one rate is not taken for another."""
    make = Company()
    await warm(make, ["Hello."], sample_rate=8_000)
    assert not (await is_warm(make, ["Hello."], sample_rate=24_000)).already
    assert (await is_warm(make, ["Hello."], sample_rate=8_000)).already


# What is done, and what is left


async def test_what_is_there_is_left_alone() -> None:
    """It is not asked for again, does not count as used, and keeps its time."""
    now = 0.0
    make = Company()
    make.store = MemoryCacheBackend(clock=lambda: now)
    await warm(make, LINES[:2])
    before = [(each.key, each.uses, each.expires_at) async for each in make.store.entries()]
    done = await warm(make, LINES)
    assert (LINES[2:], LINES[:2], {}) == (done.stored, done.already, done.failed)
    after = [(each.key, each.uses, each.expires_at) async for each in make.store.entries()]
    assert before == after[:2]
    assert 3 == len(make.provider.requests)


async def test_a_refresh_says_everything_anew() -> None:
    """All takes are replaced."""
    make = Company()
    await warm(make, LINES)
    before = [each.audio for each in entries(make.store)]
    assert LINES == (await warm(make, LINES, refresh=True)).stored
    after = [each.audio for each in entries(make.store)]
    assert [] == [audio for audio in after if audio in before]


async def test_is_warm_asks_nobody() -> None:
    """It finds out what is there, and neither speaks nor uses."""
    make = Company()
    await warm(make, LINES[:1])
    found = await is_warm(make, LINES)
    assert (LINES[:1], [], LINES[1:]) == (found.already, found.stored, list(found.failed))
    assert {("not there",)} == set(found.failed.values())
    assert 1 == len(make.provider.requests)
    assert [0] == [each.uses async for each in make.store.entries()]
    assert {} == (await is_warm(make, LINES[:1])).failed


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What anybody logs as a warning, or as worse."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_many_lines_that_are_there_are_no_fault(kind: str, complaints: list[str]) -> None:
    """A service that says nothing, as all is there, is neither given up nor complained about."""
    make = Company(kind)
    lines = [f"This is line {number}." for number in range(6)]
    await warm(make, lines, concurrency=1)
    done = await warm(make, [*lines, *LINES[:2]], concurrency=1)
    assert (lines, LINES[:2], {}) == (done.already, done.stored, done.failed)
    missing = [f"That is line {number}." for number in range(6)]
    found = await is_warm(make, [*missing, *lines])
    assert (dict.fromkeys(missing, ("not there",)), lines) == (found.failed, found.already)
    assert [] == complaints


async def test_what_comes_of_it_is_true_if_all_is_warm() -> None:
    """`if await is_warm(...)` says what it seems to say."""
    make = Company()
    assert not await is_warm(make, LINES)
    assert await warm(make, LINES[:1])
    assert not await is_warm(make, LINES)
    assert await is_warm(make, LINES[:1])
    assert await is_warm(make, [])


async def test_five_at_a_time_take_a_fifth() -> None:
    """Twenty lines of a provider that takes a second each take four."""
    make = Company("inline", first_audio=1.0)
    lines = [f"Line number {i} is here." for i in range(20)]
    loop = asyncio.get_running_loop()
    took = []
    for concurrency in (1, 5):
        make.store = MemoryCacheBackend()
        began = loop.time()
        assert lines == (await warm(make, lines, concurrency=concurrency)).stored
        took.append(loop.time() - began)
    assert 20 <= took[0] <= 25
    assert took[0] / 5.5 <= took[1] <= took[0] / 4
    assert 6 == len(make.made)


async def test_progress_is_told() -> None:
    """After each line, with how many there are."""
    told: list[tuple[int, int, str]] = []

    def progress(done: int, of: int, outcome: Outcome) -> None:
        told.append((done, of, outcome.line.text))

    done = await warm(Company(), [*LINES, LINES[0]], concurrency=1, progress=progress)
    assert [(i, 3, line) for i, line in enumerate(LINES, 1)] == told
    assert LINES == [each.line.text for each in done.outcomes]


async def test_nothing_to_prepare() -> None:
    """No lines are no work, and an empty line has nothing to say."""
    make = Company()
    assert Warmed(outcomes=()) == await warm(make, [])
    assert [] == make.made
    assert {" ": ("nothing to say",)} == (await warm(make, [" "])).failed


# What goes wrong


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.EMPTY, Fault.BROKEN, Fault.STALLED])
async def test_a_line_that_fails_is_told_and_the_rest_is_prepared(kind: str, fault: Fault) -> None:
    """Another call makes up for it."""
    make = Company(kind)
    make.provider.fail(fault, text=LINES[1])
    done = await warm(make, LINES, concurrency=1, line_timeout=20)
    assert LINES[1] in done.failed
    assert LINES[0] in done.stored
    if kind == "in order" and LINES[2] in done.failed:
        assert ("uncertain",) == done.failed[LINES[2]]  # it could hold what came late
    else:
        assert LINES[2] in done.stored
    await asyncio.sleep(10)
    assert {} == (await warm(make, LINES, concurrency=1)).failed
    assert {} == (await is_warm(make, LINES)).failed
    assert sorted(LINES) == sorted(check_store(make.store))


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault.ERROR, "error"), (Fault.EMPTY, "empty"), (Fault.UNENDED, "no_end")]
)
async def test_the_reason_is_told(fault: Fault, reason: str) -> None:
    """It is that of `NotStored`."""
    make = Company()
    make.provider.fail(fault)
    assert {"Hello.": (reason,)} == (await warm(make, ["Hello."])).failed


async def test_a_line_that_hangs_is_given_up() -> None:
    """What takes too long is a time-out, and the next line gets a service of its own."""
    make = Company("inline")
    make.provider.fail(Fault.SILENT, text=LINES[0], seconds=1000)
    done = await warm(make, LINES, concurrency=1, line_timeout=20)
    assert {LINES[0]} == set(done.failed)
    assert LINES[1:] == done.stored


async def test_a_voice_that_hangs_is_given_up() -> None:
    """After three time-outs in a row the rest of its lines cost no more time; others go on."""
    make = Company("inline")
    loop = asyncio.get_running_loop()
    texts = [f"Line number {i} is here." for i in range(8)]
    for text in (*texts[:2], *texts[3:]):
        make.provider.fail(Fault.SILENT, text=text, seconds=1000)
    lines = [*texts, *(Line(text, {"voice": "ben"}) for text in LINES)]
    began = loop.time()
    done = await warm(make, lines, concurrency=1, line_timeout=60)
    assert 300 <= loop.time() - began < 400
    assert [texts[2], *LINES] == done.stored
    assert 5 * [("timeout",)] + 2 * [("given up",)] == list(done.failed.values())


async def test_two_voices_of_a_text_fail_on_their_own() -> None:
    """Each is told, and the text with the reasons of both."""
    make = Company()
    refused = {"should_cache": lambda _: False}
    lines = [Line("Hello.", {"voice": "ben", **refused}), Line("Hello.", {"cache_enabled": False})]
    done = await warm(make, [*lines, "Hello."])
    assert [(lines[0], ("should_cache",)), (lines[1], ("disabled",))] == [
        (each.line, each.reasons) for each in done.failures
    ]
    assert {"Hello.": ("should_cache", "disabled")} == done.failed
    assert ["Hello."] == done.stored


async def test_a_pipeline_that_ends_is_given_up_at_once() -> None:
    """The line is told, and the next one gets a service of its own."""
    make = Company()
    loop = asyncio.get_running_loop()

    def make_one_that_ends() -> Any:
        tts = make()

        @tts.event_handler("on_tts_request")
        async def on_request(service: Any, *_: Any) -> None:
            await service.push_frame(CancelWorkerFrame(), FrameDirection.UPSTREAM)

        return tts if len(make.made) == 1 else make()

    make.provider.fail(Fault.SILENT, text=LINES[0], seconds=1000)
    began = loop.time()
    done = await warm(make_one_that_ends, LINES, concurrency=1, line_timeout=60)
    assert {LINES[0]: ("pipeline ended",)} == done.failed
    assert LINES[1:] == done.stored
    assert loop.time() - began < 10


@pytest.mark.parametrize("lines", [1, 3])
async def test_a_service_that_has_failed_for_good_is_told(lines: int) -> None:
    """It is no fault of the line that it is given no work; the next one gets another service."""
    make = Company()

    def make_one_that_has_failed() -> Any:
        tts = make()
        tts._is_usable = len(make.made) > 1
        return tts

    done = await warm(make_one_that_has_failed, LINES[:lines], concurrency=1)
    assert {LINES[0]: ("error",)} == done.failed
    assert LINES[1:lines] == done.stored


# Pipecat 1.10 forgets a coroutine of a processor that was not set up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_service_that_cannot_be_started_is_told() -> None:
    """It is no fault of a line."""
    make = Company()

    def make_one_that_breaks() -> Any:
        tts = make()

        async def setup(_: Any) -> None:
            raise OSError("no route")

        tts.setup = setup
        return tts

    with pytest.raises(RuntimeError, match="log has why"):
        await warm(make_one_that_breaks, LINES)


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("fails", ["factory", "progress"])
async def test_what_the_caller_raises_reaches_the_caller(fails: str, concurrency: int) -> None:
    """And no task goes on."""
    make = Company()

    def fail(*_: Any) -> Any:
        raise LookupError("mistake")

    options = {"factory": {"service_factory": fail}, "progress": {"progress": fail}}[fails]
    before = asyncio.all_tasks()
    with pytest.raises(LookupError, match="mistake"):
        await warm(**{"service_factory": make, "lines": LINES, **options}, concurrency=concurrency)
    assert before == asyncio.all_tasks()


class Down(MemoryCacheBackend):
    """Fails at everything that it is told to."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    async def exists(self, key: CacheKey) -> bool:
        if "exists" in self.names:
            raise BackendError("down")
        return await super().exists(key)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        if "set" in self.names:
            raise BackendError("down")
        return "refuse" not in self.names and await super().set(key, utterance, ttl=ttl)


@pytest.mark.parametrize(
    ("fails", "reason", "asked"),
    [("exists", "store_failed", 0), ("set", "store_failed", 1), ("refuse", "refused", 1)],
)
async def test_a_store_that_fails_is_told(fails: str, reason: str, asked: int) -> None:
    """Nothing is paid for where it is known beforehand that it could not be kept."""
    make = Company()
    make.store = Down(fails)
    done = await warm(make, ["Hello."])
    assert {"Hello.": (reason,)} == done.failed
    assert asked == len(make.provider.requests)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cache_enabled": False}, "disabled"),
        ({"should_cache": lambda _: False}, "should_cache"),
        ({"cache_scope": "speak"}, "scope"),
    ],
)
async def test_what_would_not_be_cached_is_not_spoken(options: dict[str, Any], reason: str) -> None:
    """Nor paid for: the reason is that of `Bypass`."""
    make = Company()
    done = await warm(lambda: make(**options), ["Hello."], as_turns=True)
    assert {"Hello.": (reason,)} == done.failed
    assert [] == make.provider.requests


async def test_a_service_that_steps_aside_is_not_spoken_with() -> None:
    """It would speak as without a cache, and be paid for nothing."""
    make = Company()

    def make_one_that_changed() -> Any:
        tts = make()
        tts._tts_cache_book.step_aside(["something"])
        tts._tts_cache_works = False
        return tts

    for prepare in (warm, is_warm):
        done = await prepare(make_one_that_changed, LINES[:2])
        assert dict.fromkeys(LINES[:2], ("pipecat_changed",)) == done.failed
    assert [] == make.provider.requests


async def test_a_warm_up_that_is_cancelled_leaves_nothing_behind() -> None:
    """No task goes on, and what was prepared so far is there."""
    before = asyncio.all_tasks()
    make = Company("inline", first_audio=1.0)
    task = asyncio.create_task(warm(make, LINES, concurrency=1))
    await make.provider.asked(2)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert before == asyncio.all_tasks()
    assert LINES[:1] == check_store(make.store)


async def test_a_warm_up_that_is_cancelled_twice_leaves_nothing_behind() -> None:
    """As by a time-out around what is being stopped."""
    before = asyncio.all_tasks()
    make = Company("inline", first_audio=1.0)
    task = asyncio.create_task(warm(make, LINES, concurrency=2))
    await make.provider.asked(2)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert task.cancelled()
    assert before == asyncio.all_tasks()


# Nonsense


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"lines": "Hello."}, "one by one"),
        ({"lines": [1]}, "a string or a Line, not int"),
        ({"concurrency": 0}, "concurrency"),
        ({"line_timeout": 0}, "line_timeout"),
        ({"sample_rate": "8k"}, "sample_rate"),
        ({"lines": None}, "in a list for instance, not NoneType"),
        ({"lines": b"Hello."}, "in a list for instance, not bytes"),
        ({"lines": {"Hello.": 1}}, "in a list for instance, not dict"),
        ({"lines": Line("Hello.")}, "in a list for instance, not Line"),
        ({"as_turns": "no"}, "as_turns must be a bool, not str"),
        ({"refresh": 1}, "refresh must be a bool, not int"),
        ({"progress": True}, "progress must be callable, not bool"),
    ],
)
async def test_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once, and before any service is made."""
    make = Company()
    with pytest.raises((TypeError, ValueError), match=error):
        await warm(make, **{"lines": LINES, **arguments})
    assert [] == make.made


@pytest.mark.parametrize("lines", [[], LINES])
@pytest.mark.parametrize("ask", [warm, is_warm])
async def test_a_service_in_place_of_a_function_is_refused(ask: Any, lines: list[str]) -> None:
    """Also where there is nothing to say."""
    with pytest.raises(TypeError, match="service_factory must be callable, not CachedOverlapping"):
        await ask(Company()(), lines)


async def test_the_factory_makes_what_can_be_prepared() -> None:
    """A service without the mixin, or without a store, is refused in words; so is a coroutine."""

    async def make() -> Any:
        return Company()()

    with pytest.raises(TypeError, match="plain function: it is async"):
        await warm(make, LINES)
    with pytest.raises(TypeError, match="behind TTSCacheMixin, not Inline"):
        await warm(lambda: SCRIPTED["inline"](Provider()), LINES)
    with pytest.raises(ValueError, match="cache_backend"):
        await warm(lambda: CACHED_SCRIPTED["inline"](Provider()), LINES)


async def test_the_factory_makes_a_new_service_each_time() -> None:
    """The service of a bot that runs is refused, and goes on as it was."""
    make = Company()
    tts = make()
    async with running(tts, sample_rate=24_000) as bot:
        for _ in range(2):
            await bot.speak("Hello.")
            await bot.until_quiet()
            with pytest.raises(ValueError, match="a new service each time"):
                await warm(lambda: tts, LINES)
        assert ["Hello.", "Hello."] == [each.heard.text for each in bot.said().contexts]


async def test_a_service_that_has_prepared_speech_is_not_mute() -> None:
    """What it said to nobody, it says to who listens after."""
    make = Company()
    tts = make()
    assert ["Hello."] == (await warm(lambda: tts, ["Hello."])).stored
    assert None is tts._tts_cache_book.rehearsal
