#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A service that is tried: what is done with it, and what is compared."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from pipecat.frames.frames import InterruptionFrame, TTSAudioRawFrame
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.report import Finding, Report, in_words
from pipecat_tts_cache.testing.script import SENTENCES, Pause, Script, Speak, Turn, play, texts_of
from pipecat_tts_cache.testing.shelf import Shelf, letters
from pipecat_tts_cache.testing.view import Captured, Said, View, differences

_TURN: Script = (Turn(SENTENCES),)
_, _FAULTY, _BEHIND = SENTENCES
_HARMLESS = (Fault.SLOW, Fault.ERROR_AFTER_END)  # all of the sentence certainly came
_ENDS_A_CONNECTION = (Fault.LOST, Fault.ERROR_AFTER_END)  # and what else is under way on it
_WRITTEN = 1.0  # seconds after which what is stored has been written
_HANGS = 15.0  # seconds after which a bot that says nothing is interrupted


@dataclass
class _Outcome:
    """What a conversation gave.

    Parameters:
        said: What left the service.
        messages: What was committed to the LLM context.
        asked: How many requests the provider got.
        stats: Of the cache; empty without one.
    """

    said: View
    messages: list[str]
    asked: int
    stats: dict[str, Any]


class Problem(NamedTuple):
    """Something that is not right by itself.

    Parameters:
        kind: What the service without the cache is compared by, for it may say it otherwise.
        text: What it is.
    """

    kind: str
    text: str


Problems = Callable[[Bot], Awaitable[list[Problem]]]
_NEVER_ENDS = "hangs"  # the kind of problem that hides all others


