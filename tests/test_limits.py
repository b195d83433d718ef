#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The limits of providers, which closing sentence by sentence must not run into."""

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from tests.cached import KINDS
from tests.providers.cartesia import CartesiaServer
from tests.providers.deepgram import DeepgramServer
from tests.stored import check_store


async def test_deepgram_flushes_stay_within_the_limit() -> None:
    """Of 40 sentences in a turn those within the limit are stored, and all are heard, in order."""
    backend = MemoryCacheBackend()
    sentences = [f"Number {number} is next. " for number in range(40)]
    port = 0
    for stored in (15, 30):
        server = DeepgramServer(tempo=4)
        server._port = port  # the address of a provider is part of the key
        async with server:
            port = server._port
            tts = KINDS["DeepgramTTSService"].with_cache(server, cache_backend=backend)
            async with running(tts) as bot:
                await bot.llm_turn(sentences)
                said = await bot.until_quiet(patience=30)
                stats = await tts.get_cache_stats()
            assert "".join(sentences).strip() == said.heard.text
            assert [] == said.heard.flaws
            assert 1 == len(said.contexts)
            assert ["".join(sentences).strip()] == bot.messages
            announced = [text.text for text in said.contexts[0].announced]
            assert [sentence.strip() for sentence in sentences] == announced
        flushes = [message for _, message in server.messages if message.get("type") == "Flush"]
        assert len(flushes) <= 20
        assert stored == len(check_store(backend))
        assert stored - 15 == stats["hits"]
        assert 40 - stored == stats["not_stored"]["joined"]


async def test_cartesia_contexts_stay_within_the_smallest_plan() -> None:
    """However long a turn, no more than two contexts are open at once."""
    async with CartesiaServer(speed=20) as server:
        tts = KINDS["CartesiaTTSService"].with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts) as bot:
            await bot.llm_turn([f"Number {number} is next. " for number in range(8)])
            said = await bot.until_quiet()
    assert [] == said.errors
    assert 8 == said.heard.words.count("next.")


async def test_elevenlabs_contexts_stay_within_five() -> None:
    """A long turn does not open more contexts than a connection may have."""
    async with KINDS["ElevenLabsTTSService"].server() as server:
        tts = KINDS["ElevenLabsTTSService"].with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts) as bot:
            await bot.llm_turn([f"Number {number} is next. " for number in range(12)])
            said = await bot.until_quiet()
    assert 12 == said.heard.words.count("next.")
    assert 1 == server.connections
