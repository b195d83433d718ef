#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is counted adds up, and what is told is documented."""

import inspect
import json
import re
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import Bypass, MemoryCacheBackend, NotStored, TTSCacheMixin
from pipecat_tts_cache.statistics.stats import CacheStats
from pipecat_tts_cache.testing.driver import running
from tests.cached_scripted import CachedInline

KINDS: dict[str, type | tuple[type, ...]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "dict": dict,
    "dict[str, int]": dict,
    "dict[str, dict]": dict,
    "dict | None": (dict, type(None)),
}


def documented() -> dict[str, str]:
    """Read the fields from the docstring of `get_cache_stats`, each with its type."""
    doc = inspect.getdoc(TTSCacheMixin.get_cache_stats) or ""
    fields: dict[str, str] = {}
    for names, kind in re.findall(r"^ *- ([\w, ]+) \(([^)]+)\):", doc, re.MULTILINE):
        fields |= dict.fromkeys(names.split(", "), kind)
    return fields


def told(stats: CacheStats, **options: Any) -> dict[str, Any]:
    return stats.as_dict(**{"enabled": True, "backend": None, **options})


async def test_every_field_is_documented() -> None:
    """What is told has exactly the fields of the docstring, with their types."""
    for options in ({}, {"cache_backend": MemoryCacheBackend()}):
        stats = await CachedInline(**options).get_cache_stats()
        assert documented().keys() == stats.keys()
        for name, kind in documented().items():
            assert isinstance(stats[name], KINDS[kind]), name
            assert bool is type(stats[name]) if kind == "bool" else True


@pytest.mark.parametrize("reasons", [NotStored, Bypass])
def test_every_reason_is_documented(reasons: type[StrEnum]) -> None:
    """Each reason is explained where it is defined, once, in alphabetical order."""
    explained = re.findall(r"^ {4}([A-Z_]+): ", inspect.getdoc(reasons) or "", re.MULTILINE)
    assert list(reasons.__members__) == explained
    assert sorted(explained) == explained
    assert [name.lower() for name in explained] == [reason.value for reason in reasons]


def test_nothing_is_counted_at_first() -> None:
    """Before the first sentence everything is zero, and no rate is undefined."""
    stats = told(CacheStats())
    assert {0} == {value for value in stats.values() if type(value) in (int, float)}
    assert ({}, {}, None) == (stats["not_stored"], stats["bypassed"], stats["backend"])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 500))))
def test_everything_adds_up(sentences: list[tuple[bool, int]]) -> None:
    """Requests, rates and characters follow from the sentences."""
    stats = CacheStats()
    for is_hit, characters in sentences:
        if is_hit:
            stats.hit(characters, characters / 16)
        else:
            stats.miss(characters)
    hits = [characters for is_hit, characters in sentences if is_hit]
    everything = sum(characters for _, characters in sentences)
    expected = {
        "hits": len(hits),
        "misses": len(sentences) - len(hits),
        "total_requests": len(sentences),
        "hit_rate": len(hits) / len(sentences) if sentences else 0.0,
        "characters_from_cache": sum(hits),
        "characters_synthesized": everything - sum(hits),
        "character_hit_rate": sum(hits) / everything if everything else 0.0,
        "seconds_from_cache": pytest.approx(sum(hits) / 16),
    }
    actual = told(stats)
    assert expected == {name: actual[name] for name in expected}


def test_the_hit_rate_by_characters_is_that_of_characters() -> None:
    """A long miss weighs more than a short hit."""
    stats = CacheStats()
    stats.hit(10, 1.0)
    stats.miss(90)
    assert (0.5, 0.1) == (told(stats)["hit_rate"], told(stats)["character_hit_rate"])


@pytest.mark.parametrize(
    ("times", "median", "p95"),
    [
        ([], 0.0, 0.0),
        ([0.2], 0.2, 0.2),
        ([0.1, 0.3], 0.2, 0.29),
        ([0.3, 0.1, 0.2], 0.2, 0.29),
        ([n / 100 for n in range(101)], 0.5, 0.95),
        ([0.001] * 99 + [5.0], 0.001, 0.001),
        ([0.001] * 90 + [5.0] * 10, 0.001, 5.0),
    ],
)
def test_the_times_of_look_ups(times: list[float], median: float, p95: float) -> None:
    """Median and 95th percentile are those of the look-ups, in seconds."""
    stats = CacheStats()
    stats.lookup_seconds.extend(times)
    assert pytest.approx(median) == told(stats)["lookup_median_seconds"]
    assert pytest.approx(p95) == told(stats)["lookup_p95_seconds"]


def test_only_the_latest_look_ups_count() -> None:
    """A bot that runs for weeks neither fills the memory nor lives in the past."""
    stats = CacheStats()
    stats.lookup_seconds.extend([9.0] * 5000)
    stats.lookup_seconds.extend([1.0] * 1000)
    assert (1.0, 1.0) == (
        told(stats)["lookup_median_seconds"],
        told(stats)["lookup_p95_seconds"],
    )


def test_reasons_are_plain_strings() -> None:
    """Reasons are counted by name, and only those that occurred are told."""
    stats = CacheStats()
    stats.not_stored[NotStored.EMPTY] += 2
    stats.bypassed[Bypass.TOKENS] += 1
    assert {"empty": 2} == told(stats)["not_stored"]
    assert {"tokens": 1} == told(stats)["bypassed"]
    assert {str} == {type(name) for name in told(stats)["not_stored"]}


async def test_what_is_told_is_a_plain_copy() -> None:
    """Statistics can be written as JSON, and changing them changes nothing."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        for _ in range(2):
            await bot.speak("One is here.")
            await bot.until_quiet()
        stats = await tts.get_cache_stats()
        assert stats == json.loads(json.dumps(stats))
        assert (1, 1, 1) == (stats["hits"], stats["misses"], stats["stores"])
        assert stats["seconds_from_cache"] == stats["seconds_synthesized"] > 0
        for value in stats.values():
            if isinstance(value, dict):
                value.clear()
        assert 1 == (await tts.get_cache_stats())["backend"]["entries"]


def test_tags_without_end_take_no_room_without_end() -> None:
    """Beyond a hundred they are counted together, and those that are known go on."""
    stats = CacheStats()
    for number in range(150):
        stats.miss(10, tag=f"call {number}")
    stats.hit(10, 1.0, tag="call 99")
    assert 101 == len(stats.tags)
    assert (50, 500) == (stats.tags["(other)"].misses, stats.tags["(other)"].characters_synthesized)
    assert (1, 1) == (stats.tags["call 99"].hits, stats.tags["call 99"].misses)
    assert (1, 150) == (stats.hits, stats.misses)
