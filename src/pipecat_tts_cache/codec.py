#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Samples made small: FLAC, which gives back every sample, and Opus, which does not.

FLAC takes about half the room and 0.3 ms for each second of speech, either way. It comes with
`soundfile`, which Pipecat requires; it is imported on first use, as that takes 0.2 s.
"""

from collections.abc import Mapping
from enum import StrEnum
from io import BytesIO
from typing import Any, Literal

Codec = Literal["raw", "flac", "opus"]
"""How samples are kept: as they are, without loss, or small."""

_FLAC_MAX_RATE = 655_350
_FLAC_ANY_RATE = 65_535
"""In Hz; above it, FLAC takes multiples of ten."""
_FLAC_MAX_CHANNELS = 8
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_OPUS_MAX_CHANNELS = 2
_BYTES_PER_SAMPLE = 2
_MAX_AUDIO = 1 << 30
"""Bytes; nobody speaks for six hours, but a small file that says so would take the memory."""


class Payload(StrEnum):
    """What `encode` made of samples, which may be less than was asked for.

    Parameters:
        RAW: The samples themselves.
        FLAC: A FLAC file.
        OPUS: An Ogg Opus file.
    """

    RAW = "raw"
    FLAC = "flac"
    OPUS = "opus"


def takes(codec: Literal["flac", "opus"], sample_rate: int, num_channels: int) -> bool:
    """Tell whether a codec can write samples.

    Args:
        codec: Its name.
        sample_rate: In Hz.
        num_channels: Number of channels.

    Returns:
        Whether it can.
    """
    if codec == "opus":
        return sample_rate in _OPUS_RATES and num_channels <= _OPUS_MAX_CHANNELS
    is_rate = 0 < sample_rate <= _FLAC_ANY_RATE or (
        sample_rate <= _FLAC_MAX_RATE and sample_rate % 10 == 0
    )
    return is_rate and num_channels <= _FLAC_MAX_CHANNELS


def encode(
    audio: bytes, *, sample_rate: int, num_channels: int, codec: Codec
) -> tuple[Payload, bytes]:
    """Make samples small, where that is possible and worth it.

    What Opus does not take (a rate of 22.05 or 44.1 kHz, more than two channels) becomes FLAC, and
    what does not become smaller stays as it is.

    Args:
        audio: PCM s16le, channels interleaved.
        sample_rate: In Hz.
        num_channels: Number of interleaved channels.
        codec: What to make of it.

    Returns:
        What came of it, and its bytes.
    """
    shape: dict[str, Any] = {"samplerate": sample_rate, "channels": num_channels}
    if codec == "opus" and takes("opus", sample_rate, num_channels):
        return Payload.OPUS, write_sound(audio, format="OGG", subtype="OPUS", **shape)
    if codec != "raw" and takes("flac", sample_rate, num_channels):
        small = write_sound(audio, format="FLAC", subtype="PCM_16", **shape)
        if len(small) < len(audio):
            return Payload.FLAC, small
    return Payload.RAW, audio


def decode(payload: bytes | memoryview, *, num_frames: int, num_channels: int) -> bytes:
    """Read samples from FLAC or Ogg Opus.

    Args:
        payload: What `encode` made.
        num_frames: How many samples of each channel it holds.
        num_channels: How many channels.

    Returns:
        PCM s16le, channels interleaved.

    Raises:
        ValueError: If it cannot be read, or holds something else.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(BytesIO(payload)) as file:
            if (file.frames, file.channels) != (num_frames, num_channels):
                raise ValueError("a payload of another length than it says")
            size = num_frames * num_channels * _BYTES_PER_SAMPLE
            if size > _MAX_AUDIO:
                raise ValueError("a payload of hours")
            audio = bytearray(size)
            read = file.buffer_read_into(audio, dtype="int16")
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise ValueError(f"a payload that cannot be read: {type(error).__name__}") from None
    if read != num_frames:
        raise ValueError("a payload that ends early")
    return bytes(audio)


def write_sound(audio: bytes, *, tags: Mapping[str, str] | None = None, **form: Any) -> bytes:
    """Write a sound file.

    Args:
        audio: PCM s16le, channels interleaved.
        tags: What to write beside the sound: the names are attributes of `soundfile.SoundFile`.
        **form: Its format, as `soundfile.SoundFile` names it.

    Returns:
        The file.
    """
    written = BytesIO()
    with _soundfile().SoundFile(written, "w", **form) as file:
        for name, value in (tags or {}).items():
            setattr(file, name, value)
        file.buffer_write(audio, dtype="int16")
    return written.getvalue()


def _soundfile() -> Any:
    import soundfile  # noqa: PLC0415 - see above

    return soundfile
