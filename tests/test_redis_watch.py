#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store hears what other stores do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.backends.redis.news import NewsChannel
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
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

Heard = list[tuple[str | None, str | None]]


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def watcher(proxy: FaultProxy) -> AsyncIterator[RedisCacheBackend]:
    """A store that listens, through the proxy."""
    async with RedisCacheBackend(proxy.url, timeout=5, write_timeout=5) as store:
        yield store


@pytest.fixture
async def heard(watcher: RedisCacheBackend) -> Heard:
    """What the watcher tells a listener of its, from when it began to listen."""
    heard: Heard = []
    assert watcher.on_removal(lambda *scope: heard.append(scope))
    await listens(watcher)
    heard.clear()
    return heard


# What is heard


async def test_what_others_do_is_heard(heard: Heard, other: RedisCacheBackend) -> None:
    """A replacement, a removal and a clear by another store are told, in any namespace."""
    for namespace in NAMESPACES:
        key = make_key("x", namespace)
        expected: Heard = [tuple(key), tuple(key), (namespace, None)]
        await other.set(key, make_utterance())
        await other.delete(key)
        await other.clear(namespace)
        await eventually(lambda: len(heard) >= 3)
        assert expected == heard
        heard.clear()
    await other.clear()
    await eventually(lambda: (None, None) in heard)
    keys = [make_key(str(i)) for i in range(3)]
    heard.clear()
    await other.delete_many(keys)
    await eventually(lambda: len(heard) == 3)
    assert [tuple(key) for key in keys] == heard


async def test_a_clear_is_heard_though_nothing_is_left(
    heard: Heard, other: RedisCacheBackend
) -> None:
    """What has expired on the server may have copies elsewhere: clearing is told all the same."""
    await other.clear("n")
    await eventually(lambda: bool(heard))
    assert [("n", None)] == heard


async def test_what_the_store_itself_does_is_not_told(
    watcher: RedisCacheBackend, heard: Heard, other: RedisCacheBackend
) -> None:
    """A store's own changes are no news, and do not cover up those of others."""
    for _ in range(3):
        await watcher.set(make_key("mine"), make_utterance())
        await watcher.delete(make_key("mine"))
        await watcher.clear()
    await other.delete(make_key("theirs"))
    await eventually(lambda: bool(heard))
    assert [tuple(make_key("theirs"))] == heard


async def test_a_burst_is_heard(heard: Heard, other: RedisCacheBackend) -> None:
    """Of thousands of changes at once none is missed."""
    keys = [make_key(str(i)) for i in range(3000)]
    for start in range(0, len(keys), 300):
        calls = [other.delete(key) for key in keys[start : start + 300]]
        await asyncio.gather(*calls)
    await eventually(lambda: len(heard) >= len(keys))
    assert sorted(tuple(key) for key in keys) == sorted(heard)


async def test_prefixes_are_told_apart(heard: Heard, server: Server) -> None:
    """What happens under another prefix is not heard."""
    async with RedisCacheBackend(server.url, key_prefix="x:") as stranger:
        await stranger.delete(make_key())
    await server.ask("PUBLISH", "pipecat:tts:w", "other c last")
    await eventually(lambda: bool(heard))
    assert [("last", None)] == heard


@pytest.mark.parametrize(
    "message",
    [b"", b" ", b"x", b"x ? y z", b"x + y", b"x + y z a", b"x c y z", b"\xff + \xff \xff"],
)
async def test_nonsense_on_the_channel_is_passed_over(
    heard: Heard, server: Server, message: bytes
) -> None:
    """Whatever else is said on the channel, the store goes on listening."""
    await server.ask("PUBLISH", "pipecat:tts:w", message)
    await server.ask("PUBLISH", "pipecat:tts:w", "other c last")
    await eventually(lambda: bool(heard))
    assert [("last", None)] == heard


def test_a_message_that_is_no_bytes_says_nothing() -> None:
    """What a client made of a message on its own account is passed over."""
    assert NewsChannel(b"p:").read(1) is None


