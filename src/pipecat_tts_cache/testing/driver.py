#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Drives a TTS service in a real pipeline, and takes down what leaves it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMAssistantAggregator
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.preparation.headless import launch
from pipecat_tts_cache.preparation.loudspeaker import LastingFrame, listeners
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from pipecat_tts_cache.testing.view import Captured, View, view

PATIENCE = 10.0
"""Seconds after which a wait fails; longer than Pipecat takes for anything by itself."""


@dataclass
class _Mark(LastingFrame):
    """Travels behind what was sent before it, and so tells when that is through."""

    number: int = 0


class _Tap(FrameProcessor):
    """Takes down the frames that pass in one direction."""

    def __init__(self, direction: FrameDirection, note: Callable[[Frame], None]) -> None:
        super().__init__(enable_direct_mode=True)
        self._tapped, self._note = direction, note

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is self._tapped:
            self._note(frame)
        await self.push_frame(frame, direction)


@dataclass
class Bot:
    """A pipeline that runs, and what a test says to it.

    Parameters:
        service: The TTS service.
        worker: The pipeline's worker.
        run: The task in which the pipeline runs.
        over: Whether the pipeline was told to end or to be cancelled.
        context: The LLM context that the assistant's turns are committed to.
        captured: What left the service downstream, in order, with when it left.
        errors: The error frames pushed upstream.
    """

    service: FrameProcessor
    context: LLMContext
    worker: PipelineWorker = field(init=False)
    run: asyncio.Task[None] = field(init=False)
    over: bool = False
    captured: list[Captured] = field(default_factory=list)
    errors: list[ErrorFrame] = field(default_factory=list)
    _arrived: list[Frame] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _marks: int = 0

    @property
    def frames(self) -> list[Frame]:
        """What left the service downstream, in order."""
        return [captured.frame for captured in self.captured]

    @property
    def messages(self) -> list[str]:
        """What the assistant has said, as committed to the LLM context."""
        return [
            str(message.get("content"))
            for message in self.context.get_messages()
            if isinstance(message, dict) and message.get("role") == "assistant"
        ]

    async def send(self, *frames: Frame) -> None:
        """Send frames into the pipeline."""
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def llm_turn(self, tokens: str | Sequence[str], *, end: bool = True) -> None:
        """Speak as an LLM does: a start frame, the text in tokens, an end frame.

        Args:
            tokens: The text; each of them is sent word by word.
            end: Whether the turn ends here.
        """
        await self.send(LLMFullResponseStartFrame())
        await self.tokens(tokens)
        if end:
            await self.end_turn()

    async def tokens(self, tokens: str | Sequence[str]) -> None:
        """Go on in an LLM turn."""
        text = tokens if isinstance(tokens, str) else "".join(tokens)
        await self.send(*(LLMTextFrame(token) for token in re.findall(r"\s*\S+\s*?|\s+$", text)))

    async def end_turn(self) -> None:
        """End an LLM turn."""
        await self.send(LLMFullResponseEndFrame())

    async def speak(self, text: str, **options: Any) -> None:
        """Send a `TTSSpeakFrame` (`append_to_context`, `interruptible`)."""
        interruptible = options.pop("interruptible", True)
        frame = TTSSpeakFrame(text, **options)
        frame.interruptible = interruptible
        await self.send(frame)

    async def text(self, text: str) -> None:
        """Send a loose `TextFrame`."""
        await self.send(TextFrame(text))

    async def update_settings(self, **settings: Any) -> None:
        """Change settings of the service while it runs."""
        delta = type(self.service).Settings(**settings)  # type: ignore[attr-defined]
        await self.send(TTSUpdateSettingsFrame(delta=delta))

    async def interrupt(self) -> None:
        """Interrupt, and wait until the whole pipeline knows."""
        count = sum(isinstance(frame, InterruptionFrame) for frame in self._arrived)
        await self.send(InterruptionFrame())
        await self.until(
            lambda: sum(isinstance(frame, InterruptionFrame) for frame in self._arrived) > count
        )

    async def end(self) -> None:
        """End the pipeline in order: what was sent is spoken first."""
        if not self.over:
            self.over = True
            await self.send(EndFrame())
            await self._await_end()

    async def cancel(self) -> None:
        """Cancel the pipeline: nothing more is spoken."""
        if not self.over:
            self.over = True
            await self.worker.cancel()
            await self._await_end()

    async def _await_end(self) -> None:
        done, _ = await asyncio.wait([self.run], timeout=PATIENCE)
        if not done:  # something hangs, and would hang on if only the task were cancelled
            await self.worker.cancel()
            await asyncio.wait([self.run], timeout=PATIENCE)
            raise TimeoutError("The pipeline did not end")
        self.run.result()

    async def until(self, condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
        """Wait for a condition, which is looked at whenever a frame has passed."""
        async with asyncio.timeout(patience):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_quiet(self, *, patience: float = PATIENCE) -> View:
        """Wait until all that was sent so far is through, and return what came of it.

        Every audio context that is open now, or waits for its turn, has ended then.
        """
        self._marks += 1
        mark = _Mark(self._marks)
        await self.send(mark)
        await self.until(lambda: mark in self._arrived, patience=patience)
        return self.said()

    async def until_heard(self, text: str, *, patience: float = PATIENCE) -> None:
        """Wait until all words of a text have been heard."""
        words = text.split()
        await self.until(lambda: _contains(self.said().heard.words, words), patience=patience)

    async def until_told(self, text: str, *, patience: float = PATIENCE) -> None:
        """Wait until a `TTSTextFrame` with exactly this text has left the service."""
        await self.until(
            lambda: any(isinstance(f, TTSTextFrame) and f.text == text for f in self.frames),
            patience=patience,
        )

    async def until_audio(self, count: int = 1, *, patience: float = PATIENCE) -> None:
        """Wait until so many audio frames have left the service."""
        await self.until(lambda: self.count(TTSAudioRawFrame) >= count, patience=patience)

    async def until_connected(self) -> None:
        """Wait until a connection that was lost is replaced; what is sent meanwhile gets lost."""
        async with asyncio.timeout(PATIENCE):
            while getattr(self.service, "_reconnect_in_progress", False):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)

    async def until_stopped(self, count: int = 1, *, patience: float = PATIENCE) -> View:
        """Wait until so many `TTSStoppedFrame`s have left, and return what was said."""
        await self.until(lambda: self.count(TTSStoppedFrame) >= count, patience=patience)
        return self.said()

    def count(self, kind: type[Frame]) -> int:
        """Return how many frames of a kind have left the service."""
        return sum(isinstance(frame, kind) for frame in self.frames)

    def said(self) -> View:
        """Return what has left the service so far, in a form that can be compared."""
        return view(self.captured, self.errors)

    def note_down(self, frame: Frame) -> None:
        """Take down a frame that left the service."""
        if not isinstance(frame, (_Mark, StartFrame)):
            self.captured.append(Captured.now(frame, self.service))
        self._news.set()

    def note_up(self, frame: Frame) -> None:
        """Take down an error that went upstream."""
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame)
        self._news.set()

    def note_end(self, frame: Frame) -> None:
        """Take down a frame that has gone through the whole pipeline."""
        self._arrived.append(frame)
        self._news.set()


