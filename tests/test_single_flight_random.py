#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whatever several bots on one store say, and whatever goes wrong, each listener hears it all."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.speaking.single_flight import leads_of
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from pipecat_tts_cache.testing.view import Said, View, differences
from pipecat_tts_cache.testing.voice import speak
from tests.cached_scripted import CACHED_SCRIPTED
from tests.scripted import SCRIPTED
from tests.shaky_backend import ShakyBackend

KINDS = ["inline", "inline words", "overlapping", "shared clock", "in order"]
SENTENCES = ("Hello there. ", "One moment please while I look. ", "Your table is booked now. ")
SAMPLE_RATE = 8000
PATIENCE = 120.0
TOLERANCE = 0.02
SETTLING = 15.0
"""Seconds in which the slowest write has ended."""

FAULTS = [fault for fault in Fault if fault is not Fault.LATE]
pytestmark = pytest.mark.skipif(
    not SPARES_SPEECH,
    reason="before, what Pipecat commits of speech without pauses is a matter of chance",
)


@dataclass
class Act:
    """What a bot is told, and how much later than what it was told before.

    Parameters:
        after: Seconds.
        what: "turn", "speak", "interrupt", "fail" or "cancel".
        texts: The sentences.
        pause: Seconds for which the language model pauses in the last sentence of a turn.
        interruptible: Whether an interruption cuts it off.
        fault: What goes wrong with the next request.
    """

    after: float
    what: str
    texts: tuple[str, ...] = ()
    pause: float = 0.0
    interruptible: bool = True
    fault: Fault = Fault.ERROR


@dataclass
class Part:
    """What one bot is and does.

    Parameters:
        kind: Of service.
        pace: Of its provider.
        acts: What it is told.
    """

    kind: str
    pace: dict[str, Any]
    acts: list[Act]

    @property
    def texts(self) -> list[str]:
        """All it is told to say."""
        return [text.strip() for act in self.acts for text in act.texts]

    @property
    def told(self) -> set[str]:
        """What it is told in any way."""
        return {act.what for act in self.acts}

    @property
    def hears_all(self) -> bool:
        """Whether its listener is to hear everything."""
        return not self.told & {"interrupt", "fail", "cancel"}


@dataclass
class Played:
    """A part that was played."""

    part: Part
    bot: Bot
    tts: Any
    provider: Provider
    interruptions: int = field(default=0)
    said: View = field(default_factory=View)

    async def play(self) -> None:
        """Do what the part says, and wait until all is through."""
        for act in self.part.acts:
            await asyncio.sleep(act.after)
            if not self.bot.over:
                await self._do(act)
        if self.bot.over:
            return
        try:
            await self.bot.until_quiet(patience=PATIENCE)
        except TimeoutError:
            if "fail" not in self.part.told:
                raise
            await self.bot.cancel()  # an inline service waits for its provider, come what may

    async def _do(self, act: Act) -> None:
        match act.what:
            case "turn":
                *begin, last = act.texts
                first, rest = last.split(" ", 1)
                await self.bot.llm_turn([*begin, first], end=False)
                await asyncio.sleep(act.pause)
                await self.bot.tokens(f" {rest}")
                await self.bot.end_turn()
            case "speak":
                text = act.texts[0].strip()
                await self.bot.speak(text, interruptible=act.interruptible)
            case "interrupt":
                await self.bot.interrupt()
                self.interruptions += 1
            case "fail":
                self.provider.fail(act.fault)
            case "cancel":
                await self.bot.cancel()

    def check(self) -> None:
        """Check what was heard, and that nothing is left."""
        said = self.said = self.bot.said()
        if self.part.hears_all:
            self._check_whole(self.part.texts, said.contexts)
            assert [] == said.errors
            assert " ".join(self.part.texts) == " ".join(self.bot.messages)
        elif not self.part.told & {"fail", "cancel"}:
            spared = [act.texts[0].strip() for act in self.part.acts if not act.interruptible]
            whole = [c for c in said.contexts if not c.interruptible]
            if len(spared) == len(whole):  # Pipecat loses some that wait, with a cache or without
                self._check_whole(spared, whole)
        self._check_rest()

    @staticmethod
    def _check_whole(texts: list[str], contexts: list[Said]) -> None:
        """Check that texts were heard in order, once each, whichever takes they are made of."""
        words = " ".join(texts).split()
        heard = [word for context in contexts for word in context.heard.words]
        flaws = [flaw for context in contexts for flaw in context.heard.flaws]
        rest = iter(words)
        assert all(word in rest for word in heard), (words, heard)
        assert len(words) - len(heard) <= len(flaws)  # a word made of two halves is a flaw
        expected = sum(len(speak(text, sample_rate=SAMPLE_RATE).audio) for text in texts)
        assert expected == pytest.approx(sum(len(c.audio) for c in contexts), abs=2 * len(texts))
        assert [(1, 1, [])] * len(contexts) == [(c.started, c.stopped, c.stray) for c in contexts]

    def _check_rest(self) -> None:
        conductor = self.tts._tts_cache
        left: list[Any] = [
            conductor.live.sentences,
            list(conductor.live.flight),
            conductor.live.flight.waiting,
            conductor.following._tasks,
            conductor.following._broken_off,
            self.tts._tts_cache_book._store._writes,
            list(self.tts._tts_cache_book._unjudged),
        ]
        if not self.bot.over and "fail" not in self.part.told:
            left += [conductor.turns, self.tts._tts_contexts, self.tts.get_audio_contexts()]
        assert [] == [each for each in left if each]

    async def check_stats(self) -> None:
        """Check that every sentence was counted, once."""
        stats = await self.tts.get_cache_stats()
        hits, misses = stats["hits"], stats["misses"]
        assert misses == stats["stores"] + sum(stats["not_stored"].values()), stats
        requests, live = len(self.provider.texts), misses + sum(stats["bypassed"].values())
        assert requests <= live <= requests + self.interruptions + self.bot.over, stats
        assert stats["followed"] <= hits
        if "interrupt" not in self.part.told and not self.bot.over:
            assert len(self.part.texts) == hits + live, stats


