#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What came of trying a service with the cache."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast


def in_words(value: object) -> str:
    """Write a value for a finding, as people write it.

    Args:
        value: The value.

    Returns:
        Texts in quotation marks, lists with commas, and no other signs of Python.
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, cast("Iterable[object]", value))) or "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, or that a service author should know.

    Parameters:
        where: What was tried, for instance `a turn of hit, miss, miss`.
        what: What came of it.
    """

    where: str
    what: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.where}: {self.what}"


@dataclass
class Report:
    """What `check_cache` found. `print` it, or `assert report.passed, report`.

    Parameters:
        service: The name of the class.
        cached: Whether its speech was stored and replayed.
        word_times: Whether the service told when which word is spoken.
        bypassed: Why speech was left alone, if it was: the names of `Bypass`.
        findings: What a user would hear or read that is not so without the cache, or what was
            stored and should not have been.
        notes: What is not right without the cache either, so that there was less to compare
            with: not findings. Read them: what they name is only known to be no worse.
        tried: How many runs of each kind were made.
        compared: How many comparisons there were with a service that is right without the cache.
    """

    service: str
    cached: bool = False
    word_times: bool = False
    bypassed: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    compared: int = 0

    @property
    def passed(self) -> bool:
        """Whether nobody can tell the service with the cache from the one without."""
        return self.compared > 0 and not self.findings

    def __str__(self) -> str:
        """Say what was tried, and what was found."""
        tried = ", ".join(f"{count} {kind}" for kind, count in self.tried.items())
        verdict = "nobody can tell" if self.compared else "there was nothing to compare with"
        if self.findings:
            verdict = f"{len(self.findings)} findings"
        if not self.cached:
            verdict += "; nothing was cached"
            verdict += f" ({', '.join(sorted(self.bypassed))})" if self.bypassed else ""
        lines = [f"{self.service}: {verdict}. Tried: {tried}."]
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  (no comparison) {note}" for note in self.notes]
        return "\n".join(lines)
