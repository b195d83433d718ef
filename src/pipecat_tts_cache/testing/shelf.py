#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store that can be listened to."""

from collections.abc import Iterator

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.backends.memory import MemoryCacheBackend
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.report import in_words
from pipecat_tts_cache.testing.voice import Heard, listen
from pipecat_tts_cache.utterance import Utterance

TOLERANCE = 0.020
"""How far the times of words may be off, in seconds."""


def letters(text: str) -> str:
    """Return what is left of a text without case, punctuation and white space."""
    return "".join(character for character in text.casefold() if character.isalnum())


class Shelf(MemoryCacheBackend):
    """A memory store that takes down everything it was ever given."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.kept: dict[CacheKey, Utterance] = {}

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Take an utterance down, and store it."""
        self.kept[key] = utterance
        return await super().set(key, utterance, ttl=ttl)

    @property
    def texts(self) -> frozenset[str]:
        """The texts that were stored, without white space around them."""
        return frozenset((utterance.text or "").strip() for utterance in self.kept.values())

    def flaws(self, provider: Provider) -> Iterator[str]:
        """Listen to everything, and say what is wrong with it.

        Args:
            provider: Who spoke it.
        """
        for utterance in self.kept.values():
            for flaw in _flaws_of(utterance, provider):
                yield f"what was stored for {utterance.text!r} {flaw}"


def _flaws_of(utterance: Utterance, provider: Provider) -> Iterator[str]:
    heard = listen(utterance.audio, sample_rate=utterance.sample_rate)
    takes = set(heard.takes)
    if heard.flaws:
        yield f"is not whole: {'; '.join(heard.flaws)}"
    if len(takes) != 1:
        yield f"holds {len(takes)} recordings, not one"
        return
    request = provider.requests[takes.pop() - 1]
    if letters(request.text) != letters(utterance.text or "") or not request.whole:
        yield f"is a recording of {request.text!r}"
    if letters(heard.text) != letters(request.text):
        yield f"says only {heard.text!r}"
    voice = request.settings.get("voice")
    if None not in (voice, utterance.voice) and str(utterance.voice) not in str(voice):
        yield f"is filed under voice {utterance.voice!r}, and was spoken by {voice!r}"
    yield from _misplaced_words(utterance, heard)


def _misplaced_words(utterance: Utterance, heard: Heard) -> Iterator[str]:
    words = utterance.words
    if any(not 0 <= word.start <= utterance.duration for word in words):
        yield "has words outside its audio"
    if letters("".join(word.text for word in words)) not in letters(heard.text):
        yield f"tells other words: {in_words([word.text for word in words])}"
    if [letters(word.text) for word in words] == list(map(letters, heard.words)):
        for word, start in zip(words, heard.starts, strict=True):
            if abs(word.start - start) > TOLERANCE:
                yield f"says that {word.text!r} comes at {word.start:.2f} s, not {start:.2f} s"
