#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech is written as a sound file, and read back as it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from pipecat_tts_cache import Utterance, load_audio_file, save_audio_file
from tests.sounds import SPEECH_RATE, Samples, espeak, shift, sine, speech

__all__ = ["espeak", "speech"]

TONE = Utterance(audio=sine(24000).tobytes(), sample_rate=24000, text="Secret.")


def noise(heard: Samples, expected: Samples) -> float:
    """How loud the difference of two sounds is, in decibels below the second."""
    length = min(len(heard), len(expected))
    off = heard[:length].astype(float) - expected[:length].astype(float)
    return 20 * float(np.log10(np.std(off) / np.std(expected)))


@pytest.mark.parametrize("name", ["line.wav", "line.WAV", "line.flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_holds_the_very_samples(name: str, channels: int, tmp_path: Path) -> None:
    """And nothing besides, such as the text."""
    path = tmp_path / name
    save_audio_file(path, replace(TONE, num_channels=channels))
    assert TONE.audio == load_audio_file(path, 24000, channels)
    with soundfile.SoundFile(path) as file:
        assert (24000, channels, "PCM_16") == (file.samplerate, file.channels, file.subtype)
        assert {} == file.copy_metadata()
    assert b"Secret" not in path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("encoding", "codec"), [("ulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_real_speech_is_written_for_a_telephone_line(
    encoding: Any, codec: str, speech: Samples, tmp_path: Path
) -> None:
    """Eight thousand samples a second, a byte for each, and as well as that sounds."""
    spoken = Utterance(audio=speech.tobytes(), sample_rate=SPEECH_RATE)
    save_audio_file(str(tmp_path / "line.wav"), spoken, sample_rate=8000, encoding=encoding)
    save_audio_file(tmp_path / "pcm.wav", spoken, sample_rate=8000)
    with av.open(str(tmp_path / "line.wav")) as container:
        (stream,) = container.streams.audio
        assert (8000, codec) == (stream.rate, stream.codec_context.name)
    heard, expected = (
        np.frombuffer(load_audio_file(tmp_path / name, 8000), np.int16)
        for name in ("line.wav", "pcm.wav")
    )
    assert abs(len(heard) - len(speech) * 8000 / SPEECH_RATE) <= 1
    assert 0 == shift(expected, heard)
    assert noise(heard, expected) < -30
    assert (tmp_path / "line.wav").stat().st_size < len(heard) + 100


def test_another_rate_is_the_same_sound(tmp_path: Path) -> None:
    """As long, and in the same place."""
    save_audio_file(tmp_path / "line.wav", TONE, sample_rate=48000)
    heard = np.frombuffer(load_audio_file(tmp_path / "line.wav", 48000), np.int16)
    assert 48000 == len(heard)
    assert noise(heard[1000:-1000], sine(48000)[1000:-1000]) < -60


def test_what_was_there_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it cannot be written, it stays as it is, and nothing lies beside it."""
    path = tmp_path / "line.wav"
    path.write_text("old")
    save_audio_file(path, TONE)
    before = path.read_bytes()

    def fail(_: Path, content: bytes) -> None:
        raise OSError("no room")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no room"):
        save_audio_file(path, replace(TONE, audio=bytes(100)))
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": 5}, "path must be a string or a path, not int"),
        ({"path": b"line.wav"}, "path must be a string or a path, not bytes"),
        ({"path": "line.mp3"}, "must end in .wav or .flac, not '.mp3'"),
        ({"path": "line"}, "must end in .wav or .flac, not ''"),
        ({"utterance": b"\0\0"}, "utterance must be an Utterance, not bytes"),
        ({"sample_rate": "8k"}, "sample_rate must be an int"),
        ({"sample_rate": 8}, "sample_rate must be 1000 to 384000 Hz, not 8"),
        ({"encoding": "mp3"}, "encoding must be 'pcm', 'ulaw' or 'alaw', not 'mp3'"),
        ({"path": "line.flac", "encoding": "ulaw"}, "FLAC has no encoding 'ulaw'"),
        ({"path": "line.flac", "sample_rate": 65_537}, "FLAC cannot hold 1 channels at 65537 Hz"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], error: str, tmp_path: Path) -> None:
    """In words, and before anything is written."""
    given = {"path": "line.wav", "utterance": TONE, **arguments}
    if isinstance(given["path"], str):
        given["path"] = tmp_path / given["path"]
    with pytest.raises((TypeError, ValueError), match=error):
        save_audio_file(**given)
    assert [] == list(tmp_path.iterdir())