class Trial:
    """A service that is tried.

    Args:
        make: Makes the service, without a cache or with a store.
        provider: Who answers it.
        options: For the driver.
    """

    def __init__(
        self, *, make: Callable[..., TTSService], provider: Provider, options: dict[str, Any]
    ) -> None:
        self._make, self._provider, self._options = make, provider, options
        self._usual: _Outcome
        """What a turn gives without the cache, once `prepare` has found out."""
        self.report = Report(service=_name_of(make()))

    # What is compared with the run without a cache

    async def prepare(self) -> bool:
        """Find out what the service tells, and whether it is cached and speaks at all.

        Returns:
            Whether it was heard, without the cache and with an empty one.

        Raises:
            ValueError: Somebody else than the provider answers it.
        """
        shelf = Shelf()
        self._usual, outcome = await self._hold(_TURN), await self._hold(_TURN, shelf)
        for how, one in (("without the cache", self._usual), ("with an empty cache", outcome)):
            if one.said.heard.words and not one.asked:
                raise ValueError(
                    "Something was heard, but the provider was not asked: the service must be "
                    "answered by the provider that is passed to check_cache"
                )
            if not one.said.heard.words:
                asked = f"the provider was asked {one.asked} times"
                self._found("a turn", f"the service was not heard {how}; {asked}")
        self.report.cached = bool(shelf.kept)
        self.report.bypassed = set(outcome.stats["bypassed"])
        self.report.word_times = any(
            len(said.words) >= len(said.heard.words) > 1 and said.words[-1].at is not None
            for said in outcome.said.contexts
        )
        return not self.report.findings

    async def mixes(self) -> None:
        """Compare every mix of hits and misses in a turn."""
        for hits in product([False, True], repeat=len(SENTENCES)):
            where = f"a turn of {', '.join('hit' if hit else 'miss' for hit in hits)}"
            shelf = Shelf()
            known = [text for text, hit in zip(SENTENCES, hits, strict=True) if hit]
            await self._hold([step for text in known for step in (Speak(text), Pause())], shelf)
            outcome = await self._hold(_TURN, shelf)
            self._compare(where, _TURN, self._usual, outcome)
            if self.report.cached and outcome.asked != len(SENTENCES) - len(known):
                self._found(where, f"the provider was asked for {outcome.asked} sentences")
            self._listen(where, shelf)
            self.report.tried["mixes"] += 1
            if not self.report.cached:
                break  # without hits there is nothing to mix

    async def scripts(self, scripts: Mapping[str, Script]) -> None:
        """Compare conversations, with an empty store and then with what is in it."""
        for name, script in scripts.items():
            await self._converse(name, script)

    async def _converse(self, name: str, script: Script) -> _Outcome:
        """Compare a conversation; return what it gives without the cache."""
        shelf = Shelf()
        reference = await self._hold(script)
        cold = await self._hold(script, shelf)
        self._compare(name, script, reference, cold)
        warm = await self._hold(script, shelf)
        self._compare(f"{name}, from the cache", script, reference, warm)
        if self.report.cached:
            self._free_of_charge(f"{name}, from the cache", cold, warm)
        self._listen(name, shelf)
        self.report.tried["conversations"] += 1
        return reference

    async def voices(self, name: str, script: Script) -> None:
        """Compare a conversation in which the voice changes; say so if it does not."""
        heard = set(map(str, self._voices(await self._converse(name, script))))
        if len(heard) == 1 and heard != {"None"}:
            self._note(name, [f"all is spoken by {min(heard)!r}: are these voices of the service?"])

    async def _hold(self, script: Sequence[Any], shelf: Shelf | None = None) -> _Outcome:
        service: Any = self._make(shelf)
        asked = len(self._provider.requests)
        async with running(service, **self._options) as bot:
            with suppress(TimeoutError):
                await play(bot, tuple(script))
            said = await self._quiet(bot)
            stats = await service.get_cache_stats() if shelf is not None else {}
        return _Outcome(said, bot.messages, len(self._provider.requests) - asked, stats)

    async def _quiet(self, bot: Bot) -> View:
        """Wait for the end; interrupt a bot that hangs, and cancel one that does so for ever."""
        with suppress(TimeoutError):
            return await bot.until_quiet(patience=_HANGS)
        with suppress(TimeoutError):
            await bot.interrupt()
            return await bot.until_quiet(patience=_HANGS)
        with suppress(TimeoutError):
            await bot.cancel()
        return bot.said()

    def _compare(
        self, where: str, script: Sequence[Any], expected: _Outcome, actual: _Outcome
    ) -> None:
        if wrong := _wrong(script, expected.said):
            self._note(where, wrong)
            found = _worse(expected.said, actual.said)
        else:
            self.report.compared += 1
            found = self._differences(expected, actual)
        for what in found:
            self._found(where, what)

    def _differences(self, expected: _Outcome, actual: _Outcome) -> list[str]:
        found = differences(expected.said, actual.said)
        if expected.messages != actual.messages:
            messages = (in_words(each.messages) for each in (expected, actual))
            found.append("committed: expected {}, got {}".format(*messages))
        if self._voices(expected) != self._voices(actual):
            voices = (in_words(self._voices(each)) for each in (expected, actual))
            found.append("voices: expected {}, got {}".format(*voices))
        usual, used = sum(expected.said.usage), sum(actual.said.usage)
        if used > usual or (used < usual and actual.asked == expected.asked):
            found.append(f"usage: expected {usual} characters, got {used}")
        return found

    def _voices(self, outcome: _Outcome) -> list[Any]:
        requests = self._provider.requests
        return [requests[take - 1].settings.get("voice") for take in outcome.said.heard.takes]

    def _free_of_charge(self, where: str, cold: _Outcome, outcome: _Outcome) -> None:
        if live := outcome.stats["misses"]:
            reasons = ", ".join(f"{n} {why}" for why, n in cold.stats["not_stored"].items())
            what = f"{live} sentences were spoken live again (not stored: {reasons or 'unknown'})"
            self.report.notes.append(Finding(where, what))
            return
        if outcome.asked:
            self._found(where, f"the provider was asked {outcome.asked} times")
        if outcome.said.usage:
            self._found(where, f"usage of {sum(outcome.said.usage)} characters is reported")
        if outcome.said.ttfb:
            times = in_words(outcome.said.ttfb)
            self._found(where, f"times to first byte are reported, in seconds: {times}")

    # What has to hold by itself, unless it does not without a cache either

    async def interruptions(self, count: int | None) -> None:
        """Interrupt a turn at many places, when it is spoken live and when it is replayed."""
        shelf = Shelf()
        live = await self._hold(_TURN, shelf)
        replayed = await self._hold(_TURN, shelf)
        for how, outcome, prepared in (("live", live, False), ("replayed", replayed, True)):
            if prepared and not self.report.cached:
                break
            lengths = [ms / 1000 for said in outcome.said.contexts for ms in said.frame_ms]
            for frame in _spread(len(lengths), count):
                where = f"a {how} turn, interrupted at frame {frame} of {len(lengths)}"
                problems = _interrupted(round(sum(lengths[:frame]), 4), self._usual)
                await self._judge(where, problems, prepared=shelf if prepared else None)
                self.report.tried["interruptions"] += 1
        await self._judge("audio that comes late after an interruption", self._late)

    async def faults(self) -> None:
        """Let everything go wrong that can, in the second of three sentences."""
        for fault in Fault:
            where = _fault_name(fault)
            heard: list[bool] = []
            shelf = Shelf()
            problems = partial(self._faulty, fault, shelf, heard)
            await self._judge(where, problems, prepared=shelf, always_compare=True)
            with_cache, without = heard
            if without and not with_cache and fault not in _ENDS_A_CONNECTION:
                self._found(where, f"{_BEHIND!r} is heard without the cache, but not with it")
            self.report.tried["faults"] += 1

    async def _judge(
        self,
        where: str,
        problems: Problems,
        *,
        prepared: Shelf | None = None,
        always_compare: bool = False,
    ) -> None:
        """Look for problems with the cache; those count that are not there without."""
        shelf = prepared or Shelf()
        found = await self._look(problems, shelf)
        usual = await self._look(problems) if found or always_compare else []
        kinds = {problem.kind for problem in usual}
        if usual:
            self._note(where, [problem.text for problem in usual])
        else:
            self.report.compared += 1
        for problem in found:
            if kinds.isdisjoint({problem.kind, _NEVER_ENDS}):
                self._found(where, problem.text)
        self._listen(where, shelf)

    async def _look(self, problems: Problems, shelf: Shelf | None = None) -> list[Problem]:
        try:
            async with running(self._make(shelf), **self._options) as bot:
                return await problems(bot)
        except TimeoutError:
            return [Problem(_NEVER_ENDS, "the turn never ends")]

    async def _late(self, bot: Bot) -> list[Problem]:
        self._provider.fail(Fault.LATE, seconds=0.05)
        await bot.llm_turn(["This goes on for a while and more."])
        with suppress(TimeoutError):
            await bot.until_audio(1)
        await bot.interrupt()
        await bot.speak("Here we go.")
        said = await self._quiet(bot)
        return _not_whole(said.contexts[-1:], "Here we go.")

    async def _faulty(
        self, fault: Fault, shelf: Shelf, heard: list[bool], bot: Bot
    ) -> list[Problem]:
        """Say a turn with a fault, then its sentence again; note whether the last one was heard."""
        self._provider.fail(fault, text=_FAULTY, seconds=0.2)
        await bot.llm_turn([f"{text} " for text in SENTENCES])
        said = await self._quiet(bot)
        found = _out_of_order(said)
        await asyncio.sleep(_WRITTEN)
        if not heard and fault not in _HARMLESS and _FAULTY in shelf.texts:
            self._found(_fault_name(fault), f"{_FAULTY!r} was stored")
        heard.append(letters(_BEHIND) in letters(said.heard.text))
        await bot.until_connected()
        self._provider.forgive()
        await bot.speak(_FAULTY)
        said = await self._quiet(bot)
        return found + _not_whole(said.contexts[-1:], _FAULTY)

    def _listen(self, where: str, shelf: Shelf) -> None:
        for flaw in shelf.flaws(self._provider):
            self._found(where, flaw)

    def _note(self, where: str, what: Sequence[str]) -> None:
        self.report.notes.append(Finding(where, f"without a cache, {'; '.join(what)}"))

    def _found(self, where: str, what: str) -> None:
        self.report.findings.append(Finding(where, what))


