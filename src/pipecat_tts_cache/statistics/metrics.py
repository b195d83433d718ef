#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Hits and misses as metrics that Pipecat's observers see."""

import asyncio

from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import MetricsData
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.statistics.stats import Counted


class TTSCacheMetricsData(MetricsData):
    """A sentence that was looked up. What it costs is told by Pipecat's own usage metrics.

    Parameters:
        processor: The name of the service.
        model: The model in force, if it has one.
        hit: Whether the sentence is replayed.
        characters: Length of its text.
        seconds: Length of the audio that is replayed, in seconds; None if it is spoken live.
        lookup_seconds: How long the look-up took that found it; None if none did.
        tag: What it is counted under by a `CacheControl`.
    """

    hit: bool
    characters: int
    seconds: float | None = None
    lookup_seconds: float | None = None
    tag: str | None = None


class MetricsPusher:
    """Pushes what a service counts, where its pipeline has metrics."""

    def __init__(self, service: TTSService) -> None:
        """Push for a service.

        Args:
            service: The service.
        """
        self._service = service
        self._pushes: set[asyncio.Task[None]] = set()

    def hear(self, counted: Counted | None) -> None:
        """Push a sentence that was counted, soon: who counts does not wait.

        Args:
            counted: The sentence; None is for others.
        """
        service = self._service
        wanted = service.metrics_enabled or service.usage_metrics_enabled
        if counted is None or not (wanted and service.can_generate_metrics()):
            return
        data = TTSCacheMetricsData(
            processor=service.name,
            model=counted.model,
            hit=counted.hit,
            characters=counted.characters,
            seconds=counted.seconds,
            lookup_seconds=counted.lookup_seconds,
            tag=counted.tag,
        )
        frame = MetricsFrame(data=[data])
        push = service.create_task(service.push_frame(frame), "tts_cache_metrics")
        self._pushes.add(push)
        push.add_done_callback(self._pushes.discard)

    async def close(self) -> None:
        """Wait until what was counted is pushed."""
        if self._pushes:
            await asyncio.wait(list(self._pushes))
