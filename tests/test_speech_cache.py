#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech can be had outside of a pipeline, and costs what it costs once."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import CancelWorkerFrame, TTSSpeakFrame
from pipecat.processors.frame_processor import FrameDirection

from pipecat_tts_cache import (
    CacheError,
    CacheKey,
    Line,
    MemoryCacheBackend,
    SpeechCache,
    SpeechError,
    Utterance,
)
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.testing.voice import listen
from tests.cached import KINDS
from tests.cached_scripted import SCRIPTED_KINDS
from tests.company import Company, no_time
from tests.scripted import SCRIPTED
from tests.stored import check_store, entries

__all__ = ["no_time"]

LINES = ["One is here.", "Two is over there.", "Three is everywhere."]


def speech_of(make: Company, **options: Any) -> SpeechCache:
    """Give a company's speech for the asking; its services have no store of their own."""
    return SpeechCache(lambda **of_line: make(cache_backend=None, **of_line), make.store, **options)


def heard(utterance: Utterance) -> str:
    """Listen to an utterance, which must be whole."""
    heard = listen(utterance.audio, sample_rate=utterance.sample_rate)
    assert [] == heard.flaws
    return heard.text


# Under the same keys


@pytest.mark.parametrize("title", KINDS)
async def test_every_service_finds_what_was_fetched(title: str) -> None:
    """What a script has fetched is replayed in a call, to the sample."""
    kind = KINDS[title]
    clock, rate = simulated_time if kind.simulate_time else real_time, kind.sample_rate
    async with clock(), kind.server(chunk_ms=100) as server:
        store = MemoryCacheBackend()
        async with SpeechCache(
            lambda: kind.with_cache(server), store, sample_rate=rate, concurrency=2
        ) as speech:
            lines = (speech.fetch(line) for line in LINES[:2])
            fetched = await asyncio.gather(*lines, return_exceptions=True)
        reasons = {each.reasons for each in fetched if isinstance(each, SpeechError)}
        if reasons:
            assert reasons <= {("end_unknown",), ("pipecat_changed",)}
            assert [] == server.requests
            return
        asked = len(server.requests)
        tts = kind.with_cache(server, cache_backend=store)
        async with running(tts, sample_rate=rate, simulate_time=kind.simulate_time) as bot:
            for line in LINES[:2]:
                await bot.speak(line)
                said = await bot.until_quiet()
        assert asked == len(server.requests)
        assert " ".join(LINES[:2]).split() == said.heard.words
        audio = b"".join(context.audio for context in said.contexts)
        assert audio == b"".join(each.audio for each in fetched if isinstance(each, Utterance))


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_a_line_of_several_sentences_is_one_utterance(kind: str) -> None:
    """As it is in a call, where it is a `TTSSpeakFrame`."""
    make = Company(kind)
    text = "One is here. Two is over there! Three?"
    async with speech_of(make) as speech:
        utterance = await speech.fetch(text)
    assert text == heard(utterance)
    assert [text] == check_store(make.store)


async def test_a_service_that_splits_lines_is_told() -> None:
    """What it says in parts is no utterance."""
    make = Company()

    def make_one_that_splits() -> Any:
        tts = make(cache_backend=None)
        process = tts.process_frame

        async def process_frame(frame: Any, direction: FrameDirection) -> None:
            if isinstance(frame, TTSSpeakFrame):
                for part in frame.text.split("."):
                    await process(TTSSpeakFrame(part), direction)
            else:
                await process(frame, direction)

        tts.process_frame = process_frame
        return tts

    async with SpeechCache(make_one_that_splits, make.store) as speech:
        with pytest.raises(SpeechError, match="several sentences"):
            await speech.fetch("One is here. Two is there")
        assert 0 == len(speech)


