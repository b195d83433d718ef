#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A sentence heard in part goes on in another take where the first broke off."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import TTSAudioRawFrame, TTSStartedFrame

from pipecat_tts_cache.speaking.feed import Feed
from pipecat_tts_cache.speaking.recording import Recording
from pipecat_tts_cache.testing.voice import listen, speak
from pipecat_tts_cache.utterance import Word

RATE = 8000
TEXT = "One moment please while I look."
TEMPOS = st.sampled_from([0.8, 1.0, 1.3])


class Take:
    """A take of a sentence, that comes bit by bit."""

    def __init__(self, *, tempo: float = 1.0, take: int = 1, tells_words: bool = True) -> None:
        self.speech = speak(TEXT, sample_rate=RATE, take=take, tempo=tempo)
        self.recording = Recording()
        self._words = [Word(word, start) for word, start, _ in self.speech.words]
        self._words = self._words if tells_words else []
        self._bytes = 0

    def come(self, seconds: float, *, words: bool = True) -> None:
        """Let it come up to a time, with the words that begin until then."""
        end = min(2 * round(seconds * RATE), len(self.speech.audio))
        if end > self._bytes:
            audio = self.speech.audio[self._bytes : end]
            self.recording.hear(audio, sample_rate=RATE, num_channels=1)
            self._bytes = end
        while words and self._words and self._words[0].start < seconds:
            self.recording.tell(self._words.pop(0))


class Listener:
    """Hears feeds, one after the other."""

    def __init__(self) -> None:
        self.audio = b""
        self.words: list[Word] = []
        self.started = 0

    def hear(self, feed: Iterable[object]) -> None:
        for item in feed:
            match item:
                case TTSAudioRawFrame():
                    self.audio += item.audio
                case Word():
                    self.words.append(item)
                case TTSStartedFrame():
                    self.started += 1


def followed(first: Take, at: float, second: Take, step: float) -> Listener:
    """Hear one take up to a time, and the rest from another, which comes in steps."""
    listener = Listener()
    feed = Feed(first.recording, "context", after=None)
    first.come(at)
    listener.hear(feed)
    feed = Feed(second.recording, "context", after=feed)
    time = 0.0
    while time < second.speech.duration:
        time += step
        second.come(time)
        listener.hear(feed)
    feed.over = True
    listener.hear(feed)
    return listener


@given(at=st.floats(0, 3), step=st.sampled_from([0.02, 0.3, 5.0]), words=st.booleans())
def test_the_same_take_goes_on_to_the_sample(at: float, step: float, words: bool) -> None:
    """If a provider says it twice alike, the listener hears it as if nothing had happened."""
    whole = Take().speech
    heard = followed(Take(tells_words=words), at, Take(tells_words=words), step)
    assert abs(len(whole.audio) - len(heard.audio)) <= 2
    if len(whole.audio) == len(heard.audio):
        assert whole.audio == heard.audio
    told = [(word.text, pytest.approx(word.start, abs=1e-3)) for word in heard.words]
    assert [(text, start) for text, start, _ in whole.words if words] == told


@given(at=st.floats(0, 3), one=TEMPOS, other=TEMPOS, step=st.sampled_from([0.02, 0.3, 5.0]))
def test_another_take_goes_on_in_the_same_word(
    at: float, one: float, other: float, step: float
) -> None:
    """Every word is told once, at the time at which it is heard, and none is heard twice."""
    first, second = Take(tempo=one, take=1), Take(tempo=other, take=2)
    heard = followed(first, at, second, step)
    assert TEXT.split() == [word.text for word in heard.words]
    assert all(a.start <= b.start for a, b in pairwise(heard.words))
    whole = listen(heard.audio, sample_rate=RATE)
    at_the_cut = [
        word for word, start, end in first.speech.words if start - 0.07 <= at < end + 0.02
    ]
    missing = [word for word in TEXT.split() if word not in whole.words]
    if "One" in at_the_cut:  # nothing tells yet how fast the one and the other take are
        at_the_cut.append("moment")
    assert set(missing) <= set(at_the_cut)  # the word in which it broke off is made of two halves
    assert [word for word in TEXT.split() if word in whole.words] == whole.words
    told = {word.text: word.start for word in heard.words}
    for word, start in zip(whole.words, whole.starts, strict=True):
        assert pytest.approx(start, abs=0.02) == told[word]


def test_without_words_it_goes_on_at_the_same_time() -> None:
    """Of takes that tell no words, the second is heard from where the first ended."""
    heard = followed(Take(tells_words=False), 0.7, Take(tempo=0.8, tells_words=False), 0.1)
    first, second = (
        speak(TEXT, sample_rate=RATE, take=1),
        speak(TEXT, sample_rate=RATE, take=1, tempo=0.8),
    )
    cut = 2 * round(0.7 * RATE)
    assert first.audio[:cut] + second.audio[cut:] == heard.audio


def test_words_are_waited_for_where_the_take_before_had_them() -> None:
    """Audio of which nobody knows which word it is, is not passed on yet."""
    first, second, listener = Take(), Take(), Listener()
    first.come(0.7)
    feed = Feed(first.recording, "context", after=None)
    listener.hear(feed)
    before = len(listener.audio)
    second.come(9.0, words=False)
    feed = Feed(second.recording, "context", after=feed)
    listener.hear(feed)
    assert before == len(listener.audio)
    second.come(9.0)
    listener.hear(feed)
    assert second.speech.audio == listener.audio


def test_a_third_take_goes_on_after_the_second() -> None:
    """What is heard of three takes is one sentence."""
    takes = [Take(tempo=1.0, take=1), Take(tempo=1.3, take=2), Take(tempo=0.8, take=3)]
    listener, feed = Listener(), None
    for take, until in zip(takes, [0.3, 0.8, 9.0], strict=True):
        take.come(until)
        feed = Feed(take.recording, "context", after=feed)
        feed.over = until == 9.0
        listener.hear(feed)
    assert 1 == listener.started
    assert TEXT.split() == [word.text for word in listener.words]
    starts = [word.start for word in listener.words]
    assert sorted(starts) == starts
    heard = listen(listener.audio, sample_rate=RATE)
    assert len(TEXT.split()) - 2 <= len(heard.words)
    assert [word for word in TEXT.split() if word in heard.words] == heard.words


def test_what_nobody_has_heard_is_not_skipped() -> None:
    """A take of which nothing was passed on leaves no trace."""
    first, second, listener = Take(take=1), Take(take=2), Listener()
    first.come(0.7)
    feed = Feed(first.recording, "context", after=None)
    second.come(9.0)
    feed = Feed(second.recording, "context", after=feed)
    feed.over = True
    listener.hear(feed)
    assert second.speech.audio == listener.audio
