#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What commands print: JSON for machines; for people tables, or columns between tabs in a pipe."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

from pipecat_tts_cache.backends.base import Entry
from pipecat_tts_cache.cli.words import plain

_ROWS_AT_A_TIME = 40
_MIN_TEXT = 20


class Column(NamedTuple):
    """A column of a table.

    Parameters:
        name: Its heading.
        width: How many characters a terminal gives to it; 0 for what is left.
        right: Whether it is aligned to the right, as numbers are.
    """

    name: str
    width: int = 0
    right: bool = False


def write_json(value: object) -> None:
    """Write a line of JSON, in ASCII: it holds whatever a text holds, and acts on no terminal."""
    line = json.dumps(value, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # the next may take its time


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """Describe an entry: the fields of `Entry`, with namespace and digest in place of the key."""
    fields = asdict(entry)
    del fields["key"]
    return {"namespace": entry.key.namespace, "digest": entry.key.digest, **fields}


class Table:
    """A table that is shown while its rows come in."""

    def __init__(self, *columns: Column) -> None:
        """Begin a table.

        Args:
            *columns: Its columns.
        """
        self._columns = columns
        self._waiting: list[list[str]] = []
        self._is_begun = False
        self.on_terminal = sys.stdout.isatty()

    def add(self, *cells: str) -> None:
        """Show a row, soon.

        Args:
            *cells: What is in it. It may come from a store: it is made harmless here.
        """
        self._waiting.append([plain(cell) for cell in cells])
        if not self.on_terminal or len(self._waiting) == _ROWS_AT_A_TIME:
            self.show()

    def show(self) -> None:
        """Show the rows that are waiting."""
        if self.on_terminal:
            self._show_on_terminal()
        else:
            heading = [] if self._is_begun else [[each.name.upper() for each in self._columns]]
            sys.stdout.writelines("\t".join(row) + "\n" for row in [*heading, *self._waiting])
        sys.stdout.flush()
        self._is_begun = True
        self._waiting.clear()

    def _show_on_terminal(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - not at load
        from rich.table import Table as RichTable  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = RichTable(
            box=None,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            show_header=not self._is_begun,
            expand=True,
        )
        for each in self._columns:
            table.add_column(
                each.name,
                justify="right" if each.right else "left",
                overflow="ellipsis",
                no_wrap=True,
                width=each.width or None,
                min_width=each.width or _MIN_TEXT,
                ratio=None if each.width else 1,
            )
        for row in self._waiting:
            table.add_row(*(Text(cell) for cell in row))
        Console(file=sys.stdout, highlight=False, emoji=False).print(table)


def write_fields(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
    """Write names and values, one a line.

    Args:
        fields: The names, and what may come from a store: it is made harmless here.
    """
    pairs: Sequence[tuple[str, str]] = list(dict(fields).items())
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        sys.stdout.write(f"{name:<{width}}  {plain(value)}\n")


def note(message: str) -> None:
    """Tell people something beside the result, on stderr."""
    sys.stderr.write(plain(message) + "\n")


def waiting(message: str) -> AbstractContextManager[object]:
    """Show that something goes on, on stderr, if that is a terminal.

    Args:
        message: What goes on.

    Returns:
        What shows it while it is entered.
    """
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console  # noqa: PLC0415 - not at load

    return Console(stderr=True, highlight=False).status(message)
