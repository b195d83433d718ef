#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What bots say in the continuity benchmark, and how fast: all of it drawn from one seed."""

import math
import random
from dataclasses import dataclass, field

from pipecat_tts_cache.testing.voice import GAP, LEAD, SECONDS_A_CHARACTER, SHORTEST_WORD, TAIL

CHARACTERS_A_TOKEN = 4
SENTENCES_A_TURN = (1, 2, 3, 3, 4, 5)
WORDS = """
    we it so now you can then all are the not new out our was for and about account again before
    better button change clear delivery direct every finally further handle however invoice letter
    little matter moment number office order package people perhaps question receive service
    should station through together usually whether without would yesterday
""".split()  # noqa: SIM905 - a list would be a page long
LAST_WORDS = """
    yes now you out way day too all call left sure done fine good name door line time week mail
    open paid sent seen here there today branch change letter matter moment minute number office
    order package question service station together tomorrow yesterday
""".split()  # noqa: SIM905

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What is drawn from.

    Parameters:
        lengths: Seconds that a sentence takes. Each range is as likely as the others.
        first_audio: Seconds from a request to its first audio.
        speed: The provider's speed, as a multiple of real time.
        tokens_a_second: The LLM's speed.
    """

    lengths: tuple[Range, ...] = ((0.4, 1.0), (1.0, 8.0))
    first_audio: Range = (0.150, 0.400)
    speed: Range = (3.0, 10.0)
    tokens_a_second: Range = (20.0, 80.0)


USUAL = Ranges()
WORST = Ranges(
    lengths=((0.4, 0.5),), first_audio=(0.4, 0.4), speed=(3.0, 3.0), tokens_a_second=(80.0, 80.0)
)
"""The shortest sentences, from the quickest LLM, spoken by the slowest provider."""


@dataclass(frozen=True)
class Pace:
    """How the provider answers a request: seconds to first audio, and a multiple of real time."""

    first_audio: float
    speed: float


@dataclass(frozen=True)
class Turn:
    """A turn of the bot.

    Parameters:
        sentences: What it says.
        tokens_a_second: How fast the LLM writes it.
    """

    sentences: tuple[str, ...]
    tokens_a_second: float

    def tokens(self) -> list[tuple[str, float]]:
        """The words as the LLM writes them, each with the seconds that it takes."""
        words = " ".join(self.sentences).split(" ")
        return [
            (
                word if number == 0 else f" {word}",
                math.ceil((len(word) + 1) / CHARACTERS_A_TOKEN) / self.tokens_a_second,
            )
            for number, word in enumerate(words)
        ]


@dataclass
class Script:
    """Conversations, and the provider's pace for every sentence in them.

    Parameters:
        conversations: The turns of each.
        paces: By sentence. No sentence is said twice.
    """

    conversations: list[list[Turn]] = field(default_factory=list)
    paces: dict[str, Pace] = field(default_factory=dict)

    @property
    def turns(self) -> list[Turn]:
        """The turns of all conversations."""
        return [turn for conversation in self.conversations for turn in conversation]

    @property
    def sentences(self) -> list[str]:
        """All there is to say."""
        return list(self.paces)


def write_script(ranges: Ranges, *, seed: int, conversations: int, turns: int) -> Script:
    """Write a script.

    Args:
        ranges: What to draw from.
        seed: The same seed gives the same script.
        conversations: How many.
        turns: How many in each.
    """
    chance = random.Random(seed)
    script = Script()
    for _ in range(conversations):
        script.conversations.append([_write_turn(chance, script, ranges) for _ in range(turns)])
    return script


def _write_turn(chance: random.Random, script: Script, ranges: Ranges) -> Turn:
    sentences: list[str] = []
    for _ in range(chance.choice(SENTENCES_A_TURN)):
        sentence = _write_sentence(chance, ranges)
        while sentence in script.paces:
            sentence = _write_sentence(chance, ranges)
        first_audio, speed = chance.uniform(*ranges.first_audio), chance.uniform(*ranges.speed)
        script.paces[sentence] = Pace(first_audio, speed)
        sentences.append(sentence)
    return Turn(tuple(sentences), chance.uniform(*ranges.tokens_a_second))


def _write_sentence(chance: random.Random, ranges: Ranges) -> str:
    """Write a sentence, about as long as the voice of the local servers has it."""
    words = [chance.choice(LAST_WORDS)]
    left = chance.uniform(*chance.choice(ranges.lengths)) - LEAD - TAIL - _length(words[0])
    while left > GAP + SHORTEST_WORD:
        words.insert(0, chance.choice(WORDS))
        left -= GAP + _length(words[0])
    return " ".join(words).capitalize() + "."


def _length(word: str) -> float:
    return max(SHORTEST_WORD, SECONDS_A_CHARACTER * len(word))
