#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store on a replica, and beside one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.eventually import eventually
from tests.fault_proxy import FaultProxy
from tests.servers import Server, lets_redis_introduce_itself, running, wait_for

__all__ = ["lets_redis_introduce_itself"]

ENTRY = f"pipecat:tts:e::{make_key().digest}"


class Pair:
    """A primary and its replica."""

    def __init__(self, directory: Path) -> None:
        self.primary = Server("redis-server", directory, "--repl-diskless-sync-delay", "0")
        following = ("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replica = Server("redis-server", directory, *following)

    def is_in_step(self) -> bool:
        with self.replica.client() as client:
            return client.info("replication")["master_link_status"] == "up"

    async def catch_up(self) -> None:
        """Wait until the replica has all that was written."""
        assert 1 == await self.primary.ask("WAIT", "1", "5000")


@pytest.fixture(scope="module")
def pair_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("pair"))
    with running(pair.primary, pair.replica):
        wait_for(pair.is_in_step, "the replica")
        yield pair


@pytest.fixture
async def pair(pair_of_all: Pair) -> Pair:
    """A pair with nothing on it."""
    await pair_of_all.primary.ask("FLUSHALL")
    await pair_of_all.catch_up()
    await pair_of_all.replica.ask("CONFIG", "RESETSTAT")
    return pair_of_all


@pytest.fixture
async def primary(pair: Pair) -> AsyncIterator[RedisCacheBackend]:
    """A store on the primary alone."""
    async with RedisCacheBackend(pair.primary.url, timeout=5, write_timeout=5) as store:
        yield store


# A store on nothing but a replica


@pytest.fixture
async def reader(pair: Pair) -> AsyncIterator[RedisCacheBackend]:
    async with RedisCacheBackend(pair.replica.url, timeout=5, write_timeout=5) as store:
        yield store


async def test_a_replica_answers(
    pair: Pair, primary: RedisCacheBackend, reader: RedisCacheBackend
) -> None:
    """Look-ups, listing and statistics work on what came from the primary."""
    await primary.set(make_key(), make_utterance(), ttl=60)
    await pair.catch_up()
    assert make_utterance() == await reader.get(make_key()) == await reader.peek(make_key())
    assert await reader.exists(make_key())
    assert [make_key()] == [entry.key async for entry in reader.entries()]
    stats = await reader.get_stats()
    assert (1, 1, True) == (stats["entries"], stats["hits"], stats["available"])


