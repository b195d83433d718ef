#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A rehearsal: a service speaks what the store lacks, to nobody, and nothing else."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.statistics.stats import CacheStats, NotStored
from pipecat_tts_cache.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Asked:
    """A sentence that a service was asked for.

    Parameters:
        key: Where it is kept, or would be.
        text: The text as prepared for the provider.
        description: What its record says besides the speech: fields of `Utterance`.
    """

    key: CacheKey
    text: str
    description: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """What a service does with its lines while it rehearses.

    Parameters:
        speaks: Whether it speaks what is missing; if not, it only finds out what is.
        refresh: Whether it speaks what is there, too, to replace it.
        blindly: Whether it speaks what the store does not tell of.
        there: Sentences that were in the store.
        missing: Sentences that were not.
        unknown: Sentences of which the store did not tell.
        asked: Where to note what the service is asked for, if that is of interest.
        takes: Where to put what is spoken, whether the store takes it or not, if that is.
    """

    speaks: bool = True
    refresh: bool = False
    blindly: bool = False
    there: int = 0
    missing: int = 0
    unknown: int = 0
    asked: list[Asked] | None = None
    takes: dict[CacheKey, Utterance] | None = None

    def skips(self, *, there: bool | None) -> bool:
        """Decide about a sentence.

        Args:
            there: Whether it is in the store, or None if the store does not tell.

        Returns:
            Whether not to speak it.
        """
        if there is None:
            self.unknown += 1
        elif there:
            self.there += 1
        else:
            self.missing += 1
        if there is None:
            return not (self.speaks and self.blindly)
        return not self.speaks or (there and not self.refresh)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the statistics of a service stand, to tell what came of its next lines.

    Parameters:
        there: Sentences that were in the store.
        missing: Sentences that were not.
        stores: Sentences stored.
        unkept: Sentences that were not stored, or not even looked up, by reason.
    """

    there: int
    missing: int
    stores: int
    unkept: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rehearsal: Rehearsal, stats: CacheStats) -> "Standing":
        """Note where they stand.

        Args:
            rehearsal: The rehearsal.
            stats: The statistics of the service.

        Returns:
            Where they stand.
        """
        unkept: Counter[str] = Counter()
        for counts in (stats.not_stored, stats.bypassed):
            unkept.update({reason.value: count for reason, count in counts.items()})
        unkept[NotStored.STORE_FAILED.value] += rehearsal.unknown
        return cls(rehearsal.there, rehearsal.missing, stats.stores, unkept)

    def reasons_since(self, before: "Standing") -> list[str]:
        """Tell why sentences were not kept since then.

        Args:
            before: Where the statistics stood.

        Returns:
            The reasons, each once.
        """
        return sorted(self.unkept - before.unkept)
