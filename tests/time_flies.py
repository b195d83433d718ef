#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""An event loop on which waiting takes no time, for tests without threads and networks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class _Jumping:
    """A selector that lets time pass in place of waiting."""

    def __init__(self, selector: Any) -> None:
        self._selector = selector
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now += timeout
        return self._selector.select(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


@asynccontextmanager
async def flying_time() -> AsyncIterator[Any]:
    """Make the running loop jump to the next thing that is due. Gives the loop."""
    loop: Any = asyncio.get_running_loop()
    waiting, jumping = loop._selector, _Jumping(loop._selector)
    loop._selector, loop.time = jumping, jumping.time
    try:
        yield loop
    finally:
        loop._selector = waiting
        del loop.time
