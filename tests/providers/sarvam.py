#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sarvam over WebSocket: text is collected until it is flushed, and what was flushed has an end."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

LONGEST_TEXT = 2500  # characters in a message


class SarvamServer(WebSocketServer):
    """For `SarvamTTSService(**server.options())`.

    Text is spoken when as much of it has come as the configuration asks for, or at a flush. There
    is no way to cancel it but to connect anew. An error leaves the connection as it is.
    """

    address = "url"
    goes_on_after_errors = True

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the path that the service does not append."""
        return {**super().options(), self.address: f"{self.url}/text-to-speech/ws"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Sarvam's path."""
        router.add_get("/text-to-speech/ws", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say nothing, but remember what is to be remembered."""
        peer.lines[None] = Line(self, peer, config=None, collected=[])

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the configuration, text, a flush or a ping."""
        line = peer.lines[None]
        match message["type"]:
            case "config":
                line.settings["config"] = message["data"]
            case "text":
                await self._collect(line, message["data"]["text"])
            case "flush":
                self._say_collected(line)
                if peer.request.query["send_completion_event"] == "true":
                    final = {"type": "event", "data": {"event_type": "final"}}
                    line.then(partial(peer.send, final))
            case "ping":
                pass
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _collect(self, line: Line, text: str) -> None:
        config = line.settings["config"]
        if config is None or len(text) > LONGEST_TEXT:
            await self._error(line, "Configuration first" if config is None else "Text too long")
            return
        config = {**line.peer.request.query, **config}
        request = await self.ask(
            text,
            connection=line.peer.number,
            sample_rate=int(config.pop("speech_sample_rate")),
            voice=config.pop("speaker"),
            **config,
        )
        collected = line.settings["collected"]
        collected.append(request)
        if sum(len(each.text) for each in collected) >= config["min_buffer_size"]:
            self._say_collected(line)

    @staticmethod
    def _say_collected(line: Line) -> None:
        collected, line.settings["collected"] = line.settings["collected"], []
        for request in collected:
            line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio in JSON."""
        audio = base64.b64encode(piece.audio).decode()
        data = {"content_type": "audio/wav", "request_id": str(request.take), "audio": audio}
        await line.peer.send({"type": "audio", "data": data})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error."""
        await self._error(line, "Synthesis failed")

    async def _error(self, line: Line, message: str) -> None:
        await line.peer.send({"type": "error", "data": {"message": message, "code": 500}})


KINDS = (
    Kind(
        service="SarvamTTSService",
        server=SarvamServer,
        voices=("shubh", "aditya"),
        limits="short texts wait for a flush",
    ),
)