def _fault_name(fault: Fault) -> str:
    return f"a provider that gives {fault.value}"


def _name_of(service: TTSService) -> str:
    """Return the name of the class of a service behind the mixin."""
    lineage = type(service).__mro__
    behind = lineage[lineage.index(CacheControls) + 1 :] if CacheControls in lineage else lineage
    return behind[0].__name__


def _interrupted(seconds: float, usual: _Outcome) -> Problems:
    """Interrupt a turn when so much of its audio has left, and say it again.

    Args:
        seconds: How much.
        usual: What the turn gives when it is not interrupted.
    """
    committed = letters(" ".join(usual.messages))

    async def problems(bot: Bot) -> list[Problem]:
        await bot.llm_turn([f"{text} " for text in SENTENCES])
        with suppress(TimeoutError):
            await bot.until(lambda: _length(bot.captured) >= seconds)
        heard = bot.said().heard
        await bot.interrupt()
        await bot.until_quiet()
        found = [
            Problem("committed", f"{message!r} was committed")
            for message in bot.messages
            if not committed.startswith(letters(message))
        ]
        found += _committed_unheard(bot.messages, heard.words)
        before = len(bot.said().contexts)
        await bot.llm_turn([f"{text} " for text in SENTENCES])
        said = await bot.until_quiet()
        found += _not_silent(bot.captured)
        return found + _not_whole(said.contexts[before:], " ".join(SENTENCES))

    return problems


