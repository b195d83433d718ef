#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Postgres store when the server is down, stalls, cuts off in mid-value and comes back."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager

import asyncpg
import pytest

from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests import outages
from tests.clock import Clock, breaker, clock
from tests.fault_proxy import FaultProxy
from tests.outages import LARGE, warnings
from tests.postgres_server import (
    PostgresServer,
    _mortal_postgres,
    lets_asyncpg_look_for_files,
    own_postgres,
    postgres,
    shared_postgres,
)

__all__ = [
    "_mortal_postgres",
    "breaker",
    "clock",
    "lets_asyncpg_look_for_files",
    "own_postgres",
    "postgres",
    "shared_postgres",
]

SHORT = 0.3
"""Seconds that a call may take which is expected to fail."""
LONG = 20.0
"""Seconds that a call may take which is expected to succeed, on a machine that is busy."""


@pytest.fixture
async def store(
    own_postgres: PostgresServer, breaker: CircuitBreaker
) -> AsyncIterator[PostgresCacheBackend]:
    """A store on a server that the test may stop, with one utterance."""
    async with PostgresCacheBackend(
        own_postgres.url, timeout=LONG, write_timeout=LONG, breaker=breaker, codec="raw"
    ) as store:
        await store.set(make_key(), make_utterance())
        yield store


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
async def far_store(
    proxy: FaultProxy, postgres: PostgresServer, breaker: CircuitBreaker
) -> AsyncIterator[PostgresCacheBackend]:
    """A store behind the proxy, with one utterance."""
    async with PostgresCacheBackend(
        postgres.url_of(port=proxy.port),
        timeout=LONG,
        write_timeout=LONG,
        breaker=breaker,
        codec="raw",
    ) as store:
        await store.set(make_key(), LARGE)
        yield store


@contextmanager
def impatient(store: PostgresCacheBackend) -> Iterator[None]:
    """Give the calls of a store little time."""
    store._timeout = store._write_timeout = SHORT
    yield
    store._timeout = store._write_timeout = LONG


async def fail(store: PostgresCacheBackend, times: int = 3) -> None:
    with impatient(store):
        await outages.fail(store, times)


class TestOutages(outages.Outages):
    connections_of_a_probe = (1, 2)  # asyncpg tries with TLS, and without

    def in_haste(self, store: PostgresCacheBackend) -> AbstractContextManager[None]:
        return impatient(store)


