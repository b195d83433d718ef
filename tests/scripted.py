#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""TTS services of each kind, without a network, quick enough for thousands of turns.

They behave towards Pipecat as the services named with them do, and are driven by a `Provider`,
which knows the readable voice, pacing and faults, and notes down every request.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import InterruptibleTTSService, TTSService, WebsocketTTSService
from websockets.exceptions import ConnectionClosedError
from websockets.protocol import State

from pipecat_tts_cache.testing.provider import (
    ConnectionLost,
    Fault,
    NothingMore,
    Piece,
    Provider,
    Refused,
    Request,
)
from tests.providers.websocket import Line

Words = list[tuple[str, float]]


class _Scripted(TTSService):
    """What all scripted services share.

    Args:
        provider: Who speaks; a quick one without faults if left out.
        kwargs: Arguments of Pipecat's base class.
    """

    Settings = TTSSettings

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("settings", TTSSettings(model="scripted", voice="anna", language=None))
        super().__init__(**kwargs)
        self.provider = provider or Provider()

    def can_generate_metrics(self) -> bool:
        return True

    async def ask(self, text: str, context_id: str) -> Request:
        """Ask the provider for a text, with the settings of the moment."""
        given = self._settings.given_fields()
        return await self.provider.ask(
            text, connection=1, sample_rate=self.sample_rate, context_id=context_id, **given
        )

    def frame(self, piece: Piece, context_id: str | None) -> TTSAudioRawFrame:
        """Put a piece of audio into a frame."""
        return TTSAudioRawFrame(piece.audio, self.sample_rate, 1, context_id=context_id)


class InlineService(_Scripted):
    """Yields its audio from `run_tts`, and tells nothing about words, as OpenAI over HTTP does.

    A lost connection leaves `run_tts` as an exception; an error is yielded; an error after the end
    is pushed upstream.
    """

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        options = {"push_start_frame": True, "push_stop_frames": True, **kwargs}
        super().__init__(provider, **options)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        request = await self.ask(text, context_id)
        await self.start_tts_usage_metrics(text)
        try:
            async for piece in self.provider.pieces(request):
                yield self.frame(piece, context_id)
                await self.spoken(request, piece, context_id)
        except Refused:
            yield ErrorFrame(error="Synthesis failed")
        except NothingMore:
            await asyncio.Event().wait()
        if request.fault is Fault.ERROR_AFTER_END:
            await self.push_error("Synthesis failed")
        await self.said(request)

    async def spoken(self, request: Request, piece: Piece, context_id: str) -> None:
        """Do what is to be done after each piece of audio."""

    async def said(self, request: Request) -> None:
        """Do what is to be done after each text."""


class InlineWordsService(InlineService):
    """Yields its audio and tells about words, on a clock that runs on over the sentences of a turn.

    As ElevenLabs over HTTP does. The clock is set back when the stop or an interruption is pushed.
    """

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(provider, push_text_frames=False, **kwargs)
        self._cumulative_time = 0.0

    async def spoken(self, request: Request, piece: Piece, context_id: str) -> None:
        words = [(w, self._cumulative_time + start) for w, start, _ in piece.words(request.speech)]
        if words:
            await self.add_word_timestamps(words, context_id)

    async def said(self, request: Request) -> None:
        self._cumulative_time += request.speech.duration

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        await super().push_frame(frame, direction)
        if isinstance(frame, (TTSStoppedFrame, InterruptionFrame)):
            self._cumulative_time = 0.0


@dataclass(frozen=True)
class _Message:
    """What comes over a wire: audio with words, an `end`, or an `error`."""

    kind: str
    context_id: str | None
    piece: Piece | None = None
    words: tuple[tuple[str, float], ...] = ()


