#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""In a call, a pinned recording is heard in place of synthesis, and is an utterance like any."""

from typing import Any

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.preparation.pinning import pin
from pipecat_tts_cache.testing import voice
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from tests.cached import KINDS
from tests.output_path import Call, Course, calling, differences
from tests.pipecat_versions import keeps_time
from tests.sounds import SENTENCE, SPEECH_RATE, Samples, espeak, speech

__all__ = ["espeak", "speech"]

LINES = ["One is here.", "Two is over there.", "Three is everywhere."]
ANSWERS = [" ".join(LINES), "Four is gone."]
STUDIO = 7
"""The take of recordings; those of providers count from 0."""
PAGES = ("OpenAITTSService", "CartesiaTTSService", "ElevenLabsHttpTTSService")
"""An inline service over HTTP that tells no words, and two that tell them."""


@pytest.mark.parametrize("title", KINDS)
async def test_every_service_replays_a_recording(title: str, speech: Samples) -> None:
    """Real speech is heard to the sample, with one start and one stop, and nobody is asked."""
    kind = KINDS[title]
    clock, rate = simulated_time if kind.simulate_time else real_time, kind.sample_rate
    async with clock(), kind.server(chunk_ms=100) as server:

        def make(**options: Any) -> Any:
            return kind.with_cache(server, cache_backend=store, **options)

        store = MemoryCacheBackend()
        tts = make()
        if tts._tts_cache.live.never_ends or not tts._tts_cache_book.options.usable:
            pytest.skip("is left alone")
        audio = speech.tobytes()
        pinned = await pin(make, SENTENCE, audio, audio_rate=SPEECH_RATE, sample_rate=rate)
        asked = len(server.requests)
        async with running(tts, sample_rate=rate, simulate_time=kind.simulate_time) as bot:
            await bot.speak(SENTENCE)
            said = await bot.until_quiet()
            assert [SENTENCE] == bot.messages
        (context,) = said.contexts
        assert pinned.utterance.audio == context.audio
        assert len(speech) / SPEECH_RATE == pytest.approx(pinned.utterance.duration, abs=0.001)
        assert (1, 1) == (context.started, context.stopped)
        assert asked == len(server.requests)
        assert 1 == (await tts.get_cache_stats())["hits"]
        if pinned.utterance.words:
            assert SENTENCE.split() == [word.text for word in context.words]


async def hold(service: Any, heard: int | None) -> Course:
    """Hold a call, in which the user interrupts when so many words were heard."""
    async with calling(service, ANSWERS) as call:
        await call.open()
        if heard is None:
            await call.until("bot stopped", 1)
        else:
            await call.until_heard(heard)
        await finish(call)
        return call.course()


async def finish(call: Call) -> None:
    """Let the user speak, and the bot answer."""
    await call.say("And now?")
    await call.until("idle", 1)


@keeps_time
@pytest.mark.parametrize("heard", [None, 2, 8])
@pytest.mark.parametrize("recorded", [LINES, LINES[1:2]], ids=["all", "one"])
@pytest.mark.parametrize("title", PAGES)
async def test_a_call_is_the_same(title: str, recorded: list[str], heard: int | None) -> None:
    """Whether whole or interrupted: the same is played, and the same is remembered."""
    kind, store = KINDS[title], MemoryCacheBackend()
    async with simulated_time():
        async with kind.server(first_audio=0.15, speed=4) as server:
            expected = await hold(kind.without_cache(server), heard)
        async with kind.server(first_audio=0.15, speed=4) as server:

            def make() -> Any:
                return kind.with_cache(server, cache_backend=store)

            for line in recorded:
                said = voice.speak(line, sample_rate=24_000, take=STUDIO)
                words = [(text, start) for text, start, _ in said.words]
                rates = {"audio_rate": 24_000, "sample_rate": 24_000}
                await pin(make, line, said.audio, words=words, **rates)
            actual = await hold(make(), heard)
    assert [] == differences(expected, actual)
    first = actual.turns[0].heard
    by_word = [line in recorded for line in LINES for _ in line.split()]
    assert by_word[: len(first.takes)] == [take == STUDIO for take in first.takes]


async def test_half_of_a_recording_is_remembered(speech: Samples) -> None:
    """Where the times of words are guessed, an interruption commits the words that were due."""
    kind, store = KINDS["CartesiaTTSService"], MemoryCacheBackend()
    async with simulated_time(), kind.server() as server:

        def make() -> Any:
            return kind.with_cache(server, cache_backend=store)

        audio = speech.tobytes()
        pinned = await pin(make, SENTENCE, audio, audio_rate=SPEECH_RATE, sample_rate=24_000)
        async with calling(make(), [SENTENCE]) as call:
            await call.bot.speak(SENTENCE)
            half = pinned.utterance.duration / 2
            await call.log.until(lambda: call.count("chunk") * 0.04 >= half)
            await call.say("Wait a moment.")
            await call.until("interrupted", 1)
            await call.until("bot stopped", 1)
            (message,) = (text for role, text in call.course().messages if role == "assistant")
    due = [word.text for word in pinned.utterance.words if word.start < half]
    assert 4 < len(due) < len(SENTENCE.split()) - 2
    assert message in [
        " ".join(SENTENCE.split()[:count]) for count in range(len(due) - 1, len(due) + 3)
    ]
    assert [] == server.requests


@pytest.mark.parametrize(
    "line", ["你好。OK吗", "你好。 OK 吗", "Wait <b>here</b>, please!", "« Oui ! »"]
)
async def test_what_is_committed_is_the_line(line: str, speech: Samples) -> None:
    """In scripts without spaces, with markup, and with punctuation that stands alone."""
    kind = KINDS["CartesiaTTSService"]
    messages = []
    async with simulated_time(), kind.server() as server:
        for recorded in (False, True):
            store = MemoryCacheBackend()

            def make(store: MemoryCacheBackend = store) -> Any:
                return kind.with_cache(server, cache_backend=store)

            if recorded:
                await pin(make, line, speech.tobytes(), audio_rate=SPEECH_RATE, sample_rate=24_000)
            async with running(make(), sample_rate=24_000) as bot:
                await bot.speak(line)
                await bot.until_quiet()
                messages.append(bot.messages)
    assert messages[0] == messages[1]
