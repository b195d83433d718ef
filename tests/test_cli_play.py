#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Listening with the command line: `play`."""

import importlib
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import soundfile

from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.command_line import MODULE, Said, Shop, disk

DIGEST = make_key("0").digest
AUDIO = make_utterance(0).audio


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store with a line."""
    made = disk(tmp_path_factory.mktemp("store"))
    made.fill(Said("One moment.", uses=1))
    return made


def test_a_wav_file(shop: Shop, tmp_path: Path) -> None:
    """It holds the very samples, and nothing is on stdout."""
    file = tmp_path / "line.wav"
    done = shop("play", DIGEST[:8], "--output", str(file))
    assert (0, "") == (done.code, done.out)
    assert f"{file}: 0.10 s, 24000 Hz, mono, 16 bits\n" == done.err
    with wave.open(str(file)) as read:
        assert (24000, 1, 2) == (read.getframerate(), read.getnchannels(), read.getsampwidth())
        assert AUDIO == read.readframes(read.getnframes())
    assert [1] == [entry.uses for entry in shop.entries()]


def test_a_flac_file(shop: Shop, tmp_path: Path) -> None:
    """It holds the very samples."""
    file = tmp_path / "line.FLAC"
    assert 0 == shop("play", DIGEST, "-o", str(file)).code
    samples, rate = soundfile.read(file, dtype="int16")
    assert (24000, "FLAC") == (rate, soundfile.info(file).format)
    assert AUDIO == samples.tobytes()


def test_bare_samples_on_stdout(shop: Shop) -> None:
    """For a pipe into another program."""
    done = subprocess.run(
        [*MODULE, "play", DIGEST, "-o", "-"],
        capture_output=True,
        env=shop.environment(),
        check=True,
    )
    assert AUDIO == done.stdout
    assert b"0.10 s, 24000 Hz, mono, 16 bits\n" == done.stderr


def test_no_bare_samples_on_a_terminal(shop: Shop) -> None:
    """Nobody reads these."""
    done = shop.on_terminal("play", DIGEST, "-o", "-")
    assert 2 == done.code
    assert "redirect stdout" in done.out


def test_a_file_that_is_there_is_left_alone(shop: Shop, tmp_path: Path) -> None:
    """Unless it is to be replaced."""
    file = tmp_path / "line.wav"
    file.write_text("dear", encoding="utf-8")
    done = shop("play", DIGEST, "-o", str(file))
    assert 1 == done.code
    assert "--overwrite" in done.err
    assert "dear" == file.read_text(encoding="utf-8")
    assert 0 == shop("play", DIGEST, "-o", str(file), "--overwrite").code
    assert file.read_bytes().startswith(b"RIFF")


def test_a_file_that_cannot_be_written(shop: Shop, tmp_path: Path) -> None:
    """The reason is told in a line."""
    file = tmp_path / "no" / "line.wav"
    done = shop("play", DIGEST, "-o", str(file))
    assert (1, f"pipecat-tts-cache: {file}: No such file or directory\n") == (done.code, done.err)


def test_another_kind_of_file_is_misuse(shop: Shop) -> None:
    """Before anything is looked for."""
    done = shop("play", DIGEST, "-o", "line.mp3")
    assert 2 == done.code
    assert ".flac" in done.err


class Stream:
    """Stands for a sound device that is open."""

    def __init__(self, played: list[Any], **shape: Any) -> None:
        self.played = played
        played.append(shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, samples: bytes) -> None:
        self.played.append(samples)


def sound(monkeypatch: pytest.MonkeyPatch, **names: Any) -> None:
    """Stand for the package that plays sound."""
    package = SimpleNamespace(PortAudioError=RuntimeError, **names)
    monkeypatch.setitem(sys.modules, "sounddevice", package)


def test_the_sound_device(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file it is played, in pieces of a tenth of a second."""
    played: list[Any] = []
    sound(monkeypatch, RawOutputStream=lambda **shape: Stream(played, **shape))
    assert (0, "", "") == shop("play", DIGEST)
    shape, *pieces = played
    assert {"samplerate": 24000, "channels": 1, "dtype": "int16"} == shape
    assert AUDIO == b"".join(pieces)


def test_a_device_that_does_not_play(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is told, and what helps."""

    def fail(**_: Any) -> None:
        raise RuntimeError("Invalid sample rate")

    sound(monkeypatch, RawOutputStream=fail)
    done = shop("play", DIGEST)
    assert 1 == done.code
    assert "Invalid sample rate" in done.err
    assert "--output line.wav" in done.err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError("sounddevice"), "pip install sounddevice"),
        (OSError("PortAudio library not found"), "apt install libportaudio2"),
    ],
)
def test_what_playing_takes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    """It says what to install, or to write a file."""
    load = importlib.import_module

    def fail(name: str, *more: Any) -> Any:
        if name == "sounddevice":
            raise error
        return load(name, *more)

    monkeypatch.setattr("pipecat_tts_cache.cli.play.import_module", fail)
    done = shop("play", DIGEST)
    assert (1, "") == (done.code, done.out)
    assert expected in done.err
    assert "--output line.wav" in done.err


def test_what_is_not_there(shop: Shop) -> None:
    """That exits with 3, and no file is made."""
    assert 3 == shop("play", DIGEST, "-n", "other", "-o", "none.wav").code
    assert not Path("none.wav").exists()
