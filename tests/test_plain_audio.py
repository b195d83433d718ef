#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Without the extra `audio`, WAV and FLAC files are read, and others refused with what helps."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipecat_tts_cache.sound.plain import load_plain_audio
from tests.sounds import sine, write


def load(path: Path, rate: int = 24000, channels: int = 1) -> bytes:
    return load_plain_audio(path, rate, channels, max_seconds=2)


@pytest.mark.parametrize("kind", ["wav", "24bit.wav", "float.wav", "flac"])
def test_what_needs_no_change_is_not_changed(kind: str, tmp_path: Path) -> None:
    """At its own rate a file comes back to the sample, and mono in stereo twice."""
    tone = sine(24000)
    path = write(tmp_path, kind, tone, 24000)
    assert tone.tobytes() == load(path)
    assert np.stack([tone, tone], axis=1).tobytes() == load(path, 24000, 2)


def test_stereo_is_mixed_to_mono(tmp_path: Path) -> None:
    """Mono is the mean of both sides."""
    loud = sine(24000, peak=32000)
    path = write(tmp_path, "wav", np.stack([loud, -loud], axis=1), 24000)
    assert bytes(48000) == load(path)


@pytest.mark.parametrize(
    ("shape", "rate", "form", "words"),
    [
        ((50_000, 1), 24000, "WAV", "longer than 2 s"),
        ((0, 1), 24000, "WAV", "no sound in it"),
        ((500, 1), 500, "WAV", "500 Hz is none"),
        ((500, 3), 24000, "WAV", "it has 3 channels"),
        ((500, 1), 24000, "AIFF", r"for others: pip install 'pipecat-tts-cache\[audio\]'"),
    ],
)
def test_what_it_cannot_read_is_told(
    shape: tuple[int, int], rate: int, form: str, words: str, tmp_path: Path
) -> None:
    """A file that is too long, empty, odd or of another format is refused with its name."""
    path = tmp_path / "file.wav"
    soundfile.write(path, np.zeros(shape, np.int16), rate, format=form, subtype="PCM_16")
    with pytest.raises(ValueError, match=rf"'file\.wav'.*{words}"):
        load(path, channels=2)


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (10**9, 1), (24000, 0), (24000, 3)])
def test_an_impossible_form_is_refused(rate: int, channels: int, tmp_path: Path) -> None:
    """A rate or a number of channels that no service has is refused."""
    with pytest.raises(ValueError, match="is no form to read in"):
        load(write(tmp_path, "wav", sine(24000), 24000), rate, channels)
