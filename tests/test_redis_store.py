#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store: construction, what it keeps on the server, what it says."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import pytest
import redis
import redis.asyncio

import pipecat_tts_cache.backends
from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.redis.client import _introduction
from pipecat_tts_cache.backends.redis.index import BATCH
from pipecat_tts_cache.errors import BackendError, MissingExtraError
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
from tests.servers import Server, lets_redis_introduce_itself, server, shared_server

__all__ = ["lets_redis_introduce_itself", "server", "shared_server"]

SECRET = "pass-Xyzzy"


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisCacheBackend]:
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as store:
        yield store


class OnServer:
    """What a test looks up on the server behind the store's back."""

    def __init__(self, store: RedisCacheBackend) -> None:
        self._ask: Any = store._server.client.execute_command

    async def keys(self) -> list[bytes]:
        return sorted(await self._ask("KEYS", "*"))

    async def __call__(self, *command: Any) -> Any:
        return await self._ask(*command)


@pytest.fixture
def on_server(store: RedisCacheBackend) -> OnServer:
    return OnServer(store)


# Construction


def test_a_missing_extra_is_said_on_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py everything can be imported, and making a store says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [
        name for name in sys.modules if name.startswith("pipecat_tts_cache.backends.redis.backend")
    ]:
        monkeypatch.delitem(sys.modules, name)
    without_redis = pipecat_tts_cache.backends.RedisCacheBackend
    assert without_redis is not RedisCacheBackend
    with pytest.raises(MissingExtraError, match=r"pip install 'pipecat-tts-cache\[redis\]'"):
        without_redis()


def test_the_package_has_no_other_names() -> None:
    """The store is named by the package, and what is no store is not there."""
    assert "RedisCacheBackend" in pipecat_tts_cache.backends.__all__
    assert pipecat_tts_cache.backends.RedisCacheBackend is RedisCacheBackend
    with pytest.raises(AttributeError, match="NoSuchBackend"):
        _ = pipecat_tts_cache.backends.NoSuchBackend


def test_older_versions_of_redis_py_are_introduced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where redis-py has no name for the library as a whole, its older options are used."""
    assert "driver_info" in _introduction()
    monkeypatch.delattr("redis.asyncio.connection.DriverInfo")
    assert {"lib_name": "pipecat-tts-cache", "lib_version": None} == _introduction()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"redis_url": 6379}, TypeError, "redis_url must be a str, not int"),
        ({"redis_url": b"redis://localhost"}, TypeError, "not bytes"),
        ({"redis_url": ""}, ValueError, "redis://, rediss:// or unix://"),
        ({"redis_url": f"http://u:{SECRET}@localhost"}, ValueError, "redis://, rediss://"),
        ({"redis_url": f"u:{SECRET}@localhost:6379"}, ValueError, "redis://, rediss://"),
        ({"redis_url": f"redis:u:{SECRET}@localhost"}, ValueError, "redis://, rediss://"),
        ({"redis_url": f"redis://[{SECRET}"}, ValueError, "must start with"),
        ({"redis_url": f"redis://u:{SECRET}/x@localhost"}, ValueError, "cannot be read"),
        ({"redis_url": f"redis://u:p@localhost:{SECRET}"}, ValueError, "cannot be read"),
        ({"redis_url": f"redis://localhost?{SECRET}={SECRET}"}, ValueError, "option"),
        ({"redis_url": "redis://localhost?max_connections=many"}, ValueError, "option"),
        ({"redis_url": "redis://localhost?decode_responses=1"}, ValueError, "decode_responses"),
        ({"redis_url": f"redis://localhost/{SECRET}"}, ValueError, "number of a database"),
        ({"redis_url": "redis://localhost/1/2"}, ValueError, "number of a database"),
        ({"breaker": 5}, TypeError, "breaker must be a CircuitBreaker, not int"),
        ({"key_prefix": b"p"}, TypeError, "key_prefix must be a str"),
        ({"key_prefix": None}, TypeError, "key_prefix must be a str"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"timeout": float("nan")}, ValueError, "timeout must be above 0"),
        ({"timeout": True}, TypeError, "timeout must be a number"),
        ({"timeout": None}, TypeError, "timeout must be a number"),
        ({"write_timeout": -1}, ValueError, "write_timeout must be above 0"),
        ({"max_connections": 0}, ValueError, "max_connections must be above 0"),
        ({"max_connections": 1.5}, TypeError, "max_connections must be an int"),
        ({"watch": 1}, TypeError, "watch must be a bool"),
        ({"max_known": 0}, ValueError, "max_known must be above 0"),
        ({"client": "redis://localhost"}, TypeError, "client must be a redis.asyncio.Redis"),
        ({"client": redis.Redis()}, TypeError, "not redis.client.Redis"),
        ({"client": redis.asyncio.ConnectionPool()}, TypeError, "client must be"),
        ({"client": redis.asyncio.Redis(decode_responses=True)}, ValueError, "decode_responses"),
        (
            {"client": redis.asyncio.Redis(), "redis_url": "redis://localhost"},
            ValueError,
            "either redis_url or client",
        ),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What cannot work is refused on construction, in words, and without the password."""
    with pytest.raises(error) as raised:
        RedisCacheBackend(**options)
    assert message in str(raised.value)
    assert SECRET not in "".join(str(each) for each in chain_of(raised.value))


