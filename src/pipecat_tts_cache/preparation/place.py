#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where live speech would look for a line."""

from dataclasses import dataclass
from typing import cast

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.checks import (
    check_bool,
    check_callable,
    check_positive_int,
    check_seconds,
)
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.preparation.headless import headless
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.rehearsal import Asked, Rehearsal, Standing
from pipecat_tts_cache.preparation.warming import ServiceFactory, checked_service
from pipecat_tts_cache.statistics.stats import Bypass, NotStored


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a line is kept, or would be.

    Parameters:
        backend: The store.
        asked: Its key, and what its record says of it.
        sample_rate: Of the service that says it, in Hz.
        tells_words: Whether that service tells words with their times.
    """

    backend: CacheBackend
    asked: Asked
    sample_rate: int
    tells_words: bool

    @property
    def key(self) -> CacheKey:
        """Where in the store it is kept."""
        return self.asked.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a bot says a line; it makes a difference for the key.

    Parameters:
        as_turn: Whether it is what a language model writes, not a `TTSSpeakFrame`.
        sample_rate: Of the bot's audio output, in Hz; None for Pipecat's default.
        line_timeout: Seconds that it may take to find out.

    Raises:
        TypeError: If a number or a switch is none.
        ValueError: If a number makes no sense.
    """

    as_turn: bool = False
    sample_rate: int | None = None
    line_timeout: float = 60.0

    def __post_init__(self) -> None:
        check_bool("as_turn", self.as_turn)
        check_seconds("line_timeout", self.line_timeout)
        if self.sample_rate is not None:
            check_positive_int("sample_rate", self.sample_rate)


async def find_place(service_factory: ServiceFactory, line: str | Line, manner: Manner) -> Place:
    """Find out where live speech would look for a line; nothing is spoken or looked up.

    Args:
        service_factory: Makes a service behind `TTSCacheMixin`, with a store, as the bot makes it.
        line: The line.
        manner: How the bot says it.

    Returns:
        The place.

    Raises:
        RuntimeError: If the service cannot be started, or its pipeline ends.
        TimeoutError: If it does not start within half a minute, or the line takes too long.
        TypeError: If the factory does not make such a service, or the line is none.
        UncacheableError: If the line is not for the cache.
        ValueError: If the service has no store or is in a pipeline already, or the line is nothing
            to say, or is looked up in several parts.
    """
    check_callable("service_factory", service_factory)
    wanted = _checked_line(line)
    service = checked_service(service_factory(**wanted.options))
    book = service._tts_cache_book
    if not book.options.usable:
        raise UncacheableError(f"the line is not for the cache: {Bypass.PIPECAT_CHANGED.value}")
    asked: list[Asked] = []
    book.rehearsal = rehearsal = Rehearsal(speaks=False, asked=asked)
    before = Standing.of(rehearsal, book.stats)
    try:
        tts = cast(TTSService, service)
        async with headless(tts, sample_rate=manner.sample_rate) as voice:
            await voice.say(wanted.text, as_turn=manner.as_turn, patience=manner.line_timeout)
            reasons = Standing.of(rehearsal, book.stats).reasons_since(before)
            return _place(service, _only(asked, reasons))
    finally:
        book.rehearsal = None


def _checked_line(line: object) -> Line:
    if not isinstance(line, str | Line):
        raise TypeError(f"a line must be a string or a Line, not {type(line).__name__}")
    return Line(line) if isinstance(line, str) else line


def _place(service: CacheControls, asked: Asked) -> Place:
    backend, tts = service._tts_cache_book.options.backend, cast(TTSService, service)
    return Place(
        backend=cast(CacheBackend, backend),
        asked=asked,
        sample_rate=tts.sample_rate,
        tells_words=not tts._push_text_frames,
    )


def _only(asked: list[Asked], reasons: list[str]) -> Asked:
    """Make sure that a line is looked up as one."""
    # Nothing is looked up, so that the store has not told either.
    reasons = [reason for reason in reasons if reason != NotStored.STORE_FAILED]
    if len(asked) > 1 or (asked and reasons):
        raise ValueError("the line is said in several sentences, each kept by itself: name one")
    if reasons:
        raise UncacheableError(f"the line is not for the cache: {', '.join(reasons)}")
    if not asked:
        raise ValueError("the line is nothing to say")
    return asked[0]
