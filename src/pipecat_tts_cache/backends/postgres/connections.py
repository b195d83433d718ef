#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Connections to PostgreSQL: our own, or those of the caller's pool.

asyncpg's own pool waits for a server that does not answer when a call is given up, and asks it to
forget the session with every call. Nothing here leaves anything in a session, and a connection
whose answer is outstanding is cut, so that it can be nobody else's.

Statements are prepared once for each connection, which saves a round trip and planning. Behind a
pooler that gives a connection to another client after each transaction, as pgbouncer does, one
client may meet what another has prepared. asyncpg's names, which count from 1, would let it run
the wrong statement; ours are nobody else's, so that all it can meet is that there is none. From
then on nothing is prepared.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from pipecat_tts_cache.backends.postgres.schema import SchemaError
from pipecat_tts_cache.errors import MissingExtraError

_MAX_IDLE = 300.0
"""Seconds; firewalls forget connections that are idle for longer, without a word."""
_GONE = ("08", "28", "57", "58")
"""Classes of SQLSTATE that say something of the server rather than of what it was asked."""
_FATAL = ("FATAL", "PANIC")
_WORDS_KEPT = ("3D000", "42704", "57P01", "57P02", "57P03")
"""SQLSTATEs at the end of a connection whose words hold no user."""
_T = TypeVar("_T")


def require_asyncpg() -> Any:
    """Make sure that asyncpg is there.

    Returns:
        The module.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import asyncpg  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("PostgresCacheBackend", "postgres") from error
    return asyncpg


class Names:
    """Names for prepared statements that no other client has.

    Parameters:
        hold: Whether a statement is still there when it is used again.
    """

    def __init__(self) -> None:
        self.hold = True
        self._client = uuid4().hex
        self._number = 0

    def new(self) -> str:
        """Return a name that was never used."""
        self._number += 1
        return f"tts_{self._client}_{self._number:x}"


class Connection:
    """A connection that prepares each statement once, where that works."""

    def __init__(self, connection: Any, names: Names) -> None:
        """Take a connection.

        Args:
            connection: A connection of asyncpg, with ``statement_cache_size=0``.
            names: Names for its statements.
        """
        self._connection = connection
        self._names = names
        self._prepared: dict[str, Any] = {}
        self.is_closed = connection.is_closed
        self.is_in_transaction = connection.is_in_transaction
        self.terminate = connection.terminate
        self.close = connection.close

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """Run a statement.

        Args:
            query: The statement.
            *values: Its parameters.

        Returns:
            Its rows.
        """
        from asyncpg import InvalidSQLStatementNameError  # noqa: PLC0415

        if self._names.hold:
            try:
                statement = self._prepared.get(query)
                if statement is None:
                    statement = await self._connection.prepare(query, name=self._names.new())
                    self._prepared[query] = statement
                return list(await statement.fetch(*values))
            except InvalidSQLStatementNameError:
                self._names.hold = False
        self._prepared.clear()
        return list(await self._connection.fetch(query, *values))

    async def fetchval(self, query: str, *values: Any) -> Any:
        """Run a statement.

        Args:
            query: The statement.
            *values: Its parameters.

        Returns:
            The first value of its first row, or None if there is no row.
        """
        rows = await self.fetch(query, *values)
        return rows[0][0] if rows else None

    async def execute(self, script: str) -> None:
        """Run statements that have no parameters.

        Args:
            script: The statements.
        """
        await self._connection.execute(script)


class Connections(ABC):
    """Where connections come from, and where they go."""

    async def run(self, question: Callable[[Any], Awaitable[_T]]) -> _T:
        """Ask something on a connection of its own.

        Args:
            question: What to do with the connection.

        Returns:
            What `question` returns.

        Raises:
            asyncpg.PostgresError: What the server said, without what may be private.
            Exception: Whatever else `question` or connecting raises.
        """
        from asyncpg import PostgresError  # noqa: PLC0415

        try:
            return await self._run(question)
        except PostgresError as error:
            said = _without_secrets(error)
        raise said  # here, where it has no context: that holds the user's name

    async def _run(self, question: Callable[[Any], Awaitable[_T]]) -> _T:
        connection = await self.take()
        try:
            answer = await question(connection)
        except BaseException as error:
            if not _is_whole(connection, error):
                connection.terminate()
            await self.give_back(connection)
            raise
        await self.give_back(connection)
        return answer

    @abstractmethod
    async def take(self) -> Any:
        """Take a connection out."""

    @abstractmethod
    async def give_back(self, connection: Any) -> None:
        """Give a connection back, which may be closed."""

    def drop(self) -> None:  # noqa: B027 - nothing, where they are the caller's
        """Cut those connections that nobody uses."""

    async def close(self) -> None:  # noqa: B027 - nothing, where they are the caller's
        """Close all connections."""


class OwnConnections(Connections):
    """Opens connections when they are needed, and keeps them for the next call."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], *, max_connections: int) -> None:
        """Begin with none.

        Args:
            connect: Opens one.
            max_connections: The most to have open; further calls wait for one.
        """
        self._connect = connect
        self._names = Names()
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: list[tuple[float, Connection]] = []
        self._late: set[asyncio.Task[Connection]] = set()
        self._closed = False

    async def take(self) -> Any:
        """Take the connection that was used last, or open one."""
        await self._slots.acquire()
        try:
            while self._idle:
                _, connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                connection.terminate()  # which it does not do by itself: tidy up
            return await self._open()
        except BaseException:
            self._slots.release()
            raise

    async def give_back(self, connection: Any) -> None:
        """Keep a connection for the next call."""
        self._slots.release()
        self._keep(connection)

    def drop(self) -> None:
        """Cut those connections that nobody uses, and those that nobody waits for."""
        while self._idle:
            self._idle.pop()[1].terminate()
        for task in self._late:
            task.cancel()

    async def close(self) -> None:
        """Take leave of the server; calls under way end first."""
        self._closed = True
        idle = [connection for _, connection in self._idle]
        self._idle.clear()
        self.drop()
        leaving = (connection.close() for connection in idle)
        await asyncio.gather(*leaving, *self._late, return_exceptions=True)

    async def _open(self) -> Connection:
        """Open a connection. Whoever gives up waiting for it leaves it to the next call."""
        task = asyncio.get_running_loop().create_task(self._connected())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._late.add(task)
            task.add_done_callback(self._came_late)
            raise

    async def _connected(self) -> Connection:
        return Connection(await self._connect(), self._names)

    def _came_late(self, task: "asyncio.Task[Connection]") -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is None:
            self._keep(task.result())

    def _keep(self, connection: Connection) -> None:
        """Keep a connection, and let go of those that were idle for long."""
        now = time.monotonic()
        if connection.is_closed() or self._closed or len(self._idle) >= self._max_connections:
            connection.terminate()
        else:
            self._idle.append((now, connection))
        while self._idle and self._idle[0][0] < now - _MAX_IDLE:
            self._idle.pop(0)[1].terminate()


