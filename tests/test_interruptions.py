#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Barge-in: what was begun is dropped, at the provider too, and the next turn starts clean."""

import asyncio

import pytest

from pipecat_tts_cache import CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Fault, Provider
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED, SCRIPTED_KINDS
from tests.stored import check_store

SENTENCES = ["One is here. ", "Two is over there. ", "Three is everywhere."]
CANCELLING = ("overlapping", "in order")
"""Kinds that cancel; the one with a shared clock closes the context."""


@pytest.fixture(params=SCRIPTED_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of service."""
    return request.param


@pytest.mark.parametrize("frames", [1, 4, 9, 14])
async def test_the_next_turn_is_whole(kind: str, frames: int) -> None:
    """After an interruption at any point the same turn is heard whole, and stored whole."""
    backend = MemoryCacheBackend()
    provider = Provider(turns=[3])
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_audio(frames)
        await bot.interrupt()
        await bot.until_quiet()
        check_store(backend)
        heard_before = len(bot.said().contexts)
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.contexts[-1].heard.text
    assert [] == said.contexts[-1].heard.flaws
    assert heard_before + 1 == len(said.contexts)
    check_store(backend)


@pytest.mark.parametrize("frames", [1, 2, 3])
async def test_replayed_speech_is_interrupted_as_live_speech_is(kind: str, frames: int) -> None:
    """A replayed turn is cut off where the interruption comes, and its text is not committed."""
    backend = MemoryCacheBackend()
    long_text = "This is a long sentence that goes on for a while and then for a while more."
    async with running(CACHED_SCRIPTED[kind](cache_backend=backend), sample_rate=8000) as bot:
        await bot.llm_turn([long_text])
        await bot.until_quiet()
    tts = CACHED_SCRIPTED[kind](cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn([long_text])
        await bot.until_audio(frames)
        await bot.interrupt()
        await bot.llm_turn(["And now this."])
        said = await bot.until_quiet()
    assert "And now this." == said.contexts[-1].heard.text
    assert 1 == len(tts.provider.requests)


async def test_the_provider_is_told(kind: str) -> None:
    """Every sentence under way is cancelled at the provider; with none under way it is not."""
    provider = Provider(speed=2)
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_audio(1)
        await bot.interrupt()
        if kind in CANCELLING:
            assert provider.requests
            assert all(request.cancelled.is_set() for request in provider.requests)
        assert not tts._tts_cache.live.sentences
        assert not tts._tts_cache.turns
        assert 0 == len(tts._tts_cache.live.flight)
        stats = await tts.get_cache_stats()
        assert stats["misses"] == sum(stats["not_stored"].values()) + stats["stores"]


@pytest.mark.skipif(not SPARES_SPEECH, reason="this Pipecat interrupts all speech")
async def test_uninterruptible_speech_survives(kind: str) -> None:
    """Speech that may not be interrupted is heard whole, live and replayed, and stored."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](Provider(turns=[3]), cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.speak("This call is being recorded.", interruptible=False)
            await bot.until_audio(1)
            await bot.interrupt()
            said = await bot.until_quiet()
            assert "This call is being recorded." == said.heard.text
            assert (1, 1) == (said.contexts[0].started, said.contexts[0].stopped)
            assert not said.contexts[0].interruptible
    assert ["This call is being recorded."] == check_store(backend)
    assert [] == tts.provider.texts


class StallingBackend(MemoryCacheBackend):
    """Waits before it keeps anything."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.asked = asyncio.Event()

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        self.asked.set()
        await self.go.wait()
        return await super().set(key, utterance, ttl=ttl)


async def test_pending_writes_of_the_turn_are_cancelled() -> None:
    """A write that is still pending when its turn is interrupted never happens."""
    backend = StallingBackend()
    provider = Provider(turns=[3])
    tts = CACHED_SCRIPTED["inline"](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await backend.asked.wait()
        await bot.interrupt()
        backend.go.set()
        await bot.until_quiet()
        stats = await tts.get_cache_stats()
    assert 0 == stats["stores"]
    assert 0 == stats["backend"]["entries"]
    assert stats["not_stored"]["interrupted"] >= 1


async def test_late_audio_of_a_cancelled_sentence_is_dropped() -> None:
    """What a provider with ids still sends for a cancelled sentence is not heard."""
    kind = KINDS["CartesiaTTSService"]
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts) as bot:
            server.fail(Fault.LATE, seconds=0.05)
            await bot.llm_turn(["This goes on for a while and more."])
            await bot.until_audio(1)
            await bot.interrupt()
            await bot.speak("Here we go.")
            said = await bot.until_quiet()
    assert "Here we go." == said.contexts[-1].heard.text
    assert [] == said.contexts[-1].heard.flaws


async def test_interrupted_while_waiting_for_its_turn() -> None:
    """A sentence that waits for one before it is never sent."""
    provider = Provider(speed=1)
    tts = CACHED_SCRIPTED["shared clock"](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_audio(1)
        assert 1 == len(provider.requests)
        await bot.interrupt()
        await bot.speak("Yes.")
        await bot.until_quiet()
    assert ["One is here.", "Yes."] == provider.texts


async def test_elevenlabs_closes_the_contexts_of_sentences() -> None:
    """The inner context of a sentence under way is closed at ElevenLabs, and no other."""
    kind = KINDS["ElevenLabsTTSService"]
    async with kind.server(speed=2) as server:
        tts = kind.with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts) as bot:
            await bot.llm_turn(SENTENCES)
            await bot.until_audio(1)
            await bot.interrupt()
            asked = {request.context_id for request in server.requests}
        closed = {
            message["context_id"] for _, message in server.messages if "close_context" in message
        }
    assert asked == closed
