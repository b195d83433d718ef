#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""ElevenLabs Text to Dialogue: contexts that are registered, and finish what they were given."""

import base64
from functools import partial
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.elevenlabs import CONTEXTS, Character, ContextsServer, aligned, characters
from tests.providers.kind import Kind
from tests.providers.websocket import Line, Peer

ENOUGH_CHARACTERS, ENOUGH_WORDS = 40, 8
"""How much text is held back until there is more, or until a flush."""

VOICES = ("one", "another")


def written_characters(request: Request) -> list[Character]:
    """Time every character as it was sent; a space at the end is as long as the silence there."""
    timed = characters(request.speech)[1:]
    if timed and request.text.endswith(" "):
        last, start, _ = timed.pop()
        end = request.speech.words[-1][2]
        timed += [(last, start, end), (" ", end, request.speech.duration)]
    return timed


class ElevenLabsDialogueServer(ContextsServer):
    """For `ElevenLabsDialogueTTSService(**server.options())`.

    A context has to be registered with its voices before it is spoken in, and has a place until all
    of its text is spoken, closed or not. The service itself takes one of the five to keep the
    connection alive. What is against the protocol ends the connection.

    Its arguments are those of `ContextsServer`. With `cuts_words`, a speak frame inside an LLM turn
    loses its words' times without a cache: two contexts share one broken word.
    """

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer on the path for several contexts on a connection."""
        router.add_get("/v1/text-to-dialogue/multi-stream-input", self.connect)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice: without one nothing is kept alive."""
        from pipecat.services.elevenlabs.dialogue.tts import ElevenLabsDialogueTTSService

        settings = ElevenLabsDialogueTTSService.Settings(voice=VOICES[0])
        return {**super().options(), "settings": settings}

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Register a context, take text for it, flush, close or keep it, or end the connection."""
        if message.get("close_socket"):
            await peer.socket.close()
            return
        context_id = message["context_id"]
        line = peer.lines.get(context_id)
        if "voices" in message:
            await self._register(peer, message)
        elif line is None or line.settings["closing"]:
            await self.reject(peer, f"Context {context_id} is not open")
        elif "inputs" in message:
            await self._take(line, message["inputs"])
        elif message.get("flush"):
            self._speak_up(line)
        elif message.get("close_context"):
            self._speak_up(line)
            line.settings["closing"] = True
            line.then(partial(self._finish, line))
        elif not message.get("keep_alive"):
            raise ValueError(f"Not a message of this protocol: {message}")

    async def _register(self, peer: Peer, message: dict[str, Any]) -> None:
        context_id, voices = message["context_id"], message["voices"]
        if context_id in peer.lines:
            await self.reject(peer, f"Context {context_id} is registered already")
        elif len(peer.lines) >= CONTEXTS:
            await self.reject(peer, f"Maximum simultaneous contexts exceeded ({CONTEXTS})")
        else:
            peer.lines[context_id] = Line(
                self,
                peer,
                context_id,
                voices=voices,
                voice_settings=message.get("voice_settings", {}),
                held_back=[],
                closing=False,
            )

    async def _take(self, line: Line, inputs: list[dict[str, Any]]) -> None:
        query = dict(line.peer.request.query)
        rate = int(query.pop("output_format").removeprefix("pcm_"))
        for one in inputs:
            if one["voice_id"] not in line.settings["voices"]:
                await self.reject(line.peer, f"Voice {one['voice_id']} is not registered")
                return
            request = await self.ask(
                one["text"],
                connection=line.peer.number,
                context_id=line.context_id,
                sample_rate=rate,
                voice=one["voice_id"],
                new_turn=one["new_turn"],
                voice_settings=line.settings["voice_settings"],
                **query,
            )
            line.settings["held_back"].append(request)
        text = "".join(request.text for request in line.settings["held_back"])
        if len(text) >= ENOUGH_CHARACTERS and len(text.split()) >= ENOUGH_WORDS:
            self._speak_up(line)

    def _speak_up(self, line: Line) -> None:
        for request in line.settings["held_back"]:
            line.say(request)
        line.settings["held_back"] = []

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send a chunk with the times of its characters, which start anew in every chunk."""
        timed = aligned(request, piece, written_characters(request))
        alignment = {
            "chars": [c for c, _, _ in timed],
            "char_start_times_ms": [1000 * (start - piece.start) for _, start, _ in timed],
            "char_durations_ms": [1000 * (end - start) for _, start, end in timed],
        }
        common = {"context_id": line.context_id}
        audio = base64.b64encode(piece.audio).decode()
        await line.peer.send({"audio": audio, "alignment": alignment if timed else None, **common})
        if request.whole:
            await line.peer.send({"is_final_audio_for_turn": True, **common})

    async def _finish(self, line: Line) -> None:
        line.peer.lines.pop(line.context_id, None)
        await line.peer.send({"is_final": True, "context_id": line.context_id})


KINDS = (
    Kind(
        service="ElevenLabsDialogueTTSService",
        server=ElevenLabsDialogueServer,
        voices=VOICES,
        limits="5 contexts a connection, one of them to keep it alive",
    ),
)
