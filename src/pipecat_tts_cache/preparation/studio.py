#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services that speak to nobody, each in a pipeline of its own, lent to who has a line to say.

A booth is opened when it is asked for and none of its kind is free, kept for the next line, and
closed when nobody has come for a while, or somebody wants another voice and there are enough.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.preparation.headless import HeadlessVoice, headless

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Booth:
    """A service in a pipeline.

    Parameters:
        service: The service.
        voice: What can be had to speak; None where the service would speak as without the cache.
    """

    service: CacheControls
    voice: HeadlessVoice | None

    @property
    def is_spent(self) -> bool:
        """Whether it cannot be used for another line."""
        return self.voice is not None and self.voice.is_spent


@dataclass(eq=False, slots=True)
class _Guest:
    """Who wants a booth.

    Parameters:
        options: How its service is to be made.
        booth: Comes when there is one.
        left: Set when it is not needed any more.
    """

    options: Options
    booth: asyncio.Future[Booth]
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, booth: Booth) -> None:
        if not self.booth.done():
            self.booth.set_result(booth)

    def refuse(self, error: Exception) -> None:
        if not self.booth.done():
            self.booth.set_exception(error)


@dataclass(eq=False, slots=True)
class _Seat:
    """Where the keeper of a free booth waits.

    Parameters:
        options: How its service was made.
        keeper: Who waits.
        guest: Comes to the next guest; or None when the studio is closed.
    """

    options: Options
    keeper: asyncio.Task[None]
    guest: asyncio.Future[_Guest | None]


class Studio:
    """A number of booths."""

    def __init__(
        self,
        make: Callable[[Options], CacheControls],
        *,
        booths: int,
        sample_rate: int | None,
        idle_timeout: float,
    ) -> None:
        """Open none yet.

        Args:
            make: Makes a service, of options.
            booths: How many may be open at a time.
            sample_rate: Of the pipelines' output, in Hz; None for Pipecat's default.
            idle_timeout: Seconds after which a booth that nobody uses is closed.
        """
        self._make = make
        self._booths = booths
        self._sample_rate = sample_rate
        self._idle_timeout = idle_timeout
        self._keepers: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Guest] = deque()
        self._seats: list[_Seat] = []
        """The booths that are free, the one free for longest first."""

    @asynccontextmanager
    async def booth(self, options: Options) -> AsyncGenerator[Booth, None]:
        """Borrow a booth, when there is one.

        Args:
            options: How its service is to be made.

        Yields:
            The booth.

        Raises:
            Exception: What making the service raises.
            RuntimeError: If the service cannot be started.
            TimeoutError: If it does not start in time.
        """
        guest = _Guest(options, asyncio.get_running_loop().create_future())
        self._admit(guest)
        try:
            yield await guest.booth
        finally:
            guest.left.set()
            with suppress(ValueError):
                self._waiting.remove(guest)

    async def close(self) -> None:
        """Close all booths. Nobody may be in one, or come for one."""
        seats, self._seats = self._seats, []
        for seat in seats:
            seat.guest.set_result(None)
        for keeper in self._keepers - {seat.keeper for seat in seats}:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def _admit(self, guest: _Guest) -> None:
        full = sum(not keeper.done() for keeper in self._keepers) >= self._booths
        alike = (seat for seat in self._seats if seat.options == guest.options)
        any_seat = self._seats[0] if full and self._seats else None
        if (seat := next(alike, any_seat)) is not None:
            self._seats.remove(seat)
            seat.guest.set_result(guest)
        elif full:
            self._waiting.append(guest)
        else:
            keeper = asyncio.create_task(self._keep(guest))
            self._keepers.add(keeper)
            keeper.add_done_callback(self._keepers.discard)

    async def _keep(self, first: _Guest) -> None:
        """Keep a booth, or one after the other, as long as anybody comes."""
        guest: _Guest | None = first
        while guest is not None:
            try:
                async with self._opened(guest.options) as booth:
                    guest = await self._serve(booth, guest)
            except Exception as error:
                if guest is not None:
                    guest.refuse(error)
                guest = None
            guest = guest or self._next(None)

    async def _serve(self, booth: Booth, first: _Guest) -> _Guest | None:
        """Lend a booth until nobody comes for a while, or somebody who wants another one."""
        options, guest, is_new = first.options, first, True
        while guest.options == options and (is_new or not booth.is_spent):
            is_new = False  # the first comes in, come what may: another would be no better
            guest.enter(booth)
            await guest.left.wait()
            following = self._next(options)
            if following is None and not booth.is_spent:
                following = await self._rest(options)
            if following is None:
                return None
            guest = following
        return guest

    def _next(self, options: Options | None) -> _Guest | None:
        """Call who has waited for longest, of those who want this voice if there are any."""
        alike = (each for each in self._waiting if each.options == options)
        guest = next(alike, self._waiting[0] if self._waiting else None)
        if guest is not None:
            self._waiting.remove(guest)
        return guest

    async def _rest(self, options: Options) -> _Guest | None:
        """Wait for a guest, but not for long."""
        keeper = cast("asyncio.Task[None]", asyncio.current_task())
        seat = _Seat(options, keeper, asyncio.get_running_loop().create_future())
        self._seats.append(seat)
        try:
            await asyncio.wait({seat.guest}, timeout=self._idle_timeout)
        finally:
            if seat in self._seats:
                self._seats.remove(seat)
        return seat.guest.result() if seat.guest.done() else None

    @asynccontextmanager
    async def _opened(self, options: Options) -> AsyncGenerator[Booth, None]:
        service = self._make(options)
        if not service._tts_cache_book.options.usable:
            yield Booth(service, None)
            return
        tts = cast(TTSService, service)
        try:
            async with headless(tts, sample_rate=self._sample_rate) as voice:
                yield Booth(service, voice)
        finally:
            service._tts_cache_book.rehearsal = None