def write_part(random: Random, kind: str, *, calm: bool) -> Part:
    """Make up what a bot does."""
    pace = {
        "first_audio": random.choice([0.0, 0.3, 1.0]),
        "speed": random.choice([None, 1.5, 1.5, 4.0]),
    }
    nasty = not calm and random.random() < 0.5
    acts = []
    for _ in range(random.randint(1, 5)):
        after = random.choice(
            [0.0, random.uniform(0, 0.3), random.uniform(0, 2.0), random.uniform(0, 5.0)]
        )
        what = random.choice(["turn", "speak"])
        if nasty and random.random() < 0.5:
            what = random.choice(["fail", "fail", "interrupt", "interrupt", "cancel"])
        act = Act(after, what, fault=random.choice(FAULTS))
        if what == "speak":
            act.texts = (random.choice(SENTENCES),)
            act.interruptible = random.random() < 0.7
        elif what == "turn":
            act.texts = tuple(random.choices(SENTENCES, k=random.randint(1, 4)))
            act.pause = random.choice([0.0, 0.0, 0.5])
        acts.append(act)
    return Part(kind, pace, acts)


async def play(parts: list[Part], store: CacheBackend) -> list[Played]:
    """Let all bots do their parts at once."""
    async with AsyncExitStack() as stack:
        played = []
        for part in parts:
            provider = Provider(**part.pace)
            tts = CACHED_SCRIPTED[part.kind](provider, cache_backend=store)
            bot = await stack.enter_async_context(running(tts, sample_rate=SAMPLE_RATE))
            played.append(Played(part, bot, tts, provider))
        async with asyncio.TaskGroup() as group:
            for each in played:
                group.create_task(each.play())
        await asyncio.sleep(SETTLING)
        for each in played:
            each.check()
            await each.check_stats()
        assert {} == leads_of(store)._leads
    return played


async def uncached(part: Part) -> tuple[View, list[str]]:
    """Play a part without a cache."""
    provider = Provider(**part.pace)
    async with running(SCRIPTED[part.kind](provider), sample_rate=SAMPLE_RATE) as bot:
        await Played(part, bot, None, provider).play()
        return bot.said(), bot.messages


def tasks() -> Counter[str]:
    return Counter(task.get_name() for task in asyncio.all_tasks())


@pytest.mark.parametrize("seed", range(15))
async def test_bots_that_nothing_happens_to_speak_as_without_a_cache(seed: int) -> None:
    """Turns and speak frames at random moments are what they are without a cache, asked once."""
    random = Random(seed)
    kinds = random.sample(KINDS, 2)
    parts = [write_part(random, random.choice(kinds), calm=True) for _ in range(4)]
    async with simulated_time():
        before = tasks()
        for each in await play(parts, MemoryCacheBackend()):
            expected, messages = await uncached(each.part)
            assert [] == differences(expected, each.said, tolerance=TOLERANCE)
            assert messages == each.bot.messages
        assert before == tasks()


@pytest.mark.parametrize("seed", range(35))
async def test_bots_that_anything_happens_to_leave_the_others_in_peace(seed: int) -> None:
    """Who fails, is interrupted or ends takes no word from anybody else, and leaves nothing."""
    random = Random(1000 + seed)
    kinds = random.sample(KINDS, random.choice([1, 1, 2]))
    parts = [write_part(random, random.choice(kinds), calm=number < 2) for number in range(5)]
    shaky = random.random() < 0.3
    store = ShakyBackend(Random(seed)) if shaky else MemoryCacheBackend()
    async with simulated_time():
        before = tasks()
        await play(parts, store)
        await asyncio.sleep(SETTLING)
        assert before == tasks()
