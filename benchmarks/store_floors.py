#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What stores are measured against: the clients that they are made of, with nothing around them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
import obstore
from redis.asyncio import Redis

_T = TypeVar("_T")


class Floor(Protocol):
    """Bytes under a name."""

    async def get(self, name: str) -> bytes:
        """Get what is kept."""
        ...

    async def set(self, name: str, record: bytes) -> None:
        """Keep something."""
        ...


OpenFloor = Callable[[], AbstractAsyncContextManager[Floor]]


class _Dict:
    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes:
        return self._records[name]

    async def set(self, name: str, record: bytes) -> None:
        self._records[name] = record


@asynccontextmanager
async def a_dict() -> AsyncIterator[Floor]:
    """A dict."""
    yield _Dict()


class _DictBeforeRedis(_Dict):
    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    async def set(self, name: str, record: bytes) -> None:
        await super().set(name, record)
        await self._client.set(name, record)


@asynccontextmanager
async def a_dict_before_redis(url: str) -> AsyncIterator[Floor]:
    """A dict that is read, and redis-py's SET."""
    async with Redis.from_url(url) as client:
        yield _DictBeforeRedis(client)


class _Sqlite:
    """One connection in one thread, as the disk store has it open, and one table."""

    def __init__(self, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._thread, self._connection = thread, connection

    async def get(self, name: str) -> bytes:
        return await self._do(lambda: self._select(name))

    async def set(self, name: str, record: bytes) -> None:
        await self._do(lambda: self._insert(name, record))

    async def _do(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _select(self, name: str) -> bytes:
        query = "SELECT record FROM records WHERE name = ?"
        ((record,),) = self._connection.execute(query, (name,)).fetchall()
        return bytes(record)

    def _insert(self, name: str, record: bytes) -> None:
        self._connection.execute("INSERT INTO records (name, record) VALUES (?, ?)", (name, record))


@asynccontextmanager
async def sqlite(path: Path) -> AsyncIterator[Floor]:
    """SQLite in a thread, with the pragmas of the disk store."""
    pragmas = (
        *("page_size = 8192", "auto_vacuum = INCREMENTAL", "journal_mode = WAL"),
        *("synchronous = NORMAL", "cell_size_check = ON", "mmap_size = 0", "secure_delete = ON"),
        *("wal_autocheckpoint = 512", "journal_size_limit = 8388608"),
    )
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with ThreadPoolExecutor(1) as thread, closing(connection):
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute(
            "CREATE TABLE records (id INTEGER PRIMARY KEY, name TEXT UNIQUE, record BLOB)"
        )
        yield _Sqlite(thread, connection)


@asynccontextmanager
async def redis(url: str) -> AsyncIterator[Floor]:
    """Redis-py: GET and SET."""
    async with Redis.from_url(url) as client:
        yield client


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def get(self, name: str) -> bytes:
        query = "SELECT record FROM floor WHERE name = $1"
        record: bytes = await self._connection.fetchval(query, name)
        return record

    async def set(self, name: str, record: bytes) -> None:
        await self._connection.execute("INSERT INTO floor VALUES ($1, $2)", name, record)


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[Floor]:
    """One connection of asyncpg, and one table whose bytes are not compressed."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "CREATE TABLE floor (name text PRIMARY KEY, record bytea);"
            "ALTER TABLE floor ALTER record SET STORAGE EXTERNAL"
        )
        yield _Postgres(connection)
        await connection.execute("DROP TABLE floor")
    finally:
        await connection.close()


class _Objects:
    def __init__(self, store: Any) -> None:
        self._store = store

    async def get(self, name: str) -> bytes:
        found = await obstore.get_async(self._store, name)
        return bytes(await found.bytes_async())

    async def set(self, name: str, record: bytes) -> None:
        await obstore.put_async(self._store, name, record)


@asynccontextmanager
async def objects(store: Any) -> AsyncIterator[Floor]:
    """Obstore: get and put."""
    yield _Objects(store)
