#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech as a plain sound file, for players and telephone systems."""

import os
from pathlib import Path
from typing import Literal

from pipecat_tts_cache.checks import check_choice, check_positive_int
from pipecat_tts_cache.codec import takes, write_sound
from pipecat_tts_cache.sound.loading import MAX_RATE, MIN_RATE
from pipecat_tts_cache.sound.samples import from_pcm, resample, to_pcm
from pipecat_tts_cache.utterance import Utterance

Encoding = Literal["pcm", "ulaw", "alaw"]

_SUBTYPES = {"pcm": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}


def save_audio_file(
    path: str | os.PathLike[str],
    utterance: Utterance,
    *,
    sample_rate: int | None = None,
    encoding: Encoding = "pcm",
) -> None:
    """Write speech as a sound file: WAV or FLAC, as its name ends. What is there is replaced.

    The file holds the sound and nothing else. A telephone line has a `sample_rate` of 8000 and the
    encoding "ulaw" in North America and Japan, "alaw" elsewhere. It blocks: not for an event loop,
    but for `asyncio.to_thread`.

    Args:
        path: The file, whose name ends in ".wav" or ".flac".
        utterance: The speech.
        sample_rate: The rate to resample to, in Hz; None for that of the utterance.
        encoding: How WAV holds a sample: "pcm" in 16 bits; "ulaw" or "alaw" in 8, as in G.711.

    Raises:
        OSError: If it cannot be written.
        TypeError: If an argument is of another type.
        ValueError: If the name ends otherwise, the rate is not possible, or the format has no such
            encoding.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"path must be a string or a path, not {type(path).__name__}")
    if not isinstance(utterance, Utterance):
        raise TypeError(f"utterance must be an Utterance, not {type(utterance).__name__}")
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in (".wav", ".flac"):
        raise ValueError(f"the name of the file must end in .wav or .flac, not {kind!r}")
    check_choice("encoding", encoding, Encoding)
    if kind == ".flac" and encoding != "pcm":
        raise ValueError(f"FLAC has no encoding {encoding!r}: write WAV")
    rate = utterance.sample_rate if sample_rate is None else _checked_rate(sample_rate)
    if kind == ".flac" and not takes("flac", rate, utterance.num_channels):
        raise ValueError(f"FLAC cannot hold {utterance.num_channels} channels at {rate} Hz")
    audio = utterance.audio
    if rate != utterance.sample_rate:
        samples = from_pcm(audio, utterance.num_channels)
        audio = to_pcm(resample(samples, utterance.sample_rate, rate))
    content = write_sound(
        audio,
        format=kind[1:].upper(),
        subtype=_SUBTYPES[encoding],
        samplerate=rate,
        channels=utterance.num_channels,
    )
    write_file(file, content)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, all of it or nothing.

    Args:
        path: The file.
        content: What is in it.

    Raises:
        OSError: If it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _checked_rate(sample_rate: object) -> int:
    rate = check_positive_int("sample_rate", sample_rate)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"sample_rate must be {MIN_RATE} to {MAX_RATE} Hz, not {rate}")
    return rate
