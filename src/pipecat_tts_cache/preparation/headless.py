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
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from pipecat_tts_cache.preparation.loudspeaker import LastingFrame, listeners, silence_allowed

_START_SECONDS = 30.0
_END_SECONDS = 5.0

TUNE = "_tts_cache_tune"
"""What a service has under this name is awaited with its voice before it says anything."""


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


class PipelineEndedError(RuntimeError):
    """A pipeline ended before what was waited for. Pipecat logs why."""

    def __init__(self) -> None:
        """Say where the reason is found."""
        super().__init__("the service's pipeline ended or did not start: Pipecat's log has why")


class HeadlessVoice:
    """A service that can be had to say something. Made by `headless`."""

    def __init__(
        self,
        service: TTSService,
        worker: PipelineWorker,
        run: asyncio.Task[None],
        nobody: _Nobody,
    ) -> None:
        """Take a pipeline that runs.

        Args:
            service: The service.
            worker: Its worker.
            run: Ends when it does.
            nobody: What stands at its end.
        """
        self.hangs = False
        """Whether something that it was to say is not through."""
        self._service = service
        self._worker = worker
        self._run = run
        self._nobody = nobody
        self._said = 0

    @property
    def is_spent(self) -> bool:
        """Whether nothing more can be said: something hangs, has failed for good or has ended."""
        return self.hangs or self._run.done() or self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether Pipecat gives the service no work any more, as of an error that will not pass."""
        return not self._service.is_usable

    async def say(self, text: str, *, as_turn: bool, patience: float) -> None:
        """Say something, and wait until it is through.

        Args:
            text: What to say.
            as_turn: Whether to say it as an LLM's turn, sentence by sentence, or all at once as a
                `TTSSpeakFrame`.
            patience: Seconds to wait.

        Raises:
            PipelineEndedError: If the pipeline ends first, as it does on a fatal error.
            TimeoutError: If it takes longer.
        """
        turn = [LLMFullResponseStartFrame(), LLMTextFrame(text), LLMFullResponseEndFrame()]
        await self._get_through(turn if as_turn else [TTSSpeakFrame(text)], patience)

    async def update(self, delta: TTSSettings, *, patience: float) -> None:
        """Change settings of the service, as in a call, and wait until it has them.

        Args:
            delta: The settings that change.
            patience: Seconds to wait.

        Raises:
            PipelineEndedError: If the pipeline ends first.
            TimeoutError: If it takes longer.
        """
        await self._get_through([TTSUpdateSettingsFrame(delta=delta)], patience)

    async def interrupt(self) -> None:
        """Interrupt what it says: that is through soon, and the next can be said."""
        await self._worker.queue_frame(InterruptionFrame())

    async def _get_through(self, frames: Sequence[Frame], patience: float) -> None:
        self._said += 1
        self.hangs = True
        through = self._nobody.marks[self._said] = asyncio.Event()
        try:
            for frame in [*frames, _Mark(self._said)]:
                await self._worker.queue_frame(frame)
            await _come(through, self._run, within=patience)
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
        PipelineEndedError: If the service cannot be started.
        TimeoutError: If it does not start in time.
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
    run, started = await launch(worker)
    try:
        await _come(started, run, within=_START_SECONDS)
        voice = HeadlessVoice(service, worker, run, nobody)
        if (tune := getattr(service, TUNE, None)) is not None:
            await tune(voice)
        with silence_allowed(service):
            yield voice
        if not voice.hangs:  # behind an end that does not get through, nothing else would
            await worker.queue_frame(EndFrame())
            await asyncio.wait([run], timeout=_END_SECONDS)
    finally:
        await _finish(_cancel(worker, run))


async def launch(worker: PipelineWorker) -> tuple[asyncio.Task[None], asyncio.Event]:
    """Start a pipeline in a task of its own.

    Args:
        worker: Its worker.

    Returns:
        The task, and what is set when the pipeline has started.
    """
    started = asyncio.Event()

    async def on_started(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", on_started)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    return asyncio.create_task(runner.run()), started


async def _cancel(worker: PipelineWorker, run: asyncio.Task[None]) -> None:
    if not run.done() and not run.cancelling():  # else the whole event loop ends
        await worker.cancel()
        await asyncio.wait([run], timeout=2 * _END_SECONDS)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Do something to its end, also if who waits for it is cancelled, or is so once more."""
    task, cancelled = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


async def _come(event: asyncio.Event, run: asyncio.Task[None], *, within: float) -> None:
    """Wait for something that a pipeline does, unless it ends before."""
    coming = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({coming, run}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        coming.cancel()
    if not event.is_set():
        raise PipelineEndedError() if run.done() else TimeoutError
