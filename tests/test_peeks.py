#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A peek, which is for tools that move house, may take as long as a write, not as a look-up."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipecat_tts_cache.backends import (
    CacheBackend,
    DiskCacheBackend,
    ObjectStoreCacheBackend,
    PostgresCacheBackend,
    RedisCacheBackend,
)
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.fault_proxy import FaultProxy
from tests.object_servers import KEYS, Bucket, bucket, s3_server
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)
from tests.servers import Server, lets_redis_introduce_itself, server, shared_server

__all__ = [
    "bucket",
    "lets_asyncpg_look_for_files",
    "lets_redis_introduce_itself",
    "postgres",
    "s3_server",
    "server",
    "shared_postgres",
    "shared_server",
]

SHORT, LONG = 1.0, 30.0
"""Seconds for a look-up that is expected to fail, and for all else."""


async def outlasts_a_look_up(
    store: CacheBackend, stall: Callable[[], object], resume: Callable[[], object]
) -> None:
    """A look-up that begins after a peek gives up, and the peek finds what there is later."""
    await store.set(make_key(), make_utterance())
    stall()
    peek = asyncio.create_task(store.peek(make_key()))
    await asyncio.sleep(0)
    try:
        with pytest.raises(BackendError):
            await store.get(make_key())
    finally:
        resume()
    assert make_utterance() == await peek


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_on_redis(server: Server) -> None:
    """A slow Redis server is waited for."""
    async with FaultProxy(server.port) as proxy:
        store = RedisCacheBackend(proxy.url, timeout=SHORT, write_timeout=LONG)
        async with store:
            await outlasts_a_look_up(store, proxy.stall, proxy.resume)


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_on_redis_with_a_replica(server: Server) -> None:
    """A slow replica is waited for, too."""
    async with FaultProxy(server.port) as proxy:
        store = RedisCacheBackend(proxy.url, replica=proxy.url, timeout=SHORT, write_timeout=LONG)
        async with store:
            await outlasts_a_look_up(store, proxy.stall, proxy.resume)


async def test_on_postgres(postgres: PostgresServer) -> None:
    """A slow PostgreSQL server is waited for."""
    async with FaultProxy(postgres.port) as proxy:
        url = postgres.url_of(port=proxy.port)
        store = PostgresCacheBackend(url, timeout=SHORT, write_timeout=LONG)
        async with store:
            await outlasts_a_look_up(store, proxy.stall, proxy.resume)


async def test_in_a_bucket(bucket: Bucket) -> None:
    """A slow bucket is waited for."""
    async with FaultProxy(bucket.port) as proxy:
        url = bucket.url(port=proxy.port)
        options: dict[str, Any] = {**KEYS}
        store = ObjectStoreCacheBackend(url, timeout=SHORT, write_timeout=LONG, **options)
        async with store:
            await outlasts_a_look_up(store, proxy.stall, proxy.resume)


async def test_on_disk(tmp_path: Path) -> None:
    """A slow disk is waited for."""
    go_on = Event()
    async with DiskCacheBackend(tmp_path, timeout=SHORT, write_timeout=LONG) as store:
        busy: list[asyncio.Task[bool]] = []

        def stall() -> None:
            waiting = store._reader.ask(lambda _: go_on.wait(LONG), within=LONG)
            busy.append(asyncio.create_task(waiting))

        await outlasts_a_look_up(store, stall, go_on.set)
        assert [True] == await asyncio.gather(*busy)
