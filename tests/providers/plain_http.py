#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Providers whose body over HTTP is bare audio: asked by one POST a text, streamed back."""

import struct
from typing import Any

from aiohttp import web

from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import SessionServer, demand, point_at
from tests.providers.kind import Kind

PIPER_SAMPLE_RATE = 22_050  # of Piper's voices of medium and high quality
SPEECHMATICS_SAMPLE_RATE = 16_000
XTTS_SAMPLE_RATE = 24_000
XTTS_SPEAKERS = ("Claribel Dervla", "Daisy Studious")


def wav_header(size: int, rate: int) -> bytes:
    """Return the header of a WAV file.

    Args:
        size: Of the audio, in bytes.
        rate: In Hz.
    """
    riff, form = (b"RIFF", 36 + size, b"WAVE"), (b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s4sIHHIIHH4sI", *riff, *form, b"data", size)


class PlainServer(SessionServer):
    """A provider that answers with PCM."""

    content_type = "audio/pcm"
    splits_samples = False
    """Whether the body is cut in the middle of samples."""

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the bare audio, but for what was sent before."""
        if not self.splits_samples:
            return piece.audio
        sent = request.sent - len(piece.audio) - bool(piece.start)
        return request.speech.audio[max(sent, 0) : request.sent - 1]

    def closing(self, request: Request) -> bytes:
        """Send what is left of the last sample."""
        split = self.splits_samples and request.sent
        return request.speech.audio[request.sent - 1 :] if split else b""


class AsyncAIHttpServer(PlainServer):
    """For `AsyncAIHttpTTSService(**server.options())`."""

    address = "url"
    path = "/text_to_speech/streaming"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Async's names."""
        form = asked.pop("output_format")
        demand(form, container="raw", encoding="pcm_s16le")
        asked["voice"] = asked["voice"]["id"]
        return asked.pop("transcript"), form["sample_rate"]

    def error(self) -> dict[str, object]:
        """Report an error as Async does."""
        return {"detail": {"error_code": "invalid_request", "message": "Synthesis failed"}}


class BlandHttpServer(PlainServer):
    """For `BlandHttpTTSService(**server.options())`."""

    root = "/v2"
    path = "/tts"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Bland's names."""
        form = asked.pop("audio")
        demand(form, container="raw", encoding="pcm_s16le")
        return asked.pop("text"), form["sample_rate"]

    def error(self) -> dict[str, object]:
        """Report an error as Bland does."""
        return {"error": {"code": "invalid_request", "message": "Synthesis failed"}}


class CartesiaHttpServer(PlainServer):
    """For `CartesiaHttpTTSService(**server.options())`."""

    path = "/tts/bytes"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Cartesia's names."""
        form = asked.pop("output_format")
        demand(form, container="raw", encoding="pcm_s16le")
        asked["voice"] = asked["voice"]["id"]
        return asked.pop("transcript"), form["sample_rate"]


class DeepgramHttpServer(PlainServer):
    """For `DeepgramHttpTTSService(**server.options())`."""

    path = "/v1/speak"
    splits_samples = SPARES_SPEECH  # before 1.13 half a sample ends Pipecat's playback for good

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Deepgram's names."""
        demand(asked, container="none", encoding="linear16")
        asked["voice"] = asked.pop("model")
        return asked.pop("text"), int(asked.pop("sample_rate"))

    def error(self) -> dict[str, object]:
        """Report an error as Deepgram does."""
        return {"err_code": "INVALID_REQUEST", "err_msg": "Synthesis failed", "request_id": "1"}


class PiperHttpServer(PlainServer):
    """For `PiperHttpTTSService(**server.options())`: a WAV file of the voice's own sample rate."""

    content_type = "audio/wav"
    path = "/"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; the service has no key, and no slash in its address."""
        options = super().options()
        del options["api_key"]
        return options

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read the text; the sample rate is the voice's."""
        return asked.pop("text"), PIPER_SAMPLE_RATE

    def opening(self, request: Request) -> bytes:
        """Send the header of a WAV file."""
        return wav_header(len(request.speech.audio), request.sample_rate)


class RimeHttpServer(PlainServer):
    """For `RimeHttpTTSService(**server.options())`, whose address is changed afterwards."""

    address = ""
    path = "/v1/rime-tts"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Rime's names."""
        asked["voice"] = asked.pop("speaker")
        return asked.pop("text"), asked.pop("samplingRate")


class SpeechmaticsServer(PlainServer):
    """For `SpeechmaticsTTSService(**server.options())`, which tries again after status 503."""

    path = "/generate/{voice}"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Speechmatics' names; it knows one sample rate."""
        demand(asked, output_format=f"pcm_{SPEECHMATICS_SAMPLE_RATE}")
        return asked.pop("text"), SPEECHMATICS_SAMPLE_RATE


class XAIHttpServer(PlainServer):
    """For `XAIHttpTTSService(**server.options())`."""

    root = "/v1/tts"
    splits_samples = True

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read xAI's names."""
        form = asked.pop("output_format")
        demand(form, codec="pcm")
        asked["voice"] = asked.pop("voice_id")
        return asked.pop("text"), form["sample_rate"]


class XTTSServer(PlainServer):
    """For `XTTSService(**server.options())`, which asks for the speakers when it starts.

    The service leaves full stops out of the texts it sends. The server puts one back at the end,
    so that what is heard can be compared with what was to be said.
    """

    path = "/tts_stream"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; there is no key, and no default voice."""
        from pipecat.services.xtts.tts import XTTSService

        options = super().options()
        del options["api_key"]
        return {**options, "settings": XTTSService.Settings(voice=XTTS_SPEAKERS[0])}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Answer where the service asks for speakers, too."""
        super().add_routes(router)
        router.add_get("/studio_speakers", self._tell_speakers)

    async def _tell_speakers(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                name: {"speaker_embedding": [number], "gpt_cond_latent": [[number]]}
                for number, name in enumerate(XTTS_SPEAKERS)
            }
        )

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read the names of the XTTS streaming server."""
        demand(asked, add_wav_header=False)
        asked["voice"] = XTTS_SPEAKERS[asked.pop("speaker_embedding")[0]]
        text = asked.pop("text").strip()
        return text if text.endswith(("?", "!")) else f"{text}.", XTTS_SAMPLE_RATE


KINDS = (
    Kind(service="AsyncAIHttpTTSService", server=AsyncAIHttpServer),
    Kind(service="BlandHttpTTSService", server=BlandHttpServer),
    Kind(service="CartesiaHttpTTSService", server=CartesiaHttpServer),
    Kind(
        service="DeepgramHttpTTSService",
        server=DeepgramHttpServer,
        voices=("aura-2-helena-en", "aura-2-thalia-en"),
    ),
    Kind(
        service="PiperHttpTTSService",
        server=PiperHttpServer,
        arguments={"sample_rate": PIPER_SAMPLE_RATE},
    ),
    Kind(service="RimeHttpTTSService", server=RimeHttpServer, prepare=point_at),
    Kind(
        service="SpeechmaticsTTSService",
        server=SpeechmaticsServer,
        voices=("sarah", "theo"),
        limits="one sample rate",
    ),
    Kind(service="XAIHttpTTSService", server=XAIHttpServer, voices=("eve", "ara")),
    Kind(
        service="XTTSService",
        server=XTTSServer,
        arguments={"sample_rate": XTTS_SAMPLE_RATE},
        voices=XTTS_SPEAKERS,
        limits="one sample rate; only speakers that it names",
    ),
)
