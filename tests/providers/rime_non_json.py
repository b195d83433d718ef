#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Rime over its plain WebSocket: bare text goes there, bare audio comes back."""

from typing import Any

from aiohttp import WSMessage, web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.rime import VOICES
from tests.providers.websocket import Line, Peer, WebSocketServer

COMMANDS = ("<FLUSH>", "<CLEAR>", "<EOS>")


class RimeNonJsonServer(WebSocketServer):
    """For `RimeNonJsonTTSService(**server.options())`.

    There are no contexts, no words, no end signals, and no errors but the end of the connection.
    """

    address = "url"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice: Rime has none by default."""
        from pipecat.services.rime.tts import RimeNonJsonTTSService

        return {**super().options(), "settings": RimeNonJsonTTSService.Settings(voice=VOICES[0])}

    def read(self, peer: Peer, message: WSMessage) -> dict[str, Any]:
        """Tell commands from text."""
        kind = "command" if message.data in COMMANDS else "text"
        return {kind: message.data}

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Speak a text, drop what is not spoken yet, or end the connection."""
        line = peer.lines.get(None)
        if line is None:
            line = peer.lines[None] = Line(self, peer)
        match message.get("command"):
            case None:
                query = dict(peer.request.query)
                request = await self.ask(
                    message["text"],
                    connection=peer.number,
                    sample_rate=int(query.pop("samplingRate")),
                    voice=query.pop("speaker"),
                    **query,
                )
                line.say(request)
            case "<CLEAR>":
                line.cancel()
            case "<EOS>":
                await peer.socket.close()

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the bare audio."""
        await line.peer.send(piece.audio)

    async def refuse(self, line: Line, request: Request) -> None:
        """End the connection."""
        await line.peer.socket.close(code=1011, message=b"Synthesis failed")


KINDS = (Kind(service="RimeNonJsonTTSService", server=RimeNonJsonServer, voices=VOICES),)
