#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Hits and misses in Pipecat's traces.

Pipecat makes a span "tts" for an audio context, when the service opens it. Some services have it
opened for a whole turn, others open it when they ask their provider: for a sentence that is spoken
live. So what is replayed is noted on the span of its turn, or gets one of its own.
"""

import time
from dataclasses import asdict
from typing import Any

from pipecat.services.tts_service import TTSService
from pipecat.utils.tracing.service_attributes import add_tts_span_attributes

from pipecat_tts_cache.statistics.stats import Counted, Tally

_OURS = "tts_cache"
_NANOSECONDS = 1_000_000_000


class SpanNotes:
    """Notes on the spans of one service what the cache did."""

    def __init__(self, service: TTSService) -> None:
        """Take notes for a service.

        Args:
            service: The service.
        """
        self.context_id: str | None = None
        """The audio context that is spoken in now."""
        self._service = service

    def hear(self, counted: Counted | None) -> None:
        """Note a sentence that was counted.

        Args:
            counted: The sentence; None is for others.
        """
        spans = self._spans
        if counted is None or spans is None:
            return
        entry = spans.get(counted.context_id or self.context_id)
        if entry is not None:
            _note(entry, counted)
        elif counted.hit:
            self._make_span(counted)

    def opened(self, context_id: str, characters: int) -> None:
        """Note that the service has opened a context for one sentence that it speaks live.

        Args:
            context_id: The context.
            characters: Length of the sentence.
        """
        entry = (self._spans or {}).get(context_id)
        if entry is not None:
            _note(entry, Counted(hit=False, characters=characters))

    @property
    def _spans(self) -> dict[str | None, Any] | None:
        """The spans that are open, by audio context; None if the service is not traced."""
        service = self._service
        return getattr(service, "_tts_spans", None) if service._tracing_enabled else None

    def _make_span(self, counted: Counted) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - Pipecat traces, so it is there

        service = self._service
        context = service._tracing_context
        parent = context and (context.get_turn_context() or context.get_conversation_context())
        began = time.time() - (counted.lookup_seconds or 0.0)
        span = trace.get_tracer("pipecat").start_span(
            "tts", context=parent, start_time=int(began * _NANOSECONDS)
        )
        add_tts_span_attributes(
            span=span,
            service_name=type(service).__name__,
            model=counted.model or "unknown",
            voice_id=str(getattr(service._settings, "voice", "unknown")),
        )
        _note({"span": span}, counted)
        span.end()


def _note(entry: dict[str, Any], counted: Counted) -> None:
    """Add a sentence to what a span says."""
    tally: Tally = entry.setdefault(_OURS, Tally())
    tally.count(counted.characters, hit=counted.hit)
    attributes = {f"tts_cache.{name}": number for name, number in asdict(tally).items()}
    attributes["tts_cache.hit"] = not tally.misses
    if tally.misses:  # Pipecat's own count; costs are read off it
        attributes["metrics.character_count"] = tally.characters_synthesized
    entry["span"].set_attributes(attributes)
