#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Hits and misses are metrics that Pipecat's observers see, beside the turn and at no cost."""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import TTSUsageMetricsData
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.observers.loggers.metrics_log_observer import MetricsLogObserver
from pipecat.observers.service_metrics_observer import ServiceMetricsObserver
from pipecat.observers.user_bot_latency_observer import UserBotLatencyObserver

from pipecat_tts_cache import (
    MemoryCacheBackend,
    SavingsLedger,
    TTSCacheMetricsData,
    TTSCacheMixin,
)
from pipecat_tts_cache.testing import driver
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.view import differences
from tests.cached_scripted import CACHED_SCRIPTED, CachedInline

LINE = "One is here."
KINDS = [kind for kind in CACHED_SCRIPTED if kind != "endless"]


def told(bot: Bot) -> list[TTSCacheMetricsData]:
    """List what left the service."""
    return [
        data
        for frame in bot.frames
        if isinstance(frame, MetricsFrame)
        for data in frame.data
        if isinstance(data, TTSCacheMetricsData)
    ]


async def said_twice(tts: TTSCacheMixin, **params: Any) -> Bot:
    async with running(tts, **params) as bot:
        for _ in range(2):
            await bot.speak(LINE)
            await bot.until_quiet()
    return bot


@pytest.mark.parametrize("kind", KINDS)
async def test_a_miss_and_a_hit_are_told(kind: str) -> None:
    """Each sentence that is looked up is told once, with what an observer needs."""
    tts = CACHED_SCRIPTED[kind](cache_backend=MemoryCacheBackend())
    miss, hit = told(await said_twice(tts))
    stats = await tts.get_cache_stats()
    expected = {"processor": tts.name, "model": "scripted", "tag": None}
    expected["characters"] = stats["characters_from_cache"]
    live = expected | {"hit": False, "seconds": None, "lookup_seconds": None}
    assert live == miss.model_dump()
    assert hit.lookup_seconds is not None
    replayed = {"seconds": stats["seconds_from_cache"], "lookup_seconds": hit.lookup_seconds}
    assert expected | {"hit": True} | replayed == hit.model_dump()


async def test_what_is_told_holds_no_text() -> None:
    """Neither the sentence nor its key is in the metrics."""
    bot = await said_twice(CachedInline(cache_backend=MemoryCacheBackend()))
    assert 2 == len(told(bot))
    assert "here" not in str(told(bot))
    assert set(TTSCacheMetricsData.model_fields) == {
        "processor", "model", "hit", "characters", "seconds", "lookup_seconds", "tag",
    }  # fmt: skip


async def test_the_tag_of_a_block_is_told() -> None:
    """What is counted under a tag is told with it."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        with tts.cache_control(tag="greeting"):
            await bot.speak(LINE)
            await bot.until_quiet()
    assert ["greeting"] == [data.tag for data in told(bot)]


async def test_a_model_is_the_one_in_force() -> None:
    """After a change in mid-call, the new one is told."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        await bot.speak(LINE)
        await bot.update_settings(model="other")
        await bot.speak(LINE)
        await bot.until_quiet()
    assert ["scripted", "other"] == [data.model for data in told(bot)]


@pytest.mark.parametrize(
    ("metrics", "usage", "expected"),
    [(True, True, 2), (True, False, 2), (False, True, 2), (False, False, 0)],
)
async def test_nothing_is_told_without_metrics(metrics: bool, usage: bool, expected: int) -> None:
    """Only a pipeline that has metrics, or usage metrics, is told."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    bot = await said_twice(tts, enable_metrics=metrics, enable_usage_metrics=usage)
    assert expected == len(told(bot))


async def test_nothing_is_told_by_a_service_without_metrics() -> None:
    """As with Pipecat's own metrics."""

    class Silent(CachedInline):
        def can_generate_metrics(self) -> bool:
            return False

    assert [] == told(await said_twice(Silent(cache_backend=MemoryCacheBackend())))


async def test_nothing_is_told_without_a_store() -> None:
    """What is not looked up is neither hit nor miss."""
    assert [] == told(await said_twice(CachedInline()))


