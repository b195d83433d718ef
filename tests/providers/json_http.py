#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Providers that wrap audio in JSON over HTTP: as a stream of events, or in one piece."""

import base64
import json
from typing import Any

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import SessionServer, demand
from tests.providers.kind import Kind
from tests.providers.plain_http import wav_header

SERVER_ERROR = 500


def event(data: dict[str, Any], name: str = "") -> bytes:
    """Return a server-sent event."""
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data)}\n\n".encode()


def in_base64(audio: bytes) -> str:
    """Return audio as text."""
    return base64.b64encode(audio).decode()


class MiniMaxHttpServer(SessionServer):
    """For `MiniMaxHttpTTSService(**server.options())`: events with audio in hex.

    What is wrong with a request, and with the server's own work, is told in the body of an answer
    with status 200. The service takes no notice of it. The last event carries all of the audio once
    more; the service leaves it out.
    """

    content_type = "text/event-stream"
    root = "/v1/t2a_v2"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().options(), "group_id": "group"}

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read MiniMax's names."""
        form = asked.pop("audio_setting")
        demand(form, channel=1, format="pcm")
        demand(asked, stream=True)
        asked["voice"] = asked["voice_setting"].pop("voice_id")
        return asked.pop("text"), form["sample_rate"]

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send an event with audio."""
        return event({"data": {"audio": piece.audio.hex(), "status": 1}, **self._outcome()})

    def closing(self, request: Request) -> bytes:
        """Send an event with all of the audio, and what there is to know about it."""
        audio = request.speech.audio[: request.sent]
        about = {"audio_length": round(1000 * request.speech.duration)}
        data = {"audio": audio.hex(), "status": 2}
        return event({"data": data, "extra_info": about, **self._outcome()})

    def broken(self) -> bytes:
        """Send an event with an error."""
        return event(self.error())

    def status(self, request: Request) -> int:
        """Return the status of a success, unless it is not MiniMax itself that fails."""
        status = super().status(request)
        return status if status >= SERVER_ERROR else 200

    def error(self) -> dict[str, object]:
        """Report an error as MiniMax does."""
        return self._outcome(1000, "unknown error")

    @staticmethod
    def _outcome(code: int = 0, message: str = "") -> dict[str, object]:
        return {"trace_id": "1", "base_resp": {"status_code": code, "status_msg": message}}


class NeuphonicHttpServer(SessionServer):
    """For `NeuphonicHttpTTSService(**server.options())`: events with audio in base64."""

    content_type = "text/event-stream"
    address = "url"
    path = "/sse/speak/{language}"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Neuphonic's names."""
        demand(asked, encoding="pcm_linear")
        asked["voice"] = asked.pop("voice_id", None)
        return asked.pop("text"), asked.pop("sampling_rate")

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send an event with audio."""
        data = {"audio": in_base64(piece.audio), "sampling_rate": request.sample_rate}
        return event({"status_code": 200, "data": data}, "message")

    def broken(self) -> bytes:
        """Send an event with errors."""
        return event({"status_code": SERVER_ERROR, "errors": ["Synthesis failed"]}, "error")


class SarvamHttpServer(SessionServer):
    """For `SarvamHttpTTSService(**server.options())`: a WAV file in one piece of JSON."""

    content_type = "application/json"
    path = "/text-to-speech"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Sarvam's names."""
        asked["voice"] = asked.pop("speaker")
        return asked.pop("text"), asked.pop("speech_sample_rate")

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Keep audio back until there is all of it."""
        return b""

    def closing(self, request: Request) -> bytes:
        """Send everything."""
        audio = request.speech.audio[: request.sent]
        audios = [in_base64(wav_header(len(audio), request.sample_rate) + audio)] if audio else []
        return json.dumps({"request_id": "1", "audios": audios}).encode()

    def error(self) -> dict[str, object]:
        """Report an error as Sarvam does."""
        return {"error": {"code": "invalid_request_error", "message": "Synthesis failed"}}


KINDS = (
    Kind(
        service="MiniMaxHttpTTSService",
        server=MiniMaxHttpServer,
        voices=("Calm_Woman", "Deep_Voice_Man"),
    ),
    Kind(service="NeuphonicHttpTTSService", server=NeuphonicHttpServer),
    Kind(service="SarvamHttpTTSService", server=SarvamHttpServer, voices=("shubh", "aditya")),
)
