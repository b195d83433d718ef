#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where contexts, connections and turns cross one another.

Patience with the provider is longer here than a test may take, so that a stall is a failure.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from pipecat.frames.frames import AggregatedTextFrame, Frame
from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import (
    CacheKey,
    MemoryCacheBackend,
    ServiceProfile,
    TTSCacheMixin,
    Utterance,
)
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Fault, Provider, Request
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED, PROVIDER, CachedInOrder
from tests.scripted import OverlappingService
from tests.stored import check_store, entries

SENTENCES = ["One is here. ", "Two is over there. ", "Three is everywhere."]
ALL = [kind for kind in CACHED_SCRIPTED if kind not in ("endless", "unlisted words")]
STREAMING = ["overlapping", "shared clock", "in order"]
LONG = 60.0


@pytest.fixture(params=ALL)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of service."""
    return request.param


class SlowToFind(MemoryCacheBackend):
    """Takes a while to look something up."""

    async def get(self, key: CacheKey) -> Utterance | None:
        await asyncio.sleep(0.1)
        return await super().get(key)


class SlowToTake(Provider):
    """Takes a while to take a request."""

    async def ask(self, *args: Any, **kwargs: Any) -> Request:
        await asyncio.sleep(0.1)
        return await super().ask(*args, **kwargs)


@pytest.mark.parametrize("change", ["update", "replace"])
async def test_a_voice_changed_while_a_sentence_is_looked_up(kind: str, change: str) -> None:
    """However it is changed, what is spoken by one is not filed under the other."""
    backend, provider = SlowToFind(), Provider()
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.speak("Hello there.")
        await asyncio.sleep(0.05)
        if change == "update":
            await tts._update_settings(TTSSettings(voice="ben"))
        else:
            tts._settings.voice = "ben"
        await bot.until_quiet()
        stats = await tts.get_cache_stats()
        assert {"settings_changed": 1} == stats["not_stored"]
        await bot.speak("Hello there.")
        await bot.until_quiet()
    assert ["ben", "ben"] == [request.settings["voice"] for request in provider.requests]
    assert ["ben"] == [utterance.voice for utterance in entries(backend)]


async def test_a_voice_changed_while_a_sentence_is_sent(kind: str) -> None:
    """Nobody knows who speaks a sentence whose request was not out when the voice changed."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](SlowToTake(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.speak("Hello there.")
        await asyncio.sleep(0.05)
        await tts._update_settings(TTSSettings(voice="ben"))
        await bot.until_quiet()
        stats = await tts.get_cache_stats()
    assert {"settings_changed": 1} == stats["not_stored"]


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.BROKEN, Fault.EMPTY])
async def test_a_word_clock_that_runs_on_over_a_failed_sentence(fault: Fault) -> None:
    """Where it stands by then only the service knows: words are kept again in the next turn."""
    backend, provider = MemoryCacheBackend(), Provider()
    provider.fail(fault, text="Two is over there.")
    tts = CACHED_SCRIPTED["unlisted words"](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_quiet()
        assert ["One is here."] == check_store(backend)
        stats = await tts.get_cache_stats()
        assert 1 == stats["not_stored"]["words"]
        await bot.llm_turn(SENTENCES)
        await bot.until_quiet()
    assert sorted(map(str.strip, SENTENCES)) == sorted(check_store(backend))


async def test_a_response_within_a_response_goes_on_in_its_context(kind: str) -> None:
    """A response that starts before the one before it ended is heard whole, in the same context."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](
            Provider(speed=20), cache_backend=backend, stop_frame_timeout_s=LONG
        )
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn("", end=False)
            await bot.send(AggregatedTextFrame("One is here.", "sentence"))
            await bot.llm_turn(["Two is there."])
            said = await bot.until_quiet()
        assert "One is here. Two is there." == said.heard.text
        assert [(1, 1, [])] == [(one.started, one.stopped, one.stray) for one in said.contexts]
    check_store(backend)


@pytest.mark.parametrize("kind", STREAMING)
async def test_a_connection_lost_while_sentences_wait(kind: str) -> None:
    """Every context is started and stopped once, and the next turn is whole."""
    backend = MemoryCacheBackend()
    provider = Provider(turns=[2])
    provider.fail(Fault.LOST, text="One is here.")
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend, stop_frame_timeout_s=LONG)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
        assert all((1, 1, []) == (one.started, one.stopped, one.stray) for one in said.contexts)
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.contexts[-1].heard.text
    check_store(backend)


@pytest.mark.skipif(not SPARES_SPEECH, reason="this Pipecat interrupts all speech")
async def test_uninterruptible_speech_interrupted_while_it_is_sent(kind: str) -> None:
    """It is closed at the provider all the same: it ends at once, and is stored."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](SlowToTake(), cache_backend=backend, stop_frame_timeout_s=LONG)
    async with running(tts, sample_rate=8000) as bot:
        await bot.speak("This call is recorded.", interruptible=False)
        await asyncio.sleep(0.05)
        await bot.interrupt()
        said = await bot.until_quiet()
    assert "This call is recorded." == said.heard.text
    assert ["This call is recorded."] == check_store(backend)


async def test_a_cached_speak_frame_inside_a_turn_that_is_left_alone(kind: str) -> None:
    """With `cache_scope="speak"` the turn around a speak frame ends as it does without a cache."""
    if kind == "in order":
        pytest.skip("without ids, Pipecat loses a speak frame inside a turn")
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](
            Provider(), cache_backend=backend, cache_scope="speak", stop_frame_timeout_s=LONG
        )
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn("", end=False)
            await bot.send(AggregatedTextFrame("One is here.", "sentence"))
            await bot.speak("By the way.")
            await bot.end_turn()
            said = await bot.until_quiet()
        assert "One is here. By the way." == said.heard.text
    check_store(backend)


