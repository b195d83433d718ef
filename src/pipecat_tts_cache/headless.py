#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A service in a pipeline of its own, that speaks to nobody.

It goes the whole way that live speech goes, through Pipecat's aggregation, filters and transforms,
so that every sentence has the key that it has in a call.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from pipecat_tts_cache.loudspeaker import LastingFrame, listeners

_START_SECONDS = 30.0
_END_SECONDS = 5.0


@dataclass
class _Mark(LastingFrame):
    """Travels behind what is to be spoken, and so tells when that is through."""

    number: int = 0


class _Nobody(FrameProcessor):
    """Stands where the listener would, and notes which marks have come."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.marks: dict[int, asyncio.Event] = {}

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, _Mark) and (mark := self.marks.get(frame.number)):
            mark.set()
        await self.push_frame(frame, direction)


class HeadlessVoice:
    """A service that can be had to say something. Made by `headless`."""

    def __init__(self, worker: PipelineWorker, nobody: _Nobody) -> None:
        """Take a pipeline that runs.

        Args:
            worker: Its worker.
            nobody: What stands at its end.
        """
        self.hangs = False
        """Whether something that it was to say is not through."""
        self._worker = worker
        self._nobody = nobody
        self._said = 0

    async def say(self, text: str, *, as_turn: bool, patience: float) -> None:
        """Say something, and wait until it is through.

        Args:
            text: What to say.
            as_turn: Whether to say it as an LLM's turn, sentence by sentence, or all at once as a
                `TTSSpeakFrame`.
            patience: Seconds to wait.

        Raises:
            TimeoutError: If it takes longer.
        """
        self._said += 1
        self.hangs = True
        through = self._nobody.marks[self._said] = asyncio.Event()
        turn = [LLMFullResponseStartFrame(), LLMTextFrame(text), LLMFullResponseEndFrame()]
        try:
            for frame in [*(turn if as_turn else [TTSSpeakFrame(text)]), _Mark(self._said)]:
                await self._worker.queue_frame(frame)
            async with asyncio.timeout(patience):
                await through.wait()
            self.hangs = False
        finally:
            del self._nobody.marks[self._said]


@asynccontextmanager
async def headless(
    service: TTSService, *, sample_rate: int | None
) -> AsyncGenerator[HeadlessVoice, None]:
    """Run a service in a pipeline of its own until the block ends.

    Args:
        service: The service, not used before. It cannot be used after.
        sample_rate: Of the pipeline's output, in Hz; None for Pipecat's default.

    Yields:
        What can be had to speak.

    Raises:
        TimeoutError: If the service does not start.
    """
    nobody = _Nobody()
    rate: dict[str, Any] = {} if sample_rate is None else {"audio_out_sample_rate": sample_rate}
    worker = PipelineWorker(
        Pipeline([service, *listeners(), nobody]),
        cancel_on_idle_timeout=False,
        cancel_timeout_secs=_END_SECONDS,
        enable_rtvi=False,
        enable_turn_tracking=False,
        params=PipelineParams(**rate),
    )
    started = asyncio.Event()

    async def on_started(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", on_started)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(_START_SECONDS):
            await started.wait()
        yield (voice := HeadlessVoice(worker, nobody))
        if not voice.hangs:  # behind an end that does not get through, nothing else would
            await worker.queue_frame(EndFrame())
            await asyncio.wait([run], timeout=_END_SECONDS)
    finally:
        if not run.done():
            await worker.cancel()
            await asyncio.wait([run], timeout=2 * _END_SECONDS)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
