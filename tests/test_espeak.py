#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The demo's TTS service: real speech on this machine, with words, and an end when interrupted."""

import asyncio
import ctypes.util
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pipecat.frames.frames import TTSAudioRawFrame, TTSStartedFrame, TTSTextFrame

from demo import espeak_tts
from demo.espeak import Espeak, EspeakError, Manner, Speech, engine, worker
from demo.espeak_tts import SAMPLE_RATE, EspeakTTSService
from pipecat_tts_cache.testing.driver import Bot, running
from tests.espeak import espeak

__all__ = ["espeak"]

pytestmark = pytest.mark.usefixtures("espeak")

LONG = "This goes on and on for quite a while. " * 300


class ReportingEspeak(EspeakTTSService):
    """Takes down the words as they are reported, in seconds of their context."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reported: list[tuple[str, float]] = []

    async def add_word_timestamps(
        self, word_times: list[tuple[str, float]], *args: Any, **kwargs: Any
    ) -> None:
        self.reported.extend(word_times)
        await super().add_word_timestamps(word_times, *args, **kwargs)


class CountingEspeak:
    """The engine, with a count of the seconds it has synthesised."""

    def __init__(self, real: Espeak) -> None:
        self.seconds = 0.0
        self._real = real

    def speak(self, text: str, manner: Manner, hear: Callable[[Speech], bool]) -> None:
        def count(speech: Speech) -> bool:
            self.seconds += len(speech.audio) / (2 * SAMPLE_RATE)
            return hear(speech)

        self._real.speak(text, manner, count)


def seconds(bot: Bot) -> float:
    """Length of all audio that has left the service."""
    frames = [frame for frame in bot.frames if isinstance(frame, TTSAudioRawFrame)]
    return sum(frame.num_frames / frame.sample_rate for frame in frames)


def words(bot: Bot) -> list[str]:
    """The words that have left the service."""
    return [frame.text for frame in bot.frames if isinstance(frame, TTSTextFrame)]


async def idle_worker() -> None:
    """Wait until the engine's thread is free."""
    await asyncio.get_running_loop().run_in_executor(worker(), lambda: None)


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! How are you?",
        "Order 4815 costs $12.50, it's re-sent on 3rd May.",
        "A “naïve” café — or none at all.",
        "— So!",
        "你好 world",
    ],
)
async def test_words_are_those_of_the_text(text: str) -> None:
    """Every word of the text is reported once, as written, in order and in time."""
    service = ReportingEspeak()
    async with running(service, sample_rate=SAMPLE_RATE) as bot:
        await bot.speak(text)
        await bot.until_stopped()

    assert text.split() == [word for word, _ in service.reported]
    assert text.split() == words(bot)
    times = [time for _, time in service.reported]
    assert sorted(times) == times
    assert 0 <= times[0] <= times[-1] < seconds(bot)
    assert [text] == bot.messages


async def test_audio_is_streamed() -> None:
    """Audio comes in small frames of 16 bit, mono, and is more than silence."""
    async with running(EspeakTTSService(), sample_rate=SAMPLE_RATE) as bot:
        await bot.speak("This is a sentence of some length.")
        await bot.until_stopped()

    frames = [frame for frame in bot.frames if isinstance(frame, TTSAudioRawFrame)]
    assert len(frames) > 10
    assert {(22050, 1)} == {(frame.sample_rate, frame.num_channels) for frame in frames}
    assert max(frame.num_frames for frame in frames) / SAMPLE_RATE < 0.1
    assert any(frame.audio.strip(b"\0") for frame in frames)


async def test_word_clock_runs_on_over_the_sentences_of_a_turn() -> None:
    """The words of a turn's second sentence begin after all audio of the first."""
    first, second = "One comes first. ", "Two comes second. "
    alone = ReportingEspeak()
    async with running(alone, sample_rate=SAMPLE_RATE) as bot:
        await bot.speak(first.strip())
        await bot.until_stopped()
        length = seconds(bot)
        await bot.speak(second.strip())
        await bot.until_stopped(2)
    together = ReportingEspeak()
    async with running(together, sample_rate=SAMPLE_RATE) as bot:
        await bot.llm_turn([first, second])
        await bot.until_stopped()

    expected = [(w, t + (length if i >= 3 else 0)) for i, (w, t) in enumerate(alone.reported)]
    assert [word for word, _ in expected] == [word for word, _ in together.reported]
    for (_, at), (_, reported) in zip(expected, together.reported, strict=True):
        assert at == pytest.approx(reported, abs=0.02)


