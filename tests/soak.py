#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A soak: many bots in one process, on one store that fails now and then.

Run it with::

    python -m tests.soak --bots 100 --minutes 10

Every bot has a service of its own, kinds mixed, behind Pipecat's output transport and assistant
aggregator, and plays what it says at the pace of a loudspeaker. It speaks turns and speak frames,
changes its voice, and is interrupted at random moments. Minutes are simulated: the work is that
of real ones, only the waiting takes no time.

What is heard is compared with what was to be said, word by word, with whose voice and for whom it
was spoken; what was stored is listened to; and what is left behind is counted.
"""

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Collection, Sized
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

from loguru import logger

import pipecat_tts_cache
from pipecat_tts_cache import Utterance
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.errors import CorruptRecordError
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider, Request
from pipecat_tts_cache.testing.simulation import simulated_time
from pipecat_tts_cache.testing.voice import Heard, listen, speak
from tests.cached_scripted import CACHED_SCRIPTED
from tests.output_path import Log, Loudspeaker
from tests.shaky_backend import ShakyBackend

SAMPLE_RATE = 8000
CHUNK_MS = 100
PATIENCE = 120.0
SETTLING = 15.0
"""Seconds in which everything that nobody waits for has come to an end."""

VOICES = ("anna", "ben", "cora")
NAMESPACES = ("", "north", "south")
SENTENCES = (
    "Yes. ",
    "One moment, please. ",
    "Let me look that up. ",
    "Here it is. ",
    "No, not at all. ",
    "Is there anything else? ",
    "Thank you for waiting! ",
)
NUMBERS = 400
"""How many sentences there are that are said now and then."""

BYTES_A_BOT = 3000
"""What the library may hold more at the end than after two thirds, but for latencies."""

BYTES_A_LATENCY = 40


@dataclass(frozen=True)
class Asked:
    """What a provider was asked for."""

    text: str
    voice: str
    namespace: str
    service: str


class Ledger:
    """Everything that providers were asked for, by the take that is audible in every word."""

    def __init__(self) -> None:
        self._asked: dict[int, Asked] = {}

    def enter(self, asked: Asked) -> int:
        """Take a request down, and return its take."""
        self._asked[len(self._asked) + 1] = asked
        return len(self._asked)

    def __getitem__(self, take: int) -> Asked | None:
        return self._asked.get(take)

    def __len__(self) -> int:
        return len(self._asked)


class CountingProvider(Provider):
    """Speaks in takes that no other provider uses, and forgets what it was asked.

    Args:
        ledger: Where requests are taken down.
        namespace: Whose they are.
        service: By which service.
        pacing: See `Provider`.
    """

    def __init__(self, ledger: Ledger, namespace: str, service: str, **pacing: Any) -> None:
        super().__init__(**pacing)
        self.count = 0
        self._ledger, self._namespace, self._service = ledger, namespace, service

    async def ask(self, text: str, **details: Any) -> Request:
        request = await super().ask(text, **details)
        voice = request.settings["voice"]
        request.take = self._ledger.enter(
            Asked(text.strip(), voice, self._namespace, self._service)
        )
        rate = request.sample_rate
        request.speech = speak(text, sample_rate=rate, take=request.take, tempo=self.tempo)
        self.count += 1
        self.requests.clear()
        return request


@dataclass
class Round:
    """What a bot is to say before it rests.

    Parameters:
        brisk: Whether it does not wait for the end of one thing before it says the next.
        interrupted: Whether there is an interruption.
        before: The sentences up to the interruption, or all; each with the voice it is said in.
        after: Those that follow the interruption.
    """

    brisk: bool
    interrupted: bool
    before: list[tuple[str, str]] = field(default_factory=list)
    after: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Soak:
    """All bots, their store, and what was found.

    Parameters:
        bots: How many.
        seconds: How long they talk.
        seed: Makes it another soak.
    """

    bots: int
    seconds: float
    seed: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    done: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    backend: ShakyBackend = field(init=False)
    _begin: float = 0.0
    _latencies: int = 0
    _tasks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backend = ShakyBackend(Random(self.seed))

    async def run(self) -> None:
        """Let the bots talk, and look at what they leave behind."""
        before = asyncio.all_tasks()
        async with simulated_time() as loop:
            self._begin = loop.time()
            rests = [asyncio.Barrier(self.bots + 1) for _ in range(4)]
            talkers = [Talker(self, number) for number in range(self.bots)]
            async with asyncio.TaskGroup() as group:
                for talker in talkers:
                    group.create_task(talker.talk(rests))
                earlier, _ = await self._rest(rests[:2], talkers)
                tracemalloc.start()
                later, grown = await self._rest(rests[2:], talkers)
                tracemalloc.stop()
            await asyncio.sleep(SETTLING)
        for name in later:
            if later[name] > earlier[name]:
                self.findings.append(f"{later[name]} of {name}, after {earlier[name]} before")
        if grown > BYTES_A_BOT * self.bots:
            self.findings.append(f"{grown} bytes more than after two thirds of the time")
        for task in asyncio.all_tasks() - before:
            self.findings.append(f"a task is left: {task.get_name()}")
        self._listen_to_store()

    def over(self, share: float) -> bool:
        """Whether a share of the time is over."""
        return asyncio.get_running_loop().time() >= self._begin + share * self.seconds

    async def _rest(
        self, rests: list[asyncio.Barrier], talkers: list["Talker"]
    ) -> tuple[Counter[str], int]:
        """Wait until all bots rest; count our own objects and bytes; let the bots go on."""
        await rests[0].wait()
        await asyncio.sleep(SETTLING)
        for talker in talkers:
            talker.check_rest()
        gc.collect()
        counted = Counter(map(_own_class, gc.get_objects()))
        counted.pop("", None)
        counted["CacheKey"] -= len(self.backend.records)
        # A scripted provider has a task for every context, until the connection is closed.
        counted["tasks"] = sum(
            getattr(task.get_coro(), "__qualname__", "") != "Line._run"
            for task in asyncio.all_tasks()
        )
        latencies = sum(len(talker.latencies) for talker in talkers)
        size = _our_bytes() - BYTES_A_LATENCY * (latencies - self._latencies)
        self._latencies = latencies
        await rests[1].wait()
        return counted, size

    def _listen_to_store(self) -> None:
        for key, record in self.backend.records.items():
            try:
                utterance = Utterance.from_bytes(record)
            except CorruptRecordError:
                self.done["corrupt records in the store"] += 1
                continue
            self.done["records in the store"] += 1
            heard = listen(utterance.audio, sample_rate=utterance.sample_rate)
            asked = self.ledger[heard.takes[0]] if heard.takes else None
            expected = Asked(
                (utterance.text or "").strip(),
                str(utterance.voice),
                key.namespace,
                utterance.service,
            )
            if heard.flaws or expected.text != heard.text or {*heard.takes} != {heard.takes[0]}:
                self.findings.append(f"stored broken: {utterance.text!r}, {heard}")
            elif asked != expected:
                self.findings.append(f"stored as {expected}, spoken as {asked}")


def _own_class(thing: object) -> str:
    """Return the name of an object's class if it is one of the library's."""
    module = str(type(thing).__module__)
    own = module.startswith("pipecat_tts_cache.") and ".testing" not in module
    return type(thing).__qualname__ if own else ""


def _our_bytes() -> int:
    """Return how many bytes the library itself has allocated since tracing began, and holds."""
    if not tracemalloc.is_tracing():
        return 0
    ours = Path(pipecat_tts_cache.__file__).parent
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [
            tracemalloc.Filter(inclusive=True, filename_pattern=f"{ours}/*"),
            tracemalloc.Filter(inclusive=False, filename_pattern=f"{ours}/testing/*"),
            tracemalloc.Filter(inclusive=False, filename_pattern=f"{ours}/utterance.py"),
        ]
    )
    return sum(statistic.size for statistic in snapshot.statistics("filename"))


class Talker:
    """One bot.

    Args:
        soak: What it is part of.
        number: Which one; tells its kind, its namespace and whether it is ever interrupted.
    """

    def __init__(self, soak: Soak, number: int) -> None:
        self._soak, self._random = soak, Random(f"{soak.seed} {number}")
        kinds = list(CACHED_SCRIPTED)
        self.kind = kinds[number % len(kinds)]
        self.name = f"bot {number} ({self.kind})"
        # Silence that follows an interruption may be taken for the end of what follows, there.
        self._patient = number % 5 == 0 or self.kind == "endless"
        self._interruptions = 0
        self._said = 0
        self._voice = "anna"
        self._log = Log()
        cached = CACHED_SCRIPTED[self.kind]
        namespace = NAMESPACES[number % len(NAMESPACES)]
        self._service = cached.__mro__[cached.__mro__.index(CacheControls) + 1].__name__
        self._namespace = namespace
        self.provider = CountingProvider(
            soak.ledger,
            namespace,
            self._service,
            chunk_ms=CHUNK_MS,
            first_audio=self._random.choice([0.0, 0.1, 0.4]),
            speed=self._random.choice([None, 2.0, 10.0]),
        )
        self._tts: Any = cached(
            self.provider,
            cache_backend=soak.backend,
            cache_namespace=namespace,
            stop_frame_timeout_s=2.0,
        )

    @property
    def latencies(self) -> Sized:
        """How long look-ups took, as far as the service remembers it."""
        return self._tts._tts_cache_book.stats.lookup_seconds  # type: ignore[no-any-return]

    async def talk(self, rests: list[asyncio.Barrier]) -> None:
        """Talk until the time is over, with a rest after two thirds of it and one at the end."""
        speaker = Loudspeaker(self._log, chunk_ms=CHUNK_MS)
        async with running(self._tts, sample_rate=SAMPLE_RATE, behind=[speaker]) as bot:
            for share, first, second in ((2 / 3, *rests[:2]), (1.0, *rests[2:])):
                while not self._soak.over(share):
                    await self._round(bot)
                await first.wait()
                await second.wait()
        await asyncio.sleep(SETTLING)
        self.check_rest()
        await self._check_stats()

    async def _round(self, bot: Bot) -> None:
        """Say something, perhaps interrupted, and compare what was heard."""
        interrupted = not self._patient and self._random.random() < 0.4
        round_ = Round(brisk=self._random.random() < 0.5, interrupted=interrupted)
        for number in range(self._random.randint(1, 3)):
            if number and not round_.brisk:
                await bot.until_quiet(patience=PATIENCE)
            round_.before += await self._say(bot)
        if round_.interrupted:
            await asyncio.sleep(self._random.choice([0.0, 0.001, self._random.uniform(0, 8)]))
            await bot.interrupt()
            await bot.until_connected()
            self._interruptions += 1
            self._soak.done["interruptions"] += 1
            round_.after = await self._say(bot)
        try:
            await bot.until_quiet(patience=PATIENCE)
        except TimeoutError:
            self._complain(f"gets stuck with {round_}")
        await asyncio.sleep(1.0)  # the last words of a turn are due
        self._check(bot, round_)
        self._check_silence()
        await bot.interrupt()  # so that the aggregator forgets what it did not commit
        for each in (bot.captured, bot.errors, bot._arrived, self._log.events):
            each.clear()
        bot.context.set_messages([])
        await asyncio.sleep(self._random.uniform(0.0, 3.0))

    async def _say(self, bot: Bot) -> list[tuple[str, str]]:
        """Say a turn or a speak frame, perhaps with a new voice."""
        if self._random.random() < 0.2:
            self._voice = self._random.choice(VOICES)
            await bot.update_settings(voice=self._voice)
            self._soak.done["changes of voice"] += 1
        if self._random.random() < 0.3:
            text = self._sentence()
            await bot.speak(text.strip())
            texts = [text]
        else:
            texts = [self._sentence() for _ in range(self._random.randint(1, 4))]
            await bot.llm_turn(texts)
        self._said += len(texts)
        self._soak.done["sentences"] += len(texts)
        return [(text.strip(), self._voice) for text in texts]

    def _sentence(self) -> str:
        if self._random.random() < 0.25:
            return f"Your number is {self._random.randrange(NUMBERS)}, sir. "
        return self._random.choice(SENTENCES)

    def _complain(self, what: str) -> None:
        self._soak.findings.append(f"{self.name}: {what}")

    def _check(self, bot: Bot, round_: Round) -> None:
        audio = b"".join(event.audio for event in self._log.events)
        played = listen(audio, sample_rate=SAMPLE_RATE)
        self._soak.done["words heard"] += len(played.words)
        # Of two things said without a pause, Pipecat loses audio that its transport has not cut up
        # yet, and commits words to the wrong message, with a cache or without.
        if not round_.brisk:
            self._check_heard("played", played, round_)
        said = bot.said()
        self._check_heard("left the service", said.heard, round_)
        if said.errors:
            self._complain(f"errors: {said.errors}")
        if round_.interrupted:
            return
        if any((one.started, one.stopped, one.stray) != (1, 1, []) for one in said.contexts):
            self._complain(f"started or stopped otherwise than once: {said.order}")
        committed = " ".join(bot.messages).split()
        if not round_.brisk and committed != [word for word, _, _ in _words(round_.before)]:
            self._complain(f"committed {bot.messages} of {round_}")

    def _check_heard(self, where: str, heard: Heard, round_: Round) -> None:
        """Compare what was heard with what was to be said; before an interruption, part of it."""
        before, after = _words(round_.before), _words(round_.after)
        if round_.interrupted:
            pairs = zip(before, heard.words, strict=False)
            common = len(list(takewhile(lambda pair: pair[0][0] == pair[1], pairs)))
            before = before[: max(0, min(common, len(heard.words) - len(after)))]
        expected = before + after
        if heard.words != [word for word, _, _ in expected]:
            self._complain(f"{where}: {heard.words} ({heard.flaws}) instead of {round_}")
            return
        if len(heard.flaws) > round_.interrupted:
            self._complain(f"{where}: {heard.flaws} in {round_}")
        for (word, text, voice), take in zip(expected, heard.takes, strict=True):
            asked = self._soak.ledger[take]
            if asked != Asked(text, voice, self._namespace, self._service):
                self._complain(f"{where}: {word!r} of {text!r} by {voice} was spoken as {asked}")

    def check_rest(self) -> None:
        """Check that nothing at all is left of what is over."""
        self._check_silence()
        book = self._tts._tts_cache_book
        self._expect_nothing_of("sentences to judge", list(book._unjudged))
        self._expect_nothing_of("writes", book._store._writes)
        self._expect_nothing_of("abandoned tasks", book._store._patience._abandoned)

    def _check_silence(self) -> None:
        """Check that nothing is left of the speech that is over."""
        conductor = self._tts._tts_cache
        self._expect_nothing_of("turns", conductor.turns)
        self._expect_nothing_of("turns left alone", conductor._left_alone)
        self._expect_nothing_of("live sentences", conductor.live.sentences)
        self._expect_nothing_of("sentences under way", list(conductor.live.flight))
        self._expect_nothing_of("sentences that wait", conductor.live.flight.waiting)
        self._expect_nothing_of("contexts", self._tts._tts_contexts)
        self._expect_nothing_of("audio contexts", self._tts.get_audio_contexts())

    def _expect_nothing_of(self, what: str, things: Collection[Any]) -> None:
        if things:
            self._complain(f"{len(things)} {what} left")

    async def _check_stats(self) -> None:
        stats = await self._tts.get_cache_stats()
        requests, misses = self.provider.count, stats["misses"]
        bypassed = sum(stats["bypassed"].values())
        self._soak.done.update(
            {"hits": stats["hits"], "misses": misses, "bypassed": bypassed, "requests": requests}
            | {f"not stored, {why}": count for why, count in stats["not_stored"].items()}
            | {name: stats[name] for name in ("stores", "store_errors", "store_timeouts")}
            | {"lookups_skipped": stats["lookups_skipped"]}
        )
        # An interruption may come between the look-up and the request.
        if not requests <= misses + bypassed <= requests + self._interruptions:
            self._complain(f"{requests} requests for {misses} misses and {bypassed} bypassed")
        if not self._interruptions and stats["hits"] + misses + bypassed != self._said:
            self._complain(f"{self._said} sentences, but {stats}")
        if misses != stats["stores"] + sum(stats["not_stored"].values()):
            self._complain(f"misses that became nothing: {stats}")


def _words(texts: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return every word with its sentence and its voice."""
    return [(word, text, voice) for text, voice in texts for word in text.split()]


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Let many bots talk, and see what is left.")
    parser.add_argument("--bots", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated minutes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logger.remove()
    soak = Soak(options.bots, 60 * options.minutes, options.seed)
    began = time.perf_counter()
    asyncio.run(soak.run())
    took = time.perf_counter() - began
    lines = [
        f"{options.bots} bots, {options.minutes:g} simulated minutes in {took:.0f} s",
        *(f"{count:10d} {what}" for what, count in sorted(soak.done.items())),
        f"{len(soak.findings)} findings",
        *soak.findings[:50],
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return bool(soak.findings)


if __name__ == "__main__":
    sys.exit(main())
