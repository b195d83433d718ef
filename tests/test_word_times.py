#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""When the words of a recording begin can be guessed from its text."""

from statistics import mean
from typing import Any

import numpy as np
import pytest

from demo.espeak import Manner, engine, worker
from pipecat_tts_cache import Word
from pipecat_tts_cache.preparation.word_times import estimated_words, spell
from pipecat_tts_cache.sound.samples import from_pcm
from tests.espeak import espeak
from tests.sounds import sine

__all__ = ["espeak"]

RATE = 24_000
SPOKEN = {
    "Thank you for calling. One moment, please, while I look that up.": "en-us",
    "Your table for 4 is booked at 7:30.": "en-us",
    "Guten Tag, hier spricht die Terminvergabe; womit kann ich dienen?": "de",
    "Unfortunately nobody is here right now. Please call again between nine and twelve.": "en-us",
}


def texts(text: str) -> list[str]:
    """Return the words that are found in a text."""
    return [word.text for word in estimated_words(text, from_pcm(sine(RATE).tobytes(), 1), RATE)]


@pytest.mark.usefixtures("espeak")
def test_real_speech_is_guessed_well() -> None:
    """The mean error is about a tenth of a second, and none is far above a third."""
    errors: list[float] = []
    for text, name in SPOKEN.items():
        audio, starts = worker().submit(speak, text, name).result()
        rate, place = engine().sample_rate, 0
        for word in estimated_words(text, from_pcm(audio, 1), rate):
            place = text.index(word.text, place)
            if place in starts:
                errors.append(abs(word.start - starts[place]))
            place += len(word.text)
    assert 40 < len(errors)
    assert mean(errors) < 0.12
    assert max(errors) < 0.4


def speak(text: str, name: str) -> tuple[bytes, dict[int, float]]:
    """Say a text with espeak-ng; tell when the word at each place in the text begins."""
    audio, starts = bytearray(), {}

    def hear(speech: Any) -> bool:
        audio.extend(speech.audio)
        starts.update({word.position: word.start for word in speech.words})
        return True

    engine().speak(text, Manner(name, 160, 50), hear)
    return bytes(audio), starts


def test_letters_share_the_speech() -> None:
    """Each word has as much of it as it has letters."""
    samples = from_pcm(sine(RATE, seconds=1.0).tobytes(), 1)
    words = estimated_words("aa bbbbbb cc", samples, RATE)
    assert [0.0, 0.2, 0.8] == pytest.approx([word.start for word in words], abs=0.001)


def test_silence_at_the_ends_is_left_out() -> None:
    """Also if it is not quite silent."""
    hum = sine(RATE, hertz=50, seconds=0.5, peak=60)
    both = np.concatenate([hum, sine(RATE, seconds=1.0), hum])
    words = estimated_words("aa bbbbbb cc", from_pcm(both.tobytes(), 1), RATE)
    assert [0.5, 0.7, 1.3] == pytest.approx([word.start for word in words], abs=0.02)


def test_a_silent_recording_is_shared_whole() -> None:
    """There is nothing better to go by."""
    words = estimated_words("aa bb", from_pcm(bytes(2 * RATE), 1), RATE)
    assert [0.0, 0.5] == [word.start for word in words]


def test_pauses_and_numbers_take_time() -> None:
    """Punctuation is followed by a pause, and a digit is a word."""
    samples = from_pcm(sine(RATE).tobytes(), 1)
    for text in ("aa, bb", "aa. bb", "aa.” bb", "11 bb"):
        assert 0.5 < estimated_words(text, samples, RATE)[1].start


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, you!", ["Hello,", "you!"]),
        ("« Bonjour ! » — dit-elle", ["« Bonjour ! » —", "dit-elle"]),
        ("Wait <break time='1s'/> here", ["Wait", "here"]),
        ("  Hello.  ", ["Hello."]),
        ("…", []),
        ("", []),
        ("Wait <b>here</b>, please", ["Wait", "here,", "please"]),
        ("你好，世界。OK吗？", ["你", "好，", "世", "界。", "OK", "吗？"]),  # noqa: RUF001
        ("你好 世界。", ["你好", "世界。"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
    ],
)
def test_words_are_told_as_services_tell_them(text: str, expected: list[str]) -> None:
    """With their punctuation and without markup; each character where there are no spaces."""
    assert expected == texts(text)


def test_where_there_are_no_spaces_none_is_added() -> None:
    """The words carry those that there are."""
    samples = from_pcm(sine(RATE).tobytes(), 1)
    assert {True} == {word.carries_spaces for word in estimated_words("你好OK", samples, RATE)}
    assert {False} == {word.carries_spaces for word in estimated_words("Hi you", samples, RATE)}


def test_words_make_up_a_text() -> None:
    """Whatever their case, punctuation and markup."""
    words = [Word("hello", 0.0), Word("YOU", 0.5)]
    assert spell(words, "Something else", "Hello, <b>you</b>!")
    assert not spell(words, "Hello, you two!")
