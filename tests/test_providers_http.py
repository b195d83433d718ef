#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The pages of providers over HTTP, proven with Pipecat's own services and no cache."""

from typing import Any

import pytest
from aiohttp import ClientSession

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.view import View
from tests.cached import KINDS, Kind
from tests.providers import json_http, plain_http, timed_http
from tests.providers.plain_http import SPEECHMATICS_SAMPLE_RATE, SpeechmaticsServer

SENTENCES = ["One is here. ", "Two is a well-known one."]
TITLES = [kind.title for page in (plain_http, json_http, timed_http) for kind in page.KINDS]
TIMED = [kind.title for kind in timed_http.KINDS]
NOT_TOLD = {"MiniMaxHttpTTSService": "completed with no audio"}
"""What is told in place of errors that come with status 200."""


@pytest.fixture(params=TITLES)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each service."""
    if request.param not in KINDS:
        pytest.skip("its client is not installed")
    return KINDS[request.param]


async def say(kind: Kind, *texts: str, **faults: Any) -> tuple[View, Any]:
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        if faults:
            server.fail(**faults)
        await bot.llm_turn(texts)
        return await bot.until_quiet(), server


async def test_a_turn_is_heard_whole(kind: Kind) -> None:
    """Two sentences of a turn are asked for one by one, and heard in one audio context."""
    said, server = await say(kind, *SENTENCES)
    assert "".join(SENTENCES) == said.heard.text
    assert [] == said.heard.flaws
    assert [] == said.errors
    assert ["start", "started 0", "audio 0", "stopped 0", "end"] == said.order
    assert [text.strip() for text in SENTENCES] == server.texts


@pytest.mark.parametrize("title", TIMED)
async def test_words_are_told_when_they_are_heard(title: str) -> None:
    """Each word is told once, when it begins in the audio, whatever tokens it came in."""
    (context,) = (await say(KINDS[title], *SENTENCES))[0].contexts
    assert context.heard.words == [word.text for word in context.words]
    at = [word.at for word in context.words if word.at is not None]
    assert context.heard.starts[-len(at) :] == pytest.approx(at, abs=0.001)


async def test_an_error_is_told(kind: Kind) -> None:
    """What the provider refuses is not heard, and told as an error where the service listens."""
    said, _ = await say(kind, "One is here.", fault=Fault.ERROR)
    assert "" == said.heard.text
    assert NOT_TOLD.get(kind.title, "") in said.errors[0]


async def test_a_voice_can_be_changed(kind: Kind) -> None:
    """The provider is told of the voice, and of a new one from the next sentence on."""
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        for voice in kind.voices:
            await bot.update_settings(voice=voice)
            await bot.speak("One is here.")
            await bot.until_quiet()
    assert list(kind.voices) == [request.settings["voice"] for request in server.requests]


async def test_speechmatics_is_asked_again_after_status_503() -> None:
    """The service tells of each attempt that failed, and the third is heard."""
    kind = KINDS["SpeechmaticsTTSService"]
    said, server = await say(kind, "One is here.", fault=Fault.ERROR, status=503, times=2)
    assert 3 == len(server.requests)
    assert 2 == len(said.errors)
    assert "One is here." == said.heard.text


async def test_speechmatics_knows_one_sample_rate() -> None:
    """Another one is refused."""
    rates = (SPEECHMATICS_SAMPLE_RATE, 8000)
    async with SpeechmaticsServer() as server, ClientSession() as client:
        path = f"{server.url}/generate/sarah?output_format=pcm_"
        answers = [await client.post(f"{path}{rate}", json={"text": "Hello."}) for rate in rates]
    assert [200, 500] == [answer.status for answer in answers]


async def test_xtts_speaks_as_its_speakers_only() -> None:
    """A voice that the server did not name is an error."""
    kind = KINDS["XTTSService"]
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.update_settings(voice="Somebody else")
        await bot.speak("One is here.")
        said = await bot.until_quiet()
    assert [] == server.requests
    assert "studio speakers" in said.errors[0]
