#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The stores.

A store's own dependencies are imported when it is constructed, so every name here can be imported
without any extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.memory import MemoryCacheBackend

if TYPE_CHECKING:
    from pipecat_tts_cache.backends.disk.backend import DiskCacheBackend
    from pipecat_tts_cache.backends.object_store.backend import ObjectStoreCacheBackend
    from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
    from pipecat_tts_cache.backends.redis.backend import RedisCacheBackend
    from pipecat_tts_cache.backends.tiered.backend import TieredCacheBackend
    from pipecat_tts_cache.backends.tiered.level import CacheLevel
    from pipecat_tts_cache.backends.urls import open_backend

_STORES = {
    "DiskCacheBackend": "disk.backend",
    "CacheLevel": "tiered.level",
    "ObjectStoreCacheBackend": "object_store.backend",
    "PostgresCacheBackend": "postgres.backend",
    "RedisCacheBackend": "redis.backend",
    "TieredCacheBackend": "tiered.backend",
    "open_backend": "urls",
}

__all__ = [
    "CacheBackend",
    "CacheKey",
    "CacheLevel",
    "DiskCacheBackend",
    "Entry",
    "MemoryCacheBackend",
    "ObjectStoreCacheBackend",
    "PostgresCacheBackend",
    "RedisCacheBackend",
    "TieredCacheBackend",
    "open_backend",
]


def __getattr__(name: str) -> Any:
    if name in _STORES:
        return getattr(import_module(f"{__name__}.{_STORES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
