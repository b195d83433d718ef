#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Time that passes only while everybody waits: seconds of silence cost a test nothing.

Computing takes no time, so that a slow machine sees what a fast one sees, and a wait ends at once
when nobody has anything to do. What happens outside the event loop is waited for in real time: a
job in a thread, and what is on its way between two sockets of this process.

Another process does not stand still meanwhile. A test that talks to one needs real time.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final
from unittest.mock import patch

LONGEST_STEP: Final = 0.05
"""Seconds that pass at once; in between, what is on its way between two sockets may arrive."""

GRACE: Final = 0.001
"""Real seconds for which sockets are watched before time passes."""

_TICK = 1e-6  # seconds a turn of the loop takes: even who only looks at the clock gets on

_ATTRIBUTE = "_pipecat_tts_cache_simulation"

_real = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "time")}

_at_work = threading.local()


class _Job:
    """What a thread does for the event loop."""

    def __init__(self) -> None:
        self.over = False
        self.waits_for: asyncio.Task[Any] | None = None

    def end(self) -> None:
        """Note that the loop no longer waits for it, and that it has nothing to wait for either."""
        self.over = True
        if self.waits_for:
            self.waits_for.cancel()


class _Simulation:
    """Stands between an event loop and its selector, and keeps the time.

    Args:
        loop: The event loop. It keeps the time that has passed when the simulation is over.
    """

    def __init__(self, loop: Any) -> None:
        self._loop, self._selector = loop, loop._selector
        self._run_in_executor: Callable[..., Any] = loop.run_in_executor
        self._began: float = loop.time()
        self._now = self._began
        self._wall = {name: clock() for name, clock in _real.items()}
        self._jobs: set[_Job] = set()
        self.users = 0

    @property
    def passed(self) -> float:
        """Simulated seconds since the beginning."""
        return float(self._now - self._began)

    def time(self) -> float:
        return float(self._now)

    def read(self, clock: str) -> float:
        """Read one of the clocks of the `time` module."""
        return float(self._wall[clock] + self.passed)

    def select(self, timeout: float | None = None) -> Any:
        """Let time pass in place of waiting, if nobody has anything to do."""
        self._now += _TICK
        ready = self._selector.select(0)
        if ready or timeout == 0:
            return ready
        if self._jobs or timeout is None:
            return self._selector.select(timeout if timeout is None else min(timeout, GRACE))
        if len(self._selector.get_map()) > 1:  # sockets besides the loop's own
            timeout = min(timeout, LONGEST_STEP)
            ready = self._selector.select(GRACE)
        if not ready:
            self._now += timeout
        return ready

    def run_in_executor(self, executor: Any, function: Callable[..., Any], *args: Any) -> Any:
        """Let no time pass before the thread has done its job."""
        job = _Job()

        def work() -> Any:
            _at_work.job = job
            return function(*args)

        def done(_: object) -> None:
            job.end()
            self._jobs.discard(job)

        future = self._run_in_executor(executor, work)
        self._jobs.add(job)
        future.add_done_callback(done)
        return future

    async def pause(self, job: _Job, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run what a job waits for; meanwhile, time may pass."""
        job.waits_for = asyncio.ensure_future(coroutine)
        if job.over:
            job.end()
        self._jobs.discard(job)
        try:
            return await job.waits_for
        finally:
            job.waits_for = None
            if not job.over:
                self._jobs.add(job)

    def begin(self) -> None:
        loop = self._loop
        loop._selector, loop.time, loop.run_in_executor = self, self.time, self.run_in_executor

    def end(self) -> None:
        """Go on in real time, from the time that it is now."""
        loop, ahead = self._loop, self._now - _real["monotonic"]()
        loop._selector, loop.time = self._selector, lambda: _real["monotonic"]() + ahead
        del loop.run_in_executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


def _clocks(simulation: _Simulation) -> Any:
    """Return a patch of the `time` module's clocks."""

    def in_seconds(name: str) -> Callable[[], float]:
        return lambda: simulation.read(name)

    def in_nanoseconds(name: str) -> Callable[[], int]:
        return lambda: round(simulation.read(name) * 1e9)

    clocks: dict[str, Any] = {name: in_seconds(name) for name in _real}
    clocks |= {f"{name}_ns": in_nanoseconds(name) for name in _real}
    return patch.multiple(time, **clocks)


@asynccontextmanager
async def simulated_time() -> AsyncGenerator[asyncio.AbstractEventLoop]:
    """Let time pass only while everybody waits, as long as the block lasts.

    Meanwhile the clocks of the `time` module and of the running event loop tell the simulated
    time. Blocks may be nested; the outermost one counts.

    Yields:
        The event loop.

    Raises:
        TypeError: The event loop is not one of asyncio's own with a selector.
    """
    loop: Any = asyncio.get_running_loop()
    simulation: _Simulation | None = getattr(loop, _ATTRIBUTE, None)
    clocks: Any = nullcontext()
    if simulation is None:
        if not isinstance(loop, asyncio.SelectorEventLoop):
            raise TypeError(f"Time can be simulated on a SelectorEventLoop, not on {loop!r}")
        simulation = _Simulation(loop)
        setattr(loop, _ATTRIBUTE, simulation)
        simulation.begin()
        clocks = _clocks(simulation)
    simulation.users += 1
    try:
        with clocks:
            yield loop
    finally:
        simulation.users -= 1
        if not simulation.users:
            simulation.end()
            delattr(loop, _ATTRIBUTE)


def real_time() -> AbstractAsyncContextManager[asyncio.AbstractEventLoop]:
    """The opposite of `simulated_time`: leaves time alone."""
    return nullcontext(asyncio.get_running_loop())


def wait_for_loop(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Wait in a thread for what an event loop does; if its time is simulated, it may pass.

    When the loop no longer waits for what the thread does, the thread does not wait either.

    Args:
        loop: The event loop, on another thread.
        coroutine: What it is to do.

    Returns:
        The result of the coroutine.

    Raises:
        concurrent.futures.CancelledError: The loop no longer waits for what the thread does.
    """
    simulation: _Simulation | None = getattr(loop, _ATTRIBUTE, None)
    job: _Job | None = getattr(_at_work, "job", None)
    if simulation and job:
        coroutine = simulation.pause(job, coroutine)
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
