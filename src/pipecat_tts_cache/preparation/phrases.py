#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines to say, read from files: lists of lines, and what a bot said in past calls."""

import re
from collections.abc import Collection, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Literal

from pipecat_tts_cache.checks import check_choice
from pipecat_tts_cache.preparation import past_calls, phrase_lists
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.numbered import NumberedLines

PhraseFormat = Literal["text", "csv", "jsonl", "messages", "transcript", "log"]
PAST_CALLS = frozenset({"messages", "transcript", "log"})
"""Formats of what was said in calls: turns, of one or more sentences."""

_BY_SUFFIX: dict[str, PhraseFormat] = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "messages",
}
_ARE_FOR: dict[str, tuple[PhraseFormat, ...]] = {
    "field": ("csv", "jsonl"),
    "options": ("csv", "jsonl"),
    "speaker": ("transcript",),
    "pattern": ("log",),
}


def read_phrases(
    path: str | PathLike[str],
    *,
    format: PhraseFormat | None = None,  # noqa: A002 - as in export_store
    field: str | None = None,
    options: Collection[str] | None = None,
    speaker: str | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Iterator[Line]:
    r"""Read lines to say from a file, in UTF-8. They are read as they are asked for.

    Lists of lines:

    - "text": one a line. Empty lines, and those that begin with "#", say nothing.
    - "csv": a table with a heading and commas, semicolons or tabs. One column is the text; the
      others are options of the line, such as `voice`, where they are not empty.
    - "jsonl": a line each is a string, or an object. One field of that is the text, or a list of
      texts; the others are options, or if there is an object "options", what that holds.

    What was said in past calls, a turn each, for `split_sentences` to cut:

    - "messages": the context of a language model as OpenAI and Pipecat write it, in one JSON
      document or one a line. What the role "assistant" says counts.
    - "transcript": lines such as "Bot: One moment.", with times before or behind the name or
      without. Indented lines go on with what was said.
    - "log": lines in which a regular expression finds the text. For what Pipecat logs at level
      DEBUG it is ``r"Generating TTS \[(?P<text>.*)\]"``.

    Args:
        path: The file.
        format: What is in it; by default as `speaker` or `pattern` tell, or as its name ends: .txt,
            .csv, .tsv, .jsonl, .ndjson, and .json for messages.
        field: The column or field that is the text, if it is neither "text" nor "content".
        options: The columns or fields that are options; by default all others.
        speaker: Who the bot is in a transcript, in whatever case.
        pattern: What finds the text in a log, as its group "text"; other named groups are options.

    Returns:
        The lines, as they come. What comes twice is there twice.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the arguments make no sense; or, on the way, if something in the file makes
            none. The message names the line.
        OSError: On the way, if the file cannot be read.
    """
    given = {"field": field, "options": options, "speaker": speaker, "pattern": pattern}
    form = _format(path, format, given)
    _check(form, given)
    lines = NumberedLines(Path(path))
    if form in ("csv", "jsonl"):
        read = {"csv": phrase_lists.csv_rows, "jsonl": phrase_lists.json_lines}[form]
        return read(lines, field, None if options is None else frozenset(options))
    if form == "transcript":
        return past_calls.transcript(lines, speaker or "")
    if form == "log":
        return past_calls.log(lines, past_calls.checked_pattern(pattern or ""))
    return {"text": phrase_lists.plain, "messages": past_calls.messages}[form](lines)


def format_of(
    path: str | PathLike[str],
    *,
    format: PhraseFormat | None = None,  # noqa: A002
    speaker: str | None = None,
    pattern: object = None,
) -> PhraseFormat:
    """Tell what `read_phrases` takes a file for.

    Args:
        path: The file.
        format: As for `read_phrases`.
        speaker: As for `read_phrases`.
        pattern: As for `read_phrases`.

    Returns:
        The format.

    Raises:
        ValueError: If nothing tells, or there is no such format.
    """
    return _format(path, format, {"speaker": speaker, "pattern": pattern})


def _format(
    path: str | PathLike[str], form: PhraseFormat | None, given: Mapping[str, object]
) -> PhraseFormat:
    if form is None and given["speaker"] is not None:
        form = "transcript"
    if form is None and given["pattern"] is not None:
        form = "log"
    if form is None:
        form = _BY_SUFFIX.get(Path(path).suffix.lower())
    if form is None:
        raise ValueError(
            f"the name of {Path(path).name} does not tell what is in it: give a format, or for a "
            f"transcript its speaker, for a log a pattern"
        )
    known: PhraseFormat = check_choice("format", form, PhraseFormat)
    return known


def _check(form: PhraseFormat, given: Mapping[str, object]) -> None:
    for name, forms in _ARE_FOR.items():
        value = given[name]
        if value is None:
            if name in ("speaker", "pattern") and form in forms:
                raise ValueError(f"the format {form!r} needs a {name}")
            continue
        _check_type(name, value)
        if form not in forms:
            raise ValueError(f"{name} makes no sense for the format {form!r}")
        if not value and name != "options":
            raise ValueError(f"{name} must not be empty")


def _check_type(name: str, value: object) -> None:
    if name == "options":
        is_right = isinstance(value, Collection) and not isinstance(value, str)
        wanted = "a collection of strings"
    else:
        is_right = isinstance(value, str) or (name == "pattern" and isinstance(value, re.Pattern))
        wanted = "a string"
    if not is_right:
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")