async def test_a_hit_has_no_usage() -> None:
    """Pipecat's usage metrics count what the provider was asked for, and nothing else."""
    bot = await said_twice(CachedInline(cache_backend=MemoryCacheBackend()))
    usage = [
        data.value
        for frame in bot.frames
        if isinstance(frame, MetricsFrame)
        for data in frame.data
        if isinstance(data, TTSUsageMetricsData)
    ]
    assert [len(LINE)] == usage


@pytest.mark.parametrize("kind", KINDS)
async def test_the_frames_of_a_turn_are_as_they_were(kind: str) -> None:
    """With metrics and without, what else leaves the service is the same, in the same order."""
    views = []
    for enabled in (True, False):
        store = MemoryCacheBackend()
        for _ in range(2):
            tts = CACHED_SCRIPTED[kind](cache_backend=store)
            options = {"enable_metrics": enabled, "enable_usage_metrics": enabled}
            async with running(tts, **options) as bot:
                await bot.llm_turn("One is here. Two is there. Three is away.")
                views.append(await bot.until_quiet())
    cold, warm, cold_without, warm_without = views
    assert [] == differences(cold_without, cold)
    assert [] == differences(warm_without, warm)


async def test_all_is_told_before_the_end() -> None:
    """A service that ends has told what was counted just before, and leaves no task behind."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        tts._tts_cache_book.stats.hit(len(LINE), 1.0)
        await tts._tts_cache_teller.close()
        assert [True] == [data.hit for data in told(bot)]
        tts._tts_cache_book.stats.hit(len(LINE), 1.0)
        await bot.cancel()
    assert set() == tts._tts_cache_teller._metrics._pushes
    assert [] == [task for task in asyncio.all_tasks() if "tts_cache_metrics" in task.get_name()]


async def test_what_goes_wrong_in_telling_stays_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, without texts, and speech, statistics and other listeners go on."""
    ledger = SavingsLedger()
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_ledger=ledger)
    monkeypatch.setattr(tts._tts_cache_teller._metrics, "_service", None)
    bot = await said_twice(tts)
    assert [] == told(bot)
    assert (1, len(LINE)) == (
        (await tts.get_cache_stats())["hits"],
        ledger.report().total.characters,
    )
    (said,) = (text for text in caplog.messages if "telling others" in text)
    assert "AttributeError" in said
    assert LINE not in said


# Pipecat's observers


class _Watching(BaseObserver):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[TTSCacheMetricsData] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, MetricsFrame) and isinstance(data.source, TTSCacheMixin):
            self.seen += [each for each in data.frame.data if type(each) is TTSCacheMetricsData]


async def watched(
    monkeypatch: pytest.MonkeyPatch, observers: Sequence[BaseObserver], **options: Any
) -> None:
    """Say a line twice with observers."""
    make = driver.PipelineWorker

    def observed(*args: Any, **kwargs: Any) -> Any:
        return make(*args, **{**kwargs, **options, "observers": list(observers)})

    monkeypatch.setattr(driver, "PipelineWorker", observed)
    await said_twice(CachedInline(cache_backend=MemoryCacheBackend()))


async def test_an_observer_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it sees Pipecat's own metrics."""
    watching = _Watching()
    await watched(monkeypatch, [watching])
    assert [False, True] == [data.hit for data in watching.seen]


async def test_observers_of_pipecat_take_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log shows them; those that do not know them let them pass, and nothing fails."""
    caplog.set_level("DEBUG")
    observers = [MetricsLogObserver(), ServiceMetricsObserver(), UserBotLatencyObserver()]
    await watched(monkeypatch, observers, enable_rtvi=True)  # which has an observer of its own
    shown = [text for text in caplog.messages if "METRICS" in text and "hit=" in text]
    assert ["hit=False characters=12", "hit=True characters=12"] == [
        re.findall(r"hit=\w+ characters=\d+", text)[0] for text in shown
    ]
    assert [] == [each.getMessage() for each in caplog.records if each.levelno > logging.INFO]
