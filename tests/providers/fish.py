#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Fish Audio over WebSocket: MessagePack both ways, and no end to anything but the session."""

from functools import partial
from typing import Any

from aiohttp import WSMessage, web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.server import Server
from tests.providers.websocket import Line, Peer, WebSocketServer

PATH = "/v1/tts/live"
VOICES = ("one", "another")


class FishServer(WebSocketServer):
    """For `FishAudioTTSService(**server.options())`, whose `_base_url` is set to `server.url`.

    What was flushed has no end of its own, so `Fault.UNENDED` is the rule. An error ends the
    session, and with it the connection.
    """

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice; none says where the provider is."""
        from pipecat.services.fish.tts import FishAudioTTSService

        return {"api_key": "key", "settings": FishAudioTTSService.Settings(voice=VOICES[0])}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Fish Audio's path."""
        router.add_get(PATH, self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say nothing, but remember what is to be remembered."""
        peer.lines[None] = Line(self, peer, request=None, collected=[])

    def read(self, peer: Peer, message: WSMessage) -> dict[str, Any]:
        """Unpack a message."""
        import ormsgpack

        unpacked: dict[str, Any] = ormsgpack.unpackb(message.data)
        return unpacked

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Begin the session, take text, flush it, or end the session."""
        line = peer.lines[None]
        match message["event"]:
            case "start":
                line.settings["request"] = message["request"]
            case "text":
                await self._collect(line, message["text"])
            case "flush":
                self._say_collected(line)
            case "stop":
                self._say_collected(line)
                line.then(partial(self._finish, line, "stop"))
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _collect(self, line: Line, text: str) -> None:
        settings = dict(line.settings["request"])
        del settings["text"]
        request = await self.ask(
            text,
            connection=line.peer.number,
            sample_rate=settings.pop("sample_rate"),
            voice=settings.pop("reference_id"),
            model=line.peer.request.headers["model"],
            **settings,
        )
        line.settings["collected"].append(request)

    @staticmethod
    def _say_collected(line: Line) -> None:
        collected, line.settings["collected"] = line.settings["collected"], []
        for request in collected:
            line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio, packed."""
        await self._send(line, {"event": "audio", "audio": piece.audio, "time": 0})

    async def refuse(self, line: Line, request: Request) -> None:
        """Finish the session."""
        await self._finish(line, "error")

    async def _finish(self, line: Line, reason: str) -> None:
        await self._send(line, {"event": "finish", "reason": reason, "time": 0})
        await line.peer.socket.close()

    @staticmethod
    async def _send(line: Line, message: dict[str, Any]) -> None:
        import ormsgpack

        await line.peer.send(ormsgpack.packb(message))


def point_at(service: Any, server: Server) -> None:
    """Have the service use the server."""
    service._base_url = server.url + PATH


KINDS = (Kind(service="FishAudioTTSService", server=FishServer, voices=VOICES, prepare=point_at),)
