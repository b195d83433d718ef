#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Copies of what is behind: made after the answer, and never of what is gone.

A look-up reads an utterance, and some time later a copy of it is put into the levels before. What
happens in between — a delete, a clear, another utterance in its place — spoils the copy, so that it
is not made. What is being changed waits for copies that are being written right now.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.errors import BackendError

Scope = tuple[str | None, str | None]
"""What is changed: a namespace and a digest; without a digest all of the namespace; without either
everything. A `CacheKey` is one."""

EVERYTHING: Scope = (None, None)
_MAX_PENDING = 1000
_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 30.0
_CLOSE_SECONDS = 2.0


def is_in(key: CacheKey, scopes: Iterable[Scope]) -> bool:
    """Tell whether a key is in one of some scopes.

    Args:
        key: The key.
        scopes: The scopes, as a set or a dict.

    Returns:
        Whether it is.
    """
    return bool(scopes) and (
        key in scopes or (key.namespace, None) in scopes or EVERYTHING in scopes
    )


class Reading:
    """A look-up whose answer may be copied.

    Parameters:
        key: What was looked up.
        is_spoilt: Whether the answer may not be copied any more.
    """

    __slots__ = ("is_spoilt", "key")

    def __init__(self, key: CacheKey, *, is_spoilt: bool) -> None:
        self.key = key
        self.is_spoilt = is_spoilt


class Copies:
    """The copies that are under way.

    Parameters:
        skipped: Copies not made because too many were under way.
        is_closed: Whether the store is closed.
    """

    def __init__(self, most: int) -> None:
        """Begin without any.

        Args:
            most: The most copies to make at a time.
        """
        self.skipped = 0
        self.is_closed = False
        self._most = most
        self._readings: set[Reading] = set()
        self._tasks: dict[asyncio.Task[None], Reading] = {}
        self._changing: Counter[Scope] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, key: CacheKey) -> Reading:
        """Note that a key is being read, before it is.

        Args:
            key: The key.

        Returns:
            What to hand to `end`.

        Raises:
            BackendError: If the store is closed.
        """
        self.check_open()
        self._enter_loop()
        reading = Reading(key, is_spoilt=is_in(key, self._changing))
        self._readings.add(reading)
        return reading

    def end(
        self, reading: Reading, copy: Callable[[Reading], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        """Note that a key was read, and make copies of what was found, behind the answer.

        Args:
            reading: What `begin` returned.
            copy: Makes the copies, as long as the reading is not spoilt.
        """
        if copy is None or reading.is_spoilt or self.is_closed or self._is_copying(reading.key):
            self._readings.discard(reading)
        elif len(self._tasks) >= self._most:
            self._readings.discard(reading)
            self.skipped += 1
        else:
            task = asyncio.create_task(copy(reading))
            self._tasks[task] = reading
            task.add_done_callback(self._copied)

    def spoil(self, scopes: Iterable[Scope]) -> None:
        """Let no copy be made of what was read up to now.

        Args:
            scopes: What was changed, as a set or a dict.
        """
        for reading in self._readings:
            if is_in(reading.key, scopes):
                reading.is_spoilt = True

    async def settle(self, scopes: Iterable[Scope]) -> None:
        """Wait until no spoilt copy is being written any more.

        Args:
            scopes: What was changed, as a set or a dict.
        """
        writing = [task for task, reading in self._tasks.items() if is_in(reading.key, scopes)]
        if writing:
            await asyncio.wait(writing)

    @asynccontextmanager
    async def changing(self, scopes: Iterable[Scope]) -> AsyncGenerator[None]:
        """Change something, while nobody makes copies of it.

        Args:
            scopes: What is changed.

        Yields:
            Once no copy of it is being written any more.

        Raises:
            BackendError: If the store is closed.
        """
        self.check_open()
        self._enter_loop()
        changed = set(scopes)
        self._changing.update(changed)
        self.spoil(changed)
        try:
            await self.settle(changed)
            yield
        finally:
            self._changing.subtract(changed)
            self._changing = +self._changing

    def check_open(self) -> None:
        """See to it that nothing is asked of a store that is closed.

        Raises:
            BackendError: If it is closed.
        """
        if self.is_closed:
            raise BackendError("the tiered store is closed")

    async def close(self) -> None:
        """Make no copies any more, and end those that are under way."""
        self._enter_loop()
        self.is_closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    def _is_copying(self, key: CacheKey) -> bool:
        return any(each.key == key and not each.is_spoilt for each in self._tasks.values())

    def _copied(self, task: asyncio.Task[None]) -> None:
        reading = self._tasks.pop(task, None)
        if reading is not None:
            self._readings.discard(reading)
        if not task.cancelled():
            task.exception()

    def _enter_loop(self) -> None:
        """Forget what an event loop left undone that is no more."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._readings.clear()
            self._tasks.clear()
            self._changing.clear()


class Drops:
    """What was removed behind a level by others, until it is dropped from that level, too."""

    def __init__(self, drop: Callable[[Scope], Coroutine[Any, Any, None]]) -> None:
        """Begin without any.

        Args:
            drop: Drops something from the level. It is called again if it raises `BackendError`.
        """
        self._drop = drop
        self._pending: dict[Scope, int] = {}
        self._serial = 0
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, scope: Scope) -> None:
        """Drop something soon, and say that it is gone as from now.

        Args:
            scope: What to drop.
        """
        if len(self._pending) >= _MAX_PENDING:
            self._pending.clear()
            scope = EVERYTHING
        self._serial += 1
        self._pending[scope] = self._serial
        if self._task is None or self._task.done() or _is_of_another_loop(self._task):
            self._task = asyncio.create_task(self._run())

    def covers(self, key: CacheKey) -> bool:
        """Tell whether a key is still to be dropped, so that what the level says is not true.

        Args:
            key: The key.

        Returns:
            Whether it is.
        """
        return is_in(key, self._pending)

    async def close(self) -> None:
        """Drop nothing any more."""
        task, self._task = self._task, None
        if task is not None and not _is_of_another_loop(task):
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE_SECONDS)

    async def _run(self) -> None:
        wait = _RETRY_SECONDS
        while self._pending:
            scope, serial = next(iter(self._pending.items()))
            try:
                await self._drop(scope)
            except BackendError:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _MAX_RETRY_SECONDS)
                continue
            wait = _RETRY_SECONDS
            if self._pending.get(scope) == serial:
                del self._pending[scope]


def _is_of_another_loop(task: asyncio.Task[None]) -> bool:
    return task.get_loop() is not asyncio.get_running_loop()
