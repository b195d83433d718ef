#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""WAV and FLAC files read with nothing but what Pipecat brings, where the extra `audio` is not."""

import os
from pathlib import Path
from typing import Any

from pipecat_tts_cache.errors import MissingExtraError
from pipecat_tts_cache.sound.ends import ends_early
from pipecat_tts_cache.sound.loading import MAX_RATE, MAX_SECONDS, MIN_RATE, load_audio_file
from pipecat_tts_cache.sound.samples import resample, to_pcm

_FORMATS = {"WAV", "WAVEX", "FLAC"}
_STEREO = 2


def load_audio(path: str | os.PathLike[str], sample_rate: int, num_channels: int) -> bytes:
    """Read the sound of a file: any where the extra `audio` is, else WAV or FLAC. It blocks.

    Args:
        path: The file.
        sample_rate: The rate to resample to, in Hz.
        num_channels: 1 to mix to mono, 2 for stereo.

    Returns:
        PCM s16le, channels interleaved.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it holds no sound, is damaged or too long, or of an impossible form.
    """
    try:
        return load_audio_file(path, sample_rate, num_channels)
    except MissingExtraError:
        return load_plain_audio(path, sample_rate, num_channels, max_seconds=MAX_SECONDS)


def load_plain_audio(
    path: str | os.PathLike[str], sample_rate: int, num_channels: int, *, max_seconds: float
) -> bytes:
    """Read the sound of a WAV or FLAC file. It blocks.

    Args:
        path: The file.
        sample_rate: The rate to resample to, in Hz.
        num_channels: 1 to mix to mono, 2 for stereo.
        max_seconds: The length above which a file is refused.

    Returns:
        PCM s16le, channels interleaved.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such file, damaged, too long, or of an impossible form.
    """
    import numpy as np  # noqa: PLC0415 - as soundfile, on first use
    import soundfile  # noqa: PLC0415 - takes 0.2 s

    name = Path(path).name
    if not MIN_RATE <= sample_rate <= MAX_RATE or num_channels not in (1, _STEREO):
        raise ValueError(f"{sample_rate} Hz in {num_channels} channels is no form to read in")
    with Path(path).open("rb") as content:
        if ends_early(content):
            raise ValueError(f"{name!r} cannot be read: it ends early")
        try:
            with soundfile.SoundFile(content) as file:
                _check(file, name, max_seconds)
                rate: int = file.samplerate
                samples: Any = file.read(dtype="float32", always_2d=True)
                if len(samples) < file.frames:
                    raise ValueError(f"{name!r} cannot be read: it is damaged")
        except soundfile.LibsndfileError as error:
            raise ValueError(
                f"{name!r} cannot be read: no WAV or FLAC file, or damaged ({error.error_string}); "
                "for other formats: pip install 'pipecat-tts-cache[audio]'"
            ) from None
    if samples.shape[1] != num_channels:
        if num_channels == 1:
            samples = samples.mean(axis=1, keepdims=True)
        elif samples.shape[1] == 1:
            samples = np.repeat(samples, num_channels, axis=1)
        else:
            raise ValueError(f"{name!r} cannot be read: it has {samples.shape[1]} channels")
    return to_pcm(resample(samples, rate, sample_rate))


def _check(file: Any, name: str, max_seconds: float) -> None:
    if file.format not in _FORMATS:
        raise ValueError(
            f"{name!r} is no WAV or FLAC file; for others: pip install 'pipecat-tts-cache[audio]'"
        )
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise ValueError(f"{name!r} cannot be read: a sample rate of {file.samplerate} Hz is none")
    if file.frames > max_seconds * file.samplerate:
        raise ValueError(f"{name!r} cannot be read: it is longer than {max_seconds:g} s")
    if not file.frames:
        raise ValueError(f"{name!r} cannot be read: there is no sound in it")
