#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store on a server that evicts by itself, under real pressure."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.servers import Server, own_server

__all__ = ["own_server"]

NUM_WRITES = 600
SIZE = 40_000
"""Bytes of an utterance: six times as much is written as there is room for."""


@pytest.fixture(params=["volatile-lru", "volatile-ttl", "allkeys-lru", "allkeys-random"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def press(server: Server, policy: str) -> None:
    """Give a server little room, and say what it is to evict."""
    await server.ask("CONFIG", "SET", "maxmemory", "6mb", "maxmemory-policy", policy)


@pytest.fixture
async def pressed(own_server: Server, policy: str) -> AsyncIterator[RedisCacheBackend]:
    """A store on a server that has evicted most of what was stored."""
    await press(own_server, policy)
    async with RedisCacheBackend(own_server.url, codec="raw", timeout=5, write_timeout=5) as store:
        for i in range(NUM_WRITES):
            await store.set(make_key(str(i)), make_utterance(i, num_bytes=SIZE), ttl=3600)
        assert (await own_server.ask("INFO", "stats"))["evicted_keys"] > NUM_WRITES / 2
        await own_server.ask("CONFIG", "SET", "maxmemory", 0)  # or reading, too, evicts some
        yield store


async def entries_on(server: Server) -> set[str]:
    keys = await server.ask("KEYS", "pipecat:tts:e:*")
    return {key.decode().rpartition(":")[2] for key in keys}


async def test_look_ups_stay_right(
    pressed: RedisCacheBackend, own_server: Server, policy: str
) -> None:
    """What was evicted is a miss, what was not comes back whole."""
    store, server = pressed, own_server
    left = await entries_on(server)
    for i in range(NUM_WRITES):
        key = make_key(str(i))
        found = await store.get(key)
        assert found == (make_utterance(i, num_bytes=SIZE) if key.digest in left else None)
    assert 0 == (await store.get_stats())["errors"]
    assert left


async def test_the_index_stays_within_bounds(
    pressed: RedisCacheBackend, own_server: Server, policy: str
) -> None:
    """Along with the writes the index forgets what was evicted."""
    store, server = pressed, own_server
    left = await entries_on(server)
    for i in range(NUM_WRITES):
        await store.set(make_key(str(i)), make_utterance(num_bytes=2), ttl=3600)
        await server.ask("UNLINK", f"pipecat:tts:e::{make_key(str(i)).digest}")
    assert await server.ask("ZCARD", "pipecat:tts:i:") < NUM_WRITES / 2 + len(left)


async def test_clear_and_listing_find_what_is_left(
    pressed: RedisCacheBackend, own_server: Server, policy: str
) -> None:
    """With a volatile policy all that is left, and with any policy all that the index lists."""
    store, server = pressed, own_server
    left = await entries_on(server)
    index = {digest.decode() for digest in await server.ask("ZRANGE", "pipecat:tts:i:", 0, -1)}
    names = await server.ask("ZRANGE", "pipecat:tts:n", 0, -1)
    if policy.startswith("volatile"):
        assert left <= index
        assert [b""] == names
    listed = {entry.key.digest async for entry in store.entries("")}
    assert left & index == listed
    assert len(left & index) == await store.clear("")
    assert left - index == await entries_on(server)


async def test_a_lost_index_heals_with_later_writes(
    own_server: Server,
) -> None:
    """What is written after the index was evicted is listed; what was before, once written anew."""
    server = own_server
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as store:
        await store.set(make_key("old"), make_utterance(1))
        await store.set(make_key("older"), make_utterance(2))
        await server.ask("DEL", "pipecat:tts:i:", "pipecat:tts:n")  # as the server may by itself
        assert make_utterance(1) == await store.get(make_key("old"))
        assert 0 == (await store.get_stats())["entries"]
        await store.set(make_key("new"), make_utterance(3))
        await store.set(make_key("older"), make_utterance(4))
        listed = {entry.key async for entry in store.entries()}
        assert {make_key("new"), make_key("older")} == listed
        assert 2 == await store.clear()
        assert make_utterance(1) == await store.get(make_key("old"))


async def test_what_lives_for_ever_fills_a_volatile_server(
    own_server: Server,
) -> None:
    """Without a time to live nothing is evicted: writes are refused, and look-ups go on."""
    await press(own_server, "volatile-lru")
    server = own_server
    async with RedisCacheBackend(server.url, codec="raw", timeout=5, write_timeout=5) as store:
        stored = 0
        with suppress(BackendError):
            while stored < NUM_WRITES:
                await store.set(make_key(str(stored)), make_utterance(stored, num_bytes=SIZE))
                stored += 1
        with pytest.raises(BackendError, match="OutOfMemory"):
            await store.set(make_key("more"), make_utterance(num_bytes=SIZE))
        assert stored > 10
        for i in range(stored):
            assert make_utterance(i, num_bytes=SIZE) == await store.get(make_key(str(i)))
        assert "closed" == (await store.get_stats())["breaker"]
        assert stored == await store.clear()
