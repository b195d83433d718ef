#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The word clock of a service, which may run on over the sentences of a turn."""

from collections.abc import Iterable

from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.statistics.stats import NotStored

_RUNNING_ON = 0.8
"""A first word this far into the live audio before it is on a clock that runs on."""


class WordClock:
    """Tells when in its sentence a word begins."""

    def __init__(self, *, runs_on: bool) -> None:
        """Start it.

        Args:
            runs_on: Whether it may run on over sentences.
        """
        self._runs_on = runs_on
        self._seconds = 0.0
        self._is_lost = False

    def from_start(self, sentence: LiveSentence, reported: float) -> float:
        """Give a word's time from the start of its sentence.

        Args:
            sentence: The sentence.
            reported: The time as the service reports it, in seconds.

        Returns:
            Seconds.
        """
        if not self._runs_on:
            return reported
        if sentence.clock_start is None:
            runs_on = reported >= _RUNNING_ON * self._seconds
            sentence.clock_start = self._seconds if runs_on else 0.0
            if self._is_lost:
                sentence.recording.fail(NotStored.WORDS)
        return reported - sentence.clock_start

    def keep(self, sentence: LiveSentence) -> None:
        """Go on by a sentence that has ended.

        Args:
            sentence: The sentence.
        """
        if self._runs_on:
            self._seconds += sentence.recording.seconds
            # By how much the clock of a service runs on over half a sentence, only it knows.
            self._is_lost |= sentence.recording.judge() is not None

    def reset(self, under_way: Iterable[LiveSentence]) -> None:
        """Note that the service sets its clock back.

        Args:
            under_way: The sentences that it speaks now.
        """
        self._seconds = 0.0
        self._is_lost = False
        for sentence in under_way:
            if sentence.clock_start:
                sentence.recording.fail(NotStored.WORDS)
