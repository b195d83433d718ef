#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The readable voice: what it says can be heard, and what was done to it is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache.testing.voice import listen, speak

RATES = [8000, 16000, 22050, 24000, 44100, 48000]
WORDS = st.lists(st.text(min_size=1, max_size=30).filter(lambda word: [word] == word.split()))


@given(words=WORDS, rate=st.sampled_from(RATES), take=st.integers(0, 100_000))
def test_words_and_take_are_heard_as_spoken(words: list[str], rate: int, take: int) -> None:
    """Any words at any sample rate are heard whole, in order, with their take and their times."""
    speech = speak(" ".join(words), sample_rate=rate, take=take)
    heard = listen(speech.audio, sample_rate=rate)
    assert words == heard.words
    assert [take] * len(words) == heard.takes
    assert [start for _, start, _ in speech.words] == heard.starts
    assert [] == heard.flaws


@pytest.mark.parametrize("tempo", [0.5, 1, 10, 1000])
def test_any_tempo_is_understood(tempo: float) -> None:
    """However fast the voice speaks, the listener need not be told."""
    speech = speak("Grüße aus 東京 👋", sample_rate=24000, take=7, tempo=tempo)
    heard = listen(speech.audio, sample_rate=24000)
    assert ("Grüße aus 東京 👋", [7] * 4, []) == (heard.text, heard.takes, heard.flaws)


def test_speaking_twice_gives_the_same_samples_and_another_take_others() -> None:
    """The voice is deterministic, and a take is audible."""
    first = speak("Hello there.", sample_rate=16000, take=1)
    again = speak("Hello there.", sample_rate=16000, take=1)
    other = speak("Hello there.", sample_rate=16000, take=2)
    assert first == again
    assert first.words == other.words
    assert first.audio != other.audio


@given(start=st.integers(0, 12_000), length=st.integers(1, 12_000))
def test_a_missing_piece_is_noticed(start: int, length: int) -> None:
    """Audio with samples taken out of a word has a flaw, however little is missing."""
    speech = speak("Extraordinarily", sample_rate=16000)
    first, last = (round(16000 * at) for at in speech.words[0][1:])
    begin = first + start % (last - first)
    end = min(begin + length, last)
    heard = listen(speech.audio[: 2 * begin] + speech.audio[2 * end :], sample_rate=16000)
    whole = begin == first and end == last
    assert whole or heard.flaws
    assert [] == heard.words


@given(start=st.integers(0, 12_000), length=st.integers(1, 12_000))
def test_a_repeated_piece_is_noticed(start: int, length: int) -> None:
    """A piece of a word that is heard twice is a flaw."""
    speech = speak("Extraordinarily", sample_rate=16000)
    first, last = (round(16000 * at) for at in speech.words[0][1:])
    begin = first + start % (last - first)
    end = min(begin + length, last)
    audio = speech.audio[: 2 * end] + speech.audio[2 * begin :]
    heard = listen(audio, sample_rate=16000)
    assert heard.flaws or ["Extraordinarily"] * 2 == heard.words


@pytest.mark.parametrize("audio", [b"\0" * 7, b"\0\0\1\0", b"\xff\x7f\1"])
def test_noise_is_no_word(audio: bytes) -> None:
    """Half samples, junk and the mere beginning of a word are flaws, not words."""
    heard = listen(audio, sample_rate=8000)
    assert [] == heard.words
    assert heard.flaws


def test_shifted_by_one_byte_nothing_is_understood() -> None:
    """Misaligned audio is junk."""
    speech = speak("Hello there.", sample_rate=24000)
    heard = listen(b"\0" + speech.audio, sample_rate=24000)
    assert [] == heard.words
    assert heard.flaws


@given(position=st.integers(0, 10_000), bit=st.integers(0, 15))
def test_one_wrong_sample_is_noticed(position: int, bit: int) -> None:
    """A single wrong sample anywhere is a flaw."""
    speech = speak("Hello there.", sample_rate=8000, take=3)
    audio = bytearray(speech.audio)
    at = 2 * (position % (len(audio) // 2)) + bit // 8
    audio[at] ^= 1 << bit % 8
    assert listen(bytes(audio), sample_rate=8000).flaws
