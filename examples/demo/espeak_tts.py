#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A small but whole Pipecat TTS service: real speech, streamed, with word times, on this machine.

It needs no key and no network, it stops when it is interrupted, and it makes every call anew: two
syntheses of one text differ by a few samples, so a byte-equal replay can only come from a cache.
"""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.types import NOT_GIVEN, NotGiven, assert_given

from demo.espeak import EspeakError, Manner, Speech, WordEvent, engine, worker
from pipecat_tts_cache import ServiceProfile

SAMPLE_RATE = 22050
VOICE, RATE, PITCH = "en-us", 165, 50
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


@dataclass
class EspeakTTSSettings(TTSSettings):
    """Settings for EspeakTTSService.

    Parameters:
        rate: Words per minute.
        pitch: From 0, low, to 100, high.
    """

    rate: int | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    pitch: int | NotGiven = field(default_factory=lambda: NOT_GIVEN)


class EspeakTTSService(TTSService):
    """Speaks with espeak-ng.

    Audio comes in frames of about 60 ms at 22050 Hz, as the library makes it. Words are those of
    the text, cut at white space, punctuation included.
    """

    Settings = EspeakTTSSettings
    _settings: EspeakTTSSettings

    # What the cache cannot see from outside: how audio comes, and what does not change it.
    tts_cache_profile = ServiceProfile(
        inline=True, neutral_arguments=frozenset({"provider_latency"})
    )

    def __init__(
        self,
        *,
        settings: EspeakTTSSettings | None = None,
        provider_latency: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Make the service. The library is loaded when the pipeline is set up.

        Args:
            settings: Voice, rate and pitch.
            provider_latency: Seconds to wait before each synthesis, in place of the network and
                the queue of a hosted provider, which espeak-ng does not have.
            **kwargs: Passed on to Pipecat's TTSService.
        """
        given = self.Settings(model=None, voice=VOICE, language=None, rate=RATE, pitch=PITCH)
        if settings is not None:
            given.apply_update(settings)
        super().__init__(
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=SAMPLE_RATE,
            settings=given,
            **kwargs,
        )
        self._provider_latency = provider_latency
        self._spoken: dict[str, float] = {}

    def can_generate_metrics(self) -> bool:
        """Tell Pipecat that it measures time to first byte and usage here."""
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Load the library.

        Raises:
            EspeakError: If there is none.
        """
        await super().setup(setup)
        await asyncio.get_running_loop().run_in_executor(worker(), engine)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a sentence.

        Args:
            text: The sentence.
            context_id: The audio context it belongs to.

        Yields:
            Its audio, or an ErrorFrame.
        """
        await self.start_tts_usage_metrics(text)
        await asyncio.sleep(self._provider_latency)
        said_before = self._spoken.get(context_id, 0.0)
        length = 0
        words = _Words(text)
        try:
            async with aclosing(self._synthesise(text)) as speeches:
                async for speech in speeches:
                    await self.stop_ttfb_metrics()
                    await self._add_words(words.begun(speech.words), said_before, context_id)
                    length += len(speech.audio)
                    if speech.audio:
                        yield TTSAudioRawFrame(speech.audio, SAMPLE_RATE, 1, context_id=context_id)
        except EspeakError as error:
            yield ErrorFrame(error=str(error))
            return
        await self._add_words(words.rest(), said_before, context_id)
        self._spoken[context_id] = said_before + length / _BYTES_PER_SECOND

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forget the clock of a context that has been played."""
        await super().on_audio_context_completed(context_id)
        self._spoken.pop(context_id, None)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Forget the clock of a context that has been cut off."""
        await super().on_audio_context_interrupted(context_id)
        self._spoken.pop(context_id, None)

    async def _add_words(
        self, words: list[tuple[str, float]], said_before: float, context_id: str
    ) -> None:
        """Report words, counted from the start of their context, over all of its sentences."""
        if words:
            times = [(word, said_before + start) for word, start in words]
            await self.add_word_timestamps(times, context_id)

    def _manner(self) -> Manner:
        settings = self._settings
        voice = assert_given(settings.voice) or VOICE
        return Manner(voice, assert_given(settings.rate), assert_given(settings.pitch))

    async def _synthesise(self, text: str) -> AsyncGenerator[Speech]:
        """Have the worker speak; whoever stops listening, by cancellation too, stops it."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[Speech | None] = asyncio.Queue()
        stopped = threading.Event()

        def hear(speech: Speech) -> bool:
            if not stopped.is_set():
                loop.call_soon_threadsafe(heard.put_nowait, speech)
            return not stopped.is_set()

        manner = self._manner()

        def speak() -> None:
            if not stopped.is_set():
                engine().speak(text, manner, hear)

        synthesis = loop.run_in_executor(worker(), speak)
        synthesis.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (speech := await heard.get()) is not None:
                yield speech
            await synthesis
        finally:
            stopped.set()


class _Words:
    """The words of a text, in order, each reported once.

    espeak-ng gives several events for a number ("4815" is five words to it), none for a lone dash,
    and leaves punctuation out. Pipecat follows the text as written, so the text is cut at white
    space and a word is begun when espeak-ng begins anything in it, or has passed it.
    """

    def __init__(self, text: str) -> None:
        self._waiting = [(found.start(), found.group()) for found in re.finditer(r"\S+", text)]
        self._time = 0.0

    def begun(self, events: tuple[WordEvent, ...]) -> list[tuple[str, float]]:
        """The words that these events begin, and when."""
        words = []
        for event in events:
            self._time = event.start
            while self._waiting and self._waiting[0][0] <= event.position:
                words.append((self._waiting.pop(0)[1], event.start))
        return words

    def rest(self) -> list[tuple[str, float]]:
        """The words that no event has begun."""
        words = [(word, self._time) for _, word in self._waiting]
        self._waiting.clear()
        return words
