#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How long the Redis store keeps an utterance when hits prolong its life."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import RedisCluster

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.servers import (
    Server,
    cluster_ports,
    lets_redis_introduce_itself,
    own_server,
    server,
    shared_server,
)

__all__ = ["cluster_ports", "lets_redis_introduce_itself", "own_server", "server", "shared_server"]

ENTRY = f"pipecat:tts:e::{make_key().digest}"
SLIDING = 1000.0

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisCacheBackend]:
    async with RedisCacheBackend(
        server.url, sliding_ttl=SLIDING, timeout=5, write_timeout=5
    ) as store:
        yield store


async def lifetimes(ask: Ask) -> tuple[float, float, float]:
    """Seconds that the entry, its place in the index and its namespace's name have left."""
    entry = await ask("PTTL", ENTRY) / 1000
    listed = float(await ask("ZSCORE", "pipecat:tts:i:", make_key().digest)) - time.time()
    named = float(await ask("ZSCORE", "pipecat:tts:n", "")) - time.time()
    return entry, listed, named


def about(*seconds: float) -> Any:
    return pytest.approx(seconds, abs=60)


async def test_each_hit_prolongs(store: RedisCacheBackend, server: Server) -> None:
    """After a hit entry and index live for the sliding time, from then on."""
    await store.set(make_key(), make_utterance())
    assert about(SLIDING, SLIDING, SLIDING) == await lifetimes(server.ask)
    await server.ask("PEXPIRE", ENTRY, 5000)
    await server.ask("ZADD", "pipecat:tts:i:", time.time() + 5, make_key().digest)
    await server.ask("ZADD", "pipecat:tts:n", time.time() + 5, "")
    assert make_utterance() == await store.get(make_key())
    assert about(SLIDING, SLIDING, SLIDING) == await lifetimes(server.ask)


async def test_nothing_but_a_hit_prolongs(store: RedisCacheBackend, server: Server) -> None:
    """Probing, peeking and listing leave the time to live as it is, and a miss makes none."""
    await store.set(make_key(), make_utterance(), ttl=200)
    await store.exists(make_key())
    await store.peek(make_key())
    assert 1 == len([entry async for entry in store.entries()])
    assert about(200, 200, 200) == await lifetimes(server.ask)
    assert await store.get(make_key("none")) is None
    assert 1 == await server.ask("ZCARD", "pipecat:tts:i:")
    assert await store.get(make_key("none", "nowhere")) is None
    assert 1 == await server.ask("ZCARD", "pipecat:tts:n")


@pytest.mark.parametrize("ttl", [200.0, 5000.0])
async def test_a_time_of_its_own_holds_until_the_first_hit(
    store: RedisCacheBackend, server: Server, ttl: float
) -> None:
    """Shorter or longer, the time that came with a write gives way to the sliding one."""
    await store.set(make_key(), make_utterance(), ttl=ttl)
    assert about(ttl, ttl, ttl) == await lifetimes(server.ask)
    await store.get(make_key())
    assert about(SLIDING, SLIDING, max(ttl, SLIDING)) == await lifetimes(server.ask)


async def test_what_was_kept_for_ever_slides_from_its_first_hit(
    store: RedisCacheBackend, server: Server
) -> None:
    """What was stored before the option was chosen is found, and does not stay for ever."""
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as before:
        await before.set(make_key(), make_utterance())
    assert make_utterance() == await store.get(make_key())
    assert about(SLIDING, SLIDING, float("inf")) == await lifetimes(server.ask)
    assert 1 == await store.clear()


