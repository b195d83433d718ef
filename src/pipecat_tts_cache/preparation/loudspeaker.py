#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a TTS service needs behind it in a pipeline without an output transport."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ControlFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services import tts_service
from pipecat.services.tts_service import TTSService

_HOLDS_UNTIL_SPOKEN = not hasattr(tts_service.TTSService, "_hold_frames_while_audio_contexts_open")
"""Whether services that hold frames back wait for the bot to stop speaking: before 1.13."""

_RECORDS_SILENCE = "_record_context_audio_outcome"
"""What Pipecat calls with an audio context and whether there was sound in it."""

if TYPE_CHECKING or hasattr(Frame, "interruptible"):

    @dataclass
    class LastingFrame(ControlFrame):
        """A control frame that survives interruptions."""

        interruptible: bool = field(default=False, init=False)

else:  # before 1.12
    from pipecat.frames.frames import UninterruptibleFrame

    @dataclass
    class LastingFrame(ControlFrame, UninterruptibleFrame):
        """A control frame that survives interruptions."""


def listeners() -> list[FrameProcessor]:
    """Give what has to stand behind a service so that it can speak again when it has spoken."""
    return [_Loudspeaker()] if _HOLDS_UNTIL_SPOKEN else []


@contextmanager
def silence_allowed(service: TTSService) -> Generator[None]:
    """Have Pipecat take it for no fault that a service says nothing, as a line is in the store.

    Else each such line is an error, and after three in a row the service is given up.

    Args:
        service: The service.
    """
    record = getattr(service, _RECORDS_SILENCE, None)
    if record is None:
        yield
        return

    async def record_speech(context_id: str, received_audio: bool) -> None:
        await record(context_id, True)
        if _HOLDS_UNTIL_SPOKEN and not received_audio:
            await cast(Any, service)._maybe_resume_frame_processing()  # nobody will stop speaking

    setattr(service, _RECORDS_SILENCE, record_speech)
    try:
        yield
    finally:
        delattr(service, _RECORDS_SILENCE)


class _Loudspeaker(FrameProcessor):
    """Tells the service when the bot speaks, as an output transport does."""

    _SECONDS_TO_STOP = 0.05
    _SECONDS_WITHOUT_STOP = 3.0

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self._speaking = False
        self._timer: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            await self._start()
        elif isinstance(frame, TTSStoppedFrame) and self._speaking:
            await self._stop_in(self._SECONDS_TO_STOP)
        elif isinstance(frame, InterruptionFrame):
            await self._stop()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()  # type: ignore[no-untyped-call]
        await self._stop_timer()

    async def _start(self) -> None:
        if not self._speaking:
            self._speaking = True
            await self.push_frame(BotStartedSpeakingFrame(), FrameDirection.UPSTREAM)
        await self._stop_in(self._SECONDS_WITHOUT_STOP)

    async def _stop_in(self, seconds: float) -> None:
        async def stop() -> None:
            await asyncio.sleep(seconds)
            self._timer = None
            await self._stop()

        await self._stop_timer()
        self._timer = self.create_task(stop(), "stop")

    async def _stop(self) -> None:
        await self._stop_timer()
        if self._speaking:
            self._speaking = False
            await self.push_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)

    async def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            await self.cancel_task(timer)
