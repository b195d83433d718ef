#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The demo's TTS service: espeak-ng behind the cache, with a stopwatch on every sentence."""

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pipecat.frames.frames import AggregatedTextFrame, Frame, TTSAudioRawFrame, TTSTextFrame
from pipecat.processors.frame_processor import FrameDirection

from demo.espeak_tts import EspeakTTSService
from pipecat_tts_cache import TTSCacheMixin


class CachedEspeakTTSService(TTSCacheMixin, EspeakTTSService):
    """All that is needed to give a service a memory."""


@dataclass(eq=False)
class Take:
    """A sentence that the service was asked to speak, and what became of it.

    Parameters:
        text: The sentence.
        asked_at: When it was asked for, by the performance counter. For a replay it is when the
            sentence before it had left the service, if that was later.
        live: Whether the provider was asked, or the sentence came from the cache.
        first_audio_at: When its first audio left the service, by the performance counter.
        audio: The samples that the caller heard.
        segment: Pipecat's number for the sentence, which its words carry.
        start: Where it begins in the recording, in seconds.
        cut: Whether the caller talked over it.
    """

    text: str
    asked_at: float
    live: bool = False
    first_audio_at: float | None = None
    audio: bytearray = field(default_factory=bytearray)
    segment: int = 0
    start: float = 0.0
    cut: bool = False

    @property
    def wait(self) -> float | None:
        """Time to first audio, in seconds."""
        return None if self.first_audio_at is None else self.first_audio_at - self.asked_at


class MeteredTTSService(CachedEspeakTTSService):
    """Notes when a sentence was asked for, whether the provider was, and when its audio came.

    It does so from outside, in methods that Pipecat means to be overridden. What it finds travels
    with the frames: audio has its `Take`, a word has the second of its context it begins in.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Make the service.

        Args:
            **kwargs: Passed on to the cached service.
        """
        super().__init__(**kwargs)
        self.takes: list[Take] = []
        self._unheard: deque[Take] = deque()
        self._announced: AggregatedTextFrame | None = None
        self._take: Take | None = None
        self._words_count_from = 0
        self._last_audio_at = 0.0

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Start the stopwatch, and let the cache and the service do the rest."""
        take = Take(text, asked_at=perf_counter())
        self.takes.append(take)
        self._unheard.append(take)
        async for frame in super().run_tts(text, context_id):
            yield frame

    async def start_tts_usage_metrics(self, text: str) -> None:
        """Usage is reported when the provider is asked, and only then."""
        self.takes[-1].live = True
        await super().start_tts_usage_metrics(text)

    async def start_word_timestamps(self) -> None:
        """Note when the audio of a context starts: Pipecat counts its words from there."""
        self._words_count_from = self.get_clock().get_time()
        await super().start_word_timestamps()

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Attach to audio and words what is known of them."""
        if isinstance(frame, TTSTextFrame):
            since = (frame.pts or 0) - self._words_count_from
            frame.metadata["second"] = max(0, since) / 1e9
        elif isinstance(frame, AggregatedTextFrame):
            self._announced = frame
        elif isinstance(frame, TTSAudioRawFrame):
            frame.metadata["take"] = self._take_of_next_audio()
            self._last_audio_at = perf_counter()
        await super().push_frame(frame, direction)

    def _take_of_next_audio(self) -> Take | None:
        """The sentence that was announced last: sentences and their announcements keep order."""
        announced, self._announced = self._announced, None
        while announced and self._unheard:
            take = self._unheard.popleft()
            if take.text.strip() == announced.text.strip():
                if not take.live:
                    take.asked_at = max(take.asked_at, self._last_audio_at)
                take.first_audio_at, take.segment = perf_counter(), announced.id
                self._take = take
                break
        return self._take
