#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The gaps between sentences: what was heard, put together and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from listener import Heard
from pipecat_tts_cache.testing.voice import speak
from pipeline import SAMPLE_RATE
from report import percentile_95
from script import Script, Turn

AUDIBLE = 0.020
"""Silence from here on counts as a gap, and as a difference, in seconds."""


@dataclass(frozen=True)
class Boundary:
    """Where a sentence follows another one in a turn.

    Parameters:
        cover: Seconds of the first sentence that are still to be heard when the provider has
            spoken all of it, if it was heard from when its first audio came.
        first_audio: Seconds that the provider takes to answer the second sentence.
        length: Length of the first sentence, in seconds.
    """

    cover: float
    first_audio: float
    length: float

    @property
    def too_short(self) -> bool:
        """Whether asking for the second sentence when the first has come must leave a gap."""
        return self.cover < self.first_audio


@dataclass(frozen=True)
class Figures:
    """What came of one variant.

    Parameters:
        silences: What was heard at each boundary, in seconds.
        onsets: When the sentence behind each boundary was heard, in seconds after its turn began.
        within: The longest silence heard within a sentence, in seconds.
        first_audio: Seconds from the first token of each turn to its first audio.
        complete: Whether every turn was heard to its end.
    """

    silences: list[float]
    onsets: list[float]
    within: float
    first_audio: list[float]
    complete: bool

    @classmethod
    def of(cls, turns: Sequence[Turn], heard: Sequence[Heard]) -> Self:
        """Put together what was heard of turns."""
        silences: list[float] = []
        onsets: list[float] = []
        first_audio: list[float] = []
        within, complete = 0.0, True
        for turn, each in zip(turns, heard, strict=True):
            lengths = [length_of(text) for text in turn.sentences]
            at_boundaries, inside = each.silences(lengths)
            silences += at_boundaries
            first, *others = each.onsets(lengths)
            first_audio.append(first)
            onsets += others
            within = max([within, *inside])
            complete = complete and abs(sum(lengths) - each.seconds) < AUDIBLE
        return cls(silences, onsets, within, first_audio, complete)

    @property
    def gaps(self) -> list[float]:
        """Silences that can be heard."""
        return [seconds for seconds in self.silences if seconds >= AUDIBLE]

    def cells(self) -> list[str]:
        """Write the row of a table."""
        gaps = self.gaps
        return [
            str(len(gaps)),
            f"{median(gaps) if gaps else 0.0:.3f}",
            f"{percentile_95(gaps):.3f}",
            f"{sum(gaps):.2f}",
            f"{median(self.first_audio):.3f}",
            f"{percentile_95(self.first_audio):.3f}",
        ]


COLUMNS = ("gaps", "median s", "p95 s", "total s", "1st audio", "p95 s")


def length_of(sentence: str) -> float:
    """Tell how long a sentence is, in seconds."""
    return speak(sentence, sample_rate=SAMPLE_RATE).duration


def boundaries_of(script: Script) -> list[Boundary]:
    """List the boundaries of a script, in the order in which `Figures` has them."""
    found = []
    for turn in script.turns:
        for first, second in zip(turn.sentences, turn.sentences[1:], strict=False):
            length = length_of(first)
            cover = length * (1 - 1 / script.paces[first].speed)
            found.append(Boundary(cover, script.paces[second].first_audio, length))
    return found


DIFFERENCES = ("longer", "most s", "lead", "short", "else", "shorter", "later", "most s")


def compare(one: Figures, uncached: Figures, boundaries: Sequence[Boundary]) -> list[str]:
    """Write the row of a table: at how many boundaries a variant differs from the uncached bot.

    Args:
        one: The variant.
        uncached: The uncached bot.
        boundaries: The boundaries of the script.

    Returns:
        How many gaps are longer, and the most that one is longer by; how many of these only
        because what precedes is heard sooner, how many behind a sentence too short to cover the
        wait, and the rest; how many gaps are shorter; how many sentences are heard later, and the
        most that one is.
    """
    longer = [a - b for a, b in zip(one.silences, uncached.silences, strict=True)]
    later = [a - b for a, b in zip(one.onsets, uncached.onsets, strict=True)]
    worse = [at for at, by in enumerate(longer) if by >= AUDIBLE]
    lead = [at for at in worse if later[at] < AUDIBLE]
    short = [at for at in worse if at not in lead and boundaries[at].too_short]
    counts = (len(lead), len(short), len(worse) - len(lead) - len(short))
    delayed = [by for by in later if by >= AUDIBLE]
    return [
        str(len(worse)),
        f"{max((longer[at] for at in worse), default=0.0):.3f}",
        *map(str, counts),
        str(sum(by <= -AUDIBLE for by in longer)),
        str(len(delayed)),
        f"{max(delayed, default=0.0):.3f}",
    ]
