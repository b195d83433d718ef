#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Samples can be measured, and brought into another form."""

import math
import sys

import numpy as np
import pytest

from pipecat_tts_cache.sound.samples import amplify, from_pcm, loudness, mixed, resample, to_pcm
from tests.sounds import sine

RATE = 24_000


def test_there_and_back_nothing_changes() -> None:
    """Every sample is kept, the most negative one too."""
    audio = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert audio == to_pcm(from_pcm(audio, 1)) == to_pcm(from_pcm(audio, 2))


def test_what_is_beyond_full_scale_is_cut_off() -> None:
    """It does not wrap around."""
    samples = np.array([[2.0], [-2.0]], np.float32)
    assert [32767, -32768] == np.frombuffer(to_pcm(samples), np.int16).tolist()


def test_mono_is_the_mean() -> None:
    """Of all channels."""
    both = np.array([[100, 300], [-100, 100]], "<i2").tobytes()
    assert [200, 0] == np.frombuffer(to_pcm(mixed(from_pcm(both, 2))), np.int16).tolist()


@pytest.mark.parametrize("target", [8_000, 24_000, 44_100])
def test_another_rate_is_as_long(target: int) -> None:
    """To the sample."""
    samples = from_pcm(sine(RATE).tobytes(), 1)
    assert target == len(resample(samples, RATE, target))


def test_another_rate_wants_a_resampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Pipecat brings it no more, the message says what to do."""
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ValueError, match="24000 Hz cannot be made 8000 Hz without pip install"):
        resample(from_pcm(sine(RATE).tobytes(), 1), RATE, 8_000)


def test_loudness_is_that_of_the_standard() -> None:
    """A tone of 997 Hz at full scale in one channel has -3.01 LUFS."""
    tone = from_pcm(sine(48_000, hertz=997, seconds=5, peak=32767).tobytes(), 1)
    assert pytest.approx(-3.01, abs=0.05) == loudness(tone, 48_000)


def test_pauses_do_not_count() -> None:
    """Loudness is gated."""
    tone = sine(RATE, seconds=2)
    pause = np.zeros(4 * RATE, np.int16)
    whole = loudness(from_pcm(np.concatenate([pause, tone, pause]).tobytes(), 1), RATE)
    assert whole == pytest.approx(loudness(from_pcm(tone.tobytes(), 1), RATE), abs=0.7)


def test_short_speech_has_a_loudness() -> None:
    """Though the standard wants 0.4 s."""
    samples = [from_pcm(sine(RATE, hertz=400, seconds=each).tobytes(), 1) for each in (0.1, 1.0)]
    short, long = (loudness(each, RATE) for each in samples)
    assert short == pytest.approx(long, abs=0.1)


def test_silence_has_none() -> None:
    """Nor has nothing at all."""
    assert None is loudness(from_pcm(bytes(2 * RATE), 1), RATE)
    assert None is loudness(from_pcm(b"", 1), RATE)


def test_amplifying_never_clips() -> None:
    """It goes as far as there is room."""
    samples = from_pcm(sine(RATE, peak=8192).tobytes(), 1)
    louder, gain = amplify(samples, 6.0)
    assert (6.0, 8192 * 10**0.3 / 32768) == pytest.approx((gain, np.abs(louder).max()), rel=1e-3)
    loudest, gain = amplify(samples, 40.0)
    assert 20 * math.log10(4) == pytest.approx(gain, abs=0.01)
    assert 32767 == np.frombuffer(to_pcm(loudest), np.int16).max()
    softer, gain = amplify(samples, -40.0)
    assert (-40.0, 0.0025) == pytest.approx((gain, np.abs(softer).max()), rel=1e-3)


def test_silence_stays_silent() -> None:
    """However loud it is to be."""
    silence, _ = amplify(from_pcm(bytes(100), 1), 12.0)
    assert bytes(100) == to_pcm(silence)
