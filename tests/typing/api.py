#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How the public API is used. Never run, only type-checked."""

from decimal import Decimal
from typing import Any, assert_type

from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService, WebsocketTTSService

from pipecat_tts_cache import (
    BackendError,
    Bypass,
    CacheBackend,
    CacheError,
    CacheKey,
    Copied,
    DiskCacheBackend,
    Entry,
    Line,
    MemoryCacheBackend,
    NotStored,
    ObjectStoreCacheBackend,
    Pinned,
    PostgresCacheBackend,
    PriceTable,
    Purged,
    RankedLine,
    RedisCacheBackend,
    Savings,
    SavingsLedger,
    SavingsReport,
    Selection,
    ServiceModel,
    ServiceProfile,
    TieredCacheBackend,
    TTSCacheMetricsData,
    TTSCacheMixin,
    Utterance,
    Warmed,
    Word,
    copy_store,
    delete_text,
    list_entries,
    open_backend,
    pin,
    purge,
    rank_phrases,
    read_phrases,
    savings_report,
    split_sentences,
    unpin,
)


class CachedCartesia(TTSCacheMixin, CartesiaTTSService):
    """A service is cached by a subclass without a body."""


class CachedOpenAI(TTSCacheMixin, OpenAITTSService):
    """A subclass may bring arguments of its own."""

    def __init__(self, *, bot: str, **kwargs: Any) -> None:
        super().__init__(cache_namespace=bot, cache_ttl=3600, **kwargs)


class DescribedTTSService(WebsocketTTSService):
    """The author of a service says how it behaves."""

    tts_cache_profile = ServiceProfile(
        inline=False,
        in_flight=3,
        fresh_state={"_clock": 0.0},
        neutral_arguments=frozenset({"region"}),
    )


class DictBackend(CacheBackend):
    """A store that a user writes in an afternoon."""

    def __init__(self) -> None:
        self._records: dict[CacheKey, bytes] = {}

    async def get(self, key: CacheKey) -> Utterance | None:
        record = self._records.get(key)
        return Utterance.from_bytes(record) if record else None

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        self._records[key] = utterance.to_bytes()
        return True

    async def delete(self, key: CacheKey) -> bool:
        return self._records.pop(key, None) is not None

    async def exists(self, key: CacheKey) -> bool:
        return key in self._records

    async def clear(self, namespace: str | None = None) -> int:
        mine = [key for key in self._records if namespace in (None, key.namespace)]
        for key in mine:
            del self._records[key]
        return len(mine)

    async def get_stats(self) -> dict[str, Any]:
        return {"entries": len(self._records)}

    async def close(self) -> None:
        self._records.clear()


def no_digits(text: str) -> bool:
    return not any(character.isdigit() for character in text)


async def is_public(text: str) -> bool:
    return "secret" not in text


def construct() -> list[TTSService]:
    """All arguments of the mixin, beside those of the service."""
    return [
        CachedCartesia(api_key="key", settings=CachedCartesia.Settings(voice="anna")),
        CachedCartesia(api_key="key", cache_backend=MemoryCacheBackend(max_size=10)),
        CachedCartesia(
            api_key="key",
            cache_backend=RedisCacheBackend(redis_url="redis://localhost:6379/0"),
            cache_ttl=86400,
            cache_namespace="user_123",
            cache_enabled=False,
            cache_key_extra={"accent": "north"},
            cache_secret=b"secret",
            cache_lookup_timeout=0.1,
            cache_store_text=False,
            should_cache=no_digits,
            cache_scope="speak",
            cache_prices=PriceTable({("CartesiaTTSService", "*"): 30}, currency="USD"),
            cache_ledger=SavingsLedger(max_namespaces=10),
            cache_telemetry="namespace",
        ),
        CachedCartesia(api_key="key", should_cache=is_public, cache_secret="secret"),
        CachedOpenAI(bot="support", cache_backend=DictBackend()),
    ]


async def read_statistics(service: TTSCacheMixin) -> float:
    """Statistics are a plain dict, reasons their own enums."""
    stats = await service.get_cache_stats()
    assert_type(stats, dict[str, Any])
    silent: int = stats["not_stored"].get(NotStored.EMPTY, 0)
    bypassed: int = stats["bypassed"].get(Bypass.NO_KEY, 0)
    hit_rate: float = stats["hit_rate"]
    return hit_rate + silent + bypassed


async def switch_and_clear(service: TTSCacheMixin) -> int:
    """The switch is a property; clearing returns how many were removed."""
    service.cache_enabled = not service.cache_enabled
    assert_type(service.cache_enabled, bool)
    everything = await service.clear_cache()
    erased = await service.delete_text("Your name is Ada.")
    return everything + erased + await service.clear_cache(namespace="user_123")


