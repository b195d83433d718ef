#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whether two recordings are of the same sentence, whatever codec and line lie between them."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.espeak import Manner, Speech, engine, worker

LIKE = 0.7  # from here on it is the same sentence; one with another word reaches 0.65
_LOUD = 0.02  # of the loudest sample
_STEP, _WINDOW = 0.01, 0.032  # seconds
_EDGES = np.geomspace(100, 6000, 25)  # of the bands, in Hz
_DYNAMICS = 1e-5  # what is so much weaker than the strongest band is no sound
_SILENCE = 1e-4  # and a step so much weaker than the strongest one is left out: the line has pauses
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

    Each half second of what is expected is looked for near where it should be, for a line and its
    jitter buffer stretch what they carry. The least alike of them decides: a word that is wrong, or
    missing, is enough.

    Returns:
        1 for the same sound, about 0 for two that have nothing to do with one another.
    """
    mine, theirs = _bands(heard.trimmed()), _bands(expected.trimmed())
    alike, drift = [], 0
    for begin in range(0, max(1, len(theirs) - _PIECE + 1), _PIECE):
        rest = len(theirs) - begin
        piece = theirs[begin : begin + (_PIECE if rest >= 2 * _PIECE else rest)]
        found = {
            at - begin: _correlation(mine[at : at + len(piece)], piece)
            for at in range(max(0, begin + drift - _SLACK), begin + drift + _SLACK + 1)
        }
        drift = max(found, key=lambda place: found[place], default=drift)
        alike.append(found.get(drift, 0.0))
    return min(alike)


def _correlation(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    if mine.shape != theirs.shape:
        return 0.0
    norm = np.linalg.norm(mine) * np.linalg.norm(theirs)
    return float((mine * theirs).sum() / max(norm, 1e-9))


def _bands(sound: Sound) -> NDArray[np.float64]:
    """Return the loudness of each band, step by step without the silent ones, around its mean."""
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
            for low, high in pairwise(_EDGES)
        ],
        axis=1,
    )
    bands = bands[bands.sum(axis=1) > _SILENCE * bands.sum(axis=1).max()]
    loudness = np.log(bands + _DYNAMICS * bands.max())
    return np.asarray(loudness - loudness.mean(axis=0))