class _Wire:
    """A connection without a network. What the provider sends is read from a queue."""

    def __init__(self) -> None:
        self.state = State.OPEN
        self.lines: dict[str | None, Line] = {}
        self.every_line: list[Line] = []
        self._queue: asyncio.Queue[_Message | None] = asyncio.Queue()

    async def send(self, message: _Message) -> None:
        """Send something from the provider to the service."""
        self._queue.put_nowait(message)

    def hang_up(self) -> None:
        """Break."""
        self.state = State.CLOSED
        self._queue.put_nowait(None)

    async def ping(self) -> None:
        """Be there."""

    async def close(self) -> None:
        """Say nothing more."""
        self.state = State.CLOSED
        for line in self.every_line:
            line.close()

    def __aiter__(self) -> "_Wire":
        return self

    async def __anext__(self) -> _Message:
        message = await self._queue.get()
        if message is None:
            raise ConnectionClosedError(None, None)
        return message


class _Streaming(_Scripted, WebsocketTTSService):
    """Receives audio in a task of its own, over a wire."""

    names_context = True

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(provider, **kwargs)
        self._receive_task: asyncio.Task[None] | None = None

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        await self._connect()

    async def _connect(self) -> None:
        await super()._connect()
        await self._connect_websocket()
        if not self._receive_task:
            self._receive_task = self.create_task(self._receive_task_handler(self._report_error))

    async def _disconnect(self) -> None:
        await super()._disconnect()
        if self._receive_task:
            await self.cancel_task(self._receive_task)
            self._receive_task = None
        await self._disconnect_websocket()

    async def _connect_websocket(self) -> None:
        if not self._websocket or self._websocket.state is State.CLOSED:
            self._websocket = _Wire()

    async def _disconnect_websocket(self) -> None:
        await self.stop_all_metrics()
        if self._websocket:
            await self._websocket.close()
        self._websocket = None

    async def _receive_messages(self) -> None:
        async for message in self._websocket:
            await self.receive(message)

    def line(self, context_id: str | None, *, new: bool = False) -> Line | None:
        """Return the provider's side of a context, opened if it is to be `new`."""
        name = context_id if self.names_context else None
        lines = self._websocket.lines if self._websocket else {}
        if new and name not in lines:
            lines[name] = Line(self, self._websocket, name)
        return lines.get(name)

    def end(self, context_id: str | None) -> None:
        """Ask the provider to say when all of a context has been said."""
        line = self.line(context_id)
        if line:
            line.then(partial(line.peer.send, _Message("end", line.context_id)))

    def cancel_line(self, context_id: str | None) -> None:
        """Ask the provider to say no more of a context."""
        line = self.line(context_id)
        if line:
            line.cancel()

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if not self._websocket or self._websocket.state is State.CLOSED:
            await self._connect()
        async for frame in self.open_context(context_id):
            yield frame
        request = await self.ask(text, context_id)
        line = self.line(context_id, new=True)
        if line:
            line.say(request)
        await self.start_tts_usage_metrics(text)
        yield None

    async def open_context(self, context_id: str) -> AsyncGenerator[Frame, None]:
        """Do what is to be done before a text is sent; most leave that to the base class."""
        return
        yield

    def pieces(self, request: Request) -> Any:
        """Let the provider speak."""
        return self.provider.pieces(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a piece over the wire, its words timed from the start of the context."""
        words = piece.words(request.speech)
        timed = tuple((word, line.elapsed + start) for word, start, _ in words)
        await line.peer.send(_Message("audio", line.context_id, piece, timed))

    async def refuse(self, line: Line, request: Request) -> None:
        """Send an error over the wire."""
        await line.peer.send(_Message("error", line.context_id))

    async def receive(self, message: _Message) -> None:
        """Do with a message what services with contexts do."""
        context_id = message.context_id
        if not self.names_context:
            context_id = self.get_active_audio_context_id()
        elif not context_id or not self.audio_context_available(context_id):
            return
        if message.piece:
            await self.append_to_audio_context(context_id, self.frame(message.piece, context_id))
            await self.words(message, context_id)
        elif message.kind == "end":
            await self.append_to_audio_context(context_id, TTSStoppedFrame(context_id=context_id))
            await self.remove_audio_context(context_id)
        else:
            await self.failed(context_id)

    async def words(self, message: _Message, context_id: str | None) -> None:
        """Tell about the words that came with audio, if the service does."""

    async def failed(self, context_id: str | None) -> None:
        """Report an error of the provider, which hangs up."""
        await self.push_error("Synthesis failed")
        raise ConnectionLost


class OverlappingService(_Streaming):
    """Has contexts side by side, with words timed from their start, as Cartesia does."""

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        options = {"push_start_frame": True, "push_text_frames": False, **kwargs}
        super().__init__(provider, **options)

    async def flush_audio(self, context_id: str | None = None) -> None:
        self.end(context_id or self.get_active_audio_context_id())

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await self.stop_all_metrics()
        self.cancel_line(context_id)
        await super().on_audio_context_interrupted(context_id)

    async def words(self, message: _Message, context_id: str | None) -> None:
        if message.words:
            await self.add_word_timestamps(list(message.words), context_id)

    async def failed(self, context_id: str | None) -> None:
        await self.push_frame(TTSStoppedFrame(context_id=context_id))
        await self.stop_all_metrics()
        await self.push_error("Synthesis failed")
        self.reset_active_audio_context()


class SharedClockService(_Streaming):
    """Has contexts, but one clock for their words, and keeps the last word of each to itself.

    As ElevenLabs does over a WebSocket: the context is opened by `run_tts` and ended by closing it
    when the turn is complete; a word is told when the next one begins.
    """

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        options = {"pause_frame_processing": True, "push_text_frames": False, **kwargs}
        super().__init__(provider, **options)
        self._reset_word_clock()

    def _reset_word_clock(self) -> None:
        self._cumulative_time = 0.0
        self._partial_word, self._partial_word_start_time = "", 0.0

    async def open_context(self, context_id: str) -> AsyncGenerator[Frame, None]:
        if not self.audio_context_available(context_id):
            await self.create_audio_context(context_id)
            await self.start_ttfb_metrics()
            yield TTSStartedFrame(context_id=context_id)
            self._reset_word_clock()

    async def on_turn_context_completed(self) -> None:
        context_id = self._turn_context_id
        await super().on_turn_context_completed()
        if context_id:
            self.end(context_id)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        self.end(context_id)
        self._reset_word_clock()
        await super().on_audio_context_interrupted(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        self._reset_word_clock()
        await super().on_audio_context_completed(context_id)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        words = piece.words(request.speech)
        timed = tuple((word, start - piece.start) for word, start, _ in words)
        await line.peer.send(_Message("audio", line.context_id, piece, timed))

    async def words(self, message: _Message, context_id: str | None) -> None:
        for word, start in message.words:
            if self._partial_word:
                known = [(self._partial_word, self._partial_word_start_time)]
                await self.add_word_timestamps(known, context_id)
            self._partial_word = word
            self._partial_word_start_time = self._cumulative_time + start
        if message.piece:
            self._cumulative_time += message.piece.end - message.piece.start


class InOrderService(_Streaming):
    """Has no contexts: audio comes in the order asked for, an end for every flush, as Deepgram."""

    names_context = False

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        options = {"push_start_frame": True, "pause_frame_processing": True, **kwargs}
        options = {"append_trailing_space": True, **options}
        super().__init__(provider, **options)

    async def flush_audio(self, context_id: str | None = None) -> None:
        self.line(None, new=True)
        self.end(None)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        await self.stop_all_metrics()
        self.cancel_line(None)
        await super().on_audio_context_interrupted(context_id)


class EndlessService(_Streaming, InterruptibleTTSService):
    """Has no contexts and no ends; silence is taken for the end, as with Neuphonic."""

    names_context = False

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        options = {"push_start_frame": True, "push_stop_frames": True, **kwargs}
        options = {"pause_frame_processing": True, "stop_frame_timeout_s": 0.1, **options}
        super().__init__(provider, **options)


SCRIPTED: dict[str, type[_Scripted]] = {
    "inline": InlineService,
    "inline words": InlineWordsService,
    "overlapping": OverlappingService,
    "shared clock": SharedClockService,
    "in order": InOrderService,
    "endless": EndlessService,
}
"""A service of every kind, by the name of the kind."""
