#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What HTTP providers have in common: a request, and a body that streams."""

import asyncio
from abc import abstractmethod
from typing import Any

from aiohttp import ClientSession, web

from pipecat_tts_cache.testing.provider import (
    ConnectionLost,
    Fault,
    NothingMore,
    Piece,
    Refused,
    Request,
)
from tests.providers.server import Server, cut


class HttpServer(Server):
    """A provider that is asked by POST and answers with a streamed body.

    HTTP has no end signal but the end of the body, so `Fault.UNENDED` leaves the body open, and
    `Fault.ERROR_AFTER_END` cuts the connection behind the last byte of audio. `Fault.LATE` is like
    `Fault.STALLED`, for a client cancels by going away. `Fault.BROKEN` is like `Fault.LOST` where
    the protocol has no error inside a body.
    """

    content_type = "application/octet-stream"

    def __init__(self, **pacing: Any) -> None:
        super().__init__(**pacing)
        self._numbers: dict[object, int] = {}

    async def answer(self, http: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self._open.append(http)
        try:
            return await self._answer(http)
        finally:
            self._open.remove(http)

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        request = await self.take(http, self._number(http))
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        response.content_type = self.content_type
        try:
            await self._stream(http, request, response)
        except ConnectionLost:
            cut(http)
        except Refused:
            return await self._refuse(http, request, response)
        except NothingMore:
            await asyncio.Event().wait()
        return response

    async def _stream(
        self, http: web.Request, request: Request, response: web.StreamResponse
    ) -> None:
        ahead = self.opening(request)
        async for piece in self.pieces(request):
            await _write(http, response, ahead + self.encode(request, piece))
            ahead = b""
        if request.fault is Fault.ERROR_AFTER_END:
            raise ConnectionLost
        await _write(http, response, ahead + self.closing(request))
        if not response.prepared:
            await response.prepare(http)
        await response.write_eof()

    async def _refuse(
        self, http: web.Request, request: Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        if not response.prepared:
            return web.json_response(self.error(), status=self.status(request))
        broken = self.broken()
        if broken is None:
            cut(http)
        else:
            await response.write(broken)
            await response.write_eof()
        return response

    def _number(self, http: web.Request) -> int:
        transport = http.transport
        if transport not in self._numbers:
            self.connections += 1
            self._numbers[transport] = self.connections
        return self._numbers[transport]

    @abstractmethod
    async def take(self, request: web.Request, connection: int) -> Request:
        """Read what is asked for and note it down."""

    def opening(self, request: Request) -> bytes:
        """Return what the body begins with."""
        return b""

    @abstractmethod
    def encode(self, request: Request, piece: Piece) -> bytes:
        """Put a piece of audio into the form of the body; nothing if it goes with what follows."""

    def closing(self, request: Request) -> bytes:
        """Return what the body ends with."""
        return b""

    def status(self, request: Request) -> int:
        """Return the HTTP status of an error."""
        return request.trouble.status if request.trouble else 500

    @abstractmethod
    def broken(self) -> bytes | None:
        """Return an error inside the body, or `None` where there is no such thing."""

    @abstractmethod
    def error(self) -> dict[str, object]:
        """Return the body of an error."""


class SessionServer(HttpServer):
    """A provider for services that take a session of aiohttp and ask in JSON."""

    root = ""
    """What belongs to the address that the service is given."""

    path = ""
    """What the service appends to it."""

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a session that is closed with the server."""
        session = ClientSession()
        self._clients.push_async_callback(session.close)
        address = {self.address: self.url + self.root} if self.address else {}
        return {**address, "api_key": "key", "aiohttp_session": session}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer where the service asks."""
        router.add_post(self.root + self.path, self.answer)

    async def take(self, request: web.Request, connection: int) -> Request:
        """Read what is to be said, and how: from the path, the query and the body."""
        asked = {**request.match_info, **request.query, **await request.json()}
        text, sample_rate = self.read(asked)
        return await self.ask(text, connection=connection, sample_rate=sample_rate, **asked)

    @abstractmethod
    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Take the text and the sample rate out of what is asked; settings are what is left."""

    def broken(self) -> bytes | None:
        """Nothing can be said in the middle of the audio."""
        return None

    def error(self) -> dict[str, object]:
        """Report an error."""
        return {"error": "Synthesis failed"}


def point_at(service: Any, server: SessionServer) -> None:
    """Tell a service with a fixed address where the provider is."""
    service._base_url = server.url + server.path


def demand(asked: dict[str, Any], **expected: object) -> None:
    """Take out of what is asked that which has to be so.

    Raises:
        ValueError: Something is otherwise.
    """
    for name, value in expected.items():
        if (given := asked.pop(name)) != value:
            raise ValueError(f"{name} is {given!r}, not {value!r}")


async def _write(http: web.Request, response: web.StreamResponse, data: bytes) -> None:
    if not data:
        return
    if not response.prepared:
        await response.prepare(http)
    await response.write(data)