async def test_a_replica_refuses_and_is_not_down(
    reader: RedisCacheBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is to store is refused and counted, once said; look-ups go on."""
    for i in range(10):
        assert await reader.set(make_key(str(i)), make_utterance()) is False
        assert await reader.get(make_key(str(i))) is None
    with pytest.raises(BackendError, match="ReadOnly"):
        await reader.delete(make_key())
    with pytest.raises(BackendError, match="ReadOnly"):
        await reader.clear("n")
    stats = await reader.get_stats()
    assert (10, 10, "closed") == (stats["refused"], stats["misses"], stats["breaker"])
    assert 1 == sum("refuses" in each.getMessage() for each in caplog.records)


async def test_a_replica_cannot_heal_a_record(
    pair: Pair, primary: RedisCacheBackend, reader: RedisCacheBackend
) -> None:
    """A damaged record is a miss each time, until the primary heals it."""
    await primary.set(make_key(), make_utterance())
    await pair.primary.ask("SETRANGE", ENTRY, 100, b"????")
    await pair.catch_up()
    for _ in range(5):
        assert await reader.get(make_key()) is None
    stats = await reader.get_stats()
    assert (5, 5, "closed") == (stats["corrupt"], stats["misses"], stats["breaker"])
    assert await primary.get(make_key()) is None
    await pair.catch_up()
    assert not await reader.exists(make_key())


async def test_a_replica_prolongs_nothing(pair: Pair, primary: RedisCacheBackend) -> None:
    """With a sliding time to live a hit on a replica is a hit."""
    await primary.set(make_key(), make_utterance(), ttl=60)
    await pair.catch_up()
    async with RedisCacheBackend(pair.replica.url, sliding_ttl=1000, timeout=5) as reader:
        assert make_utterance() == await reader.get(make_key())
        stats = await reader.get_stats()
    assert (1, 1, "closed") == (stats["hits"], stats["not_prolonged"], stats["breaker"])


async def test_news_come_through_a_replica(pair: Pair, primary: RedisCacheBackend) -> None:
    """A store that listens to a replica hears of changes after they are there."""
    heard: list[Any] = []
    async with RedisCacheBackend(pair.replica.url, timeout=5) as reader:
        reader.on_removal(lambda *scope: heard.append(scope))
        await reader.exists(make_key())
        await eventually(lambda: reader._watch.is_listening)
        heard.clear()
        for i in range(50):
            await primary.set(make_key(str(i)), make_utterance(i))
            await eventually(lambda: tuple(make_key(str(i))) in heard)  # noqa: B023 - at once
            assert make_utterance(i) == await reader.get(make_key(str(i)))


# A replica beside the primary


@pytest.fixture
async def proxy(pair: Pair) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(pair.replica.port) as proxy:
        yield proxy


@pytest.fixture
async def store(pair: Pair, proxy: FaultProxy) -> AsyncIterator[RedisCacheBackend]:
    """A store on both, the replica behind the proxy."""
    async with RedisCacheBackend(
        pair.primary.url, replica=proxy.url, timeout=2, write_timeout=5
    ) as store:
        await store.set(make_key(), make_utterance())
        await pair.catch_up()
        yield store


async def gets(server: Server) -> int:
    stats = await server.ask("INFO", "commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("get", "exists"))


async def test_look_ups_ask_the_replica(pair: Pair, store: RedisCacheBackend) -> None:
    """What is looked up comes from the replica, and everything else goes to the primary."""
    before = await gets(pair.primary)
    for _ in range(5):
        assert make_utterance() == await store.get(make_key()) == await store.peek(make_key())
        assert await store.exists(make_key())
        assert await store.get(make_key("none")) is None
    assert (before, 20) == (await gets(pair.primary), await gets(pair.replica))
    assert await store.delete(make_key())
    await pair.catch_up()
    assert not await store.exists(make_key())
    assert 0 == await store.clear()


async def test_a_replica_that_refuses_connections(
    pair: Pair, store: RedisCacheBackend, proxy: FaultProxy
) -> None:
    """While the replica is down the primary is asked, after three failures at once."""
    proxy.refusing = True
    proxy.drop()
    await asyncio.sleep(0.01)
    for _ in range(20):
        assert make_utterance() == await store.get(make_key())
        assert await store.exists(make_key())
    stats = await store.get_stats()
    assert ("closed", 0, 40 - 20) == (stats["breaker"], stats["errors"], stats["hits"])
    assert ("open", 3) == (stats["replica"]["breaker"], stats["replica"]["errors"])
    assert stats["replica"]["unavailable"] >= 30


async def test_a_silent_replica_costs_half_the_time(
    store: RedisCacheBackend, proxy: FaultProxy
) -> None:
    """A replica that says nothing is given up in time for the primary to answer."""
    await store.exists(make_key())
    proxy.stall()
    for _ in range(4):
        assert make_utterance() == await store.get(make_key())
    stats = await store.get_stats()
    assert (3, 0) == (stats["replica"]["errors"], stats["errors"])


async def test_a_damaged_record_on_a_replica_heals(pair: Pair, store: RedisCacheBackend) -> None:
    """What the replica gives damaged is deleted on the primary."""
    await pair.primary.ask("SETRANGE", ENTRY, 100, b"????")
    await pair.catch_up()
    assert await store.get(make_key()) is None
    assert 0 == await pair.primary.ask("EXISTS", ENTRY)


async def test_a_replica_that_lags_proves_no_absence(pair: Pair, store: RedisCacheBackend) -> None:
    """A miss on a replica is no knowledge: what was stored is found once it has arrived."""
    store._watch.is_on = True
    await store.exists(make_key())
    await eventually(lambda: store._watch.is_listening)
    await store.exists(make_key())
    await eventually(lambda: store._watch.known.is_absent(b"", b"nothing"))
    await pair.replica.ask("REPLICAOF", "NO", "ONE")
    await store.set(make_key("new"), make_utterance())
    assert await store.get(make_key("new")) is None
    await pair.replica.ask("REPLICAOF", "127.0.0.1", pair.primary.port)
    await asyncio.to_thread(wait_for, pair.is_in_step, "the replica")
    await pair.catch_up()
    assert make_utterance() == await store.get(make_key("new"))


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_a_callers_own_replica(pair: Pair, primary: RedisCacheBackend) -> None:
    """A client may be passed for the replica; closing it is up to the caller."""
    await primary.set(make_key(), make_utterance())
    await pair.catch_up()
    async with redis.asyncio.Redis.from_url(pair.replica.url) as replica:
        async with RedisCacheBackend(pair.primary.url, replica=replica, timeout=5) as store:
            assert make_utterance() == await store.get(make_key())
            assert pair.replica.url == (await store.get_stats())["replica"]["server"]
        assert await replica.ping()
    assert 1 == await gets(pair.replica)


@pytest.mark.parametrize(
    ("replica", "error"), [(5, TypeError), ("http://localhost", ValueError), (b"x", TypeError)]
)
def test_nonsense_is_refused(replica: Any, error: type[Exception]) -> None:
    """What is no replica is refused on construction."""
    with pytest.raises(error):
        RedisCacheBackend(replica=replica)
