#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines that differ by little, and what that costs: a prompt that keeps to one of them saves it.

"Sure, one moment." and "Sure! One moment." are two lines for a cache, as case and punctuation are
heard, and each was synthesized and is kept. ::

    from pipecat_tts_cache.near_misses import find_near_misses

    found = await find_near_misses(MemoryCacheBackend())
    for group in found.groups:
        print(group.characters, [spelling.text for spelling in group.spellings])
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappush, heappushpop

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.checks import check_positive_int
from pipecat_tts_cache.inventory import Selection, list_entries
from pipecat_tts_cache.key import prepare_text

_SPOKEN = frozenset("%&@#*/\\")
"""Punctuation, by Unicode, that stands for a word."""
_APOSTROPHES = frozenset("'\u2019\u02bc")
_NO_LETTER = re.compile(r"[^\w\s]|[_\u02bc]")
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, as all of their Unicode category, but part of the spelling of a word."""
_MAX_SPELLINGS = 100
_MAX_TEXT = 1000
_END = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A line as it was spoken.

    Parameters:
        text: The line; of a long one the first thousand characters.
        entries: How many utterances say it: one for each voice, setting and namespace.
        uses: How often these were looked up; None where the store does not count.
        characters: What was synthesized for it, at least: its length, once for each entry.
    """

    text: str
    entries: int
    uses: int | None
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """Lines that are the same but for case, punctuation and white space.

    Parameters:
        spellings: The lines. The first is the one to keep to: the most used, else the one that
            most entries say, else the shortest. There are two at least; a hundred are told apart,
            and what comes after these counts as one more, "…".
        characters: What the others cost: the sum of their `characters`.
    """

    spellings: tuple[Spelling, ...]
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMisses:
    """What was found in a store.

    Parameters:
        groups: The costliest groups, the costliest first.
        num_groups: How many groups there are in all.
        characters: What all of them cost.
        unread: Entries whose text the store does not hold, so that nothing is known of them.
    """

    groups: tuple[NearMiss, ...]
    num_groups: int
    characters: int
    unread: int


async def find_near_misses(
    backend: CacheBackend,
    selection: Selection | None = None,
    *,
    limit: int = 20,
    max_lines: int = 100_000,
) -> NearMisses:
    """Find lines that differ by little. Voice and settings make no difference, words do.

    A store that holds more lines than may be held at a time is listed several times, each time for
    another part of the lines.

    Args:
        backend: The store.
        selection: Where to look; by default everywhere.
        limit: How many groups to return.
        max_lines: How many lines to hold at a time; each takes some kilobytes at most.

    Returns:
        What was found.

    Raises:
        BackendError: If the store fails, or does not list what it keeps.
        TypeError: If a number is none.
        ValueError: If a number is not above zero.
    """
    best = _Best(check_positive_int("limit", limit))
    held = check_positive_int("max_lines", max_lines)
    start, unread = 0, 0
    while start < _END:
        part = _Part(start, held)
        unread = 0
        async for entry in list_entries(backend, selection):
            if entry.text is None:
                unread += 1
            else:
                part.add(entry.text, entry)
        for group in part.groups():
            best.add(group)
        start = part.stop
    return best.as_found(unread)


def fold(text: str) -> str:
    """Fold a line to its words: without case, punctuation and white space.

    What stands for a word stays: digits with the marks inside of a number, signs such as "%", "&"
    and "$", apostrophes inside of a word. So "3.5" is not "35", nor "we're" "were".

    Args:
        text: The line.

    Returns:
        Its words, with single spaces; "" if it has none.
    """
    line = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_NO_LETTER.sub(_fold_character, line).split())


def _fold_character(found: re.Match[str]) -> str:
    """Tell what becomes of a character that is neither letter, digit nor white space."""
    line, each, start, stop = found.string, found.group(), found.start(), found.end()
    before, after = line[max(0, start - 1) : start], line[stop : stop + 1]
    if each in _APOSTROPHES:
        return "'" if before.isalnum() and after.isalnum() else " "
    kind = unicodedata.category(each)
    if kind == "Cf" and each not in _JOINERS:
        return ""
    is_kept = kind[0] != "P" or each in _SPOKEN or _is_in_a_number(before, each, after)
    return each if is_kept else " "


