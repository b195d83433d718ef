#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The fastest TTS service there can be, and a call that times what it is asked to say."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSSpeakFrame, TTSStoppedFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache import TTSCacheMixin
from pipecat_tts_cache.services import ServiceProfile
from pipeline import PATIENCE, SAMPLE_RATE, running

_CHUNK = SAMPLE_RATE
"""Bytes in half a second, Pipecat's recommended size of a frame."""

QUIET = 0.005
"""Seconds after which whatever follows from a text has been done, on an idle machine."""


class InstantTTS(TTSService):
    """An inline service whose audio is there before it is asked for.

    Args:
        audio: The samples of each text, in chunks of Pipecat's recommended size.
        metrics: Whether it reports usage and times, as every real service does.
        kwargs: Arguments of Pipecat's base class.
    """

    Settings = TTSSettings
    # What `pipecat_tts_cache.services` says of inline services.
    tts_cache_profile = ServiceProfile(
        inline=True, neutral_arguments=frozenset({"audio", "metrics"})
    )

    def __init__(
        self, audio: Mapping[str, Sequence[bytes]], *, metrics: bool = False, **kwargs: Any
    ) -> None:
        settings = TTSSettings(model="instant", voice="anna", language="en-US")
        super().__init__(settings=settings, push_start_frame=True, push_stop_frames=True, **kwargs)
        self._audio, self._metrics_on = audio, metrics

    def can_generate_metrics(self) -> bool:
        return self._metrics_on

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if self._metrics_on:
            await self.start_tts_usage_metrics(text)
        for chunk in self._audio[text]:
            yield TTSAudioRawFrame(chunk, self.sample_rate, 1, context_id=context_id)


class CachedInstantTTS(TTSCacheMixin, InstantTTS):
    """The same behind the cache."""


def text_of(seconds: float, number: int = 0) -> str:
    """Write a text that takes about so long to say, at 15 characters a second."""
    start = f"Number {number} of the things to say is here"
    return (start + " and goes on" * 100)[: max(int(15 * seconds), 24)] + "."


def audio_of(seconds: float) -> list[bytes]:
    """Make audio of a length, in chunks."""
    size = round(SAMPLE_RATE * seconds) * 2
    audio = (bytes(range(251)) * (size // 251 + 1))[:size]
    return [audio[at : at + _CHUNK] for at in range(0, size, _CHUNK)]


@dataclass(frozen=True)
class Spoken:
    """What it took to speak a text, in seconds.

    Parameters:
        first: From the text's arrival at the service until the first audio frame left it.
        last: Until the last one did.
        cpu: Processor time, until all that follows was done.
    """

    first: float
    last: float
    cpu: float


@dataclass
class Call:
    """A service in a pipeline that runs."""

    service: TTSService
    worker: PipelineWorker | None = None
    _arrived: float = 0.0
    _left: list[float] = field(default_factory=list)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def speak(self, text: str) -> Spoken:
        """Have a text spoken, and wait until everything is quiet again."""
        assert self.worker
        self._left = []
        self._over.clear()
        cpu = time.process_time()
        await self.worker.queue_frame(TTSSpeakFrame(text))
        async with asyncio.timeout(PATIENCE):
            await self._over.wait()
        await asyncio.sleep(QUIET)
        cpu = time.process_time() - cpu
        return Spoken(self._left[0] - self._arrived, self._left[-1] - self._arrived, cpu)

    def note_arrival(self, frame: Frame) -> None:
        """Note when the service is given a text."""
        if isinstance(frame, TTSSpeakFrame):
            self._arrived = time.perf_counter()

    def note_audio(self, frame: Frame) -> None:
        """Note when audio leaves the service."""
        if isinstance(frame, TTSAudioRawFrame):
            self._left.append(time.perf_counter())

    def note_end(self, frame: Frame) -> None:
        """Note when all has gone through the pipeline."""
        if isinstance(frame, TTSStoppedFrame):
            self._over.set()


@asynccontextmanager
async def calling(service: TTSService) -> AsyncIterator[Call]:
    """Run a service in a pipeline, for texts to be spoken."""
    call = Call(service)
    taps = {"before": call.note_arrival, "behind": call.note_audio, "at_end": call.note_end}
    async with running(service, **taps) as call.worker:
        yield call
