#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What bots do, as data: conversations that are held with a service, with a cache and without."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat_tts_cache.testing.driver import Bot


@dataclass(frozen=True)
class Turn:
    """An LLM turn.

    Parameters:
        sentences: What is said.
        aside: What a speak frame says inside the turn, behind its first sentence.
        voice: A value that the setting `voice` gets inside the turn, behind its first sentence.
    """

    sentences: tuple[str, ...]
    aside: str | None = None
    voice: Any = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is said."""
        return self.sentences + ((self.aside,) if self.aside else ())

    async def act(self, bot: Bot) -> None:
        """Say it."""
        await bot.llm_turn("", end=False)
        for number, sentence in enumerate(self.sentences):
            await bot.tokens(f"{sentence} ")
            if number == 0 and self.aside:
                await bot.speak(self.aside)
            if number == 0 and self.voice is not None:
                await bot.update_settings(voice=self.voice)
        await bot.end_turn()


@dataclass(frozen=True)
class Speak:
    """A speak frame.

    Parameters:
        text: What is said.
        options: Of the frame: `append_to_context`, `interruptible`.
    """

    text: str
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is said."""
        return (self.text,)

    async def act(self, bot: Bot) -> None:
        """Say it."""
        await bot.speak(self.text, **self.options)


@dataclass(frozen=True)
class Pause:
    """The bot says nothing more until all that it began is through."""

    texts: tuple[str, ...] = ()

    async def act(self, bot: Bot) -> None:
        """Wait."""
        await bot.until_quiet()


Step = Turn | Speak | Pause
Script = tuple[Step, ...]

SENTENCES = ("One is here.", "Two is over there.", "Three is everywhere.")
"""The turn in which hits and misses are mixed."""

SCRIPTS: Mapping[str, Script] = {
    "a speak frame": (Speak("Hello and welcome."),),
    "two speak frames back to back": (Speak("Hello and welcome."), Speak("Yes.")),
    "two turns, one after the other": (
        Turn(("One moment, please.", "I am looking.")),
        Pause(),
        Turn(("One moment, please.", "Here it is.")),
    ),
    "two turns back to back": (
        Turn(("One moment, please.", "I am looking.")),
        Turn(("Here it is.", "One moment, please.")),
    ),
    "a sentence that comes back in a turn": (
        Turn(("Yes indeed.", "Yes indeed.", "No way.", "Yes indeed.")),
    ),
    "a speak frame that is not for the context": (
        Speak("This is a test call.", {"append_to_context": False}),
    ),
    "a speak frame that may not be interrupted": (
        Speak("This call is recorded.", {"interruptible": False}),
    ),
    "a speak frame in the middle of a turn": (
        Turn(("One is here.", "Two is there."), aside="By the way."),
    ),
    "an empty turn, then another": (Turn(()), Turn(("Here it is.",))),
    "a long turn": (Turn((*(f"Number {n} is next." for n in range(7)), "That is all.")),),
}
"""Conversations without interruptions, by what they are."""

_AT_ONCE = 2  # turns and speak frames back to back; providers refuse more contexts at once
_POOL = ("Yes.", "One moment.", "Let me look.", "Here it is.", "No, not at all.", "That is all.")


def texts_of(script: Script) -> list[str]:
    """Return everything that is said in a conversation."""
    return [text for step in script for text in step.texts]


def write_conversation(seed: int, *, steps: int = 12) -> Script:
    """Write a random conversation without interruptions, always the same for a seed.

    Args:
        seed: Of the random numbers.
        steps: How many turns, speak frames and pauses.
    """
    dice = random.Random(seed)  # noqa: S311 - nothing to guess
    return tuple(_steps(dice, _POOL, steps))


def _steps(dice: random.Random, pool: Sequence[str], count: int) -> Iterator[Step]:
    busy = 0
    for _ in range(count):
        if busy == _AT_ONCE or dice.random() < 1 / 4:
            busy = 0
            yield Pause()
            continue
        busy += 1
        if dice.random() < 2 / 3:
            yield Turn(tuple(dice.choices(pool, k=dice.randint(1, 4))))
        else:
            yield Speak(dice.choice(pool), {"append_to_context": dice.random() < 1 / 2})


async def play(bot: Bot, script: Script) -> None:
    """Hold a conversation, without waiting for its end."""
    for step in script:
        await step.act(bot)