async def test_no_time_to_first_byte_of_a_hit_outside_a_turn(kind: str) -> None:
    """A loose text has its context before the cache hears of it; from the cache nobody waited."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](Provider(first_audio=0.2), cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.send(AggregatedTextFrame("This is said by the way.", "sentence"))
            said = await bot.until_quiet()
            stats = await tts.get_cache_stats()
        assert [0.2] * stats["misses"] == pytest.approx(said.ttfb, abs=0.01)
    assert 1 == stats["hits"]


async def test_late_words_of_a_cancelled_sentence_are_not_recorded() -> None:
    """ElevenLabs speaks on after a context is closed; what it says of it spoils no record."""
    backend = MemoryCacheBackend()
    kind = KINDS["ElevenLabsTTSService"]
    async with (
        kind.server(speed=4, first_audio=0.05) as server,
        running(kind.with_cache(server, cache_backend=backend)) as bot,
    ):
        await bot.llm_turn(["This goes on for a while and more of it."])
        await bot.until_audio(2)
        await bot.interrupt()
        await bot.speak("Here we go now.")
        await bot.until_quiet()
    check_store(backend)


async def test_the_provider_s_time_is_measured_from_what_it_is_asked() -> None:
    """Behind a replayed sentence, the time to first byte is that of the live one, and only one."""
    kind = KINDS["ElevenLabsTTSService"]
    backend = MemoryCacheBackend()
    async with kind.server() as server:
        async with running(kind.with_cache(server, cache_backend=backend)) as bot:
            await bot.llm_turn([SENTENCES[0]])
            await bot.until_quiet()
        server.first_audio = 0.2
        async with running(kind.with_cache(server, cache_backend=backend)) as bot:
            await bot.llm_turn(SENTENCES)
            said = await bot.until_quiet()
    (ttfb,) = said.ttfb
    assert ttfb >= 0.2


class Limited(CachedInOrder):
    """May close hardly any sentence by itself."""

    tts_cache_profile = replace(CachedInOrder.tts_cache_profile, closes_per_minute=1)


@pytest.mark.parametrize("off", [False, True])
async def test_an_unclosed_sentence_stops_nobody(off: bool) -> None:
    """A speak frame inside a turn whose sentences are joined is heard, cached or left alone."""
    tts = Limited(Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn("", end=False)
        await bot.send(AggregatedTextFrame("One is here.", "sentence"))
        await bot.send(AggregatedTextFrame("Two is over there.", "sentence"))
        await bot.until(lambda: 2 == len(tts.provider.requests))
        tts.cache_enabled = not off
        await bot.speak("By the way.")
        await bot.send(AggregatedTextFrame("Three is everywhere.", "sentence"))
        await bot.end_turn()
        said = await bot.until_quiet()
    everything = "One is here. Two is over there. By the way. Three is everywhere."
    assert sorted(everything.split()) == sorted(said.heard.words)


class Taciturn(OverlappingService):
    """Yields neither audio nor None, and lets Pipecat open the context when audio comes."""

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(provider, push_start_frame=False, **kwargs)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.create_audio_context(context_id)
        async for _ in super().run_tts(text, context_id):
            pass
        return
        yield


class CachedTaciturn(TTSCacheMixin, Taciturn):
    tts_cache_profile = ServiceProfile(neutral_arguments=PROVIDER)


async def test_an_unlisted_service_that_says_nothing_is_waited_for() -> None:
    """A service of an unknown kind whose `run_tts` yields nothing is heard whole."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CachedTaciturn(Provider(), cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(SENTENCES)
            said = await bot.until_quiet()
        assert "".join(SENTENCES) == said.heard.text
        check_store(backend)


