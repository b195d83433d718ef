#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Postgres store: what it keeps in its columns, what it counts, what it does with records."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from pipecat_tts_cache.backends.postgres import backend as module
from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.backends.postgres.text import from_column, to_column
from pipecat_tts_cache.backends.postgres.uses import Uses
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
from tests.clock import Clock
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)

__all__ = ["lets_asyncpg_look_for_files", "postgres", "shared_postgres"]

TABLE = "pipecat_tts_cache"
BYTES = "coalesce(sum(bytes), 0)::int AS bytes"
COUNTED = f"SELECT coalesce(sum(entries), 0)::int AS n, {BYTES} FROM {TABLE}_totals"
KEPT = f"SELECT count(*)::int AS n, {BYTES} FROM {TABLE}"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_767_225_600.0)


@pytest.fixture
async def store(postgres: PostgresServer, clock: Clock) -> AsyncIterator[PostgresCacheBackend]:
    async with PostgresCacheBackend(
        postgres.url, codec="raw", timeout=20, write_timeout=20, wall_clock=clock
    ) as store:
        yield store


@pytest.fixture
async def other(postgres: PostgresServer) -> AsyncIterator[PostgresCacheBackend]:
    """Another bot's store on the same table."""
    async with PostgresCacheBackend(postgres.url, timeout=20, write_timeout=20) as other:
        yield other


async def counts_are_exact(postgres: PostgresServer) -> None:
    (counted,), (kept,) = await postgres.query(COUNTED), await postgres.query(KEPT)
    assert dict(kept) == dict(counted)


# Columns


async def test_columns_say_what_was_kept(
    store: PostgresCacheBackend, postgres: PostgresServer, clock: Clock
) -> None:
    """What people query is there, readable, with its type and unit."""
    utterance = replace(
        make_utterance(num_bytes=48_000),
        created_at=1_767_225_000.25,
        text="Guten Tag, 客户!",
        text_digest="ab" * 32,
        service="SomeTTSService",
        voice="anna",
    )
    await store.set(make_key("x", "user_123"), utterance, ttl=60)
    (row,) = await postgres.query(
        f"SELECT *, extract(epoch FROM created_at)::float8 AS created FROM {TABLE}"
    )
    expected = {
        "digest": make_key("x").digest,
        "namespace": "user_123",
        "text": "Guten Tag, 客户!",
        "text_digest": "ab" * 32,
        "service": "SomeTTSService",
        "voice": "anna",
        "model": None,
        "duration": 1.0,
        "sample_rate": 24000,
        "num_channels": 1,
        "codec": "raw",
        "bytes": len(utterance.to_bytes()),
        "created": 1_767_225_000.25,
        "uses": 0,
        "record": utterance.to_bytes(),
    }
    assert expected == {name: row[name] for name in expected}
    assert clock.now == row["last_used_at"].timestamp()
    assert clock.now + 60 == row["expires_at"].timestamp()


async def test_what_is_pinned_expires_at_infinity(
    store: PostgresCacheBackend, postgres: PostgresServer, clock: Clock
) -> None:
    """So SQL can tell it, no tidying takes it, and a pin by many bots at once stands."""
    pin = replace(make_utterance(1), pinned=True)
    await store.set(make_key("kept"), make_utterance())
    writes = [store.set(make_key(), make_utterance(i), ttl=60) for i in range(8)]
    await asyncio.gather(*writes[:4], store.set(make_key(), pin, ttl=60), *writes[4:])
    clock.now += 1000
    assert 0 == await store.sweep()
    assert pin == await store.get(make_key())
    query = f"SELECT expires_at = 'infinity' AS pinned FROM {TABLE} ORDER BY expires_at"
    assert [True, None] == [row["pinned"] for row in await postgres.query(query)]
    stats = await store.get_stats()
    assert (2, 1) == (stats["entries"], stats["pinned"])
    assert stats["refused"] <= 8
    listed = {entry.key: (entry.pinned, entry.expires_at) async for entry in store.entries()}
    assert {make_key("kept"): (False, None), make_key(): (True, None)} == listed
    await store.delete(make_key())
    assert 0 == (await store.get_stats())["pinned"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("plain, 客户", "plain, 客户"),
        ("", ""),
        ("a\x00b", "a\\x00b"),
        ("lone \ud800 and \udfff", "lone \\ud800 and \\udfff"),
        ("a\\b", "a\\\\b"),
        ("\\x00 is not \x00", "\\\\x00 is not \\x00"),
        ("\\\\ud800\\", "\\\\\\\\ud800\\\\"),
    ],
)
def test_any_text_fits_into_a_column(text: str, column: str) -> None:
    """What PostgreSQL cannot hold is escaped, and nothing else looks like that."""
    assert column == to_column(text)
    assert text == from_column(column)


