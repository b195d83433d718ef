#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines to say, from files: the options of `warm` and `phrases`, and `phrases` itself."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import typer

from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending
from pipecat_tts_cache.cli.options import Json, takes
from pipecat_tts_cache.cli.output import Column, Table, note, write_json
from pipecat_tts_cache.cli.words import many
from pipecat_tts_cache.preparation.lines import Line, RankedLine, rank_phrases
from pipecat_tts_cache.preparation.phrases import (
    PAST_CALLS,
    PhraseFormat,
    format_of,
    read_phrases,
)

_MIN_COUNT = 2

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Lists of lines, or what was said in past calls.",
        show_default=False,
    ),
]
Form = Annotated[
    PhraseFormat | None,
    typer.Option("--format", help="What is in the files, if their names do not tell."),
]
Field = Annotated[
    str | None,
    typer.Option("--field", help="The column or field that is the text.", show_default=False),
]
Options = Annotated[
    str | None,
    typer.Option(
        "--options",
        metavar="NAMES",
        help="The columns or fields that are options of a line, with commas; all others if not "
        "given, and none with ''.",
    ),
]
Speaker = Annotated[
    str | None, typer.Option("--speaker", help="Who the bot is in a transcript: Bot.")
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        help="What finds the text in a log: a regular expression with a group (?P<text>…).",
    ),
]
Language = Annotated[
    str | None, typer.Option("--language", help="The language by whose rules turns are cut: es.")
]
AsTurns = Annotated[
    bool,
    typer.Option(
        "--as-turns", help="The lines of a list are what a language model writes: cut them."
    ),
]
Top = Annotated[
    int | None, typer.Option("--top", min=1, help="Only so many, which save most characters.")
]
MinCount = Annotated[
    int | None,
    typer.Option("--min-count", min=1, help="Only what was said that often.", show_default=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read.

    Parameters:
        form: What is in them, or None.
        field: Which field is the text, or None.
        options: Which fields are options, with commas, or None.
        speaker: Who the bot is, or None.
        pattern: What finds the text, or None.
        language: By whose rules turns are cut, or None.
        as_turns: Whether lists are turns, too.
    """

    form: PhraseFormat | None
    field: str | None
    options: str | None
    speaker: str | None
    pattern: str | None
    language: str | None
    as_turns: bool

    def is_past_calls(self, files: Sequence[str]) -> bool:
        """Tell whether it is what was said in calls, or lists of lines.

        Args:
            files: The files.

        Returns:
            Whether it is.

        Raises:
            Stop: If it is both, or nothing tells.
        """
        how: dict[str, Any] = {"format": self.form, "speaker": self.speaker}
        with in_words(ExitCode.USAGE):
            kinds = {format_of(each, **how, pattern=self.pattern) in PAST_CALLS for each in files}
        if len(kinds) > 1:
            raise Stop("some files are lists, others past calls: read them apart", ExitCode.USAGE)
        return kinds.pop()

    def lines(self, files: Sequence[str]) -> Iterator[Line]:
        """Read files.

        Args:
            files: The files.

        Yields:
            The lines or turns in them.

        Raises:
            Stop: If the options make no sense.
            ValueError: On the way, if a file makes none.
        """
        how: dict[str, Any] = {
            "format": self.form,
            "field": self.field,
            "options": _names(self.options),
            "speaker": self.speaker,
            "pattern": self.pattern,
        }
        with in_words(ExitCode.USAGE):
            return chain.from_iterable([read_phrases(each, **how) for each in files])

    def ranked(self, files: Sequence[str], top: int | None, min_count: int) -> list[RankedLine]:
        """Read files, and choose.

        Args:
            files: The files.
            top: How many lines to choose, or None.
            min_count: How often a line must have been said.

        Returns:
            The lines: sentences, where they are turns.

        Raises:
            Stop: If it cannot be done.
        """
        cuts = self.as_turns or self.is_past_calls(files)
        lines: Iterable[Line] = self.lines(files)
        if cuts:
            from pipecat_tts_cache.preparation.sentences import (  # noqa: PLC0415 - not at load
                split_sentences,
            )

            lines = split_sentences(lines, language=self.language)
        with in_words():
            return rank_phrases(lines, top=top, min_count=min_count)


def _names(options: str | None) -> set[str] | None:
    return None if options is None else {each.strip() for each in options.split(",")} - {""}


takes_reading = takes(
    Reading,
    {
        "form": Form,
        "field": Field,
        "options": Options,
        "speaker": Speaker,
        "pattern": Pattern,
        "language": Language,
        "as_turns": AsTurns,
    },
)
"""Gives a command the options of how files are read, as its last parameter, `reading`."""


def register(app: typer.Typer) -> None:
    """Add this command.

    Args:
        app: Where to.
    """
    app.command("phrases")(takes_reading(phrases))


def phrases(
    files: Files,
    *,
    top: Top = 50,
    min_count: MinCount = _MIN_COUNT,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Show what was said most in past calls: the lines on which a cache saves most characters."""
    with ending():
        with without_pipecat_log():
            found = reading.ranked(files, top, min_count or _MIN_COUNT)
        if as_json:
            for line in found:
                write_json(line_as_json(line) | _numbers(line))
        elif found:
            _show(found)
        if not found:
            note("nothing found")


@contextmanager
def in_words(code: ExitCode = ExitCode.FAILED) -> Generator[None]:
    """End with what this library says of an argument or a file: it holds nothing of the content.

    Args:
        code: What to exit with.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise Stop(str(error), code) from None


@contextmanager
def without_pipecat_log(*, verbose: bool = False) -> Generator[None]:
    """Keep Pipecat from logging: it does so on stderr, and texts.

    Args:
        verbose: Whether to let it.
    """
    from loguru import logger  # noqa: PLC0415 - not at load

    if not verbose:
        logger.disable("pipecat")
    try:
        yield
    finally:
        logger.enable("pipecat")


def line_as_json(line: Line) -> dict[str, Any]:
    """Describe a line so that it can be read back as JSON."""
    return {"text": line.text, "options": dict(line.options)}


def options_in_words(options: Mapping[str, Any]) -> str:
    """Write the options of a line for people."""
    return ", ".join(f"{name}={value}" for name, value in sorted(options.items())) or "-"


def _numbers(line: RankedLine) -> dict[str, int]:
    return {"count": line.count, "characters_saved": line.characters_saved}


def _show(found: Sequence[RankedLine]) -> None:
    table = Table(
        Column("count", 6, right=True),
        Column("saved", 9, right=True),
        Column("options", 16),
        Column("text"),
    )
    for line in found:
        options = options_in_words(line.options)
        table.add(f"{line.count:,}", f"{line.characters_saved:,}", options, line.text)
    table.show()
    once = sum(len(line.text) for line in found)
    saved = sum(line.characters_saved for line in found)
    note(
        f"{many(len(found), 'line')}: {many(once, 'character')} once, in place of {once + saved:,}"
    )
