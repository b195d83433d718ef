#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What services count is told to OpenTelemetry, where it is installed, and nothing personal."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pipecat_tts_cache import (
    BackendError,
    Bypass,
    CacheKey,
    MemoryCacheBackend,
    NotStored,
    TTSCacheMixin,
    Utterance,
    warm,
)
from pipecat_tts_cache.statistics import telemetry
from pipecat_tts_cache.statistics.stats import CacheStats
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from tests.cached_scripted import CachedInline

LINE = "One is here."
COMMON = {"gen_ai.provider.name": "inlineservice", "tts_cache.store": "MemoryCacheBackend"}
SENTENCE = COMMON | {"gen_ai.request.model": "scripted"}


class Told:
    """What OpenTelemetry was told."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def metrics(self) -> dict[str, Any]:
        """Collect the metrics, by name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """List the points of a metric: attributes, and value or number of values."""
        metric = self.metrics().get(name)
        points = metric.data.data_points if metric else ()
        return [(dict(p.attributes), p.value if hasattr(p, "value") else p.count) for p in points]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """A meter provider of the test's own."""
    told = Told()
    monkeypatch.setattr(metrics, "get_meter", told.provider.get_meter)
    monkeypatch.setattr(telemetry, "_values", {name: {} for name in telemetry._LIMITS})
    telemetry.instruments.cache_clear()
    yield told
    telemetry.instruments.cache_clear()
    told.provider.shutdown()


async def say(tts: TTSCacheMixin, *texts: str, **control: Any) -> None:
    async with running(tts) as bot:
        for text in texts:
            with tts.cache_control(**control):
                await bot.speak(text)
                await bot.until_quiet()


async def test_hits_and_misses_are_counted(told: Told) -> None:
    """Sentences, characters and seconds, told apart by what came of the look-up."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    await say(tts, LINE, LINE, LINE)
    stats = await tts.get_cache_stats()
    miss, hit = ({"tts_cache.result": result} for result in ("miss", "hit"))
    assert [(SENTENCE | miss, 1), (SENTENCE | hit, 2)] == told.points("tts_cache.sentences")
    assert [(SENTENCE | miss, len(LINE)), (SENTENCE | hit, 2 * len(LINE))] == told.points(
        "tts_cache.characters"
    )
    assert [(SENTENCE, stats["seconds_from_cache"])] == told.points("tts_cache.replayed")
    assert [(COMMON, 3)] == told.points("tts_cache.lookup.duration")
    assert [(COMMON, 1)] == told.points("tts_cache.stored")


async def test_look_ups_are_told_with_their_times(told: Told) -> None:
    """In seconds, in steps that suit a cache."""
    stats = CacheStats()
    meter = telemetry.Meter(stats, store="x", namespace=None)
    for seconds in (0.002, 0.2):
        stats.looked_up(seconds, found=False)
    meter.hear(None)
    stats.looked_up(0.002, found=False)
    meter.hear(None)
    (point,) = told.metrics()["tts_cache.lookup.duration"].data.data_points
    assert (3, pytest.approx(0.204)) == (point.count, point.sum)
    assert telemetry._SECONDS == tuple(point.explicit_bounds)
    assert 2 == point.bucket_counts[telemetry._SECONDS.index(0.003)]


async def test_names_and_units(told: Told) -> None:
    """Names are under one root, units are UCUM's or in braces, and each has a description."""
    meter = telemetry.Meter(stats := CacheStats(), store="x", namespace=None)
    stats.listeners.append(meter.hear)
    stats.stores = stats.store_errors = stats.store_timeouts = stats.lookups_skipped = 1
    stats.not_stored[NotStored.EMPTY] = stats.bypassed[Bypass.TOKENS] = 1
    stats.looked_up(0.1, found=True)
    stats.hit(1, 1.0)
    found = told.metrics()
    assert {
        "tts_cache.sentences": "{sentence}",
        "tts_cache.characters": "{character}",
        "tts_cache.replayed": "s",
        "tts_cache.lookup.duration": "s",
        "tts_cache.stored": "{sentence}",
        "tts_cache.not_stored": "{sentence}",
        "tts_cache.bypassed": "{sentence}",
        "tts_cache.store.errors": "{error}",
        "tts_cache.store.timeouts": "{timeout}",
        "tts_cache.lookup.skipped": "{lookup}",
    } == {name: metric.unit for name, metric in found.items()}
    assert all(metric.description for metric in found.values())


