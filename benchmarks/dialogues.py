#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Dialogues as the cache sees them: sentences cut by Pipecat, under the keys of a real service."""

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipecat.services.settings import TTSSettings
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from instant import InstantTTS
from pipecat_tts_cache import CacheKey, Utterance, Word
from pipecat_tts_cache import key as keys
from pipecat_tts_cache.request import RequestReader
from pipeline import SAMPLE_RATE
from policies import Request

CHARACTERS_A_SECOND = 15
LONG_ANSWER = (40, 60)
"""Seconds that a long answer takes."""

_BYTES_A_SAMPLE = 2
_TOKEN = re.compile(r"\s*\S+|\s+")
_SETTINGS = TTSSettings(model="instant", voice="anna", language="en-US").given_fields()
_NO_EXTRA = keys.written({}, "extra")

Dialogue = list[list[Request]]
"""The turns, and their sentences."""


@dataclass(frozen=True)
class Corpus:
    """What a bot said in many dialogues.

    Parameters:
        name: What to call it.
        dialogues: The turns of each, and their sentences.
        texts: The distinct sentences.
    """

    name: str
    dialogues: list[Dialogue]
    texts: list[str]

    @property
    def turns(self) -> list[list[Request]]:
        """The turns of all dialogues."""
        return [turn for dialogue in self.dialogues for turn in dialogue]

    @property
    def sentences(self) -> list[Request]:
        """The sentences of all dialogues."""
        return [sentence for turn in self.turns for sentence in turn]

    @property
    def size(self) -> int:
        """What the distinct sentences take, in bytes."""
        return sum(request.size for request in set(self.sentences))


class _Reader:
    """Makes requests of texts, as `TTSCacheMixin` does for a service with word timestamps."""

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self._aggregator = SimpleTextAggregator()
        self._reader = RequestReader(
            service_class=InstantTTS, profile=InstantTTS.tts_cache_profile, args=(), kwargs={}
        )

    async def turn(self, utterance: str) -> list[Request]:
        """Cut what an LLM writes into sentences, as Pipecat's TTS services do."""
        cut: list[str] = []
        for token in _TOKEN.findall(utterance):
            cut += [sentence.text async for sentence in self._aggregator.aggregate(token)]
        if rest := await self._aggregator.flush():
            cut.append(rest.text)
        return [self.request(text) for text in map(keys.prepare_text, cut) if text]

    def request(self, text: str) -> Request:
        """Find the key and the size of a text, whose white space is folded."""
        if text not in self.requests:
            request = self._reader.request(
                text=text, settings=_SETTINGS, sample_rate=SAMPLE_RATE, extra=_NO_EXTRA
            )
            key = CacheKey("", keys.digest(request))
            self.requests[text] = Request(key, _spoken(text).size, len(text))
        return self.requests[text]


def _spoken(text: str) -> Utterance:
    samples = SAMPLE_RATE * len(text) // CHARACTERS_A_SECOND
    words = tuple(Word(word, 0.0) for word in text.split())
    audio = bytes(_BYTES_A_SAMPLE * samples)
    return Utterance(audio=audio, sample_rate=SAMPLE_RATE, words=words, text=text)


async def read(name: str, lines: Iterable[str]) -> Corpus:
    """Read dialogues.

    Args:
        name: What to call them.
        lines: One dialogue each: `{"id": ..., "agent": ["...", ...]}`.
    """
    reader = _Reader()
    agents = [json.loads(line)["agent"] for line in lines if line.strip()]
    dialogues = [[await reader.turn(utterance) for utterance in agent] for agent in agents]
    return Corpus(name, dialogues, list(reader.requests))


def in_some_order(corpus: Corpus, chance: random.Random) -> list[Request]:
    """The sentences, with the dialogues in some order: one after the other, as on one line."""
    dialogues = chance.sample(corpus.dialogues, len(corpus.dialogues))
    return [sentence for dialogue in dialogues for turn in dialogue for sentence in turn]


def with_long_answers(corpus: Corpus, chance: random.Random) -> list[Request]:
    """The same, and after every other turn, on average, a long answer that is never given again.

    It is one utterance, as a `TTSSpeakFrame` is, and does not count.
    """
    reader = _Reader()
    requests: list[Request] = []
    for dialogue in chance.sample(corpus.dialogues, len(corpus.dialogues)):
        for turn in dialogue:
            requests += turn
            if chance.random() < 0.5:
                text = _long_answer(corpus.texts, len(requests), chance)
                requests.append(reader.request(text)._replace(counts=False))
    return requests


def _long_answer(texts: Sequence[str], number: int, chance: random.Random) -> str:
    """Put sentences together until they take long enough."""
    text = f"Answer {number}:"
    while len(text) < CHARACTERS_A_SECOND * LONG_ANSWER[0]:
        text = f"{text} {chance.choice(texts)}"
    return text[: CHARACTERS_A_SECOND * LONG_ANSWER[1]]


def after_another(
    corpus: Corpus, other: Corpus, chance: random.Random, times: int
) -> list[Request]:
    """The same after another bot has used the store, which does not count."""
    before = [in_some_order(other, chance) for _ in range(times)]
    uncounted = [request._replace(counts=False) for order in before for request in order]
    return uncounted + in_some_order(corpus, chance)
