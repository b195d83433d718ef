#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is heard of a sentence that is replayed, or that another service speaks now."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from pipecat.frames.frames import TTSAudioRawFrame, TTSStartedFrame

from pipecat_tts_cache.speaking.recording import Recording
from pipecat_tts_cache.utterance import Utterance, Word

Sound = TTSStartedFrame | TTSAudioRawFrame | Word


class Feed(Iterator[Sound]):
    """What a recording gives to hear, as it grows.

    Another *take* of the sentence may have been heard before and broken off. Then this one goes on
    at the same place: in the same word, as far into it, or where there are no words, at the same
    time. No two takes last equally long, so word times are shifted by the difference.
    """

    def __init__(self, recording: Recording, context_id: str, *, after: "Feed | None") -> None:
        """Start with what has come.

        Args:
            recording: The recording.
            context_id: The audio context that its frames are for.
            after: The take that broke off, if there was one.
        """
        self.words = recording.words
        self.heard = 0.0
        """Seconds of this take that were passed on, or before another had brought the listener."""
        self.over = False
        """Whether nothing more comes."""
        self._recording = recording
        self._context_id = context_id
        self._after = after if after is not None and after.heard else None
        self._announced = after is not None
        self._shift = 0.0
        self._chunks = 0
        self._told = 0
        self._skip = 0.0

    def __next__(self) -> Sound:
        """Give what is to be passed on next, if it has come."""
        if self._after is not None and not self._goes_on_after(self._after):
            raise StopIteration
        if not self._announced:
            self._announced = True  # as a provider does that is asked: the context is open by then
            return TTSStartedFrame(context_id=self._context_id)
        while True:
            if (word := self._word()) is not None:
                return word
            if self._at_end_of_what_came:
                raise StopIteration
            if (audio := self._audio()) is not None:
                return audio

    def _word(self) -> Word | None:
        if self._told == len(self.words):
            return None
        word = self.words[self._told]
        if word.start >= self.heard and not (self.over and self._at_end_of_what_came):
            return None
        self._told += 1
        return word._replace(start=max(word.start + self._shift, 0.0))

    @property
    def _at_end_of_what_came(self) -> bool:
        return self._chunks == len(self._recording.chunks)

    def _audio(self) -> TTSAudioRawFrame | None:
        """Give the next audio, unless all of it is to be skipped."""
        recording = self._recording
        audio = recording.chunks[self._chunks]
        self._chunks += 1
        rate, channels = recording.sample_rate, recording.num_channels
        block = 2 * channels
        skipped = min(round(self._skip * rate) * block, len(audio))
        self._skip -= skipped / block / rate
        if skipped == len(audio):
            return None
        self.heard += (len(audio) - skipped) / block / rate
        return TTSAudioRawFrame(audio[skipped:], rate, channels, context_id=self._context_id)

    def _goes_on_after(self, before: "Feed") -> bool:
        """Find the place where the take before broke off, if it can be told by now."""
        place = self._place_of(before)
        if place is None:
            return False
        self._shift = before._shift + before.heard - place
        self._told = before._told
        self._skip = self.heard = place
        self._after = None
        return True

    def _place_of(self, before: "Feed") -> float | None:
        """Find in this take, in seconds, what is heard at the end of the take before."""
        old, new = before.words, self.words
        word = bisect_right(old, before.heard, key=lambda each: each.start) - 1
        if word < 0:
            return before.heard
        if len(new) <= word + 1 and not self.over:
            return None
        if len(new) <= word:
            return before.heard
        into = before.heard - old[word].start
        return new[word].start + into * _tempo(old, new, word)


def _tempo(old: Sequence[Word], new: Sequence[Word], word: int) -> float:
    """Tell how much longer a word is in a new take than in an old one.

    Where the end of the old one is not known, it is told by the words before.
    """
    first, last = (word, word + 1) if word + 1 < min(len(old), len(new)) else (0, word)
    lasted = old[last].start - old[first].start
    return (new[last].start - new[first].start) / lasted if lasted > 0 else 1.0


def cut_up(
    utterance: Utterance, context_id: str, *, seconds: float
) -> Iterator[TTSAudioRawFrame | Word]:
    """Cut an utterance into frames, each followed by its words.

    Args:
        utterance: The utterance.
        context_id: The audio context that its frames are for.
        seconds: How long each frame is.

    Yields:
        Frames and words.
    """
    block = 2 * utterance.num_channels
    step = max(int(seconds * utterance.sample_rate), 1) * block
    words = iter(utterance.words)
    word = next(words, None)
    for offset in range(0, len(utterance.audio), step):
        yield TTSAudioRawFrame(
            utterance.audio[offset : offset + step],
            utterance.sample_rate,
            utterance.num_channels,
            context_id=context_id,
        )
        end = (offset + step) / block / utterance.sample_rate
        while word is not None and word.start < end:
            yield word
            word = next(words, None)
    if word is not None:
        yield word
    yield from words
