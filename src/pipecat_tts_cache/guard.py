#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Values that are personal in a call, and the sentences that hold one of them.

A value is found in whatever case, width and Unicode form it is written, with or without accents,
white space and punctuation: "Zoë-Marie" in "zoe marie", "A-123 456" in "a123456". Where something
is found that is none, as in "Zoetrope" for a guest called Zoë, a saving is lost, and nothing else.
"""

import unicodedata
from collections.abc import Iterable


class Guard:
    """The values that are personal now. It holds them in memory only, and shows them to nobody."""

    def __init__(self) -> None:
        """Start with none."""
        self._values: set[str] = set()

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Guard({len(self)} values)"

    def add(self, values: Iterable[str]) -> None:
        """Name values that are personal.

        Args:
            values: Names, numbers, addresses.

        Raises:
            TypeError: If something is no string, or a string is given in place of several.
            ValueError: If a value has neither letters nor digits.
        """
        if isinstance(values, str):
            raise TypeError("give the values one by one, not as one string")
        folded: set[str] = set()
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"a value must be a string, not {type(value).__name__}")
            if not (fold := _fold(value)):
                raise ValueError("a value must have letters or digits")
            folded.add(fold)
        self._values |= folded

    def clear(self) -> None:
        """Forget the values, as when another caller is served."""
        self._values.clear()

    def holds_back(self, text: str) -> bool:
        """Tell whether a text holds one of the values.

        Args:
            text: The text.

        Returns:
            Whether it does.
        """
        if not self._values:
            return False
        folded = _fold(text)
        return any(value in folded for value in self._values)


def _fold(text: str) -> str:
    """Leave letters and digits: in one case, width and script of digits, and without accents."""
    decomposed = unicodedata.normalize("NFKD", text).upper().casefold()
    return "".join(
        str(unicodedata.decimal(each, each))
        for each in unicodedata.normalize("NFKD", decomposed)
        if each.isalnum() or unicodedata.category(each) == "Mc"
    )
