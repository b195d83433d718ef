#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Providers over HTTP that are asked through a client library, which is told another address."""

import base64
import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import demand
from tests.providers.kind import Kind
from tests.providers.plain_http import PlainServer, wav_header
from tests.providers.sdk import ClientServer, Replacement, exact_floats

CAMB_SAMPLE_RATE = 22_050
CAMB_VOICES = (147_320, 20_303)
GEMINI_SAMPLE_RATE = 24_000
GROQ_SAMPLE_RATE = 48_000
HUME_SAMPLE_RATE = 48_000
MISTRAL_SAMPLE_RATE = 24_000


class CambServer(ClientServer, PlainServer):
    """For `CambTTSService(**server.options())`: PCM, cut in the middle of samples."""

    module = "camb.tts"
    path = "/tts-stream"
    splits_samples = True

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Tell the client another address."""
        client = partial(pipecat.AsyncCambAI, base_url=self.url, httpx_client=self.http_client())
        yield pipecat, "AsyncCambAI", client

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Camb's names."""
        demand(asked["output_configuration"], format="pcm_s16le")
        asked["voice"] = asked.pop("voice_id")
        return asked.pop("text"), CAMB_SAMPLE_RATE

    def error(self) -> dict[str, object]:
        """Report an error as Camb does."""
        return {"detail": "Synthesis failed"}


