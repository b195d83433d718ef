#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sound files in every format, written as people's tools write them."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from demo.espeak import Manner, engine, worker
from tests.espeak import espeak

__all__ = ["espeak", "speech"]

SPEECH_RATE = 22050
SENTENCE = "Thank you for calling. One moment, please, while I look that up."

Samples = np.ndarray[tuple[int, ...], np.dtype[np.int16]]

SOUNDFILE_FORMATS: dict[str, dict[str, str]] = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "24bit.wav": {"format": "WAV", "subtype": "PCM_24"},
    "float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "ulaw.wav": {"format": "WAV", "subtype": "ULAW"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
LIBAV_FORMATS = {
    "m4a": "aac",
    "aac": "aac",
    "lib.opus": "libopus",
    "webm": "libopus",
    "lib.mp3": "libmp3lame",
    "mka": "flac",
}
FORMATS = [*SOUNDFILE_FORMATS, *LIBAV_FORMATS]
LOSSLESS = ["wav", "24bit.wav", "float.wav", "aiff", "flac", "mka"]


@pytest.fixture(scope="session")
def speech(espeak: None) -> Samples:
    """A spoken sentence, at 22 050 Hz."""
    audio = bytearray()

    def speak() -> None:
        engine().speak(
            SENTENCE, Manner("en-us", 160, 50), lambda part: not audio.extend(part.audio)
        )

    worker().submit(speak).result()
    return np.frombuffer(bytes(audio), np.int16)


def sine(rate: int, *, hertz: float = 440, seconds: float = 1.0, peak: int = 8000) -> Samples:
    """Make a tone."""
    times = np.arange(round(rate * seconds)) / rate
    return np.round(peak * np.sin(2 * math.pi * hertz * times)).astype(np.int16)


def write(folder: Path, kind: str, samples: Samples, rate: int) -> Path:
    """Write samples, one channel or a column for each, as a file in a format of `FORMATS`."""
    path = folder / f"file.{kind}"
    if kind in SOUNDFILE_FORMATS:
        content = samples / 32768 if kind == "float.wav" else samples
        soundfile.write(path, content, rate, **SOUNDFILE_FORMATS[kind])
    else:
        write_with_libav(path, LIBAV_FORMATS[kind], samples, rate)
    return path


def write_with_libav(
    path: Path, codec: str, samples: Samples, rate: int, *, pictures: bool = False
) -> None:
    """Write samples, and a moving picture if asked, with libav."""
    layout = "mono" if samples.ndim == 1 else "stereo"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=25) if pictures else None
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if video is not None:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            for _ in range(25):
                container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for each in (frame, None):
            container.mux(stream.encode(each))


def shift(expected: Samples, heard: Samples) -> int:
    """Tell by how many samples a sound comes later than it should."""
    size = 2 * max(len(expected), len(heard))
    here, there = (np.fft.rfft(each.astype(np.float64), size) for each in (expected, heard))
    best = int(np.argmax(np.fft.irfft(here.conj() * there)))
    return best if best < size // 2 else best - size