def chain_of(error: BaseException | None) -> list[BaseException]:
    """An error and everything that a traceback would show with it."""
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (None, "redis://localhost:6379/0"),
        (f"redis://user:{SECRET}@example.com", "redis://example.com:6379/0"),
        (f"redis://:{SECRET}@example.com:1234/5", "redis://example.com:1234/5"),
        (f"rediss://example.com/?password={SECRET}&db=3", "rediss://example.com:6379/3"),
        (f"redis://[::1]:7/?username=u&password={SECRET}", "redis://::1:7/0"),
        (f"unix://user:{SECRET}@/run/redis.sock?db=2", "unix:///run/redis.sock"),
    ],
)
async def test_its_name_holds_no_secret(url: str | None, name: str) -> None:
    """Neither repr nor statistics nor errors tell user or password."""
    store = RedisCacheBackend(url, key_prefix="p:")
    assert f"RedisCacheBackend({name!r}, key_prefix='p:')" == repr(store)
    await store.close()
    assert name == (await store.get_stats())["server"]
    with pytest.raises(BackendError) as raised:
        await store.get(make_key())
    assert SECRET not in "".join(str(each) for each in chain_of(raised.value))


# What is on the server


async def test_what_is_on_the_server(store: RedisCacheBackend, on_server: OnServer) -> None:
    """One entry, its index and the namespaces, all under the prefix, and nothing without it."""
    key = make_key("x", "a:b*")
    await store.set(key, make_utterance())
    expected = [
        f"pipecat:tts:e:a%3Ab%2A:{key.digest}".encode(),
        b"pipecat:tts:i:a%3Ab%2A",
        b"pipecat:tts:n",
    ]
    assert expected == await on_server.keys()
    assert await store.delete(key)
    assert [b"pipecat:tts:n"] == await on_server.keys()
    await store.clear()
    assert [] == await on_server.keys()


async def test_prefixes_are_kept_apart(store: RedisCacheBackend, server: Server) -> None:
    """Stores with different prefixes share a server and nothing else."""
    async with RedisCacheBackend(server.url, key_prefix="x:") as other:
        await store.set(make_key(), make_utterance(1))
        await other.set(make_key(), make_utterance(2))
        assert await store.get(make_key()) == make_utterance(1)
        assert 1 == await other.clear()
        assert await store.get(make_key()) == make_utterance(1)


def test_namespaces_have_names_of_their_own() -> None:
    """Names are made of harmless characters, and no two namespaces share one."""
    names = [encode_namespace(namespace) for namespace in NAMESPACES]
    assert len(NAMESPACES) == len(set(names))
    assert set("".join(names)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%"
    )


@pytest.mark.parametrize(
    ("ttl", "milliseconds"), [(60, 60_000), (1.2345, 1234), (1e-9, 1), (1e9, 10**12)]
)
async def test_time_to_live_is_the_servers(
    store: RedisCacheBackend, on_server: OnServer, ttl: float, milliseconds: int
) -> None:
    """Expiry is left to the server, to the millisecond; the smallest is one."""
    commands = await commands_of(on_server, store.set(make_key(), make_utterance(), ttl=ttl))
    (px,) = [command[-1] for command in commands if command[0] == b"SET"]
    assert milliseconds == int(px)


