#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Neuphonic over WebSocket: text by text in order, each with its end in it."""

import base64
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

STOP = "<STOP>"
VOICES = ("one", "another")


class NeuphonicServer(WebSocketServer):
    """For `NeuphonicTTSService(**server.options())`.

    Text is collected until it says that it ends. Nothing says to which text an answer belongs; the
    last one for a text says that it is the last, but Pipecat does not look at that.
    """

    address = "url"
    goes_on_after_errors = True

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the path of each language."""
        router.add_get("/speak/{language}", self.connect)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice: Neuphonic has none by default."""
        from pipecat.services.neuphonic.tts import NeuphonicTTSService

        return {**super().options(), "settings": NeuphonicTTSService.Settings(voice=VOICES[0])}

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Collect text, and speak it when it ends."""
        line = peer.lines.get(None)
        if line is None:
            line = peer.lines[None] = Line(self, peer, collected="")
        *ended, line.settings["collected"] = (line.settings["collected"] + message["text"]).split(
            STOP
        )
        for text in filter(str.strip, ended):
            query = dict(peer.request.query)
            request = await self.ask(
                text,
                connection=peer.number,
                sample_rate=int(query.pop("sampling_rate")),
                voice=query.pop("voice_id"),
                **query,
            )
            line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio, and whether it was the last of a text."""
        data = {
            "audio": base64.b64encode(piece.audio).decode(),
            "text": request.text if piece.start == 0 else "",
            "sampling_rate": request.sample_rate,
            "stop": request.whole,
        }
        await line.peer.send({"status_code": 200, "data": data})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, and go on."""
        await line.peer.send({"status_code": 500, "data": None, "errors": ["Synthesis failed"]})


KINDS = (Kind(service="NeuphonicTTSService", server=NeuphonicServer, voices=VOICES),)
