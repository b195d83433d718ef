#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The stores.

A store's own dependencies are imported when it is constructed, so every name here can be imported
without any extra.
"""

from typing import TYPE_CHECKING, Any

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.backends.memory import MemoryCacheBackend

if TYPE_CHECKING:
    from pipecat_tts_cache.backends.redis import RedisCacheBackend

__all__ = ["CacheBackend", "CacheKey", "MemoryCacheBackend", "RedisCacheBackend"]


def __getattr__(name: str) -> Any:
    if name == "RedisCacheBackend":
        from pipecat_tts_cache.backends.redis import RedisCacheBackend  # noqa: PLC0415

        return RedisCacheBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
