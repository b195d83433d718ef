#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The clock of a store that outlives its process, and whether to believe it.

What expires is told by the wall clock, which is at times set: by hand, or by the network after a
start with an empty battery. A look-up goes by what the clock says. But what cannot be undone, to
delete what has expired and to shorten a time to live, waits until the clock has stood the test.
"""

from collections.abc import Callable
from threading import Lock

Clock = Callable[[], float]
JUMP = 60.0
"""Seconds by which the wall clock may differ from the time that passed: it is being adjusted."""
SETTLED = 300.0
"""Seconds without a jump after which the wall clock is believed."""


def check_clock(name: str, clock: Clock) -> Clock:
    """Check what a user takes for a clock.

    Args:
        name: What it is called, for the message.
        clock: Tells the time in seconds.

    Returns:
        The clock.

    Raises:
        TypeError: If it cannot be called.
    """
    if not callable(clock):
        raise TypeError(f"{name} must be a function, not {type(clock).__name__}")
    return clock


class WatchedClock:
    """A wall clock that is watched."""

    def __init__(self, wall_clock: Clock, clock: Clock) -> None:
        """Start to watch.

        Args:
            wall_clock: Tells the time in seconds since the Unix epoch.
            clock: Tells the time in seconds since any moment, and never jumps.

        Raises:
            TypeError: If one of them cannot be called.
        """
        self._wall_clock = check_clock("wall_clock", wall_clock)
        self._clock = check_clock("clock", clock)
        self._lock = Lock()
        self._seen = (wall_clock(), clock())
        self._began = self._seen[1]
        self._jumped: float | None = None

    def now(self) -> float:
        """Tell the time.

        Returns:
            Seconds since the Unix epoch.
        """
        return self._wall_clock()

    def may_delete(self) -> bool:
        """Whether what has expired may be deleted.

        Returns:
            False for a while after the clock has jumped: it may jump back.
        """
        with self._lock:
            now = self._watch()
            return self._jumped is None or now - self._jumped >= SETTLED

    def may_shorten(self) -> bool:
        """Whether what was stored in the future was stored by a clock that was wrong.

        Returns:
            False for a while after the start, too: it may be this clock that is wrong.
        """
        with self._lock:
            now = self._watch()
            return now - (self._began if self._jumped is None else self._jumped) >= SETTLED

    def _watch(self) -> float:
        wall, now = self._wall_clock(), self._clock()
        if abs((wall - self._seen[0]) - (now - self._seen[1])) > JUMP:
            self._jumped = now
        self._seen = (wall, now)
        return now