def _is_in_a_number(before: str, each: str, after: str) -> bool:
    return after.isdecimal() and (before.isdecimal() or (each in "-." and not before.strip()))


def _number(text: str) -> int:
    """Give a text a number, as good as its own, of 64 bits."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)


@dataclass(slots=True)
class _Line:
    """What is counted of a spelling."""

    text: str
    entries: int = 0
    uses: int | None = 0
    characters: int = 0

    def add(self, text: str, uses: int | None) -> None:
        self.entries += 1
        self.characters += len(text)
        self.uses = None if self.uses is None or uses is None else self.uses + uses

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """What sorts it: the one to keep to comes first."""
        return -(self.uses or 0), -self.entries, len(self.text), self.text

    def as_spelling(self) -> Spelling:
        return Spelling(
            text=self.text, entries=self.entries, uses=self.uses, characters=self.characters
        )


@dataclass(slots=True)
class _Group:
    """What is held of lines with the same words: spellings by their number, and the rest."""

    lines: dict[int, _Line] = field(default_factory=dict[int, _Line])
    more: _Line = field(default_factory=lambda: _Line("…"))

    def add(self, text: str, uses: int | None) -> bool:
        """Count an entry; tell whether that takes room."""
        number = _number(text)
        line = self.lines.get(number)
        is_new = line is None and len(self.lines) < _MAX_SPELLINGS
        if is_new:
            line = self.lines[number] = _Line(text[:_MAX_TEXT])
        (line or self.more).add(text, uses)
        return is_new


class _Part:
    """Some of the lines: those whose words have a number from `start` on, below `stop`.

    When it is full it gives up the upper half of what it holds, which is for the next part.
    """

    def __init__(self, start: int, max_lines: int) -> None:
        self.start = start
        self.stop = _END
        self._max_lines = max_lines
        self._held = 0
        self._groups: dict[int, _Group] = {}

    def add(self, text: str, entry: Entry) -> None:
        """Count an entry, if its line is of this part."""
        words = fold(text)
        number = _number(words)
        if words and self.start <= number < self.stop:
            group = self._groups.setdefault(number, _Group())
            self._held += group.add(prepare_text(text), entry.uses)
            while self._held > self._max_lines and len(self._groups) > 1:
                self._shrink()

    def _shrink(self) -> None:
        numbers = sorted(self._groups)
        upper = numbers[len(numbers) // 2 :]
        self.stop = upper[0]
        for number in upper:
            self._held -= len(self._groups.pop(number).lines)

    def groups(self) -> Iterable[NearMiss]:
        """Tell what was found: groups of two spellings and more."""
        for group in self._groups.values():
            if len(group.lines) > 1:
                yield _as_near_miss(group)


def _as_near_miss(group: _Group) -> NearMiss:
    lines = sorted(group.lines.values(), key=lambda line: line.rank)
    if group.more.entries:
        lines.append(group.more)
    cost = sum(line.characters for line in lines[1:])
    return NearMiss(spellings=tuple(line.as_spelling() for line in lines), characters=cost)


class _Best:
    """The costliest groups so far, and the sum of all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, int, NearMiss]] = []
        self._count = 0
        self._characters = 0

    def add(self, group: NearMiss) -> None:
        self._count += 1
        self._characters += group.characters
        ranked = (group.characters, -self._count, group)
        if len(self._heap) < self._limit:
            heappush(self._heap, ranked)
        else:
            heappushpop(self._heap, ranked)

    def as_found(self, unread: int) -> NearMisses:
        groups = (group for _, _, group in self._heap)
        return NearMisses(
            groups=tuple(
                sorted(groups, key=lambda each: (-each.characters, each.spellings[0].text))
            ),
            num_groups=self._count,
            characters=self._characters,
            unread=unread,
        )
