#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""On a Redis server nothing but a removal ends a pin: no time to live, no late write."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace

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

DIGEST = make_key().digest
ENTRY, INDEX = f"pipecat:tts:e::{DIGEST}", "pipecat:tts:i:"
PIN = replace(make_utterance(1), pinned=True)
SPEECH = make_utterance(2)


def open_store(server: Server, **options: float) -> RedisCacheBackend:
    return RedisCacheBackend(server.url, timeout=5, write_timeout=5, **options)  # type: ignore[arg-type]


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisCacheBackend]:
    """A store whose hits prolong what they find."""
    async with open_store(server, sliding_ttl=100) as store:
        yield store


async def lives_for_ever(server: Server) -> bool:
    """Whether the pin has no time to live, and is listed so, so that it is counted."""
    left, listed = await server.ask("PTTL", ENTRY), await server.ask("ZSCORE", INDEX, DIGEST)
    return (left, float(listed)) == (-1, math.inf)


async def test_hits_give_it_no_time_to_live(store: RedisCacheBackend, server: Server) -> None:
    """With a sliding time to live a pin has none, stored or heard."""
    assert await store.set(make_key(), PIN, ttl=5)
    assert await lives_for_ever(server)
    for _ in range(3):
        assert PIN == await store.get(make_key())
        assert await lives_for_ever(server)
    assert 0 == (await store.get_stats())["not_prolonged"]


async def test_a_refused_write_leaves_everything_as_it_was(
    store: RedisCacheBackend, server: Server
) -> None:
    """Neither record nor listing changes, and the refusal is counted."""
    await store.set(make_key(), PIN)
    for ttl in (None, 5.0):
        assert await store.set(make_key(), SPEECH, ttl=ttl) is False
        assert await lives_for_ever(server)
    assert PIN == await store.get(make_key())
    stats = await store.get_stats()
    assert (1, 2) == (stats["entries"], stats["refused"])


async def test_no_write_overtakes_a_pin(server: Server) -> None:
    """Of many bots that store speech while one pins, none has the last word."""
    async with open_store(server) as bot, open_store(server) as studio:
        for number in range(20):
            key = make_key(str(number))
            writes = [bot.set(key, make_utterance(i), ttl=50) for i in range(8)]
            await asyncio.gather(*writes[:4], studio.set(key, PIN), *writes[4:])
            assert PIN == await bot.get(key)
        assert 20 == (await studio.get_stats())["entries"]


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_on_a_cluster(cluster_ports: list[int]) -> None:
    """Wherever entry and index lie, a pin lives and is listed for ever."""
    async with RedisCluster(host="127.0.0.1", port=cluster_ports[0]) as client:
        await client.flushall()
        store = RedisCacheBackend(client=client, sliding_ttl=100, timeout=5, write_timeout=5)
        await store.set(make_key(), PIN)
        assert await store.set(make_key(), SPEECH, ttl=5) is False
        assert PIN == await store.get(make_key())
        assert -1 == await client.execute_command("PTTL", ENTRY)
        assert math.inf == float(await client.execute_command("ZSCORE", INDEX, DIGEST))


async def test_where_a_write_fails_half_way_a_pin_stays(
    store: RedisCacheBackend, server: Server
) -> None:
    """What is undone of a write, as another's key is in the place of the index, is no pin."""
    await store.set(make_key(), PIN)
    await server.ask("SET", INDEX, "no index")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        await store.set(make_key(), SPEECH)
    assert PIN == await store.get(make_key())


async def test_a_user_who_may_run_no_scripts_stores_pins_only(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the permission a write is an error, said once; look-ups and pins go on."""
    rules = ("on", ">x", "~*", "&*", "+@all", "-eval")
    await own_server.ask("ACL", "SETUSER", "bot", *rules)
    url = own_server.url.replace("redis://", "redis://bot:x@")
    async with RedisCacheBackend(url, timeout=5, write_timeout=5) as bot:
        assert await bot.set(make_key(), PIN)
        for _ in range(2):
            with pytest.raises(BackendError, match="eval"):
                await bot.set(make_key(), SPEECH)
        assert PIN == await bot.get(make_key())
    assert 1 == caplog.text.count("refuses")