class PoolConnections(Connections):
    """The connections of a pool that the caller made."""

    def __init__(self, pool: Any) -> None:
        """Take a pool.

        Args:
            pool: An `asyncpg.Pool`.
        """
        self._pool = pool

    async def take(self) -> Any:
        """Take a connection out of the pool."""
        return await self._pool.acquire()

    async def give_back(self, connection: Any) -> None:
        """Give a connection back to the pool, which resets it, in whatever time is left."""
        try:
            await self._pool.release(connection)
        except asyncio.CancelledError:
            with suppress(Exception):  # it may have been given back just now
                connection.terminate()
            raise


def is_answer(error: BaseException) -> bool:
    """Tell whether an error is what a living server said, as "permission denied" is.

    Args:
        error: What was raised.

    Returns:
        Whether it is.
    """
    from asyncpg import PostgresError  # noqa: PLC0415

    return (
        isinstance(error, PostgresError)
        and getattr(error, "severity_en", None) not in _FATAL
        and not _state_of(error).startswith(_GONE)
    )


def _is_whole(connection: Any, error: BaseException) -> bool:
    """Tell whether a connection is of use after an error: nothing is outstanding on it."""
    from asyncpg import DataError, InvalidCachedStatementError, PostgresError  # noqa: PLC0415

    return (
        isinstance(error, (PostgresError, DataError, SchemaError))
        and not isinstance(error, InvalidCachedStatementError)
        and not connection.is_closed()
        and not connection.is_in_transaction()
    )


def _state_of(error: Any) -> str:
    """Return the SQLSTATE of an error, which only asyncpg's subclasses are sure to have."""
    return getattr(error, "sqlstate", None) or "?????"


def _without_secrets(error: Any) -> Exception:
    """Repeat what the server said, but neither the user, nor values, nor the statement."""
    state = _state_of(error)
    severity = getattr(error, "severity_en", None)
    if severity in _FATAL and state not in _WORDS_KEPT:
        refused = state.startswith("28")
        words = "user or password is not accepted, or not from this host" if refused else "refused"
    else:
        words = str(error.args[0])
    said: Exception = type(error)(f"{words} ({state})")
    said.__dict__["severity_en"] = severity
    return said
