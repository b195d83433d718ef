#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lists of lines to say: plain text, tables, and JSON."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.numbered import NumberedLines

_TEXT_FIELDS = ("text", "content")
_DELIMITERS = ",;\t"


def plain(lines: NumberedLines) -> Iterator[Line]:
    """Read one line to say from each line that is neither empty nor a comment.

    Args:
        lines: The file.

    Yields:
        The lines.
    """
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            yield Line(text)


def json_lines(
    lines: NumberedLines, field: str | None, options: frozenset[str] | None
) -> Iterator[Line]:
    """Read strings and objects, one a line.

    Args:
        lines: The file.
        field: Where the text is, or None to look for it.
        options: Which fields are options, or None for all others.

    Yields:
        The lines.

    Raises:
        ValueError: If a line holds something else.
    """
    for line in lines:
        value: Any = lines.parsed(line) if line.strip() else ""
        if isinstance(value, str):
            yield from _each([value], {})
            continue
        if not isinstance(value, dict):
            raise lines.wrong("it is neither a string nor an object")
        if field is None and ("role" in value or "messages" in value):
            raise lines.wrong("it is a message: give the format 'messages'")
        name = _text_field(lines, value, field)
        text: Any = value.pop(name)
        texts: list[Any] = text if isinstance(text, list) else [text]
        if not all(isinstance(each, str) for each in texts):
            raise lines.wrong(f"{name!r} is no text")
        inner = value.get("options")
        if options is None and isinstance(inner, dict):
            value = inner
        yield from _each(texts, _chosen(value, options))


def csv_rows(
    lines: NumberedLines, field: str | None, options: frozenset[str] | None
) -> Iterator[Line]:
    """Read a table with a heading.

    Args:
        lines: The file.
        field: Which column is the text, or None to look for it.
        options: Which columns are options, or None for all others.

    Yields:
        The lines.

    Raises:
        ValueError: If it is no such table.
    """
    read = iter(lines)
    heading = next(read, "")
    delimiter = max(_DELIMITERS, key=heading.count)
    names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
    if len(set(names)) < len(names):
        raise lines.wrong("two columns have the same name")
    name = _text_field(lines, dict.fromkeys(names), field)
    if missing := sorted((options or frozenset()) - set(names)):
        raise lines.wrong(f"there is no column {missing[0]!r}")
    rows = csv.reader(read, delimiter=delimiter, strict=True)
    try:
        for row in rows:
            if len(row) > len(names):
                raise lines.wrong(f"it has {len(row)} cells for {len(names)} columns")
            cells = {each: cell.strip() for each, cell in zip(names, row, strict=False)}
            text = cells.pop(name, "")
            yield from _each([text], _chosen(cells, options))
    except csv.Error as error:
        raise lines.wrong(str(error)) from None


def _text_field(lines: NumberedLines, fields: Mapping[str, object], given: str | None) -> str:
    for name in _TEXT_FIELDS if given is None else (given,):
        if name in fields:
            return name
    wanted = "neither 'text' nor 'content': say where the text is" if given is None else None
    raise lines.wrong(f"it has {wanted or f'no {given!r}'}")


def _chosen(fields: Mapping[str, Any], options: frozenset[str] | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in fields.items()
        if value not in (None, "") and (options is None or name in options)
    }


def _each(texts: Iterable[str], options: dict[str, Any]) -> Iterator[Line]:
    return (Line(text, options) for text in texts if text.strip())
