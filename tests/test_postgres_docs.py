#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What docs/store-postgres.md says holds: its snippets, its SQL on a real server, its tables."""

from dataclasses import replace
from functools import partial

import pytest

from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests import test_docs as docs
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)

__all__ = ["lets_asyncpg_look_for_files", "postgres", "shared_postgres"]

PAGE = docs.POSTGRES_PAGE
NOW = 1_767_225_600.0
DAY = 86_400.0


async def test_the_snippets_run(postgres: PostgresServer) -> None:
    """Every snippet of the page runs, and what it calls its server is one."""
    await docs.run_page(PAGE, postgres_url=postgres.url)


def sql(start: str) -> str:
    """Find a statement of the page by how it begins."""
    (code,) = (code for _, code in docs.snippets(PAGE, "sql") if code.startswith(start))
    return code.rstrip().removesuffix(";")


@pytest.fixture
async def store(postgres: PostgresServer) -> PostgresCacheBackend:
    """A store where "Yes." was said by two voices, something long once, and something old."""
    said = [
        ("Yes.", "anna", "a", 4, 0, 2),
        ("Yes.", "anna", "b", 2, 0, 2),
        ("Yes.", "bob", "a", 1, 0, 2),
        ("A long story.", "anna", "a", 3, 0, 60),
        ("An old line.", "anna", "a", 9, 100, 1),
        ("One of old times.", "anna", "b", 0, 400, 3),
    ]
    for number, (text, voice, namespace, uses, days, seconds) in enumerate(said):
        clock = partial(float, NOW - days * DAY)
        async with PostgresCacheBackend(
            postgres.url, codec="raw", timeout=20, write_timeout=20, wall_clock=clock
        ) as store:
            utterance = make_utterance(number, num_bytes=48_000 * seconds)
            key = make_key(str(number), namespace)
            await store.set(key, replace(utterance, text=text, voice=voice))
            for _ in range(uses):
                await store.get(key)
    return store


@pytest.fixture
def on_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `now()` of the page's statements be the time of the test."""
    pages = docs.PAGES | {PAGE: docs.PAGES[PAGE].replace("now()", f"to_timestamp({NOW})")}
    monkeypatch.setattr(docs, "PAGES", pages)


@pytest.mark.usefixtures("store", "on_the_day")
async def test_the_lines_that_are_used_most(postgres: PostgresServer) -> None:
    """Uses of a line are added up over namespaces, and the seconds that nobody had to say again."""
    rows = await postgres.query(sql("SELECT text, voice"))
    expected = [
        ("An old line.", "anna", 9, 9.0),
        ("Yes.", "anna", 6, 12.0),
        ("A long story.", "anna", 3, 180.0),
        ("Yes.", "bob", 1, 2.0),
        ("One of old times.", "anna", 0, 0.0),
    ]
    assert expected == [tuple(row) for row in rows]


@pytest.mark.usefixtures("store", "on_the_day")
async def test_the_largest(postgres: PostgresServer) -> None:
    """What takes most room comes first."""
    rows = await postgres.query(sql("SELECT text, namespace, duration"))
    assert ["A long story.", "One of old times."] == [row["text"] for row in rows][:2]
    assert [60.0, 3.0] == [row["duration"] for row in rows][:2]
    assert 60 * 48_000 < rows[0]["bytes"] < 60 * 48_000 + 1000


@pytest.mark.usefixtures("on_the_day")
async def test_what_nobody_used_for_long_is_found_and_purged(
    postgres: PostgresServer, store: PostgresCacheBackend
) -> None:
    """What is found is what is deleted, no more and no less, and counts follow."""
    old = ["One of old times.", "An old line."]
    rows = await postgres.query(sql("SELECT text, namespace, bytes, uses"))
    assert old == [row["text"] for row in rows]
    await postgres.query(sql("DELETE"))
    assert [] == await postgres.query(sql("SELECT text, namespace, bytes, uses"))
    async with PostgresCacheBackend(postgres.url, timeout=20, write_timeout=20) as later:
        assert 4 == (await later.get_stats())["entries"]
        assert 4 == len([entry async for entry in later.entries() if entry.text not in old])


@pytest.mark.usefixtures("store")
async def test_totals_by_namespace(postgres: PostgresServer) -> None:
    """The totals that triggers keep can be asked for."""
    rows = await postgres.query(sql("SELECT namespace, sum(entries)"))
    assert [("a", 4), ("b", 2)] == [(row["namespace"], row["entries"]) for row in rows]


async def test_the_named_rights_suffice(postgres: PostgresServer) -> None:
    """A role with the rights that the page names can do all a store does."""
    await postgres.query(PostgresCacheBackend.schema_sql())
    await postgres.query("CREATE ROLE bot LOGIN")
    await postgres.query(sql("GRANT"))
    dsn = postgres.url_of(user="bot")
    async with PostgresCacheBackend(dsn, timeout=20, write_timeout=20) as store:
        for seed in range(17):  # every sixteenth write tidies up
            await store.set(make_key(str(seed)), make_utterance(seed), ttl=60)
        assert make_utterance(0) == await store.get(make_key("0"))
        await store._uses.flush()
        assert await store.exists(make_key("1"))
        assert await store.delete(make_key("1"))
        assert 1 == await store.delete_many([make_key("2")])
        assert 15 == len([entry async for entry in store.entries()])
        assert 15 == await store.clear()
        stats = await store.get_stats()
    assert (0, 0) == (stats["entries"], stats["errors"])
    await postgres.query("DROP OWNED BY bot; DROP ROLE bot")


@pytest.mark.usefixtures("lets_asyncpg_look_for_files")
async def test_arguments_and_statistics_are_listed() -> None:
    """The arguments of the store and the fields of its statistics are those there are."""
    arguments = docs.defaults(PostgresCacheBackend.__init__)
    listed = docs.table(PAGE, "Arguments")
    assert arguments.keys() == listed.keys()
    for name in ("pool", "table", "codec", "timeout", "write_timeout", "max_connections"):
        assert arguments[name] == listed[name][0].strip("`")
    async with PostgresCacheBackend("postgresql://127.0.0.1:1/x?sslmode=disable") as store:
        fields = (await store.get_stats()).keys()
    assert fields == docs.table(PAGE, "Statistics").keys()


async def test_columns_are_listed(postgres: PostgresServer) -> None:
    """The columns of the table are those that the page names."""
    await postgres.query(PostgresCacheBackend.schema_sql())
    rows = await postgres.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'pipecat_tts_cache'"
    )
    named = docs.table(PAGE, "Tables and rights").keys()
    assert sorted(named) == sorted(row["column_name"] for row in rows)
