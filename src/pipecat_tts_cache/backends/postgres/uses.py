#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Uses of entries, noted behind the look-ups and told in batches."""

import asyncio
from collections.abc import Awaitable, Callable

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.errors import BackendError


class Uses:
    """Gathers uses for a while, then hands them on together, in a task of its own.

    What cannot be handed on is kept for the next time, unless there is too much of it.
    """

    def __init__(
        self,
        tell: Callable[[dict[CacheKey, tuple[int, float]]], Awaitable[None]],
        *,
        delay: float = 5.0,
        most: int = 1000,
    ) -> None:
        """Begin with none.

        Args:
            tell: Hands on how often keys were used, and when they were last.
            delay: Seconds to wait for more.
            most: The most keys to gather; uses of further ones go uncounted.
        """
        self._tell = tell
        self._delay = delay
        self._most = most
        self._noted: dict[CacheKey, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = 0

    @property
    def lost(self) -> int:
        """How many uses went uncounted, because they could not be told in time."""
        return self._lost

    def note(self, key: CacheKey, now: float) -> None:
        """Take note of a use.

        Args:
            key: What was used.
            now: When, in seconds since the Unix epoch.
        """
        self._add(key, 1, now)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._timer, self._task = loop, None, None
        if self._timer is None:
            self._timer = loop.call_later(self._delay, self._begin)

    async def flush(self) -> None:
        """Hand on what was gathered.

        Raises:
            BackendError: If that fails. What was gathered is kept.
        """
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._tell(noted)
        except BaseException:
            for key, (number, at) in noted.items():
                self._add(key, number, at)
            raise

    async def close(self) -> None:
        """Hand on what was gathered, if that is possible, and stop."""
        if self._loop is not asyncio.get_running_loop():
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._try()

    def _add(self, key: CacheKey, number: int, at: float) -> None:
        if key not in self._noted and len(self._noted) >= self._most:
            self._lost += number
            return
        before, last = self._noted.get(key, (0, at))
        self._noted[key] = (before + number, max(last, at))

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._try())

    async def _try(self) -> None:
        try:
            await self.flush()
        except BackendError:
            return  # counted by the server; the next use tries again