class GroqServer(ClientServer):
    """For `GroqTTSService(**server.options())`: a WAV file, which the client reads as a whole.

    The client does without its own retries, which would make up for a fault.
    """

    module = "groq.tts"
    path = "/openai/v1/audio/speech"
    content_type = "audio/wav"

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Tell the client another address."""
        client = partial(
            pipecat.AsyncGroq,
            base_url=self.url,
            http_client=self.http_client(),
            max_retries=0,
        )
        yield pipecat, "AsyncGroq", client

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read the names that Groq has from OpenAI."""
        demand(asked, response_format="wav")
        return asked.pop("input"), GROQ_SAMPLE_RATE

    def opening(self, request: Request) -> bytes:
        """Send the header of a WAV file."""
        return wav_header(len(request.speech.audio), request.sample_rate)

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the bare audio."""
        return piece.audio

    def error(self) -> dict[str, object]:
        """Report an error as Groq does."""
        return {"error": {"message": "Synthesis failed", "type": "invalid_request_error"}}


class HumeServer(ClientServer):
    """For `HumeTTSService(**server.options())`: a line of JSON for each chunk and each word."""

    module = "hume.tts"
    path = "/v0/tts/stream/json"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice, for there is none by default."""
        from pipecat.services.hume.tts import HumeTTSSettings

        return {**super().options(), "settings": HumeTTSSettings(voice="one")}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Tell the client another address."""
        yield pipecat, "AsyncHumeClient", partial(pipecat.AsyncHumeClient, base_url=self.url)

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Hume's names."""
        demand(asked, include_timestamp_types=["word"], instant_mode=True)
        demand(asked, format={"type": "pcm"})
        (utterance,) = asked.pop("utterances")
        asked.update(utterance)
        asked["voice"] = asked["voice"]["id"]
        return asked.pop("text"), HUME_SAMPLE_RATE

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the audio, then the words that begin in it."""
        of = {"request_id": "1", "generation_id": "1", "snippet_id": str(request.take)}
        chunk = {
            "type": "audio",
            "audio": base64.b64encode(piece.audio).decode(),
            "audio_format": "pcm",
            "chunk_index": 0,
            "is_last_chunk": request.whole,
            "text": request.text,
            **of,
        }
        words = [
            {
                "type": "timestamp",
                "timestamp": {
                    "type": "word",
                    "text": word,
                    "time": {"begin": round(1000 * start), "end": round(1000 * end)},
                },
                **of,
            }
            for word, start, end in piece.words(request.speech)
        ]
        return b"".join(json.dumps(line).encode() + b"\n" for line in (chunk, *words))

    def error(self) -> dict[str, object]:
        """Report an error as Hume does."""
        return {"code": "E0700", "message": "Synthesis failed"}


class MistralServer(ClientServer):
    """For `MistralTTSService(**server.options())`: server-sent events with float32 samples."""

    module = "mistral.tts"
    path = "/v1/audio/speech"
    content_type = "text/event-stream"

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Tell the client another address."""
        import httpx

        client = httpx.Client(verify=False, trust_env=False)
        self._clients.callback(client.close)
        asynchronous = self.http_client()
        options = {"server_url": self.url, "client": client, "async_client": asynchronous}
        yield pipecat, "Mistral", partial(pipecat.Mistral, **options)

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Mistral's names."""
        demand(asked, response_format="pcm", stream=True)
        asked["voice"] = asked.pop("voice_id")
        return asked.pop("input"), MISTRAL_SAMPLE_RATE

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the audio in an event."""
        audio = base64.b64encode(exact_floats(piece.audio).tobytes()).decode()
        return _event("speech.audio.delta", audio_data=audio)

    def closing(self, request: Request) -> bytes:
        """Send what was used."""
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return _event("speech.audio.done", usage=usage)

    def error(self) -> dict[str, object]:
        """Report an error as Mistral does."""
        return {"object": "error", "message": "Synthesis failed", "type": "invalid_request_error"}


def _event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


class GeminiServer(ClientServer):
    """For `GeminiTTSService(**server.options())` on the Gemini API: server-sent events."""

    module = "google.tts"
    path = "/v1beta/models/{model}:streamGenerateContent"
    content_type = "text/event-stream"

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Give the library's client an HTTP client; an argument says where the provider is."""
        client, http_client = pipecat.genai.Client, self.http_client()

        def create(*, http_options: Any, **options: Any) -> Any:
            given = http_options.model_copy(update={"httpx_async_client": http_client})
            return client(http_options=given, **options)

        yield pipecat.genai, "Client", create

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the address."""
        from google.genai.types import HttpOptions

        return {**super().options(), "http_options": HttpOptions(base_url=self.url)}

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Gemini's names."""
        from google.genai.types import SpeechConfig

        form = asked.pop("generationConfig")
        demand(form, responseModalities=["AUDIO"])
        speech = SpeechConfig.model_validate(form.pop("speechConfig"))
        asked["voice"] = speech.voice_config.prebuilt_voice_config.voice_name
        asked["language"] = speech.language_code
        (content,) = asked.pop("contents")
        (part,) = content["parts"]
        return part["text"], GEMINI_SAMPLE_RATE

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send the audio in a part of a candidate."""
        data = base64.b64encode(piece.audio).decode()
        part = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}}
        answer = {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
        return f"data: {json.dumps(answer)}\r\n\r\n".encode()

    def error(self) -> dict[str, object]:
        """Report an error as Google does."""
        return {"error": {"code": 400, "message": "Synthesis failed", "status": "INVALID_ARGUMENT"}}


KINDS = (
    Kind(
        service="CambTTSService",
        server=CambServer,
        voices=CAMB_VOICES,
        sample_rate=CAMB_SAMPLE_RATE,
    ),
    Kind(
        service="GroqTTSService",
        server=GroqServer,
        voices=("autumn", "diana"),
        sample_rate=GROQ_SAMPLE_RATE,
    ),
    Kind(
        # A sentence's words are early by the silence behind the sentences before it.
        service="HumeTTSService",
        server=HumeServer,
        sample_rate=HUME_SAMPLE_RATE,
    ),
    Kind(service="MistralTTSService", server=MistralServer, voices=(None, "another")),
    Kind(
        service="GeminiTTSService",
        name="Gemini API",
        server=GeminiServer,
        voices=("Kore", "Puck"),
        sample_rate=GEMINI_SAMPLE_RATE,
    ),
)
