#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A voice whose samples can be read back into words.

Every word is a block of samples that says how long it is, in which take it was spoken and which
word it is; the rest of the block is a pattern that never stands still. A listener rebuilds each
block from what it says about itself and compares, so a word that is cut off, shifted by a byte,
stuck together or mixed with another is noticed. Silence is zeros.
"""

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

SECONDS_A_CHARACTER = 0.06
SHORTEST_WORD = 0.1
LEAD, GAP, TAIL = 0.05, 0.02, 0.12  # seconds of silence before, between and after the words

_START = 0x7FFF  # stands nowhere else in the audio
_HEADER = 6  # samples: start, length (2), take (2), number of bytes of the word
_DIGIT = 1 << 14
_PATTERN = array("h", (-20000 + 13 * (i * 37 % 997) for i in range(997))).tobytes()


@dataclass(frozen=True)
class Speech:
    """What the voice said.

    Parameters:
        audio: PCM s16le, mono.
        words: Each word with its start and end, in seconds.
        duration: Length of the audio, in seconds.
    """

    audio: bytes
    words: tuple[tuple[str, float, float], ...]
    duration: float


@dataclass
class Heard:
    """What a listener understood.

    Parameters:
        words: The whole words, in the order heard.
        takes: The take each of them was spoken in.
        starts: When each of them began, in seconds.
        flaws: What a listener would have stumbled over.
    """

    words: list[str] = field(default_factory=list)
    takes: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join(self.words)


def speak(text: str, *, sample_rate: int, take: int = 0, tempo: float = 1.0) -> Speech:
    """Say a text.

    Args:
        text: Its words are what white space separates.
        sample_rate: In Hz.
        take: A number that every word carries along.
        tempo: How many times faster than usual to speak.
    """

    def silence(seconds: float) -> bytes:
        return bytes(2 * round(seconds * sample_rate / tempo))

    audio, words = bytearray(silence(LEAD)), []
    for number, word in enumerate(text.split()):
        audio += silence(GAP) if number else b""
        start = len(audio)
        seconds = max(SHORTEST_WORD, SECONDS_A_CHARACTER * len(word)) / tempo
        audio += _block(word, take, round(seconds * sample_rate))
        words.append((word, start / 2 / sample_rate, len(audio) / 2 / sample_rate))
    audio += silence(TAIL)
    return Speech(bytes(audio), tuple(words), len(audio) / 2 / sample_rate)


def listen(audio: bytes, *, sample_rate: int) -> Heard:
    """Read the words back out of PCM s16le mono audio, at whatever tempo they were spoken."""
    heard = Heard()
    if len(audio) % 2:
        heard.flaws.append("half a sample at the end")
        audio = audio[:-1]
    starts = [*_starts(audio), len(audio)]
    _expect_silence(audio, 0, starts[0], sample_rate, heard)
    for at, following in pairwise(starts):
        end, take, word = _read(audio, at)
        if not word or audio[at:end] != _block(word, take, (end - at) // 2):
            said = f"a word like {word!r}" if word else "a word"
            heard.flaws.append(f"{said} is damaged or cut off at {at / 2 / sample_rate:.3f} s")
            continue
        heard.words.append(word)
        heard.takes.append(take)
        heard.starts.append(at / 2 / sample_rate)
        _expect_silence(audio, end, following, sample_rate, heard)
    return heard


def _expect_silence(audio: bytes, start: int, end: int, sample_rate: int, heard: Heard) -> None:
    if audio[start:end].strip(b"\0"):
        heard.flaws.append(f"junk after {start / 2 / sample_rate:.3f} s")


def _starts(audio: bytes) -> list[int]:
    mark, found, at = _START.to_bytes(2, "little"), [], -1
    while (at := audio.find(mark, at + 1)) >= 0:
        if at % 2 == 0:
            found.append(at)
    return found


@lru_cache(maxsize=4096)
def _block(word: str, take: int, samples: int) -> bytes:
    spelled = word.encode()
    samples = max(samples, _HEADER + len(spelled))
    header = (_START, *divmod(samples, _DIGIT), *divmod(take, _DIGIT), len(spelled), *spelled)
    head = array("h", header).tobytes()
    rest = 2 * samples - len(head)
    turn = 2 * (crc32(head) % 997)
    pattern = _PATTERN[turn:] + _PATTERN * (rest // len(_PATTERN) + 1)
    return head + pattern[:rest]


def _read(audio: bytes, at: int) -> tuple[int, int, str | None]:
    """Return where a word says that it ends, its take and the word, `None` if unreadable."""
    samples = array("h", audio[at : at + 2 * _HEADER])
    if len(samples) < _HEADER or min(samples) < 0:
        return at, 0, None
    _, length_high, length_low, take_high, take_low, size = samples
    spelled = array("h", audio[at + 2 * _HEADER : at + 2 * (_HEADER + size)])
    try:
        word = bytes(spelled.tolist()).decode()
    except (UnicodeDecodeError, ValueError, OverflowError):
        return at, 0, None
    end = at + 2 * (length_high * _DIGIT + length_low)
    return end, take_high * _DIGIT + take_low, word or None
