#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Together over WebSocket: text is appended and committed, and what was committed has an end."""

import base64
import re
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

SAMPLE_RATE = 24_000


class TogetherServer(WebSocketServer):
    """For `TogetherTTSService(**server.options())`.

    A commit with nothing to speak has no answer. To clear the text does not stop what is being
    spoken. A failure leaves the connection as it is.

    Args:
        splits: Whether every sentence of what is committed is spoken by itself, with its own end.
        kwargs: Pacing, see `Provider`.
    """

    address = "url"
    goes_on_after_errors = True

    def __init__(self, *, splits: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.splits = splits

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the path that the service does not append."""
        return {**super().options(), self.address: f"{self.url}/v1/audio/speech/websocket"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on Together's path."""
        router.add_get("/v1/audio/speech/websocket", self.connect)

    async def greet(self, peer: Peer) -> None:
        """Begin a session."""
        peer.lines[None] = Line(self, peer, session={}, buffer="")
        session = {"id": str(peer.number), "object": "realtime.tts.session"}
        await peer.send({"type": "session.created", "session": {**session, **peer.request.query}})

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Change the session, or append text, commit or clear it."""
        line = peer.lines[None]
        match message["type"]:
            case "tts_session.updated":
                line.settings["session"].update(message["session"])
                await peer.send({"type": "session.updated", "session": line.settings["session"]})
            case "input_text_buffer.append":
                line.settings["buffer"] += message["text"]
                received = {"type": "conversation.item.input_text.received"}
                await peer.send({**received, "text": message["text"]})
            case "input_text_buffer.commit":
                await self._commit(line)
            case "input_text_buffer.clear":
                line.settings["buffer"] = ""
                line.drop_waiting()
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _commit(self, line: Line) -> None:
        text, line.settings["buffer"] = line.settings["buffer"], ""
        for part in re.split(r"(?<=[.!?])\s+", text) if self.splits else [text]:
            if part.strip():
                request = await self.ask(
                    part,
                    connection=line.peer.number,
                    sample_rate=SAMPLE_RATE,
                    **{**line.peer.request.query, **line.settings["session"]},
                )
                line.say(request)
                line.then(partial(self._finish, line, request))

    async def _finish(self, line: Line, request: Request) -> None:
        done = {"type": "conversation.item.audio_output.done", "item_id": f"tts_{request.take}"}
        await line.peer.send(done)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio in JSON."""
        delta = {"type": "conversation.item.audio_output.delta", "item_id": f"tts_{request.take}"}
        await line.peer.send({**delta, "delta": base64.b64encode(piece.audio).decode()})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report a failure."""
        error = {"message": "Synthesis failed", "type": "server_error", "code": "tts_failed"}
        await line.peer.send({"type": "conversation.item.tts.failed", "error": error})


KINDS = (
    Kind(
        service="TogetherTTSService",
        server=TogetherServer,
        voices=("af_heart", "am_adam"),
        limits="what is being spoken cannot be cancelled",
    ),
)