async def test_what_a_bot_has_said_is_fetched() -> None:
    """It is not asked for again."""
    make = Company()
    async with running(make(), sample_rate=24_000) as bot:
        await bot.speak("Hello.")
        await bot.until_quiet()
    async with speech_of(make) as speech:
        assert [await speech.fetch("Hello.")] == entries(make.store)
    assert 1 == len(make.provider.requests)


async def test_voices_are_fetched_from_one_cache() -> None:
    """A line may say how its service is made."""
    make = Company()
    async with speech_of(make) as speech:
        lines = [Line("Hello.", {"voice": voice}) for voice in ("anna", "ben", "anna")]
        fetched = [await speech.fetch(line) for line in lines]
    assert ["anna", "ben", "anna"] == [utterance.voice for utterance in fetched]
    assert fetched[0] == fetched[2] != fetched[1]
    assert 2 == len(make.provider.requests)


async def test_the_sample_rate_is_that_of_the_pipeline() -> None:
    """A telephone line's for instance."""
    async with speech_of(Company(), sample_rate=8_000) as speech:
        assert 8_000 == (await speech.fetch("Hello.")).sample_rate


# Once


async def test_twenty_who_want_a_line_at_once_cost_one_request() -> None:
    """All of them get it."""
    make = Company(first_audio=1.0)
    async with speech_of(make) as speech:
        fetched = await asyncio.gather(*(speech.fetch("Hello.") for _ in range(20)))
    assert 20 * entries(make.store) == fetched
    assert ["Hello."] == make.provider.texts


async def test_who_came_first_may_leave() -> None:
    """The others get what was begun for them."""
    make = Company(first_audio=1.0)
    async with speech_of(make) as speech:
        callers = [asyncio.create_task(speech.fetch("Hello.")) for _ in range(3)]
        await make.provider.asked(1)
        callers[0].cancel()
        fetched = await asyncio.gather(*callers[1:])
        assert 2 * entries(make.store) == fetched
        assert callers[0].cancelled()
    assert ["Hello."] == make.provider.texts


async def test_what_nobody_waits_for_is_broken_off() -> None:
    """Who comes after gets a line of his own."""
    make = Company("inline", first_audio=5.0)
    async with speech_of(make, concurrency=1) as speech:
        callers = [asyncio.create_task(speech.fetch(line)) for line in (*LINES, LINES[0])]
        await make.provider.asked(1)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert [] == entries(make.store)
        assert LINES[2] == heard(await speech.fetch(LINES[2]))
    assert [LINES[0], LINES[2]] == make.provider.texts


async def test_lines_are_said_side_by_side() -> None:
    """Twenty lines of a provider that takes a second each take four, five at a time."""
    make = Company("inline", first_audio=1.0)
    loop = asyncio.get_running_loop()
    lines = [f"Line number {i} is here." for i in range(20)]
    async with speech_of(make, concurrency=5) as speech:
        began = loop.time()
        fetched = await asyncio.gather(*(speech.fetch(line) for line in lines))
        assert 4 <= loop.time() - began <= 5
    assert lines == [heard(each) for each in fetched]
    assert 5 == len(make.made)


async def test_what_has_expired_is_spoken_again() -> None:
    """It is no longer there."""
    now = 0.0
    make = Company()
    make.store = MemoryCacheBackend(clock=lambda: now)
    async with SpeechCache(lambda: make(cache_ttl=60), make.store) as speech:
        first = await speech.fetch("Hello.")
        now = 61.0
        second = await speech.fetch("Hello.")
    assert first.audio != second.audio
    assert second == entries(make.store)[0]
    assert 2 == len(make.provider.requests)


class Strange(MemoryCacheBackend):
    """Gives back something else, until that is removed."""

    async def get(self, key: CacheKey) -> Utterance | None:
        return await super().get(key) and make_utterance()

    async def delete(self, key: CacheKey) -> bool:
        await asyncio.sleep(1)
        self.get = super().get  # type: ignore[method-assign]
        return await super().delete(key)


