#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The providers behind client libraries, proven with Pipecat's own services and no cache."""

import importlib
from typing import Any

import pytest

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.view import View
from tests.cached import KINDS, Kind

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
    if request.param not in KINDS:
        pytest.skip("its client is not installed")
    return KINDS[request.param]


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
