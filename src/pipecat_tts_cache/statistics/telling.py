#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Who is told what a service counts: its ledger, Pipecat's observers and traces, OpenTelemetry."""

from collections.abc import Callable
from functools import partial

from loguru import logger
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.statistics.metrics import MetricsPusher
from pipecat_tts_cache.statistics.spans import SpanNotes
from pipecat_tts_cache.statistics.stats import Counted
from pipecat_tts_cache.statistics.telemetry import Meter


class Teller:
    """Tells of one service. What is rehearsed, to fill a store, is nobody's business."""

    def __init__(self, service: TTSService, book: Phrasebook) -> None:
        """Tell of a service from now on.

        Args:
            service: The service.
            book: What it has said before.
        """
        self.spans = SpanNotes(service)
        self._metrics = MetricsPusher(service)
        self._book = book
        self._meter: Meter | None = None
        self._has_failed = False
        listeners = (self._tell_ledger, self._tell_meter, self._metrics.hear, self.spans.hear)
        book.stats.listeners += [partial(self._tell, each) for each in listeners]

    async def close(self) -> None:
        """Wait until all is told."""
        await self._metrics.close()

    def _tell(self, listener: Callable[[Counted | None], None], counted: Counted | None) -> None:
        """Tell one of them; what goes wrong there is not the call's business."""
        if self._book.rehearsal is not None:
            return
        try:
            listener(counted)
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning(
                    f"TTS cache of {self._book.stats.service}: telling others what was counted "
                    f"failed ({type(error).__name__}); get_cache_stats() knows it all the same."
                )

    def _tell_ledger(self, counted: Counted | None) -> None:
        ledger = self._book.options.ledger
        if ledger is not None and counted is not None and counted.hit:
            ledger.add(
                counted.characters,
                service=self._book.stats.service,
                model=counted.model,
                namespace=self._book.options.namespace,
                tag=counted.tag,
            )

    def _tell_meter(self, counted: Counted | None) -> None:
        options = self._book.options
        if options.telemetry == "off" or options.backend is None:
            return
        if self._meter is None:
            self._meter = Meter(
                self._book.stats,
                store=type(options.backend).__name__,
                namespace=options.namespace if options.telemetry == "namespace" else None,
            )
        self._meter.hear(counted)
