#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A whole call: Pipecat's context aggregators and its output transport around a TTS service.

The pipeline is the user's aggregator, an LLM with a script, the service, a loudspeaker and the
assistant's aggregator. What the loudspeaker plays, and what the aggregators make of it, is taken
down with the time, so that calls with and without a cache can be compared.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_mute import BaseUserMuteStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.voice import Heard, listen

PATIENCE = 60.0
"""Seconds after which a wait fails; speech takes its time here."""

IDLE_SECONDS = 1.5
"""How long a user may say nothing before the aggregator reports it."""

_A_TOKEN = 0.01  # seconds between two tokens of the LLM
_LATE = 0.005  # seconds; less between two chunks is no gap


@dataclass(frozen=True)
class Event:
    """Something that happened in a call, at a time in seconds of the event loop's clock.

    Parameters:
        what: `chunk`, `bot started`, `bot stopped`, `interrupted`, `muted`, `unmuted`, `idle`, or
            `committed` (whole) or `cut off` with the assistant's words.
        at: When.
        audio: Of a chunk, the samples.
    """

    what: str
    at: float
    audio: bytes = b""


class Log:
    """Takes down what happens in a call."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def note(self, what: str, audio: bytes = b"") -> None:
        """Take down that something happens now."""
        self.events.append(Event(what, asyncio.get_running_loop().time(), audio))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has made a condition true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Loudspeaker(BaseOutputTransport):
    """Plays each chunk of audio as long as it lasts, and takes it down.

    Args:
        log: Where to.
        sample_rate: Of what is played, in Hz; that of the pipeline if left out.
        chunk_ms: How much is played at once, in milliseconds.
    """

    def __init__(self, log: Log, sample_rate: int | None = None, *, chunk_ms: int = 40) -> None:
        super().__init__(
            TransportParams(
                audio_out_enabled=True,
                audio_out_sample_rate=sample_rate,
                audio_out_10ms_chunks=chunk_ms // 10,
                audio_out_end_silence_secs=0,
            )
        )
        self._log = log

    async def start(self, frame: StartFrame) -> None:
        """Be ready."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play a chunk."""
        self._log.note("chunk", frame.audio)
        await asyncio.sleep(frame.num_frames / frame.sample_rate)
        return True

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Take down when the bot starts and stops speaking, and when it is interrupted."""
        if isinstance(frame, BotStartedSpeakingFrame) and direction is FrameDirection.UPSTREAM:
            self._log.note("bot started")
        elif isinstance(frame, BotStoppedSpeakingFrame) and direction is FrameDirection.UPSTREAM:
            self._log.note("bot stopped")
        elif isinstance(frame, InterruptionFrame):
            self._log.note("interrupted")
        await super().push_frame(frame, direction)


class ScriptedLLM(FrameProcessor):
    """Gives the next of its answers, token by token, whenever it is asked."""

    def __init__(self, answers: Sequence[str]) -> None:
        super().__init__()
        self._answers = iter(answers)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; pass on everything else."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for token in re.findall(r"\s*\S+", next(self._answers, "")):
            await asyncio.sleep(_A_TOKEN)
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


@dataclass
class Played:
    """What was played between a start and a stop of the bot's speech.

    Parameters:
        audio: All samples, PCM s16le.
        sample_rate: In Hz.
        gap: Seconds in which nothing was played, between two chunks.
    """

    audio: bytes
    sample_rate: int
    gap: float

    @property
    def heard(self) -> Heard:
        """What a listener understood."""
        return listen(self.audio, sample_rate=self.sample_rate)


@dataclass
class Call:
    """A call under way.

    Parameters:
        bot: The pipeline.
        log: What has happened.
        sample_rate: Of what is played, in Hz.
    """

    bot: Bot
    log: Log
    sample_rate: int

    async def open(self) -> None:
        """Let the LLM begin the conversation."""
        await self.bot.send(LLMRunFrame())

    async def say(self, text: str) -> None:
        """Speak as the user."""
        await self.bot.send(VADUserStartedSpeakingFrame())
        await asyncio.sleep(0.2)
        await self.bot.send(TranscriptionFrame(text, "user", ""), VADUserStoppedSpeakingFrame())

    async def until(self, what: str, count: int) -> None:
        """Wait until something has happened so many times."""
        await self.log.until(lambda: self.count(what) >= count)

    async def until_heard(self, count: int) -> None:
        """Wait until so many words have been played."""
        await self.log.until(lambda: len(self._heard().words) >= count)

    def count(self, what: str) -> int:
        """Tell how often something has happened."""
        return sum(event.what == what for event in self.log.events)

    def _heard(self) -> Heard:
        audio = b"".join(event.audio for event in self.log.events)
        return listen(audio, sample_rate=self.sample_rate)

    def course(self) -> "Course":
        """Return what has happened, in a form that can be compared."""
        course = Course(_played(self.log.events, self.sample_rate))
        began = 0.0
        for event in self.log.events:
            began = event.at if event.what == "bot started" else began
            if event.what != "chunk":
                course.events.append((event.what, event.at - began if began else None))
        for message in self.bot.context.get_messages():
            if isinstance(message, dict):
                course.messages.append((str(message["role"]), str(message["content"])))
        return course


@dataclass
class Course:
    """What happened in a call.

    Parameters:
        turns: What was played in each turn.
        events: Everything but chunks, with the seconds since the bot last started speaking.
        messages: The LLM context: roles and contents.
    """

    turns: list[Played]
    events: list[tuple[str, float | None]] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)

    @property
    def order(self) -> list[str]:
        """What happened, without times."""
        return [what for what, _ in self.events]


def _played(events: Sequence[Event], sample_rate: int) -> list[Played]:
    """Sort what was played by turns; what belongs to none is a turn that stands for a mistake."""
    turns: list[list[Event]] = [[]]
    for event in events:
        if event.what in ("bot started", "bot stopped"):
            turns.append([])
        elif event.what == "chunk":
            turns[-1].append(event)
    played = []
    for chunks in filter(None, turns):
        waits = [
            late.at - early.at - len(early.audio) / 2 / sample_rate
            for early, late in pairwise(chunks)
        ]
        gap = sum(wait for wait in waits if wait > _LATE)
        played.append(Played(b"".join(chunk.audio for chunk in chunks), sample_rate, gap))
    return played


def differences(expected: Course, actual: Course, *, tolerance: float = 0.020) -> list[str]:
    """Say what differs between two calls in which the same was said.

    Takes may differ; a gap may be shorter.

    Args:
        expected: The call without a cache.
        actual: The other.
        tolerance: How far times may be apart, in seconds.
    """
    found = []
    if expected.order != actual.order:
        found.append(f"order: expected {expected.order}, got {actual.order}")
    for (what, early), (_, late) in zip(expected.events, actual.events, strict=False):
        if early is not None and late is not None and abs(early - late) > tolerance:
            found.append(f"{what} at {late:.3f} s, not {early:.3f} s")
    if expected.messages != actual.messages:
        found.append(f"messages: expected {expected.messages}, got {actual.messages}")
    nothing = Played(b"", 1, 0.0)
    for number, (one, other) in enumerate(
        zip_longest(expected.turns, actual.turns, fillvalue=nothing)
    ):
        found += [f"turn {number}: {what}" for what in _played_otherwise(one, other, tolerance)]
    return found


def _played_otherwise(one: Played, other: Played, tolerance: float) -> list[str]:
    found = []
    for what in ("words", "flaws"):
        expected, actual = getattr(one.heard, what), getattr(other.heard, what)
        if expected != actual:
            found.append(f"{what}: expected {expected}, got {actual}")
    if len(one.audio) != len(other.audio):
        found.append(f"{len(other.audio)} bytes, not {len(one.audio)}")
    if other.gap > one.gap + tolerance:
        found.append(f"{other.gap:.3f} s of gaps, not {one.gap:.3f} s")
    return found


@asynccontextmanager
async def calling(
    service: TTSService,
    answers: Sequence[str],
    *,
    mute: Sequence[type[BaseUserMuteStrategy]] = (),
    sample_rate: int = 24_000,
    speaker_rate: int | None = None,
) -> AsyncIterator[Call]:
    """Hold a call until the block ends.

    Args:
        service: The TTS service.
        answers: What the LLM says, one for each time that it is asked.
        mute: When the user is not listened to.
        sample_rate: Of the pipeline's output, in Hz.
        speaker_rate: Of the loudspeaker, if another.
    """
    log, context = Log(), LLMContext()
    pair = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()]),
            user_mute_strategies=[strategy() for strategy in mute],
            user_idle_timeout=IDLE_SECONDS,
        ),
    )

    async def note_message(_: Any, message: AssistantTurnStoppedMessage) -> None:
        log.note(f"{'cut off' if message.interrupted else 'committed'}: {message.content}")

    def noting(what: str) -> Any:
        async def note(*_: Any) -> None:
            log.note(what)

        return note

    pair.assistant().add_event_handler("on_assistant_turn_stopped", note_message)
    pair.user().add_event_handler("on_user_mute_started", noting("muted"))
    pair.user().add_event_handler("on_user_mute_stopped", noting("unmuted"))
    pair.user().add_event_handler("on_user_turn_idle", noting("idle"))
    async with running(
        service,
        sample_rate=sample_rate,
        context=context,
        in_front=[pair.user(), ScriptedLLM(answers)],
        behind=[Loudspeaker(log, speaker_rate)],
        assistant=pair.assistant(),
    ) as bot:
        yield Call(bot, log, speaker_rate or sample_rate)
