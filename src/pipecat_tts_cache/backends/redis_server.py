#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A Redis server as the store sees it."""

from collections.abc import Callable
from typing import Any

from pipecat_tts_cache.backends.redis_client import describe
from pipecat_tts_cache.backends.remote import RemoteServer
from pipecat_tts_cache.breaker import CircuitBreaker


class RedisServer(RemoteServer):
    """A client of `redis.asyncio` behind a time limit and a breaker."""

    advice = "Check its memory limit and the permissions of the user"

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
