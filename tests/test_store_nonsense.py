#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Every store refuses the same nonsense in the same words, and at once."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import (
    CacheBackend,
    DiskCacheBackend,
    MemoryCacheBackend,
    ObjectStoreCacheBackend,
    PostgresCacheBackend,
    RedisCacheBackend,
    TieredCacheBackend,
)

NOWHERE = "127.0.0.1:1"
STORES: dict[str, Callable[..., CacheBackend]] = {
    "memory": lambda _, **options: MemoryCacheBackend(**options),
    "disk": DiskCacheBackend,
    "redis": lambda _, **options: RedisCacheBackend(f"redis://{NOWHERE}", **options),
    "postgres": lambda _, **options: PostgresCacheBackend(f"postgresql://{NOWHERE}/x", **options),
    "object store": lambda _, **options: ObjectStoreCacheBackend("memory:///", **options),
    "tiered": lambda _, **options: TieredCacheBackend([MemoryCacheBackend()], **options),
}


@pytest.fixture(params=STORES)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheBackend]:
    """Give each store."""
    async with STORES[request.param](tmp_path) as store:
        yield store


@pytest.mark.parametrize("namespace", [5, b"bot", ["bot"], False])
async def test_a_namespace_that_is_none_is_not_cleared(
    backend: CacheBackend, namespace: Any
) -> None:
    """Nor is everything, by mistake."""
    name = type(namespace).__name__
    with pytest.raises(TypeError, match=rf"^namespace must be a string, not {name}$"):
        await backend.clear(namespace)


@pytest.mark.parametrize("title", STORES)
async def test_a_clock_that_is_none_is_refused(title: str, tmp_path: Path) -> None:
    """When the store is made, not when it is used."""
    with pytest.raises(TypeError, match=r"^wall_clock must be a function, not int$"):
        STORES[title](tmp_path, wall_clock=5)


@pytest.mark.parametrize("title", ["memory", "disk", "object store"])
async def test_a_stop_watch_that_is_none_is_refused(title: str, tmp_path: Path) -> None:
    """It is a clock, too."""
    with pytest.raises(TypeError, match=r"^clock must be a function, not str$"):
        STORES[title](tmp_path, clock="5")
