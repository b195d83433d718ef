#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Soniox over WebSocket: streams side by side, each configured, timed by the character, ended."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.elevenlabs import aligned
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

STREAMS = 5
UNAVAILABLE = 503
"""What a text may fail with that is worth asking for again: codes like 400 end the service."""


class SonioxServer(WebSocketServer):
    """For `SonioxTTSService(**server.options())`.

    Args:
        max_streams: More streams than these at once on a connection are refused with code 429.
        error_code: The code of an error that a text fails with; that of a `Trouble` is not used.
        kwargs: Pacing, see `Provider`.
    """

    address = "url"

    def __init__(
        self, *, max_streams: int = STREAMS, error_code: int = UNAVAILABLE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_streams, self.error_code = max_streams, error_code

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take the configuration of a stream, text for it, its end, or its cancellation."""
        if message == {"keep_alive": True}:
            return
        stream_id = message["stream_id"]
        line = peer.lines.get(stream_id)
        if "model" in message:
            await self._open_stream(peer, stream_id, message)
        elif line is None:
            await self._error(peer, stream_id, 400, "Stream not found")
        elif message.get("cancel"):
            line.cancel()
            await self._terminate(line)
        elif line.settings["ended"]:
            await self._error(peer, stream_id, 400, "Text has ended")
        else:
            await self._take(line, message)

    async def _open_stream(self, peer: Peer, stream_id: str, message: dict[str, Any]) -> None:
        if stream_id in peer.lines:
            await self._error(peer, stream_id, 400, "Stream already exists")
        elif len(peer.lines) >= self.max_streams:
            await self._error(peer, stream_id, 429, "Too many streams on this connection")
        else:
            config = {name: value for name, value in message.items() if name != "stream_id"}
            line = Line(self, peer, stream_id, config=config, ended=False)
            peer.lines[stream_id] = line

    async def _take(self, line: Line, message: dict[str, Any]) -> None:
        if text := message["text"]:
            config = dict(line.settings["config"])
            request = await self.ask(
                text,
                connection=line.peer.number,
                context_id=line.context_id,
                sample_rate=config.pop("sample_rate"),
                **config,
            )
            line.say(request)
        if message["text_end"]:
            line.settings["ended"] = True
            line.then(partial(self._finish, line))

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send audio, and when each character of it begins, from the start of the stream."""
        timed = aligned(request, piece)
        timestamps = {
            "characters": [character for character, _, _ in timed],
            "character_start_times_seconds": [line.elapsed + start for _, start, _ in timed],
            "character_end_times_seconds": [line.elapsed + end for _, _, end in timed],
        }
        message = {"audio": base64.b64encode(piece.audio).decode(), "stream_id": line.context_id}
        await line.peer.send({**message, "timestamps": timestamps} if timed else message)

    async def _finish(self, line: Line) -> None:
        await line.peer.send({"audio": "", "audio_end": True, "stream_id": line.context_id})
        await self._terminate(line)

    async def _terminate(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await line.peer.send({"terminated": True, "stream_id": line.context_id})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the stream."""
        line.peer.lines.pop(line.context_id, None)
        await self._error(line.peer, line.context_id, self.error_code, "Synthesis failed")

    async def _error(self, peer: Peer, stream_id: str | None, code: int, message: str) -> None:
        error = {"error_code": code, "error_type": "error", "error_message": message}
        await peer.send({"stream_id": stream_id, **error})
        await peer.send({"terminated": True, "stream_id": stream_id})


KINDS = (
    Kind(
        service="SonioxTTSService",
        server=SonioxServer,
        limits="5 streams a connection",
    ),
)