async def test_word_clock_starts_anew_with_every_turn() -> None:
    """The words of a turn are counted from that turn's own start."""
    service = ReportingEspeak()
    async with running(service, sample_rate=SAMPLE_RATE) as bot:
        for _ in range(3):
            await bot.llm_turn("Here we are. ")
            await bot.until_quiet()

    starts = [time for word, time in service.reported if word == "Here"]
    assert 3 == len(starts)
    assert all(a == pytest.approx(b, abs=0.02) for a, b in pairwise(starts))


async def test_interruption_ends_the_synthesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption stops the engine in mid-text, and the next sentence is spoken whole."""
    counting = CountingEspeak(engine())
    monkeypatch.setattr(espeak_tts, "engine", lambda: counting)
    async with running(EspeakTTSService(), sample_rate=SAMPLE_RATE) as bot:
        await bot.speak(LONG)
        await bot.until_audio()
        await bot.interrupt()
        await idle_worker()
        synthesised = counting.seconds
        spoken = len(words(bot))
        await bot.speak("All is well.")
        await bot.until_stopped()

    assert 0 < synthesised < len(LONG.split()) * 0.5
    assert ["All", "is", "well."] == words(bot)[spoken:]
    assert 2 == sum(isinstance(frame, TTSStartedFrame) for frame in bot.frames)


async def test_interruption_ends_the_wait_for_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is interrupted while the simulated provider thinks is never synthesised."""
    counting = CountingEspeak(engine())
    monkeypatch.setattr(espeak_tts, "engine", lambda: counting)
    async with running(EspeakTTSService(provider_latency=60), sample_rate=SAMPLE_RATE) as bot:
        await bot.speak("Never heard.")
        await bot.until(lambda: any(isinstance(f, TTSStartedFrame) for f in bot.frames))
        await bot.interrupt()

    assert 0 == counting.seconds


async def test_two_services_share_the_engine() -> None:
    """Services that speak at the same time do not mix up their words."""
    texts = ["First things first, and slowly.", "Meanwhile, elsewhere, somebody counts: 1, 2, 3."]

    async def speak(text: str, voice: str) -> list[str]:
        service = EspeakTTSService(settings=EspeakTTSService.Settings(voice=voice))
        async with running(service, sample_rate=SAMPLE_RATE) as bot:
            for _ in range(3):
                await bot.speak(text)
            await bot.until_stopped(3)
        return words(bot)

    both = await asyncio.gather(speak(texts[0], "en-us"), speak(texts[1], "de"))
    assert [text.split() * 3 for text in texts] == both


async def test_settings_are_followed_while_running() -> None:
    """A faster rate makes the same sentence shorter."""
    text = "The quick brown fox jumps over the lazy dog."
    async with running(EspeakTTSService(), sample_rate=SAMPLE_RATE) as bot:
        await bot.speak(text)
        await bot.until_stopped()
        slow = seconds(bot)
        await bot.update_settings(rate=330)
        await bot.speak(text)
        await bot.until_stopped(2)

    assert seconds(bot) - slow < 0.7 * slow


async def test_an_unknown_voice_is_an_error() -> None:
    """A voice that espeak-ng does not have is reported, and the pipeline goes on."""
    service = EspeakTTSService(settings=EspeakTTSService.Settings(voice="nobody"))
    async with running(service, sample_rate=SAMPLE_RATE) as bot:
        await bot.speak("Nobody says this.")
        await bot.until_stopped()
        await bot.update_settings(voice="en-us")
        await bot.speak("Somebody says this.")
        await bot.until_stopped(2)

    assert "espeak-ng has no voice 'nobody'" in {error.error for error in bot.errors}
    assert ["Somebody", "says", "this."] == words(bot)[-3:]


def test_two_syntheses_differ() -> None:
    """espeak-ng does not repeat itself to the sample, so equal audio proves a replay."""
    heard: list[bytes] = []

    def speak() -> None:
        audio = bytearray()
        engine().speak(
            "Is there anything else I can help you with?",
            Manner("en-us", 165, 50),
            lambda speech: not audio.extend(speech.audio),
        )
        heard.append(bytes(audio))

    for _ in range(6):
        worker().submit(speak).result()
    assert len(set(heard)) > 1


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any espeak-ng the error tells what to do."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(EspeakError, match="pip install espeakng-loader"):
        Espeak()
