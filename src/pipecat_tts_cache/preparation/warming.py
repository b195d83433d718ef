#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech prepared before it is needed.

The lines go the whole way that live speech goes, in a pipeline that nobody hears: see `headless`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Any, cast

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.checks import (
    check_bool,
    check_callable,
    check_positive_int,
    check_seconds,
)
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.preparation.headless import PipelineEndedError
from pipecat_tts_cache.preparation.lines import Line, as_lines
from pipecat_tts_cache.preparation.outcomes import Outcome, Unprepared, Warmed
from pipecat_tts_cache.preparation.rehearsal import Rehearsal, Standing
from pipecat_tts_cache.preparation.studio import Booth, Studio
from pipecat_tts_cache.statistics.stats import Bypass, NotStored

__all__ = ["Line", "Outcome", "ServiceFactory", "Warmed", "is_warm", "warm"]

ServiceFactory = Callable[..., TTSService]
_IDLE_SECONDS = 1.0
_MOST_TIMEOUTS = 3
"""In a row; then a voice is given up, as each costs the time that a line may take."""

Progress = Callable[[int, int, Outcome], None]


async def warm(
    service_factory: ServiceFactory,
    lines: Iterable[str | Line],
    *,
    concurrency: int = 5,
    as_turns: bool = False,
    sample_rate: int | None = None,
    refresh: bool = False,
    line_timeout: float = 60.0,
    progress: Progress | None = None,
) -> Warmed:
    """Fill a store with speech, under exactly the keys that live speech uses.

    Lines that are there already are left alone, so what was broken off goes on where it was when it
    is started again.

    Args:
        service_factory: Makes a service behind `TTSCacheMixin`, with a store, as the bot makes it.
            It is called up to `concurrency` times for each voice, with the options of its lines.
        lines: What to say. What comes twice is said once.
        concurrency: How many to say at a time, each with a service of its own.
        as_turns: Whether the lines are what a language model writes, to be looked up sentence by
            sentence; by default each is one, as in a `TTSSpeakFrame`.
        sample_rate: Of the bot's audio output, in Hz, if it sets `audio_out_sample_rate`; it is
            part of the key. None for Pipecat's default.
        refresh: Whether to say what is there, too, and replace it.
        line_timeout: Seconds that a line may take.
        progress: Called after each line with how many are done, how many there are, and what came
            of this one.

    Returns:
        What came of each line.

    Raises:
        RuntimeError: If a service cannot be started.
        TimeoutError: If it does not start within half a minute.
        TypeError: If the factory does not make such a service, or an argument has the wrong type.
        ValueError: If the service has no store or is in a pipeline already, or an argument makes no
            sense.
    """
    terms = Terms(concurrency, as_turns, sample_rate, line_timeout)
    return await _rehearse(
        service_factory, lines, terms, speaks=True, refresh=refresh, progress=progress
    )


