#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for good: utterances in a PostgreSQL database, beside columns that people query."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.postgres.connections import require_asyncpg
from pipecat_tts_cache.backends.postgres.dsn import check_dsn
from pipecat_tts_cache.backends.postgres.queries import Queries
from pipecat_tts_cache.backends.postgres.rows import PINNED, place_of, read_row, start_of, write_row
from pipecat_tts_cache.backends.postgres.schema import DEFAULT_TABLE, Tables, schema_sql
from pipecat_tts_cache.backends.postgres.server import PostgresServer, own_connections
from pipecat_tts_cache.backends.postgres.uses import Uses
from pipecat_tts_cache.backends.records import read_record, write_record
from pipecat_tts_cache.backends.wall_clock import check_clock
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.checks import check_choice, check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import BackendError, CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.utterance import Utterance

if TYPE_CHECKING:
    from asyncpg import Pool

# Import asyncpg now, where it is installed, rather than when a store is made: that may be on a
# running event loop, which it would hold up.
with suppress(ImportError):
    import_module("asyncpg")

_COUNTED = ("entries", "bytes", "namespaces", "pinned")
_BATCH = 500
"""Rows that one statement lists or removes."""
_TIDY_EVERY = 16
"""Writes after which to tidy up."""
_SWEEP = 100
"""Expired rows that are removed then: more than were written since the last time."""
_MAX_RECORD = 1 << 29
"""Bytes; PostgreSQL takes a message of 1 GB at most."""
_T = TypeVar("_T")


