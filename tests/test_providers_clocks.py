#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The servers of providers whose sentences share a clock or a queue, proven without a cache."""

from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.voice import TAIL
from tests.cached import ALL_KINDS
from tests.faulty import check_fault
from tests.providers.elevenlabs_dialogue import ElevenLabsDialogueServer
from tests.providers.inworld import InworldServer
from tests.providers.kind import Kind
from tests.providers.neuphonic import NeuphonicServer
from tests.providers.rime import RimeServer
from tests.providers.rime_non_json import RimeNonJsonServer
from tests.providers.smallest import SmallestServer

SENTENCES = ["One is here. ", "Two is over there."]
SECONDS_EARLY = {
    ElevenLabsDialogueServer: 0.0,
    InworldServer: TAIL,  # Pipecat takes the end of a sentence's last word for that of its audio
    RimeServer: 0.0,
    SmallestServer: TAIL,  # and so it does here
}
"""How early the words of the second sentence are told, where words are told at all."""

SERVERS = (*SECONDS_EARLY, NeuphonicServer, RimeNonJsonServer)
KINDS = {title: kind for title, kind in ALL_KINDS.items() if kind.server in SERVERS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    kind = KINDS[request.param]
    if not kind.available:
        pytest.skip(f"{kind.service} cannot be imported here")
    return kind


async def test_a_turn_is_heard_whole(kind: Kind) -> None:
    """Two sentences of an LLM turn are heard in order, in one audio context, and committed."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.heard.text
    assert [1, 1, 1, 2, 2, 2, 2] == said.heard.takes
    assert [] == said.heard.flaws
    assert ["start", "started 0", "audio 0", "stopped 0", "end"] == said.order
    assert ["".join(SENTENCES)] == bot.messages
    assert [kind.voices[0]] * 2 == [request.settings["voice"] for request in server.requests]


async def test_words_are_told_as_early_as_is_known(kind: Kind) -> None:
    """Words are told when they are heard, but for the silence that a service does not count."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        (context,) = (await bot.until_quiet()).contexts
    if kind.server not in SECONDS_EARLY:
        assert [text.strip() for text in SENTENCES] == [word.text for word in context.words]
        return
    early = SECONDS_EARLY[kind.server]
    expected = context.heard.starts[:3] + [start - early for start in context.heard.starts[3:]]
    assert context.heard.words == [word.text for word in context.words]
    assert expected == pytest.approx([word.at for word in context.words], abs=0.001)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_faults_do_what_they_say(kind: Kind, fault: Fault) -> None:
    """A fault spoils the request that it is meant for, as far as it says, and none after it."""
    await check_fault(kind, fault)


async def until(socket: ClientWebSocketResponse, *wanted: str) -> list[dict[str, Any]]:
    """Receive messages up to the first that has one of these words in it."""
    received: list[dict[str, Any]] = []
    while not received or not any(word in str(received[-1]) for word in wanted):
        received.append(await socket.receive_json())
    return received


DIALOGUE = "/v1/text-to-dialogue/multi-stream-input?model_id=eleven_v4_turbo&output_format=pcm_8000"


def dialogue_input(text: str, voice: str = "anna") -> dict[str, Any]:
    return {"inputs": [{"text": text, "voice_id": voice, "new_turn": True}]}


async def test_a_dialogue_that_was_closed_has_its_place_until_it_is_spoken() -> None:
    """Of five contexts, one that is closed makes room when all of its text is spoken."""
    async with (
        ElevenLabsDialogueServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url + DIALOGUE) as socket,
    ):
        for number in range(5):
            await socket.send_json({"context_id": f"c{number}", "voices": ["anna"]})
        await socket.send_json({"context_id": "c0", **dialogue_input("Hello. ")})
        await socket.send_json({"context_id": "c0", "close_context": True})
        spoken = await until(socket, "'is_final'")
        assert any(message.get("is_final_audio_for_turn") for message in spoken)
        await socket.send_json({"context_id": "c5", "voices": ["anna"]})
        await socket.send_json({"context_id": "c6", "voices": ["anna"]})
        assert "policy_violation" == (await socket.receive_json())["error"]
        assert WSMsgType.CLOSE == (await socket.receive()).type
        assert 1008 == socket.close_code


@pytest.mark.parametrize(
    "message",
    [
        {"context_id": "a", "voices": ["anna"]},
        {"context_id": "a", **dialogue_input("Hello.", "bob")},
        {"context_id": "b", **dialogue_input("Hello.")},
        {"context_id": "b", "keep_alive": True},
    ],
    ids=["registered twice", "another voice", "not registered", "nothing to keep alive"],
)
async def test_a_dialogue_ends_when_it_goes_against_the_protocol(message: dict[str, Any]) -> None:
    """What is not registered, or is registered already, ends the connection."""
    async with (
        ElevenLabsDialogueServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url + DIALOGUE) as socket,
    ):
        await socket.send_json({"context_id": "a", "voices": ["anna"]})
        await socket.send_json(message)
        assert "policy_violation" == (await socket.receive_json())["error"]
        assert WSMsgType.CLOSE == (await socket.receive()).type


async def test_a_dialogue_holds_little_text_back() -> None:
    """Less than eight words are not spoken until there are more, or until a flush."""
    async with (
        ElevenLabsDialogueServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url + DIALOGUE) as socket,
    ):
        for context_id in ("a", "b"):
            await socket.send_json({"context_id": context_id, "voices": ["anna"]})
        await socket.send_json({"context_id": "a", **dialogue_input("Hold this. ")})
        await socket.send_json({"context_id": "b", **dialogue_input("Say this. ")})
        await socket.send_json({"context_id": "b", "flush": True})
        assert {"b"} == {m["context_id"] for m in await until(socket, "is_final_audio_for_turn")}
        more = "And now there is more than enough of it."
        await socket.send_json({"context_id": "a", **dialogue_input(more)})
        assert {"a"} == {m["context_id"] for m in await until(socket, "is_final_audio_for_turn")}


