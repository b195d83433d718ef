#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The servers of providers with contexts side by side, proven with Pipecat's services alone."""

import base64
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from pipecat.services.soniox.tts import SonioxTTSService

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.voice import listen
from tests.cached import ALL_KINDS
from tests.faulty import check_fault
from tests.pipecat_versions import as_now
from tests.providers.asyncai import AsyncAIServer
from tests.providers.gradium import GradiumServer
from tests.providers.kind import Kind
from tests.providers.resemble import ResembleServer
from tests.providers.rime_v1 import RimeV1Server
from tests.providers.soniox import SonioxServer

SENTENCES = ["One is here. ", "Two is over there."]
SERVERS = (SonioxServer, GradiumServer, RimeV1Server, ResembleServer, AsyncAIServer)
TELL_WORDS = (SonioxServer, GradiumServer)
KINDS = {title: kind for title, kind in ALL_KINDS.items() if kind.server in SERVERS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    kind = KINDS[request.param]
    if not kind.available:
        pytest.skip(f"{kind.service} cannot be imported here")
    return kind


async def test_a_turn_is_heard_whole(kind: Kind) -> None:
    """Two sentences of an LLM turn are heard in order, and are committed."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.heard.text
    assert [1, 1, 1, 2, 2, 2, 2] == said.heard.takes
    assert [] == said.heard.flaws
    assert {(1, 1)} == {(one.started, one.stopped) for one in said.contexts}
    assert (2 if kind.server is ResembleServer else 1) == len(said.contexts)
    assert ["".join(SENTENCES)] == bot.messages


async def test_words_are_told_when_they_are_heard(kind: Kind) -> None:
    """A service that tells about words tells when each begins, the others tell sentences."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    told = [word for context in said.contexts for word in context.words]
    if kind.server in TELL_WORDS:
        assert said.heard.words == [word.text for word in told]
        assert said.heard.starts == pytest.approx([word.at for word in told], abs=0.001)
    else:
        assert [text.strip() for text in SENTENCES] == [word.text for word in told]


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_faults_do_what_they_say(kind: Kind, fault: Fault) -> None:
    """A fault spoils the request that it is meant for, as far as it says, and none after it."""
    await check_fault(kind, fault)


async def until(socket: ClientWebSocketResponse, **wanted: Any) -> list[dict[str, Any]]:
    """Receive messages up to the first with these fields."""
    received: list[dict[str, Any]] = []
    while not received or {**received[-1], **wanted} != received[-1]:
        received.append(await socket.receive_json())
    return received


CONFIG = {"model": "m", "voice": "anna", "audio_format": "pcm_s16le", "sample_rate": 8000}


async def test_soniox_refuses_a_sixth_stream() -> None:
    """A connection has five streams; an ended one makes room."""
    async with (
        SonioxServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        for number in range(6):
            await socket.send_json({**CONFIG, "stream_id": f"s{number}"})
        assert 429 == (await socket.receive_json())["error_code"]
        assert {"terminated": True, "stream_id": "s5"} == await socket.receive_json()
        await socket.send_json({"stream_id": "s0", "text": "", "text_end": True})
        await until(socket, terminated=True, stream_id="s0")
        await socket.send_json({**CONFIG, "stream_id": "s6"})
        await socket.send_json({"stream_id": "s6", "text": "Hello.", "text_end": True})
        spoken = await until(socket, terminated=True, stream_id="s6")
    audio = b"".join(base64.b64decode(message.get("audio", "")) for message in spoken)
    assert ["Hello."] == listen(audio, sample_rate=8000).words


@pytest.mark.parametrize(
    "message",
    [
        {"text": "Hello.", "text_end": False},
        {"text": "", "text_end": True},
        {"cancel": True},
    ],
)
async def test_soniox_does_not_know_a_stream_without_configuration(message: dict[str, Any]) -> None:
    """Whatever is asked of a stream that is not there is an error, and nothing but that."""
    async with (
        SonioxServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json({"keep_alive": True})
        await socket.send_json({"stream_id": "a", **message})
        assert 400 == (await socket.receive_json())["error_code"]
        await socket.send_json({**CONFIG, "stream_id": "a"})
        await socket.send_json({"stream_id": "a", "cancel": True})
        await until(socket, terminated=True)


@as_now
async def test_soniox_ends_the_service_with_an_error_that_stays() -> None:
    """With a code like 400 for a text the service gives up, as opposed to 503."""
    server = SonioxServer(error_code=400)
    async with server, running(SonioxTTSService(**server.options())) as bot:
        server.fail(Fault.ERROR)
        await bot.speak("Hello you.")
        await bot.until_quiet()
        await bot.speak("Good bye.")
        await bot.until_quiet()
    assert ["Hello you."] == server.texts


@pytest.mark.parametrize(
    "message",
    [{"type": "text", "text": "Hello."}, {"type": "end_of_stream"}, {"type": "bogus"}],
)
async def test_gradium_wants_a_setup_first(message: dict[str, Any]) -> None:
    """Anything in front of the setup of a request is an error, which ends the connection."""
    async with (
        GradiumServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json({**message, "client_req_id": "a"})
        error = await socket.receive_json()
        assert ("error", 1008) == (error["type"], error["code"])
        assert WSMsgType.CLOSE == (await socket.receive()).type
        assert 1008 == socket.close_code


@pytest.mark.parametrize(
    ("data", "sample_rate"), [("Hello. " * 500, 22050), ("Hello.", 24000)], ids=["long", "rate"]
)
async def test_resemble_refuses_long_texts_and_odd_rates(data: str, sample_rate: int) -> None:
    """A text of more than 3000 characters is refused, and so is a rate that is not listed."""
    request = {"voice_uuid": "anna", "data": data, "sample_rate": sample_rate, "request_id": 7}
    async with (
        ResembleServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json(request)
        answer = await socket.receive_json()
    assert ("error", 7, 400) == (answer["type"], answer["request_id"], answer["status_code"])
    assert [] == server.requests


async def test_resemble_cuts_audio_at_any_byte() -> None:
    """Most chunks hold an odd number of bytes; together they are the audio."""
    request = {"voice_uuid": "anna", "data": "Hello you.", "sample_rate": 8000, "request_id": 0}
    async with (
        ResembleServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json(request)
        *spoken, _ = await until(socket, type="audio_end", request_id=0)
    chunks = [base64.b64decode(message["audio_content"]) for message in spoken]
    assert any(len(chunk) % 2 for chunk in chunks)
    assert server.requests[0].speech.audio == b"".join(chunks)


async def test_rime_does_not_know_a_context_without_a_start() -> None:
    """Text for a context that is not there is an error, and the connection goes on."""
    pytest.importorskip("rime_api")
    start = {"speaker": "anna", "audioParameters": {"samplingRate": 8000}}
    async with (
        RimeV1Server() as server,
        ClientSession() as client,
        client.ws_connect(server.url, protocols=["rime.v1.json"]) as socket,
    ):
        assert 1 == (await socket.receive_json())["ready"]["protocol"]
        await socket.send_json({"contextId": "a", "text": "Hello."})
        assert "invalid_input" == (await socket.receive_json())["error"]["kind"]
        await socket.send_json({"contextId": "a", "start": start})
        assert "started" in await socket.receive_json()
        await socket.send_json({"contextId": "a", "cancel": {}})
        assert {"contextId": "a", "cancelled": {}} == await socket.receive_json()


async def test_async_says_final_when_a_context_is_closed() -> None:
    """A context has no end but the one that the client asks for; blank text is not spoken."""
    output_format = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}
    first = {"model_id": "m", "voice": {"mode": "id", "id": "anna"}, "output_format": output_format}
    async with (
        AsyncAIServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json({**first, "language": None})
        await socket.send_json({"transcript": " "})
        await socket.send_json({"transcript": "Hello.", "context_id": "a", "force": True})
        assert "a" == (await socket.receive_json())["context_id"]
        await socket.send_json({"transcript": "", "context_id": "a", "close_context": True})
        await until(socket, final=True, context_id="a")
        await socket.send_json({"terminate": True})
        assert WSMsgType.CLOSE == (await socket.receive()).type
    assert ["Hello."] == server.texts
