#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Rime over its JSON WebSocket (ws3): contexts in name only, for commands hold for all of them."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

VOICES = ("one", "another")


class RimeServer(WebSocketServer):
    """For `RimeTTSService(**server.options())`.

    Text is collected, and spoken when a sentence is complete (or as `segment` says, or on a flush)
    and nothing else is being spoken. All that is spoken bears the name of the latest context, and
    one end signal comes when nothing is left to speak. A clear drops what was collected; what is
    being spoken goes on. Errors name no context, and leave the connection as it is.

    Args:
        first_audio: Seconds from a request to its first audio. What comes meanwhile is spoken in
            the same run.
        kwargs: Further pacing, see `Provider`.
    """

    address = "url"
    goes_on_after_errors = True

    def __init__(self, *, first_audio: float = 0.05, **kwargs: Any) -> None:
        super().__init__(first_audio=first_audio, **kwargs)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice: Rime has none by default."""
        from pipecat.services.rime.tts import RimeTTSService

        return {**super().options(), "settings": RimeTTSService.Settings(voice=VOICES[0])}

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Collect text, flush or clear it, or end the connection."""
        line = peer.lines.get(None)
        if line is None:
            line = peer.lines[None] = Line(self, peer, collected=[], spoken=[], context=None)
        match message.get("operation"):
            case None:
                await self._collect(line, message)
            case "flush":
                self._speak_up(line, flush=True)
            case "clear":
                line.settings["collected"].clear()
                for request in line.settings["spoken"]:
                    request.cancelled.set()
            case "eos":
                await peer.socket.close()
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _collect(self, line: Line, message: dict[str, Any]) -> None:
        query = dict(line.peer.request.query)
        text, context_id = message.pop("text"), message.pop("contextId")
        line.settings["context"] = context_id
        if text.strip():
            request = await self.ask(
                text,
                connection=line.peer.number,
                context_id=context_id,
                sample_rate=int(query.pop("samplingRate")),
                voice=query.pop("speaker"),
                **query,
                **message,
            )
            line.settings["collected"].append(request)
        self._speak_up(line)

    def _speak_up(self, line: Line, *, flush: bool = False) -> None:
        """Speak what was collected, if it is time to; look again when that is through."""
        collected: list[Request] = line.settings["collected"]
        line.settings["flushed"] = flush or bool(collected and line.settings.get("flushed"))
        if line.settings["spoken"] or not self._is_due(line):
            return
        line.settings.update(collected=[], spoken=collected, flushed=False)
        line.settings["named"] = line.settings["context"]
        for request in collected:
            line.say(request)
        line.then(partial(self._end_run, line))
        line.then(partial(self._go_on, line))

    def _is_due(self, line: Line) -> bool:
        collected, segment = line.settings["collected"], line.peer.request.query.get("segment")
        if not collected:
            return False
        complete = collected[-1].text.rstrip().endswith((".", "?", "!"))
        at_once = segment == "immediate" or (segment != "never" and complete)
        return at_once or line.settings["flushed"]

    async def _end_run(self, line: Line) -> None:
        if not line.settings["collected"]:
            await line.peer.send({"type": "done", "contextId": line.settings["named"]})

    async def _go_on(self, line: Line) -> None:
        line.settings["spoken"] = []
        self._speak_up(line)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk; behind the first, all words, each of which lasts until the next begins."""
        context = {"contextId": line.settings["named"]}
        data = base64.b64encode(piece.audio).decode()
        await line.peer.send({"type": "chunk", "data": data, **context})
        words = request.speech.words
        if piece.start == 0 and words:
            starts = [start for _, start, _ in words]
            timed = {
                "words": [word for word, _, _ in words],
                "start": starts,
                "end": [*starts[1:], request.speech.duration],
            }
            await line.peer.send({"type": "timestamps", "word_timestamps": timed, **context})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, without saying for what."""
        await line.peer.send({"type": "error", "message": "Synthesis failed"})


KINDS = (
    Kind(
        service="RimeTTSService",
        server=RimeServer,
        voices=VOICES,
        limits="one context at a time, one end signal for all that is spoken without a pause",
    ),
)
