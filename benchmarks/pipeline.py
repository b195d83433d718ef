#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Pipecat's real pipeline around a TTS service, with taps that cost next to nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loguru import logger
from pipecat.frames.frames import EndFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.preparation.headless import launch

SAMPLE_RATE = 24_000
PATIENCE = 60.0
"""Seconds after which something has gone wrong."""

Note = Callable[[Frame], None]


class _Tap(FrameProcessor):
    """Shows each frame that passes downstream to someone, before it goes on."""

    def __init__(self, note: Note) -> None:
        super().__init__(enable_direct_mode=True)
        self._note = note

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            self._note(frame)
        await self.push_frame(frame, direction)


def _ignore(_: Frame) -> None:
    pass


@asynccontextmanager
async def running(
    service: TTSService, *, behind: Note, before: Note = _ignore, at_end: Note = _ignore
) -> AsyncIterator[PipelineWorker]:
    """Run a TTS service in front of Pipecat's assistant context aggregator, until the block ends.

    Args:
        service: The service.
        behind: Shown what leaves the service.
        before: Shown what goes into the service.
        at_end: Shown what has gone through the whole pipeline.
    """
    assistant = LLMContextAggregatorPair(LLMContext()).assistant()
    worker = PipelineWorker(
        Pipeline([_Tap(before), service, _Tap(behind), assistant, _Tap(at_end)]),
        cancel_on_idle_timeout=False,
        params=PipelineParams(
            audio_out_sample_rate=SAMPLE_RATE, enable_metrics=True, enable_usage_metrics=True
        ),
    )
    task, started = await launch(worker)
    try:
        async with asyncio.timeout(PATIENCE):
            await started.wait()
        yield worker
        await worker.queue_frame(EndFrame())
    except BaseException:
        await worker.cancel()
        raise
    finally:
        async with asyncio.timeout(PATIENCE):
            await task


def log_as_in_production() -> None:
    """Log warnings only: Pipecat's debug log costs more than what is measured here."""
    logger.remove()
    logger.add(sys.stderr, level="WARNING", format="{level}: {message}")
