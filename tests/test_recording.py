#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A recording keeps every sample, and is stored only if nothing went wrong."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import NotStored, Utterance, Word
from pipecat_tts_cache.speaking.recording import Recording

RATE = 8000


def recorded(seconds: float = 1.0, *words: Word) -> Recording:
    recording = Recording()
    recording.hear(bytes(round(2 * RATE * seconds)), sample_rate=RATE, num_channels=1)
    recording.words += words
    return recording


def word(start: float) -> Word:
    return Word("word", start)


@given(st.binary(max_size=200), st.lists(st.integers(1, 7), max_size=60), st.integers(1, 3))
def test_no_sample_is_lost_or_shifted(audio: bytes, cuts: list[int], channels: int) -> None:
    """However a provider cuts its stream, whole samples come out, and all of them."""
    recording = Recording()
    given_back, rest = [], audio
    for size in cuts:
        chunk, rest = rest[:size], rest[size:]
        given_back.append(recording.hear(chunk, sample_rate=RATE, num_channels=channels))
    given_back.append(recording.hear(rest, sample_rate=RATE, num_channels=channels))
    assert {0} == {len(chunk) % (2 * channels) for chunk in given_back}
    heard = b"".join(given_back)
    assert heard == recording.audio == audio[: len(heard)]
    assert len(audio) - len(heard) < 2 * channels
    last = recording.last_sample()
    assert heard + last == recording.audio
    assert (audio[len(heard) :].ljust(2 * channels, b"\x00") if last else b"") == last
    assert b"" == recording.last_sample()
    assert 0 == len(recording.audio) % (2 * channels)
    assert bool(audio) is recording.has_audio
    assert pytest.approx(len(recording.audio) / (2 * channels * RATE)) == recording.seconds


def test_audio_in_whole_samples_is_not_copied() -> None:
    """What comes in whole samples is given back as it is."""
    audio = bytes(480)
    assert audio is Recording().hear(audio, sample_rate=RATE, num_channels=1)


def test_a_sound_recording_may_be_stored() -> None:
    """Audio, with words or without, may be stored."""
    assert None is recorded().judge()
    assert None is recorded(1.0, word(0.0), word(0.5), word(0.5), word(1.0)).judge()


def test_nothing_is_not_stored() -> None:
    """Without audio there is nothing to store, whatever words there are."""
    recording = Recording()
    assert (0.0, False, b"") == (recording.seconds, recording.has_audio, recording.audio)
    assert NotStored.EMPTY is recording.judge()
    recording.hear(b"", sample_rate=RATE, num_channels=1)
    recording.words.append(word(0.0))
    assert NotStored.EMPTY is recording.judge()
    recording.hear(b"\x01", sample_rate=RATE, num_channels=1)
    assert NotStored.EMPTY is recording.judge()


@pytest.mark.parametrize("reason", NotStored)
def test_whoever_sees_something_go_wrong_says_so(reason: NotStored) -> None:
    """A failure rules out the recording, however sound it is."""
    recording = recorded()
    recording.fail(reason)
    assert reason is recording.judge()


def test_the_first_reason_stands() -> None:
    """What went wrong later is a consequence of what went wrong before."""
    for first, second in permutations([NotStored.ERROR, NotStored.INTERRUPTED, NotStored.EMPTY], 2):
        recording = recorded()
        recording.fail(first)
        recording.fail(second)
        assert first is recording.judge()


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (8000, 2), (16000, 2)])
def test_a_change_of_format_is_not_stored(rate: int, channels: int) -> None:
    """An utterance has one sample rate, and one number of channels."""
    recording = recorded()
    recording.hear(bytes(480), sample_rate=rate, num_channels=channels)
    assert NotStored.FORMAT_CHANGED is recording.judge()


def test_the_same_format_is_no_change() -> None:
    """Audio that goes on as it began may be stored."""
    recording = recorded()
    recording.hear(bytes(480), sample_rate=RATE, num_channels=1)
    assert None is recording.judge()


@pytest.mark.parametrize("rate", [0, -8000])
def test_an_impossible_format_harms_nobody(rate: int) -> None:
    """Audio that does not say how fast it is is not stored, and has no length."""
    recording = Recording()
    recording.hear(bytes(480), sample_rate=rate, num_channels=1)
    assert 0.0 == recording.seconds
    assert NotStored.FORMAT_CHANGED is recording.judge()


def test_no_channels_are_one() -> None:
    """A service that leaves out the number of channels has one."""
    recording = Recording()
    recording.hear(bytes(480), sample_rate=RATE, num_channels=0)
    assert (1, None) == (recording.num_channels, recording.judge())


@pytest.mark.parametrize(
    "words",
    [
        [word(-0.1)],
        [word(float("nan"))],
        [word(float("inf"))],
        [word(0.0), word(float("nan")), word(0.5)],
        [word(2.01)],
        [word(0.5), word(0.4)],
        [word(0.0), word(0.9), word(0.1), word(1.0)],
    ],
)
def test_words_that_make_no_sense_are_not_stored(words: list[Word]) -> None:
    """Words before the start, behind the end, or out of order are words of something else."""
    assert NotStored.WORDS is recorded(1.0, *words).judge()


def test_a_word_may_begin_a_little_late() -> None:
    """Providers round; a word just behind the end is none of another sentence."""
    assert None is recorded(1.0, word(1.9)).judge()


@given(
    st.binary(min_size=1, max_size=64),
    st.integers(-1, 48000),
    st.integers(0, 3),
    st.lists(st.floats(-1, 3) | st.floats(), max_size=4).map(sorted),
)
def test_what_may_be_stored_can_be_replayed(
    audio: bytes, rate: int, channels: int, starts: list[float]
) -> None:
    """No recording is let through whose utterance would be distrusted when it is found."""
    recording = Recording()
    recording.hear(audio, sample_rate=rate, num_channels=channels)
    recording.last_sample()
    recording.words += map(word, starts)
    utterance = Utterance(
        audio=recording.audio,
        sample_rate=recording.sample_rate,
        num_channels=recording.num_channels,
        words=tuple(recording.words),
    )
    if recording.judge() is None:
        assert utterance.is_sound()


@pytest.mark.parametrize("told", [[], ["Two", "is"], ["Two", "is", "over", "there", "too"]])
def test_words_that_are_not_those_of_the_text_rule_out_storing(told: list[str]) -> None:
    """Where every word has to be told, one too few or too many shows that something is wrong."""
    recording = recorded(1.0, *(Word(text, 0.1) for text in told))
    assert recording.judge() is None
    recording.must_tell = "Two is over there."
    assert NotStored.WORDS is recording.judge()


@pytest.mark.parametrize("told", [["Two", "is", "over", "there"], ["Two is over", "there."]])
def test_it_does_not_matter_how_words_are_cut(told: list[str]) -> None:
    """Punctuation and white space may be told or not, and words may come together."""
    recording = recorded(1.0, *(Word(text, 0.1) for text in told))
    recording.must_tell = "Two is over there."
    assert recording.judge() is None


@pytest.mark.parametrize("end", [0.0, 0.1, 1.1])
def test_audio_that_is_shorter_than_its_words_rules_out_storing(end: float) -> None:
    """A last word that ends behind the audio was not spoken to its end; nor one without an end."""
    recording = recorded(1.0, Word("Two", 0.1))
    recording.last_word_end = end
    assert NotStored.WORDS is recording.judge()
    recording.last_word_end = 1.01
    assert recording.judge() is None
