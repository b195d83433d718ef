#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Cartesia over WebSocket: contexts side by side, each with words, its end and a cancel."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

SMALLEST_PLAN = 2  # contexts at once


class CartesiaServer(WebSocketServer):
    """For `CartesiaTTSService(**server.options())`.

    Args:
        max_contexts: More contexts than these at once are refused with status 429.
        kwargs: Pacing, see `Provider`.
    """

    address = "url"

    def __init__(self, *, max_contexts: int = SMALLEST_PLAN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_contexts = max_contexts

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a transcript, the end of a context, or its cancellation."""
        context_id = message["context_id"]
        line = peer.lines.get(context_id)
        if message.get("cancel"):
            if line:
                line.cancel()
                del peer.lines[context_id]
            return
        text = message["transcript"]
        if line is None:
            line = await self._open_context(peer, message)
        if line is None:
            return
        if text:
            voice, rate = message["voice"]["id"], message["output_format"]["sample_rate"]
            settings = {k: v for k, v in message.items() if k not in _NOT_SETTINGS}
            request = await self.ask(
                text,
                connection=peer.number,
                context_id=context_id,
                sample_rate=rate,
                **{**settings, "voice": voice},
            )
            line.say(request)
        if not message["continue"]:
            line.then(partial(self._finish, line))

    async def _open_context(self, peer: Peer, message: dict[str, Any]) -> Line | None:
        context_id = message["context_id"]
        if not message["transcript"]:
            await self._error(peer, context_id, 400, "Invalid context ID")
            return None
        if len(peer.lines) >= self.max_contexts:
            await self._error(peer, context_id, 429, "Too many concurrent contexts")
            return None
        peer.lines[context_id] = line = Line(self, peer, context_id)
        return line

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        message = {"type": "done", "context_id": line.context_id, "status_code": 200, "done": True}
        await line.peer.send(message)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk, then the words that begin in it, timed from the context's start."""
        common = {"context_id": line.context_id, "status_code": 206, "done": False}
        data = base64.b64encode(piece.audio).decode()
        await line.peer.send({"type": "chunk", "data": data, "step_time": 1.0, **common})
        words = piece.words(request.speech)
        if words:
            timed = {
                "words": [word for word, _, _ in words],
                "start": [line.elapsed + start for _, start, _ in words],
                "end": [line.elapsed + end for _, _, end in words],
            }
            await line.peer.send({"type": "timestamps", "word_timestamps": timed, **common})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the context."""
        line.peer.lines.pop(line.context_id, None)
        status = request.trouble.status if request.trouble else 500
        await self._error(line.peer, line.context_id, status, "Synthesis failed")

    async def _error(self, peer: Peer, context_id: str | None, status: int, error: str) -> None:
        message = {"type": "error", "title": error, "message": error, "error": error}
        await peer.send({**message, "context_id": context_id, "status_code": status, "done": True})


_NOT_SETTINGS = {"transcript", "continue", "context_id", "voice", "output_format"}


KINDS = (
    Kind(
        service="CartesiaTTSService",
        server=CartesiaServer,
        limits="2 contexts at once on the smallest plan",
    ),
)
