#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""OpenAI over HTTP: one request a text, its audio streamed in the body."""

from typing import Any

from aiohttp import web
from openai import DefaultAsyncHttpxClient

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import HttpServer
from tests.providers.kind import Kind

SAMPLE_RATE = 24_000


class OpenAIServer(HttpServer):
    """For `OpenAITTSService(**server.options())`."""

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a client that is closed with the server."""
        client = DefaultAsyncHttpxClient()
        self._clients.push_async_callback(client.aclose)
        return {**super().options(), "http_client": client}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on OpenAI's path, as the client appends it to its base url."""
        router.add_post("/audio/speech", self.answer)

    async def take(self, request: web.Request, connection: int) -> Request:
        """Read what is to be said, and how."""
        asked = await request.json()
        text = asked.pop("input")
        return await self.ask(text, connection=connection, sample_rate=SAMPLE_RATE, **asked)

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the bare audio."""
        return piece.audio

    def broken(self) -> None:
        """Nothing can be said in the middle of the audio."""

    def error(self) -> dict[str, object]:
        """Report an error as OpenAI does."""
        return {"error": {"message": "Synthesis failed", "type": "invalid_request_error"}}


KINDS = (Kind(service="OpenAITTSService", server=OpenAIServer, voices=("alloy", "nova")),)