async def test_a_server_that_is_down_and_comes_back(
    own_postgres: PostgresServer,
    store: PostgresCacheBackend,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left alone after three failures, tried by itself, and used again; told once each."""
    await asyncio.to_thread(own_postgres.stop)
    await fail(store)
    for call in (
        store.get(make_key()),
        store.peek(make_key()),
        store.set(make_key(), make_utterance()),
        store.delete(make_key()),
        store.delete_many([make_key()]),
        store.exists(make_key()),
        store.clear(),
        store.clear("x"),
        anext(store.entries()),
    ):
        with pytest.raises(BackendUnavailableError, match=r"left alone for 1.0 s more"):
            await call
    clock.now += 1
    await fail(store, times=1)
    stats = await store.get_stats()
    expected = {"entries": None, "bytes": None, "namespaces": None, "available": False}
    assert expected == {name: stats[name] for name in expected}
    assert (4, 10, 2.0) == (stats["errors"], stats["unavailable"], stats["retry_in"])

    await asyncio.to_thread(own_postgres.start)
    clock.now += 2
    assert await store.get(make_key()) == make_utterance()
    stats = await store.get_stats()
    assert (1, True, "closed") == (stats["entries"], stats["available"], stats["breaker"])
    down, up = warnings(caplog)
    assert "spoken live meanwhile" in down
    assert "answers again" in up


async def test_a_server_that_was_restarted_is_not_missed(
    own_postgres: PostgresServer, store: PostgresCacheBackend
) -> None:
    """Connections that died while nobody used them cost no call."""
    await asyncio.gather(*(store.get(make_key()) for _ in range(5)))
    await asyncio.to_thread(own_postgres.stop)
    await asyncio.to_thread(own_postgres.start)
    for _ in range(5):
        assert await store.get(make_key()) == make_utterance()
    assert 0 == (await store.get_stats())["errors"]


async def test_what_was_kept_survives_a_crash(
    own_postgres: PostgresServer, store: PostgresCacheBackend
) -> None:
    """Whatever `set` said it kept is there when a server that was killed is back, and counted."""
    keys = [make_key(str(i)) for i in range(40)]
    writes = [asyncio.ensure_future(store.set(key, make_utterance())) for key in keys]
    await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(own_postgres.stop, signal.SIGQUIT)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    kept = [key for key, outcome in zip(keys, outcomes, strict=True) if outcome is True]
    assert kept
    await asyncio.to_thread(own_postgres.start)
    async with PostgresCacheBackend(own_postgres.url, timeout=10, write_timeout=10) as later:
        for key in kept:
            assert await later.get(key) == make_utterance()
        listed = [entry.key async for entry in later.entries()]
        assert len(listed) == (await later.get_stats())["entries"]


async def test_a_server_that_stands_still(
    own_postgres: PostgresServer, store: PostgresCacheBackend, clock: Clock
) -> None:
    """A silent server costs the time limit three times, then nothing, until it goes on."""
    await asyncio.to_thread(own_postgres.stall)
    await fail(store)
    with pytest.raises(BackendUnavailableError):
        await store.set(make_key(), make_utterance())
    stats = await store.get_stats()
    assert (3, 3) == (stats["errors"], stats["timeouts"])
    await asyncio.to_thread(own_postgres.resume)
    clock.now += 1
    assert await store.get(make_key()) == make_utterance()


async def test_a_slow_server_is_given_up(postgres: PostgresServer, breaker: CircuitBreaker) -> None:
    """A look-up that takes too long is an error, and its connection is cut."""
    async with PostgresCacheBackend(postgres.url, timeout=LONG, breaker=breaker) as store:
        await store.set(make_key(), make_utterance())
        locked = await asyncpg.connect(postgres.url)
        await locked.execute("BEGIN; LOCK TABLE pipecat_tts_cache")
        await fail(store, times=1)
        await locked.execute("COMMIT")
        await locked.close()
        assert await store.get(make_key()) == make_utterance()
        stats = await store.get_stats()
        assert (1, 1, "closed") == (stats["errors"], stats["timeouts"], stats["breaker"])


async def test_a_probe_gets_a_fresh_connection(
    proxy: FaultProxy, far_store: PostgresCacheBackend, clock: Clock
) -> None:
    """Idle connections that a firewall forgot do not make probe after probe fail."""
    await asyncio.gather(*(far_store.get(make_key()) for _ in range(10)))
    proxy.forget()
    with impatient(far_store):
        calls = [far_store.get(make_key()) for _ in range(3)]
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert {BackendError} == {type(each) for each in found}
    clock.now += 1
    assert await far_store.get(make_key()) is not None
    for _ in range(10):
        assert await far_store.get(make_key()) is not None


async def test_cuts_in_a_row_are_an_outage(
    proxy: FaultProxy, far_store: PostgresCacheBackend
) -> None:
    """A server, or what is in front of it, that cuts every answer off is left alone."""
    assert await far_store.get(make_key()) is not None
    proxy.drop()
    await asyncio.sleep(0.01)
    for _ in range(3):
        proxy.cut_after = 70_000
        await fail(far_store, times=1)
    assert "open" == (await far_store.get_stats())["breaker"]


async def test_a_write_cut_off_anywhere_is_whole_or_not_there(
    proxy: FaultProxy, far_store: PostgresCacheBackend
) -> None:
    """However far a write got, it is there and counted, or neither."""
    await far_store.clear()
    for i in range(40):
        write = asyncio.ensure_future(far_store.set(make_key(str(i), "n"), make_utterance()))
        for _ in range(i):
            await asyncio.sleep(0)
        write.cancel()
        await asyncio.wait([write])
    while await far_store.get(make_key("39", "n")) is None:
        await far_store.set(make_key("39", "n"), make_utterance())
    listed = [entry.key async for entry in far_store.entries()]
    assert len(listed) == (await far_store.get_stats())["entries"]
    for key in listed:
        assert await far_store.get(key) == make_utterance()
    assert len(listed) == await far_store.clear()


async def test_a_full_disk_is_an_error_and_hits_go_on(
    postgres: PostgresServer, breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing more fits, writes fail in words, once in the log; look-ups go on.

    A trigger stands for the full disk: it raises what PostgreSQL raises then, SQLSTATE 53100.
    """
    async with PostgresCacheBackend(
        postgres.url, timeout=5, write_timeout=5, breaker=breaker
    ) as store:
        await store.set(make_key("x"), make_utterance())
        await postgres.query(FULL)
        for _ in range(5):
            with pytest.raises(BackendError, match=r"DiskFullError: could not extend file"):
                await store.set(make_key("y"), make_utterance())
        assert await store.get(make_key("x")) == make_utterance()
        stats = await store.get_stats()
        assert (5, "closed", 1) == (stats["errors"], stats["breaker"], stats["entries"])
        assert 1 == sum("Check its disk" in each for each in warnings(caplog))
        await postgres.query("DROP TRIGGER full_disk ON pipecat_tts_cache")
        assert await store.set(make_key("y"), make_utterance())


FULL = """
CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device'
    USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON pipecat_tts_cache
  FOR EACH ROW EXECUTE FUNCTION full_disk()
"""


async def test_closing_does_not_wait_for_a_dead_server(
    own_postgres: PostgresServer, store: PostgresCacheBackend
) -> None:
    """Close ends in time, and raises nothing, with uses to be noted and without."""
    await store.get(make_key())
    await asyncio.to_thread(own_postgres.stall)
    with impatient(store):
        async with asyncio.timeout(10):
            await store.close()


async def test_uses_outlive_an_outage(
    own_postgres: PostgresServer, store: PostgresCacheBackend, clock: Clock
) -> None:
    """Uses that could not be told to the server are told later."""
    for _ in range(3):
        await store.get(make_key())
    await asyncio.to_thread(own_postgres.stop)
    with pytest.raises(BackendError):
        await store._uses.flush()
    await asyncio.to_thread(own_postgres.start)
    await store.get(make_key())
    await store.close()
    (row,) = await own_postgres.query("SELECT uses FROM pipecat_tts_cache")
    assert 4 == row["uses"]


async def test_the_pool_of_the_caller_is_held_to_time(
    proxy: FaultProxy, postgres: PostgresServer, clock: Clock, breaker: CircuitBreaker
) -> None:
    """The time limits hold whatever limits a caller's pool has, and the pool stays usable."""
    async with asyncpg.create_pool(
        postgres.url_of(port=proxy.port), min_size=0, max_size=2
    ) as pool:
        store = PostgresCacheBackend(pool=pool, timeout=LONG, breaker=breaker)
        await store.set(make_key(), make_utterance())
        proxy.stall()
        async with asyncio.timeout(LONG):
            await fail(store)
        proxy.resume()
        clock.now += 1
        assert await store.get(make_key()) == make_utterance()
        proxy.refusing = True
        proxy.drop()
        async with asyncio.timeout(LONG):
            await fail(store)
        proxy.refusing = False
        await store.close()
        assert 1 == await pool.fetchval("SELECT 1")


async def test_a_connection_that_comes_late_is_for_the_next_call(
    proxy: FaultProxy, far_store: PostgresCacheBackend
) -> None:
    """Where connecting takes longer than a look-up may, the connection is kept all the same."""
    proxy.drop()
    await asyncio.sleep(0.01)
    before = proxy.connections
    proxy.stall()
    await fail(far_store, times=1)
    proxy.resume()
    await asyncio.gather(*far_store._server.client._late)
    assert await far_store.get(make_key()) == LARGE
    assert before + 1 == proxy.connections
