#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Memory in front of a Redis server that two processes share, each by a tiered store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pipecat_tts_cache.backends import (
    CacheKey,
    MemoryCacheBackend,
    RedisCacheBackend,
    TieredCacheBackend,
)
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.eventually import eventually
from tests.fault_proxy import FaultProxy
from tests.levels import idle
from tests.servers import Server, own_server, server, shared_server

__all__ = ["own_server", "server", "shared_server"]

KEY = make_key("x", "n")
OLD = make_utterance(1)
NEW = make_utterance(2)


class Bot:
    """A process: memory, and behind it the shared server."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self.memory = MemoryCacheBackend()
        self.now = 0.0
        self.redis = RedisCacheBackend(
            url,
            timeout=timeout,
            write_timeout=timeout,
            breaker=CircuitBreaker(clock=lambda: self.now),
        )
        self.store = TieredCacheBackend([self.memory, self.redis], timeout=2 * timeout)
        self.store._levels[1]._breaker = CircuitBreaker(clock=lambda: self.now)

    async def listens(self) -> None:
        """Wait until it hears of others."""
        await self.store.exists(make_key("nothing", "nowhere"))
        await eventually(lambda: self.redis._watch.is_listening)

    async def holds(self, key: CacheKey = KEY) -> None:
        """Look something up until it is in memory."""
        assert await self.store.get(key) is not None
        await eventually(lambda: self.memory.exists(key))


@asynccontextmanager
async def bot(url: str, *, patience: float = 5.0) -> AsyncIterator[Bot]:
    """Run a process that waits so many seconds for the server."""
    it = Bot(url, timeout=patience)
    async with it.store:
        await it.listens()
        yield it


@pytest.fixture
async def bots(server: Server) -> AsyncIterator[tuple[Bot, Bot]]:
    async with bot(server.url) as one, bot(server.url) as other:
        yield one, other


async def commands(server: Server) -> int:
    """How many commands the server has run that deal with utterances."""
    stats = await server.ask("INFO", "commandstats")
    names = ("get", "exists", "set", "unlink", "zadd", "zrem")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


@pytest.mark.parametrize(
    "removal",
    [
        lambda store: store.delete(KEY),
        lambda store: store.delete_many([KEY, make_key()]),
        lambda store: store.clear("n"),
        lambda store: store.clear(),
    ],
)
async def test_a_removal_by_one_reaches_the_memory_of_the_other(
    bots: tuple[Bot, Bot], removal: Callable[[TieredCacheBackend], Awaitable[object]]
) -> None:
    """What one bot deletes or clears, no other says again."""
    one, other = bots
    await one.store.set(KEY, OLD)
    await other.holds()
    await removal(one.store)

    async def is_gone() -> bool:
        return not await other.memory.exists(KEY)

    await eventually(is_gone)
    assert await other.store.get(KEY) is None
    assert await one.store.get(KEY) is None


async def test_a_replacement_by_one_reaches_the_memory_of_the_other(bots: tuple[Bot, Bot]) -> None:
    """What one bot says anew, the others say that way from then on."""
    one, other = bots
    await one.store.set(KEY, OLD)
    await other.holds()
    await one.store.set(KEY, NEW)

    async def is_new() -> bool:
        return await other.store.get(KEY) == NEW

    await eventually(is_new)
    await other.holds()
    assert NEW == await other.memory.get(KEY)


async def test_what_a_bot_stores_itself_stays_in_its_memory(
    bots: tuple[Bot, Bot], server: Server
) -> None:
    """Its own news do not take from it what it just stored, and a hit there asks nobody."""
    one, other = bots
    heard: list[tuple[str | None, str | None]] = []
    one.redis.on_removal(lambda *what: heard.append(what))
    await one.store.set(KEY, OLD)
    await other.store.set(make_key("marker"), OLD)  # whoever hears this has heard its own before
    await eventually(lambda: tuple(make_key("marker")) in heard)
    await idle()
    assert await one.memory.exists(KEY)
    before = await commands(server)
    for _ in range(5):
        assert OLD == await one.store.get(KEY)
        await idle()
    assert before == await commands(server)


async def test_what_is_known_not_to_be_there_costs_no_call(
    bots: tuple[Bot, Bot], server: Server
) -> None:
    """Misses are misses without a question, until another bot stores what was missed."""
    one, other = bots

    async def is_known() -> bool:
        before = await commands(server)
        assert await one.store.get(KEY) is None
        return before == await commands(server)

    await eventually(is_known)
    before = await commands(server)
    for i in range(50):
        assert await one.store.get(make_key(f"{i}", "n")) is None
    assert before == await commands(server)
    await other.store.set(KEY, OLD)

    async def is_found() -> bool:
        return await one.store.get(KEY) == OLD

    await eventually(is_found)


async def test_what_was_missed_while_the_line_was_cut_is_not_said(server: Server) -> None:
    """After a lost connection memory begins anew: what others did meanwhile is not known."""
    async with FaultProxy(server.port) as proxy, bot(server.url) as one, bot(proxy.url) as far:
        await one.store.set(KEY, OLD)
        await far.holds()
        proxy.refusing = True
        proxy.drop()
        await eventually(lambda: not far.redis._watch.is_listening)
        assert OLD == await far.store.get(KEY)
        await one.store.set(KEY, NEW)
        proxy.refusing = False
        far.now += 60

        async def is_new() -> bool:
            return await far.store.get(KEY) == NEW

        await eventually(is_new)


async def test_while_the_server_is_down_memory_goes_on(own_server: Server) -> None:
    """What is in memory is said, what is new is kept there, and a removal says that it failed."""
    async with bot(own_server.url) as one:
        await one.store.set(KEY, OLD)
        own_server.stop()
        for i in range(5):
            assert OLD == await one.store.get(KEY)
            assert await one.store.get(make_key("other")) is None
            assert await one.store.set(make_key(f"{i}"), NEW)
            assert NEW == await one.store.get(make_key(f"{i}"))
        with pytest.raises(BackendError, match=r"level 2 \(RedisCacheBackend\)"):
            await one.store.delete(KEY)
        assert await one.store.get(KEY) is None
        await asyncio.to_thread(own_server.start)
        one.now += 60
        await one.listens()
        assert await one.store.set(KEY, NEW)
        assert NEW == await one.redis.get(KEY)


async def test_a_server_that_stands_still_holds_up_no_hit(own_server: Server) -> None:
    """What is in memory is said at once, and what is not is missed in time."""
    async with bot(own_server.url, patience=0.2) as one:
        await one.store.set(KEY, OLD)
        own_server.stall()
        try:
            for _ in range(5):
                assert OLD == await one.store.get(KEY)
                assert await one.store.get(make_key("other")) is None
        finally:
            own_server.resume()
