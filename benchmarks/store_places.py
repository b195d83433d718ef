#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The stores that are measured, each on servers of its own, and what each is measured against."""

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the servers of the tests

import pytest
from obstore.store import LocalStore
from tests.object_servers import KEYS, Bucket, S3Server
from tests.postgres_server import running_postgres
from tests.servers import Server
from tests.servers import running as serving

import store_floors as floors
from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.backends import (
    CacheBackend,
    DiskCacheBackend,
    ObjectStoreCacheBackend,
    PostgresCacheBackend,
    RedisCacheBackend,
    TieredCacheBackend,
)
from pipecat_tts_cache.codec import Codec

PATIENT: dict[str, Any] = {"timeout": 30.0, "write_timeout": 30.0}
_NO_BOUND = 1 << 50
_numbers = count(1)

OpenStore = Callable[[Codec], AbstractAsyncContextManager[CacheBackend]]
"""Opens a store with nothing in it."""
OpenFull = Callable[[CacheBackend, int], AbstractAsyncContextManager[CacheBackend]]
"""Opens one that holds what another does, so many entries, and has no room for more."""


@dataclass(frozen=True)
class Place:
    """A store, and where it keeps things.

    Parameters:
        name: What to call it.
        store: Opens one.
        floor: Opens what it is measured against.
        entries: How many entries it is tried with.
        quick_entries: How many in a quick run.
        at_once: How many calls fill it at once.
        encodes: Whether it can keep samples as FLAC.
        full: Opens one that is full, if it evicts by itself.
    """

    name: str
    store: OpenStore
    floor: floors.OpenFloor
    entries: int
    quick_entries: int = 100
    at_once: int = 32
    encodes: bool = True
    full: OpenFull | None = None


def places(stack: ExitStack) -> tuple[list[Place], list[str]]:
    """Start the servers that are installed.

    Args:
        stack: Stops them.

    Returns:
        The stores, and why others are left out.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stores-")))
    found, left_out = [_memory(), _disk(folder), _folder(folder)], []
    for start in (_redis, _postgres, _s3):
        try:
            found += stack.enter_context(start(folder))
        except pytest.skip.Exception as missing:
            left_out.append(str(missing))
    return found, left_out


def _memory() -> Place:
    @asynccontextmanager
    async def full(store: CacheBackend, entries: int) -> AsyncIterator[CacheBackend]:
        bounded = MemoryCacheBackend(entries, max_bytes=_NO_BOUND)
        async for entry in store.entries():
            utterance = await store.peek(entry.key)
            assert utterance
            await bounded.set(entry.key, utterance)
        yield bounded

    return Place(
        "memory", _in_memory, floors.a_dict, 10**6, at_once=1, encodes=False, full=full
    )  # fmt: skip


@asynccontextmanager
async def _in_memory(_: Codec, entries: int = 10**7) -> AsyncIterator[CacheBackend]:
    yield MemoryCacheBackend(entries, max_bytes=_NO_BOUND)


def _disk(folder: Path) -> Place:
    paths: dict[CacheBackend, Path] = {}

    @asynccontextmanager
    async def store(codec: Codec) -> AsyncIterator[CacheBackend]:
        path = folder / f"disk-{next(_numbers)}"
        async with DiskCacheBackend(path, codec=codec, max_bytes=_NO_BOUND, **PATIENT) as backend:
            paths[backend] = path
            yield backend
        shutil.rmtree(paths.pop(backend))

    @asynccontextmanager
    async def floor() -> AsyncIterator[floors.Floor]:
        path = folder / f"raw-{next(_numbers)}"
        path.mkdir()
        async with floors.sqlite(path / "records.sqlite3") as sqlite:
            yield sqlite
        shutil.rmtree(path)

    @asynccontextmanager
    async def full(store: CacheBackend, _: int) -> AsyncIterator[CacheBackend]:
        bound = (await store.get_stats())["bytes"]
        async with DiskCacheBackend(
            paths[store], codec="raw", max_bytes=bound, **PATIENT
        ) as bounded:
            yield bounded

    return Place("disk", store, floor, 10**5, full=full)


def _folder(folder: Path) -> Place:
    @asynccontextmanager
    async def store(codec: Codec) -> AsyncIterator[CacheBackend]:
        url = (folder / f"objects-{next(_numbers)}").as_uri()
        async with ObjectStoreCacheBackend(url, codec=codec, **PATIENT) as backend:
            yield backend

    def floor() -> AbstractAsyncContextManager[floors.Floor]:
        path = folder / f"files-{next(_numbers)}"
        return floors.objects(LocalStore(path, mkdir=True))

    return Place("object store, a folder", store, floor, 10**4)


@contextmanager
def _redis(folder: Path) -> Iterator[list[Place]]:
    server = Server("redis-server", folder)
    floor = partial(floors.redis, server.url)
    before_redis = partial(floors.a_dict_before_redis, server.url)

    @asynccontextmanager
    async def store(codec: Codec) -> AsyncIterator[CacheBackend]:
        prefix = f"{next(_numbers)}:"
        async with RedisCacheBackend(
            server.url, key_prefix=prefix, codec=codec, **PATIENT
        ) as backend:
            yield backend

    def tiered(memory: int) -> OpenStore:
        @asynccontextmanager
        async def open_tiers(codec: Codec) -> AsyncIterator[CacheBackend]:
            front = MemoryCacheBackend(memory, max_bytes=_NO_BOUND)
            async with store(codec) as shared, TieredCacheBackend([front, shared]) as backend:
                yield backend

        return open_tiers

    with serving(server):
        yield [
            Place("Redis", store, floor, 10**5),
            Place("tiered, found in memory", tiered(10**6), before_redis, 10**4, encodes=False),
            Place("tiered, found in Redis", tiered(1), floor, 10**4, encodes=False),
        ]


@contextmanager
def _postgres(_: Path) -> Iterator[list[Place]]:
    with running_postgres() as server:

        @asynccontextmanager
        async def store(codec: Codec) -> AsyncIterator[CacheBackend]:
            table = f"speech_{next(_numbers)}"
            async with PostgresCacheBackend(
                server.url, table=table, codec=codec, **PATIENT
            ) as backend:
                yield backend

        yield [Place("Postgres", store, partial(floors.postgres, server.url), 10**5)]


@contextmanager
def _s3(folder: Path) -> Iterator[list[Place]]:
    server = S3Server(folder)

    def bucket() -> Bucket:
        return Bucket(server.make_bucket(), server.port)

    @asynccontextmanager
    async def store(codec: Codec) -> AsyncIterator[CacheBackend]:
        async with ObjectStoreCacheBackend(
            bucket().url(), codec=codec, **PATIENT, **KEYS
        ) as backend:
            yield backend

    def floor() -> AbstractAsyncContextManager[floors.Floor]:
        return floors.objects(bucket().client())

    try:
        server.start()
        yield [Place("object store, S3 (moto)", store, floor, 10**3, at_once=4)]
    finally:
        server.stop()
