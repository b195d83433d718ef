#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What WebSocket providers have in common: connections, and lines on which speech goes out."""

import asyncio
import json
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from pipecat_tts_cache.testing.provider import (
    ConnectionLost,
    Fault,
    NothingMore,
    Piece,
    Refused,
    Request,
)
from tests.providers.server import Server, cut

Signal = Callable[[], Awaitable[None]]


@dataclass(eq=False)
class Peer:
    """One connection.

    Parameters:
        number: Its running number, from 1.
        request: The handshake, with its headers and query.
        socket: The WebSocket.
        lines: What is being said on it, by context.
        every_line: Also those whose context is over.
    """

    number: int
    request: web.Request
    socket: web.WebSocketResponse
    lines: dict[str | None, "Line"] = field(default_factory=dict)
    every_line: list["Line"] = field(default_factory=list)

    async def send(self, message: dict[str, Any] | bytes) -> None:
        """Send JSON as text, or audio as it is."""
        if isinstance(message, bytes):
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_str(json.dumps(message))

    def hang_up(self) -> None:
        """Cut the connection without a word."""
        cut(self.request)


class Line:
    """What is said in one context (or on one connection), in order: texts, and signals between.

    When nothing more comes for a text, that is the end of its context; where there are none, the
    next signal is left out, and the line goes on. So it is when a text fails on a line that goes on
    after errors.

    Args:
        server: The provider.
        peer: The connection.
        context_id: The context, where there is one.
        settings: What the page remembers of the context.
    """

    def __init__(
        self,
        server: "WebSocketServer",
        peer: Peer,
        context_id: str | None = None,
        **settings: Any,
    ) -> None:
        self.server, self.peer, self.context_id = server, peer, context_id
        self.settings = settings
        self.elapsed = 0.0
        self._unsignalled = False
        self._spoken: list[Request] = []
        self._queue: asyncio.Queue[Request | Signal] = asyncio.Queue()
        self._current: Request | None = None
        self._task = asyncio.create_task(self._run())
        peer.every_line.append(self)

    def say(self, request: Request) -> None:
        """Speak a request after what is already on the line."""
        self._queue.put_nowait(request)

    def then(self, signal: Signal) -> None:
        """Send something after what is already on the line."""
        self._queue.put_nowait(signal)

    def cancel(self) -> None:
        """Say nothing more of what is on the line, but for what comes late."""
        current = self._current
        self._unsignalled = False
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, Request):
                item.cancelled.set()
        if current:
            current.cancelled.set()
        if not current or current.fault is not Fault.LATE:
            self.close()
            self._task = asyncio.create_task(self._run())

    def drop_waiting(self) -> None:
        """Say nothing but what is being said now, with the signal behind it."""
        items = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for signal in takewhile(lambda item: not isinstance(item, Request), items):
            self._queue.put_nowait(signal)
        for request in (self._current, *items):
            if isinstance(request, Request):
                request.cancelled.set()

    def close(self) -> None:
        """Stop at once."""
        self._task.cancel()
        self._current = None

    async def _run(self) -> None:
        going_on = True
        try:
            while going_on:
                item = await self._queue.get()
                try:
                    await (self._say(item) if isinstance(item, Request) else self._signal(item))
                except Refused:
                    if self._current:
                        await self.server.refuse(self, self._current)
                    self._unsignalled = isinstance(item, Request)
                    going_on = self.server.goes_on_after_errors
        except ConnectionLost:
            self.peer.hang_up()
        except ConnectionResetError:
            pass  # the client has gone

    async def _say(self, request: Request) -> None:
        self._current = request
        self._spoken.append(request)
        try:
            async for piece in self.server.pieces(request):
                await self.server.deliver(self, request, piece)
        except NothingMore:
            if self.context_id is not None:
                await asyncio.Event().wait()
            self._unsignalled = True
        self.elapsed += request.speech.duration

    async def _signal(self, signal: Signal) -> None:
        if self._unsignalled:
            self._unsignalled = False
            return
        await signal()
        spoken, self._spoken = self._spoken, []
        if any(request.fault is Fault.ERROR_AFTER_END for request in spoken):
            raise Refused


class WebSocketServer(Server):
    """A provider that is spoken to over a WebSocket."""

    scheme = "ws"
    subprotocols: tuple[str, ...] = ()
    goes_on_after_errors = False
    """Whether a line on which a text has failed goes on with what is behind it."""

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(autoping=True, max_msg_size=0, protocols=self.subprotocols)
        await socket.prepare(request)
        self.connections += 1
        peer = Peer(self.connections, request, socket)
        self._open.append(request)
        try:
            await self.greet(peer)
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    received = self.read(peer, message)
                    self.messages.append((peer.number, received))
                    await self.receive(peer, received)
        finally:
            self._open.remove(request)
            for line in peer.every_line:
                line.close()
        return socket

    async def greet(self, peer: Peer) -> None:
        """Say what the provider says before it is asked for anything."""

    def line(self, peer: Peer) -> Line:
        """Return the one line of a connection without contexts."""
        if None not in peer.lines:
            peer.lines[None] = Line(self, peer)
        return peer.lines[None]

    def read(self, peer: Peer, message: WSMessage) -> dict[str, Any]:
        """Make sense of a message of the client: JSON, if the page does not say otherwise."""
        received: dict[str, Any] = json.loads(message.data)
        return received

    @abstractmethod
    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Do what a message of the client asks for."""

    @abstractmethod
    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a piece of audio, with what the protocol tells about its words."""

    @abstractmethod
    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error as the provider does."""
