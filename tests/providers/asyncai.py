#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Async over WebSocket: contexts side by side, which end when the client closes them."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer


class AsyncAIServer(WebSocketServer):
    """For `AsyncAITTSService(**server.options())`.

    What is said in a context has no end of its own, so `Fault.UNENDED` is the rule.
    """

    address = "url"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sessions: dict[int, dict[str, Any]] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the settings of the connection, text for a context, its end, or that of all."""
        if peer.number not in self._sessions:
            self._sessions[peer.number] = {**message.pop("output_format"), **message}
            return
        if message.get("terminate"):
            await peer.socket.close()
            return
        context_id = message.get("context_id")
        line = peer.lines.get(context_id)
        if message.get("close_context"):
            if line:
                line.cancel()
                del peer.lines[context_id]
                line.then(partial(self._finish, line))
        elif message["transcript"].strip():
            if line is None:
                line = peer.lines[context_id] = Line(self, peer, context_id)
            await self._take(line, message["transcript"])

    async def _take(self, line: Line, text: str) -> None:
        settings = dict(self._sessions[line.peer.number])
        request = await self.ask(
            text,
            connection=line.peer.number,
            context_id=line.context_id,
            sample_rate=settings.pop("sample_rate"),
            **{**settings, "voice": settings["voice"]["id"]},
        )
        line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio."""
        audio = base64.b64encode(piece.audio).decode()
        await line.peer.send({"audio": audio, "final": False, "context_id": line.context_id})

    async def _finish(self, line: Line) -> None:
        await line.peer.send({"audio": "", "final": True, "context_id": line.context_id})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which says nothing of the context that it ends."""
        line.peer.lines.pop(line.context_id, None)
        await line.peer.send({"error_code": "internal_error", "message": "Synthesis failed"})


KINDS = (Kind(service="AsyncAITTSService", server=AsyncAIServer),)