class PostgresCacheBackend(CacheBackend):
    """Keeps utterances in a PostgreSQL (12 or newer) database, for good.

    It makes its own connections, or uses the caller's pool::

        PostgresCacheBackend("postgresql://bot:secret@db.example.com:5432/speech")
        PostgresCacheBackend(pool=pool)

    The tables are created when the store is first used, unless they are there; `schema_sql` is for
    who would rather do that by hand. Text, voice, model, sizes and times are columns to be
    queried, and rows may be deleted by anybody.

    Every call has a time limit. When calls fail in a row the server is left alone for a while, in
    which every call raises `BackendUnavailableError` at once; then one call tries again.

    A damaged record is a miss, and is deleted. A record of a newer format is a miss, and stays.

    One store may serve any number of services of one event loop. Its own connections belong to
    that loop.
    """

    keeps_pins = True

    def __init__(
        self,
        dsn: str | None = None,
        *,
        pool: "Pool | None" = None,
        table: str = DEFAULT_TABLE,
        codec: Codec = "flac",
        timeout: float = 0.25,
        write_timeout: float = 2.0,
        max_connections: int = 8,
        breaker: CircuitBreaker | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a store. It connects when it is first used.

        Args:
            dsn: Where the database is: ``postgresql://user:password@host:5432/database``, with
                asyncpg's options (``sslmode`` …) as a query. By default what the environment says
                (``PGHOST`` …), as for `psql`.
            pool: A pool of asyncpg to use instead of a DSN. Closing it is up to the caller.
            table: What the table is called, with a schema and a full stop in front or without;
                two more tables and a function are named after it.
            codec: How to keep samples: "raw", "flac", or "opus", which is not lossless.
            timeout: Seconds a look-up may take.
            write_timeout: Seconds a write may take, a `peek`, or one batch of a listing or of a
                `clear`.
            max_connections: The most connections to open at once; further calls wait for one.
            breaker: Decides when to leave the server alone. By default after 3 failures in a row,
                for 1 s, doubling up to 30 s.
            wall_clock: Tells the time in seconds since the Unix epoch.

        Raises:
            MissingExtraError: If the ``postgres`` extra is not installed.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense, or both a DSN and a pool are given.
        """
        asyncpg = require_asyncpg()
        if dsn is not None and pool is not None:
            raise ValueError("pass either dsn or pool, not both")
        if pool is not None and not isinstance(pool, asyncpg.Pool):
            raise TypeError(f"pool must be an asyncpg.Pool, not {type(pool).__name__}")
        name = check_dsn(dsn) if pool is None else "PostgreSQL (a pool of the caller)"
        tables = Tables.named(table)
        self._table = table
        self._queries = Queries.of(tables)
        self._codec: Codec = check_choice("codec", codec, Codec)
        self._timeout = check_seconds("timeout", timeout)
        self._write_timeout = check_seconds("write_timeout", write_timeout)
        connect = partial(
            own_connections,
            dsn,
            timeout=max(self._timeout, self._write_timeout),
            max_connections=check_positive_int("max_connections", max_connections),
        )
        breaker = breaker or CircuitBreaker()
        self._server = PostgresServer(name, connect, pool=pool, tables=tables, breaker=breaker)
        self._wall_clock = check_clock("wall_clock", wall_clock)
        self._uses = Uses(self._tell)
        self._written: list[CacheKey] = []
        self._hits = 0
        self._misses = 0
        self._corrupt = 0
        self._newer = 0
        self._refused = 0
        self._expirations = 0

    def __repr__(self) -> str:
        return f"PostgresCacheBackend({self._server.name!r}, table={self._table!r})"

    @staticmethod
    def schema_sql(table: str = DEFAULT_TABLE) -> str:
        """Write the SQL that creates the tables, for who does that by hand.

        Args:
            table: What to call them, with a schema or without.

        Returns:
            One statement. Where the tables are, it does nothing.

        Raises:
            TypeError: If `table` is no string.
            ValueError: If `table` is no name.
        """
        return schema_sql(table)

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, or its record cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        utterance = await self._look_up(key, within=self._timeout)
        if utterance is None:
            self._misses += 1
        else:
            self._hits += 1
            self._uses.note(key, self._wall_clock())
        return utterance

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, or its record cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        return await self._look_up(key, within=self._write_timeout)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it.

        Returns:
            False, with nothing changed, if it cannot be written as a record, or would replace
            something pinned and is not; else True.

        Raises:
            BackendError: If the server fails, is full, or takes longer than `write_timeout`.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        try:
            record = await write_record(utterance, self._codec)
            entry = Entry.from_head(key, record)
        except RecordError:
            entry, record = None, b""
        if entry is None or entry.size > _MAX_RECORD:
            self._refused += 1
            return False
        now = self._wall_clock()
        expires_at = None if seconds is None else now + seconds
        values = (*write_row(entry, record), now, PINNED if entry.pinned else expires_at)
        if not await self._rows(self._queries.put, *values):
            self._refused += 1
            return False
        self._written.append(key)
        if len(self._written) >= _TIDY_EVERY:
            await self._tidy()
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        return bool(await self._fetch(self._queries.delete, *place_of(key), self._wall_clock()))

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances, in one statement.

        Args:
            keys: Where they are kept; a few hundred at most.

        Returns:
            How many there were.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        owners = [place_of(key)[0].hex() for key in keys]
        digests = [key.digest for key in keys]
        now = self._wall_clock()
        return int(await self._fetch(self._queries.delete_many, owners, digests, now))

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        values = (self._queries.exists, *place_of(key), self._wall_clock())
        found = await self._server.ask(
            lambda connection: connection.fetchval(*values), within=self._timeout
        )
        return bool(found)

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        Args:
            namespace: The namespace, or None for everything in the table.

        Returns:
            How many were removed.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        query = self._queries.clear_all if namespace is None else self._queries.clear_one
        place = start_of(namespace)
        removed = 0
        while True:
            rows = await self._rows(query, *place, self._wall_clock(), _BATCH)
            removed += sum(bool(row["alive"]) for row in rows)
            if len(rows) < _BATCH:
                return removed
            place = max((row["namespace_id"], row["digest"]) for row in rows)

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept, without the audio and without counting as a use.

        It is read in pages. No transaction is open while the caller is busy with one.

        Args:
            namespace: The namespace, or None for everything in the table.

        Yields:
            The entries.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a page.
        """
        query = self._queries.list_all if namespace is None else self._queries.list_one
        place = start_of(namespace)
        while True:
            rows = await self._rows(query, *place, self._wall_clock(), _BATCH)
            for row in rows:
                yield read_row(row)
            if len(rows) < _BATCH:
                return
            place = rows[-1]["namespace_id"], rows[-1]["digest"]

    async def sweep(self, namespace: str | None = None) -> int:
        """Remove all that has expired, in any namespace, but what others are busy with.

        What has expired is told by the server's clock as well as by this one.

        Args:
            namespace: Makes no difference.

        Returns:
            How many there were.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        del namespace
        removed, some = 0, _BATCH
        while some == _BATCH:
            some = await self._sweep(_BATCH)
            removed += some
        return removed

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store. It never raises: a server that is down is described as that.

        Returns:
            A plain dict:

            - entries: Utterances in the table that have not expired, or None while the server does
              not answer.
            - bytes: What their records take, or None likewise.
            - namespaces: How many namespaces hold some, or None likewise.
            - pinned: How many of them are pinned, or None likewise.
            - available: Whether the server answered just now.
            - hits: Look-ups that found an utterance.
            - misses: Look-ups that did not, those with an unusable record included.
            - corrupt: Damaged records, which were deleted.
            - newer: Records of a newer format, which were left alone.
            - refused: Utterances not taken because they do not fit into a record, or would have
              replaced a pinned one.
            - expirations: Utterances that this object removed because their time was over.
            - uncounted_uses: Look-ups that are missing from "uses", as the server was down.
            - server: Where it is, without user and password.
            - breaker: "closed" while calls are made, "open" while the server is left alone,
              "half_open" while one call tries again.
            - retry_in: Seconds until the next call is let through.
            - errors: Calls that failed, time-outs included.
            - timeouts: Calls that took too long.
            - unavailable: Calls not made because the server is left alone.
        """
        counted: dict[str, Any] = dict.fromkeys(_COUNTED)
        available = False
        with suppress(BackendError):
            (row,) = await self._rows(self._queries.count, self._wall_clock())
            counted, available = dict(row), True
        return {
            **counted,
            "available": available,
            "hits": self._hits,
            "misses": self._misses,
            "corrupt": self._corrupt,
            "newer": self._newer,
            "refused": self._refused,
            "expirations": self._expirations,
            "uncounted_uses": self._uses.lost,
            **self._server.describe(),
        }

    async def close(self) -> None:
        """Note the last uses and close the connections, unless the pool is the caller's."""
        await self._uses.close()
        await self._server.close(within=self._write_timeout)

    async def _do(self, work: Callable[[Any], Awaitable[_T]]) -> _T:
        return await self._server.ask(work, within=self._write_timeout)

    async def _fetch(self, query: str, *values: Any) -> Any:
        return await self._do(lambda connection: connection.fetchval(query, *values))

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        rows: list[Any] = await self._do(lambda connection: connection.fetch(query, *values))
        return rows

    async def _look_up(self, key: CacheKey, *, within: float) -> Utterance | None:
        values = (self._queries.get, *place_of(key), self._wall_clock())
        record: bytes | None = await self._server.ask(
            lambda connection: connection.fetchval(*values), within=within
        )
        if record is None:
            return None
        try:
            return await read_record(record)
        except NewerRecordError:
            self._newer += 1
        except CorruptRecordError:
            self._corrupt += 1
            # This very record: somebody may have mended it meanwhile.
            with suppress(BackendError):
                await self._fetch(self._queries.heal, *place_of(key), sha256(record).digest())
        return None

    async def _tidy(self) -> None:
        """Remove some of what has expired, and fold the totals of what was written to."""
        owners = sorted({place_of(key)[0].hex() for key in self._written})
        self._written.clear()
        with suppress(BackendError):
            await self._sweep(_SWEEP)
            await self._rows(self._queries.fold, owners)

    async def _sweep(self, most: int) -> int:
        removed = int(await self._fetch(self._queries.sweep, self._wall_clock(), most))
        self._expirations += removed
        return removed

    async def _tell(self, noted: dict[CacheKey, tuple[int, float]]) -> None:
        owners = [place_of(key)[0].hex() for key in noted]
        digests = [key.digest for key in noted]
        numbers = [str(number) for number, _ in noted.values()]
        times = [repr(at) for _, at in noted.values()]
        await self._rows(self._queries.note, owners, digests, numbers, times)
