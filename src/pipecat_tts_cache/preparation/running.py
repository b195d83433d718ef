#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech that is prepared for a service that runs: what is said to it, `Twins` say to nobody."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pipecat_tts_cache.checks import check_bool
from pipecat_tts_cache.control import AS_USUAL
from pipecat_tts_cache.preparation.lines import Line, as_lines
from pipecat_tts_cache.preparation.outcomes import Outcome, Pinned, Warmed
from pipecat_tts_cache.preparation.pinning import Audio, pin, unpin
from pipecat_tts_cache.preparation.prefetching import Prefetcher
from pipecat_tts_cache.preparation.twin import Twins, check_settings
from pipecat_tts_cache.preparation.warming import is_warm, warm
from pipecat_tts_cache.statistics.stats import Bypass

if TYPE_CHECKING:
    from pipecat_tts_cache.mixin import TTSCacheMixin


class Preparation:
    """What a service has prepared, or is to have."""

    def __init__(self, service: "TTSCacheMixin") -> None:
        """Start with nothing.

        Args:
            service: The service.
        """
        self._service = service
        self._prefetcher = Prefetcher(service)

    async def warm(
        self,
        lines: Iterable[str | Line],
        *,
        concurrency: int,
        as_turns: bool,
        sample_rate: int | None,
        refresh: bool,
        line_timeout: float,
        progress: Callable[[int, int, Outcome], None] | None,
    ) -> Warmed:
        """See `TTSCacheMixin.warm`."""
        wanted = self._checked(lines)
        if (reason := self._reason_not_to) is not None:
            return _nothing_of(wanted, reason)
        twins = Twins(self._service, sample_rate=sample_rate)
        return await warm(
            twins,
            wanted,
            concurrency=concurrency,
            as_turns=as_turns,
            sample_rate=twins.sample_rate,
            refresh=refresh or twins.control.refresh,
            line_timeout=line_timeout,
            progress=progress,
        )

    async def is_warm(
        self,
        lines: Iterable[str | Line],
        *,
        as_turns: bool,
        sample_rate: int | None,
        line_timeout: float,
    ) -> Warmed:
        """See `TTSCacheMixin.is_warm`."""
        wanted = self._checked(lines)
        if (reason := self._reason_not_to) is not None:
            return _nothing_of(wanted, reason)
        twins = Twins(self._service, sample_rate=sample_rate)
        return await is_warm(
            twins,
            wanted,
            as_turns=as_turns,
            sample_rate=twins.sample_rate,
            line_timeout=line_timeout,
        )

    async def pin(
        self, line: str | Line, audio: Audio, *, sample_rate: int | None, **how: Any
    ) -> Pinned:
        """See `TTSCacheMixin.pin`."""
        twins = self._twins_for(line, sample_rate)
        return await pin(twins, line, audio, sample_rate=twins.sample_rate, **how)

    async def unpin(self, line: str | Line, *, sample_rate: int | None, **how: Any) -> bool:
        """See `TTSCacheMixin.unpin`."""
        twins = self._twins_for(line, sample_rate)
        return await unpin(twins, line, sample_rate=twins.sample_rate, **how)

    def _twins_for(self, line: str | Line, sample_rate: int | None) -> Twins:
        self._checked([line])
        if self._service._tts_cache_book.options.backend is None:
            raise ValueError("there is no store: give the service a cache_backend")
        return Twins(self._service, control=AS_USUAL, sample_rate=sample_rate)

    def prefetch(self, lines: Iterable[str | Line], *, as_turns: bool) -> None:
        """See `TTSCacheMixin.prefetch`."""
        check_bool("as_turns", as_turns)
        self._prefetcher.ask(self._checked(lines), as_turns=as_turns)

    def begin(self) -> None:
        """Note that the service has been started."""
        self._prefetcher.begin()

    def give_way(self) -> None:
        """Note that live speech is about to ask the provider for something."""
        self._prefetcher.give_way()

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._prefetcher.close()

    def _checked(self, lines: Iterable[str | Line]) -> list[Line]:
        wanted = list(as_lines(lines))
        for line in wanted:
            check_settings(self._service, line.options)
        return wanted

    @property
    def _reason_not_to(self) -> Bypass | None:
        options = self._service._tts_cache_book.options
        if not options.usable:
            return Bypass.PIPECAT_CHANGED
        return None if options.active else Bypass.DISABLED


def _nothing_of(lines: list[Line], reason: Bypass) -> Warmed:
    outcomes = (Outcome(line=line, warm=False, reasons=(reason.value,)) for line in lines)
    return Warmed(outcomes=tuple(outcomes))
