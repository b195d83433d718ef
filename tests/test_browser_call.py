#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The ear by which a call from a browser is judged. The call itself is `make call`."""

import numpy as np
import pytest

from demo.espeak import Manner
from demo.espeak_tts import PITCH, RATE, VOICE
from tests.browser_call.likeness import LIKE, Sound, likeness, spoken
from tests.espeak import espeak

__all__ = ["espeak"]

TEXT = "Your parcel leaves our warehouse on Tuesday morning."
MANNER = Manner(VOICE, RATE, PITCH)


@pytest.mark.usefixtures("espeak")
def test_a_sentence_is_known_again() -> None:
    """A sentence is known from another synthesis, at another level, with noise and a late start."""
    heard = spoken(TEXT, MANNER)
    noise = np.random.default_rng(0).normal(0, 1e-4, len(heard.samples))
    late = np.concatenate([np.zeros(5000), 0.5 * heard.samples + noise, np.zeros(9000)])
    assert likeness(Sound(late, heard.sample_rate), spoken(TEXT, MANNER)) > LIKE


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("Tuesday", "Friday"),
        TEXT.replace("morning", "evening"),
        TEXT.replace(" on Tuesday morning", ""),
        "The refund will reach your account in nine working days.",
    ],
)
def test_another_sentence_is_not_taken_for_it(other: str) -> None:
    """A wrong word is enough, and so is a missing one."""
    assert likeness(spoken(other, MANNER), spoken(TEXT, MANNER)) < LIKE


@pytest.mark.usefixtures("espeak")
def test_what_is_no_speech_is_not_taken_for_it() -> None:
    """Neither silence, nor noise, nor a beginning only is the sentence."""
    sentence = spoken(TEXT, MANNER)
    rate, length = sentence.sample_rate, len(sentence.samples)
    noise = np.random.default_rng(0).normal(0, 0.1, length)
    for samples in (np.zeros(length), np.zeros(0), noise, sentence.samples[: length // 2]):
        assert likeness(Sound(samples, rate), sentence) < LIKE
