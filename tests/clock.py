#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A clock that a test turns, and a breaker that goes by it."""

import pytest

from pipecat_tts_cache.breaker import CircuitBreaker

EPOCH = 1_800_000_000.0
"""Seconds since the Unix epoch when a clock says 0."""


class Clock:
    """Tells the time in seconds that a test has set."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        """The same time, in seconds since the Unix epoch."""
        return EPOCH + self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is turned."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """A breaker that opens after three failures, for a second of that clock."""
    return CircuitBreaker(max_failures=3, backoff=1, max_backoff=30, clock=clock)