def _contains(words: list[str], part: list[str]) -> bool:
    return any(words[i : i + len(part)] == part for i in range(len(words) - len(part) + 1))


@asynccontextmanager
async def running(
    service: TTSService | FrameProcessor,
    *,
    sample_rate: int = 24_000,
    context: LLMContext | None = None,
    in_front: Sequence[FrameProcessor] = (),
    behind: Sequence[FrameProcessor] = (),
    assistant: LLMAssistantAggregator | None = None,
    simulate_time: bool = True,
    **params: Any,
) -> AsyncGenerator[Bot]:
    """Run a TTS service in a pipeline until the block ends.

    The pipeline is: what is `in_front` of the service, the service, what is `behind` it, and
    Pipecat's assistant context aggregator.
    It is ended in order, or cancelled when the block raises; a test may do either before.

    Args:
        service: The TTS service, or something that behaves like one.
        sample_rate: Of the pipeline's output, in Hz.
        context: The LLM context to commit to; a new one if left out.
        in_front: Processors before the service.
        behind: Processors between the service and the context aggregator.
        assistant: The context aggregator, where it is one of a pair; a new one if left out.
        simulate_time: Whether waiting takes no time. To be refused where anything that matters
            happens in another process.
        params: Further `PipelineParams`.
    """
    context = context or LLMContext()
    bot = Bot(service, context)
    pipeline = Pipeline(
        [
            *in_front,
            _Tap(FrameDirection.UPSTREAM, bot.note_up),
            service,
            _Tap(FrameDirection.DOWNSTREAM, bot.note_down),
            *listeners(),
            *behind,
            assistant or LLMAssistantAggregator(context),
            _Tap(FrameDirection.DOWNSTREAM, bot.note_end),
        ]
    )
    options: dict[str, Any] = {"enable_metrics": True, "enable_usage_metrics": True, **params}
    worker = bot.worker = PipelineWorker(
        pipeline,
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
        enable_turn_tracking=False,
        params=PipelineParams(audio_out_sample_rate=sample_rate, **options),
    )
    async with simulated_time() if simulate_time else real_time():
        bot.run, started = await launch(worker)
        try:
            async with asyncio.timeout(PATIENCE):
                await started.wait()
            yield bot
        except BaseException:
            await bot.cancel()
            raise
        await bot.end()
