#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The servers of providers without names for what is said, proven without a cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from pipecat.services.bland.tts import BlandTTSService
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from tests.cached import ALL_KINDS
from tests.faulty import check_fault
from tests.providers.bland import BlandServer
from tests.providers.deepgram_flux import DeepgramFluxServer
from tests.providers.fish import FishServer
from tests.providers.kind import Kind
from tests.providers.sarvam import SarvamServer
from tests.providers.together import TogetherServer
from tests.providers.websocket import WebSocketServer
from tests.providers.xai import XAIServer
from tests.stored import check_store

SENTENCES = ["One is here. ", "Two is there."]
SERVERS = {
    DeepgramFluxServer: "/v2/speak?model=anna&sample_rate=8000",
    SarvamServer: "/text-to-speech/ws?model=bulbul:v3&send_completion_event=true",
    TogetherServer: "/v1/audio/speech/websocket?model=a&voice=anna",
    XAIServer: "/v1/tts?voice=anna&sample_rate=8000&with_timestamps=true",
    BlandServer: "/v2/tts/ws",
    FishServer: "/v1/tts/live",
}
"""Each server with the path that a client connects to."""

KINDS = {title: kind for title, kind in ALL_KINDS.items() if kind.server in SERVERS}
TOKENS = ("BlandTTSService", "DeepgramFluxTTSService")

