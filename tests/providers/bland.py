#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Bland over WebSocket: one turn at a time, which a new one ends at once."""

import asyncio
from functools import partial
from typing import Any

from aiohttp import web
from pipecat.services.bland.tts import _DEFAULT_VOICE_ID
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

IDLE = 60.0  # seconds without a message after which a session ends


class BlandServer(WebSocketServer):
    """For `BlandTTSService(**server.options())`.

    Audio names no context, but stands between the start and the end of the one turn there is. A
    failure ends the turn, and leaves the connection as it is.
    """

    address = "url"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sessions: dict[int, dict[str, Any]] = {}
        self._last_heard: dict[int, float] = {}

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the path that the service does not append."""
        return {**super().options(), self.address: f"{self.url}/v2/tts/ws"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Bland's path."""
        router.add_get("/v2/tts/ws", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Say nothing, but watch for a session in which nothing comes any more."""
        self._note(peer)
        Line(self, peer, "watch").then(partial(self._reap, peer))

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Begin or end the session; speak in a turn, end or cancel it."""
        self._note(peer)
        line = peer.lines.get(message.get("context_id"))
        match message["type"]:
            case "init":
                await self._begin(peer, message)
            case "speak":
                await self._speak(line or await self._open_turn(peer, message), message["text"])
            case "end_of_turn":
                if line:
                    line.then(partial(self._finish, line, "complete"))
            case "cancel":
                if line:
                    await self._cancel(line, "cancelled")
            case "close":
                await peer.send({"type": "done", "session_id": str(peer.number)})
                await peer.socket.close()
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    def _note(self, peer: Peer) -> None:
        self._last_heard[peer.number] = asyncio.get_running_loop().time()

    async def _reap(self, peer: Peer) -> None:
        now = asyncio.get_running_loop().time
        left = IDLE
        while left > 0:
            await asyncio.sleep(left)
            left = self._last_heard[peer.number] + IDLE - now()
        await peer.send({"type": "error", "code": "idle_timeout", "message": "Session is idle"})
        await peer.socket.close()

    async def _begin(self, peer: Peer, init: dict[str, Any]) -> None:
        self._sessions[peer.number] = {k: v for k, v in init.items() if k != "type"}
        await peer.send({"type": "ready", "session_id": str(peer.number), **init["audio"]})

    async def _open_turn(self, peer: Peer, message: dict[str, Any]) -> Line:
        for active in list(peer.lines.values()):
            await self._cancel(active, "preempted")
        context_id = message["context_id"]
        line = peer.lines[context_id] = Line(self, peer, context_id)
        await peer.send({"type": "utterance_start", "context_id": context_id})
        return line

    async def _speak(self, line: Line, text: str) -> None:
        settings = dict(self._sessions[line.peer.number])
        request = await self.ask(
            text,
            connection=line.peer.number,
            context_id=line.context_id,
            sample_rate=settings.pop("audio")["sample_rate"],
            **settings,
        )
        line.say(request)

    async def _cancel(self, line: Line, reason: str) -> None:
        line.cancel()
        await self._finish(line, reason)

    async def _finish(self, line: Line, reason: str) -> None:
        line.peer.lines.pop(line.context_id, None)
        end = {"type": "utterance_end", "context_id": line.context_id, "reason": reason}
        await line.peer.send(end)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the bare audio."""
        await line.peer.send(piece.audio)

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the turn if it has not ended yet."""
        error = {"type": "error", "code": "synthesis_failed", "message": "Synthesis failed"}
        await line.peer.send({**error, "context_id": line.context_id})
        if line.context_id in line.peer.lines:
            await self._finish(line, "failed")


KINDS = (
    Kind(
        service="BlandTTSService",
        server=BlandServer,
        arguments={"text_aggregation_mode": TextAggregationMode.SENTENCE},
        voices=(_DEFAULT_VOICE_ID, "another"),
        limits="one turn at a time, ended by the next; 60 seconds without a message",
    ),
)
