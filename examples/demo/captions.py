#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The call as files: a WAV, and WebVTT captions in which every word has its time."""

import html
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self


class Caption(NamedTuple):
    """Something that was said.

    Parameters:
        speaker: By whom.
        start: From when, in seconds of the recording.
        end: Until when.
        words: Every word (or several in one), and when it begins.
    """

    speaker: str
    start: float
    end: float
    words: tuple[tuple[str, float], ...]

    def shifted(self, seconds: float) -> Self:
        """The same, later."""
        words = tuple((word, start + seconds) for word, start in self.words)
        return self._replace(start=self.start + seconds, end=self.end + seconds, words=words)


def write_wav(path: Path, audio: bytes, sample_rate: int) -> None:
    """Write a recording.

    Args:
        path: The file.
        audio: PCM s16le, mono.
        sample_rate: In Hz.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(audio)


def write_vtt(path: Path, captions: Iterable[Caption]) -> None:
    """Write captions.

    Args:
        path: The file.
        captions: What was said, in order.
    """
    path.write_text("\n\n".join(["WEBVTT", *map(_cue, captions)]) + "\n", encoding="utf-8")


def _cue(caption: Caption) -> str:
    """A cue. A word's time stands before it, if it begins after the cue and what came before."""
    text, latest = "", _milliseconds(caption.start)
    for word, start in caption.words:
        begins = _milliseconds(start)
        if latest < begins < _milliseconds(caption.end):
            text += f"<{_clock(begins)}>"
            latest = begins
        text += html.escape(word, quote=False) + " "
    times = f"{_clock(_milliseconds(caption.start))} --> {_clock(_milliseconds(caption.end))}"
    return f"{times}\n<v {caption.speaker}>{text.strip()}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _clock(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"
