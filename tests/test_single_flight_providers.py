#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Bots of one process that lack the same sentence ask each provider there is a server for once."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pipecat.frames.frames import TTSAudioRawFrame

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from pipecat_tts_cache.testing.view import View, differences
from tests.cached import KINDS
from tests.pipecat_versions import keeps_time
from tests.providers.kind import Kind

LINE = "One moment please while I look."
FIRST_AUDIO = 0.5
PAGES = ("OpenAITTSService", "CartesiaTTSService", "ElevenLabsHttpTTSService")


async def say(kind: Kind, services: Sequence[Any]) -> list[tuple[View, list[str], float]]:
    """Have all say the line at once: what is heard, remembered, and after how many seconds."""
    async with AsyncExitStack() as stack:
        bots = [
            await stack.enter_async_context(
                running(tts, sample_rate=kind.sample_rate, simulate_time=kind.simulate_time)
            )
            for tts in services
        ]
        starts = [tts.get_clock().get_time() / 1e9 for tts in services]
        await asyncio.gather(*(bot.speak(LINE) for bot in bots))
        views = await asyncio.gather(*(bot.until_quiet() for bot in bots))
        return [
            (view, bot.messages, _began(bot) - start)
            for view, bot, start in zip(views, bots, starts, strict=True)
        ]


def _began(bot: Bot) -> float:
    return next(each.at for each in bot.captured if isinstance(each.frame, TTSAudioRawFrame))


@pytest.mark.parametrize("title", KINDS)
async def test_every_provider_is_asked_once(title: str) -> None:
    """All hear and remember what they would without the cache, and one of them asks."""
    kind = KINDS[title]
    async with (simulated_time if kind.simulate_time else real_time)():
        async with kind.server(chunk_ms=100) as server:
            ((_, messages, _),) = await say(kind, [kind.without_cache(server)])
        async with kind.server(chunk_ms=100) as server:
            store = MemoryCacheBackend()
            services = [kind.with_cache(server, cache_backend=store) for _ in range(3)]
            first = services[0]
            if first._tts_cache.live.never_ends or not first._tts_cache_book.options.usable:
                pytest.skip("is left alone")
            if not first._reuse_context_id_within_turn:
                pytest.skip("on some releases of Pipecat, each of its sentences is a turn")
            for view, remembered, _ in await say(kind, services):
                assert (LINE.split(), []) == (view.heard.words, view.heard.flaws)
                assert messages == remembered
            assert [LINE] == server.texts
    followed = [(await tts.get_cache_stats())["followed"] for tts in services]
    assert [0, 1, 1] == sorted(followed)


@keeps_time
@pytest.mark.parametrize("title", PAGES)
async def test_of_twenty_none_waits_longer_than_alone(title: str) -> None:
    """Each hears the whole line, as early as without the cache, and one request is made."""
    kind = KINDS[title]
    async with simulated_time():
        async with kind.server(first_audio=FIRST_AUDIO) as server:
            ((expected, messages, alone),) = await say(kind, [kind.without_cache(server)])
        async with kind.server(first_audio=FIRST_AUDIO) as server:
            store = MemoryCacheBackend()
            services = [kind.with_cache(server, cache_backend=store) for _ in range(20)]
            for view, remembered, after in await say(kind, services):
                assert [] == differences(expected, view, tolerance=0.02)
                assert messages == remembered
                assert after <= alone + 0.02
            assert [LINE] == server.texts