@pytest.mark.parametrize("known", [False, True])
async def test_what_cannot_be_used_is_spoken_again(known: bool) -> None:
    """It heals, as it does in a call."""
    make = Company()
    make.store = Strange()
    async with running(make(), sample_rate=24_000) as bot:
        await bot.speak("Hello.")
        await bot.until_quiet()
    async with speech_of(make) as speech:
        if known:
            assert await speech.contains("Hello.")
        assert "Hello." == heard(await speech.fetch("Hello."))
    assert 2 == len(make.provider.requests)


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault.ERROR, "error"), (Fault.EMPTY, "empty"), (Fault.UNENDED, "no_end")]
)
async def test_the_reason_is_told(fault: Fault, reason: str) -> None:
    """It is that of `NotStored`; the text is not in the message; and another try may succeed."""
    make = Company()
    make.provider.fail(fault)
    async with speech_of(make) as speech:
        with pytest.raises(SpeechError) as caught:
            await speech.fetch("Hello.")
        assert (reason,) == caught.value.reasons
        assert f"the line could not be had: {reason}" == str(caught.value)
        assert isinstance(caught.value, CacheError)
        await asyncio.sleep(10)
        assert "Hello." == heard(await speech.fetch("Hello."))


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"cache_enabled": False}, "disabled"), ({"should_cache": lambda _: False}, "should_cache")],
)
async def test_what_would_not_be_cached_is_not_spoken(options: dict[str, Any], reason: str) -> None:
    """Nor paid for: the reason is that of `Bypass`."""
    make = Company()
    async with SpeechCache(lambda: make(**options), make.store) as speech:
        with pytest.raises(SpeechError, match=reason):
            await speech.fetch("Hello.")
        assert not await speech.contains("Hello.")
    assert [] == make.provider.requests


async def test_nothing_to_say() -> None:
    """A blank line is refused in words."""
    async with speech_of(Company()) as speech:
        with pytest.raises(SpeechError, match="nothing to say"):
            await speech.fetch(" ")


class Lossy(MemoryCacheBackend):
    """Takes everything, and keeps nothing."""

    async def set(self, *_: Any, **__: Any) -> bool:
        return True


class Full(MemoryCacheBackend):
    """Takes nothing."""

    async def set(self, *_: Any, **__: Any) -> bool:
        return False


@pytest.mark.parametrize(("store", "known"), [(Lossy, 1), (Full, 0)])
async def test_a_store_that_keeps_nothing_costs_no_speech(
    store: type[MemoryCacheBackend], known: int
) -> None:
    """What was spoken is given, and spoken again the next time."""
    make = Company()
    make.store = store()
    async with speech_of(make) as speech:
        for _ in range(2):
            assert "Hello." == heard(await speech.fetch("Hello."))
            assert known == len(speech)
    assert 2 == len(make.provider.requests)


class Stubborn(Strange):
    """Gives back something else, and cannot remove it."""

    async def delete(self, key: CacheKey) -> bool:
        return False


async def test_what_cannot_be_used_and_not_removed_is_told() -> None:
    """It is not paid for again and again."""
    make = Company()
    make.store = Stubborn()
    async with speech_of(make) as speech:
        await speech.preload(["Hello."])
        with pytest.raises(SpeechError, match="not there"):
            await speech.fetch("Hello.")
    assert 1 == len(make.provider.requests)


async def test_a_line_that_hangs_costs_no_other() -> None:
    """It is given up after its time, and the next gets a service of its own."""
    make = Company("inline")
    make.provider.fail(Fault.SILENT, text=LINES[0], seconds=1000)
    async with speech_of(make, concurrency=1, line_timeout=20) as speech:
        hangs, *others = await asyncio.gather(
            *(speech.fetch(line) for line in LINES), return_exceptions=True
        )
    assert ("timeout",) == getattr(hangs, "reasons", None)
    assert LINES[1:] == [heard(each) for each in others if isinstance(each, Utterance)]
    assert 2 == len(make.made)