Messages = list[dict[str, Any]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    kind = KINDS[request.param]
    if not kind.available:
        pytest.skip(f"{kind.service} cannot be imported here")
    return kind


@asynccontextmanager
async def connected(server: WebSocketServer) -> AsyncIterator[ClientWebSocketResponse]:
    """Connect to a server as a client would."""
    async with (
        server,
        ClientSession() as client,
        client.ws_connect(server.url + SERVERS[type(server)]) as socket,
    ):
        yield socket


async def until(socket: ClientWebSocketResponse, wanted: str, count: int = 1) -> Messages:
    """Receive messages until so many have a word in them; audio is left out."""
    received: Messages = []
    while sum(wanted in str(message) for message in received) < count:
        message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            received.append(message.json())
        else:
            assert WSMsgType.BINARY == message.type
    return received


async def test_a_turn_is_heard_whole(kind: Kind) -> None:
    """Two sentences of an LLM turn are heard in order, in one audio context, and committed.

    But for Together's service, which ends the context with the first sentence.
    """
    sentences = SENTENCES[:1] if kind.server is TogetherServer else SENTENCES
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(sentences).strip() == said.heard.text
    assert [1, 1, 1, 2, 2, 2][: 3 * len(sentences)] == said.heard.takes
    assert [] == said.heard.flaws
    assert ["start", "started 0", "audio 0", "stopped 0", "end"] == said.order
    assert ["".join(SENTENCES)] == bot.messages
    assert [kind.voices[0]] * 2 == [request.settings["voice"] for request in server.requests]
    told = [word.text for word in said.contexts[0].words]
    if kind.server is XAIServer:
        starts = [word.at for word in said.contexts[0].words]
        assert said.heard.words == told
        assert said.heard.starts == pytest.approx(starts, abs=0.001)
    else:
        assert [text.strip() for text in SENTENCES] == told


async def test_a_voice_can_be_changed(kind: Kind) -> None:
    """A voice that is set while the bot runs is heard by the provider."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.speak("Hello you.")
        await bot.until_quiet()
        await bot.update_settings(voice=kind.voices[1])
        await bot.speak("Good bye.")
        said = await bot.until_quiet()
    assert ["Hello you.", "Good bye."] == [context.heard.text for context in said.contexts]
    assert list(kind.voices) == [request.settings["voice"] for request in server.requests]


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_faults_do_what_they_say(kind: Kind, fault: Fault) -> None:
    """A fault spoils the request that it is meant for, as far as it says, and none after it."""
    await check_fault(kind, fault, late=0.5)


async def test_unknown_messages_end_the_connection(kind: Kind) -> None:
    """What no client of the protocol would say is not passed over in silence."""
    async with connected(kind.server()) as socket:  # type: ignore[arg-type]
        if kind.server is FishServer:
            import ormsgpack

            await socket.send_bytes(ormsgpack.packb({"event": "nonsense"}))
        else:
            await socket.send_json({"type": "nonsense"})
        while not socket.closed:
            await socket.receive()


@pytest.mark.parametrize("name", TOKENS)
async def test_tokens_are_passed_through(name: str) -> None:
    """As these services are by default, they send tokens, and nothing is looked up or stored."""
    kind, backend = KINDS[name], MemoryCacheBackend()
    async with kind.server() as server:
        tokens = {"text_aggregation_mode": TextAggregationMode.TOKEN}
        async with running(kind.without_cache(server, **tokens)) as bot:
            await bot.llm_turn(SENTENCES)
            expected = await bot.until_quiet()
        tts = kind.cached(**server.options(), cache_backend=backend)
        async with running(tts) as bot:
            await bot.llm_turn(SENTENCES)
            said = await bot.until_quiet()
            stats = await tts.get_cache_stats()
    assert "".join(SENTENCES) == expected.heard.text == said.heard.text
    assert expected.order == said.order
    assert server.texts[:6] == server.texts[6:]
    assert {"tokens": 6} == stats["bypassed"]
    assert [] == check_store(backend)


async def test_flux_speaks_one_turn_after_the_other() -> None:
    """A turn that is flushed while another is being spoken waits behind it."""
    async with connected(DeepgramFluxServer()) as socket:
        for text in ("One. ", "Two. "):
            await socket.send_json({"type": "Speak", "text": text})
            await socket.send_json({"type": "Flush"})
        received = await until(socket, "SpeechMetadata", 2)
    turns = [m["type"] for m in received if m["type"].startswith("Speech")]
    assert ["SpeechStarted", "SpeechMetadata"] * 2 == turns


async def test_flux_warns_without_a_turn() -> None:
    """Nothing can be flushed before anything was said, nor interrupted when it is over."""
    async with connected(DeepgramFluxServer()) as socket:
        await socket.send_json({"type": "Flush"})
        await until(socket, "NO_ACTIVE_SPEECH")
        await socket.send_json({"type": "Speak", "text": "One."})
        await socket.send_json({"type": "Flush"})
        await until(socket, "SpeechMetadata")
        await socket.send_json({"type": "Interrupt"})
        await until(socket, "NO_ACTIVE_SPEECH")


async def test_flux_can_be_interrupted() -> None:
    """An interruption ends what is being spoken and what waits, without another signal."""
    async with connected(DeepgramFluxServer(first_audio=0.05)) as socket:
        for text in ("One. ", "Two. "):
            await socket.send_json({"type": "Speak", "text": text})
            await socket.send_json({"type": "Flush"})
        await socket.send_json({"type": "Interrupt"})
        await socket.send_json({"type": "Speak", "text": "Three."})
        await socket.send_json({"type": "Flush"})
        received = await until(socket, "SpeechMetadata")
    assert "SpeechInterrupted" in str(received)
    assert f"dg_sp_{3:012x}" == received[-1]["speech_id"]


async def test_flux_changes_its_speed_on_the_way() -> None:
    """A speed that is configured holds for what is said from then on."""
    server = DeepgramFluxServer()
    async with connected(server) as socket:
        await socket.send_json({"type": "Speak", "text": "One."})
        await socket.send_json({"type": "Configure", "speed": 1.2})
        await socket.send_json({"type": "Speak", "text": "Two."})
        await until(socket, "ConfigureSuccess")
        await server.asked(2)
    assert [None, "1.2"] == [request.settings.get("speed") for request in server.requests]


async def test_sarvam_holds_short_texts_back() -> None:
    """Less text than was configured is not spoken until there is more, or until a flush."""
    config = {"speech_sample_rate": "8000", "speaker": "anna", "min_buffer_size": 10}
    async with connected(SarvamServer()) as socket:
        await socket.send_json({"type": "config", "data": config})
        await socket.send_json({"type": "text", "data": {"text": "One. "}})
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.05)
        await socket.send_json({"type": "text", "data": {"text": "Two. "}})
        await until(socket, "audio")
        await socket.send_json({"type": "flush"})
        await until(socket, "final")


@pytest.mark.parametrize("length", [None, 2501], ids=["no configuration", "too long"])
async def test_sarvam_refuses_a_text(length: int | None) -> None:
    """A text is refused before the configuration has come, or if it is too long."""
    config = {"speech_sample_rate": "8000", "speaker": "anna", "min_buffer_size": 10}
    async with connected(SarvamServer()) as socket:
        if length:
            await socket.send_json({"type": "config", "data": config})
        await socket.send_json({"type": "ping"})
        await socket.send_json({"type": "text", "data": {"text": "a" * (length or 1)}})
        assert "error" == (await socket.receive_json())["type"]


async def say_to_together(socket: ClientWebSocketResponse, text: str) -> None:
    await socket.send_json({"type": "input_text_buffer.append", "text": text})
    await socket.send_json({"type": "input_text_buffer.commit"})


async def test_together_goes_on_with_what_is_being_spoken() -> None:
    """To clear the text throws away what waits, but not what is being spoken."""
    server = TogetherServer(first_audio=0.05)
    async with connected(server) as socket:
        await say_to_together(socket, "One.")
        await say_to_together(socket, "Two.")
        await server.asked(2)
        await asyncio.sleep(0)
        await socket.send_json({"type": "input_text_buffer.clear"})
        await socket.send_json({"type": "input_text_buffer.commit"})
        await say_to_together(socket, "Three.")
        received = await until(socket, "audio_output.done", 2)
    assert ["tts_1", "tts_3"] == [m["item_id"] for m in received if "done" in m["type"]]


async def test_together_may_end_every_sentence_of_a_text() -> None:
    """So the end of a text cannot be told from that of its first sentence: nothing is stored."""
    async with connected(TogetherServer(splits=True)) as socket:
        await say_to_together(socket, "Hello! How are you?")
        await until(socket, "audio_output.done", 2)
    backend, kind = MemoryCacheBackend(), KINDS["TogetherTTSService"]
    async with TogetherServer(splits=True) as server:
        tts = kind.with_cache(server, cache_backend=backend)
        async with running(tts) as bot:
            await bot.speak("Hello! How are you?")
            await bot.until_quiet()
            stats = await tts.get_cache_stats()
    assert {"end_unknown": 1} == stats["bypassed"]
    assert [] == check_store(backend)


async def test_xai_times_words_from_the_start_of_the_utterance() -> None:
    """Times run on within an utterance, and begin anew with the next."""
    async with connected(XAIServer()) as socket:
        firsts = []
        for _ in range(2):
            for text in ("One. ", "Two. "):
                await socket.send_json({"type": "text.delta", "delta": text})
            await socket.send_json({"type": "text.done"})
            stamps = [m["audio_timestamps"] for m in (await until(socket, "audio.done"))[:-1]]
            times = [start for stamp in stamps for start, _ in stamp["graph_times"]]
            assert sorted(times) == times
            firsts.append(times[0])
    assert [0.0, 0.0] == firsts


async def test_xai_clears_an_utterance() -> None:
    """What was cleared is not spoken, and not ended either."""
    async with connected(XAIServer(first_audio=0.05)) as socket:
        await socket.send_json({"type": "text.delta", "delta": "One. "})
        await socket.send_json({"type": "text.done"})
        await socket.send_json({"type": "text.clear"})
        assert "audio.clear" == (await socket.receive_json())["type"]
        await socket.send_json({"type": "text.delta", "delta": "Two. "})
        await socket.send_json({"type": "text.done"})
        received = await until(socket, "audio.done")
    chars = [char for m in received[:-1] for char in m["audio_timestamps"]["graph_chars"]]
    assert "Two." == "".join(chars).strip()


async def test_bland_ends_a_turn_for_the_next() -> None:
    """A turn with another name ends the one that is being spoken."""
    audio = {"encoding": "pcm_s16le", "sample_rate": 8000}
    async with connected(BlandServer(first_audio=0.05)) as socket:
        await socket.send_json({"type": "init", "voice": "anna", "audio": audio})
        assert {"type": "ready", "session_id": "1", **audio} == await socket.receive_json()
        for context_id in ("a", "b"):
            speak = {"type": "speak", "context_id": context_id, "text": "Hello. "}
            await socket.send_json(speak)
            await socket.send_json({"type": "end_of_turn", "context_id": context_id})
        ends = await until(socket, "complete")
    assert [
        ("utterance_start", "a", None),
        ("utterance_end", "a", "preempted"),
        ("utterance_start", "b", None),
        ("utterance_end", "b", "complete"),
    ] == [(m["type"], m["context_id"], m.get("reason")) for m in ends]


async def test_bland_ends_a_session_in_which_nothing_comes() -> None:
    """After a minute without a message the session ends, and is begun anew when there is a text."""
    async with BlandServer() as server:
        service = BlandTTSService(**server.options())
        async with running(service) as bot:
            await bot.speak("Hello you.")
            await bot.until_quiet()
            await asyncio.sleep(61)
            await bot.speak("Good bye.")
            said = await bot.until_quiet()
    assert ["Hello you.", "Good bye."] == [context.heard.text for context in said.contexts]
    assert [1, 2] == [request.connection for request in server.requests]
    assert [] == said.errors


async def test_fish_finishes_a_session_but_nothing_in_it() -> None:
    """What was flushed has no end; so nothing is stored, and Pipecat waits for a pause."""
    kind, backend = KINDS["FishAudioTTSService"], MemoryCacheBackend()
    if not kind.available:
        pytest.skip(f"{kind.service} cannot be imported here")
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=backend)
        async with running(tts) as bot:
            await bot.llm_turn(SENTENCES)
            said = await bot.until_quiet()
            stats = await tts.get_cache_stats()
    assert "".join(SENTENCES) == said.heard.text
    assert {"end_unknown": 2} == stats["bypassed"]
    assert [] == check_store(backend)
    events = [message["event"] for _, message in server.messages]
    assert ["start", "text", "flush", "text", "flush", "flush", "stop"] == events
