#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A memory for a Pipecat bot's speech: what it has said before is replayed at once.

::

    class CachedTTS(TTSCacheMixin, CartesiaTTSService):
        pass

    tts = CachedTTS(api_key=..., cache_backend=MemoryCacheBackend(), cache_ttl=86400)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipecat_tts_cache.backends import CacheBackend, CacheKey, Entry, MemoryCacheBackend
from pipecat_tts_cache.control import CacheControl
from pipecat_tts_cache.errors import (
    BackendError,
    BackendUnavailableError,
    CacheError,
    CorruptRecordError,
    MissingExtraError,
    NewerRecordError,
    RecordError,
    SpeechError,
    UncacheableError,
)
from pipecat_tts_cache.inventory import (
    Copied,
    Purged,
    Selection,
    copy_store,
    delete_text,
    list_entries,
    purge,
)
from pipecat_tts_cache.near_misses import NearMiss, NearMisses, Spelling, find_near_misses
from pipecat_tts_cache.preparation.lines import Line, RankedLine, rank_phrases
from pipecat_tts_cache.preparation.outcomes import Pinned
from pipecat_tts_cache.preparation.phrases import read_phrases
from pipecat_tts_cache.services import ServiceProfile
from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import (
    Savings,
    SavingsLedger,
    SavingsReport,
    ServiceModel,
    savings_report,
)
from pipecat_tts_cache.statistics.stats import Bypass, NotStored
from pipecat_tts_cache.utterance import Utterance, Word

if TYPE_CHECKING:
    from pipecat_tts_cache.backends import (
        CacheLevel,
        DiskCacheBackend,
        ObjectStoreCacheBackend,
        PostgresCacheBackend,
        RedisCacheBackend,
        TieredCacheBackend,
        open_backend,
    )
    from pipecat_tts_cache.exports.store import Exported, Imported, Note, export_store, import_store
    from pipecat_tts_cache.mixin import TTSCacheMixin
    from pipecat_tts_cache.preparation.pinning import pin, unpin
    from pipecat_tts_cache.preparation.sentences import split_sentences
    from pipecat_tts_cache.preparation.speech_cache import SpeechCache
    from pipecat_tts_cache.preparation.warming import Outcome, Warmed, is_warm, warm
    from pipecat_tts_cache.sound.loading import load_audio_file
    from pipecat_tts_cache.sound.saving import save_audio_file
    from pipecat_tts_cache.statistics.metrics import TTSCacheMetricsData

_HEAVY = {
    "sound.loading": ("load_audio_file",),
    "sound.saving": ("save_audio_file",),
    "statistics.metrics": ("TTSCacheMetricsData",),
    "exports.store": ("Exported", "Imported", "Note", "export_store", "import_store"),
    "preparation.sentences": ("split_sentences",),
    "preparation.pinning": ("pin", "unpin"),
    "preparation.speech_cache": ("SpeechCache",),
    "preparation.warming": ("Outcome", "Warmed", "is_warm", "warm"),
}
"""What is imported on first use, by its module; the stores are `backends`' own business."""

__all__ = [
    "BackendError",
    "BackendUnavailableError",
    "Bypass",
    "CacheBackend",
    "CacheControl",
    "CacheError",
    "CacheKey",
    "CacheLevel",
    "Copied",
    "CorruptRecordError",
    "DiskCacheBackend",
    "Entry",
    "Exported",
    "Imported",
    "Line",
    "MemoryCacheBackend",
    "MissingExtraError",
    "NearMiss",
    "NearMisses",
    "NewerRecordError",
    "NotStored",
    "Note",
    "ObjectStoreCacheBackend",
    "Outcome",
    "Pinned",
    "PostgresCacheBackend",
    "PriceTable",
    "Purged",
    "RankedLine",
    "RecordError",
    "RedisCacheBackend",
    "Savings",
    "SavingsLedger",
    "SavingsReport",
    "Selection",
    "ServiceModel",
    "ServiceProfile",
    "SpeechCache",
    "SpeechError",
    "Spelling",
    "TTSCacheMetricsData",
    "TTSCacheMixin",
    "TieredCacheBackend",
    "UncacheableError",
    "Utterance",
    "Warmed",
    "Word",
    "copy_store",
    "delete_text",
    "export_store",
    "find_near_misses",
    "import_store",
    "is_warm",
    "list_entries",
    "load_audio_file",
    "open_backend",
    "pin",
    "purge",
    "rank_phrases",
    "read_phrases",
    "save_audio_file",
    "savings_report",
    "split_sentences",
    "unpin",
    "warm",
]


def __getattr__(name: str) -> Any:
    """Import on first use what is heavy: Pipecat, and what the stores need."""
    if name == "TTSCacheMixin":
        return import_module(f"{__name__}.uncached").best_mixin()
    for module, names in _HEAVY.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    if name in __all__:
        return getattr(import_module(f"{__name__}.backends"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
