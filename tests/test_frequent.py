#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What comes again and again is counted in bounded room."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache.statistics.frequent import Frequent

CAPACITY = 4


def counted(items: list[int], capacity: int = CAPACITY) -> Frequent[int, str]:
    frequent: Frequent[int, str] = Frequent(capacity)
    for item in items:
        frequent.add(item, str(item))
    return frequent


@given(st.lists(st.integers(0, 12)))
def test_what_comes_often_is_held(items: list[int]) -> None:
    """Whatever comes more often than once in four is there, and no count is too high."""
    real = Counter(items)
    held = dict(counted(items))
    assert len(held) <= CAPACITY
    assert {item for item, count in real.items() if count > len(items) / CAPACITY} <= held.keys()
    for item, each in held.items():
        assert each.count <= real[item] <= each.most
        assert str(item) == each.value


@given(st.lists(st.integers(0, CAPACITY - 1)))
def test_counts_are_exact_as_long_as_there_is_room(items: list[int]) -> None:
    """Nothing is let go without need."""
    assert Counter(items) == {item: each.count for item, each in counted(items)}


@pytest.mark.parametrize("items", [[1, 1, 2, 3, 4, 5], [1, 1, 1, 2, 2, 3, 4, 5, 6]])
def test_what_came_least_and_longest_ago_is_let_go(items: list[int]) -> None:
    """What is new takes its place, and is not taken for what was there."""
    held = dict(counted(items))
    assert {1, 2} - held.keys() <= {2}
    assert 1 in held
    assert 1 == held[items[-1]].count


def test_what_is_forgotten_makes_room() -> None:
    """It counts from the beginning when it comes again."""
    frequent = counted([1, 1, 2, 3, 4])
    frequent.forget(lambda item: item < 3)
    assert [3, 4] == [item for item, _ in frequent]
    for item in (1, 5):
        assert (1, 0) == (frequent.add(item, "").count, dict(frequent)[item].error)
    assert CAPACITY == len(frequent)
    frequent.add(6, "")  # which takes the place of what came least, and is still there
    assert CAPACITY == len(frequent)
    frequent.forget(lambda _: True)
    assert 0 == len(frequent)
    assert 1 == frequent.add(6, "").count
