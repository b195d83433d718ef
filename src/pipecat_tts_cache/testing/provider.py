#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What every provider has in common: it is asked, takes its time, speaks, and sometimes fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle, pairwise
from typing import Any

from pipecat_tts_cache.testing.voice import Speech, speak


class Fault(StrEnum):
    """What can go wrong with one request. *Half* ends in the middle of a word."""

    ERROR = "an error message instead of audio"
    BROKEN = "half of the audio, then an error message"
    LOST = "half of the audio, then the connection is gone"
    STALLED = "half of the audio, then nothing more"
    SILENT = "no answer at all"
    UNENDED = "all of the audio, but never the signal that it ended"
    EMPTY = "an end without any audio"
    SLOW = "the first audio later than usual"
    ERROR_AFTER_END = "all of the audio and its end signal, then an error message"
    LATE = "half of the audio, and the rest when the request was cancelled"


@dataclass
class Trouble:
    """A fault that waits for its request.

    Parameters:
        fault: What goes wrong.
        text: Only a request for this text has the fault; `None` for whichever comes next.
        times: How many requests have it.
        seconds: How much later, for `Fault.SLOW`; how long after, for `Fault.LATE`.
        status: The HTTP status or the code of an error, where the protocol has one.
    """

    fault: Fault
    text: str | None = None
    times: int = 1
    seconds: float = 0.3
    status: int = 400


@dataclass(eq=False)
class Request:
    """A text that the provider was asked to speak.

    Parameters:
        text: As it was received.
        take: The running number of the request on this server, audible in every word.
        connection: The running number of the connection it came on.
        context_id: The provider's context, where the protocol has them.
        settings: Voice and everything else that came with it, as the protocol names it.
        sample_rate: Of the audio asked for, in Hz.
        speech: What is said.
        trouble: The fault that it was given, if any.
        cancelled: Set when the client no longer wants it.
        stuck: Set when a fault lets nothing more come of it for now.
        sent: How many bytes of audio have left.
    """

    text: str
    take: int
    connection: int
    context_id: str | None
    settings: dict[str, Any]
    sample_rate: int
    speech: Speech
    trouble: Trouble | None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    @property
    def fault(self) -> Fault | None:
        """The fault that it has, if any."""
        return self.trouble.fault if self.trouble else None

    @property
    def whole(self) -> bool:
        """Whether all of its audio has left."""
        return self.sent == len(self.speech.audio)


@dataclass(frozen=True)
class Piece:
    """A chunk of a request's audio, which starts and ends at these seconds of it."""

    audio: bytes
    start: float
    end: float

    def words(self, speech: Speech) -> list[tuple[str, float, float]]:
        """The words that begin in this piece."""
        return [word for word in speech.words if self.start <= word[1] < self.end]


class ConnectionLost(Exception):  # noqa: N818
    """The connection breaks now."""


class Refused(Exception):  # noqa: N818
    """The provider reports an error now."""


class NothingMore(Exception):  # noqa: N818
    """Neither more audio nor the end of this request will ever come."""


