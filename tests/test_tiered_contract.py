#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store keeps the contract, whatever it is made of."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipecat_tts_cache.backends import (
    CacheBackend,
    DiskCacheBackend,
    MemoryCacheBackend,
    RedisCacheBackend,
    TieredCacheBackend,
)
from pipecat_tts_cache.testing import StoreContract
from pipecat_tts_cache.testing.store_contract import make_utterance
from tests.servers import Server, server, shared_server

__all__ = ["server", "shared_server"]

EPOCH = 1_800_000_000.0


class Tiered(StoreContract):
    oversize = make_utterance(num_bytes=10_000_000)

    def memory(self, max_size: int = 1000) -> MemoryCacheBackend:
        return MemoryCacheBackend(max_size, max_bytes=9_000_000, clock=lambda: self.now)

    async def advance(self, seconds: float) -> None:
        self.now += seconds


class TestTieredMemory(Tiered):
    short_ttl = 1.0

    @pytest.fixture
    async def backend(self) -> AsyncIterator[CacheBackend]:
        self.now = 0.0
        levels = [self.memory(3), self.memory(50), self.memory()]
        async with TieredCacheBackend(levels, wall_clock=lambda: EPOCH + self.now) as backend:
            yield backend


class TestTieredOfOne(Tiered):
    short_ttl = 1.0

    @pytest.fixture
    async def backend(self) -> AsyncIterator[CacheBackend]:
        self.now = 0.0
        async with TieredCacheBackend([self.memory()]) as backend:
            yield backend


class TestTieredTiers(Tiered):
    short_ttl = 1.0

    @pytest.fixture
    async def backend(self) -> AsyncIterator[CacheBackend]:
        self.now = 0.0
        clock = lambda: EPOCH + self.now  # noqa: E731
        inner = TieredCacheBackend([self.memory(30), self.memory()], wall_clock=clock)
        async with TieredCacheBackend([self.memory(3), inner], wall_clock=clock) as backend:
            yield backend


class TestTieredDisk(StoreContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[CacheBackend]:
        disk = DiskCacheBackend(tmp_path / "speech", timeout=5, write_timeout=5)
        async with TieredCacheBackend([MemoryCacheBackend(10), disk], timeout=5) as backend:
            yield backend


class TestTieredRedis(StoreContract):
    @pytest.fixture
    async def backend(self, server: Server) -> AsyncIterator[CacheBackend]:
        shared = RedisCacheBackend(server.url, timeout=5, write_timeout=5)
        levels = [MemoryCacheBackend(10), shared]
        async with TieredCacheBackend(levels, timeout=5) as backend:
            yield backend
