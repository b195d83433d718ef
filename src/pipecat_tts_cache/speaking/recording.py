#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a live sentence gave, and whether it may be stored.

This is the one place where an utterance is judged. It counts as complete only if its end is
certain and nothing went wrong on the way; whoever sees something go wrong says so with `fail`, and
the first reason stands.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from pipecat_tts_cache.statistics.stats import NotStored
from pipecat_tts_cache.utterance import Word

_BYTES_PER_SAMPLE = 2
_WORD_SLACK = 1.0
"""Seconds by which a word may begin after the end of the audio before its time is absurd."""

_END_SLACK = 0.05
"""Seconds by which the last word may end after the end of the audio, for its rounding."""


class Recording:
    """The audio and the words of one live sentence, as they come."""

    def __init__(self) -> None:
        """Start empty."""
        self.sample_rate = 0
        self.num_channels = 0
        self.words: list[Word] = []
        self.failure: NotStored | None = None
        self.must_tell = ""
        """A text of which every word has to be told, or it was not spoken to its end."""
        self.last_word_end: float | None = None
        """Where the last word ends, in seconds, if the service says so."""
        self.chunks: list[bytes] = []
        """The samples as they came: PCM s16le, each in whole samples."""
        self.listener: Callable[[], None] | None = None
        """Called when anything comes, and when it is ruled out that this is stored."""
        self._size = 0
        self._split_sample = b""

    @property
    def has_audio(self) -> bool:
        """Whether any audio came."""
        return self._size > 0

    @property
    def audio(self) -> bytes:
        """All samples so far, PCM s16le."""
        return b"".join(self.chunks)

    @property
    def seconds(self) -> float:
        """Length of the audio so far."""
        if not self._size or self.sample_rate <= 0:
            return 0.0
        return self._size / (_BYTES_PER_SAMPLE * self.num_channels * self.sample_rate)

    def fail(self, reason: NotStored) -> None:
        """Rule out that this is stored.

        Args:
            reason: Why. If there was a reason before, that one stands.
        """
        if self.failure is None:
            self.failure = reason
            self._tell_listener()

    def tell(self, word: Word) -> None:
        """Take a word as it comes.

        Args:
            word: The word, with its time from the start of the sentence.
        """
        self.words.append(word)
        self._tell_listener()

    def hear(self, audio: bytes, *, sample_rate: int, num_channels: int) -> bytes:
        """Take audio as it comes, and give it back in whole samples.

        Providers may cut their stream at any byte. What is left of a sample is kept for the next
        call, so that one sentence cannot shift the samples of the one behind it.

        Args:
            audio: PCM s16le.
            sample_rate: In Hz.
            num_channels: Number of interleaved channels.

        Returns:
            The audio in whole samples; empty if there is not one.
        """
        if not self.num_channels:
            self.sample_rate, self.num_channels = sample_rate, max(num_channels, 1)
        elif (sample_rate, num_channels) != (self.sample_rate, self.num_channels):
            self.fail(NotStored.FORMAT_CHANGED)
        if self._split_sample:
            audio = self._split_sample + audio
        odd = len(audio) % (_BYTES_PER_SAMPLE * self.num_channels)
        whole = len(audio) - odd
        self._split_sample = audio[whole:] if odd else b""
        return self._keep(audio[:whole] if odd else audio)

    def last_sample(self) -> bytes:
        """Complete a sample that was left split when the sentence ended, as Pipecat does.

        Returns:
            One sample, or nothing.
        """
        if not self._split_sample:
            return b""
        sample = self._split_sample.ljust(_BYTES_PER_SAMPLE * self.num_channels, b"\x00")
        self._split_sample = b""
        return self._keep(sample)

    def judge(self) -> NotStored | None:
        """Decide whether this may be stored, now that the sentence has ended.

        Returns:
            Why not, or None if it may.
        """
        if self.failure is not None:
            return self.failure
        if not self.has_audio:
            return NotStored.EMPTY
        if self.sample_rate <= 0:
            return NotStored.FORMAT_CHANGED
        return None if self._words_make_sense() else NotStored.WORDS

    def _words_make_sense(self) -> bool:
        starts = [word.start for word in self.words]
        latest = self.seconds + _WORD_SLACK
        in_order = all(one <= other for one, other in pairwise(starts))
        sane = all(math.isfinite(start) and 0 <= start <= latest for start in starts)
        return in_order and sane and self._tells_enough() and self._lasts_long_enough()

    def _tells_enough(self) -> bool:
        needed = [character for character in self.must_tell if character.isalnum()]
        told = "".join(word.text for word in self.words)
        return not needed or needed == [character for character in told if character.isalnum()]

    def _lasts_long_enough(self) -> bool:
        if self.last_word_end is None or not self.words:
            return True
        return self.words[-1].start < self.last_word_end <= self.seconds + _END_SLACK

    def _keep(self, audio: bytes) -> bytes:
        if audio:
            self.chunks.append(audio)
            self._size += len(audio)
            self._tell_listener()
        return audio

    def _tell_listener(self) -> None:
        if self.listener is not None:
            self.listener()
