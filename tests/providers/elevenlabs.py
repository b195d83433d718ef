#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""ElevenLabs: several contexts on a WebSocket, timed by the character; and streaming HTTP."""

import base64
import json
from functools import partial
from typing import Any

from aiohttp import ClientSession, web

from pipecat_tts_cache.testing.provider import Piece, Request
from pipecat_tts_cache.testing.voice import Speech
from tests.providers.http import HttpServer
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer, WebSocketServer

CONTEXTS = 5
POLICY_VIOLATION = 1008

Character = tuple[str, float, float]


def characters(speech: Speech) -> list[Character]:
    """Time every character; together, and with a space in front, they cover all of the audio."""
    timed: list[Character] = []
    at = 0.0
    for word, start, end in speech.words:
        timed.append((" ", at, start))
        step = (end - start) / len(word)
        timed += [(c, start + i * step, start + (i + 1) * step) for i, c in enumerate(word)]
        at = end
    if timed:
        last, start, _ = timed[-1]
        timed[-1] = (last, start, speech.duration)
    return timed


def cuts_between_characters(request: Request, chunk_ms: float, *, in_words: bool) -> list[int]:
    """Cut audio where characters begin, so that each chunk's alignment covers the chunk.

    Args:
        request: What is said.
        chunk_ms: The shortest length of a chunk, in milliseconds.
        in_words: Whether cuts may be inside words, too. Else every chunk completes a word, as is
            usual at ElevenLabs; Pipecat before 1.14 counts the time of such chunks only.
    """
    timed = characters(request.speech)[1:]  # a space alone would not be counted
    words = [start for _, start, _ in request.speech.words[1:-1]]
    cuts, at = [], 0.0
    for start in [start for _, start, _ in timed[1:]] if in_words else words:
        if start - at >= chunk_ms / 1000:
            cuts.append(round(start * request.sample_rate))
            at = start
    return cuts


def aligned(
    request: Request, piece: Piece, timed: list[Character] | None = None
) -> list[Character]:
    """Return the characters that begin in a piece."""
    half = 0.5 / request.sample_rate
    timed = characters(request.speech) if timed is None else timed
    return [one for one in timed if piece.start - half <= one[1] < piece.end - half]


class ContextsServer(WebSocketServer):
    """What ElevenLabs' WebSockets have in common: times by the character, and strict rules.

    Args:
        cuts_words: Whether a chunk may end in the middle of a word.
        kwargs: Pacing, see `Provider`.
    """

    address = "url"

    def __init__(self, *, cuts_words: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cuts_words = cuts_words

    def cuts(self, request: Request) -> list[int]:
        """Cut between characters."""
        return cuts_between_characters(request, self.chunk_ms, in_words=self.cuts_words)

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error, which ends the connection."""
        await self.reject(line.peer, "Synthesis failed")

    async def reject(self, peer: Peer, reason: str) -> None:
        """End the connection, and say why."""
        await peer.send({"error": "policy_violation", "message": reason, "code": POLICY_VIOLATION})
        await peer.socket.close(code=POLICY_VIOLATION, message=reason.encode())


class ElevenLabsServer(ContextsServer):
    """For `ElevenLabsTTSService(**server.options())`; for its arguments see `ContextsServer`."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the path for several contexts on a connection."""
        router.add_get("/v1/text-to-speech/{voice}/multi-stream-input", self.connect)

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Open a context, take text for it, flush or close it, or close the connection."""
        if message.get("close_socket"):
            await peer.socket.close()
            return
        context_id = message.get("context_id")
        if context_id is None:
            return
        line = peer.lines.get(context_id)
        if message.get("close_context"):
            if line:
                line.then(partial(self._finish, line))
        elif line is None and message.get("text"):
            await self._open_context(peer, message)
        elif line and "voice_settings" in message:
            reason = "Voice settings cannot be changed after the first message of a context"
            await self.reject(peer, reason)
        elif line:
            await self._take(line, message)

    async def _open_context(self, peer: Peer, message: dict[str, Any]) -> None:
        if len(peer.lines) >= CONTEXTS:
            await self.reject(peer, f"Maximum simultaneous contexts exceeded ({CONTEXTS})")
            return
        voice_settings = message.get("voice_settings", {})
        line = Line(self, peer, message["context_id"], voice_settings=voice_settings)
        peer.lines[message["context_id"]] = line
        await self._take(line, message)

    async def _take(self, line: Line, message: dict[str, Any]) -> None:
        text = message.get("text", "")
        if not text.strip():
            return
        query = dict(line.peer.request.query)
        rate = int(query.pop("output_format").removeprefix("pcm_"))
        request = await self.ask(
            text,
            connection=line.peer.number,
            context_id=line.context_id,
            sample_rate=rate,
            voice=line.peer.request.match_info["voice"],
            **query,
            **line.settings,
        )
        line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk with the times of its characters, which start anew in every chunk."""
        timed = aligned(request, piece)
        alignment = {
            "chars": [c for c, _, _ in timed],
            "charStartTimesMs": [1000 * (start - piece.start) for _, start, _ in timed],
            "charDurationsMs": [1000 * (end - start) for _, start, end in timed],
        }
        await line.peer.send(
            {
                "audio": base64.b64encode(piece.audio).decode(),
                "alignment": alignment if timed else None,
                "normalizedAlignment": None,
                "isFinal": None,
                "contextId": line.context_id,
            }
        )

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await line.peer.send({"isFinal": True, "contextId": line.context_id})


class ElevenLabsHttpServer(HttpServer):
    """For `ElevenLabsHttpTTSService(**server.options())`: a line of JSON for each chunk.

    After `Fault.BROKEN` a line cannot be read, and the body ends.
    """

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the path for audio with timestamps."""
        router.add_post("/v1/text-to-speech/{voice}/stream/with-timestamps", self.answer)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a session that is closed with the server."""
        session = ClientSession()
        self._clients.push_async_callback(session.close)
        return {**super().options(), "aiohttp_session": session}

    def cuts(self, request: Request) -> list[int]:
        """Cut between characters."""
        return cuts_between_characters(request, self.chunk_ms, in_words=True)

    async def take(self, request: web.Request, connection: int) -> Request:
        """Read what is to be said, and how."""
        asked, query = await request.json(), dict(request.query)
        rate = int(query.pop("output_format").removeprefix("pcm_"))
        voice = request.match_info["voice"]
        text = asked.pop("text")
        return await self.ask(
            text, connection=connection, sample_rate=rate, voice=voice, **query, **asked
        )

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send a line with audio and the times of its characters from the start of the text."""
        timed = aligned(request, piece)
        alignment = {
            "characters": [c for c, _, _ in timed],
            "character_start_times_seconds": [start for _, start, _ in timed],
            "character_end_times_seconds": [end for _, _, end in timed],
        }
        line = {
            "audio_base64": base64.b64encode(piece.audio).decode(),
            "alignment": alignment if timed else None,
            "normalized_alignment": None,
        }
        return json.dumps(line).encode() + b"\n"

    def broken(self) -> bytes:
        """Send audio that cannot be decoded."""
        return b'{"audio_base64": "x"}\n'

    def error(self) -> dict[str, object]:
        """Report an error as ElevenLabs does."""
        return {"detail": {"status": "error", "message": "Synthesis failed"}}


KINDS = (
    Kind(
        service="ElevenLabsTTSService",
        server=ElevenLabsServer,
        limits="5 contexts a connection",
    ),
    Kind(
        service="ElevenLabsHttpTTSService",
        server=ElevenLabsHttpServer,
    ),
)