async def test_what_was_not_stored_is_told_by_reason(told: Told) -> None:
    """With the reasons of `NotStored` and `Bypass`, the last ones when the service ends."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    tts.provider.fail(Fault.BROKEN)
    await say(tts, LINE)
    await say(CachedInline(cache_backend=MemoryCacheBackend()), LINE, bypass=True)
    assert [(COMMON | {"tts_cache.reason": "error"}, 1)] == told.points("tts_cache.not_stored")
    assert [(COMMON | {"tts_cache.reason": "control"}, 1)] == told.points("tts_cache.bypassed")


async def test_what_is_stored_behind_speech_is_told_then(told: Told) -> None:
    """A write that ends is told when it ends, not with the next sentence."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        await bot.speak(LINE)
        await bot.until_quiet()
        await tts._tts_cache_book.written()
        assert [(COMMON, 1)] == told.points("tts_cache.stored")


async def test_a_store_that_fails_is_told(told: Told) -> None:
    """Its errors are counted under the name of its class."""

    class Faulty(MemoryCacheBackend):
        async def get(self, key: CacheKey) -> Utterance | None:
            raise BackendError("nothing works")

    tts = CachedInline(cache_backend=Faulty())
    await say(tts, LINE)
    ((attributes, errors),) = told.points("tts_cache.store.errors")
    assert ("Faulty", True) == (attributes["tts_cache.store"], errors > 0)
    assert errors == (await tts.get_cache_stats())["store_errors"]


async def test_services_add_up(told: Told) -> None:
    """What several services count is one sum, and nothing is told twice."""
    store = MemoryCacheBackend()
    for _ in range(3):
        await say(CachedInline(cache_backend=store), LINE)
    hit = {"tts_cache.result": "hit"}
    assert (SENTENCE | hit, 2) in told.points("tts_cache.sentences")
    assert [(COMMON, 1)] == told.points("tts_cache.stored")


async def test_a_tag_and_the_model_in_force_are_told(told: Told) -> None:
    """A tag is an attribute, and so is a model that was changed in mid-call."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        await bot.update_settings(model="other")
        with tts.cache_control(tag="greeting"):
            await bot.speak(LINE)
            await bot.until_quiet()
    ((attributes, _),) = told.points("tts_cache.sentences")
    more = {"tts_cache.tag": "greeting", "gen_ai.request.model": "other"}
    assert COMMON | more | {"tts_cache.result": "miss"} == attributes


async def test_a_namespace_is_told_only_if_asked_for(told: Told) -> None:
    """It may be a person's."""
    for option in ("on", "namespace"):
        tts = CachedInline(
            cache_backend=MemoryCacheBackend(), cache_namespace="anna", cache_telemetry=option
        )
        await say(tts, LINE)
    points = told.points("tts_cache.stored")
    assert [None, "anna"] == [attributes.get("tts_cache.namespace") for attributes, _ in points]


async def test_nothing_is_told_if_it_is_switched_off(told: Told) -> None:
    """Nor where there is no store, nor of what is only prepared."""
    store = MemoryCacheBackend()
    await say(CachedInline(cache_backend=store, cache_telemetry="off"), LINE)
    await say(CachedInline(), LINE)
    await warm(lambda: CachedInline(cache_backend=store), ["Two is there."])
    assert {} == told.metrics()


async def test_nothing_personal_is_told(told: Told) -> None:
    """No text, key, secret, context or namespace is in what is collected."""
    tts = CachedInline(
        cache_backend=MemoryCacheBackend(), cache_namespace="anna", cache_secret="sesame"
    )
    await say(tts, LINE, LINE)
    collected = str([metric.data for metric in told.metrics().values()])
    assert "tts_cache.result" in collected
    for secret in ("here", "anna", "sesame"):
        assert secret not in collected


async def test_attributes_take_no_room_without_end(told: Told) -> None:
    """Beyond a bound, names of tags and namespaces are told as one, over all services."""
    for number in range(1100):
        stats = CacheStats()
        meter = telemetry.Meter(stats, store="x", namespace=f"n{number}")
        stats.listeners.append(meter.hear)
        stats.miss(1, tag=f"call {number}")
    points = told.points("tts_cache.sentences")
    tags = {attributes["tts_cache.tag"] for attributes, _ in points}
    namespaces = {attributes["tts_cache.namespace"] for attributes, _ in points}
    assert (101, 1001) == (len(tags), len(namespaces))
    assert {"(other)"} <= tags & namespaces
    assert 1100 == sum(number for _, number in points)


def test_without_opentelemetry_nothing_happens() -> None:
    """A bot speaks and counts as usual where neither its API nor its SDK is installed."""
    code = """
import asyncio, sys
for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.metrics", "opentelemetry.trace"):
    sys.modules[name] = None
from loguru import logger
logger.remove()
logger.add(sys.stdout, level="WARNING", format="{message}")
from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from tests.cached_scripted import CachedInline

async def main():
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_telemetry="namespace")
    async with running(tts) as bot:
        for _ in range(2):
            await bot.speak("One is here.")
            await bot.until_quiet()
    print((await tts.get_cache_stats())["hits"])

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "1") == (done.returncode, done.stdout.strip()), done.stderr
