#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""When the words of a recording begin: as somebody says, or as can be guessed from the text."""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from pipecat_tts_cache.utterance import Word

if TYPE_CHECKING:
    from pipecat_tts_cache.sound.samples import Samples

_PAUSES = re.compile(r"<[^<>]*/>")
_MARKUP = re.compile(r"<[^<>]*>")
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""
_IS_UNSPACED = re.compile(f"[{_UNSPACED}\U00020000-\U0003ffff]")
_SILENCE = 0.02
"""Of the loudest moment: what is softer, before the speech and after it, is silence."""
_MOMENT = 0.01
"""Seconds."""
_DIGIT, _PAUSE, _FULL_STOP = 4, 3, 5
"""How many letters take as long to say as a digit, a comma and the end of a sentence."""
_CLOSING, _ENDS, _STOPS = "\"'”’»)]", (*".!?…。！？",), (*",;:–—、，",)  # noqa: RUF001

GivenWord = Word | tuple[str, float]


def checked_words(given: Iterable[GivenWord]) -> tuple[Word, ...]:
    """Check the words that somebody gives, without their times.

    Args:
        given: Words, or pairs of a text and when it begins, in seconds.

    Returns:
        The words.

    Raises:
        TypeError: If something is no word.
    """
    if isinstance(given, str | bytes):
        raise TypeError("words must be pairs of a text and its time in seconds, not one string")
    return tuple(map(_word, given))


def checked_times(words: tuple[Word, ...], duration: float) -> tuple[Word, ...]:
    """Check when words are said to begin.

    Args:
        words: The words.
        duration: Length of the recording in seconds.

    Returns:
        The words.

    Raises:
        ValueError: If their times do not rise, or lie outside of the recording.
    """
    latest = 0.0
    for number, word in enumerate(words, 1):
        if not latest <= word.start <= duration:  # also if it is not a number
            raise ValueError(
                f"word {number} is said to begin at {word.start:g} s: times must rise from 0 "
                f"to the end of the recording, {duration:.2f} s"
            )
        latest = word.start
    return words


def spell(words: Iterable[Word], *texts: str) -> bool:
    """Tell whether words make up a text, whatever their case and punctuation.

    Args:
        words: The words.
        texts: What they may make up.

    Returns:
        Whether they make up one of these.
    """
    told = _letters("".join(word.text for word in words))
    return told in [_letters(_MARKUP.sub("", text)) for text in texts]


def estimated_words(text: str, samples: "Samples", sample_rate: int) -> tuple[Word, ...]:
    """Guess when words begin: each takes as much of the speech as it has of the letters.

    Args:
        text: The text, as prepared for the provider. Tags in it are not spoken.
        samples: The recording, as numbers.
        sample_rate: Its rate, in Hz.

    Returns:
        The words, with their punctuation. In a text without spaces, of a script that has none
        between words, each character is one.
    """
    spoken = _MARKUP.sub("", _PAUSES.sub(" ", text)).strip()
    unspaced = _IS_UNSPACED.search(spoken) is not None and len(spoken.split()) == 1
    texts = _words_of(spoken, unspaced=unspaced)
    weights = [_weight(each) for each in texts]
    begin, end = _speech(samples, sample_rate)
    total = max(sum(weights[:-1]) + _letters_of(texts[-1]), 1) if texts else 1
    before = [0, *accumulate(weights)]
    return tuple(
        Word(each, begin + (end - begin) * earlier / total, unspaced)
        for each, earlier in zip(texts, before, strict=False)
    )


def _word(given: object) -> Word:
    if isinstance(given, tuple | list) and len(given) in (2, 3):
        text, start, *carries = given
        if (
            isinstance(text, str)
            and text.strip()
            and isinstance(start, float | int)
            and not isinstance(start, bool)
            and all(isinstance(each, bool) for each in carries)
        ):
            return Word(text, float(start), *carries)
    raise TypeError(
        f"a word must be a pair of its text and its time in seconds, not {_name(given)}"
    )


def _name(given: object) -> str:
    return type(given).__name__


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _words_of(text: str, *, unspaced: bool) -> list[str]:
    """Divide a text; what is only punctuation belongs to the word before it, or else behind it."""
    pattern = f"[{_UNSPACED}][^\\w]*|[^{_UNSPACED}]+" if unspaced else r"\S+"
    parts = re.findall(pattern, text)
    glue = "" if unspaced else " "
    words: list[str] = []
    for part in parts:
        if words and not (_letters(part) and _letters(words[-1])):
            words[-1] += glue + part
        else:
            words.append(part)
    return words if _letters("".join(words)) else []


def _weight(word: str) -> int:
    last = word.rstrip(_CLOSING)[-1:]
    pause = _FULL_STOP if last in _ENDS else _PAUSE if last in _STOPS else 0
    return _letters_of(word) + pause


def _letters_of(word: str) -> int:
    letters = _letters(word)
    return len(letters) + (_DIGIT - 1) * sum(map(str.isdigit, letters))


def _speech(samples: "Samples", sample_rate: int) -> tuple[float, float]:
    """Find where speech begins and where it ends, in seconds."""
    import numpy as np  # noqa: PLC0415 - takes 0.1 s

    step = max(round(_MOMENT * sample_rate), 1)
    starts = np.arange(0, len(samples), step)
    loudest = np.maximum.reduceat(np.abs(samples).max(axis=1), starts)
    loud = np.flatnonzero(loudest > _SILENCE * loudest.max(initial=0.0))
    if not len(loud):
        return 0.0, len(samples) / sample_rate
    begin, end = int(loud[0]) * step, min((int(loud[-1]) + 1) * step, len(samples))
    return begin / sample_rate, end / sample_rate
