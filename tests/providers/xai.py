#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""xAI over WebSocket: utterances without names, timed by the character, each with an end."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.elevenlabs import aligned
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer


class XAIServer(WebSocketServer):
    """For `XAITTSService(**server.options())`.

    An error ends the utterance, without a further signal, and leaves the connection as it is.
    """

    goes_on_after_errors = True

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the path that the service does not append."""
        return {**super().options(), self.address: f"{self.url}/v1/tts"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on xAI's path."""
        router.add_get("/v1/tts", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say nothing, but open the line."""
        peer.lines[None] = Line(self, peer)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take text, the end of an utterance, or its cancellation."""
        line = peer.lines[None]
        match message["type"]:
            case "text.delta":
                query = dict(peer.request.query)
                rate = int(query.pop("sample_rate"))
                text = message["delta"]
                line.say(await self.ask(text, connection=peer.number, sample_rate=rate, **query))
            case "text.done":
                line.then(partial(self._finish, line))
            case "text.clear":
                line.cancel()
                line.elapsed = 0.0
                await peer.send({"type": "audio.clear"})
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _finish(self, line: Line) -> None:
        line.elapsed = 0.0
        await line.peer.send({"type": "audio.done", "trace_id": "1"})

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio, and with it the characters that begin in it, timed by the utterance."""
        message: dict[str, Any] = {"type": "audio.delta"}
        message["delta"] = base64.b64encode(piece.audio).decode()
        if line.peer.request.query["with_timestamps"] == "true":
            timed = aligned(request, piece)
            at = line.elapsed
            message["audio_timestamps"] = {
                "graph_chars": [c for c, _, _ in timed],
                "graph_times": [[at + start, at + end] for _, start, end in timed],
            }
        await line.peer.send(message)

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error."""
        line.elapsed = 0.0
        await line.peer.send({"type": "error", "message": "Synthesis failed"})


KINDS = (Kind(service="XAITTSService", server=XAIServer, voices=("eve", "ara")),)
