#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A thread with a connection of its own, which does what it is told one job after the other."""

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from pipecat_tts_cache.backends.disk.database import (
    Database,
    DatabaseErrors,
    describe,
    is_damage,
    open_database,
    set_aside,
)
from pipecat_tts_cache.backends.disk.folder import DiskFolder
from pipecat_tts_cache.backends.disk.fork import AtFork
from pipecat_tts_cache.errors import BackendError

MAX_WAITING = 512
"""Jobs that may wait for a thread; what comes on top fails at once."""
_IDLE_AFTER = 1.0
_PATIENCE = 0.9
"""How much of its time a job may wait for other processes: it is not done when it has failed."""
_T = TypeVar("_T")
Work = Callable[[sqlite3.Connection], _T]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What to do, and whom to tell."""

    work: Work[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    deadline: float
    within: float

    def settle(self, result: object, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # its event loop was closed
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


class _Sign(Enum):
    """What else a thread is told."""

    WAKE = auto()
    END = auto()


class TooSlowError(BackendError):
    """A call took too long."""


class Tally(AtFork):
    """Counts what happens, for any number of threads."""

    def __init__(self) -> None:
        """Start from zero."""
        self._counted: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()

    def __getitem__(self, name: str) -> int:
        return self._counted[name]

    def add(self, *names: str) -> None:
        """Count something.

        Args:
            names: What happened.
        """
        with self._lock:
            self._counted.update(names)

    def rest(self) -> None:
        """Count nothing while the process forks."""
        self._lock.acquire()

    def go_on(self) -> None:
        """Go on, in the parent."""
        self._lock.release()

    def begin_anew(self) -> None:
        """Go on, in the child, with what was counted before."""
        self._lock = threading.Lock()


class DiskWorker(AtFork):
    """A thread that has the database open. Any number of event loops may ask it."""

    def __init__(
        self,
        folder: DiskFolder,
        *,
        patience: float,
        idle: Work[None] | None = None,
    ) -> None:
        """Prepare a thread. It starts with the first job.

        Args:
            folder: Where the database is.
            patience: Seconds that it waits for other processes.
            idle: What to do after `wake`, or when it ends.
        """
        self._folder = folder
        self._patience = patience
        self._idle = idle
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._orders: SimpleQueue[_Job | _Sign] = SimpleQueue()
        self._closed = False
        self._awake = False
        self._busy = threading.Lock()
        self._database: Database | None = None
        super().__init__()

    async def ask(self, work: Work[_T], *, within: float) -> _T:
        """Have something done.

        Args:
            work: What to do with the connection.
            within: Seconds it may take, until then it is not begun, or nobody waits for it.

        Returns:
            What `work` returns.

        Raises:
            BackendError: If it fails or takes too long.
        """
        if self._orders.qsize() >= MAX_WAITING:
            raise BackendError(f"{MAX_WAITING} calls are waiting for {self._folder.path} already")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._start()
        self._orders.put(_Job(work, future, loop, time.monotonic() + within, within))
        timer = loop.call_later(within, self._expire, future, within)
        try:
            return cast("_T", await future)
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Have the `idle` work done when there was nothing else to do for a second."""
        if not self._awake:
            self._start()
            self._awake = True
            self._orders.put(_Sign.WAKE)

    def stop(self) -> None:
        """Have the thread end when it has done what it was told."""
        self._closed = True
        if self._thread is not None:
            self._orders.put(_Sign.END)

    async def close(self, *, within: float) -> None:
        """End the thread. Twice does no harm.

        Args:
            within: Seconds to wait for it.
        """
        self.stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, within)

    def rest(self) -> None:
        """Close the database while the process forks."""
        self._busy.acquire()
        self._leave()

    def go_on(self) -> None:
        """Open it again with the next job, in the parent."""
        self._busy.release()

    def begin_anew(self) -> None:
        """Start a thread with the next job, in the child: that of the parent stayed behind."""
        self._start_lock = threading.Lock()
        self._busy = threading.Lock()
        self._orders = SimpleQueue()
        self._thread = None
        self._awake = False

    def _start(self) -> None:
        if self._closed:
            raise BackendError(f"the store in {self._folder.path} is closed")
        if self._thread is None:
            with self._start_lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, daemon=True, name="tts-cache-disk")
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=_IDLE_AFTER if self._awake else None)
            except Empty:
                self._be_idle()
                continue
            if order is _Sign.END:
                break
            if order is _Sign.WAKE:
                continue
            if not order.future.done() and time.monotonic() < order.deadline:
                self._do(order)
            del order  # or the last record stays in memory
        self._be_idle()
        with self._busy:
            self._leave()

    def _do(self, job: _Job) -> None:
        try:
            result = self._perform(job.work, job.deadline)
        except Exception as error:
            told = BackendError(f"{self._folder.path}: {describe(error, job.within)}")
            told.__cause__ = error
            job.settle(None, told)
        else:
            job.settle(result, None)

    def _be_idle(self) -> None:
        was_awake, self._awake = self._awake, False
        if was_awake and self._idle is not None:
            with suppress(Exception):
                self._perform(self._idle, time.monotonic() + self._patience)

    def _perform(self, work: Work[_T], deadline: float) -> _T:
        """Do something, and if the database turns out to be damaged, do it with a new one."""
        with self._busy:
            try:
                return self._attempt(work, deadline)
            except DatabaseErrors as error:
                damaged = self._leave()
                if damaged is None or not is_damage(error):
                    raise
                set_aside(self._folder, damaged, str(error), deadline=deadline)
            return self._attempt(work, deadline)

    def _attempt(self, work: Work[_T], deadline: float) -> _T:
        if self._database is not None and not self._database.is_in_use():
            self._leave()
        if self._database is None:
            self._database = open_database(self._folder, deadline=deadline, patience=self._patience)
        connection = self._database.connection
        patience = _PATIENCE * (deadline - time.monotonic())
        try:
            connection.execute(f"PRAGMA busy_timeout = {max(0, round(1000 * patience))}")
            return work(connection)
        finally:
            if connection.in_transaction:
                connection.rollback()
            if self._database.read_only:
                self._leave()

    def _leave(self) -> Database | None:
        """Close the connection. It is made anew after every failure."""
        left, self._database = self._database, None
        if left is not None:
            with suppress(sqlite3.Error):
                left.connection.close()
        return left

    def _expire(self, future: asyncio.Future[Any], within: float) -> None:
        if not future.done():
            late = TooSlowError(f"{self._folder.path}: no answer within {within:g} s")
            future.set_exception(late)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
