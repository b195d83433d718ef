#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Deepgram over WebSocket: no contexts; audio comes in the order asked for, flush by flush."""

import asyncio
from collections import deque
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

FLUSHES, WINDOW = 20, 60.0


class DeepgramServer(WebSocketServer):
    """For `DeepgramTTSService(**server.options())`. Ignores flushes beyond the limit."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Deepgram's path."""
        router.add_get("/v1/speak", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Speak, flush, clear or close."""
        line = peer.lines.get(None)
        if line is None:
            line = peer.lines[None] = Line(self, peer)
        match message["type"]:
            case "Speak":
                query = dict(peer.request.query)
                request = await self.ask(
                    message["text"],
                    connection=peer.number,
                    sample_rate=int(query.pop("sample_rate")),
                    voice=query.pop("model"),
                    **query,
                )
                line.say(request)
            case "Flush":
                if _may_flush(line):
                    line.then(partial(peer.send, {"type": "Flushed", "sequence_id": 0}))
                else:
                    code = "EXCESSIVE_FLUSH"
                    warning = {"type": "Warning", "description": "Flush ignored", "code": code}
                    await peer.send(warning)
            case "Clear":
                line.cancel()
                await peer.send({"type": "Cleared", "sequence_id": 0})
            case "Close":
                await peer.socket.close()

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the bare audio."""
        await line.peer.send(piece.audio)

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error and close the connection."""
        error = {"type": "Error", "err_code": "DATA-0000", "err_msg": "Synthesis failed"}
        await line.peer.send(error)
        await line.peer.socket.close(code=1011, message=b"DATA-0000")


def _may_flush(line: Line) -> bool:
    flushes: deque[float] = line.settings.setdefault("flushes", deque())
    now = asyncio.get_running_loop().time()
    while flushes and flushes[0] < now - WINDOW:
        flushes.popleft()
    if len(flushes) >= FLUSHES:
        return False
    flushes.append(now)
    return True


KINDS = (
    Kind(
        service="DeepgramTTSService",
        server=DeepgramServer,
        limits="20 flushes a minute",
    ),
)
