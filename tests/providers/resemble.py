#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Resemble over WebSocket: every text is a request by itself, timed by the character."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.elevenlabs import aligned
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

LONGEST_TEXT = 3000
SAMPLE_RATES = (8000, 16000, 22050, 32000, 44100)


class ResembleServer(WebSocketServer):
    """For `ResembleAITTSService(**server.options())`.

    Audio is cut at any byte, in the middle of a sample too.
    """

    address = "url"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the root path, as the service appends nothing to its url."""
        router.add_get("/", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take a request: there is nothing else."""
        number, text = message.pop("request_id"), message.pop("data")
        rate = message.pop("sample_rate")
        line = Line(self, peer, str(number), number=number, held=b"")
        if len(text) > LONGEST_TEXT:
            await self._error(line, 400, f"A text has at most {LONGEST_TEXT} characters")
        elif rate not in SAMPLE_RATES:
            await self._error(line, 400, f"The sample rate is one of {SAMPLE_RATES}")
        else:
            peer.lines[line.context_id] = line
            request = await self.ask(
                text,
                connection=peer.number,
                context_id=line.context_id,
                sample_rate=rate,
                voice=message.pop("voice_uuid"),
                **message,
            )
            line.say(request)
            line.then(partial(self._finish, line))

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send audio with the characters that begin in it."""
        timed = aligned(request, piece)
        audio = line.settings["held"] + piece.audio
        odd = len(audio) - 1 + len(audio) % 2
        line.settings["held"] = audio[odd:]
        await self._send_audio(
            line,
            audio[:odd],
            graph_chars=[character for character, _, _ in timed],
            graph_times=[[start, end] for _, start, end in timed],
        )

    async def _send_audio(self, line: Line, audio: bytes, **timestamps: list[Any]) -> None:
        message = {
            "type": "audio",
            "audio_content": base64.b64encode(audio).decode(),
            "audio_timestamps": timestamps,
            "request_id": line.settings["number"],
        }
        await line.peer.send(message)

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        if line.settings["held"]:
            await self._send_audio(line, line.settings["held"])
        await line.peer.send({"type": "audio_end", "request_id": line.settings["number"]})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the request."""
        line.peer.lines.pop(line.context_id, None)
        await self._error(line, 500, "Synthesis failed")

    async def _error(self, line: Line, status: int, message: str) -> None:
        await line.peer.send(
            {
                "type": "error",
                "success": False,
                "error_name": "SynthesisError",
                "message": message,
                "status_code": status,
                "request_id": line.settings["number"],
            }
        )


KINDS = (
    Kind(
        service="ResembleAITTSService",
        server=ResembleServer,
        limits="3000 characters a text",
    ),
)