async def test_it_takes_one_round_trip(store: RedisCacheBackend, server: Server) -> None:
    """A hit sends its commands together."""
    await store.set(make_key(), make_utterance())
    sent = []
    ask = store._servers.look_up

    async def look_up(question: Any, **options: Any) -> Any:
        sent.append(question)
        return await ask(question, **options)

    store._servers.look_up = look_up  # type: ignore[method-assign]
    connection = store._server.client.connection_pool._available_connections[0]
    send, packets = connection.send_packed_command, []

    async def count(*command: Any, **options: Any) -> None:
        packets.append(command)
        await send(*command, **options)

    connection.send_packed_command = count
    assert await store.get(make_key())
    assert (1, 1) == (len(sent), len(packets))


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_on_a_cluster(cluster_ports: list[int]) -> None:
    """Entry and index follow wherever they lie."""
    async with RedisCluster(host="127.0.0.1", port=cluster_ports[0]) as client:
        await client.flushall()
        store = RedisCacheBackend(client=client, sliding_ttl=SLIDING, timeout=5, write_timeout=5)
        await store.set(make_key(), make_utterance(), ttl=200)
        assert about(200, 200, 200) == await lifetimes(client.execute_command)
        assert make_utterance() == await store.get(make_key())
        assert about(SLIDING, SLIDING, SLIDING) == await lifetimes(client.execute_command)


async def test_where_it_may_not_be_prolonged_a_hit_is_a_hit(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may only read hits all the same; it is counted, and said once."""
    async with RedisCacheBackend(own_server.url, timeout=5) as writer:
        await writer.set(make_key(), make_utterance())
    await own_server.ask("ACL", "SETUSER", "bot", "on", ">x", "~*", "-@all", "+get", "+@connection")
    url = own_server.url.replace("redis://", "redis://bot:x@")
    async with RedisCacheBackend(url, sliding_ttl=SLIDING, timeout=5) as reader:
        for _ in range(3):
            assert make_utterance() == await reader.get(make_key())
            assert await reader.get(make_key("none")) is None
        stats = await reader.get_stats()
    assert (3, 3, 3) == (stats["hits"], stats["misses"], stats["not_prolonged"])
    assert -1 == await own_server.ask("PTTL", ENTRY)
    assert 1 == caplog.text.count("'eval'")


async def test_something_else_under_our_key_is_an_error(
    store: RedisCacheBackend, server: Server
) -> None:
    """A value of another type fails the look-up, as it does without the option."""
    await server.ask("RPUSH", ENTRY, "x")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        await store.get(make_key())


async def test_a_full_server_prolongs(own_server: Server) -> None:
    """A server that is full and may not evict still answers hits."""
    async with RedisCacheBackend(own_server.url, sliding_ttl=SLIDING, timeout=5) as store:
        await store.set(make_key(), make_utterance(), ttl=200)
        await own_server.ask("CONFIG", "SET", "maxmemory", "1")
        assert make_utterance() == await store.get(make_key())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sliding_ttl": 0}, ValueError, "sliding_ttl must be above 0"),
        ({"sliding_ttl": "1h"}, TypeError, "sliding_ttl must be a number"),
        ({"sliding_ttl": 60, "replica": "redis://localhost"}, ValueError, "leave out replica"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """A time that is none, and a replica beside it, are refused in words."""
    with pytest.raises(error, match=message):
        RedisCacheBackend(**options)


async def test_a_bot_whose_clock_is_ahead_takes_nothing_from_others(server: Server) -> None:
    """What has expired is up to the server: what lives on stays listed, and can be cleared."""
    options = {"timeout": 5, "write_timeout": 5}

    def ahead() -> float:
        return time.time() + 30 * 86_400

    async with (
        RedisCacheBackend(server.url, **options) as right,
        RedisCacheBackend(server.url, wall_clock=ahead, **options) as wrong,
    ):
        await right.set(make_key("x", "mine"), make_utterance(), ttl=86_400)
        for i in range(64):
            await wrong.set(make_key(str(i), "other"), make_utterance(num_bytes=2))
        assert [make_key("x", "mine")] == [entry.key async for entry in right.entries("mine")]
        assert 1 == await right.clear("mine")
        assert not await right.exists(make_key("x", "mine"))
