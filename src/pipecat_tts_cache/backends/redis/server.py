#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A Redis server as the store sees it, and perhaps a replica of it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from pipecat_tts_cache.backends.redis.client import check_client, describe
from pipecat_tts_cache.backends.remote import RemoteServer
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError

_T = TypeVar("_T")


class RedisServer(RemoteServer):
    """A client of `redis.asyncio` behind a time limit and a breaker."""

    advice = "Check its memory limit, the permissions of the user and whether it is a replica"

    def __init__(
        self, connect: Callable[[], Any], *, client: Any | None, breaker: CircuitBreaker
    ) -> None:
        """Take a client, or make one.

        Args:
            connect: Makes a client.
            client: The caller's own client, if there is one.
            breaker: Decides when to leave the server alone.
        """
        from redis.exceptions import RedisError  # noqa: PLC0415

        super().__init__("", connect, errors=(RedisError,), client=client, breaker=breaker)
        self.name = describe(self.client)

    def refused(self, error: Exception) -> None:
        """Say once that the server lives but does not do something.

        Args:
            error: What it said.
        """
        self._say_refused(error, f"{type(error).__name__}: {error}")

    async def _prepare(self, *, is_probe: bool) -> None:
        """Let a probe have a fresh connection: idle ones may have died along with the server."""
        if is_probe and self.owns_client:
            await self.client.connection_pool.disconnect(inuse_connections=False)

    def _is_timeout(self, error: Exception) -> bool:
        from redis.exceptions import TimeoutError as RedisTimeoutError  # noqa: PLC0415

        return isinstance(error, (TimeoutError, RedisTimeoutError))

    def _is_answer(self, error: Exception) -> bool:
        from redis.exceptions import ClusterError, ResponseError  # noqa: PLC0415

        return isinstance(error, ResponseError) and not isinstance(error, ClusterError)

    async def _disconnect(self) -> None:
        await self.client.aclose()


def is_read_only(error: BaseException | None) -> bool:
    """Tell whether a server refused a write because it is a replica.

    Args:
        error: What it said.

    Returns:
        Whether it did.
    """
    from redis.exceptions import ReadOnlyError  # noqa: PLC0415

    return isinstance(error, ReadOnlyError)


class RedisServers:
    """The server that is written to, and perhaps a replica that is asked first."""

    def __init__(self, primary: RedisServer, replica: RedisServer | None) -> None:
        """Take the servers.

        Args:
            primary: What is written to.
            replica: What look-ups ask first, if there is one.
        """
        self.primary = primary
        self.replica = replica

    async def look_up(
        self, question: Callable[[Any], Awaitable[_T]], *, within: float
    ) -> tuple[_T, bool]:
        """Ask the replica, and in the second half of the time the primary if that fails.

        Args:
            question: What to do with the client.
            within: Seconds that it may take.

        Returns:
            What `question` returns, and whether the primary said so.

        Raises:
            BackendError: If both fail, or take longer than the time.
        """
        if self.replica is None:
            return await self.primary.ask(question, within=within), True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        try:
            return await self.replica.ask(question, within=within / 2), False
        except BackendError:
            left = max(within / 2, deadline - loop.time())
            return await self.primary.ask(question, within=left), True

    def describe(self) -> dict[str, Any]:
        """Describe the servers.

        Returns:
            A plain dict, see `RedisCacheBackend.get_stats`.
        """
        replica = None if self.replica is None else self.replica.describe()
        return {**self.primary.describe(), "replica": replica}

    async def close(self, *, within: float) -> None:
        """Close the connections, unless the clients are the caller's.

        Args:
            within: Seconds that it may take for each.
        """
        await self.primary.close(within=within)
        if self.replica is not None:
            await self.replica.close(within=within)


def make_servers(
    connect_here: Callable[[], Any],
    client: Any,
    breaker: CircuitBreaker | None,
    *,
    replica: Any,
    connect: Callable[[str], Any],
) -> RedisServers:
    """Take or make the clients of a store.

    Args:
        connect_here: Makes a client.
        client: The caller's own client, if there is one.
        breaker: Decides when to leave the server alone.
        replica: The URL of a replica, or a client of it, or None.
        connect: Makes a client for a URL.

    Returns:
        The servers.
    """
    if client is not None:
        check_client(client)
    primary = RedisServer(connect_here, client=client, breaker=breaker or CircuitBreaker())
    if replica is None:
        return RedisServers(primary, None)
    if isinstance(replica, str):
        second = RedisServer(partial(connect, replica), client=None, breaker=CircuitBreaker())
    else:
        check_client(replica)
        second = RedisServer(lambda: None, client=replica, breaker=CircuitBreaker())
    return RedisServers(primary, second)
