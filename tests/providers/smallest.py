#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Smallest AI over WebSocket: text by text in order, and a sign when the turn is complete."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer


class SmallestServer(WebSocketServer):
    """For `SmallestTTSService(**server.options())`.

    Every text is a request, whose words are timed from its beginning. No answer says which context
    it is for. That a context is complete is said once it was closed and everything is spoken.
    Without a context, a text is ended by itself; a blank one only keeps the connection.
    """

    goes_on_after_errors = True

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the path that is appended to the base url."""
        router.add_get("/waves/v1/tts/live", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a text, or the end of a context."""
        line = peer.lines.get(None)
        if line is None:
            line = peer.lines[None] = Line(self, peer)
        settings = {**message}
        text, context_id = settings.pop("text"), settings.pop("context_id", None)
        if text.strip():
            request = await self.ask(
                text,
                connection=peer.number,
                context_id=context_id,
                sample_rate=settings.pop("sample_rate"),
                voice=settings.pop("voice_id"),
                **settings,
            )
            line.say(request)
        if not message.get("continue", text.isspace()):
            line.then(partial(peer.send, {"session_id": str(peer.number), "status": "complete"}))

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk, then each of the words that begin in it, if they are wanted."""
        common = {"session_id": str(line.peer.number), "request_id": str(request.take)}
        audio = base64.b64encode(piece.audio).decode()
        await line.peer.send({**common, "status": "chunk", "data": {"audio": audio}})
        for word, start, end in piece.words(request.speech):
            if request.settings.get("word_timestamps"):
                number = request.speech.words.index((word, start, end))
                data = {"id": number, "word": word, "start": start, "end": end}
                await line.peer.send({**common, "status": "word_timestamp", "data": data})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, and go on."""
        common = {"session_id": str(line.peer.number), "request_id": str(request.take)}
        await line.peer.send({**common, "status": "error", "error": "Synthesis failed"})


KINDS = (Kind(service="SmallestTTSService", server=SmallestServer, voices=("meher", "avery")),)
