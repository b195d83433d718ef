#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store keeps the contract with each of its options, too."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import RedisCluster

from pipecat_tts_cache.backends import CacheBackend, RedisCacheBackend
from pipecat_tts_cache.testing import StoreContract
from tests.servers import (
    Server,
    cluster_ports,
    lets_redis_introduce_itself,
    server,
    shared_server,
)

__all__ = ["cluster_ports", "lets_redis_introduce_itself", "server", "shared_server"]


class TestRaw(StoreContract):
    @pytest.fixture
    async def backend(self, server: Server) -> AsyncIterator[CacheBackend]:
        async with RedisCacheBackend(
            server.url, codec="raw", timeout=5, write_timeout=5
        ) as backend:
            yield backend


class TestWatching(StoreContract):
    @pytest.fixture
    async def backend(self, server: Server) -> AsyncIterator[CacheBackend]:
        async with RedisCacheBackend(server.url, watch=True, timeout=5, write_timeout=5) as backend:
            yield backend


@pytest.mark.usefixtures("lets_redis_introduce_itself")
class TestWatchingACluster(StoreContract):
    @pytest.fixture
    async def backend(self, cluster_ports: list[int]) -> AsyncIterator[CacheBackend]:
        async with RedisCluster(host="127.0.0.1", port=cluster_ports[0]) as client:
            await client.flushall()
            async with RedisCacheBackend(
                client=client, watch=True, codec="raw", timeout=5, write_timeout=5
            ) as backend:
                yield backend