class Provider:
    """Someone who speaks when asked, without a protocol.

    Args:
        first_audio: Seconds from a request to its first audio.
        speed: Audio is generated at this multiple of real time; `None` for at once.
        chunk_ms: Length of a chunk of audio, in milliseconds.
        tempo: How many times faster than usual the voice speaks.
        turns: How often the event loop turns before each chunk, over and over, without a `speed`.
    """

    def __init__(
        self,
        *,
        first_audio: float = 0.0,
        speed: float | None = None,
        chunk_ms: float = 40.0,
        tempo: float = 1.0,
        turns: Sequence[int] = (1,),
    ) -> None:
        self.first_audio, self.speed, self.chunk_ms = first_audio, speed, chunk_ms
        self.tempo, self._turns = tempo, cycle(turns)
        self.requests: list[Request] = []
        self._troubles: list[Trouble] = []
        self._asked = asyncio.Condition()

    @property
    def texts(self) -> list[str]:
        """The texts asked for so far, without white space around them."""
        return [request.text.strip() for request in self.requests]

    def fail(self, fault: Fault, *, text: str | None = None, **details: Any) -> None:
        """Give a fault to the next request, or to the next one for a text.

        Args:
            fault: What goes wrong.
            text: Which request, white space around it aside.
            details: `times`, `seconds` and `status` of `Trouble`.
        """
        self._troubles.append(Trouble(fault, text, **details))

    def forgive(self) -> None:
        """Take back the faults that have not come to pass yet."""
        self._troubles.clear()

    async def asked(self, count: int) -> None:
        """Wait until that many requests have come."""
        async with self._asked:
            await self._asked.wait_for(lambda: len(self.requests) >= count)

    async def ask(
        self,
        text: str,
        *,
        connection: int,
        sample_rate: int,
        context_id: str | None = None,
        **settings: Any,
    ) -> Request:
        """Take a request down and decide what becomes of it."""
        take = len(self.requests) + 1
        speech = speak(text, sample_rate=sample_rate, take=take, tempo=self.tempo)
        trouble = self._trouble_for(text)
        request = Request(
            text, take, connection, context_id, settings, sample_rate, speech, trouble
        )
        self.requests.append(request)
        async with self._asked:
            self._asked.notify_all()
        return request

    def _trouble_for(self, text: str) -> Trouble | None:
        for trouble in self._troubles:
            if trouble.text is None or trouble.text.strip() == text.strip():
                trouble.times -= 1
                if not trouble.times:
                    self._troubles.remove(trouble)
                return trouble
        return None

    def cuts(self, request: Request) -> list[int]:
        """Where the audio of a request is cut into chunks, as ascending numbers of samples."""
        step = max(1, round(self.chunk_ms * request.sample_rate / 1000))
        return list(range(step, len(request.speech.audio) // 2, step))

    async def pieces(self, request: Request) -> AsyncIterator[Piece]:
        """Speak a request at the server's pace, with the faults that it was given.

        Raises:
            ConnectionLost: The connection is to be cut.
            Refused: An error is to be reported.
            NothingMore: Nothing more is to be sent for this request, not even its end.
        """
        fault, late = request.fault, request.trouble.seconds if request.trouble else 0.0
        if fault is Fault.SILENT:
            self._get_stuck(request)
        if fault is Fault.ERROR:
            raise Refused
        begin = asyncio.get_running_loop().time() + self.first_audio
        begin += late if fault is Fault.SLOW else 0.0
        for piece in self._cut_up(request):
            await self._wait(begin + piece.start / self.speed if self.speed else begin)
            request.sent += len(piece.audio)
            yield piece
            if request.sent == _half(request):
                await self._interfere(request)
        if fault is Fault.UNENDED:
            self._get_stuck(request)

    def _cut_up(self, request: Request) -> list[Piece]:
        audio, rate = request.speech.audio, request.sample_rate
        if request.fault is Fault.EMPTY:
            return []
        cuts = {0, *self.cuts(request), len(audio) // 2}
        if _half(request):
            cuts.add(_half(request) // 2)
        edges = sorted(cuts)
        return [
            Piece(audio[2 * start : 2 * end], start / rate, end / rate)
            for start, end in pairwise(edges)
        ]

    async def _interfere(self, request: Request) -> None:
        match request.fault:
            case Fault.BROKEN:
                raise Refused
            case Fault.LOST:
                raise ConnectionLost
            case Fault.STALLED:
                self._get_stuck(request)
            case Fault.LATE:
                request.stuck.set()
                await request.cancelled.wait()
                await asyncio.sleep(request.trouble.seconds if request.trouble else 0)
            case _:
                pass

    @staticmethod
    def _get_stuck(request: Request) -> None:
        request.stuck.set()
        raise NothingMore

    async def _wait(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
        for _ in range(next(self._turns) - 1):
            await asyncio.sleep(0)


_HALVED = (Fault.BROKEN, Fault.LOST, Fault.STALLED, Fault.LATE)


def _half(request: Request) -> int:
    """Return how many bytes half of the audio is, cut in a word; 0 if it is not halved."""
    words = request.speech.words
    if request.fault not in _HALVED or not words:
        return 0
    _, start, end = words[len(words) // 2]
    return 2 * round((start + end) / 2 * request.sample_rate)
