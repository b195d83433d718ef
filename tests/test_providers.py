#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The providers' servers and the driver, proven with Pipecat's own services and no cache."""

import pytest
from aiohttp import ClientSession, WSMsgType
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.tts import DeepgramTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService, ElevenLabsTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from tests.faulty import HEARD_IN_PART, NOT_HEARD
from tests.providers.cartesia import CartesiaServer
from tests.providers.deepgram import DeepgramServer
from tests.providers.elevenlabs import ElevenLabsHttpServer, ElevenLabsServer
from tests.providers.openai import OpenAIServer
from tests.providers.server import Server

SENTENCES = ["One is here. ", "Two is there. ", "Three is everywhere."]


Provider = tuple[type[Server], type[TTSService]]

PROVIDERS: dict[str, Provider] = {
    "cartesia": (CartesiaServer, CartesiaTTSService),
    "deepgram": (DeepgramServer, DeepgramTTSService),
    "elevenlabs": (ElevenLabsServer, ElevenLabsTTSService),
    "elevenlabs http": (ElevenLabsHttpServer, ElevenLabsHttpTTSService),
    "openai": (OpenAIServer, OpenAITTSService),
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider's server and service."""
    return PROVIDERS[request.param]


OVER_HTTP = (ElevenLabsHttpServer, OpenAIServer)
STUCK = (Fault.SILENT, Fault.STALLED, Fault.UNENDED)


async def test_a_turn_is_heard_whole(provider: Provider) -> None:
    """Three sentences of an LLM turn are heard in order, in one audio context."""
    serve, service = provider
    async with serve() as server, running(service(**server.options())) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.heard.text
    assert [1, 1, 1, 2, 2, 2, 3, 3, 3] == said.heard.takes
    assert [] == said.heard.flaws
    assert ["start", "started 0", "audio 0", "stopped 0", "end"] == said.order
    assert ["".join(SENTENCES)] == bot.messages


async def test_words_are_told_when_they_are_heard(provider: Provider) -> None:
    """A service that tells about words tells when each of them begins in the audio."""
    serve, service = provider
    async with serve() as server, running(service(**server.options())) as bot:
        await bot.llm_turn(SENTENCES)
        (context,) = (await bot.until_quiet()).contexts
    told = context.words
    if len(told) > len(SENTENCES):
        untold = 1 if serve is ElevenLabsServer else 0  # the last word comes without its time
        assert context.heard.words == [word.text for word in told]
        expected = context.heard.starts[: len(told) - untold]
        assert expected == pytest.approx([word.at for word in told[: len(expected)]], abs=0.001)


async def test_a_speak_frame_is_a_turn_of_its_own(provider: Provider) -> None:
    """A `TTSSpeakFrame` in the middle of an LLM turn is heard in an audio context of its own."""
    serve, service = provider
    async with serve() as server, running(service(**server.options())) as bot:
        await bot.speak("Hello you.", append_to_context=False)
        await bot.until_quiet()
        await bot.speak("Good bye.")
        said = await bot.until_quiet()
    assert ["Hello you.", "Good bye."] == [one.heard.text for one in said.contexts]
    assert [(1, 1, [])] * 2 == [(one.started, one.stopped, one.stray) for one in said.contexts]
    assert [False, True] == [one.append_to_context for one in said.contexts]
    assert ["Good bye."] == bot.messages


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_faults_do_what_they_say(provider: Provider, fault: Fault) -> None:
    """A fault spoils the request that it is meant for, as far as it says, and none after it."""
    serve, service = provider
    async with serve(chunk_ms=100) as server:
        tts = service(**server.options(), stop_frame_timeout_s=0.3)
        async with running(tts) as bot:
            server.fail(fault, text="Hello you there.", seconds=0.1)
            await bot.speak("Hello you there.")
            await server.asked(1)
            spoiled = server.requests[0]
            if fault is Fault.LATE or (fault in STUCK and serve in OVER_HTTP):
                await spoiled.stuck.wait()
                await bot.interrupt()
            heard = (await bot.until_quiet()).contexts[0].heard
            await bot.until_connected()
            await bot.speak("Good bye.")
            after = (await bot.until_quiet()).contexts[-1].heard
    if fault is not Fault.LATE:
        assert (fault not in (*NOT_HEARD, *HEARD_IN_PART)) == spoiled.whole
    if fault in NOT_HEARD:
        assert ([], []) == (heard.words, heard.flaws)
    elif fault in HEARD_IN_PART:
        assert ["Hello", "you", "there."] != heard.words
    if (serve, fault) != (DeepgramServer, Fault.LATE):  # late audio without an id is anybody's
        assert (["Good", "bye."], []) == (after.words, after.flaws)


async def test_a_connection_is_made_again_after_it_was_lost() -> None:
    """What is said behind a lost connection comes over a new one."""
    async with CartesiaServer() as server, running(CartesiaTTSService(**server.options())) as bot:
        server.fail(Fault.LOST)
        await bot.speak("Hello you there.")
        await bot.until_quiet()
        await bot.until_connected()
        await bot.speak("Good bye.")
        await bot.until_quiet()
    assert [1, 2] == [request.connection for request in server.requests]


async def test_a_server_that_goes_down_is_there_again_when_it_comes_back() -> None:
    """A server that is down refuses connections, and comes back where it was."""
    server = ElevenLabsHttpServer()
    async with server:
        service = ElevenLabsHttpTTSService(**server.options(), stop_frame_timeout_s=0.1)
        async with running(service) as bot:
            url = server.url
            await server.go_down()
            await bot.speak("Hello you.")
            await bot.until_quiet()
            assert "Cannot connect" in bot.errors[0].error
            await server.come_back()
            assert url == server.url
            await bot.speak("Good bye.")
            said = await bot.until_quiet()
    assert "Good bye." == said.heard.text


async def test_elevenlabs_ends_a_connection_with_too_many_contexts() -> None:
    """The sixth context on a connection is a violation of the policy."""
    async with ElevenLabsServer() as server, ClientSession() as client:
        path = "/v1/text-to-speech/anna/multi-stream-input?output_format=pcm_8000"
        async with client.ws_connect(server.url + path) as socket:
            for number in range(6):
                await socket.send_json({"text": " ", "context_id": f"c{number}"})
            assert "policy_violation" == (await socket.receive_json())["error"]
            assert WSMsgType.CLOSE == (await socket.receive()).type
            assert 1008 == socket.close_code


async def test_elevenlabs_may_cut_words() -> None:
    """Chunks that end in the middle of a word give whole words, too."""
    server = ElevenLabsServer(cuts_words=True)
    async with server, running(ElevenLabsTTSService(**server.options())) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.heard.text
    assert said.heard.words == [word.text for word in said.contexts[0].words]


async def test_elevenlabs_takes_voice_settings_only_at_the_beginning() -> None:
    """Voice settings come with a context's first message, and hold for what is said in it."""
    settings = ElevenLabsTTSService.Settings(voice="anna", stability=0.4, similarity_boost=0.5)
    async with ElevenLabsServer() as server:
        service = ElevenLabsTTSService(**server.options(), settings=settings)
        async with running(service) as bot:
            await bot.speak("Hello you.")
            await bot.until_quiet()
    (request,) = server.requests
    assert "anna" == request.settings["voice"]
    assert {"stability": 0.4, "similarity_boost": 0.5} == request.settings["voice_settings"]


async def test_cartesia_does_not_know_a_context_without_text() -> None:
    """The end of a context that never had a text is an error, and so is one context too many."""
    end = {"context_id": "a", "transcript": "", "continue": False}
    speak = {"voice": {"id": "anna"}, "output_format": {"sample_rate": 8000}, "continue": True}
    async with (
        CartesiaServer(max_contexts=1) as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        await socket.send_json(end)
        assert 400 == (await socket.receive_json())["status_code"]
        await socket.send_json({**speak, "context_id": "b", "transcript": "Hello."})
        await socket.send_json({**speak, "context_id": "c", "transcript": "Hello."})
        answers = [await socket.receive_json() for _ in range(3)]
    assert ("c", 429) in [(answer["context_id"], answer["status_code"]) for answer in answers]


async def test_deepgram_ignores_flushes_beyond_its_limit() -> None:
    """Of many flushes in a minute, only the first twenty are answered."""
    async with DeepgramServer() as server, ClientSession() as client:
        path = "/v1/speak?model=anna&sample_rate=8000"
        async with client.ws_connect(server.url + path) as socket:
            for _ in range(21):
                await socket.send_json({"type": "Flush"})
            answers = [(await socket.receive_json())["type"] for _ in range(21)]
    assert 20 == answers.count("Flushed")
    assert 1 == answers.count("Warning")


async def test_pace_is_kept() -> None:
    """The first audio takes as long as it is told to."""
    server = CartesiaServer(first_audio=0.1, speed=20.0)
    async with server, running(CartesiaTTSService(**server.options())) as bot:
        await bot.speak("Hello you.")
        said = await bot.until_quiet()
    assert "Hello you." == said.heard.text
    assert said.ttfb[0] >= 0.1
