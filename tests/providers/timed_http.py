#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Providers that tell over HTTP when words are spoken: Inworld and Speechify."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.http import SessionServer, demand, point_at
from tests.providers.json_http import event, in_base64
from tests.providers.kind import Kind

INWORLD_TOKEN = re.compile(r"\s+|[^\W_](?:\S*[^\W_])?|[^\w\s]+|_+")
SPEECHIFY_MARK = re.compile(r"-|[^\s-]+")

Part = tuple[int, int, float, float]
"""Where a part of a text begins and ends, in characters, and when, in seconds."""


def timed(request: Request, pattern: re.Pattern[str]) -> Iterator[Part]:
    """Time the parts of a text that a pattern finds, one behind the other.

    White space takes the time between two words, and the part of a word as much of the word as it
    has of its characters. What is last ends with the audio.
    """
    text, speech = request.text, request.speech
    times: list[float] = [0.0] * (len(text) + 1)
    at = 0.0
    words = iter(speech.words)
    for found in re.finditer(r"\s+|\S+", text):
        start, end = found.span()
        _, since, until = (None, at, at) if found[0].isspace() else next(words)
        for place in range(start, end):
            times[place] = since + (until - since) * (place - start) / (end - start)
        at = until
    times[len(text)] = speech.duration
    for found in pattern.finditer(text):
        start, end = found.span()
        yield start, end, times[start], times[end]


class InworldHttpServer(SessionServer):
    """For `InworldHttpTTSService(**server.options())`, whose address is changed afterwards.

    A line of JSON for each chunk of audio, and when all of it is out, lines with the times of every
    token of the text: words, punctuation and white space. After an error the body ends as it always
    does; the service takes no notice of the error.
    """

    content_type = "application/json"
    address = ""
    path = "/tts/v1/voice:stream"
    strategy = "ASYNC"

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Inworld's names."""
        form = asked["audioConfig"]
        demand(form, audioEncoding="PCM")
        demand(asked, timestampType="WORD", timestampTransportStrategy=self.strategy)
        asked["voice"] = asked.pop("voiceId")
        return asked.pop("text"), form.pop("sampleRateHertz")

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send a line with audio."""
        return self._line({"audioContent": in_base64(piece.audio)})

    def closing(self, request: Request) -> bytes:
        """Send when every token is spoken: a line for each second of audio, of whole words."""
        if not request.sent:
            return b""
        lines: dict[int, list[Part]] = {}
        second = 0
        for token in timed(request, INWORLD_TOKEN):
            second = int(token[2]) if request.text[token[0]].isalnum() else second
            lines.setdefault(second, []).append(token)
        infos = (self.alignment(request, tokens) for tokens in lines.values())
        return b"".join(self._line({"timestampInfo": info}) for info in infos)

    @staticmethod
    def alignment(request: Request, tokens: list[Part]) -> dict[str, Any]:
        """Return tokens and their times in the way of Inworld."""
        return {
            "wordAlignment": {
                "words": [request.text[start:end] for start, end, _, _ in tokens],
                "wordStartTimeSeconds": [since for _, _, since, _ in tokens],
                "wordEndTimeSeconds": [until for _, _, _, until in tokens],
            }
        }

    def broken(self) -> bytes:
        """Send a line with an error."""
        return json.dumps({"error": self.error()}).encode() + b"\n"

    def error(self) -> dict[str, object]:
        """Report an error as Inworld does."""
        return {"code": 3, "message": "Synthesis failed", "details": []}

    @staticmethod
    def _line(result: dict[str, Any]) -> bytes:
        return json.dumps({"result": result}).encode() + b"\n"


class InworldSyncServer(InworldHttpServer):
    """The same with `timestamp_transport_strategy="SYNC"`: words come with their audio."""

    strategy = "SYNC"

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send a line with audio, and with every word that begins in it."""
        result: dict[str, Any] = {"audioContent": in_base64(piece.audio)}
        begun: list[Part] = []
        since = 0.0
        for token in timed(request, INWORLD_TOKEN):
            since = token[2] if request.text[token[0]].isalnum() else since
            if piece.start <= since < piece.end:
                begun.append(token)
        if begun:
            result["timestampInfo"] = self.alignment(request, begun)
        return self._line(result)

    def closing(self, request: Request) -> bytes:
        """Send nothing more."""
        return b""


class InworldWholeServer(InworldHttpServer):
    """The same for `InworldHttpTTSService(**server.options(), streaming=False)`."""

    path = "/tts/v1/voice"

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Keep audio back until there is all of it."""
        return b""

    def closing(self, request: Request) -> bytes:
        """Send everything."""
        audio = request.speech.audio[: request.sent]
        tokens = list(timed(request, INWORLD_TOKEN)) if audio else []
        info = self.alignment(request, tokens)
        return json.dumps({"audioContent": in_base64(audio), "timestampInfo": info}).encode()


class SpeechifyHttpServer(SessionServer):
    """For `SpeechifyHttpTTSService(**server.options())`: events with audio, and with marks.

    Marks come one event after the audio that they are about. A word with hyphens has several.
    """

    content_type = "text/event-stream"
    path = "/v1/audio/stream/with-timestamps"

    def __init__(self, **pacing: Any) -> None:
        super().__init__(**pacing)
        self._marked: dict[Request, float] = {}

    def read(self, asked: dict[str, Any]) -> tuple[str, int]:
        """Read Speechify's names."""
        asked["voice"] = asked.pop("voice_id")
        rate = asked.pop("output_format").removeprefix("pcm_")
        return asked.pop("input"), int(rate)

    def encode(self, request: Request, piece: Piece) -> bytes:
        """Send an event with audio, and the marks of what was sent before."""
        marks = self._marks(request, piece.start)
        data = {"audio": in_base64(piece.audio), **({"speech_marks": marks} if marks else {})}
        return event(data, "speech.chunk")

    def closing(self, request: Request) -> bytes:
        """Send the marks that are left, and how long all of it is."""
        duration = request.speech.duration if request.sent else 0.0
        marks = self._marks(request, duration)
        chunk = event({"speech_marks": marks}, "speech.chunk") if marks else b""
        return chunk + event({"audio_duration_ms": round(1000 * duration)}, "speech.done")

    def _marks(self, request: Request, until: float) -> list[dict[str, Any]]:
        """Return the marks of what begins before a time, without those that were sent."""
        since, self._marked[request] = self._marked.get(request, 0.0), until
        return [
            {
                "type": "word",
                "value": request.text[start:end],
                "start": start,
                "end": end,
                "start_time": round(1000 * begins),
                "end_time": round(1000 * ends),
            }
            for start, end, begins, ends in timed(request, SPEECHIFY_MARK)
            if since <= begins < until
        ]

    def broken(self) -> bytes:
        """Send an event with an error."""
        return event(self.error(), "speech.error")

    def error(self) -> dict[str, object]:
        """Report an error as Speechify does."""
        return {"error": {"code": "invalid_request", "message": "Synthesis failed"}}


KINDS = (
    Kind(
        service="InworldHttpTTSService",
        server=InworldHttpServer,
        voices=("Ashley", "Dennis"),
        prepare=point_at,
    ),
    Kind(
        service="InworldHttpTTSService",
        name="in one piece",
        server=InworldWholeServer,
        arguments={"streaming": False},
        voices=("Ashley", "Dennis"),
        prepare=point_at,
    ),
    Kind(
        service="SpeechifyHttpTTSService",
        server=SpeechifyHttpServer,
        voices=("geffen_32", "george"),
    ),
)
