#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Every store keeps the contract."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import RedisCluster

import pipecat_tts_cache.testing
from pipecat_tts_cache.backends import (
    CacheBackend,
    DiskCacheBackend,
    MemoryCacheBackend,
    RedisCacheBackend,
)
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.testing import StoreContract
from pipecat_tts_cache.testing.store_contract import make_utterance
from tests.servers import (
    PROGRAMS,
    VALKEY,
    Server,
    cluster_ports,
    lets_redis_introduce_itself,
    server,
    shared_server,
)

__all__ = ["cluster_ports", "lets_redis_introduce_itself", "server", "shared_server"]


def test_the_package_of_tests_has_no_other_names() -> None:
    """The contract is there, and what is not is not."""
    assert "StoreContract" in pipecat_tts_cache.testing.__all__
    with pytest.raises(AttributeError, match="NoSuchContract"):
        _ = pipecat_tts_cache.testing.NoSuchContract


class TestMemory(StoreContract):
    short_ttl = 1.0
    oversize = make_utterance(num_bytes=10_000_000)

    @pytest.fixture
    def backend(self) -> CacheBackend:
        self.now = 0.0
        return MemoryCacheBackend(max_bytes=9_000_000, clock=lambda: self.now)

    async def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("codec", ["raw", "flac"])
class TestDisk(StoreContract):
    short_ttl = 1.0
    oversize = make_utterance(num_bytes=10_000_000)

    @pytest.fixture
    async def backend(self, tmp_path: Path, codec: Codec) -> AsyncIterator[CacheBackend]:
        self.ahead = 0.0
        async with DiskCacheBackend(
            tmp_path / "speech",
            codec=codec,
            max_bytes=9_000_000,
            timeout=5,
            write_timeout=5,
            wall_clock=lambda: time.time() + self.ahead,
        ) as backend:
            yield backend

    async def advance(self, seconds: float) -> None:
        self.ahead += seconds


class TestRedis(StoreContract):
    @pytest.fixture
    async def backend(self, server: Server) -> AsyncIterator[CacheBackend]:
        async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as backend:
            yield backend


def test_valkey_keeps_it_too() -> None:
    """Where Valkey is installed, `TestRedis` runs on it as well."""
    if VALKEY not in PROGRAMS:
        pytest.skip(f"{VALKEY} is not installed: TestRedis ran on redis-server only")


@pytest.mark.usefixtures("lets_redis_introduce_itself")
class TestRedisCluster(StoreContract):
    @pytest.fixture
    async def backend(self, cluster_ports: list[int]) -> AsyncIterator[CacheBackend]:
        async with RedisCluster(host="127.0.0.1", port=cluster_ports[0]) as client:
            await client.flushall()
            async with RedisCacheBackend(client=client, timeout=5, write_timeout=5) as backend:
                yield backend
