#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whether two recordings are of the same sentence, whatever codec and line lie between them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.espeak import Manner, Speech, engine, worker

_LOUD = 0.02  # of the loudest sample
_STEP, _WINDOW = 0.01, 0.032  # seconds
_EDGES = np.geomspace(100, 6000, 25)  # of the bands, in Hz
_DYNAMICS = 1e-5  # what is so much weaker than the strongest is silence
_PIECE, _SLACK = 50, 12  # in steps: the line may move each half second by so much


class Sound(NamedTuple):
    """A recording.

    Parameters:
        samples: Its samples, mono, from -1 to 1.
        sample_rate: How many of them are a second.
    """

    samples: NDArray[np.float64]
    sample_rate: int

    @classmethod
    def of(cls, pcm: bytes, sample_rate: int) -> "Sound":
        """Make one of PCM s16le."""
        return cls(np.frombuffer(pcm, "<i2") / 32768, sample_rate)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.sample_rate

    @property
    def peak(self) -> float:
        """The loudest sample."""
        return float(np.abs(self.samples).max(initial=0))

    def trimmed(self) -> "Sound":
        """Return it without the silence before and behind."""
        loud = np.flatnonzero(np.abs(self.samples) > _LOUD * self.peak)
        if not len(loud):
            return Sound(self.samples[:0], self.sample_rate)
        return Sound(self.samples[loud[0] : loud[-1] + 1], self.sample_rate)


def spoken(text: str, manner: Manner) -> Sound:
    """Have espeak-ng say a text."""
    pcm = bytearray()

    def hear(speech: Speech) -> bool:
        pcm.extend(speech.audio)
        return True

    worker().submit(lambda: engine().speak(text, manner, hear)).result()
    return Sound.of(bytes(pcm), worker().submit(engine).result().sample_rate)


def likeness(heard: Sound, expected: Sound) -> float:
    """Compare two recordings by how strong which band of frequencies is when.

    Each half second of the one is looked for in the other, near where it should be, for a line and
    its jitter buffer stretch what they carry.

    Returns:
        1 for the same sound, about 0 for two that have nothing to do with one another.
    """
    mine, theirs = _bands(heard.trimmed()), _bands(expected.trimmed())
    if not len(mine) or not len(theirs):
        return 0.0
    found = np.zeros_like(theirs)
    for begin in range(0, len(theirs), _PIECE):
        piece = theirs[begin : begin + _PIECE]
        places = range(max(0, begin - _SLACK), begin + _SLACK + 1)
        candidates = [mine[at : at + len(piece)] for at in places if at + len(piece) <= len(mine)]
        if candidates:
            best = max(candidates, key=lambda each: float((each * piece).sum()))
            found[begin : begin + len(piece)] = best
    return float((found * theirs).sum() / max(np.linalg.norm(mine) * np.linalg.norm(theirs), 1e-9))


def _bands(sound: Sound) -> NDArray[np.float64]:
    """Return the loudness of each band, step by step, around its mean."""
    length = round(_WINDOW * sound.sample_rate)
    starts = np.arange(0, len(sound.samples) - length, _STEP * sound.sample_rate).astype(int)
    if not len(starts):
        return np.zeros((0, len(_EDGES) - 1))
    windows = sound.samples[starts[:, None] + np.arange(length)] * np.hanning(length)
    power = np.abs(np.fft.rfft(windows)) ** 2
    frequencies = np.fft.rfftfreq(length, 1 / sound.sample_rate)
    bands = np.stack(
        [
            power[:, (low <= frequencies) & (frequencies < high)].sum(axis=1)
            for low, high in zip(_EDGES, _EDGES[1:], strict=False)
        ],
        axis=1,
    )
    loudness = np.log(bands + _DYNAMICS * bands.max())
    return np.asarray(loudness - loudness.mean(axis=0))