async def test_a_dialogue_may_cut_words() -> None:
    """Chunks that end in the middle of a word give whole words, too, at the right time."""
    kind = KINDS["ElevenLabsDialogueTTSService"]
    server = ElevenLabsDialogueServer(cuts_words=True)
    async with server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        (context,) = (await bot.until_quiet()).contexts
    assert context.heard.words == [word.text for word in context.words]
    assert context.heard.starts == pytest.approx([word.at for word in context.words], abs=0.001)


CREATE = {"create": {"voiceId": "anna", "audioConfig": {"sampleRateHertz": 8000}}}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"contextId": "c5", **CREATE}, 8),
        ({"contextId": "c0", **CREATE}, 6),
        ({"contextId": "x", "send_text": {"text": "Hello."}}, 5),
        ({"contextId": "c0", "send_text": {"text": 1001 * "a"}}, 3),
        ({"send_text": {"text": ""}}, 3),
    ],
    ids=["six contexts", "created twice", "not created", "long text", "no context"],
)
async def test_inworld_refuses(message: dict[str, Any], code: int) -> None:
    """What is refused leaves the connection and the other contexts as they are."""
    async with (
        InworldServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url) as socket,
    ):
        for number in range(5):
            await socket.send_json({"contextId": f"c{number}", **CREATE})
            await until(socket, "contextCreated")
        await socket.send_json(message)
        assert code == (await socket.receive_json())["result"]["status"]["code"]
        await socket.send_json({"contextId": "c0", "send_text": {"text": "Hello."}})
        await socket.send_json({"contextId": "c0", "close_context": {}})
        spoken = await until(socket, "contextClosed")
        assert any("wordAlignment" in str(one) for one in spoken)
        assert "flushCompleted" in str(spoken[-2])


async def test_inworld_without_word_times_commits_a_replayed_turn_once() -> None:
    """Where Pipecat says a text twice because its words have no times, a replay says it once."""
    kind, backend = KINDS["InworldTTSService"], MemoryCacheBackend()
    async with InworldServer(word_times=False) as server:
        for _ in range(2):
            service = kind.with_cache(server, cache_backend=backend)
            async with running(service) as bot:
                await bot.llm_turn(SENTENCES)
                await bot.until_quiet()
    assert 2 == len(server.requests)
    assert ["".join(SENTENCES)] == bot.messages


RIME = "/?speaker=anna&samplingRate=8000"


async def test_rime_ends_all_that_it_says_in_one_go_with_one_signal() -> None:
    """What comes while something is being said is said behind it, in the latest name."""
    async with (
        RimeServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url + RIME) as socket,
    ):
        for number in range(3):
            await socket.send_json({"text": f"Number {number}. ", "contextId": f"c{number}"})
        said = await until(socket, "done")
    names = [message["contextId"] for message in said if message["type"] == "timestamps"]
    assert ["c0", "c2", "c2"] == names
    assert {"type": "done", "contextId": "c2"} == said[-1]


async def test_rime_clears_what_it_has_not_begun() -> None:
    """A clear drops the text that waits; what is being said goes on to its end."""
    async with (
        RimeServer() as server,
        ClientSession() as client,
        client.ws_connect(server.url + RIME) as socket,
    ):
        await socket.send_json({"text": "Say this. ", "contextId": "a"})
        await socket.send_json({"text": "Not this. ", "contextId": "a"})
        await socket.send_json({"operation": "clear"})
        said = await until(socket, "done")
    assert 1 == sum(message["type"] == "timestamps" for message in said)
    assert [True, False] == [request.whole for request in server.requests]


async def test_rime_says_a_sentence_when_it_is_complete_or_flushed() -> None:
    """Text without an end waits for a flush, and with `segment=never` all text does."""
    async with RimeServer() as server, ClientSession() as client:
        for query, text in (("", "Hello you "), ("&segment=never", "Hello you. ")):
            async with client.ws_connect(server.url + RIME + query) as socket:
                await socket.send_json({"text": text, "contextId": "a"})
                with pytest.raises(TimeoutError):
                    await socket.receive(timeout=0.2)
                await socket.send_json({"operation": "flush"})
                await until(socket, "done")


async def test_smallest_is_complete_when_its_context_is_closed() -> None:
    """One message says that a context is complete, behind all that was said in it."""
    common = {"voice_id": "anna", "sample_rate": 8000, "context_id": "a", "continue": True}
    async with (
        SmallestServer() as server,
        ClientSession() as client,
        client.ws_connect(f"{server.url}/waves/v1/tts/live") as socket,
    ):
        await socket.send_json({"text": " ", "voice_id": "anna"})
        for text in SENTENCES:
            await socket.send_json({**common, "text": text})
        await socket.send_json({**common, "text": "", "continue": False})
        said = await until(socket, "complete")
    assert {"1", "2"} == {message["request_id"] for message in said[:-1]}
    assert {"chunk"} == {message["status"] for message in said[:-1]}


async def test_neuphonic_waits_for_the_end_of_a_text() -> None:
    """Text is spoken when it says that it ends; its last audio says that it was the last."""
    async with (
        NeuphonicServer() as server,
        ClientSession() as client,
        client.ws_connect(f"{server.url}/speak/en?sampling_rate=8000&voice_id=anna") as socket,
    ):
        for text in ("Hello ", "", "you. <STOP>", "<STOP>", "Good bye."):
            await socket.send_json({"text": text})
        await until(socket, "'stop': True")
    assert ["Hello you."] == server.texts
