#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The providers behind client libraries, proven with Pipecat's own services and no cache."""

import importlib
import sys
from typing import Any

import pytest

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.view import View
from pipecat_tts_cache.testing.voice import TAIL
from tests.cached import ALL_KINDS, KINDS, Kind
from tests.pipecat_services import importable

SENTENCES = ["One is here. ", "Two is a well-known one."]
PAGES = ("aws", "azure", "google", "local_models", "nvidia", "sagemaker", "sdk_http")
TITLES = [
    kind.title
    for page in PAGES
    for kind in importlib.import_module(f"tests.providers.{page}").KINDS
]
STAYS_WITH_ITS_VOICE = (
    "DeepgramSageMakerTTSService",
    "NvidiaSageMakerTTSService",
    "PiperTTSService",
)
"""Services that note a new voice down, and go on with the one they have."""


@pytest.fixture(params=TITLES)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each service."""
    return of(request.param)


def of(title: str) -> Kind:
    if title not in KINDS:
        pytest.skip("its client is not installed")
    return KINDS[title]


async def say(kind: Kind, *texts: str, **faults: Any) -> tuple[View, Any]:
    async with kind.server() as server:
        tts = kind.without_cache(server)
        async with running(tts, sample_rate=kind.sample_rate) as bot:
            if faults:
                server.fail(**faults)
            await bot.llm_turn(texts)
            return await bot.until_quiet(), server


async def test_a_turn_is_heard_whole(kind: Kind) -> None:
    """Two sentences of a turn are asked for one by one, and heard in one audio context."""
    if kind.service == "NvidiaSageMakerTTSService" and not SPARES_SPEECH:
        pytest.skip("before Pipecat 1.13 it pushes audio past its context")
    said, server = await say(kind, *SENTENCES)
    assert "".join(SENTENCES) == said.heard.text
    assert [] == said.heard.flaws
    assert [] == said.errors
    assert ["start", "started 0", "audio 0", "stopped 0", "end"] == said.order
    assert [text.strip() for text in SENTENCES] == server.texts


async def test_an_error_is_told(kind: Kind) -> None:
    """What the provider refuses is not heard, and told as an error."""
    said, _ = await say(kind, "One is here.", fault=Fault.ERROR)
    assert "" == said.heard.text
    assert said.errors


async def test_a_voice_can_be_changed(kind: Kind) -> None:
    """The provider is told of the voice, and of a new one from the next sentence on."""
    async with kind.server() as server:
        tts = kind.without_cache(server)
        async with running(tts, sample_rate=kind.sample_rate) as bot:
            await bot.speak("One is here.")
            await bot.until_quiet()
            await bot.update_settings(voice=kind.voices[1])
            await bot.speak("One is here.")
            await bot.until_quiet()
    voices = list(kind.voices)
    if kind.service in STAYS_WITH_ITS_VOICE:
        voices[1] = voices[0]
    assert voices == [request.settings.get("voice") for request in server.requests]


async def test_azure_tells_words_when_they_are_heard() -> None:
    """Each word is told once, with the punctuation that comes apart from it."""
    kind = of("AzureTTSService")
    (context,) = (await say(kind, *SENTENCES))[0].contexts
    assert context.heard.words == [word.text for word in context.words]
    assert context.heard.starts == pytest.approx([word.at for word in context.words], abs=0.001)


async def test_hume_tells_words_too_early() -> None:
    """The silence behind a sentence is not counted, so the words of the next one come early."""
    kind = of("HumeTTSService")
    (context,) = (await say(kind, *SENTENCES))[0].contexts
    assert context.heard.words == [word.text for word in context.words]
    told = [word.at for word in context.words]
    early = [start - at for start, at in zip(context.heard.starts, told, strict=True) if at]
    assert early[:2] == pytest.approx([0, 0], abs=0.001)
    assert early[3:] == pytest.approx([TAIL] * len(early[3:]), abs=0.001)


async def test_riva_keeps_a_stream_open_for_a_turn() -> None:
    """In stitched mode the sentences of a turn are one call, which a fault of one ends for all."""
    said, server = await say(
        of("NvidiaTTSService (stitched)"), *SENTENCES, fault=Fault.ERROR, text=SENTENCES[0]
    )
    assert [SENTENCES[0].strip()] == server.texts
    assert "" == said.heard.text


async def test_flux_speaks_one_turn_after_the_other() -> None:
    """A turn that is flushed while another one is being spoken waits behind it."""
    kind = of("DeepgramFluxSageMakerTTSService")
    async with kind.server(first_audio=0.1) as server:
        tts = kind.without_cache(server)
        async with running(tts) as bot:
            await bot.speak("One is here.")
            await server.asked(1)
            for message in ({"type": "Speak", "text": "Two."}, {"type": "Flush"}):
                await tts._client.send_json(message)
            said = await bot.until_quiet()
    assert ["One is here.", "Two."] == server.texts
    assert ("One is here.", []) == (said.heard.text, said.heard.flaws)


async def test_a_model_without_its_library_leaves_no_stand_ins() -> None:
    """A service that was imported with stand-ins for its library is not taken for installed."""
    for kind in ALL_KINDS.values():
        if kind.stand_ins and kind.service not in importable():
            assert kind.bare.__name__ == kind.service
            assert not kind.stand_ins.keys() & sys.modules.keys()


async def test_a_provider_that_is_down_refuses() -> None:
    """A stand-in that went down raises what its library does, and answers when it is back."""
    kind = of("AWSPollyTTSService")
    server = kind.server()
    async with (
        server,
        running(kind.without_cache(server), sample_rate=kind.sample_rate) as bot,
    ):
        await server.go_down()
        await bot.speak("Hello you.")
        assert "" == (await bot.until_quiet()).heard.text
        await server.come_back()
        await bot.speak("Good bye.")
        assert "Good bye." == (await bot.until_quiet()).heard.text
