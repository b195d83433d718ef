#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store when the server is down, stalls, cuts off in mid-value and comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock, breaker, clock
from tests.fault_proxy import FaultProxy
from tests.outages import LARGE, Outages, fail, warnings
from tests.servers import Server, lets_redis_introduce_itself, own_server, server, shared_server

__all__ = [
    "breaker",
    "clock",
    "lets_redis_introduce_itself",
    "own_server",
    "server",
    "shared_server",
]

SHORT = 0.2
"""A time limit that a living server on loopback keeps, in seconds."""

pytestmark = pytest.mark.usefixtures("lets_redis_introduce_itself")


@pytest.fixture
async def store(own_server: Server, breaker: CircuitBreaker) -> AsyncIterator[RedisCacheBackend]:
    """A store on a server that the test may stop, with one utterance."""
    async with RedisCacheBackend(
        own_server.url, timeout=SHORT, write_timeout=2 * SHORT, breaker=breaker
    ) as store:
        await store.set(make_key(), make_utterance())
        yield store


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def far_store(proxy: FaultProxy, breaker: CircuitBreaker) -> AsyncIterator[RedisCacheBackend]:
    """A store behind the proxy, with one utterance."""
    async with RedisCacheBackend(
        proxy.url, timeout=SHORT, write_timeout=2 * SHORT, breaker=breaker, codec="raw"
    ) as store:
        await store.set(make_key(), LARGE)
        yield store


class TestOutages(Outages):
    """The store behind the proxy has little time from the start."""


async def test_a_server_that_is_down_and_comes_back(
    own_server: Server,
    store: RedisCacheBackend,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left alone after three failures, tried by itself, and used again; told once each."""
    await asyncio.to_thread(own_server.stop)
    await fail(store)
    for call in (
        store.get(make_key()),
        store.set(make_key(), make_utterance()),
        store.delete(make_key()),
        store.exists(make_key()),
        store.clear(),
        store.clear("x"),
    ):
        with pytest.raises(BackendUnavailableError, match=r"left alone for 1.0 s more"):
            await call
    clock.now += 1
    await fail(store, times=1)
    stats = await store.get_stats()
    expected = {"entries": None, "namespaces": None, "available": False, "breaker": "open"}
    assert expected == {name: stats[name] for name in expected}
    assert (4, 7, 2.0) == (stats["errors"], stats["unavailable"], stats["retry_in"])

    await asyncio.to_thread(own_server.start)
    clock.now += 2
    assert await store.get(make_key()) is None
    await store.set(make_key(), make_utterance())
    assert await store.get(make_key()) == make_utterance()
    stats = await store.get_stats()
    assert (1, True, "closed") == (stats["entries"], stats["available"], stats["breaker"])
    down, up = warnings(caplog)
    assert "spoken live meanwhile" in down
    assert "answers again" in up


async def test_a_server_that_was_restarted_is_not_missed(
    own_server: Server, store: RedisCacheBackend
) -> None:
    """Connections that died while nobody used them cost no call."""
    await asyncio.gather(*(store.get(make_key()) for _ in range(5)))
    await asyncio.to_thread(own_server.stop)
    await asyncio.to_thread(own_server.start)
    for _ in range(5):
        assert await store.get(make_key()) is None
    assert 0 == (await store.get_stats())["errors"]


async def test_a_server_that_stands_still(
    own_server: Server, store: RedisCacheBackend, clock: Clock
) -> None:
    """A silent server costs the time limit three times, then nothing, until it goes on."""
    own_server.stall()
    await fail(store)
    with pytest.raises(BackendUnavailableError):
        await store.set(make_key(), make_utterance())
    stats = await store.get_stats()
    assert (3, 3) == (stats["errors"], stats["timeouts"])
    own_server.resume()
    clock.now += 1
    assert await store.get(make_key()) == make_utterance()


async def test_a_probe_gets_a_fresh_connection(
    proxy: FaultProxy, far_store: RedisCacheBackend, clock: Clock
) -> None:
    """Idle connections that a firewall forgot do not make probe after probe fail."""
    await asyncio.gather(*(far_store.get(make_key()) for _ in range(10)))
    proxy.forget()
    calls = [far_store.get(make_key()) for _ in range(3)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert {BackendError} == {type(each) for each in found}
    clock.now += 1
    assert await far_store.get(make_key()) is not None
    assert None not in await asyncio.gather(*(far_store.get(make_key()) for _ in range(10)))


async def test_a_write_cut_off_anywhere_can_be_cleared(
    proxy: FaultProxy, far_store: RedisCacheBackend, server: Server
) -> None:
    """However far a write got, what it left is found by clear."""
    await far_store.clear()
    for i in range(40):
        write = asyncio.ensure_future(far_store.set(make_key(str(i), "n"), make_utterance()))
        for _ in range(2 * i):
            await asyncio.sleep(0)
        write.cancel()
        await asyncio.wait([write])
    entries = [key for key in await server.ask("KEYS", "*") if b":e:" in key]
    assert 0 < len(entries) < 40
    assert len(entries) == await far_store.clear()
    assert [] == await server.ask("KEYS", "*")


async def test_closing_does_not_wait_for_a_dead_server(
    own_server: Server, store: RedisCacheBackend
) -> None:
    """Close ends in time, and raises nothing."""
    own_server.stall()
    await fail(store, times=1)
    async with asyncio.timeout(10):
        await store.close()


async def test_a_callers_slow_client_is_held_to_time(
    proxy: FaultProxy, clock: Clock, breaker: CircuitBreaker
) -> None:
    """The time limits hold whatever retries and time-outs a caller's client has."""
    async with redis.asyncio.Redis.from_url(proxy.url, socket_timeout=None) as client:
        store = RedisCacheBackend(client=client, timeout=SHORT, breaker=breaker)
        await store.set(make_key(), make_utterance())
        proxy.stall()
        async with asyncio.timeout(10):
            await fail(store)
        proxy.resume()
        clock.now += 1
        assert await store.get(make_key()) == make_utterance()
        proxy.refusing = True
        proxy.drop()
        async with asyncio.timeout(10):
            await fail(store)
