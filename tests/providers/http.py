#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What HTTP providers have in common: a request, and a body that streams."""

import asyncio
from abc import abstractmethod
from typing import Any

from aiohttp import web

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
        async for piece in self.pieces(request):
            if not response.prepared:
                await response.prepare(http)
            await response.write(self.encode(request, piece))
        if request.fault is Fault.ERROR_AFTER_END:
            raise ConnectionLost
        if not response.prepared:
            await response.prepare(http)
        await response.write_eof()

    async def _refuse(
        self, http: web.Request, request: Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        if not response.prepared:
            status = request.trouble.status if request.trouble else 500
            return web.json_response(self.error(), status=status)
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

    @abstractmethod
    def encode(self, request: Request, piece: Piece) -> bytes:
        """Put a piece of audio into the form of the body."""

    @abstractmethod
    def broken(self) -> bytes | None:
        """Return an error inside the body, or `None` where there is no such thing."""

    @abstractmethod
    def error(self) -> dict[str, object]:
        """Return the body of an error."""
