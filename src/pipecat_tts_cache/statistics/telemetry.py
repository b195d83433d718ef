#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What services count, as OpenTelemetry metrics, where `opentelemetry-api` is installed.

Without it, or without a meter provider, nothing happens. Names and units are after OpenTelemetry's
conventions; no text, key or secret is ever told, and a namespace only if that was asked for.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, Literal

from pipecat_tts_cache.statistics.prices import provider_of
from pipecat_tts_cache.statistics.savings import OTHER, known
from pipecat_tts_cache.statistics.stats import CacheStats, Counted

try:
    from opentelemetry import metrics
except ImportError:
    metrics = None  # type: ignore[assignment]


def _own_version() -> str:
    try:
        return version("pipecat-tts-cache")
    except PackageNotFoundError:
        return ""


Telemetry = Literal["on", "off", "namespace"]
_NAME = "pipecat_tts_cache"
_VERSION = _own_version()  # when this is imported, as it reads a file
_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 1.0)
_LIMITS = {"gen_ai.request.model": 100, "tts_cache.tag": 100, "tts_cache.namespace": 1000}
"""How many values of an attribute a process tells apart, as each is kept until it ends."""
_values: dict[str, dict[str, None]] = {name: {} for name in _LIMITS}


_TOTALS = {
    "stored": ("{sentence}", "Sentences stored."),
    "not_stored": ("{sentence}", "Sentences spoken live and not stored, by reason."),
    "bypassed": ("{sentence}", "Sentences neither looked up nor stored, by reason."),
    "store.errors": ("{error}", "Calls that the store failed at."),
    "store.timeouts": ("{timeout}", "Look-ups and writes that took too long."),
    "lookup.skipped": ("{lookup}", "Look-ups not made, as the store failed before."),
}
"""What a service counts itself: name, unit and description of each instrument."""


def _totals(stats: CacheStats) -> Iterator[tuple[str, str, int]]:
    """Tell what a service has counted: the name of the instrument, the reason, the number."""
    yield "stored", "", stats.stores
    for not_stored, number in stats.not_stored.items():
        yield "not_stored", not_stored.value, number
    for bypass, number in stats.bypassed.items():
        yield "bypassed", bypass.value, number
    yield "store.errors", "", stats.store_errors
    yield "store.timeouts", "", stats.store_timeouts
    yield "lookup.skipped", "", stats.lookups_skipped


class _Instruments:
    """The instruments of this process."""

    def __init__(self, meter: Any) -> None:
        self.sentences = meter.create_counter(
            "tts_cache.sentences", "{sentence}", "Sentences looked up."
        )
        self.characters = meter.create_counter(
            "tts_cache.characters", "{character}", "Length of the texts looked up."
        )
        self.replayed = meter.create_counter("tts_cache.replayed", "s", "Audio replayed.")
        self.lookups = meter.create_histogram(
            "tts_cache.lookup.duration",
            "s",
            "Duration of look-ups.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.totals = {
            name: meter.create_counter(f"tts_cache.{name}", unit, description)
            for name, (unit, description) in _TOTALS.items()
        }


@cache
def instruments() -> Any:
    """Make the instruments, once for all services.

    Returns:
        They, or None where `opentelemetry-api` is not installed.
    """
    if metrics is None:
        return None
    return _Instruments(metrics.get_meter(_NAME, _VERSION))


class Meter:
    """Tells OpenTelemetry what one service counts."""

    def __init__(self, stats: CacheStats, *, store: str, namespace: str | None) -> None:
        """Start with what has been counted so far.

        Args:
            stats: What the service counts.
            store: The class of the store.
            namespace: Its namespace, if that is to be told.
        """
        self._stats = stats
        self._attributes = {
            "gen_ai.provider.name": provider_of(stats.service),
            "tts_cache.store": store,
        }
        if namespace is not None:
            self._attributes |= _attribute("tts_cache.namespace", namespace)
        self._told: Counter[tuple[str, str]] = Counter()
        self._lookups_told = 0

    def hear(self, counted: Counted | None) -> None:
        """Tell what has been counted since the last time.

        Args:
            counted: The sentence that was counted now, if it was one.
        """
        made = instruments()
        if made is None:
            return
        if counted is not None:
            self._tell_sentence(made, counted)
        self._tell_lookups(made)
        self._tell_totals(made)

    def _tell_sentence(self, made: _Instruments, counted: Counted) -> None:
        attributes = {
            **self._attributes,
            **_attribute("gen_ai.request.model", counted.model),
            **_attribute("tts_cache.tag", counted.tag),
        }
        if counted.seconds is not None:
            made.replayed.add(counted.seconds, attributes)
        attributes["tts_cache.result"] = "hit" if counted.hit else "miss"
        made.sentences.add(1, attributes)
        made.characters.add(counted.characters, attributes)

    def _tell_lookups(self, made: _Instruments) -> None:
        new = self._stats.lookups - self._lookups_told
        self._lookups_told = self._stats.lookups
        for seconds in islice(reversed(self._stats.lookup_seconds), new):
            made.lookups.record(seconds, self._attributes)

    def _tell_totals(self, made: _Instruments) -> None:
        for name, reason, number in _totals(self._stats):
            new = number - self._told[name, reason]
            if new > 0:
                self._told[name, reason] = number
                attributes = {"tts_cache.reason": reason} if reason else {}
                made.totals[name].add(new, self._attributes | attributes)


def _attribute(name: str, value: str | None) -> dict[str, str]:
    """Make an attribute, as one of the values that are told apart."""
    if value is None:
        return {}
    values = _values[name]
    told = known(value, values, _LIMITS[name], OTHER)
    values.setdefault(told, None)
    return {name: told}
