#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A real Redis server that goes away, stands still and comes back in the middle of a call."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import RedisCacheBackend, store
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from tests.cached_scripted import CACHED_SCRIPTED
from tests.servers import Server
from tests.servers import running as servers_running

SENTENCES = ["One is here. ", "Two is over there. ", "Three is everywhere."]
TEXT = "".join(SENTENCES)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own."""
    server = Server("redis-server", tmp_path)
    with servers_running(server):
        yield server


@pytest.fixture(params=["inline", "overlapping", "shared clock", "in order"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of service."""
    return request.param


async def hear_turn(bot: Bot) -> None:
    before = len(bot.said().contexts)
    await bot.llm_turn(SENTENCES)
    said = await bot.until_quiet()
    assert before + 1 == len(said.contexts)
    assert TEXT == said.contexts[-1].heard.text
    assert [] == said.contexts[-1].heard.flaws
    assert (1, 1) == (said.contexts[-1].started, said.contexts[-1].stopped)


async def stored(tts: Any, count: int) -> None:
    """Let writes, which happen behind speech, come to their end."""
    await tts._tts_cache_book.close()
    assert count == (await tts.get_cache_stats())["stores"]


def impatient(server: Server) -> RedisCacheBackend:
    """Create a store that tries again at once, so that no test has to wait for it."""

    def breaker() -> CircuitBreaker:
        return CircuitBreaker(backoff=0.001, max_backoff=0.001)

    backend = RedisCacheBackend(server.url, timeout=0.5, breaker=breaker())
    store._breakers[backend] = breaker()
    return backend


async def test_a_call_outlives_its_store(kind: str, server: Server) -> None:
    """Stopped, restarted, stalled and let go on again: every turn is heard whole throughout."""
    async with impatient(server) as backend:
        tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, cache_lookup_timeout=1)
        async with running(tts, sample_rate=8000, simulate_time=False) as bot:
            await hear_turn(bot)
            await stored(tts, 3)
            await hear_turn(bot)
            assert 3 == (await tts.get_cache_stats())["hits"]

            await asyncio.to_thread(server.stop)
            await hear_turn(bot)
            stats = await tts.get_cache_stats()
            assert 6 == stats["misses"]
            assert stats["store_errors"] > 0
            await tts._tts_cache_book.close()

            await asyncio.to_thread(server.start)
            await hear_turn(bot)
            await stored(tts, 6)
            await hear_turn(bot)
            assert 6 == (await tts.get_cache_stats())["hits"]

            server.stall()
            await hear_turn(bot)
            assert 6 == (await tts.get_cache_stats())["hits"]
            server.resume()
            await tts._tts_cache_book.close()
            await hear_turn(bot)
            assert 9 == (await tts.get_cache_stats())["hits"]


async def test_stopped_in_the_middle_of_a_turn(kind: str, server: Server) -> None:
    """A store that goes away between two sentences of a turn costs the rest its savings only."""
    async with impatient(server) as backend:
        tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, cache_lookup_timeout=1)
        async with running(tts, sample_rate=8000, simulate_time=False) as bot:
            await hear_turn(bot)
            await stored(tts, 3)
            await bot.llm_turn([SENTENCES[0], "Two "], end=False)
            await bot.until(lambda: 2 == len(bot.said().contexts))
            await bot.until(lambda: "One is here." == bot.said().contexts[-1].heard.text)
            await asyncio.to_thread(server.stop)
            await bot.tokens("is over there. Three is everywhere.")
            await bot.end_turn()
            said = await bot.until_quiet()
            assert TEXT == said.contexts[-1].heard.text
            stats = await tts.get_cache_stats()
            assert (1, 5) == (stats["hits"], stats["misses"])
