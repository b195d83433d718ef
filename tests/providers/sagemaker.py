#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What answers behind the endpoints of a SageMaker, in place of AWS' clients.

Deepgram's models speak their own protocols over a stream in both directions, as they do over a
WebSocket, and so does NVIDIA's; the latter is asked over HTTP, too.
"""

import asyncio
import base64
import json
from collections.abc import Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache.testing.provider import Piece, Request
from tests.providers.aws import AwsServer, Body
from tests.providers.deepgram import DeepgramServer
from tests.providers.deepgram_flux import DeepgramFluxServer
from tests.providers.kind import Kind
from tests.providers.sdk import LibraryServer, Replacement
from tests.providers.websocket import Line, Peer, WebSocketServer

ENDPOINT = {"endpoint_name": "voice", "region": "eu-west-1"}


class MagpieHttpServer(AwsServer):
    """For `NvidiaSageMakerHTTPTTSService(**server.options())`."""

    module = "nvidia.sagemaker.tts"
    service_name = "sagemaker-runtime"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return dict(ENDPOINT)

    async def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        """Speak a text, and give the audio as a body."""
        form = {"ContentType": "application/json", "Accept": "application/octet-stream"}
        body = json.loads(asked.pop("Body"))
        if asked != {"EndpointName": ENDPOINT["endpoint_name"], **form}:
            raise ValueError(f"Not what is asked of this endpoint: {asked}")
        text, rate = body.pop("text"), body.pop("sample_rate_hz")
        pieces = self.answer(text, rate, voice=body.pop("voice_name"), **body)
        return {"Body": await Body.begin(pieces)}


class StreamServer(LibraryServer):
    """A model behind a stream in both directions: a `WebSocketServer` that is not on the network.

    Whoever has lost a stream cannot send anything on it.
    """

    def __init__(self, **pacing: Any) -> None:
        super().__init__(**pacing)
        self._streams: list[_Stream] = []
        self.event: Any = SimpleNamespace

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return dict(ENDPOINT)

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the client that opens streams."""
        from pipecat.services.aws.sagemaker import bidi_client

        self.event = getattr(pipecat, "ResponseStreamEventPayloadPart", SimpleNamespace)
        yield bidi_client, "SageMakerRuntimeHTTP2Client", lambda config: self

    async def go_down(self) -> None:
        """Break off all streams and refuse new ones."""
        await super().go_down()
        for stream in self._streams:
            stream.abort()

    async def invoke_endpoint_with_bidirectional_stream(self, asked: Any) -> "_Stream":
        """Open a stream."""
        if not self._up:
            raise self.lost()
        self.connections += 1
        stream = _Stream(self, self.connections, asked.model_query_string or "")
        self._streams.append(stream)
        return stream


class _Stream:
    """A stream in both directions: towards the client as AWS' library has it, and as a `Peer`."""

    def __init__(self, server: Any, number: int, query: str) -> None:
        self.input_stream, self.transport = self, self
        self._server = server
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._coming: asyncio.Queue[Any] = asyncio.Queue()
        self._open = True
        request: Any = SimpleNamespace(query=dict(parse_qsl(query)), transport=self)
        socket: Any = SimpleNamespace(
            send_str=self._send_str, send_bytes=self._send_bytes, close=self._end
        )
        self._peer = Peer(number, request, socket)
        self._task = asyncio.create_task(self._serve())

    # As the client sees it

    async def await_output(self) -> tuple[None, "_Stream"]:
        return None, self

    async def send(self, event: Any) -> None:
        if not self._open:
            raise ConnectionError("The stream is closed")
        self._sent.put_nowait(event.value.bytes_)

    async def receive(self) -> Any:
        event = await self._coming.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def close(self) -> None:
        await self._end()

    # As the model sees it

    async def _serve(self) -> None:
        try:
            await self._server.greet(self._peer)
            while True:
                message = json.loads(await self._sent.get())
                self._server.messages.append((self._peer.number, message))
                await self._server.receive(self._peer, message)
        except Exception:
            self.abort()
            raise

    async def _send_str(self, text: str) -> None:
        self._give(text.encode(), "UTF8")

    async def _send_bytes(self, audio: bytes) -> None:
        self._give(audio, "BINARY")

    def _give(self, data: bytes, data_type: str) -> None:
        if self._open:
            value = SimpleNamespace(bytes_=data, data_type=data_type)
            self._coming.put_nowait(self._server.event(value=value))

    async def _end(self, **_: object) -> None:
        self._close(None)

    def abort(self) -> None:
        self._close(ConnectionError("The stream was reset"))

    def _close(self, last: Exception | None) -> None:
        if self._open:
            self._open = False
            self._coming.put_nowait(last)
            for line in self._peer.every_line:
                line.close()
            self._task.cancel()


