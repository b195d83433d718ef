#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The voice bot, called from a browser, and the ear by which such a call is judged."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from demo.espeak import Manner
from demo.espeak_tts import PITCH, RATE, VOICE
from tests.browser_call.likeness import LIKE, Sound, likeness, spoken
from tests.espeak import espeak

__all__ = ["espeak"]

TEXT = "Your parcel leaves our warehouse on Tuesday morning."
MANNER = Manner(VOICE, RATE, PITCH)


@pytest.fixture
def browser() -> None:
    """Make sure that a call can be held; if not skip the test, or in CI fail it."""
    missing = [name for name in ("playwright", "aiortc") if not importlib.util.find_spec(name)]
    reason = f"not installed: {', '.join(missing)} (pip install --group call)"
    if not missing:
        from tests.browser_call.caller import find_browser

        if find_browser() is not None:
            return
        reason = "there is no Chromium: apt install chromium, or set CHROMIUM to its path"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.timeout(400)  # it may be tried three times
@pytest.mark.usefixtures("espeak", "browser")
def test_a_browser_hears_the_voice_bot() -> None:
    """A browser on the bot's page hears a sentence live, and the second time from the cache."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser_call"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=380,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr


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
