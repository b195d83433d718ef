#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What came of lines that were to be prepared."""

from dataclasses import dataclass
from enum import StrEnum

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.utterance import Utterance


class Unprepared(StrEnum):
    """Why a line is not in the store, where neither `NotStored` nor `Bypass` says it.

    Parameters:
        CLOSED: The `SpeechCache` is closed.
        GIVEN_UP: Others of its voice have timed out.
        NOTHING_TO_SAY: There is nothing in it that is spoken.
        NOT_STORED: What was spoken has not arrived in the store.
        NOT_THERE: It was only looked for; or what is there cannot be had.
        PIPELINE_ENDED: The service has ended its pipeline, as on a fatal error.
        SEVERAL_SENTENCES: The service looks it up in parts, so that it is no utterance.
        TIMEOUT: It has taken too long.
    """

    CLOSED = "closed"
    GIVEN_UP = "given up"
    NOTHING_TO_SAY = "nothing to say"
    NOT_STORED = "not stored"
    NOT_THERE = "not there"
    PIPELINE_ENDED = "pipeline ended"
    SEVERAL_SENTENCES = "several sentences"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A recording that stands in for a line.

    Parameters:
        key: Where it is kept in the store.
        utterance: What is heard, with the words that are told.
        gain: By how many decibels it was made louder.
    """

    key: CacheKey
    utterance: Utterance
    gain: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a line.

    Parameters:
        line: The line.
        warm: Whether all of it is in the store by now.
        spoken: Whether the provider was asked for any of it.
        reasons: Why some of it is not in the store, as in `NotStored` and `Bypass`; or "timeout",
            "given up" (others of the voice had timed out), "pipeline ended", "nothing to say",
            "not there", "not stored", and of a `SpeechCache` "several sentences".
    """

    line: Line
    warm: bool
    spoken: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """What came of all lines, in their order. It is true if all of them are in the store.

    Parameters:
        outcomes: What came of each.
    """

    outcomes: tuple[Outcome, ...]

    def __bool__(self) -> bool:
        """Tell whether all lines are in the store."""
        return all(each.warm for each in self.outcomes)

    @property
    def stored(self) -> list[str]:
        """The texts that were spoken and stored."""
        return [each.line.text for each in self.outcomes if each.warm and each.spoken]

    @property
    def already(self) -> list[str]:
        """The texts that were there."""
        return [each.line.text for each in self.outcomes if each.warm and not each.spoken]

    @property
    def failed(self) -> dict[str, tuple[str, ...]]:
        """The texts that are not in the store, with the reasons of all voices: see `failures`."""
        reasons: dict[str, dict[str, None]] = {}
        for each in self.failures:
            reasons.setdefault(each.line.text, {}).update(dict.fromkeys(each.reasons))
        return {text: tuple(of_text) for text, of_text in reasons.items()}

    @property
    def failures(self) -> list[Outcome]:
        """What came of the lines that are not in the store, one for each voice of a text."""
        return [each for each in self.outcomes if not each.warm]
