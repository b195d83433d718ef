#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Postgres store keeps the contract, on a real server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.testing import StoreContract
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)

__all__ = ["lets_asyncpg_look_for_files", "postgres", "shared_postgres"]


class TestPostgres(StoreContract):
    @pytest.fixture
    async def backend(self, postgres: PostgresServer) -> AsyncIterator[CacheBackend]:
        async with PostgresCacheBackend(postgres.url, timeout=10, write_timeout=10) as backend:
            yield backend


class TestPostgresInThePoolOfTheCaller(StoreContract):
    @pytest.fixture
    async def backend(self, postgres: PostgresServer) -> AsyncIterator[CacheBackend]:
        async with asyncpg.create_pool(postgres.url, min_size=1, max_size=4) as pool:
            store = PostgresCacheBackend(
                pool=pool, table="public.Speech_2", codec="raw", timeout=10, write_timeout=10
            )
            async with store as backend:
                yield backend