async def is_warm(
    service_factory: ServiceFactory,
    lines: Iterable[str | Line],
    *,
    as_turns: bool = False,
    sample_rate: int | None = None,
    line_timeout: float = 60.0,
) -> Warmed:
    """Find out what is in the store; nothing is spoken, and nothing counts as used.

    Args:
        service_factory: As for `warm`.
        lines: What to look for.
        as_turns: As for `warm`.
        sample_rate: As for `warm`.
        line_timeout: Seconds that a line may take.

    Returns:
        What is there and what is not: it is true if everything is.

    Raises:
        RuntimeError: As for `warm`.
        TimeoutError: As for `warm`.
        TypeError: As for `warm`.
        ValueError: As for `warm`.
    """
    terms = Terms(1, as_turns, sample_rate, line_timeout)
    return await _rehearse(service_factory, lines, terms, speaks=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """How lines are said.

    Parameters:
        concurrency: How many at a time.
        as_turns: Whether as an LLM's turns.
        sample_rate: Of the pipelines' output, in Hz; None for Pipecat's default.
        line_timeout: Seconds that a line may take.
    """

    concurrency: int
    as_turns: bool
    sample_rate: int | None
    line_timeout: float

    def __post_init__(self) -> None:
        check_positive_int("concurrency", self.concurrency)
        check_bool("as_turns", self.as_turns)
        check_seconds("line_timeout", self.line_timeout)
        if self.sample_rate is not None:
            check_positive_int("sample_rate", self.sample_rate)


async def _rehearse(
    make: ServiceFactory,
    lines: Iterable[str | Line],
    terms: Terms,
    *,
    speaks: bool,
    refresh: bool = False,
    progress: Progress | None = None,
) -> Warmed:
    check_callable("service_factory", make)
    check_bool("refresh", refresh)
    studio = Studio(
        lambda options: checked_service(make(**options)),
        booths=terms.concurrency,
        sample_rate=terms.sample_rate,
        idle_timeout=_IDLE_SECONDS,
    )

    async def say(line: Line) -> Outcome:
        rehearsal = Rehearsal(speaks=speaks, refresh=refresh)
        async with studio.booth(line.options) as booth:
            return await say_line(booth, rehearsal, line, terms)

    try:
        return await go_through(lines, say, concurrency=terms.concurrency, progress=progress)
    finally:
        await studio.close()


async def go_through(
    lines: Iterable[str | Line],
    say: Callable[[Line], Awaitable[Outcome]],
    *,
    concurrency: int,
    progress: Progress | None = None,
) -> Warmed:
    """Say lines side by side, those of one voice one after the other where that is possible.

    Args:
        lines: What to say. What comes twice is said once.
        say: Says a line.
        concurrency: How many to say at a time.
        progress: As for `warm`.

    Returns:
        What came of each line.

    Raises:
        Exception: What `say` and `progress` raise.
        TypeError: If there are no lines, or `progress` cannot be called.
    """
    if progress is not None:
        check_callable("progress", progress)
    wanted, groups = _sorted_out(lines)
    outcomes: dict[int, Outcome] = {}

    def note(number: int, outcome: Outcome) -> None:
        outcomes[number] = outcome
        if progress is not None:
            progress(len(outcomes), len(wanted), outcome)

    async def work() -> None:
        while groups:
            group = groups[0]
            groups.rotate(-1)  # so that voices are shared out among the workers
            while group.lines:
                number, line = group.lines.popleft()
                note(number, await group.say(line, say))
            if group in groups:
                groups.remove(group)

    workers = [asyncio.create_task(work()) for _ in range(min(concurrency, len(wanted)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return Warmed(outcomes=tuple(outcomes[number] for number in sorted(outcomes)))


@dataclass(eq=False, slots=True)
class _Group:
    """Lines of one voice.

    Parameters:
        lines: Those that are left, with their numbers.
        timeouts: How many have timed out in a row.
    """

    lines: deque[tuple[int, Line]]
    timeouts: int = 0

    async def say(self, line: Line, say: Callable[[Line], Awaitable[Outcome]]) -> Outcome:
        """Say a line, unless it is no use to go on, and note whether it has timed out."""
        if self.timeouts >= _MOST_TIMEOUTS:
            return _unprepared(line, Unprepared.GIVEN_UP)
        outcome = await say(line)
        timed_out = outcome.reasons == (Unprepared.TIMEOUT,)
        self.timeouts = self.timeouts + 1 if timed_out else 0
        return outcome


def _unprepared(line: Line, why: Unprepared | Bypass, *, spoken: bool = False) -> Outcome:
    return Outcome(line=line, warm=False, spoken=spoken, reasons=(why.value,))


async def say_line(booth: Booth, rehearsal: Rehearsal, line: Line, terms: Terms) -> Outcome:
    """Have a line said, or looked for.

    Args:
        booth: Where.
        rehearsal: What to do with it. It must be new.
        line: The line.
        terms: How to say it.

    Returns:
        What came of it.
    """
    book = booth.service._tts_cache_book
    if booth.voice is None:
        return _unprepared(line, Bypass.PIPECAT_CHANGED)
    book.rehearsal = rehearsal
    before = Standing.of(rehearsal, book.stats)
    try:
        await booth.voice.say(line.text, as_turn=terms.as_turns, patience=terms.line_timeout)
        async with asyncio.timeout(terms.line_timeout):  # where Pipecat has given a sentence up
            await cast(Any, booth.service)._tts_cache.live.flight.empty()
        await book.written()
    except TimeoutError:
        return _unprepared(line, Unprepared.TIMEOUT, spoken=rehearsal.speaks)
    except PipelineEndedError:
        return _unprepared(line, Unprepared.PIPELINE_ENDED, spoken=rehearsal.speaks)
    after = Standing.of(rehearsal, book.stats)
    there, missing = after.there - before.there, after.missing - before.missing
    stored, reasons = after.stores - before.stores, after.reasons_since(before)
    spoken = missing + (there if rehearsal.refresh else 0) if rehearsal.speaks else 0
    if not rehearsal.speaks and missing:
        reasons.append(Unprepared.NOT_THERE.value)
    if not (there or missing or reasons):
        failed = booth.voice.has_failed
        reasons.append((NotStored.ERROR if failed else Unprepared.NOTHING_TO_SAY).value)
    if stored < spoken and not reasons:
        reasons.append(Unprepared.NOT_STORED.value)
    return Outcome(line=line, warm=not reasons, spoken=spoken > 0, reasons=tuple(reasons))


def checked_service(service: object, backend: CacheBackend | None = None) -> CacheControls:
    """Check that a factory has made a service that can prepare speech.

    Args:
        service: What it has made.
        backend: The store that it is given if it has none.

    Returns:
        The service.

    Raises:
        TypeError: If it is no service behind `TTSCacheMixin`.
        ValueError: If it has no store or another one, or is in a pipeline already.
    """
    if iscoroutine(service):
        service.close()
        raise TypeError("the factory must be a plain function: it is async, and makes a coroutine")
    if not isinstance(service, CacheControls):
        name = type(service).__name__
        raise TypeError(f"the factory must make a service behind TTSCacheMixin, not {name}")
    tts = cast(TTSService, service)
    if tts.previous or tts.next:
        raise ValueError("the factory must make a new service each time: this one is in a pipeline")
    if backend is not None:
        service._tts_cache_book.use(backend)
    elif service._tts_cache_book.options.backend is None:
        raise ValueError("the factory must make a service with a cache_backend: there is no store")
    return service


def _sorted_out(lines: Iterable[str | Line]) -> tuple[list[Line], deque[_Group]]:
    """Leave out what comes twice, and put together what one service can say."""
    wanted: list[Line] = []
    known: dict[str, list[tuple[Mapping[str, Any], dict[str, tuple[int, Line]]]]] = {}
    for made in as_lines(lines):
        # Options need not be hashable; and different ones may look alike.
        alike = known.setdefault(repr(sorted(made.options.items())), [])
        group = next((group for options, group in alike if options == made.options), None)
        if group is None:
            alike.append((made.options, group := {}))
        if made.text not in group:
            group[made.text] = (len(wanted), made)
            wanted.append(made)
    each = (group.values() for alike in known.values() for _, group in alike)
    return wanted, deque(_Group(deque(group)) for group in each)
