#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The index of exported recordings: a table for spreadsheets, or a line of JSON for each.

In ``index.csv`` a cell that a spreadsheet would take for a formula, a number or a date, or that
holds what no cell can, is written as a string of JSON, in quotation marks.
"""

import csv
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.key import prepare_text
from pipecat_tts_cache.utterance import Utterance, Word

IndexKind = Literal["csv", "jsonl"]
Row = dict[str, Any]
"""A line of an index as it is written, by column."""

COLUMNS = (
    *("text", "file", "duration", "voice", "model", "service", "words", "namespace", "digest"),
    *("sample_rate", "num_channels", "created_at", "expires_at", "text_digest", "watermarked"),
    *("pinned", "original"),
)
_YES_OR_NO = ("watermarked", "pinned")
_NOT_TEXT = {
    *("duration", "words", "sample_rate", "num_channels", "created_at", "expires_at"),
    *_YES_OR_NO,
}
_MAX_SIZE = 1 << 28
_MAX_CELL = 131_072
"""Characters that Python's and others' readers take."""
_MAX_DATE = 20
"""Characters; what is longer and begins with a letter, no spreadsheet takes for a date."""
_DIGEST = re.compile("[0-9a-f]{64}")
_ORIGINAL = re.compile("text-([0-9a-f]{8}) words-([0-9a-f]{8})")
_WORD_AND_TIME = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What an index says of a recording.

    Parameters:
        file: Where it is, from the folder.
        key: Where it is kept in a store.
        duration: Length of the audio in seconds, as it was exported.
        fields: The fields of its `Utterance` but the audio.
        text_edited: Whether the text is another than was exported.
        words_edited: Whether the words or their times are others than were exported.
    """

    file: str
    key: CacheKey
    duration: float
    fields: dict[str, Any]
    text_edited: bool
    words_edited: bool


def make_row(entry: Entry, utterance: Utterance, *, duration: float, file: str) -> Row:
    """Describe a recording.

    Args:
        entry: What the store says of it.
        utterance: The recording; its audio does not matter.
        duration: Length of the audio in seconds.
        file: Where it is, from the folder.

    Returns:
        The line of the index.
    """
    words = [[*word[:2]] if not word.carries_spaces else [*word] for word in utterance.words]
    return {
        "text": utterance.text,
        "file": file,
        "duration": round(duration, 6),
        "voice": utterance.voice,
        "model": utterance.model,
        "service": utterance.service,
        "words": words,
        "namespace": entry.key.namespace,
        "digest": entry.key.digest,
        "sample_rate": utterance.sample_rate,
        "num_channels": utterance.num_channels,
        "created_at": utterance.created_at,
        "expires_at": entry.expires_at,
        "text_digest": utterance.text_digest,
        "watermarked": utterance.watermarked,
        "pinned": utterance.pinned,
        "original": _original(utterance.text, utterance.words),
    }


def read_row(row: Row) -> Line:
    """Understand a line of an index.

    Args:
        row: The line.

    Returns:
        What it says.

    Raises:
        ValueError: If something in it makes no sense, in words.
    """
    text = _checked(row, "text", str, optional=True)
    words = _read_words(row.get("words"))
    digest = _checked(row, "digest", str)
    found = _ORIGINAL.fullmatch(_checked(row, "original", str))
    if not _DIGEST.fullmatch(digest):
        raise ValueError("'digest' is not 64 hexadecimal digits")
    if found is None:
        raise ValueError("'original' was changed, so nobody can tell what else was")
    text_sum, words_sum = found.groups()
    expires_at = row.get("expires_at")
    fields: dict[str, Any] = {
        "text": text,
        "words": words,
        "voice": _checked(row, "voice", str, optional=True),
        "model": _checked(row, "model", str, optional=True),
        "service": _checked(row, "service", str, optional=True) or "",
        "sample_rate": _checked(row, "sample_rate", int),
        "num_channels": _checked(row, "num_channels", int),
        "created_at": _number(row, "created_at"),
        "expires_at": None if expires_at is None else _number(row, "expires_at"),
        "text_digest": _checked(row, "text_digest", str, optional=True) or "",
        "watermarked": _checked(row, "watermarked", bool),
        "pinned": _checked(row, "pinned", bool, optional=True) or False,
    }
    return Line(
        file=_checked(row, "file", str),
        key=CacheKey(_checked(row, "namespace", str, optional=True) or "", digest),
        duration=_number(row, "duration"),
        fields=fields,
        text_edited=_sum(text and prepare_text(text)) != text_sum,
        words_edited=_sum(words) != words_sum,
    )


def find_index(folder: Path) -> IndexKind | None:
    """Tell which index there is.

    Args:
        folder: The folder.

    Returns:
        Its kind, or None if there is none.

    Raises:
        ValueError: If there are two.
    """
    found = [kind for kind in get_args(IndexKind) if _path(folder, kind).exists()]
    if len(found) > 1:
        raise ValueError(f"{str(folder)!r} holds two indexes: remove index.csv or index.jsonl")
    return cast("IndexKind", found[0]) if found else None


