#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Google Cloud Text-to-Speech, in place of its gRPC client: a whole answer, or a stream."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from pipecat_tts_cache.testing.provider import Request
from tests.providers.aws import plain_text
from tests.providers.kind import Kind
from tests.providers.plain_http import wav_header
from tests.providers.sdk import LibraryServer, Replacement


class GoogleServer(LibraryServer):
    """For the services on Google Cloud, each created with `server.options()`."""

    module = "google.tts"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; the client is created without credentials."""
        return {}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the client."""
        for service in (pipecat.GoogleHttpTTSService, pipecat.GoogleBaseTTSService):
            yield service, "_create_client", lambda *_: self

    async def synthesize_speech(self, request: Any) -> Any:
        """Speak a text, and give the audio as a WAV file."""
        from google.cloud import texttospeech_v1 as google

        form = request.audio_config
        _demand_encoding(form.audio_encoding, google.AudioEncoding.LINEAR16)
        text = request.input.text or plain_text(request.input.ssml)
        rate, voice = form.sample_rate_hertz, request.voice.name
        audio = await self.whole_answer(text, rate, voice=voice, speaking_rate=form.speaking_rate)
        header = wav_header(len(audio), rate) if audio else b""
        return google.SynthesizeSpeechResponse(audio_content=header + audio)

    async def streaming_synthesize(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Speak a text that follows its settings on a stream."""
        from google.cloud import texttospeech_v1 as google

        config = (await anext(requests)).streaming_config
        form = config.streaming_audio_config
        _demand_encoding(form.audio_encoding, google.AudioEncoding.PCM)
        texts = [request.input async for request in requests]
        pieces = self.answer(
            "".join(each.text for each in texts),
            form.sample_rate_hertz,
            voice=config.voice.name,
            model=config.voice.model_name,
            speaking_rate=form.speaking_rate,
            prompt="".join(each.prompt for each in texts),
        )

        async def responses() -> AsyncIterator[Any]:
            async for piece in pieces:
                yield google.StreamingSynthesizeResponse(audio_content=piece.audio)

        return responses()

    def lost(self) -> Exception:
        """Return what the client makes of a connection that breaks."""
        from google.api_core.exceptions import ServiceUnavailable

        return ServiceUnavailable("Connection reset by peer")

    def refused(self, request: Request) -> Exception:
        """Return what the client makes of an error."""
        from google.api_core.exceptions import from_http_status

        status = request.trouble.status if request.trouble else 400
        return from_http_status(status, "Synthesis failed")


def _demand_encoding(given: object, expected: object) -> None:
    if given != expected:
        raise ValueError(f"The encoding is {given!r}, not {expected!r}")


_VOICES = ("en-US-Chirp3-HD-Charon", "en-US-Chirp3-HD-Kore")

KINDS = (
    Kind(service="GoogleHttpTTSService", server=GoogleServer, voices=_VOICES),
    Kind(service="GoogleTTSService", server=GoogleServer, voices=_VOICES),
    Kind(
        service="GeminiTTSService",
        name="Google Cloud",
        server=GoogleServer,
        voices=("Kore", "Puck"),
    ),
)
