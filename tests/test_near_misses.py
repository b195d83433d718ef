#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines that differ only by case, punctuation and white space are found, with what they cost."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import BackendError, CacheBackend, MemoryCacheBackend, Selection
from pipecat_tts_cache.backends import Entry
from pipecat_tts_cache.near_misses import NearMiss, Spelling, find_near_misses, fold
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance


def entry(text: str | None, *, uses: int | None = 0, number: int = 0, voice: str = "anna") -> Entry:
    """Make an entry of a line."""
    utterance = replace(make_utterance(), text=text, voice=voice)
    return Entry.of(make_key(f"{text!r} {voice} {number}"), utterance, size=1000, uses=uses)


class Listed(MemoryCacheBackend):
    """Lists what it is told to, and counts how often."""

    def __init__(self, *listed: Entry) -> None:
        super().__init__()
        self.listed = listed
        self.times = 0

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        self.times += 1
        for each in self.listed:
            if namespace in (None, each.key.namespace):
                yield each


# What is the same


@pytest.mark.parametrize(
    "spellings",
    [
        ["Sure, one moment.", "Sure! One moment.", "sure one moment", "  SURE …  one\nmoment?!"],
        ["Don't worry.", "Don\u2019t worry!"],
        ["Check-in is at 3:45.", "Check in is at 3:45", "check—in is at 3:45!"],
        ["Straße", "STRASSE."],
        ["\uff28\uff45\uff4c\uff4c\uff4f", "Hello", "hel\u200blo", "hel\u00adlo"],
        ["¿Qué tal?", "Que\u0301 tal"],
        ["你好。", "你好\uff01"],
        ["'Hello,' she said.", '"Hello", she said.'],
        ["The drivers' seat", "the drivers seat."],
    ],
)
def test_case_punctuation_and_white_space_make_no_difference(spellings: list[str]) -> None:
    """Spellings of the same words fold to one."""
    assert 1 == len({fold(each) for each in spellings})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("One moment.", "One moments."),
        ("It is 3.5", "It is 35"),
        ("It is 3.5", "It is 3 5"),
        ("It is 3,500", "It is 3.500"),
        ("It is -5 degrees", "It is 5 degrees"),
        ("-5 degrees", "5 degrees"),
        ("It is .5", "It is 5"),
        ("We're here", "Were here"),
        ("50% off", "50 off"),
        ("$5", "5"),
        ("Q&A", "Q A"),
        ("You have 1 message", "You have one message"),
        ("می\u200cروم", "میروم"),
        ("हिन्दी", "हन्द"),
        ("on and off", "onandoff"),
    ],
)
def test_words_make_a_difference(one: str, other: str) -> None:
    """What may be heard as other words, in numbers and signs as well, is another line."""
    assert fold(one) != fold(other)


@given(st.text())
def test_any_text_can_be_folded(text: str) -> None:
    """Folding takes any text, lone surrogates included, and what is folded stays as it is."""
    assert fold(text) == fold(fold(text))
    assert fold(text) == fold(text + "!")


# What is found


async def test_a_group_tells_which_line_to_keep_to_and_what_the_others_cost() -> None:
    """Entries of the other lines were synthesized for nothing, each at least once."""
    store = Listed(
        entry("Sure! One moment.", uses=1),
        entry("Sure, one moment.", uses=4),
        entry("Sure, one moment.", uses=5, voice="ben"),
        entry("sure one moment", uses=0),
        entry("Good bye."),
    )
    found = await find_near_misses(store)
    assert 1 == found.num_groups
    assert 17 + 15 == found.characters
    assert (
        NearMiss(
            spellings=(
                Spelling(text="Sure, one moment.", entries=2, uses=9, characters=34),
                Spelling(text="Sure! One moment.", entries=1, uses=1, characters=17),
                Spelling(text="sure one moment", entries=1, uses=0, characters=15),
            ),
            characters=32,
        ),
    ) == found.groups


async def test_voices_and_white_space_make_no_near_miss() -> None:
    """One line in several voices is one line, as are texts that share their key."""
    store = Listed(
        entry("One moment."), entry("One moment.", voice="ben"), entry("One \n moment.", number=1)
    )
    found = await find_near_misses(store)
    assert () == found.groups
    assert 0 == found.characters


