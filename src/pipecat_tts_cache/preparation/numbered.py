#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The lines of a file, one at a time, and messages that name them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

_MAX_LINE = 1 << 20
_MAX_REST = 1 << 26


class NumberedLines:
    """Reads a file in UTF-8 line by line, and knows where it is."""

    def __init__(self, path: Path) -> None:
        """Begin; the file is opened when the first line is asked for.

        Args:
            path: The file.
        """
        self._path = path
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        """Give the lines, with their ends.

        Raises:
            ValueError: If a line is not in UTF-8, or is longer than a megabyte.
            OSError: If the file cannot be read.
        """
        with self._path.open("rb") as file:
            while line := file.readline(_MAX_LINE + 1):
                self._number += 1
                if len(line) > _MAX_LINE:
                    raise self.wrong("it is longer than a megabyte")
                yield self._decoded(line)

    def wrong(self, why: str) -> ValueError:
        """Make an error about the line that was read last.

        Args:
            why: What is wrong with it.

        Returns:
            The error.
        """
        return ValueError(f"{self._path.name}, line {self._number}: {why}")

    def parsed(self, text: str) -> Any:
        """Parse JSON that ends with the line that was read last.

        Args:
            text: The JSON.

        Returns:
            Its value.

        Raises:
            ValueError: If it is none.
        """
        try:
            return json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise self.wrong("it is no JSON") from None

    def rest(self, lines: Iterator[str]) -> str:
        """Read what is left, where a file makes sense only as a whole.

        Args:
            lines: What is left.

        Returns:
            All of it.

        Raises:
            ValueError: If that is more than 64 megabytes.
        """
        read: list[str] = []
        size = 0
        for line in lines:
            size += len(line)
            if size > _MAX_REST:
                raise self.wrong("the document is larger than 64 MB; write one message a line")
            read.append(line)
        return "".join(read)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8-sig" if self._number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise self.wrong("it is not in UTF-8") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
