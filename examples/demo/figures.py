#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the calls add up to, and whether everything went as it should."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from demo.call import CallRecord
from demo.metered import Take


class Figure(NamedTuple):
    """A row of the end figures.

    Parameters:
        label: What was measured.
        values: One a call, ready to read.
        shares: The same as shares of the longest bar, from 0 to 1; empty to draw none.
    """

    label: str
    values: tuple[str, ...]
    shares: tuple[float, ...] = ()


class Check(NamedTuple):
    """Something that has to be so.

    Parameters:
        claim: What.
        failures: What speaks against it.
    """

    claim: str
    failures: tuple[str, ...]


def figures(calls: Sequence[CallRecord], *, provider_latency: float) -> list[Figure]:
    """Add the calls up.

    Args:
        calls: The calls, in order.
        provider_latency: How much of each live time to first audio is simulated, in seconds.

    Returns:
        The rows, with a value for every call.
    """
    stats = [call.stats for call in calls]
    simulated = f" ({milliseconds(provider_latency)} simulated)" if provider_latency else ""
    return [
        Figure("sentences asked for", tuple(str(each["total_requests"]) for each in stats)),
        _percentages("hit rate, by requests", [each["hit_rate"] for each in stats]),
        _percentages("hit rate, by characters", [each["character_hit_rate"] for each in stats]),
        _times("time to first audio, median", [_wait(call.takes) for call in calls]),
        _times(
            f"  live{simulated}", [_wait(t for t in call.takes if t.live) for call in calls]
        )._replace(shares=()),
        _times("  cached", [_wait(t for t in call.takes if not t.live) for call in calls])._replace(
            shares=()
        ),
        Figure("speech synthesised", _seconds(each["seconds_synthesized"] for each in stats)),
        Figure("speech not synthesised", _seconds(each["seconds_from_cache"] for each in stats)),
    ]


def milliseconds(seconds: float | None) -> str:
    """Write a time: "253 ms", "1.8 ms"."""
    if seconds is None:
        return "-"
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def checks(calls: Sequence[CallRecord], *, was_empty: bool) -> list[Check]:
    """Find out whether all went as it should.

    Args:
        calls: The calls, in order.
        was_empty: Whether the cache was empty before.

    Returns:
        What was checked. Where the store failed, there is nothing to expect of the cache but
        that nobody heard it.
    """
    takes = [take for call in calls for take in call.takes if take.audio]
    found = [
        Check("no errors in the pipeline", tuple(e for call in calls for e in call.errors)),
        _check_context(calls),
    ]
    if not any(store_failures(call) for call in calls):
        found += [_check_hits(takes, was_empty=was_empty), _check_samples(takes)]
    return found


def store_failures(call: CallRecord) -> int:
    """How often the store failed a call, or was not asked because it had failed."""
    reasons = ("store_errors", "store_timeouts", "lookups_skipped")
    return sum(call.stats[reason] for reason in reasons)


def _check_hits(takes: Sequence[Take], *, was_empty: bool) -> Check:
    failures, heard, repeated = [], set[str](), 0
    for take in takes:
        if take.text in heard:
            repeated += 1
            if take.live:
                failures.append(f"synthesised again: {take.text}")
        elif was_empty and not take.live:
            failures.append(f"from an empty cache: {take.text}")
        heard.add(take.text)
    if not repeated:
        failures.append("nothing was said twice")
    return Check(f"all {repeated} repeated sentences came from the cache", tuple(failures))


def _check_samples(takes: Sequence[Take]) -> Check:
    failures, compared = [], 0
    first: dict[str, Take] = {}
    for take in takes:
        original = first.setdefault(take.text, take)
        if original is not take and not take.live:
            compared += 1
            length = min(len(original.audio), len(take.audio))
            whole = original.cut or take.cut or len(original.audio) == len(take.audio)
            if not whole or original.audio[:length] != take.audio[:length]:
                failures.append(f"not the samples of the first time: {take.text}")
    return Check(f"{compared} replays are bit for bit what was said first", tuple(failures))


def _check_context(calls: Sequence[CallRecord]) -> Check:
    failures = [
        f"heard {heard!r}, but the model was told {told!r}"
        for call in calls
        for heard, told in zip(call.heard, call.context, strict=True)
        if heard != told
    ]
    turns = sum(len(call.heard) for call in calls)
    return Check(
        f"the model's context holds the words that were heard, in all {turns} turns",
        tuple(failures),
    )


def _wait(takes: Iterable[Take]) -> float | None:
    waits = [take.wait for take in takes if take.wait is not None]
    return median(waits) if waits else None


def _times(label: str, waits: Sequence[float | None]) -> Figure:
    longest = max((wait for wait in waits if wait is not None), default=0) or 1
    shares = tuple((wait or 0) / longest for wait in waits)
    return Figure(label, tuple(milliseconds(wait) for wait in waits), shares)


def _percentages(label: str, shares: Sequence[float]) -> Figure:
    return Figure(label, tuple(f"{share:.0%}" for share in shares), tuple(shares))


def _seconds(values: Iterable[float]) -> tuple[str, ...]:
    return tuple(f"{value:.1f} s" for value in values)