def read_index(folder: Path, kind: IndexKind) -> Iterator[Row | ValueError]:
    """Read an index.

    Args:
        folder: The folder.
        kind: Which index it is.

    Yields:
        Its lines; for one that cannot be read, why.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is none, or absurdly large.
    """
    path = _path(folder, kind)
    if not path.is_file() or path.stat().st_size > _MAX_SIZE:
        raise ValueError(f"{path.name} is larger than 256 MiB, or no file")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not in UTF-8: save it as 'CSV UTF-8'") from None
    yield from _read_table(content) if kind == "csv" else _read_lines(content)


def write_index(folder: Path, kind: IndexKind, rows: Sequence[Row]) -> None:
    """Write an index, all of it or nothing.

    Args:
        folder: The folder.
        kind: Which index to write.
        rows: Its lines, each of which `check_row` has let pass.

    Raises:
        OSError: If it cannot be written.
    """
    path = _path(folder, kind)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8-sig" if kind == "csv" else "utf-8", newline="") as file:
        if kind == "csv":
            columns = list(COLUMNS) + [
                name
                for name in dict.fromkeys(n for row in rows for n in row)
                if name not in COLUMNS
            ]
            table = csv.writer(file)
            table.writerow(columns)
            table.writerows([_cell(row.get(name)) for name in columns] for row in rows)
        else:
            file.writelines(_json(row) + "\n" for row in rows)
    part.replace(path)


def check_row(row: Row, kind: IndexKind) -> None:
    """Make sure that an index can hold a line.

    Args:
        row: The line.
        kind: Which index it is.

    Raises:
        ValueError: If it cannot.
    """
    if kind == "csv" and any(len(_cell(value)) > _MAX_CELL for value in row.values()):
        raise ValueError("its text or words are too long for a table: use index='jsonl'")


def _path(folder: Path, kind: str) -> Path:
    return folder / f"index.{kind}"


def _read_lines(content: str) -> Iterator[Row | ValueError]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                row: Any = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            is_row = isinstance(row, dict)
            yield row if is_row else ValueError(f"line {number} of the index is no object of JSON")


def _read_table(content: str) -> Iterator[Row | ValueError]:
    first = content.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # spreadsheets have their ways
    table = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    try:
        columns = next(table, [])
        if missing := {"file", "digest", "original"} - set(columns):
            raise ValueError(f"index.csv lacks the column {min(missing)!r}")
        for cells in table:
            if any(cells):
                yield {
                    name: _read_cell(name, cell)
                    for name, cell in zip(columns, cells, strict=False)
                    if name
                }
    except csv.Error as error:
        raise ValueError(f"index.csv cannot be read: {error}") from None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and _is_plain(value):
        return value
    return _json(value)


def _is_plain(value: str) -> bool:
    """Whether a string is one to a spreadsheet, too."""
    return (
        value[:1].isalpha()
        and value.isprintable()
        and value == value.strip()
        and (" " in value or len(value) > _MAX_DATE or not any(map(str.isdigit, value)))
        and value.upper() not in ("TRUE", "FALSE")
    )


def _read_cell(name: str, cell: str) -> Any:
    if not cell:
        return None
    if name not in _NOT_TEXT and not cell.startswith('"'):
        return cell
    try:
        return json.loads(cell.lower() if name in _YES_OR_NO else cell)
    except (ValueError, RecursionError):
        return cell


def _json(value: Any) -> str:
    """Write JSON that shows all that can be shown."""
    written = json.dumps(value, ensure_ascii=False)
    if written.isprintable():
        return written
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in written)


def _original(text: str | None, words: tuple[Word, ...]) -> str:
    return f"text-{_sum(text and prepare_text(text))} words-{_sum(words)}"


def _sum(value: object) -> str:
    return f"{zlib.crc32(json.dumps(value).encode()):08x}"


def _checked(row: Row, name: str, kind: type, *, optional: bool = False) -> Any:
    value = row.get(name)
    if value is None and optional:
        return None
    if type(value) is not kind:
        raise ValueError(f"{name!r} is missing, or not of the type {kind.__name__}")
    return value


def _number(row: Row, name: str) -> float:
    value = row.get(name)
    if not _is_number(value):
        raise ValueError(f"{name!r} is missing, or no number")
    return cast("float", value)


def _is_number(value: object) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(cast("float", value))
    except OverflowError:  # an integer of hundreds of digits
        return False


def _read_words(words: object) -> tuple[Word, ...]:
    if isinstance(words, list):
        return tuple(map(_read_word, cast("list[object]", words)))
    raise ValueError("'words' is no list")


def _read_word(word: object) -> Word:
    parts: list[Any] = word if isinstance(word, list) else []
    if len(parts) == _WORD_AND_TIME:
        parts = [*parts, False]
    match parts:
        case [str(text), start, bool(spaces)] if _is_number(start) and start >= 0:
            return Word(text, start, spaces)
        case _:
            raise ValueError("'words' holds something else than words and times: [\"Hi\", 0.25]")