async def test_any_namespace_can_be_read(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """Namespaces are in a column of their own, distinct and readable."""
    for namespace in NAMESPACES:
        await store.set(make_key("x", namespace), make_utterance(num_bytes=2))
    rows = await postgres.query(f"SELECT namespace FROM {TABLE}")
    assert sorted(map(to_column, NAMESPACES)) == sorted(row["namespace"] for row in rows)


async def test_times_that_postgres_has_not_are_kept_in_the_record(
    store: PostgresCacheBackend,
) -> None:
    """A time of creation before or after all times does no harm."""
    for created_at in (-1e18, 1e18):
        utterance = replace(make_utterance(), created_at=created_at)
        assert await store.set(make_key(), utterance)
        assert await store.get(make_key()) == utterance


async def test_tables_are_kept_apart(postgres: PostgresServer, store: PostgresCacheBackend) -> None:
    """Stores with different tables share a database and nothing else, in any schema."""
    await postgres.query('CREATE SCHEMA IF NOT EXISTS "Speech"')
    for table in ("other", "Speech.pipecat_tts_cache", "public.PIPECAT_TTS_CACHE"):
        async with PostgresCacheBackend(
            postgres.url, table=table, timeout=20, write_timeout=20
        ) as other:
            await store.set(make_key(), make_utterance(1))
            await other.set(make_key(), make_utterance(2))
            assert await store.get(make_key()) == make_utterance(1)
            assert 1 == await other.clear()
            assert await store.get(make_key()) == make_utterance(1)
    await postgres.query('DROP SCHEMA "Speech" CASCADE')


# Uses


async def test_uses_are_noted_behind_the_look_ups(
    store: PostgresCacheBackend,
    postgres: PostgresServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Look-ups that hit are counted with the time of the last, by and by, in one statement."""
    store._uses._delay = 0.01
    for name in "xyz":
        await store.set(make_key(name), make_utterance())
    told = asyncio.Event()
    tell = store._uses._tell

    async def tell_and_say(noted: dict[Any, tuple[int, float]]) -> None:
        await tell(noted)
        told.set()

    monkeypatch.setattr(store._uses, "_tell", tell_and_say)
    clock.now += 5
    await store.get(make_key("x"))
    await store.get(make_key("y"))
    await store.get(make_key("none"))
    await store.peek(make_key("z"))
    await store.exists(make_key("z"))
    await told.wait()
    entries = {entry.key: entry async for entry in store.entries()}
    used = [(entries[make_key(name)].uses, entries[make_key(name)].last_used_at) for name in "xyz"]
    assert [(1, clock.now), (1, clock.now), (0, clock.now - 5)] == used


async def test_uses_are_noted_when_the_store_is_closed(
    postgres: PostgresServer, clock: Clock
) -> None:
    """Closing tells what was not told yet, of several bots together."""
    stores = [PostgresCacheBackend(postgres.url, timeout=20, write_timeout=20) for _ in range(3)]
    await stores[0].set(make_key("x"), make_utterance())
    await stores[0].set(make_key("y"), make_utterance())
    for store in stores:
        for name in "xyx":
            await store.get(make_key(name))
    await asyncio.gather(*(store.close() for store in stores))
    rows = await postgres.query(f"SELECT uses FROM {TABLE} ORDER BY uses")
    assert [3, 6] == [row["uses"] for row in rows]


async def test_replacing_keeps_the_uses(store: PostgresCacheBackend) -> None:
    """What is recorded anew was used as often as before."""
    await store.set(make_key(), make_utterance(1))
    await store.get(make_key())
    await store._uses.flush()
    await store.set(make_key(), make_utterance(2))
    (entry,) = [entry async for entry in store.entries()]
    assert 1 == entry.uses


async def test_uses_are_bounded() -> None:
    """However many keys are used while the server is away, a bounded number is remembered."""
    told: list[dict[Any, tuple[int, float]]] = []

    async def tell(noted: dict[Any, tuple[int, float]]) -> None:
        told.append(noted)

    uses = Uses(tell, most=10)
    for i in range(30):
        uses.note(make_key(str(i % 15)), float(i))
    await uses.close()
    assert [{make_key(str(i)): (2, 15.0 + i) for i in range(10)}] == told
    assert 10 == uses.lost


# Counts


async def test_statistics(store: PostgresCacheBackend, postgres: PostgresServer) -> None:
    """Every field says what it is documented to."""
    await store.set(make_key("a", "x"), make_utterance())
    await store.set(make_key("b", "x"), make_utterance())
    await store.set(make_key("b", "y"), make_utterance())
    await store.get(make_key("a", "x"))
    await store.get(make_key("a", "y"))
    await store.delete(make_key("b", "y"))
    expected = {
        "entries": 2,
        "bytes": 2 * len(make_utterance().to_bytes()),
        "namespaces": 1,
        "pinned": 0,
        "available": True,
        "hits": 1,
        "misses": 1,
        "corrupt": 0,
        "newer": 0,
        "refused": 0,
        "expirations": 0,
        "uncounted_uses": 0,
        "server": f"postgresql://127.0.0.1:{postgres.port}/speech",
        "breaker": "closed",
        "retry_in": 0.0,
        "errors": 0,
        "timeouts": 0,
        "unavailable": 0,
    }
    assert expected == await store.get_stats()


async def test_counts_follow_whatever_is_done(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """Counts are exact after writes, replacements, removals, and what people do by SQL."""
    for i in range(40):
        await store.set(make_key(str(i), f"n{i % 4}"), make_utterance(num_bytes=2))
    for i in range(20):
        await store.set(make_key(str(i), f"n{i % 4}"), make_utterance(num_bytes=2000 + 2 * i))
        await counts_are_exact(postgres)
    await store.delete_many([make_key(str(i), f"n{i % 4}") for i in range(7)])
    await counts_are_exact(postgres)
    await postgres.query(f"DELETE FROM {TABLE} WHERE namespace IN ('n1', 'n3') AND bytes > 2020")
    await counts_are_exact(postgres)
    await postgres.query(
        f"SET search_path = ''; DELETE FROM public.{TABLE} WHERE namespace = 'n2' AND bytes > 2010"
    )
    await counts_are_exact(postgres)
    await postgres.query(f"UPDATE {TABLE} SET bytes = bytes + 1 WHERE namespace = 'n2'")
    await counts_are_exact(postgres)
    assert 4 == (await store.get_stats())["namespaces"]
    await store.clear("n0")
    assert 3 == (await store.get_stats())["namespaces"]
    await postgres.query(f"TRUNCATE {TABLE}")
    await counts_are_exact(postgres)
    assert [] == await postgres.query(f"SELECT FROM {TABLE}_totals")


async def test_counting_scans_no_entries(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """Totals are few however much was written, and entries are read by an index only."""
    for i in range(200):
        await store.set(make_key(str(i), f"n{i % 3}"), make_utterance(num_bytes=2))
    (row,) = await postgres.query(f"SELECT count(*) AS n FROM {TABLE}_totals")
    assert 3 + module._TIDY_EVERY >= row["n"]
    await postgres.query(f"ANALYZE {TABLE}")
    query = store._queries.count.replace("$1", "1767225600")
    plan = "\n".join(line[0] for line in await asyncio.to_thread(explain, postgres, query))
    assert f"Seq Scan on {TABLE} " not in plan
    assert "expires_at" in plan


def explain(postgres: PostgresServer, query: str) -> list[Any]:
    async def ask() -> list[Any]:
        connection = await asyncpg.connect(postgres.url)
        await connection.execute("SET enable_seqscan = off")  # the table of a test is tiny
        plan = await connection.fetch(f"EXPLAIN {query}")
        await connection.close()
        return list(plan)

    return asyncio.run(ask())


async def test_what_has_expired_is_swept_with_writes(
    store: PostgresCacheBackend, postgres: PostgresServer, clock: Clock
) -> None:
    """Expired rows do not count, and go, a few at a time, as others are written."""
    for i in range(150):
        await store.set(make_key(str(i), "old"), make_utterance(num_bytes=2), ttl=10)
    await store.set(make_key("kept"), make_utterance(num_bytes=2), ttl=1000)
    clock.now += 10
    stats = await store.get_stats()
    assert (1, 1) == (stats["entries"], stats["namespaces"])
    left = []
    for i in range(2 * module._TIDY_EVERY):
        await store.set(make_key(str(i), "new"), make_utterance(num_bytes=2))
        rows = await postgres.query(f"SELECT FROM {TABLE} WHERE namespace = 'old'")
        left.append(len(rows))
    assert {150, 150 - module._SWEEP, 0} == set(left)
    assert 150 == (await store.get_stats())["expirations"]
    await counts_are_exact(postgres)


async def test_all_that_has_expired_is_swept_at_once(
    store: PostgresCacheBackend, postgres: PostgresServer, clock: Clock
) -> None:
    """However much it is, it leaves the table when somebody asks for that."""
    await store.set(make_key("kept"), make_utterance(num_bytes=2), ttl=1000)
    await store.set(make_key("x"), make_utterance(num_bytes=2), ttl=10)
    names = [row["column_name"] for row in await postgres.query(COLUMNS)]
    copied = ", ".join("digest || i" if name == "digest" else name for name in names)
    await postgres.query(
        f"INSERT INTO {TABLE} SELECT {copied} FROM {TABLE}, generate_series(1, 1200) AS i "
        f"WHERE digest = '{make_key('x').digest}'"
    )
    clock.now += 10
    assert 1201 == await store.sweep()
    assert 1 == len(await postgres.query(f"SELECT FROM {TABLE}"))
    await counts_are_exact(postgres)


# Several bots


async def test_two_bots_race_to_write(
    store: PostgresCacheBackend, other: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """Of two that write the same keys at once, one wins, whole, and is counted once."""
    keys = [make_key(str(i), f"n{i % 3}") for i in range(20)]
    mine = [make_utterance(i, num_bytes=4800) for i in range(20)]
    theirs = [make_utterance(i, num_bytes=9600) for i in range(20)]
    await asyncio.gather(*map(store.set, keys, mine), *map(other.set, keys[::-1], theirs[::-1]))
    for i, key in enumerate(keys):
        assert await store.get(key) in (mine[i], theirs[i])
    assert 20 == (await other.get_stats())["entries"]
    await counts_are_exact(postgres)


async def test_removals_and_writes_of_several_bots(
    store: PostgresCacheBackend, other: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """However clears, removals, uses and writes interleave, none fails and counts are exact."""
    for turn in range(6):
        keys = [make_key(f"{turn} {i}", f"n{i % 3}") for i in range(30)]
        await asyncio.gather(*(store.set(key, make_utterance(num_bytes=2)) for key in keys))
        await asyncio.gather(*(bot.get(key) for key in keys for bot in (store, other)))
        await asyncio.gather(
            *(other.set(key, make_utterance(num_bytes=20)) for key in keys[::2]),
            store._uses.flush(),
            other._uses.flush(),
            store.clear("n1"),
            other.clear("n1"),
            store.delete_many(keys[::-1]),
            other.delete_many(keys[5:]),
            other.clear(),
            *(store.set(key, make_utterance(num_bytes=200)) for key in keys[1::2]),
        )
        await counts_are_exact(postgres)
    for each in (store, other):
        assert 0 == (await each.get_stats())["errors"]


async def test_bots_lock_rows_in_one_order(postgres: PostgresServer) -> None:
    """Two that want the same rows in different orders wait for one another, but not both."""
    # Let PostgreSQL look the rows up one by one, as it does in a large table.
    dsn = f"{postgres.url}?enable_seqscan=off&enable_hashjoin=off&enable_mergejoin=off"
    store, other = (PostgresCacheBackend(dsn, timeout=20, write_timeout=20) for _ in range(2))
    keys = [make_key(str(i)) for i in range(20)]
    for key in keys:
        await store.set(key, make_utterance(num_bytes=2))
    columns = [row["column_name"] for row in await postgres.query(COLUMNS)]
    copied = ", ".join("'x' || i" if name == "digest" else name for name in columns)
    await postgres.query(
        f"INSERT INTO {TABLE} SELECT {copied} FROM {TABLE}, generate_series(1, 3000) AS i "
        f"WHERE digest = '{keys[0].digest}'; ANALYZE {TABLE}"
    )
    uses = dict.fromkeys(keys, (1, 1.0))
    backwards = dict(reversed(uses.items()))
    for one, another in (
        (lambda: store._tell(uses), lambda: other._tell(backwards)),
        (lambda: store.delete_many(keys), lambda: other.delete_many(keys[::-1])),
    ):
        blocker = await asyncpg.connect(postgres.url)
        middle = keys[10].digest
        await blocker.execute(f"BEGIN; SELECT FROM {TABLE} WHERE digest = '{middle}' FOR UPDATE")
        calls = [asyncio.ensure_future(one()), asyncio.ensure_future(another())]
        await waiting(postgres, 2)
        await blocker.execute("COMMIT")
        await blocker.close()
        await asyncio.gather(*calls)
    await asyncio.gather(store.close(), other.close())


COLUMNS = f"""
SELECT column_name FROM information_schema.columns WHERE table_name = '{TABLE}'
ORDER BY ordinal_position
"""


async def waiting(postgres: PostgresServer, number: int) -> None:
    """Wait until some sessions wait for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE datname = 'speech' AND wait_event_type = 'Lock'"
    async with asyncio.timeout(20):
        while len(await postgres.query(query)) < number:
            pass


async def test_listing_holds_nothing_open(
    store: PostgresCacheBackend, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the caller is busy with a page, no transaction is open and no connection is taken."""
    monkeypatch.setattr(module, "_BATCH", 10)
    for i in range(25):
        await store.set(make_key(str(i)), make_utterance(num_bytes=2))
    listed = 0
    async for _ in store.entries():
        listed += 1
        if listed % 9 == 0:
            busy = await postgres.query(
                "SELECT FROM pg_stat_activity WHERE datname = 'speech' AND xact_start IS NOT NULL "
                "AND pid <> pg_backend_pid()"
            )
            assert [] == busy
    assert 25 == listed
    assert 25 == await store.clear()


# Records


@pytest.mark.parametrize("damage", ["flipped", "cut off", "empty", "text"])
async def test_a_damaged_record_heals(
    store: PostgresCacheBackend, postgres: PostgresServer, damage: str
) -> None:
    """A record that does not check out is a miss, is counted, and is gone."""
    await store.set(make_key("x"), make_utterance(1))
    await store.set(make_key("y"), make_utterance(2))
    record = bytearray(make_utterance(1).to_bytes())
    record[1000] ^= 1
    damaged = {"flipped": record, "cut off": record[:-1], "empty": b"", "text": b"?" * 100}
    await put_record(postgres, bytes(damaged[damage]))
    assert await store.get(make_key("x")) is None
    assert not await store.exists(make_key("x"))
    assert await store.get(make_key("y")) == make_utterance(2)
    stats = await store.get_stats()
    assert (1, 1, 1, 1) == tuple(stats[name] for name in ("corrupt", "misses", "hits", "entries"))
    await store.set(make_key("x"), make_utterance(3))
    assert await store.get(make_key("x")) == make_utterance(3)


async def test_a_record_mended_meanwhile_is_not_removed(
    store: PostgresCacheBackend, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the very record that is damaged is deleted, not what another bot put in its place."""
    await store.set(make_key("x"), make_utterance(1))
    await put_record(postgres, b"damaged")
    read = module.read_record

    async def mend_and_read(record: bytes) -> Any:
        await store.set(make_key("x"), make_utterance(2))
        return await read(record)

    monkeypatch.setattr(module, "read_record", mend_and_read)
    assert await store.get(make_key("x")) is None
    monkeypatch.undo()
    assert await store.get(make_key("x")) == make_utterance(2)


async def test_a_newer_record_is_left_alone(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """A record of a format yet to come is a miss, and stays for who can read it."""
    await store.set(make_key("x"), make_utterance(1))
    record = bytearray(make_utterance(1).to_bytes())
    record[4] = 255
    await put_record(postgres, bytes(record))
    assert await store.get(make_key("x")) is None
    assert await store.exists(make_key("x"))
    stats = await store.get_stats()
    assert (1, 0, 1) == tuple(stats[name] for name in ("newer", "corrupt", "misses"))


async def test_what_fits_into_no_record_is_refused(
    store: PostgresCacheBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An utterance with megabytes of text or too much audio is not kept, and what was stays."""
    await store.set(make_key(), make_utterance())
    monster = replace(make_utterance(2), text="x" * 2_000_000)
    assert not await store.set(make_key(), monster)
    monkeypatch.setattr(module, "_MAX_RECORD", 10_000)
    assert not await store.set(make_key(), make_utterance(3, num_bytes=20_000))
    assert await store.get(make_key()) == make_utterance()
    assert 2 == (await store.get_stats())["refused"]


async def test_speech_is_kept_small(postgres: PostgresServer) -> None:
    """By default samples are kept in FLAC, and come back as they were."""
    silence = replace(make_utterance(), audio=bytes(48_000))
    async with PostgresCacheBackend(postgres.url, timeout=20, write_timeout=20) as store:
        await store.set(make_key(), silence)
        assert await store.get(make_key()) == silence
        (entry,) = [entry async for entry in store.entries()]
    assert ("flac", 1.0) == (entry.codec, entry.duration)
    assert 10_000 > entry.size


async def put_record(postgres: PostgresServer, record: bytes) -> None:
    await postgres.query(
        f"UPDATE {TABLE} SET record = $1 WHERE digest = $2 RETURNING 1",
        record,
        make_key("x").digest,
    )


# Closing, event loops, pools


async def test_a_closed_store_says_so(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """After close calls fail in words, statistics still answer, and no connection is left."""
    await store.set(make_key(), make_utterance())
    await store.close()
    with pytest.raises(BackendError, match="closed"):
        await store.get(make_key())
    assert not (await store.get_stats())["available"]
    await nobody_is_connected(postgres)


async def test_calls_under_way_leave_no_connection(
    store: PostgresCacheBackend, postgres: PostgresServer
) -> None:
    """A call that is under way when the store is closed ends, and so does its connection."""
    await store.set(make_key(), make_utterance(num_bytes=500_000))
    calls = [asyncio.ensure_future(store.get(make_key())) for _ in range(6)]
    await asyncio.sleep(0)
    await store.close()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert make_utterance(num_bytes=500_000) in found
    await nobody_is_connected(postgres)


async def nobody_is_connected(postgres: PostgresServer) -> None:
    async with asyncio.timeout(20):
        while await postgres.query(OTHERS):
            pass


OTHERS = "SELECT FROM pg_stat_activity WHERE datname = 'speech' AND pid <> pg_backend_pid()"


async def test_services_share_a_store(postgres: PostgresServer) -> None:
    """Hundreds of calls at once share a few connections."""
    async with PostgresCacheBackend(
        postgres.url, timeout=20, write_timeout=20, max_connections=3
    ) as small:
        await small.set(make_key(), make_utterance())
        found = await asyncio.gather(*(small.get(make_key()) for _ in range(300)))
        assert [make_utterance()] * 300 == found
        assert 3 == len(await postgres.query(OTHERS))


def test_one_event_loop_after_the_other(postgres_outside_a_loop: PostgresServer) -> None:
    """In a new loop the store connects anew; two loops at once are refused in words."""
    store = PostgresCacheBackend(postgres_outside_a_loop.url, timeout=20, write_timeout=20)

    async def use_and_leave_open() -> None:
        await store.set(make_key(), make_utterance())
        await store.get(make_key())
        store._server.client.drop()  # or Python warns of the leak

    async def use_and_close() -> None:
        assert await store.get(make_key()) == make_utterance()
        with pytest.raises(BackendError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(store.get(make_key())))
        await store.close()

    asyncio.run(use_and_leave_open())
    asyncio.run(use_and_close())
    (row,) = postgres_outside_a_loop.ask(f"SELECT uses FROM {TABLE}")
    assert 2 == row["uses"]


@pytest.fixture
def postgres_outside_a_loop(
    shared_postgres: PostgresServer, lets_asyncpg_look_for_files: None
) -> PostgresServer:
    shared_postgres.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return shared_postgres


async def test_a_callers_pool_is_not_closed(postgres: PostgresServer) -> None:
    """Closing the store leaves the pool to who made it."""
    async with asyncpg.create_pool(postgres.url, min_size=1, max_size=2) as pool:
        store = PostgresCacheBackend(pool=pool, timeout=20, write_timeout=20)
        await store.set(make_key(), make_utterance())
        assert "PostgreSQL (a pool of the caller)" == (await store.get_stats())["server"]
        await store.close()
        assert 1 == await pool.fetchval("SELECT 1")
        async with PostgresCacheBackend(pool=pool, timeout=20) as store:
            assert await store.get(make_key()) == make_utterance()
