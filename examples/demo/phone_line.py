#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The end of the pipeline: plays speech at its own pace, as a transport does, and records it."""

import asyncio
from collections import deque
from time import perf_counter, perf_counter_ns
from typing import NamedTuple, Protocol

from pipecat.clocks.base_clock import BaseClock
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.frame_queue import FrameQueue

from demo.metered import Take

_SLICE_SECONDS = 0.02


class FastClock(BaseClock):
    """A clock for a pipeline whose line plays faster than real time."""

    def __init__(self, speed: float) -> None:
        """Set the pace.

        Args:
            speed: How many of its seconds go by in a second.
        """
        self._speed = speed
        self._started_at: int | None = None

    def start(self) -> None:
        """Start at 0."""
        self._started_at = perf_counter_ns()

    def get_time(self) -> int:
        """Nanoseconds since the start."""
        if self._started_at is None:
            return 0
        return int((perf_counter_ns() - self._started_at) * self._speed)


class SpokenWord(NamedTuple):
    """A word that the caller heard.

    Parameters:
        segment: The sentence it belongs to, by Pipecat's number.
        text: The word.
        start: Where it begins, in seconds from the start of the recording.
    """

    segment: int | None
    text: str
    start: float


class Listener(Protocol):
    """Somebody who wants to know what is heard, as it is heard."""

    def word_heard(self, take: Take) -> None:
        """A further word of this sentence was heard."""

    def sentence_heard(self, take: Take) -> None:
        """A sentence was heard to its end, or was cut off."""


class PhoneLine(FrameProcessor):
    """Plays what the bot says and keeps what was played.

    It takes as long over a frame of audio as the caller would. Words go on to the rest of the
    pipeline when they are heard, everything else in its place between the audio. An interruption
    drops what waits, as Pipecat's transports do.
    """

    def __init__(self, *, sample_rate: int, speed: float, listener: Listener) -> None:
        """Open the line.

        Args:
            sample_rate: Of the audio it plays, in Hz; mono, 16 bit.
            speed: How much faster than real time it plays.
            listener: Told what is heard.
        """
        super().__init__()
        self.recording = bytearray()
        self.words: list[SpokenWord] = []
        self._bytes_per_second = 2 * sample_rate
        self._slice = 2 * int(sample_rate * _SLICE_SECONDS)
        self._speed = speed
        self._listener = listener
        self._to_play = FrameQueue()
        self._words_to_come: deque[TTSTextFrame] = deque()
        self._player: asyncio.Task[None] | None = None
        self._take: Take | None = None
        self._context: str | None = None
        self._context_start = 0.0
        self._free_at = 0.0
        self._halt: tuple[float, asyncio.Event] | None = None

    @property
    def position(self) -> float:
        """Length of the recording in seconds."""
        return len(self.recording) / self._bytes_per_second

    def rest(self, seconds: float) -> None:
        """Add silence to the recording."""
        self.recording.extend(bytes(2 * round(seconds * self._bytes_per_second / 2)))

    def halt_after(self, seconds: float) -> asyncio.Event:
        """Play so much more speech, then wait to be interrupted.

        The pipeline takes as long as ever to react, so a line that plays faster than real time
        must not play on meanwhile.

        Args:
            seconds: How much.

        Returns:
            An event that is set when it has been heard.
        """
        event = asyncio.Event()
        self._halt = (self.position + seconds, event)
        return event

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take a frame. It waits until what came before it has been heard, unless it is urgent."""
        await super().process_frame(frame, direction)
        if isinstance(frame, SystemFrame | EndFrame) or direction is FrameDirection.UPSTREAM:
            await self._process_urgent(frame, direction)
        elif isinstance(frame, TTSTextFrame):
            self._words_to_come.append(frame)
        else:
            self._to_play.put_nowait(frame)

    async def cleanup(self) -> None:
        """Hang up."""
        await super().cleanup()
        await self._stop()

    async def _process_urgent(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame):
            await self._cut_off()
        elif isinstance(frame, EndFrame):
            await self._to_play.join()
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame | InterruptionFrame):
            self._player = self.create_task(self._play_all())

    async def _play_all(self) -> None:
        while True:
            frame = await self._to_play.get()
            try:
                await self._pass_on(frame)
            finally:
                self._to_play.task_done()

    async def _pass_on(self, frame: Frame) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            await self._play(frame)
            return
        if isinstance(frame, TTSStoppedFrame):
            await self._finish(frame.context_id)
        await self.push_frame(frame)

    async def _play(self, frame: TTSAudioRawFrame) -> None:
        await self._begin(frame)
        for start in range(0, len(frame.audio), self._slice):
            audio = frame.audio[start : start + self._slice]
            self.recording.extend(audio)
            if self._take:
                self._take.audio.extend(audio)
            await self._let_words_through(until=self.position)
            await self._wait_for(len(audio) / self._bytes_per_second)

    async def _begin(self, frame: TTSAudioRawFrame) -> None:
        if self._context != frame.context_id:
            self._context, self._context_start = frame.context_id, self.position
            await self.broadcast_frame(BotStartedSpeakingFrame)
        take: Take | None = frame.metadata["take"]
        if take is not self._take:
            self._end_sentence()
            self._take = take
            if take:
                take.start = self.position

    async def _wait_for(self, seconds: float) -> None:
        if self._halt and self.position >= self._halt[0]:
            self._halt[1].set()
            self._halt = None
            await asyncio.get_running_loop().create_future()
        self._free_at = max(self._free_at, perf_counter()) + seconds / self._speed
        await asyncio.sleep(self._free_at - perf_counter())

    async def _let_words_through(self, *, until: float) -> None:
        while self._words_to_come and self._words_to_come[0].context_id == self._context:
            start = self._context_start + self._words_to_come[0].metadata["second"]
            if start >= until:
                return
            word = self._words_to_come.popleft()
            self.words.append(SpokenWord(word.segment_id, word.text, start))
            if self._take:
                self._listener.word_heard(self._take)
            await self.push_frame(word)

    async def _finish(self, context: str | None) -> None:
        if self._context == context:
            await self._let_words_through(until=float("inf"))
        self._end_sentence()
        await self.broadcast_frame(BotStoppedSpeakingFrame)

    async def _cut_off(self) -> None:
        await self._stop()
        self._to_play.reset()
        self._words_to_come.clear()
        if self._take:
            self._take.cut = True
        self._end_sentence()
        await self.broadcast_frame(BotStoppedSpeakingFrame)

    def _end_sentence(self) -> None:
        if self._take:
            self._listener.sentence_heard(self._take)
        self._take = None

    async def _stop(self) -> None:
        if self._player:
            await self.cancel_task(self._player)
            self._player = None
