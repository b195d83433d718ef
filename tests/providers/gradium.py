#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Gradium over WebSocket: requests side by side, each with a setup, words and its end."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

SAMPLE_RATE = 48_000
POLICY_VIOLATION, INTERNAL_ERROR = 1008, 1011


class GradiumServer(WebSocketServer):
    """For `GradiumTTSService(**server.options())`. Whatever goes wrong ends the connection."""

    address = "url"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the setup of a request, text for it, or its end."""
        request_id = message["client_req_id"]
        line = peer.lines.get(request_id)
        match message["type"]:
            case "setup" if line is None:
                await self._set_up(peer, request_id, message)
            case "text" if line and not line.settings["ended"]:
                await self._take(line, message["text"])
            case "end_of_stream" if line and not line.settings["ended"]:
                line.settings["ended"] = True
                line.then(partial(self._finish, line))
            case unexpected:
                reason = f"Unexpected {unexpected} message"
                await self._error(peer, request_id, POLICY_VIOLATION, reason)

    async def _set_up(self, peer: Peer, request_id: str, message: dict[str, Any]) -> None:
        settings = {name: value for name, value in message.items() if name not in _NOT_SETTINGS}
        settings["voice"] = settings.pop("voice_id")
        line = Line(self, peer, request_id, setup=settings, ended=False)
        peer.lines[request_id] = line
        ready = {"type": "ready", "request_id": f"gradium-{request_id}"}
        await peer.send({**ready, "sample_rate": SAMPLE_RATE, "client_req_id": request_id})

    async def _take(self, line: Line, text: str) -> None:
        request = await self.ask(
            text,
            connection=line.peer.number,
            context_id=line.context_id,
            sample_rate=SAMPLE_RATE,
            **line.settings["setup"],
        )
        line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send audio, then the words that begin in it, timed from the request's start."""
        common = {"stream_id": 0, "client_req_id": line.context_id}
        audio = base64.b64encode(piece.audio).decode()
        times = {"start_s": line.elapsed + piece.start, "stop_s": line.elapsed + piece.end}
        await line.peer.send({"type": "audio", "audio": audio, **times, **common})
        for word, start, end in piece.words(request.speech):
            times = {"start_s": line.elapsed + start, "stop_s": line.elapsed + end}
            await line.peer.send({"type": "text", "text": word, **times, **common})

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await line.peer.send({"type": "end_of_stream", "client_req_id": line.context_id})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the connection."""
        await self._error(line.peer, line.context_id, INTERNAL_ERROR, "Synthesis failed")

    async def _error(self, peer: Peer, request_id: str | None, code: int, message: str) -> None:
        error = {"type": "error", "message": message, "code": code}
        await peer.send({**error, "client_req_id": request_id})
        await peer.socket.close(code=code, message=message.encode())


_NOT_SETTINGS = {"type", "client_req_id", "close_ws_on_eos"}


KINDS = (Kind(service="GradiumTTSService", server=GradiumServer),)
