#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Samples brought into another form: as numbers, in mono, at another rate, louder or softer.

Samples as numbers are float32, a row for each moment and a column for each channel; full scale is
-1 to 1. All of it blocks. What it works with comes with Pipecat, and is imported on first use.
"""

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

_FULL_SCALE = 32768
_SHORTEST = 0.4
"""Seconds that a loudness is measured over, at least."""
_LOUDEST = (_FULL_SCALE - 1) / _FULL_SCALE


def from_pcm(audio: bytes, num_channels: int) -> "Samples":
    """Read samples.

    Args:
        audio: PCM s16le, channels interleaved.
        num_channels: How many channels.

    Returns:
        The samples as numbers.
    """
    import numpy as np  # noqa: PLC0415 - takes 0.1 s, as below

    samples = np.frombuffer(audio, "<i2").astype(np.float32)
    return cast("Samples", samples.reshape(-1, num_channels) / np.float32(_FULL_SCALE))


def to_pcm(samples: "Samples") -> bytes:
    """Write samples; what is beyond full scale is cut off.

    Args:
        samples: The samples as numbers.

    Returns:
        PCM s16le, channels interleaved.
    """
    import numpy as np  # noqa: PLC0415

    scaled = np.rint(samples * _FULL_SCALE)
    return bytes(np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes())


def mixed(samples: "Samples") -> "Samples":
    """Mix samples to mono.

    Args:
        samples: The samples as numbers.

    Returns:
        One channel: the mean of all.
    """
    return cast("Samples", samples.mean(axis=1, keepdims=True))


def resample(samples: "Samples", source: int, target: int) -> "Samples":
    """Bring samples to another rate.

    Args:
        samples: The samples as numbers.
        source: Their rate, in Hz.
        target: The rate they are to have, in Hz.

    Returns:
        The samples at that rate.

    Raises:
        ValueError: If that takes what is not installed.
    """
    if source == target:
        return samples
    try:
        import soxr  # noqa: PLC0415 - on first use
    except ImportError:
        raise ValueError(
            f"{source} Hz cannot be made {target} Hz without pip install 'pipecat-tts-cache[audio]'"
        ) from None
    return cast("Samples", soxr.resample(samples, source, target))


def loudness(samples: "Samples", sample_rate: int) -> float | None:
    """Measure how loud speech is, as ITU-R BS.1770 and EBU R 128 do: silence does not count.

    Args:
        samples: The samples as numbers; less than 0.4 s are measured as often as it takes.
        sample_rate: Their rate, in Hz.

    Returns:
        The integrated loudness in LUFS, or None of silence.
    """
    import loudness as meter  # noqa: PLC0415 - on first use
    import numpy as np  # noqa: PLC0415

    if not len(samples):
        return None
    times = math.ceil(_SHORTEST * sample_rate / len(samples))
    level = float(meter.integrated_loudness(np.tile(samples, (times, 1)), sample_rate))
    return level if math.isfinite(level) else None


def amplify(samples: "Samples", decibels: float) -> tuple["Samples", float]:
    """Make samples louder or softer, but never so loud that they clip.

    Args:
        samples: The samples as numbers.
        decibels: By how much.

    Returns:
        The samples, and by how many decibels they are louder now.
    """
    import numpy as np  # noqa: PLC0415

    peak = float(np.abs(samples).max(initial=0.0))
    room = 20 * math.log10(_LOUDEST / peak) if peak else 0.0
    gain = min(decibels, max(room, 0.0))
    return samples * np.float32(10 ** (gain / 20)), gain
