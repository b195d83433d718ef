#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a Redis store that listens knows not to be there, and that it never knows too much."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio

from pipecat_tts_cache.backends import CacheKey, RedisCacheBackend
from pipecat_tts_cache.backends.redis.known import KnownDigests
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.eventually import eventually
from tests.fault_proxy import FaultProxy
from tests.servers import (
    Server,
    cluster_ports,
    lets_redis_introduce_itself,
    own_server,
    server,
    shared_server,
)
from tests.watching import listens, other

__all__ = [
    "cluster_ports",
    "lets_redis_introduce_itself",
    "other",
    "own_server",
    "server",
    "shared_server",
]


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisCacheBackend]:
    """A store that listens."""
    async with RedisCacheBackend(server.url, watch=True, timeout=5, write_timeout=5) as store:
        await listens(store)
        yield store


async def knows(store: RedisCacheBackend, namespace: str = "") -> None:
    """Wait until a store knows what is in a namespace."""
    key = make_key("what nobody stores", namespace)

    async def is_known() -> bool:
        before = absent(store)
        await store.exists(key)
        return absent(store) > before

    await eventually(is_known)


def absent(store: RedisCacheBackend) -> int:
    return int(store._counts["known_absent"])


async def has_heard(store: RedisCacheBackend, other: RedisCacheBackend) -> None:
    """Wait until a store has heard all that another one has said so far."""
    marker = make_key(str(random.random()), "marker")
    arrived = asyncio.Event()

    def listen(namespace: str | None, digest: str | None) -> None:
        if (namespace, digest) == tuple(marker):
            arrived.set()

    store.on_removal(listen)
    async with asyncio.timeout(20):
        while not arrived.is_set():  # said again, as what is said while nobody listens is lost
            await other.delete(marker)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await arrived.wait()
    store._watch._listeners.remove(listen)