async def test_a_factory_that_fails_is_told() -> None:
    """What it raises reaches all who wait, and the next who comes asks it again."""
    make = Company()
    faults = [LookupError("mistake")]

    def fail_once() -> Any:
        if faults:
            raise faults.pop()
        return make()

    async with SpeechCache(fail_once, make.store) as speech:
        both = await asyncio.gather(
            speech.fetch("Hello."), speech.fetch("Hello."), return_exceptions=True
        )
        assert ["mistake", "mistake"] == [str(each) for each in both]
        assert "Hello." == heard(await speech.fetch("Hello."))


async def test_a_service_whose_pipeline_has_ended_is_replaced() -> None:
    """Who comes next does not suffer from it."""
    make = Company()
    async with speech_of(make) as speech:
        await speech.fetch(LINES[0])
        await make.made[0].push_frame(CancelWorkerFrame(), FrameDirection.UPSTREAM)
        await asyncio.sleep(10)
        assert LINES[1] == heard(await speech.fetch(LINES[1]))
    assert 2 == len(make.made)


# What is known


async def test_lines_are_preloaded() -> None:
    """As by `warm`; what is there is left alone, and fetching costs nothing more."""
    make = Company()
    told: list[tuple[int, int, str]] = []
    async with speech_of(make, concurrency=1) as speech:
        await speech.fetch(LINES[0])
        done = await speech.preload(
            [*LINES, LINES[1]], progress=lambda n, of, each: told.append((n, of, each.line.text))
        )
        assert ([LINES[0]], LINES[1:], {}) == (done.already, done.stored, done.failed)
        assert [(i, 3, line) for i, line in enumerate(LINES, 1)] == told
        assert LINES == [heard(await speech.fetch(line)) for line in LINES]
    assert 3 == len(make.provider.requests)
    assert 1 == len(make.made)


async def test_lines_are_preloaded_side_by_side() -> None:
    """As many at a time as are fetched."""
    make = Company("inline", first_audio=1.0)
    loop = asyncio.get_running_loop()
    async with speech_of(make, concurrency=5) as speech:
        began = loop.time()
        done = await speech.preload(f"Line number {i} is here." for i in range(20))
        assert 4 <= loop.time() - began <= 5
    assert 20 == len(done.stored)


async def test_who_fetches_what_is_being_preloaded_waits_for_it() -> None:
    """It is asked for once."""
    make = Company(first_audio=1.0)
    async with speech_of(make) as speech:
        preload = asyncio.create_task(speech.preload(LINES))
        await make.provider.asked(1)
        fetched = await asyncio.gather(*(speech.fetch(line) for line in LINES))
        assert LINES == (await preload).stored
    assert LINES == [heard(each) for each in fetched]
    assert sorted(LINES) == sorted(make.provider.texts)


async def test_a_line_is_in_it_when_the_store_had_it() -> None:
    """When it was last asked for it here; others of the store do not count."""
    make = Company()
    other = make_key("other")
    await make.store.set(other, make_utterance())
    async with speech_of(make) as speech:
        assert (0, False) == (len(speech), LINES[0] in speech)
        await speech.preload([*LINES[:2], Line(LINES[0], {"voice": "ben"})])
        assert 3 == len(speech)
        assert Line(LINES[0]) in speech
        assert Line(LINES[0], {"voice": "ben"}) in speech
        assert LINES[2] not in speech
        assert Line(LINES[1], {"voice": "ben"}) not in speech
        assert 5 not in speech
        assert 3 == await speech.clear()
        assert (0, False) == (len(speech), LINES[0] in speech)
        assert [other] == [each.key async for each in make.store.entries()]
        assert LINES[0] == heard(await speech.fetch(LINES[0]))
    assert 4 == len(make.provider.requests)


