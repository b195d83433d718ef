#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Several bots on one store, each with a call and a provider of its own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import TTSAudioRawFrame

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.speaking.single_flight import leads_of
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached_scripted import CACHED_SCRIPTED

PACE: dict[str, Any] = {"first_audio": 1.0, "speed": 4.0}


@dataclass
class Call:
    """A bot with a provider of its own, so that its requests can be told from others'."""

    bot: Bot
    tts: Any
    provider: Provider

    @property
    def now(self) -> float:
        """The time in seconds of the pipeline's clock."""
        return float(self.tts.get_clock().get_time() / 1e9)

    @property
    def began(self) -> float:
        """When the first audio left, in seconds of the pipeline's clock."""
        return next(c.at for c in self.bot.captured if isinstance(c.frame, TTSAudioRawFrame))

    async def stats(self, *names: str) -> tuple[Any, ...]:
        told = await self.tts.get_cache_stats()
        return tuple(told[name] for name in names)


@asynccontextmanager
async def calls(
    count: int,
    kind: str | type[Any],
    store: CacheBackend | None = None,
    **options: Any,
) -> AsyncIterator[list[Call]]:
    """Have several bots on one store, each with a call of its own."""
    store = store or MemoryCacheBackend()
    pace = {**PACE, **options.pop("pace", {})}
    cached: Any = CACHED_SCRIPTED[kind] if isinstance(kind, str) else kind
    async with simulated_time(), AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            provider = Provider(**pace)
            tts = cached(provider, cache_backend=store, **options)
            bot = await stack.enter_async_context(running(tts, sample_rate=8000))
            made.append(Call(bot, tts, provider))
        yield made
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
    assert [] == [task for task in asyncio.all_tasks() if "tts_cache_follow" in task.get_name()]
    assert {} == leads_of(store)._leads


def asked(made: list[Call]) -> Counter[str]:
    """Count what the providers were asked for."""
    return Counter(text for call in made for text in call.provider.texts)


def heard_once(call: Call, text: str) -> None:
    """Check that a text was heard, whole and once, and nothing else."""
    said = call.bot.said()
    assert text == said.heard.text
    assert [] == said.heard.flaws
