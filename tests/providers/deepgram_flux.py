#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Deepgram Flux over WebSocket: turns without names, each bounded by a flush, one at a time."""

from functools import partial
from typing import Any

from aiohttp import web
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer


class DeepgramFluxServer(WebSocketServer):
    """For `DeepgramFluxTTSService(**server.options())`.

    What is flushed while a turn is being spoken waits behind it. An interruption ends them all. An
    error ends the connection.
    """

    address = "url"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the path that the service does not append."""
        return {**super().options(), self.address: f"{self.url}/v2/speak"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Flux' path."""
        router.add_get("/v2/speak", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say which model answers."""
        peer.lines[None] = Line(self, peer, speech_id="", turns=0, speed=None)
        model = peer.request.query["model"]
        await peer.send({"type": "Connected", "request_id": "1", "model_name": model})

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Speak, flush, interrupt, or change the speed."""
        line = peer.lines[None]
        match message["type"]:
            case "Speak":
                await self._speak(line, message["text"])
            case "Flush" if line.settings["speech_id"]:
                speech_id, line.settings["speech_id"] = line.settings["speech_id"], ""
                await peer.send({"type": "Flushed", "speech_id": speech_id})
                line.then(partial(self._finish, line, speech_id))
            case "Interrupt" if line.settings["turns"]:
                line.settings.update(turns=0, speech_id="")
                line.cancel()
                await peer.send({"type": "SpeechInterrupted", "audio_played_ms": 0})
            case "Flush" | "Interrupt":
                warning = {"type": "Warning", "code": "NO_ACTIVE_SPEECH"}
                await peer.send({**warning, "description": "There is no active turn"})
            case "Configure":
                line.settings["speed"] = message["speed"]
                applied = {"speed": message["speed"]}
                await peer.send({"type": "ConfigureSuccess", "applied": applied})
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _speak(self, line: Line, text: str) -> None:
        query = dict(line.peer.request.query)
        if line.settings["speed"] is not None:
            query["speed"] = str(line.settings["speed"])
        request = await self.ask(
            text,
            connection=line.peer.number,
            sample_rate=int(query.pop("sample_rate")),
            voice=query.pop("model"),
            **query,
        )
        if not line.settings["speech_id"]:
            speech_id = line.settings["speech_id"] = f"dg_sp_{request.take:012x}"
            line.settings["turns"] += 1
            line.then(partial(line.peer.send, {"type": "SpeechStarted", "speech_id": speech_id}))
        line.say(request)

    async def _finish(self, line: Line, speech_id: str) -> None:
        line.settings["turns"] -= 1
        await line.peer.send({"type": "SpeechMetadata", "speech_id": speech_id})

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the bare audio."""
        await line.peer.send(piece.audio)

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error and close the connection."""
        error = {"type": "Error", "code": "NET-0000", "description": "Synthesis failed"}
        await line.peer.send(error)
        await line.peer.socket.close(code=1011, message=b"NET-0000")


KINDS = (
    Kind(
        service="DeepgramFluxTTSService",
        server=DeepgramFluxServer,
        arguments={"text_aggregation_mode": TextAggregationMode.SENTENCE},
        voices=("flux-heather-en", "flux-alexis-en"),
        limits="one turn at a time, others wait",
    ),
)