async def test_clear_and_statistics_never_search(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """Whatever else lives on the server, no command looks at it."""
    for i in range(BATCH + 1):
        await store.set(make_key(str(i), "mine"), make_utterance(num_bytes=2))
    for i in range(100):
        await on_server("SET", f"other:{i}", "x")
    before = await on_server("INFO", "commandstats")
    assert BATCH + 1 == (await store.get_stats())["entries"]
    assert BATCH + 1 == await store.clear("mine")
    await store.set(make_key("x"), make_utterance())
    assert 1 == await store.clear()
    after = await on_server("INFO", "commandstats")
    used = {
        name: stats["calls"] - before.get(name, {"calls": 0})["calls"]
        for name, stats in after.items()
    }
    assert {"cmdstat_keys", "cmdstat_scan", "cmdstat_del"}.isdisjoint(used)
    assert 50 > sum(used.values())
    assert 100 == len(await on_server.keys())


async def test_what_the_server_evicted_is_a_miss(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """An entry that the server dropped is a miss, and does not count as removed."""
    await store.set(make_key("x"), make_utterance())
    await store.set(make_key("y"), make_utterance())
    await on_server("DEL", f"pipecat:tts:e::{make_key('x').digest}")
    assert await store.get(make_key("x")) is None
    assert not await store.exists(make_key("x"))
    assert 1 == await store.clear()
    assert [] == await on_server.keys()


async def test_the_index_forgets_what_the_server_evicted(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """With every few writes some members of the index are checked, so that it cannot grow."""
    for i in range(500):
        key = make_key(str(i))
        await store.set(key, make_utterance(num_bytes=2))
        await on_server("DEL", f"pipecat:tts:e::{key.digest}")
    assert 100 > await on_server("ZCARD", "pipecat:tts:i:")


async def test_what_is_written_while_the_index_is_tidied_stays_listed(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """An entry that is written just before it is dropped from the index is taken back."""
    keys = [make_key("x"), make_key("y")]
    for key in keys:
        await store.set(key, make_utterance())
        await on_server("DEL", f"pipecat:tts:e::{key.digest}")
    index, lifetimes = store._index, store._index._lifetimes

    async def written_meanwhile(client: Any, name: bytes, digests: Any) -> dict[bytes, int]:
        left = await lifetimes(client, name, digests)
        index._lifetimes = lifetimes  # type: ignore[method-assign]
        await store.set(keys[0], make_utterance(), ttl=1000)
        await store.set(keys[1], make_utterance())
        return left

    index._lifetimes = written_meanwhile  # type: ignore[method-assign]
    await store._do(lambda client: index.tidy(client, b""))
    assert 2 == await on_server("ZCARD", "pipecat:tts:i:")
    score = float(await on_server("ZSCORE", "pipecat:tts:i:", keys[0].digest))
    assert score == pytest.approx(time.time() + 1000, abs=60)
    assert 2 == await store.clear()


async def test_expired_namespaces_are_forgotten(server: Server) -> None:
    """Namespaces that nobody writes to any more leave nothing behind."""
    now = 1_700_000_000.0
    async with RedisCacheBackend(server.url, wall_clock=lambda: now, write_timeout=5) as store:
        on_server = OnServer(store)
        for i in range(200):
            await store.set(make_key("x", f"caller {i}"), make_utterance(num_bytes=2), ttl=0.001)
            now += 60
        await store.set(make_key("x", "for ever"), make_utterance(num_bytes=2))
        indices = [key for key in await on_server.keys() if b":i:" in key]
        assert b"pipecat:tts:i:for%20ever" in indices
        # An hour of grace for hosts whose clocks differ, and some that the next tidying takes.
        assert 60 + 16 >= len(indices)
        assert 60 + 16 >= await on_server("ZCARD", "pipecat:tts:n") >= len(indices)


async def test_a_namespace_lasts_as_long_as_its_longest_lived_entry(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """A short-lived entry does not shorten the life of its namespace's name."""
    for ttl in (1000, 5000, 1):
        await store.set(make_key(str(ttl)), make_utterance(), ttl=ttl)
    assert time.time() + 4000 < float(await on_server("ZSCORE", "pipecat:tts:n", ""))
    await store.set(make_key("x"), make_utterance())
    await store.set(make_key("y"), make_utterance(), ttl=1)
    assert math.isinf(float(await on_server("ZSCORE", "pipecat:tts:n", "")))


async def test_a_namespace_that_came_back_to_life_is_kept(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """A name that is dropped just when something is written under it is taken back."""
    await store.set(make_key("x", "old"), make_utterance())
    await on_server("ZADD", "pipecat:tts:n", "1", "old")  # as if written after it was looked at
    for i in range(32):
        await store.set(make_key(str(i), "new"), make_utterance(num_bytes=2))
    assert 33 == await store.clear()
    assert not await store.exists(make_key("x", "old"))


async def test_a_namespace_written_while_it_is_cleared_is_not_lost(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """However writes and clears interleave, every entry is in its index and its namespace known."""
    for turn in range(20):
        keys = [make_key(f"{turn} {i}", f"n{i % 2}") for i in range(10)]
        await asyncio.gather(
            *(store.set(key, make_utterance(num_bytes=2)) for key in keys),
            *(store.clear(f"n{i % 2}") for i in range(3)),
            store.clear(),
            *(store.delete(key) for key in keys[:3]),
        )
        entries = [key for key in await on_server.keys() if b":e:" in key]
        assert (await store.get_stats())["entries"] >= len(entries)
        assert len(entries) == await store.clear()
        assert [] == await on_server.keys()


# Records


async def entry_on_server(store: RedisCacheBackend, on_server: OnServer) -> str:
    await store.set(make_key("x"), make_utterance(1))
    await store.set(make_key("y"), make_utterance(2))
    return f"pipecat:tts:e::{make_key('x').digest}"


@pytest.mark.parametrize("damage", ["flipped", "cut off", "empty", "text"])
async def test_a_damaged_record_heals(
    store: RedisCacheBackend, on_server: OnServer, damage: str
) -> None:
    """A record that does not check out is a miss, is counted, and is gone."""
    entry = await entry_on_server(store, on_server)
    record = bytearray(await on_server("GET", entry))
    record[1000] ^= 1
    damaged = {"flipped": record, "cut off": record[:-1], "empty": b"", "text": b"?" * 100}
    await on_server("SET", entry, bytes(damaged[damage]))
    assert await store.get(make_key("x")) is None
    assert not await store.exists(make_key("x"))
    assert await store.get(make_key("y")) == make_utterance(2)
    stats = await store.get_stats()
    assert (1, 1, 1, 1) == tuple(stats[name] for name in ("corrupt", "misses", "hits", "entries"))
    await store.set(make_key("x"), make_utterance(3))
    assert await store.get(make_key("x")) == make_utterance(3)


async def test_a_newer_record_is_left_alone(store: RedisCacheBackend, on_server: OnServer) -> None:
    """A record of a format yet to come is a miss, and stays for who can read it."""
    entry = await entry_on_server(store, on_server)
    await on_server("SETRANGE", entry, 4, b"\xff")
    assert await store.get(make_key("x")) is None
    assert await store.exists(make_key("x"))
    stats = await store.get_stats()
    assert (1, 0, 1) == tuple(stats[name] for name in ("newer", "corrupt", "misses"))


async def test_what_fits_into_no_record_is_refused(store: RedisCacheBackend) -> None:
    """An utterance with megabytes of text is not kept, and what was there stays."""
    await store.set(make_key(), make_utterance())
    monster = replace(make_utterance(2), text="x" * 2_000_000)
    assert not await store.set(make_key(), monster)
    assert await store.get(make_key()) == make_utterance()
    assert 1 == (await store.get_stats())["refused"]


# Errors that a living server gives


async def test_a_full_server_is_an_error_and_hits_go_on(
    store: RedisCacheBackend, on_server: OnServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Out of memory fails writes, says so once and leaves nothing behind; look-ups go on."""
    await store.set(make_key("x"), make_utterance())
    before = await on_server.keys()
    await on_server("CONFIG", "SET", "maxmemory", "1")
    try:
        for _ in range(5):
            with pytest.raises(BackendError, match="OutOfMemoryError"):
                await store.set(make_key("y"), make_utterance())
        assert await store.get(make_key("x")) == make_utterance()
    finally:
        await on_server("CONFIG", "SET", "maxmemory", "0")
    assert before == await on_server.keys()
    stats = await store.get_stats()
    assert (5, "closed", True) == (stats["errors"], stats["breaker"], stats["available"])
    assert 1 == sum("Check its memory limit" in each.getMessage() for each in caplog.records)


async def test_something_else_under_our_key_is_an_error(
    store: RedisCacheBackend, on_server: OnServer
) -> None:
    """A value of another type fails the look-up, and the next write takes its place."""
    entry = f"pipecat:tts:e::{make_key().digest}"
    await on_server("RPUSH", entry, "x")
    with pytest.raises(BackendError, match="WRONGTYPE"):
        await store.get(make_key())
    await store.set(make_key(), make_utterance())
    assert await store.get(make_key()) == make_utterance()


async def test_messages_hold_no_audio(store: RedisCacheBackend, on_server: OnServer) -> None:
    """A message does not quote the command, which holds the record."""
    await on_server("SET", "pipecat:tts:i:", "no index")
    with pytest.raises(BackendError, match="WRONGTYPE") as raised:
        await store.set(make_key("x"), make_utterance(), ttl=5)
    assert all(len(str(each)) < 300 for each in chain_of(raised.value))
    assert not await store.exists(make_key("x"))


# Statistics, closing, event loops


async def test_statistics(store: RedisCacheBackend, server: Server) -> None:
    """Every field says what it is documented to."""
    await store.set(make_key("a", "x"), make_utterance())
    await store.set(make_key("b", "x"), make_utterance())
    await store.set(make_key("b", "y"), make_utterance())
    await store.get(make_key("a", "x"))
    await store.get(make_key("a", "y"))
    await store.delete(make_key("b", "y"))
    expected = {
        "entries": 2,
        "namespaces": 1,
        "available": True,
        "hits": 1,
        "misses": 1,
        "known_absent": 0,
        "corrupt": 0,
        "newer": 0,
        "refused": 0,
        "not_prolonged": 0,
        "not_announced": 0,
        "watching": False,
        "known": 0,
        "server": server.url,
        "breaker": "closed",
        "retry_in": 0.0,
        "errors": 0,
        "timeouts": 0,
        "unavailable": 0,
        "replica": None,
    }
    assert expected == await store.get_stats()


async def test_a_closed_store_says_so(server: Server) -> None:
    """After close calls fail in words, and statistics still answer."""
    store = RedisCacheBackend(server.url)
    await store.set(make_key(), make_utterance())
    await store.close()
    with pytest.raises(BackendError, match="closed"):
        await store.get(make_key())
    assert not (await store.get_stats())["available"]
    assert 1 == (await server.ask("CLIENT", "LIST")).count(b" addr=")


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_a_callers_client_is_not_closed(server: Server) -> None:
    """Closing the store leaves the client to who made it."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        store = RedisCacheBackend(client=client)
        await store.set(make_key(), make_utterance())
        assert server.url == (await store.get_stats())["server"]
        await store.close()
        assert await client.ping()
        async with RedisCacheBackend(client=client) as store:
            assert await store.get(make_key()) == make_utterance()


async def test_two_bots_race_to_write(store: RedisCacheBackend, server: Server) -> None:
    """Of two that write the same keys at once one wins, whole, and both find it, counted once."""
    keys = [make_key(str(i), f"n{i % 3}") for i in range(20)]
    mine = [make_utterance(i, num_bytes=20_000) for i in range(20)]
    theirs = [make_utterance(100 + i, num_bytes=2_000) for i in range(20)]
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as other:
        for _ in range(5):
            await asyncio.gather(
                *(store.set(key, each) for key, each in zip(keys, mine, strict=True)),
                *(other.set(key, each) for key, each in zip(keys, theirs, strict=True)),
            )
            for key, *both in zip(keys, mine, theirs, strict=True):
                found = await store.get(key)
                assert found in both
                assert found == await other.get(key)
            assert 20 == (await other.get_stats())["entries"]
        assert 20 == await other.clear()
        assert [] == await server.ask("KEYS", "*")


async def test_services_share_a_store(server: Server) -> None:
    """Hundreds of calls at once share a few connections."""
    async with RedisCacheBackend(server.url, timeout=5, max_connections=3) as small:
        await small.set(make_key(), make_utterance())
        found = await asyncio.gather(*(small.get(make_key()) for _ in range(300)))
        assert [make_utterance()] * 300 == found
        assert 3 + 1 == (await server.ask("CLIENT", "LIST")).count(b" addr=")


def test_one_event_loop_after_the_other(server: Server) -> None:
    """In a new loop the store connects anew; two loops at once are refused in words."""
    store = RedisCacheBackend(server.url)

    async def use_and_leave_open() -> None:
        await store.set(make_key(), make_utterance())
        await store._server.client.connection_pool.disconnect()  # or Python warns of the leak

    async def use_and_close() -> None:
        assert await store.get(make_key()) == make_utterance()
        with pytest.raises(BackendError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(store.get(make_key())))
        await store.close()

    asyncio.run(use_and_leave_open())
    asyncio.run(use_and_close())


def test_a_callers_client_stays_in_its_event_loop(server: Server) -> None:
    """A client whose loop is closed is refused in words."""
    client = redis.asyncio.Redis(port=server.port)
    store = RedisCacheBackend(client=client)

    async def use() -> None:
        await store.set(make_key(), make_utterance())
        await client.aclose()

    asyncio.run(use())
    with pytest.raises(BackendError, match="make a new client"):
        asyncio.run(store.get(make_key()))


async def commands_of(on_server: OnServer, call: Awaitable[Any]) -> list[list[bytes]]:
    """What a call sends to the server, by its slow log."""
    await on_server("CONFIG", "SET", "slowlog-log-slower-than", "0")
    await on_server("SLOWLOG", "RESET")
    await call
    await on_server("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    return [command for _, _, _, command, *_ in await on_server("SLOWLOG", "GET", "100")]