def _length(captured: Sequence[Captured]) -> float:
    """Return how much audio has left, in seconds, rounded against what adds up."""
    frames = [one.frame for one in captured if isinstance(one.frame, TTSAudioRawFrame)]
    return round(sum(frame.num_frames / frame.sample_rate for frame in frames), 4)


def _not_silent(captured: Sequence[Captured]) -> list[Problem]:
    """Say whether audio of a turn came behind its interruption."""
    frames = [one.frame for one in captured]
    at = next((n for n, frame in enumerate(frames) if isinstance(frame, InterruptionFrame)), 0)
    old = {frame.context_id for frame in frames[:at] if isinstance(frame, TTSAudioRawFrame)}
    late = [
        frame
        for frame in frames[at:]
        if isinstance(frame, TTSAudioRawFrame) and frame.context_id in old
    ]
    return [Problem("not silent", f"{len(late)} frames of its audio came later")] if late else []


def _committed_unheard(messages: Sequence[str], words: Sequence[str]) -> list[Problem]:
    """Say whether more was committed than what was heard, and the sentence under way."""
    heard, begun = len(letters("".join(words))), 0
    for text in SENTENCES:
        begun += len(letters(text)) if begun <= heard else 0
    if len(letters("".join(messages))) <= begun:
        return []
    heard_text = " ".join(words)
    return [
        Problem("unheard", f"{in_words(messages)} was committed when {heard_text!r} had been heard")
    ]


def _spread(frames: int, count: int | None) -> list[int]:
    """Choose so many frames from the first to the last, or all."""
    if count is None or count >= frames:
        return list(range(1, frames + 1))
    return [1 + round(place * (frames - 1) / max(count - 1, 1)) for place in range(count)]


def _wrong(script: Sequence[Any], said: View) -> list[str]:
    """Say what is heard of a conversation, unless it is all that was to be said, and ended."""
    everything = sorted(letters(word) for text in texts_of(tuple(script)) for word in text.split())
    heard = said.heard
    stops = [context.stopped for context in said.contexts if context.stopped != 1]
    if sorted(map(letters, heard.words)) == everything and not heard.flaws and not stops:
        return []
    return [f"{heard.text!r} is heard", *heard.flaws, *(f"{n} stop frames" for n in stops)]


def _worse(expected: View, actual: View) -> list[str]:
    """Say what is worse with the cache, where without it things are not right either."""
    usual, heard = (Counter(map(letters, said.heard.words)) for said in (expected, actual))
    found = [] if expected.heard.flaws else list(actual.heard.flaws)
    if missing := usual - heard:
        words = " ".join(missing.elements())
        found.append(f"{actual.heard.text!r} is heard; without the cache, also {words!r}")
    return found


def _not_whole(contexts: Sequence[Said], text: str) -> list[Problem]:
    """Say what is wrong with what was said in the last contexts."""
    heard = " ".join(said.heard.text for said in contexts)
    found = [Problem("flaws", flaw) for said in contexts for flaw in said.heard.flaws]
    if letters(heard) != letters(text):
        found.append(Problem("heard", f"{heard!r} is heard where {text!r} was to be said"))
    return found + [
        Problem("ends", f"speech started {said.started} times and stopped {said.stopped} times")
        for said in contexts
        if (said.started, said.stopped) != (1, 1)
    ]


def _out_of_order(said: View) -> list[Problem]:
    """Say whether anything was heard twice, or before what it follows."""
    everything = [letters(word) for text in SENTENCES for word in text.split()]
    once = [word for word in everything if everything.count(word) == 1]
    heard = [word for word in map(letters, said.heard.words) if word in once]
    places = [everything.index(word) for word in heard]
    if places == sorted(set(places)):
        return []
    return [Problem("order", f"{said.heard.text!r} is heard")]