async def test_the_store_is_asked_whether_it_has_a_line() -> None:
    """Nothing is spoken, and nothing counts as used."""
    make = Company()
    async with speech_of(make) as speech:
        assert not await speech.contains("Hello.")
        await speech.preload(["Hello."])
        assert await speech.contains("Hello.")
        assert "Hello." in speech
        await make.store.clear()
        assert "Hello." in speech
        assert not await speech.contains("Hello.")
        assert "Hello." not in speech
    assert 1 == len(make.provider.requests)
    assert 0 == (await make.store.get_stats())["hits"]


class Dumb(MemoryCacheBackend):
    """Does not tell what it has."""

    async def exists(self, key: CacheKey) -> bool:
        raise OSError


class Dead(Dumb):
    """Fails at everything."""

    async def get(self, key: CacheKey) -> Utterance | None:
        raise OSError

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        raise OSError


async def test_a_store_that_does_not_tell() -> None:
    """Neither yes nor no would be true, nothing is kept blindly, but what is wanted is spoken."""
    make = Company()
    make.store = Dumb()
    async with speech_of(make) as speech:
        with pytest.raises(SpeechError, match="store_failed"):
            await speech.contains("Hello.")
        done = await speech.preload(["Hello."])
        assert {"Hello.": ("store_failed",)} == done.failed
        assert [] == make.provider.requests
        assert "Hello." == heard(await speech.fetch("Hello."))
        assert ["Hello."] == make.provider.texts


async def test_a_dead_store_costs_no_speech() -> None:
    """Whoever waits for a line has it spoken, once for all of them."""
    make = Company()
    make.store = Dead()
    async with speech_of(make) as speech:
        for utterance in await asyncio.gather(*(speech.fetch("Hello.") for _ in range(5))):
            assert "Hello." == heard(utterance)
    assert ["Hello."] == make.provider.texts


# Services come and go


async def test_a_service_is_kept_for_the_next_line_and_closed_when_idle() -> None:
    """A connection is opened once for lines that follow, and not held for ever."""
    make = Company()
    before = asyncio.all_tasks()
    async with speech_of(make, idle_timeout=30) as speech:
        for line in LINES[:2]:
            await speech.fetch(line)
            await asyncio.sleep(20)
        assert 1 == len(make.made)
        await asyncio.sleep(20)
        assert before == asyncio.all_tasks()
        await speech.fetch(LINES[2])
        assert 2 == len(make.made)
    assert before == asyncio.all_tasks()


async def test_each_voice_keeps_its_service() -> None:
    """While there is room for all of them."""
    make = Company()
    async with speech_of(make, concurrency=2) as speech:
        for text in LINES:
            for voice in ("anna", "ben"):
                await speech.fetch(Line(text, {"voice": voice}))
    assert 2 == len(make.made)


async def test_no_more_services_are_open_than_lines_said_at_a_time() -> None:
    """A voice that is wanted takes the place of one that is idle."""
    make = Company()
    opened: list[Any] = []
    most = 0

    def make_and_watch(voice: str) -> Any:
        nonlocal most
        tts = make(voice, cache_backend=None)
        start, cleanup = tts.setup, tts.cleanup

        async def setup(*args: Any) -> None:
            nonlocal most
            opened.append(tts)
            most = max(most, len(opened))
            await start(*args)

        async def clean_up() -> None:
            if tts in opened:
                opened.remove(tts)
            await cleanup()

        tts.setup, tts.cleanup = setup, clean_up
        return tts

    async with SpeechCache(make_and_watch, make.store, concurrency=2) as speech:
        lines = [Line(text, {"voice": voice}) for text in LINES for voice in ("a", "b", "c")]
        fetched = await asyncio.gather(*(speech.fetch(line) for line in lines))
        assert [line.text for line in lines] == [heard(each) for each in fetched]
        assert 4 == len(make.made)  # who waits for a voice that becomes free goes first
        for line in lines[3:]:
            await speech.fetch(Line("Hello.", line.options))
    assert 2 == most
    assert [] == opened


