#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A sentence that does not end holds nothing up, and spoils no record."""

import asyncio
from dataclasses import replace

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Fault, Provider
from tests.cached_scripted import CACHED_SCRIPTED, CachedInOrder
from tests.stored import check_store

STREAMING = ["overlapping", "shared clock", "in order"]


class Limited(CachedInOrder):
    """May close hardly any sentence by itself."""

    tts_cache_profile = replace(CachedInOrder.tts_cache_profile, closes_per_minute=1)


async def begin_what_does_not_end(bot: Bot, provider: Provider, fault: Fault) -> None:
    """Say the first sentence of a turn that stays open; its end never comes."""
    provider.fail(fault, text="One is here.")
    asked = len(provider.requests)
    await bot.llm_turn("One is here. And ", end=False)
    await provider.asked(asked + 1)


@pytest.mark.parametrize("fault", [Fault.UNENDED, Fault.SILENT], ids=lambda fault: fault.name)
@pytest.mark.parametrize("kind", STREAMING)
async def test_a_pipeline_ends_though_a_sentence_does_not(kind: str, fault: Fault) -> None:
    """An `EndFrame` inside an open turn ends the pipeline about when it does without a cache."""
    provider = Provider()
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await begin_what_does_not_end(bot, provider, fault)
        began = asyncio.get_running_loop().time()
        await bot.end()
        assert asyncio.get_running_loop().time() - began < 5.0


@pytest.mark.parametrize("warm", [False, True], ids=["miss", "hit"])
@pytest.mark.parametrize("kind", STREAMING)
async def test_a_speak_frame_does_not_wait_for_an_open_turn(kind: str, warm: bool) -> None:
    """The context of a turn in which nothing comes goes quiet; what is behind it is heard."""
    provider = Provider()
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        if warm:
            await bot.speak("By the way.")
            await bot.until_quiet()
        await begin_what_does_not_end(bot, provider, Fault.UNENDED)
        await bot.speak("By the way.")
        await bot.until(lambda: bot.said().heard.words.count("way.") == 1 + warm, patience=5)
        await bot.end_turn()


@pytest.mark.parametrize("kind", ["in order", "shared clock"])
async def test_switched_off_while_a_sentence_does_not_end(kind: str) -> None:
    """What is spoken without the cache waits no longer than the service has patience."""
    provider = Provider()
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await begin_what_does_not_end(bot, provider, Fault.SILENT)
        tts.cache_enabled = False
        await bot.speak("By the way.")
        await bot.end_turn()
        said = await bot.until_quiet(patience=9)
    assert "By the way." in said.heard.text


async def test_a_pipeline_ends_with_a_sentence_that_others_were_to_join() -> None:
    """A sentence left open for others, on a connection that is closed by then, holds up nothing."""
    tts = Limited(Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        for number in range(3):
            await bot.speak(f"Number {number}.")
            await bot.until_quiet()
        await bot.llm_turn("One is here. And ", end=False)
        await asyncio.sleep(1)
        await bot.end()
        assert bot.said().heard.text.endswith("One is here.")


@pytest.mark.parametrize("fault", [Fault.LATE, Fault.SLOW], ids=lambda fault: fault.name)
async def test_what_is_left_alone_spoils_no_record(fault: Fault) -> None:
    """Late audio of a turn that is not cached is not kept for the sentence that it is heard in."""
    backend = MemoryCacheBackend()
    provider = Provider(speed=4.0)
    tts = CACHED_SCRIPTED["in order"](provider, cache_backend=backend, cache_scope="speak")
    async with running(tts, sample_rate=8000) as bot:
        provider.fail(fault, seconds=0.05 if fault is Fault.LATE else 4.0)
        await bot.llm_turn("This goes on for a while and more. ")
        if fault is Fault.LATE:
            await bot.until_audio(1)
            await bot.interrupt()
        else:
            await bot.until_quiet()  # the context goes quiet before the audio comes
        await bot.speak("And good bye.")
        await bot.until_quiet()
        await asyncio.sleep(1)
        stats = await tts.get_cache_stats()
    assert {"uncertain": 1} == stats["not_stored"]
    assert [] == check_store(backend)
