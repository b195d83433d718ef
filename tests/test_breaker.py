#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The breaker stops asking what fails, and finds out by itself when it is back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache.breaker import CircuitBreaker
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(max_failures=3, backoff=1, max_backoff=5, clock=clock)


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        assert breaker.allow()
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    """Two failures do nothing, the third opens it and says so once."""
    assert [False, False, True] == [breaker.failed() for _ in range(3)]
    assert not breaker.allow()
    assert "open" == breaker.state
    assert 3 == breaker.failures
    assert 1.0 == breaker.retry_in


def test_a_success_in_between_keeps_it_closed(breaker: CircuitBreaker) -> None:
    """Only failures in a row count."""
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        assert not breaker.succeeded()
    assert breaker.allow()
    assert "closed" == breaker.state
    assert 0.0 == breaker.retry_in


def test_one_probe_is_let_through(breaker: CircuitBreaker, clock: Clock) -> None:
    """After the backoff one call passes; the others wait for its outcome."""
    open_it(breaker)
    clock.now += 0.999
    assert not breaker.allow()
    clock.now += 0.001
    assert [True, False, False] == [breaker.allow() for _ in range(3)]
    assert "half_open" == breaker.state
    assert breaker.succeeded()
    assert "closed" == breaker.state
    assert breaker.allow()


def test_the_wait_doubles_up_to_a_limit(breaker: CircuitBreaker, clock: Clock) -> None:
    """Each failed probe doubles the wait, and a success starts it over."""
    open_it(breaker)
    waits = []
    for _ in range(5):
        waits.append(breaker.retry_in)
        clock.now += breaker.retry_in
        assert breaker.allow()
        assert not breaker.failed()
    assert [1, 2, 4, 5, 5] == waits
    breaker.succeeded()
    open_it(breaker)
    assert 1.0 == breaker.retry_in


def test_stragglers_do_not_lengthen_the_wait(breaker: CircuitBreaker, clock: Clock) -> None:
    """Calls that were under way when it opened may still fail."""
    open_it(breaker)
    clock.now += 0.5
    for _ in range(10):
        breaker.failed()
    assert 0.5 == breaker.retry_in


def test_a_straggler_that_succeeds_closes_it(breaker: CircuitBreaker) -> None:
    """Any answer proves that it is back."""
    open_it(breaker)
    assert breaker.succeeded()
    assert breaker.allow()


def test_a_probe_that_never_reports_gives_way(breaker: CircuitBreaker, clock: Clock) -> None:
    """A cancelled probe does not leave it open for ever."""
    open_it(breaker)
    clock.now += 1
    assert breaker.allow()
    assert not breaker.allow()
    clock.now += 1
    assert breaker.allow()


@given(st.lists(st.sampled_from(["ask", "fail", "succeed", "wait"]), max_size=200))
def test_it_never_stays_open_beyond_its_limit(events: list[str]) -> None:
    """Whatever happens, a call passes at the latest after the longest backoff."""
    clock = Clock()
    breaker = CircuitBreaker(max_failures=2, backoff=1, max_backoff=8, clock=clock)
    for event in events:
        if event == "ask":
            assert breaker.allow() or breaker.state != "closed"
        elif event == "fail":
            breaker.failed()
        elif event == "succeed":
            breaker.succeeded()
            assert "closed" == breaker.state
        else:
            clock.now += 0.7
        assert 0 <= breaker.retry_in <= 8
    clock.now += 8
    assert breaker.allow()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_failures": 0}, ValueError),
        ({"max_failures": True}, TypeError),
        ({"max_failures": 1.5}, TypeError),
        ({"backoff": 0}, ValueError),
        ({"backoff": -1}, ValueError),
        ({"backoff": float("nan")}, ValueError),
        ({"backoff": True}, TypeError),
        ({"max_backoff": float("inf")}, ValueError),
        ({"max_backoff": "30"}, TypeError),
        ({"backoff": 10, "max_backoff": 5}, ValueError),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], error: type[Exception]) -> None:
    """Values that make no sense are refused, and the message names them."""
    with pytest.raises(error, match=next(iter(options))):
        CircuitBreaker(**options)