async def test_a_listener_that_fails_harms_no_other(
    watcher: RedisCacheBackend, other: RedisCacheBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of a listener is told once, and the next listener is called."""
    heard: Heard = []

    def fail(namespace: str | None, digest: str | None) -> None:
        raise ZeroDivisionError(namespace)

    watcher.on_removal(fail)
    watcher.on_removal(lambda *scope: heard.append(scope))
    await listens(watcher)
    heard.clear()
    for _ in range(3):
        await other.clear("n")
    await eventually(lambda: len(heard) == 3)
    assert 1 == sum("ZeroDivisionError" in each.getMessage() for each in caplog.records)


# From when on


async def test_what_was_used_before_it_listened_is_told_once_it_does(
    watcher: RedisCacheBackend, other: RedisCacheBackend
) -> None:
    """A copy may have been made before news could be heard: it is to be dropped."""
    heard: Heard = []
    await other.set(make_key("x"), make_utterance())
    watcher.on_removal(lambda *scope: heard.append(scope))
    assert await watcher.get(make_key("x"))
    await watcher.set(make_key("y"), make_utterance())
    await eventually(lambda: watcher._watch.is_listening)
    assert tuple(make_key("x")) in heard
    assert (None, None) not in heard


async def test_after_a_lost_connection_everything_may_be_gone(
    watcher: RedisCacheBackend, heard: Heard, proxy: FaultProxy, other: RedisCacheBackend
) -> None:
    """Messages are lost with a connection, so listeners are told before anything is trusted."""
    proxy.refusing = True
    proxy.drop()
    await eventually(lambda: not watcher._watch.is_listening)
    await other.delete(make_key("unheard"))
    assert [] == heard
    proxy.refusing = False
    await eventually(lambda: bool(heard))
    assert [(None, None)] == heard
    await other.delete(make_key("x"))
    await eventually(lambda: len(heard) == 2)
    assert tuple(make_key("x")) == heard[1]


async def test_a_connection_that_died_without_a_word_is_noticed(
    watcher: RedisCacheBackend, proxy: FaultProxy
) -> None:
    """A firewall that forgets the connection costs two pings, then it is made anew."""
    heard: Heard = []
    watcher._watch._ping_after = 0.5
    watcher.on_removal(lambda *scope: heard.append(scope))
    await listens(watcher)
    heard.clear()
    proxy.forget()
    await eventually(lambda: (None, None) in heard)
    await eventually(lambda: watcher._watch.is_listening)


async def test_silence_is_no_loss(
    watcher: RedisCacheBackend, proxy: FaultProxy, server: Server
) -> None:
    """A server that has nothing to tell, but answers pings, is listened to on."""
    heard: Heard = []
    watcher._watch._ping_after = 1.0
    watcher.on_removal(lambda *scope: heard.append(scope))
    await listens(watcher)
    heard.clear()
    connections = proxy.connections

    async def is_pinged_twice() -> bool:
        stats = await server.ask("INFO", "commandstats")
        return bool(stats.get("cmdstat_ping", {"calls": 0})["calls"] >= 2)

    await eventually(is_pinged_twice)
    assert watcher._watch.is_listening
    assert ([], connections) == (heard, proxy.connections)


async def test_a_server_that_comes_back_is_heard_again(own_server: Server) -> None:
    """Through a restart of the server nothing needs to be done."""
    heard: Heard = []
    async with RedisCacheBackend(own_server.url, timeout=5, write_timeout=5) as watcher:
        watcher.on_removal(lambda *scope: heard.append(scope))
        await listens(watcher)
        heard.clear()
        await asyncio.to_thread(own_server.stop)
        await eventually(lambda: not watcher._watch.is_listening)
        await asyncio.to_thread(own_server.start)
        await eventually(lambda: watcher._watch.is_listening)
        assert [(None, None)] == heard


# Who listens, and until when


async def test_nobody_listens_unless_asked(server: Server, other: RedisCacheBackend) -> None:
    """Without `watch` and `on_removal` there is no task and no connection more."""
    before = asyncio.all_tasks()
    await other.set(make_key(), make_utterance())
    assert before == asyncio.all_tasks()
    assert not (await other.get_stats())["watching"]
    assert 0 == (await server.ask("PUBSUB", "NUMSUB", "pipecat:tts:w"))[1]


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get(make_key()),
        lambda store: store.peek(make_key()),
        lambda store: store.exists(make_key()),
        lambda store: store.set(make_key(), make_utterance()),
        lambda store: store.delete(make_key()),
        lambda store: store.delete_many([make_key()]),
        lambda store: store.clear(),
    ],
)
async def test_it_listens_from_the_first_use_until_it_is_closed(
    server: Server, use: Callable[[RedisCacheBackend], Awaitable[Any]]
) -> None:
    """One task and one connection, whatever it is used for first, and none after close."""
    before = asyncio.all_tasks()
    store = RedisCacheBackend(server.url, watch=True, timeout=5, write_timeout=5)
    assert before == asyncio.all_tasks()
    await use(store)
    await eventually(lambda: store._watch.is_listening)
    for _ in range(3):
        await use(store)
    assert 1 == (await server.ask("PUBSUB", "NUMSUB", "pipecat:tts:w"))[1]
    await store.close()
    assert before == asyncio.all_tasks()
    await eventually(lambda: no_one_is_connected(server))


async def no_one_is_connected(server: Server) -> bool:
    return 1 == (await server.ask("CLIENT", "LIST")).count(b" addr=")


async def test_closing_ends_it_at_any_moment(server: Server) -> None:
    """However far it came with connecting, closing leaves no task behind."""
    before = asyncio.all_tasks()
    for turns in range(40):
        store = RedisCacheBackend(server.url, watch=True, timeout=5)
        store._watch.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await store.close()
        assert before == asyncio.all_tasks()


async def test_a_stray_cancellation_does_not_end_it(
    watcher: RedisCacheBackend, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two time limits that run out at once leave a cancellation behind: it listens anew."""
    read = watcher._watch._take

    def fail(message: dict[str, Any]) -> None:
        monkeypatch.setattr(watcher._watch, "_take", read)
        raise asyncio.CancelledError

    monkeypatch.setattr(watcher._watch, "_take", fail)
    await watcher.delete(make_key())
    await eventually(lambda: (None, None) in heard)


async def test_closing_does_not_wait_for_a_dead_server(own_server: Server) -> None:
    """A store that listens to a server that stands still is closed in time."""
    store = RedisCacheBackend(own_server.url, watch=True, timeout=0.2, write_timeout=0.2)
    await listens(store)
    own_server.stall()
    async with asyncio.timeout(10):
        await store.close()


def test_one_event_loop_after_the_other(server: Server) -> None:
    """In a new loop a store listens anew."""
    store = RedisCacheBackend(server.url, watch=True, timeout=5)

    async def use() -> None:
        await listens(store)
        await store._server.client.connection_pool.disconnect()  # or Python warns of the leak

    asyncio.run(use())
    asyncio.run(use())
    asyncio.run(store.close())