class DeepgramSageMakerServer(StreamServer, DeepgramServer):
    """For `DeepgramSageMakerTTSService(**server.options())`; nobody limits the flushes."""

    module = "deepgram.sagemaker.tts"

    def _may_flush(self) -> bool:
        return True


class FluxSageMakerServer(StreamServer, DeepgramFluxServer):
    """For `DeepgramFluxSageMakerTTSService(**server.options())`."""

    module = "deepgram.flux.sagemaker.tts"


class MagpieServer(StreamServer, WebSocketServer):
    """For `NvidiaSageMakerTTSService(**server.options())`.

    Audio has no name and a text no end; only when no more text is to come, the end is told.
    """

    module = "nvidia.sagemaker.tts"

    async def receive(self, peer: Peer, message: dict[str, Any]) -> None:
        """Configure the session, take text and speak it, or end."""
        line = self.line(peer)
        match message["type"]:
            case "synthesize_session.update":
                line.settings = {**message["session"], "text": ""}
                await peer.send({"type": "synthesize_session.updated"})
            case "input_text.append":
                line.settings["text"] += message["text"]
            case "input_text.commit":
                await self._speak(line)
                await peer.send({"type": "input_text.committed"})
            case "input_text.done":
                line.cancel()
                await peer.send({"type": "conversation.item.speech.completed"})
            case "session.end":
                await peer.socket.close()
            case _:
                raise ValueError(f"Not a message of this protocol: {message}")

    async def _speak(self, line: Line) -> None:
        voice = line.settings["input_text_synthesis"]
        text, line.settings["text"] = line.settings["text"], ""
        request = await self.ask(
            text,
            connection=line.peer.number,
            sample_rate=line.settings["output_audio_params"]["sample_rate_hz"],
            voice=voice["voice_name"],
            language=voice["language_code"],
        )
        line.say(request)

    async def deliver(self, line: Line, request: Request, piece: Piece) -> None:
        """Send the audio."""
        audio = base64.b64encode(piece.audio).decode()
        await line.peer.send({"type": "conversation.item.speech.data", "audio": audio})

    async def refuse(self, line: Line, request: Request) -> None:
        """Report an error."""
        await line.peer.send({"type": "error", "message": "Synthesis failed"})


_SDK = "aws_sdk_sagemaker_runtime_http2"
_MODELS = (
    "InvokeEndpointWithBidirectionalStreamInput",
    "InvokeEndpointWithBidirectionalStreamOutput",
    "RequestPayloadPart",
    "RequestStreamEvent",
    "RequestStreamEventPayloadPart",
    "ResponseStreamEvent",
    "ResponseStreamEventPayloadPart",
)
STAND_INS: dict[str, dict[str, Any]] = {
    _SDK: {},
    f"{_SDK}.client": {"SageMakerRuntimeHTTP2Client": None},
    f"{_SDK}.config": {"Config": SimpleNamespace},
    f"{_SDK}.models": {name: type(name, (SimpleNamespace,), {}) for name in _MODELS},
    "smithy_aws_core": {},
    "smithy_aws_core.identity": {"EnvironmentCredentialsResolver": SimpleNamespace},
    "smithy_core": {},
    "smithy_core.aio": {},
    "smithy_core.aio.eventstream": {"DuplexEventStream": None},
}
"""For AWS' library for streams, which needs Python 3.12."""

_Kind = partial(Kind, stand_ins=STAND_INS)
_MAGPIE = ("Magpie-Multilingual.EN-US.Aria", "Magpie-Multilingual.EN-US.Jason")

KINDS = (
    _Kind(service="NvidiaSageMakerHTTPTTSService", server=MagpieHttpServer, voices=_MAGPIE),
    # Of both of these, a new voice is noted down, but the stream that is open stays as it is.
    _Kind(service="NvidiaSageMakerTTSService", server=MagpieServer, voices=_MAGPIE),
    _Kind(
        service="DeepgramSageMakerTTSService",
        server=DeepgramSageMakerServer,
        voices=("aura-2-helena-en", "aura-2-thalia-en"),
    ),
    _Kind(
        service="DeepgramFluxSageMakerTTSService",
        server=FluxSageMakerServer,
        arguments={"text_aggregation_mode": TextAggregationMode.SENTENCE},
        voices=("flux-heather-en", "flux-alexis-en"),
        limits="one turn at a time, others wait",
    ),
)
