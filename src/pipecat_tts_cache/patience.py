#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Waiting for others no longer than a time, whatever they do."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pipecat_tts_cache.errors import BackendError

Answer = TypeVar("Answer")


class Patience:
    """Waits for stores, and turns away from those that do not let themselves be cancelled."""

    def __init__(self) -> None:
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float | None, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for a store no longer than a time.

        Args:
            seconds: How long; None for as long as it takes.
            work: What it does. It gets a task of its own, which is cancelled when time is up.

        Returns:
            What it returns.

        Raises:
            TimeoutError: If it takes longer.
            BackendError: If it cancels itself.
            Exception: What it raises.
        """
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self._abandon(task)  # done or not: nobody asks for its answer any more
            raise
        if not task.done():
            self._abandon(task)
            raise TimeoutError
        if task.cancelled():
            raise BackendError("the store cancelled its own work")
        return task.result()

    async def close(self, *, within: float) -> None:
        """Wait for what was turned away from, all of which was cancelled.

        Args:
            within: Seconds it may take.
        """
        loop = asyncio.get_running_loop()
        late = [task for task in self._abandoned if task.get_loop() is loop]
        if late:
            await asyncio.wait(late, timeout=within)

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