async def test_the_bot_s_own_errors_spoil_no_recording() -> None:
    """A text transform that fails is no failure of the provider."""

    async def fail(text: str, text_type: str) -> str:
        if "Two" in text:
            raise ValueError("no")
        return text

    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED["overlapping"](
        Provider(turns=[4]), cache_backend=backend, text_transforms=[("*", fail)]
    )
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_quiet()
    assert ["One is here.", "Three is everywhere."] == sorted(check_store(backend))


async def test_speak_frames_that_fail_leave_nothing_behind() -> None:
    """A bot whose provider is down all day does not grow."""
    provider = Provider()
    tts = CACHED_SCRIPTED["inline"](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        for _ in range(5):
            provider.fail(Fault.LOST)
            await bot.speak("Hello you.")
            await bot.until_quiet()
        await bot.speak("Hello you.")
        said = await bot.until_quiet()
        assert "Hello you." == said.contexts[-1].heard.text
        assert [] == list(tts._tts_cache.turns)
        assert {} == tts._tts_cache._left_alone


async def test_a_bot_does_not_grow(kind: str) -> None:
    """After many turns, hits and misses, nothing of them is left in the service."""
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        for number in range(30):
            await bot.llm_turn(["Yes indeed. ", f"Number {number} is next."])
            if number % 3 == 0:
                await bot.interrupt()
            await bot.until_quiet()
        conductor = tts._tts_cache
        assert [] == list(conductor.turns)
        assert [] == list(conductor.live.sentences)
        assert 0 == len(conductor.live.flight)
        assert not conductor._left_alone
        assert not tts._tts_cache_book._unjudged
        assert not tts._tts_contexts


async def test_replayed_frames_are_of_the_recommended_size(kind: str) -> None:
    """A replay comes in frames of half a second, Pipecat's `chunk_size`, samples untouched."""
    backend = MemoryCacheBackend()
    text = "This is a sentence that is long enough for some frames of audio."
    views = []
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn([text])
            views.append(await bot.until_quiet())
    live, replayed = (view.contexts[0] for view in views)
    assert live.audio == replayed.audio
    assert {500.0} == set(replayed.frame_ms[:-1])
    assert 0 < replayed.frame_ms[-1] <= 500


class ThinkingBackend(MemoryCacheBackend):
    """Never comes to an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def get(self, key: CacheKey) -> Utterance | None:
        self.asked.set()
        await asyncio.Event().wait()
        return None


@pytest.mark.skipif(not SPARES_SPEECH, reason="Pipecat keeps contexts itself before 1.13")
async def test_interrupted_during_a_look_up_a_turn_leaves_no_context_behind(kind: str) -> None:
    """Pipecat keeps nothing of a turn that is interrupted before anything of it was heard."""
    backend = ThinkingBackend()
    tts: Any = CACHED_SCRIPTED[kind](cache_backend=backend, cache_lookup_timeout=LONG)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await backend.asked.wait()
        await bot.interrupt()
        assert {} == tts._tts_contexts
