#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What was said is counted, and what a cache saves most on comes first."""

import random
from typing import Any

import pytest

from pipecat_tts_cache import Line, RankedLine, rank_phrases

SAID = ["Yes.", "One moment, please.", "Yes.", "Hello!", "One moment, please.", "Yes.", "Bye."]


def test_what_saves_most_characters_comes_first() -> None:
    """Not what is said most; what is said once saves nothing."""
    lines = rank_phrases(SAID)
    assert [("One moment, please.", 2, 19), ("Yes.", 3, 8)] == [
        (line.text, line.count, line.characters_saved) for line in lines
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_does_not_depend_on_that_of_the_calls(seed: int) -> None:
    """Also where lines save the same."""
    said = 2 * ["aaaa", "bbbb", "cccc", "ddddd"] + 5 * ["e"]
    mixed = random.Random(seed).sample(said, len(said))
    assert ["ddddd", "e", "aaaa", "bbbb", "cccc"] == [line.text for line in rank_phrases(mixed)]


def test_the_best_are_chosen() -> None:
    """So many, of those that were said often enough."""
    assert ["One moment, please."] == [line.text for line in rank_phrases(SAID, top=1)]
    assert ["Yes."] == [line.text for line in rank_phrases(SAID, min_count=3)]
    assert 4 == len(rank_phrases(SAID, min_count=1, top=9))
    assert [] == rank_phrases([])


def test_lines_are_the_same_where_their_keys_are() -> None:
    """White space and Unicode forms make no difference; case, punctuation and voices do."""
    same = ["Un café, s'il vous\n plaît.", "Un cafe\u0301,  s'il vous plaît. "]
    other = ["un café, s'il vous plaît.", "Un café s'il vous plaît."]
    ben = [Line(same[0], {"voice": "ben", "speed": 1}), Line(same[0], {"speed": 1, "voice": "ben"})]
    lines = rank_phrases([*same, *other, *ben, "", " "], min_count=1)
    assert [2, 2, 1, 1] == [line.count for line in lines]
    assert [{}, {"voice": "ben", "speed": 1}] == [dict(line.options) for line in lines[:2]]


def test_a_line_is_kept_as_it_was_said_first() -> None:
    """A filter of the service may want its line breaks."""
    assert [RankedLine("One\nmoment.", {}, 2)] == rank_phrases(["One\nmoment.", "One moment."])


def test_memory_is_bounded() -> None:
    """Of more lines than may be held, those that are said often stay, and are not overrated."""
    said = [f"This is said once, as number {number}." for number in range(300)]
    for place in range(0, 600, 3):
        said.insert(place, "One moment, please.")
    ranked = rank_phrases(said, max_lines=10)
    assert ["One moment, please."] == [line.text for line in ranked]
    assert 190 <= ranked[0].count <= 200


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((5,), "the text of a line must be a string, not int"),
        ((None,), "the text of a line must be a string, not NoneType"),
        (("Hello.", "anna"), 'options must be a mapping, as {"voice": "anna"}, not str'),
    ],
)
@pytest.mark.parametrize("kind", [Line, RankedLine])
def test_a_line_that_is_none_is_refused(kind: Any, arguments: Any, problem: str) -> None:
    """Where it is made, not where it would be said."""
    with pytest.raises(TypeError, match=problem):
        kind(*arguments)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"phrases": "Hello."}, "one by one"),
        ({"phrases": [5]}, "a string or a Line, not int"),
        ({"phrases": None}, "in a list for instance, not NoneType"),
        ({"top": 0}, "top"),
        ({"top": "9"}, "top"),
        ({"min_count": 0}, "min_count"),
        ({"max_lines": None}, "max_lines"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], problem: str) -> None:
    """At once, in words."""
    with pytest.raises((TypeError, ValueError), match=problem):
        rank_phrases(**{"phrases": SAID, **arguments})
