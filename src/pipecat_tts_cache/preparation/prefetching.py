#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a bot is likely to say next, prepared in the background of a call.

One line at a time, by a twin of the service, and only while the service asks its provider for
nothing. When it is about to, what is being prepared is broken off and comes back later; but if a
listener hears it already, it goes on.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from loguru import logger

from pipecat_tts_cache.control import CacheControl
from pipecat_tts_cache.preparation.headless import HeadlessVoice, headless
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.outcomes import Outcome
from pipecat_tts_cache.preparation.rehearsal import Rehearsal
from pipecat_tts_cache.preparation.studio import Booth
from pipecat_tts_cache.preparation.twin import Twins, control_in_force
from pipecat_tts_cache.preparation.warming import Terms, say_line

if TYPE_CHECKING:
    from pipecat_tts_cache.mixin import TTSCacheMixin

_MOST_LINES = 32
_ATTEMPTS = 3
_LOOK_SECONDS = 0.05
_LINE_SECONDS = 60.0
_STOP_SECONDS = 5.0
_IDLE_SECONDS = 30.0


@dataclass(eq=False, slots=True)
class _Wish:
    """A line that is to be prepared.

    Parameters:
        line: The line.
        as_turn: Whether it is what a language model writes.
        control: How the cache is to treat it.
        attempts: How often it has been broken off.
    """

    line: Line
    as_turn: bool
    control: CacheControl
    attempts: int = 0

    def is_like(self, other: "_Wish") -> bool:
        return (self.line, self.as_turn, self.control, self.line.options) == (
            other.line,
            other.as_turn,
            other.control,
            other.line.options,
        )

    def can_be_said_by(self, twins: Twins, first: "_Wish") -> bool:
        """Whether a twin that was made for another line is right for it."""
        alike = (self.control, self.line.options) == (first.control, first.line.options)
        return alike and twins.hold


class Prefetcher:
    """The lines that one service is to have prepared."""

    def __init__(self, service: "TTSCacheMixin") -> None:
        """Start with none.

        Args:
            service: The service.
        """
        self._service = service
        self._wishes: deque[_Wish] = deque()
        self._current: _Wish | None = None
        self._twin: TTSCacheMixin | None = None
        self._work: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._disturbed = asyncio.Event()
        self._running = False
        self._closed = False
        self._has_complained = False

    def ask(self, lines: Iterable[Line], *, as_turns: bool) -> None:
        """Note lines that are to be prepared. The oldest are let go where there are too many.

        Args:
            lines: The lines.
            as_turns: Whether they are what a language model writes.
        """
        control = control_in_force(self._service)
        for line in lines:
            wish = _Wish(line, as_turns, control)
            if self._closed or control.bypass or not self._service._tts_cache_book.options.active:
                self._drop(1)
            elif not any(wish.is_like(each) for each in [*self._wishes, self._current] if each):
                self._wishes.append(wish)
                if len(self._wishes) > _MOST_LINES:
                    self._wishes.popleft()
                    self._drop(1)
        self._go()

    def begin(self) -> None:
        """Note that the service has been started."""
        self._running = True
        self._go()

    def give_way(self) -> None:
        """Break off what is being prepared, as live speech is about to ask the provider."""
        if self._current is not None and not self._is_followed():
            self._disturbed.set()

    async def close(self) -> None:
        """Stop, and leave nothing behind."""
        self._closed = True
        self._drop(len(self._wishes))
        self._wishes.clear()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def _go(self) -> None:
        self._news.set()
        if self._running and self._wishes and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._run(), name="tts_cache_prefetch")

    def _drop(self, count: int) -> None:
        self._service._tts_cache_book.stats.prefetch_dropped += count

    async def _run(self) -> None:
        while self._wishes:
            await self._quiet()
            try:
                await self._say_some(self._wishes[0])
            except Exception as error:
                self._complain(error)
                self._drop(len(self._wishes))
                self._wishes.clear()

    async def _say_some(self, first: _Wish) -> None:
        """Have a twin say lines, until it is not needed any more, or not the right one."""
        twins = Twins(self._service, control=first.control)
        twin = self._twin = cast("TTSCacheMixin", twins(**first.line.options))
        twin._tts_cache_book.rehearsal = Rehearsal()
        try:
            async with headless(twin, sample_rate=twins.sample_rate) as voice:
                while await self._next_comes():
                    if not self._wishes[0].can_be_said_by(twins, first):
                        return
                    await self._say(self._wishes.popleft(), voice, twin)
                    if voice.is_spent or not twin._tts_cache.live.flight.settled:
                        return  # what still comes of it could be taken for the next line
        finally:
            self._twin = None

    async def _next_comes(self) -> bool:
        """Wait until a line may be said, or none has come for a while."""
        if not self._wishes:
            self._news.clear()
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                return False
        await self._quiet()
        return bool(self._wishes)

    async def _quiet(self) -> None:
        """Wait until the service asks its provider for nothing."""
        while not self._is_quiet():  # noqa: ASYNC110 - what it depends on has many places
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_quiet(self) -> bool:
        conductor = self._service._tts_cache
        flight, turns = conductor.live.flight, conductor.turns
        if flight or flight.waiting or any(not turn.ended for turn in turns.values()):
            return False
        return all(context_id in turns for context_id in self._service.get_audio_contexts())

    async def _say(self, wish: _Wish, voice: HeadlessVoice, twin: "TTSCacheMixin") -> None:
        """Have a line said, and note what came of it."""
        stats, spent = self._service._tts_cache_book.stats, twin._tts_cache_book.stats
        paid = spent.characters_synthesized
        self._current = wish
        self._disturbed.clear()
        try:
            outcome = await self._unless_disturbed(self._saying(wish, voice, twin), voice)
        except BaseException:
            self._drop(1)
            raise
        finally:
            self._current = None
            stats.characters_prefetched += spent.characters_synthesized - paid
        wish.attempts += spent.characters_synthesized > paid
        if outcome is not None and outcome.warm:
            stats.prefetched += outcome.spoken
        elif self._disturbed.is_set() and wish.attempts < _ATTEMPTS:
            self._wishes.appendleft(wish)
        else:
            self._drop(1)

    def _saying(
        self, wish: _Wish, voice: HeadlessVoice, twin: "TTSCacheMixin"
    ) -> Coroutine[Any, Any, Outcome]:
        terms = Terms(1, wish.as_turn, None, _LINE_SECONDS)
        rehearsal = Rehearsal(refresh=wish.control.refresh)
        return say_line(Booth(twin, voice), rehearsal, wish.line, terms)

    async def _unless_disturbed(
        self, saying: Coroutine[Any, Any, Outcome], voice: HeadlessVoice
    ) -> Outcome | None:
        """Let a line be said, and broken off when live speech is about to ask the provider."""
        said = asyncio.create_task(saying)
        disturbed = asyncio.create_task(self._disturbed.wait())
        try:
            await asyncio.wait({said, disturbed}, return_when=asyncio.FIRST_COMPLETED)
            if not said.done():
                await voice.interrupt()
                await asyncio.wait({said}, timeout=_STOP_SECONDS)
        finally:
            said.cancel()
            disturbed.cancel()
            await asyncio.gather(said, disturbed, return_exceptions=True)
        return None if said.cancelled() else said.result()

    def _is_followed(self) -> bool:
        """Whether a listener hears what is being prepared."""
        under_way = () if self._twin is None else self._twin._tts_cache.live.flight
        return any(each.leading is not None and each.leading.followers for each in under_way)

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            why = str(error) if isinstance(error, RuntimeError) else type(error).__name__
            logger.warning(f"{self._service}: nothing is prefetched: {why}")
