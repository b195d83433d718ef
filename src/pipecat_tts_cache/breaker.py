#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""When to stop asking something that does not answer, and when to try again."""

from collections.abc import Callable
from typing import Literal

from pipecat_tts_cache.checks import check_positive_int, check_seconds
from pipecat_tts_cache.clock import monotonic


class CircuitBreaker:
    """Leaves a failing service alone for a while, and finds out by itself when it is back.

    It opens after some failures in a row. After a backoff one caller is let through to probe: if
    that goes well the breaker closes, else it stays open for twice as long, up to a limit. A
    probe that never reports back, because it was cancelled, gives way to another one after the
    same backoff::

        if not breaker.allow():
            raise BackendUnavailableError("left alone for a while")
        try:
            answer = await ask()
        except OSError:
            breaker.failed()
            raise
        breaker.succeeded()

    It knows nothing of what it guards, and belongs to one event loop.
    """

    def __init__(
        self,
        *,
        max_failures: int = 3,
        backoff: float = 1.0,
        max_backoff: float = 30.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Create a closed breaker.

        Args:
            max_failures: Failures in a row that open it.
            backoff: Seconds until the first probe.
            max_backoff: The most that doubling makes of it, in seconds.
            clock: Tells the time in seconds.

        Raises:
            TypeError: If a value is of the wrong type.
            ValueError: If a value is not above zero, or `max_backoff` is below `backoff`.
        """
        self._max_failures = check_positive_int("max_failures", max_failures)
        self._first_backoff = check_seconds("backoff", backoff)
        self._max_backoff = check_seconds("max_backoff", max_backoff)
        if max_backoff < backoff:
            raise ValueError(f"max_backoff ({max_backoff}) must not be below backoff ({backoff})")
        self._clock = clock
        self._failures = 0
        self._backoff = self._first_backoff
        self._open = False
        self._probing = False
        self._next_probe = 0.0

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Whether calls pass ("closed"), do not ("open"), or one is out probing ("half_open")."""
        if not self._open:
            return "closed"
        return "half_open" if self._probing else "open"

    @property
    def failures(self) -> int:
        """Failures in a row up to now."""
        return self._failures

    @property
    def retry_in(self) -> float:
        """Seconds until the next probe is let through, 0 when calls pass or one is due."""
        return max(0.0, self._next_probe - self._clock()) if self._open else 0.0

    def allow(self) -> bool:
        """Decide about a call. Who is let through reports how it went.

        Returns:
            Whether to make the call.
        """
        if not self._open:
            return True
        if self._clock() < self._next_probe:
            return False
        self._probing = True
        self._next_probe = self._clock() + self._backoff
        return True

    def succeeded(self) -> bool:
        """Report that a call went well, which closes the breaker.

        Returns:
            Whether this closed it.
        """
        was_open, self._open = self._open, False
        self._probing = False
        self._failures = 0
        self._backoff = self._first_backoff
        return was_open

    def failed(self) -> bool:
        """Report that a call failed.

        Calls that set out before the breaker opened and fail after it do not lengthen the wait.

        Returns:
            Whether this opened it, from closed.
        """
        self._failures += 1
        if self._probing:
            self._backoff = min(2 * self._backoff, self._max_backoff)
            self._wait()
        elif not self._open and self._failures >= self._max_failures:
            self._open = True
            self._wait()
            return True
        return False

    def _wait(self) -> None:
        self._probing = False
        self._next_probe = self._clock() + self._backoff
