#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Inworld over WebSocket: contexts that are created and closed, with word times by generation."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

CONTEXTS = 5
LONGEST_TEXT = 1000  # characters

INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, RESOURCE_EXHAUSTED, INTERNAL = 3, 5, 6, 8, 13


class InworldServer(WebSocketServer):
    """For `InworldTTSService(**server.options())`.

    Every text is a generation, whose words are timed from its beginning. A context that is closed
    is spoken to its end; one that failed is gone. To close it once more is all that a client can
    do to cancel it, which stops nothing.

    Args:
        word_times: Whether the voice knows when its words are spoken.
        kwargs: Pacing, see `Provider`.
    """

    address = "url"

    def __init__(self, *, word_times: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.word_times = word_times

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Create a context, take text for it, flush or close it."""
        context_id = message.get("contextId")
        line = peer.lines.get(context_id)
        if context_id is None:
            await self._error(peer, None, INVALID_ARGUMENT, "context_id is required")
        elif "create" in message:
            await self._create(peer, context_id, message["create"])
        elif line is None:
            await self._error(peer, context_id, NOT_FOUND, f"Context {context_id} not found")
        elif "send_text" in message:
            await self._take(line, message["send_text"]["text"])
        elif "close_context" in message:
            self._close(line)
        elif "flush_context" not in message:  # in auto mode nothing waits for a flush
            raise ValueError(f"Not a message of this protocol: {message}")

    async def _create(self, peer: Peer, context_id: str, config: dict[str, Any]) -> None:
        if context_id in peer.lines:
            await self._error(peer, context_id, ALREADY_EXISTS, "Context already exists")
        elif len(peer.lines) >= CONTEXTS:
            await self._error(peer, context_id, RESOURCE_EXHAUSTED, "Max contexts limit reached")
        else:
            line = Line(self, peer, context_id, config=config, requests=[], closing=False)
            peer.lines[context_id] = line
            await self._tell(line, contextCreated=config)

    async def _take(self, line: Line, text: str) -> None:
        if len(text) > LONGEST_TEXT or line.settings["closing"]:
            await self._error(line.peer, line.context_id, INVALID_ARGUMENT, "Text not accepted")
        elif text:
            settings = {**line.settings["config"]}
            audio = settings.pop("audioConfig")
            request = await self.ask(
                text,
                connection=line.peer.number,
                context_id=line.context_id,
                sample_rate=audio["sampleRateHertz"],
                voice=settings.pop("voiceId"),
                **settings,
                **audio,
            )
            line.settings["requests"].append(request)
            line.say(request)

    def _close(self, line: Line) -> None:
        if line.settings["closing"]:
            for request in line.settings["requests"]:
                request.cancelled.set()
        else:
            line.settings["closing"] = True
            line.then(partial(self._finish, line))

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await self._tell(line, contextClosed={})

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk, then the words that begin in it, and in the end that it was all."""
        chunk: dict[str, Any] = {"audioContent": base64.b64encode(piece.audio).decode()}
        words = piece.words(request.speech) if self.word_times else []
        times = {
            "wordAlignment": {
                "words": [word for word, _, _ in words],
                "wordStartTimeSeconds": [start for _, start, _ in words],
                "wordEndTimeSeconds": [end for _, _, end in words],
            }
        }
        if words and line.settings["config"].get("timestampTransportStrategy") != "ASYNC":
            chunk["timestampInfo"] = times
        await self._tell(line, audioChunk=chunk)
        if words and "timestampInfo" not in chunk:
            await self._tell(line, audioChunk={"audioContent": "", "timestampInfo": times})
        if request.whole:
            await self._tell(line, flushCompleted={})

    async def _tell(self, line: Line, **result: Any) -> None:
        status = {"code": 0, "message": "", "details": []}
        context = {"contextId": line.context_id, "status": status}
        await line.peer.send({"result": {**context, **result}})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the context."""
        line.peer.lines.pop(line.context_id, None)
        await self._error(line.peer, line.context_id, INTERNAL, "Synthesis failed")

    async def _error(self, peer: Peer, context_id: str | None, code: int, message: str) -> None:
        status = {"code": code, "message": message, "details": []}
        await peer.send({"result": {"contextId": context_id, "status": status}})


KINDS = (
    Kind(
        service="InworldTTSService",
        server=InworldServer,
        voices=("Ashley", "Dennis"),
        limits="5 contexts a connection",
    ),
)