async def test_without_counted_uses_the_line_of_most_entries_is_kept_to() -> None:
    """A store that does not count uses gives None for them."""
    store = Listed(
        entry("One moment.", uses=None),
        entry("One moment!", uses=None),
        entry("One moment!", uses=None, voice="ben"),
    )
    (group,) = (await find_near_misses(store)).groups
    assert ["One moment!", "One moment."] == [each.text for each in group.spellings]
    assert [None, None] == [each.uses for each in group.spellings]


async def test_lines_without_text_or_words_are_left_out() -> None:
    """What cannot be read is counted, and a line of nothing but punctuation has no words."""
    store = Listed(entry(None), entry(None, number=1), entry("…"), entry("!!!"))
    found = await find_near_misses(store)
    assert (0, 2) == (found.num_groups, found.unread)


async def test_a_selection_narrows_it_down() -> None:
    """Only what fits is compared."""
    store = Listed(entry("A."), entry("A!", voice="ben"), entry("A?", voice="ben"))
    (group,) = (await find_near_misses(store, Selection(voice="ben"))).groups
    assert {"A!", "A?"} == {each.text for each in group.spellings}


async def test_it_works_on_a_store() -> None:
    """A real store is read without counting as a use."""
    store = MemoryCacheBackend()
    for number, text in enumerate(["Sure, one moment.", "Sure! One moment."]):
        await store.set(make_key(str(number)), replace(make_utterance(), text=text))
    (group,) = (await find_near_misses(store)).groups
    assert 17 == group.characters
    assert [0, 0] == [each.uses async for each in store.entries()]


# Bounds


def many(count: int) -> list[Entry]:
    """Make lines with two spellings each, that of a larger number being longer."""
    return [entry(f"{'very ' * (i % 7)}line {i}{end}") for i in range(count) for end in ".!"]


@pytest.mark.parametrize("max_lines", [1, 7, 50, 399, 400, 10_000])
async def test_a_store_that_is_too_large_is_read_in_parts(max_lines: int) -> None:
    """However few lines are held at a time, what is found is the same."""
    store = Listed(*many(200))
    found = await find_near_misses(store, limit=200, max_lines=max_lines)
    assert await find_near_misses(Listed(*many(200)), limit=200) == found
    assert 200 == found.num_groups == len(found.groups)
    assert (1 == store.times) == (max_lines >= 400)


async def test_only_the_costliest_are_returned_and_all_are_summed_up() -> None:
    """The limit bounds the groups, not what is counted."""
    everything = await find_near_misses(Listed(*many(50)), limit=50)
    found = await find_near_misses(Listed(*many(50)), limit=3)
    costs = [each.characters for each in found.groups]
    assert sorted((each.characters for each in everything.groups), reverse=True)[:3] == costs
    assert (50, everything.characters) == (found.num_groups, found.characters)


async def test_a_hundred_spellings_are_told_apart() -> None:
    """What else a line is spelled like is summed up as one more."""
    store = Listed(*(entry("Hello" + "!" * i, uses=None) for i in range(130)))
    found = await find_near_misses(store)
    (group,) = found.groups
    assert 101 == len(group.spellings)
    *_, rest = group.spellings
    assert ("…", 30) == (rest.text, rest.entries)
    assert sum(5 + i for i in range(130)) - 5 == found.characters


async def test_long_lines_are_cut_for_the_report() -> None:
    """A line of megabytes is compared as a whole, and not kept."""
    long = "word " * 10_000
    store = Listed(entry(long + "end."), entry(long + "end!"), entry(long + "other"))
    (group,) = (await find_near_misses(store)).groups
    assert [1000, 1000] == [len(each.text) for each in group.spellings]
    assert len(long) + 4 == group.characters


async def test_nonsense_is_refused() -> None:
    """Numbers have to be above zero, and the store has to list what it keeps."""

    class Unlisted(MemoryCacheBackend):
        def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
            return CacheBackend.entries(self, namespace)

    with pytest.raises(ValueError, match="limit"):
        await find_near_misses(MemoryCacheBackend(), limit=0)
    with pytest.raises(TypeError, match="max_lines"):
        await find_near_misses(MemoryCacheBackend(), max_lines=1.5)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="does not list"):
        await find_near_misses(Unlisted())