async def test_closing_leaves_nothing_behind() -> None:
    """Who waits is told; who comes after, too; and the store stays open."""
    make = Company("inline", first_audio=5.0)
    before = asyncio.all_tasks()
    speech = speech_of(make, concurrency=1)
    waiting = [asyncio.create_task(speech.fetch(line)) for line in LINES]
    waiting += [asyncio.create_task(speech.contains(line)) for line in LINES]
    await make.provider.asked(1)
    await speech.close()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert 6 * [("closed",)] == [getattr(each, "reasons", None) for each in told]
    assert before == asyncio.all_tasks()
    await speech.close()
    for ask in (speech.fetch, speech.contains):
        with pytest.raises(SpeechError, match="closed"):
            await ask("Hello.")
    with pytest.raises(SpeechError, match="closed"):
        await speech.preload(LINES)
    assert [] == entries(make.store)


async def test_a_service_that_rests_is_closed_as_at_the_end_of_a_call() -> None:
    """It is not cut off."""
    make = Company()
    ends: list[str] = []
    async with speech_of(make) as speech:
        await speech.fetch("Hello.")
        for name in ("stop", "cancel"):
            end = getattr(make.made[0], name)

            async def ended(*args: Any, name: str = name, end: Any = end) -> None:
                ends.append(name)
                await end(*args)

            setattr(make.made[0], name, ended)
    assert ["stop"] == ends


async def test_closing_that_is_cancelled_leaves_nothing_behind() -> None:
    """As by a second Ctrl-C."""
    before = asyncio.all_tasks()
    make = Company("inline", first_audio=5.0)

    async def use() -> None:
        async with speech_of(make) as speech:
            await speech.preload(LINES)

    task = asyncio.create_task(use())
    await make.provider.asked(3)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert task.cancelled()
    assert before == asyncio.all_tasks()


async def test_who_forgets_to_close_does_not_wait_at_the_end() -> None:
    """When `asyncio.run` cancels all tasks, each ends at once."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    speech = speech_of(Company())
    await speech.fetch("Hello.")
    began = loop.time()
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert loop.time() - began < 1
    assert before == asyncio.all_tasks()


# Nonsense


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"service_factory": 5}, "service_factory must be callable, not int"),
        ({"backend": None}, "backend must be a CacheBackend, not NoneType"),
        ({"concurrency": 0}, "concurrency"),
        ({"sample_rate": "8k"}, "sample_rate"),
        ({"line_timeout": 0}, "line_timeout"),
        ({"idle_timeout": -1}, "idle_timeout"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once."""
    with pytest.raises((TypeError, ValueError), match=error):
        SpeechCache(**{"service_factory": Company(), "backend": MemoryCacheBackend(), **arguments})


async def test_a_line_that_is_none_is_refused() -> None:
    """In words."""
    async with speech_of(Company()) as speech:
        for ask in (speech.fetch, speech.contains):
            with pytest.raises(TypeError, match="a string or a Line, not int"):
                await ask(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="one by one"):
            await speech.preload("Hello.")


async def test_the_factory_makes_what_can_be_used() -> None:
    """A service without the mixin, with another store, or of a bot that runs is refused."""
    make = Company()
    store = MemoryCacheBackend()
    async with SpeechCache(lambda: SCRIPTED["inline"](Provider()), store) as speech:
        with pytest.raises(TypeError, match="behind TTSCacheMixin, not Inline"):
            await speech.fetch("Hello.")
    async with SpeechCache(make, store) as speech:
        with pytest.raises(ValueError, match="a store of its own, which is another one"):
            await speech.fetch("Hello.")
    tts = make(cache_backend=None)
    async with running(tts, sample_rate=24_000):
        async with SpeechCache(lambda: tts, store) as speech:
            with pytest.raises(ValueError, match="a new service each time"):
                await speech.fetch("Hello.")
        assert None is tts._tts_cache_book.options.backend