async def prepare_on_a_running_service(service: TTSCacheMixin) -> list[str]:
    """Lines are strings, or have settings of their own; what is prefetched is not waited for."""
    service.prefetch(["One moment.", Line("Un momento.", {"voice": "carla"})], as_turns=True)
    found: Warmed = await service.is_warm(["One moment."], sample_rate=8000)
    done: Warmed = await service.warm(found.failed, concurrency=2, refresh=True, line_timeout=10)
    return done.stored


async def use_a_store() -> Utterance | None:
    """Stores are async context managers, and what they raise has a tree of its own."""
    utterance = Utterance(audio=bytes(480), sample_rate=24000, words=(Word("Hello", 0.0),))
    key = CacheKey("user_123", "0" * 64)
    try:
        async with MemoryCacheBackend(max_bytes=1024) as store:
            assert_type(store, MemoryCacheBackend)
            assert_type(await store.set(key, utterance, ttl=60), bool)
            return await store.get(key)
    except BackendError as error:
        failure: CacheError = error
        raise failure from None


def stores() -> CacheBackend:
    """Every store, with what it is bounded by and how it keeps audio."""
    memory = MemoryCacheBackend(max_size=10, max_bytes=1024, eviction="lru")
    disk = DiskCacheBackend("cache", max_bytes=1 << 30, codec="raw")
    redis = RedisCacheBackend(codec="opus", sliding_ttl=3600, watch=True)
    postgres = PostgresCacheBackend("postgresql://localhost/tts", table="speech.cache")
    bucket = ObjectStoreCacheBackend("s3://bucket/prefix", codec="flac")
    named: CacheBackend = open_backend("redis://localhost:6379/0")
    return TieredCacheBackend([memory, disk, redis, postgres, bucket, named])


async def keep_house(store: CacheBackend) -> float:
    """What is in a store can be listed, purged, erased and copied."""
    async for entry in list_entries(store, Selection(voice="anna", older_than=3600)):
        assert_type(entry, Entry)
        assert_type(entry.key, CacheKey)
        text: str | None = entry.text
        assert text
    purged: Purged = await purge(store, Selection(unused_for=90 * 86400), dry_run=True)
    erased: Purged = await delete_text(store, "Your name is Ada.", secret=b"secret")
    copied: Copied = await copy_store(store, MemoryCacheBackend(), overwrite=True, progress=print)
    return purged.duration + erased.size + copied.failed


def lines_to_say(service: TTSCacheMixin) -> list[Line]:
    """Lines come from files and past calls, and from what a service missed."""
    listed = list(read_phrases("lines.csv", field="say", options=("voice", "language")))
    said = split_sentences(read_phrases("calls.log", pattern="(?P<text>.*)"), language="de")
    ranked = rank_phrases(said, top=50, min_count=3)
    assert_type(ranked, list[RankedLine])
    assert_type(service.get_top_misses(limit=5), list[RankedLine])
    return [*listed, *ranked, Line("Hello!", {"voice": "anna"})]


async def what_is_saved(ledger: SavingsLedger) -> Decimal | None:
    """Savings are told at the user's prices."""
    prices = PriceTable.from_file("prices.toml")
    report: SavingsReport = await savings_report(MemoryCacheBackend(), prices)
    for model, saved in ledger.report(prices).models.items():
        assert_type(model, ServiceModel)
        assert_type(saved, Savings)
    return report.total.money


def told(data: TTSCacheMetricsData) -> float | None:
    """What Pipecat's observers are told."""
    return data.lookup_seconds if data.hit else None


async def recordings(service: TTSCacheMixin) -> bool:
    """A recording stands in for a line, of any service or of one that runs."""
    pinned = await pin(construct_one, "Hello!", "hello.wav", words=[("Hello!", 0.1)], loudness=-23)
    assert_type(pinned, Pinned)
    line = Line("Hola!", {"voice": "carla"})
    words = [Word("Hola!", 0.1)]
    await service.pin(line, bytes(4800), audio_rate=24_000, words=words, loudness="voice")
    return await unpin(construct_one, "Hello!", as_turn=True) or await service.unpin(line)


def construct_one() -> TTSService:
    """What pinning takes."""
    return construct()[0]


def misuse() -> None:
    """What a type checker refuses."""
    CachedCartesia(api_key="key", cache_scope="turn")  # type: ignore[arg-type]
    CachedCartesia(api_key="key", cache_telemetry="all")  # type: ignore[arg-type]
    CachedCartesia(api_key="key", cache_backend={})  # type: ignore[arg-type]
    CachedCartesia(api_key="key", cache_ttl="1h")  # type: ignore[arg-type]
    CachedCartesia(api_key="key", should_cache=len)  # type: ignore[arg-type]
    Selection(voice=1)  # type: ignore[arg-type]
    read_phrases("lines.txt", format="yaml")  # type: ignore[arg-type]
    rank_phrases([1])  # type: ignore[list-item]
    DiskCacheBackend("cache", codec="mp3")  # type: ignore[arg-type]
    CacheKey("user_123", digest=1)  # type: ignore[arg-type]
    DictBackend().get("key")  # type: ignore[arg-type, unused-coroutine]
