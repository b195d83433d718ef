#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a whole run of tests has used of the recordings, also where several processes share it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pipecat_tts_cache.backends.entry import CacheKey


@dataclass(slots=True)
class Tally:
    """What tests have used, and whether that is all that they would.

    Parameters:
        used: Which recordings were asked for.
        recorded: How many were written, or replaced by others.
        unrecorded: Lines that were spoken and not recorded: the test, the text, and why.
        partial: Why other tests may use more; empty if none can.
    """

    used: set[CacheKey] = field(default_factory=set)
    recorded: int = 0
    unrecorded: list[tuple[str, str, str]] = field(default_factory=list)
    partial: str = ""

    def stop_short(self, reason: str) -> None:
        """Note that not all is used that would be.

        Args:
            reason: Why; the first counts.
        """
        self.partial = self.partial or reason

    def add(self, other: Self) -> None:
        """Add what another process has used.

        Args:
            other: Its tally.
        """
        self.used |= other.used
        self.recorded += other.recorded
        self.unrecorded += other.unrecorded
        self.stop_short(other.partial)

    def to_json(self) -> str:
        """Write it down for another process.

        Returns:
            JSON in ASCII.
        """
        return json.dumps([sorted(self.used), self.recorded, self.unrecorded, self.partial])

    @classmethod
    def from_json(cls, written: str) -> Self:
        """Read what another process has written.

        Args:
            written: What `to_json` gave.

        Returns:
            The tally.
        """
        used, recorded, unrecorded, partial = json.loads(written)
        lines = [(test, text, why) for test, text, why in unrecorded]
        return cls({CacheKey(*key) for key in used}, recorded, lines, partial)


def selection_of(options: Mapping[str, Any]) -> str:
    """Tell how pytest was told to run some tests only.

    Args:
        options: The options of its command line, by name.

    Returns:
        The option, or nothing if there is none.
    """
    return next((name for name, key in _SELECT.items() if options.get(key)), "")


_SELECT = {
    "-k": "keyword",
    "-m": "markexpr",
    "--deselect": "deselect",
    "--ignore": "ignore",
    "--ignore-glob": "ignore_glob",
    "--lf": "lf",
    "--sw": "stepwise",
    "--collect-only": "collectonly",
    "--setup-only": "setuponly",
    "--setup-plan": "setupplan",
}