async def questions(server: Server) -> int:
    """How many look-ups the server has answered."""
    stats = await server.ask("INFO", "commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("get", "exists"))


# What is known


async def test_what_is_not_there_costs_no_call(
    store: RedisCacheBackend, other: RedisCacheBackend, server: Server
) -> None:
    """Once a namespace is known, only what may be there is asked for, and found."""
    for i in range(300):
        await other.set(make_key(str(i), "n"), make_utterance(i), ttl=60)
    await knows(store, "n")
    before, known = await questions(server), absent(store)
    for i in range(300, 400):
        assert await store.get(make_key(str(i), "n")) is None
        assert await store.exists(make_key(str(i), "n")) is False
        assert await store.peek(make_key(str(i), "n")) is None
    assert (before, known + 300) == (await questions(server), absent(store))
    for i in range(300):
        assert make_utterance(i) == await store.get(make_key(str(i), "n"))
    stats = await store.get_stats()
    assert (True, 300) == (stats["watching"], stats["hits"])
    assert stats["misses"] >= 100


async def test_what_is_stored_is_found(store: RedisCacheBackend, other: RedisCacheBackend) -> None:
    """What is known to be absent is found once it is stored, by the store itself or another."""
    await knows(store)
    await store.set(make_key("mine"), make_utterance(1))
    assert make_utterance(1) == await store.get(make_key("mine"))
    await other.set(make_key("theirs"), make_utterance(2))
    await has_heard(store, other)
    assert make_utterance(2) == await store.get(make_key("theirs"))


async def test_what_others_removed_is_asked_for_once(
    store: RedisCacheBackend, other: RedisCacheBackend
) -> None:
    """A removal is no proof of absence, for somebody may have stored it again; a miss is."""
    await store.set(make_key(), make_utterance())
    await knows(store)
    await other.delete(make_key())
    await has_heard(store, other)
    before = absent(store)
    assert await store.get(make_key()) is None
    assert before == absent(store)
    assert await store.get(make_key()) is None
    assert before + 1 == absent(store)


async def test_what_expired_or_was_evicted_is_an_ordinary_miss(
    store: RedisCacheBackend, server: Server
) -> None:
    """Of what the server dropped by itself nothing is heard: it is asked for once."""
    await store.set(make_key("x"), make_utterance(), ttl=0.05)
    await store.set(make_key("y"), make_utterance())
    await knows(store)
    await server.ask("DEL", f"pipecat:tts:e::{make_key('y').digest}")
    await asyncio.sleep(0.1)
    for key in (make_key("x"), make_key("y")):
        before = absent(store)
        assert await store.get(key) is None
        assert before == absent(store)
        assert await store.get(key) is None
        assert before + 1 == absent(store)


async def test_a_cleared_namespace_is_known_anew(
    store: RedisCacheBackend, other: RedisCacheBackend
) -> None:
    """After a clear what is left is read again, of one namespace or of all."""
    for clear in (lambda: other.clear("n"), other.clear, lambda: store.clear("n"), store.clear):
        await other.set(make_key("x", "n"), make_utterance())
        await knows(store, "n")
        await clear()
        await other.set(make_key("y", "n"), make_utterance())
        await has_heard(store, other)
        await knows(store, "n")
        before = absent(store)
        assert await store.get(make_key("x", "n")) is None
        assert before + 1 == absent(store)
        assert await store.get(make_key("y", "n"))


async def test_too_many_are_not_kept_in_mind(server: Server, other: RedisCacheBackend) -> None:
    """A namespace that does not fit is asked for as usual; smaller ones are known."""
    for i in range(30):
        await other.set(make_key(str(i), "large"), make_utterance(num_bytes=2))
    async with RedisCacheBackend(server.url, watch=True, max_known=20, timeout=5) as store:
        await listens(store)
        await knows(store, "small")
        for i in range(30):
            assert await store.get(make_key(str(i), "large"))
        await eventually(lambda: not store._watch.known.must_load(b"large"))
        for _ in range(3):
            assert await store.get(make_key("none", "large")) is None
        before = absent(store)
        await store.exists(make_key("none", "large"))
        assert before == absent(store)
        await store.exists(make_key("none", "small"))
        assert before + 1 == absent(store)
        for i in range(30):
            await other.set(make_key(str(i), "small"), make_utterance(num_bytes=2))
        await has_heard(store, other)
        for i in range(30):
            assert await store.get(make_key(str(i), "small"))
        assert (await store.get_stats())["known"] <= 20


# While it is not listening


async def test_nothing_is_known_while_it_does_not_listen(server: Server) -> None:
    """After a cut every look-up goes to the server, and what is known is read anew."""
    async with (
        FaultProxy(server.port) as proxy,
        RedisCacheBackend(proxy.url, watch=True, timeout=5, write_timeout=5) as store,
        RedisCacheBackend(server.url, timeout=5) as other,
    ):
        await listens(store)
        await knows(store)
        proxy.refusing = True
        proxy.drop()
        await eventually(lambda: not store._watch.is_listening)
        await other.set(make_key("x"), make_utterance())
        proxy.refusing = False
        for _ in range(3):
            if not store._watch.is_listening:
                assert await store.get(make_key("x"))
        await eventually(lambda: store._watch.is_listening)
        assert await store.get(make_key("x"))
        await knows(store)
        assert await store.get(make_key("x"))


async def test_a_user_who_may_not_listen(own_server: Server, caplog: Any) -> None:
    """Without the permission nothing is known, all else works, and it is said once."""
    await own_server.ask("ACL", "SETUSER", "bot", "on", ">x", "~*", "resetchannels", "+@all")
    url = own_server.url.replace("redis://", "redis://bot:x@")
    async with RedisCacheBackend(url, watch=True, timeout=5, write_timeout=5) as store:
        await store.set(make_key(), make_utterance())
        await eventually(lambda: "does not let this user subscribe" in caplog.text)
        for _ in range(3):
            assert await store.get(make_key("none")) is None
        assert await store.get(make_key())
        assert await store.delete(make_key())
        stats = await store.get_stats()
    expected = {"watching": False, "known_absent": 0, "not_announced": 2, "errors": 0}
    assert expected == {name: stats[name] for name in expected}
    assert 1 == caplog.text.count("does not let this user subscribe")
    assert 1 == caplog.text.count("NoPermissionError")


# Races


class Paused:
    """Holds up a store's look-ups or its loading, to let something happen meanwhile."""

    def __init__(self) -> None:
        self.has_come = asyncio.Event()
        self.may_go = asyncio.Event()

    async def __call__(self) -> None:
        self.has_come.set()
        await self.may_go.wait()


def pause_loading(store: RedisCacheBackend) -> Paused:
    """Hold up each loading of a store after its first page."""
    paused, digests = Paused(), store._contents.digests

    async def slowly(name: bytes) -> AsyncIterator[list[bytes]]:
        async for page in digests(name):
            yield page
            await paused()

    store._contents.digests = slowly  # type: ignore[method-assign]
    return paused


@pytest.mark.parametrize("many", [3, 400])
async def test_what_happens_while_it_loads_is_not_missed(
    store: RedisCacheBackend, other: RedisCacheBackend, many: int
) -> None:
    """What is stored, removed, cleared and stored again between two pages is found."""
    for i in range(many):
        await other.set(make_key(str(i)), make_utterance(num_bytes=2))
    paused = pause_loading(store)
    await store.get(make_key("none"))
    await paused.has_come.wait()
    await other.set(make_key("new"), make_utterance(1))
    await store.set(make_key("own"), make_utterance(2))
    await other.delete(make_key("1"))
    await other.set(make_key("1"), make_utterance(3))
    await other.set(make_key("again", "n"), make_utterance(4))
    await has_heard(store, other)
    paused.may_go.set()
    await knows(store)
    assert make_utterance(1) == await store.get(make_key("new"))
    assert make_utterance(2) == await store.get(make_key("own"))
    assert make_utterance(3) == await store.get(make_key("1"))
    assert all([await store.get(make_key(str(i))) for i in range(many)])


@pytest.mark.parametrize("namespace", ["", None])
async def test_a_clear_while_it_loads(
    store: RedisCacheBackend, other: RedisCacheBackend, namespace: str | None
) -> None:
    """What is stored after a clear in the middle of loading is found."""
    for i in range(400):
        await other.set(make_key(str(i)), make_utterance(num_bytes=2))
    paused = pause_loading(store)
    await store.get(make_key("none"))
    await paused.has_come.wait()
    await other.clear(namespace)
    await other.set(make_key("7"), make_utterance(7))
    await has_heard(store, other)
    paused.may_go.set()
    await knows(store)
    assert make_utterance(7) == await store.get(make_key("7"))


async def test_word_of_a_clear_does_not_cut_loading_short(
    store: RedisCacheBackend, other: RedisCacheBackend, server: Server
) -> None:
    """A namespace that is being read is not taken for read before all of it is."""
    for i in range(400):
        await other.set(make_key(str(i)), make_utterance(num_bytes=2))
    paused = pause_loading(store)
    await store.get(make_key("none"))
    await paused.has_come.wait()
    await server.ask("PUBLISH", "pipecat:tts:w", "somebody c ")
    await has_heard(store, other)
    await store.get(make_key("none"))
    paused.may_go.set()
    await knows(store)
    assert all([await store.get(make_key(str(i))) for i in range(400)])


async def test_a_second_confirmation_is_a_lost_connection(store: RedisCacheBackend) -> None:
    """A client that subscribed anew by itself has missed something: all begins again."""
    with pytest.raises(ConnectionError, match="connected anew"):
        store._watch._take({"type": "subscribe"})


async def test_a_lost_connection_while_it_loads(server: Server, other: RedisCacheBackend) -> None:
    """A namespace that was half read when the connection was lost is read anew."""
    for i in range(400):
        await other.set(make_key(str(i)), make_utterance(num_bytes=2))
    async with (
        FaultProxy(server.port) as proxy,
        RedisCacheBackend(proxy.url, watch=True, timeout=5) as store,
    ):
        await listens(store)
        paused = pause_loading(store)
        await store.get(make_key("none"))
        await paused.has_come.wait()
        proxy.drop()
        await eventually(lambda: not store._watch.is_listening)
        await other.set(make_key("unheard"), make_utterance())
        paused.may_go.set()
        await eventually(lambda: store._watch.is_listening)
        await knows(store)
        assert await store.get(make_key("unheard"))
        assert all([await store.get(make_key(str(i))) for i in range(400)])


async def test_a_namespace_that_cannot_be_loaded_is_asked_for(
    store: RedisCacheBackend, other: RedisCacheBackend, server: Server
) -> None:
    """Where the index cannot be read nothing is known, and once it can, it is."""
    await server.ask("SET", "pipecat:tts:i:n", "no index")
    for _ in range(5):
        assert await store.get(make_key("x", "n")) is None
        await asyncio.sleep(0.01)
    assert 0 == absent(store)
    await server.ask("DEL", "pipecat:tts:i:n")
    await other.set(make_key("x", "n"), make_utterance())
    await knows(store, "n")
    assert await store.get(make_key("x", "n"))


@pytest.mark.parametrize("by", ["other", "store"])
async def test_a_look_up_under_way_decides_nothing(
    request: pytest.FixtureRequest, store: RedisCacheBackend, other: RedisCacheBackend, by: str
) -> None:
    """A miss that was asked for before something was stored does not make it absent."""
    await store.set(make_key(), make_utterance())
    await knows(store)
    await other.delete(make_key())
    paused, get = Paused(), store._get

    async def slowly(client: Any, key: CacheKey) -> Any:
        found = await get(client, key)
        await paused()
        return found

    store._get = slowly  # type: ignore[method-assign]
    look_up = asyncio.create_task(store.get(make_key()))
    await paused.has_come.wait()
    await {"other": other, "store": store}[by].set(make_key(), make_utterance(2))
    await has_heard(store, other)
    paused.may_go.set()
    assert await look_up is None
    assert make_utterance(2) == await store.get(make_key())


async def test_a_write_that_nobody_waited_for_is_not_absent(server: Server) -> None:
    """A write whose answer came too late has been done, and is found."""
    async with (
        FaultProxy(server.port) as proxy,
        RedisCacheBackend(proxy.url, watch=True, timeout=2, write_timeout=0.5) as store,
    ):
        await listens(store)
        await knows(store)
        proxy.stall()
        with pytest.raises(BackendError):
            await store.set(make_key(), make_utterance())
        proxy.resume()
        assert make_utterance() == await store.get(make_key())


@pytest.mark.parametrize("seed", range(12))
async def test_what_another_store_has_stored_is_never_called_absent(
    server: Server, other: RedisCacheBackend, seed: int
) -> None:
    """In any order of events: what was stored, and heard of, and not removed since, is found."""
    chance = random.Random(seed)
    max_known = chance.choice([8, 1000])
    async with RedisCacheBackend(
        server.url, watch=True, max_known=max_known, timeout=5, write_timeout=5
    ) as store:
        there: set[CacheKey] = set()
        for _ in range(12):
            await act(chance, store, other, server, there)
            await eventually(lambda: store._watch.is_listening)
            await has_heard(store, other)
            for key in there:
                assert await store.exists(key), key
                assert await store.get(key), key


async def act(
    chance: random.Random,
    store: RedisCacheBackend,
    other: RedisCacheBackend,
    server: Server,
    there: set[CacheKey],
) -> None:
    """Let both stores do something at once, each key and namespace by one of them."""
    keys = [make_key(str(i), f"n{i % 3}") for i in range(12)]
    chance.shuffle(keys)
    calls: list[Awaitable[Any]] = []
    cleared = chance.choice(["n0", "n1", "n2", None, None, None])
    for key in keys:
        writers = chance.choice([(store,), (other,), (store, other)])
        calls += [store.get(key), store.exists(key), store.get(key)]
        if key.namespace == cleared:
            there.discard(key)
        elif chance.random() < 0.5:
            calls += [writer.set(key, make_utterance(num_bytes=2)) for writer in writers]
            there.add(key)
        elif key not in there:
            calls += [writer.delete(key) for writer in writers]
    if cleared:
        calls.append(other.clear(cleared))
    if chance.random() < 0.3:
        calls.append(cut(server))
    chance.shuffle(calls)
    await asyncio.gather(*calls)


async def cut(server: Server) -> None:
    """Cut the connections that listen, and no others."""
    await server.ask("CLIENT", "KILL", "TYPE", "pubsub")


# Clients of one's own


@pytest.mark.usefixtures("lets_redis_introduce_itself")
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_callers_client_listens(
    server: Server, other: RedisCacheBackend, protocol: int
) -> None:
    """A store on a caller's client listens with it, under either protocol."""
    async with redis.asyncio.Redis.from_url(server.url, protocol=protocol) as client:
        async with RedisCacheBackend(client=client, watch=True, timeout=5) as store:
            await listens(store)
            await knows(store)
            await other.set(make_key(), make_utterance())
            await has_heard(store, other)
            assert await store.get(make_key())
            assert 1 == len([entry async for entry in store.entries()])
        assert await client.ping()


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_a_client_that_connects_anew_by_itself_is_noticed(server: Server) -> None:
    """redis-py may restore a lost subscription without a word: nothing known survives that."""
    heard: list[Any] = []
    async with (
        FaultProxy(server.port) as proxy,
        redis.asyncio.Redis.from_url(proxy.url) as client,
        RedisCacheBackend(client=client, watch=True, timeout=5) as store,
        RedisCacheBackend(server.url, timeout=5) as other,
    ):
        store.on_removal(lambda *scope: heard.append(scope))
        await listens(store)
        await knows(store)
        heard.clear()
        proxy.drop()
        await other.set(make_key(), make_utterance())
        await eventually(lambda: (None, None) in heard)
        await eventually(lambda: store._watch.is_listening)
        with suppress(BackendError):  # the client hands out a connection that was cut, too
            await store.get(make_key())
        assert await store.get(make_key())


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_a_cluster(cluster_ports: list[int]) -> None:
    """On a cluster news come from whatever node, and absence is known likewise."""
    async with (
        redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_ports[0]) as client,
        redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_ports[1]) as others,
    ):
        await client.flushall()
        async with (
            RedisCacheBackend(client=client, watch=True, timeout=5, write_timeout=5) as store,
            RedisCacheBackend(client=others, timeout=5, write_timeout=5) as other,
        ):
            await listens(store)
            for i in range(20):
                await other.set(make_key(str(i)), make_utterance(i))
            await has_heard(store, other)
            await knows(store)
            for i in range(20):
                assert make_utterance(i) == await store.get(make_key(str(i)))
            await other.set(make_key("new"), make_utterance())
            await has_heard(store, other)
            assert await store.get(make_key("new"))
            assert 21 == await other.clear()


# The digests that are known


def test_no_more_is_kept_in_mind_than_allowed() -> None:
    """Whatever is loaded, added, missed and forgotten, the count is right and bounded."""
    chance = random.Random(0)
    known = KnownDigests(10)
    names = [b"a", b"b", b"c"]
    for _ in range(5000):
        name, digest = chance.choice(names), b"%d" % chance.randrange(8)
        match chance.randrange(5):
            case 0:
                known.must_load(name)
            case 1:
                known.loaded(name, entirely=chance.random() < 0.8)
            case 2:
                known.add(name, [digest, b"x"])
            case 3:
                known.missed(name, digest, hints=known.hints)
            case 4:
                known.forget(chance.choice([name, None]))
        held = known._namespaces.values()
        assert known.size == len(held) + sum(len(each.digests) for each in held)
        assert known.size <= 10
    known.forget_all()
    assert 0 == known.size
