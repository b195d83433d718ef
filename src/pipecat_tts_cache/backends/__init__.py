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
    from pipecat_tts_cache.backends.disk import DiskCacheBackend
    from pipecat_tts_cache.backends.object_store import ObjectStoreCacheBackend
    from pipecat_tts_cache.backends.postgres import PostgresCacheBackend
    from pipecat_tts_cache.backends.redis import RedisCacheBackend
    from pipecat_tts_cache.backends.tiered import TieredCacheBackend
    from pipecat_tts_cache.backends.tiered_level import CacheLevel
    from pipecat_tts_cache.backends.urls import open_backend

_STORES = {
    "DiskCacheBackend": "disk",
    "CacheLevel": "tiered_level",
    "ObjectStoreCacheBackend": "object_store",
    "PostgresCacheBackend": "postgres",
    "RedisCacheBackend": "redis",
    "TieredCacheBackend": "tiered",
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
