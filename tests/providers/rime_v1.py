#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Rime's WebSocket v1: protocol buffers, contexts side by side, each with its end and a cancel."""

from functools import partial
from typing import Any

from aiohttp import WSMessage, web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

BINARY, JSON = "rime.v1.binary", "rime.v1.json"


class RimeV1Server(WebSocketServer):
    """For `RimeV1TTSService(**server.options())`. An error ends its context, nothing else."""

    address = "websocket_url"
    subprotocols = (BINARY, JSON)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; the service is not made without a model."""
        from pipecat.services.rime.tts_v1 import RimeV1TTSSettings

        return {**super().options(), "settings": RimeV1TTSSettings(model="coda", voice="one")}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say that contexts can be opened."""
        await self._send(peer, ready={"protocol": 1, "languages": ["en"], "default_language": "en"})

    def read(self, peer: Peer, message: WSMessage) -> dict[str, Any]:
        """Read an envelope into a dict with the names of the protocol's fields."""
        from google.protobuf import json_format
        from rime_api import text_to_speech_pb2 as proto

        envelope = proto.WebSocketRequest()
        if peer.socket.ws_protocol == BINARY:
            envelope.ParseFromString(message.data)
        else:
            json_format.Parse(message.data, envelope)
        fields: dict[str, Any] = json_format.MessageToDict(
            envelope, preserving_proto_field_name=True
        )
        return fields

    async def _send(self, peer: Peer, **fields: Any) -> None:
        from google.protobuf import json_format
        from rime_api import text_to_speech_pb2 as proto

        envelope = proto.WebSocketResponse(**fields)
        if peer.socket.ws_protocol == BINARY:
            await peer.socket.send_bytes(envelope.SerializeToString())
        else:
            await peer.socket.send_str(json_format.MessageToJson(envelope, indent=None))

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the start of a context, text for it, its end, or its cancellation."""
        context_id = message["context_id"]
        line = peer.lines.get(context_id)
        if "start" in message and line is None:
            settings = {name: value for name, value in message["start"].items() if value}
            peer.lines[context_id] = Line(self, peer, context_id, **settings)
            await self._send(peer, context_id=context_id, started={"request_id": context_id})
        elif "cancel" in message:
            if line:
                line.cancel()
                del peer.lines[context_id]
            await self._send(peer, context_id=context_id, cancelled={})
        elif "text" in message and line:
            await self._take(line, message["text"])
        elif "end" in message and line:
            line.then(partial(self._finish, line))
        else:
            await self._error(peer, context_id, "invalid_input", f"Unexpected {list(message)}")

    async def _take(self, line: Line, text: str) -> None:
        settings = dict(line.settings)
        audio = dict(settings.pop("audio_parameters"))
        request = await self.ask(
            text,
            connection=line.peer.number,
            context_id=line.context_id,
            sample_rate=audio.pop("sampling_rate"),
            voice=settings.pop("speaker", None),
            **settings,
            **audio,
        )
        line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the bare audio."""
        await self._send(line.peer, context_id=line.context_id, audio=piece.audio)

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await self._send(line.peer, context_id=line.context_id, done={})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the context."""
        line.peer.lines.pop(line.context_id, None)
        await self._error(line.peer, line.context_id, "internal", "Synthesis failed")

    async def _error(self, peer: Peer, context_id: str | None, kind: str, message: str) -> None:
        await self._send(peer, context_id=context_id, error={"kind": kind, "message": message})


KINDS = (
    Kind(service="RimeV1TTSService", server=RimeV1Server),
    Kind(
        service="RimeV1TTSService",
        name="as JSON",
        server=RimeV1Server,
        arguments={"websocket_protocol": "json"},
    ),
)
