#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Amazon Polly, and what answers behind the HTTP endpoint of a SageMaker, in place of aiobotocore.

A client of botocore reads files of its own for each service, so there is a stand-in for the session
that creates the clients. A connection that breaks in a body is what aiobotocore makes of it.
"""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self
from xml.sax.saxutils import unescape

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import demand
from tests.providers.kind import Kind
from tests.providers.sdk import LibraryServer, Replacement

POLLY_SAMPLE_RATE = 16_000


class AwsServer(LibraryServer):
    """A provider behind a session of aiobotocore."""

    service_name = ""
    """The service that a client may be created for."""

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the session."""
        yield pipecat.aiobotocore.session, "get_session", lambda: self

    @asynccontextmanager
    async def create_client(self, service_name: str, **_: object) -> AsyncIterator[Any]:
        """Give the client, which is the server itself."""
        if service_name != self.service_name:
            raise ValueError(f"A client for {service_name!r}")
        yield self

    def lost(self) -> Exception:
        """Return what aiobotocore makes of a connection that breaks."""
        from botocore.exceptions import ResponseStreamingError

        return ResponseStreamingError(error="Connection closed")

    def refused(self, request: Request) -> Exception:
        """Return what aiobotocore makes of an error."""
        from botocore.exceptions import ClientError

        status = request.trouble.status if request.trouble else 400
        error = {"Code": "ServiceFailureException", "Message": "Synthesis failed"}
        response = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(response, "SynthesizeSpeech")  # type: ignore[arg-type]


class PollyServer(AwsServer):
    """For `AWSPollyTTSService(**server.options())`."""

    module = "aws.tts"
    service_name = "polly"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().options(), "aws_access_key_id": "id", "region": "eu-west-1"}

    async def synthesize_speech(self, **asked: Any) -> dict[str, Any]:
        """Speak a text in SSML, at 16 kHz."""
        demand(asked, TextType="ssml", OutputFormat="pcm", SampleRate="16000")
        text, voice = plain_text(asked.pop("Text")), asked.pop("VoiceId")
        if unknown := asked.keys() - {"Engine", "LexiconNames"}:
            raise ValueError(f"Not parameters of Polly: {unknown}")
        pieces = self.answer(text, POLLY_SAMPLE_RATE, voice=voice, **asked)
        return {"AudioStream": await Body.begin(pieces)}


class Body:
    """What a client of botocore gives as a body.

    Args:
        first: What has come of it.
        pieces: What is to come.
    """

    def __init__(self, first: bytes, pieces: AsyncIterator[Piece]) -> None:
        self._first, self._pieces = first, pieces

    @classmethod
    async def begin(cls, pieces: AsyncIterator[Piece]) -> Self:
        """Wait until it begins; what goes wrong until then is an error of the request."""
        first = await anext(pieces, None)
        return cls(first.audio if first else b"", pieces)

    async def read(self) -> bytes:
        """Read all of it."""
        return b"".join([chunk async for chunk in self.iter_chunks()])

    async def iter_chunks(self, chunk_size: int = 1024) -> AsyncIterator[bytes]:
        """Read it as it comes; no piece is as long as the chunks that are asked for."""
        yield self._first
        async for piece in self._pieces:
            yield piece.audio


def plain_text(ssml: str) -> str:
    """Return the text of SSML."""
    return unescape(re.sub(r"<[^>]*>", "", ssml), {"&quot;": '"', "&apos;": "'"})


KINDS = (
    Kind(
        service="AWSPollyTTSService",
        server=PollyServer,
        voices=("Joanna", "Matthew"),
        sample_rate=POLLY_SAMPLE_RATE,
    ),
)
