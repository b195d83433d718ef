#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A PostgreSQL server as the store sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pipecat_tts_cache.backends.postgres.connections import (
    Connections,
    OwnConnections,
    PoolConnections,
    is_answer,
    require_asyncpg,
)
from pipecat_tts_cache.backends.postgres.schema import SchemaError, Tables, prepare_schema
from pipecat_tts_cache.backends.postgres.tls import read_certificates
from pipecat_tts_cache.backends.remote import RemoteServer
from pipecat_tts_cache.breaker import CircuitBreaker

_T = TypeVar("_T")


class PostgresServer(RemoteServer):
    """Connections behind a time limit and a breaker, to a server that has the tables."""

    advice = "Check its disk, and the rights of the role (docs/store-postgres.md)"

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connections],
        *,
        pool: Any | None,
        tables: Tables,
        breaker: CircuitBreaker,
    ) -> None:
        """Begin without a connection.

        Args:
            name: Where the server is, without user and password.
            connect: Makes connections of our own.
            pool: The caller's own pool, if there is one.
            tables: What has to be there.
            breaker: Decides when to leave the server alone.
        """
        asyncpg = require_asyncpg()
        errors = (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            SchemaError,
        )
        client = None if pool is None else PoolConnections(pool)
        super().__init__(name, connect, errors=errors, client=client, breaker=breaker)
        self._tables = tables
        self._has_tables = False

    async def ask(self, question: Callable[[Any], Awaitable[_T]], *, within: float) -> _T:
        """Ask the server something.

        Args:
            question: What to do with a connection.
            within: Seconds it may take.

        Returns:
            What `question` returns.

        Raises:
            BackendError: If it fails or takes too long, or the store may not be used here.
            BackendUnavailableError: If it is not asked, because it is left alone for a while.
        """

        async def ask(connection: Any) -> _T:
            if not self._has_tables:
                await prepare_schema(connection, self._tables)
                self._has_tables = True
            return await question(connection)

        return await super().ask(lambda connections: connections.run(ask), within=within)

    async def _prepare(self, *, is_probe: bool) -> None:
        """Let a probe have a fresh connection: idle ones may have died along with the server."""
        if is_probe:
            self.client.drop()

    def _is_timeout(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError)

    def _is_answer(self, error: Exception) -> bool:
        from asyncpg import DataError, UndefinedTableError  # noqa: PLC0415

        if isinstance(error, UndefinedTableError):
            self._has_tables = False  # somebody dropped them: the next call makes them anew
        return isinstance(error, (SchemaError, DataError)) or is_answer(error)

    async def _disconnect(self) -> None:
        await self.client.close()


def own_connections(dsn: str | None, *, timeout: float, max_connections: int) -> OwnConnections:
    """Make connections of our own, which work behind a pooler, too.

    Args:
        dsn: Where the server is.
        timeout: Seconds to wait for one to open.
        max_connections: The most to have open.

    Returns:
        The connections. None is open yet.
    """
    asyncpg = require_asyncpg()

    read: list[Any] = []

    async def connect() -> Any:
        if not read:
            read.append(await asyncio.to_thread(read_certificates, dsn))
        return await asyncpg.connect(dsn, ssl=read[0], timeout=timeout, statement_cache_size=0)

    return OwnConnections(connect, max_connections=max_connections)
