#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How the tables of the Postgres store come to be, and what happens to those of other versions."""

import asyncio

import asyncpg
import pytest

from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.backends.postgres.schema import SCHEMA_VERSION
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)

__all__ = ["lets_asyncpg_look_for_files", "postgres", "shared_postgres"]

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^pipecat' ORDER BY 1"


def patient(postgres: PostgresServer, table: str = "pipecat_tts_cache") -> PostgresCacheBackend:
    return PostgresCacheBackend(postgres.url, table=table, timeout=20, write_timeout=20)


async def test_the_first_call_creates_the_tables(postgres: PostgresServer) -> None:
    """Whatever is asked first, the tables are there afterwards, and say their version."""
    async with patient(postgres) as store:
        assert await store.get(make_key()) is None
    names = [row["relname"] for row in await postgres.query(TABLES)]
    expected = ["pipecat_tts_cache", "pipecat_tts_cache_schema", "pipecat_tts_cache_totals"]
    assert expected == names
    (row,) = await postgres.query("SELECT version FROM pipecat_tts_cache_schema")
    assert SCHEMA_VERSION == row["version"]


async def test_records_are_not_compressed_again(postgres: PostgresServer) -> None:
    """Audio is kept out of line as it is, which PostgreSQL calls EXTERNAL."""
    await postgres.query(PostgresCacheBackend.schema_sql())
    (row,) = await postgres.query(
        "SELECT attstorage::text AS storage FROM pg_attribute "
        "WHERE attrelid = 'pipecat_tts_cache'::regclass AND attname = 'record'"
    )
    assert "e" == row["storage"]


async def test_many_bots_start_at_once(postgres: PostgresServer) -> None:
    """Of any number that come first at once, one creates the tables, and all can use them."""
    for table in ("pipecat_tts_cache", "second", "public.third"):
        stores = [patient(postgres, table) for _ in range(12)]
        utterances = [make_utterance(i) for i in range(12)]
        keys = [make_key(str(i)) for i in range(12)]
        calls = [store.set(key, u) for store, key, u in zip(stores, keys, utterances, strict=True)]
        assert [True] * 12 == await asyncio.gather(*calls)
        assert 12 == (await stores[0].get_stats())["entries"]
        assert [0] * 12 == [(await store.get_stats())["errors"] for store in stores]
        await asyncio.gather(*(store.close() for store in stores))


async def test_the_statement_is_for_hands_too(postgres: PostgresServer) -> None:
    """What `schema_sql` returns creates the tables once, in any schema, and again does nothing."""
    await postgres.query("CREATE SCHEMA speech")
    for table in ("pipecat_tts_cache", "speech.Cache"):
        await postgres.query(PostgresCacheBackend.schema_sql(table))
        async with patient(postgres, table) as store:
            await store.set(make_key(), make_utterance())
            await postgres.query(PostgresCacheBackend.schema_sql(table))
            assert await store.get(make_key()) == make_utterance()
            assert 1 == (await store.get_stats())["entries"]
    await postgres.query("DROP SCHEMA speech CASCADE")


async def test_tables_of_a_newer_version_are_left_alone(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An older library says what to do, reads nothing, writes nothing, and is no outage."""
    async with patient(postgres) as newer:
        await newer.set(make_key(), make_utterance())
        await postgres.query("UPDATE pipecat_tts_cache_schema SET version = version + 1")
        async with patient(postgres) as older:
            for call in (
                older.get(make_key()),
                older.set(make_key(), make_utterance(2)),
                older.delete(make_key()),
                older.clear(),
                anext(older.entries()),
            ):
                with pytest.raises(BackendError, match="upgrade pipecat-tts-cache"):
                    await call
            stats = await older.get_stats()
            assert (None, "closed") == (stats["entries"], stats["breaker"])
        assert await newer.get(make_key()) == make_utterance()
    told = [each.getMessage() for each in caplog.records if "refuses" in each.getMessage()]
    assert 1 == len(told)


async def test_tables_that_were_dropped_come_back(postgres: PostgresServer) -> None:
    """When somebody drops the tables one call fails, and the next creates them anew."""
    async with patient(postgres) as store:
        await store.set(make_key(), make_utterance())
        await postgres.query(
            "DROP TABLE pipecat_tts_cache, pipecat_tts_cache_totals, pipecat_tts_cache_schema;"
            "DROP FUNCTION pipecat_tts_cache_count"
        )
        with pytest.raises(BackendError, match="UndefinedTableError"):
            await store.get(make_key())
        assert await store.get(make_key()) is None
        assert await store.set(make_key(), make_utterance(2))
        assert await store.get(make_key()) == make_utterance(2)


async def test_a_creation_that_is_cut_off_leaves_nothing(postgres: PostgresServer) -> None:
    """The tables are there with all that belongs to them, or not at all."""
    blocker = await asyncpg.connect(postgres.url)
    await blocker.execute("BEGIN; CREATE TABLE pipecat_tts_cache_schema (version integer)")
    async with patient(postgres) as store:
        store._timeout = 0.5
        with pytest.raises(BackendError, match="no answer within"):
            await store.get(make_key())
        await blocker.execute("ROLLBACK")
        await blocker.close()
        store._timeout = 20
        assert await store.get(make_key()) is None
        assert await store.set(make_key(), make_utterance())
        assert 1 == (await store.get_stats())["entries"]


async def test_a_schema_that_is_not_there_is_told(postgres: PostgresServer) -> None:
    """A table in a schema that nobody created is an error in words."""
    async with patient(postgres, "nosuch.cache") as store:
        with pytest.raises(BackendError, match=r'schema "nosuch" does not exist'):
            await store.get(make_key())
