#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines to say, and which of them are worth it."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipecat_tts_cache.checks import check_positive_int
from pipecat_tts_cache.key import prepare_text
from pipecat_tts_cache.statistics.frequent import Frequent


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say, and whose voice says it.

    Parameters:
        text: What to say.
        options: Keyword arguments for the factory, such as a voice and a language.

    Raises:
        TypeError: If the text is no string, or the options are no mapping.
    """

    text: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"the text of a line must be a string, not {type(self.text).__name__}")
        if not isinstance(self.options, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(self.options).__name__
            raise TypeError(f'options must be a mapping, as {{"voice": "anna"}}, not {kind}')


@dataclass(frozen=True, slots=True)
class RankedLine(Line):
    """A line, and how often it was said.

    Parameters:
        count: How often, for certain.
    """

    count: int = 1

    @property
    def characters_saved(self) -> int:
        """Characters that were synthesized again, and would not have been with a cache."""
        return len(self.text) * (self.count - 1)


def rank_phrases(
    phrases: Iterable[str | Line],
    *,
    top: int | None = None,
    min_count: int = 2,
    max_lines: int = 100_000,
) -> list[RankedLine]:
    """Count what was said, and find what a cache saves most characters on.

    White space and Unicode forms make no difference, as in a key.

    Args:
        phrases: What was said, as `split_sentences` gives it, in any order.
        top: How many lines to return; None for all.
        min_count: How often a line must have been said.
        max_lines: How many different lines to hold; each takes about half a kilobyte. If there
            are more, those that are said least are let go, and a count is what is certain.

    Returns:
        The lines, what saves most first. They are lines for `warm`.

    Raises:
        TypeError: If a phrase is neither a string nor a `Line`, or a number is none.
        ValueError: If a number is not above zero.
    """
    check_positive_int("min_count", min_count)
    if top is not None:
        check_positive_int("top", top)
    counts: Frequent[Hashable, Line] = Frequent(check_positive_int("max_lines", max_lines))
    for line in as_lines(phrases):
        if folded := prepare_text(line.text):
            counts.add((folded, as_key(line.options)), line)
    lines = (
        RankedLine(counted.value.text, counted.value.options, counted.count)
        for _, counted in counts
        if counted.count >= min_count
    )
    return sorted(lines, key=by_savings)[:top]


def as_lines(phrases: Iterable[str | Line]) -> Iterator[Line]:
    """Take strings for lines without options.

    Args:
        phrases: Strings and lines.

    Returns:
        Lines.

    Raises:
        TypeError: If it is one string, or nothing of the kind; or, on the way, if something else is
            among them.
    """
    if isinstance(phrases, str):
        raise TypeError("give the lines one by one, not as one string")
    if not isinstance(phrases, Iterable) or isinstance(phrases, bytes | Mapping):
        kind = type(phrases).__name__
        raise TypeError(f"the lines must be strings or Lines, in a list for instance, not {kind}")
    return map(_as_line, phrases)


def _as_line(phrase: object) -> Line:
    if isinstance(phrase, Line):
        return phrase
    if isinstance(phrase, str):
        return Line(phrase)
    raise TypeError(f"a line must be a string or a Line, not {type(phrase).__name__}")


def as_key(options: Mapping[str, Any]) -> str:
    """Write options so that those of two lines can be compared, in whatever order they are.

    Args:
        options: The options of a line.

    Returns:
        What is the same for the same options.
    """
    return repr(sorted(options.items(), key=lambda each: each[0])) if options else ""


def by_savings(line: RankedLine) -> tuple[int, int, str, str]:
    """Give what sorts lines: what saves most comes first, and the order is always the same.

    Args:
        line: A line.

    Returns:
        What to sort it by.
    """
    return -line.characters_saved, -line.count, line.text, as_key(line.options)
