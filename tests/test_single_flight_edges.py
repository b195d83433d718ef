#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Single flight where several things come together: what has broken off, and what is counted."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame

from pipecat_tts_cache import CacheControl, MemoryCacheBackend
from pipecat_tts_cache.pipecat_compat import INSTALLED
from pipecat_tts_cache.testing.provider import Fault
from tests.cached_scripted import CACHED_SCRIPTED, CachedInOrder
from tests.calls import asked, calls, heard_once

KINDS = [kind for kind in CACHED_SCRIPTED if kind != "endless"]
HOLDS_FRAMES_BACK = ("in order", "shared clock")
LINE = "One moment please while I look."
OTHER = "Two is over there."
PATIENCE = 0.75 * 3.0
"""Seconds that a leader may be silent for while nothing is known of the provider."""


# What has broken off


@pytest.mark.parametrize("kind", KINDS)
async def test_it_goes_on_while_the_language_model_pauses(kind: str) -> None:
    """A sentence that breaks off is asked for at once, not when the bot has more to say."""
    async with calls(2, kind) as (first, second):
        await first.bot.speak(LINE)
        await second.bot.llm_turn(f"{LINE} And", end=False)
        await asyncio.sleep(1.2)
        await first.bot.interrupt()
        await asyncio.sleep(2.5)
        assert "look." == second.bot.said().heard.words[-1]
        assert [LINE] == second.provider.texts
        await second.bot.tokens(" more.")
        await second.bot.end_turn()
        await second.bot.until_quiet()
        assert [f"{LINE} And more."] == second.bot.messages


@pytest.mark.parametrize("kind", ["inline", "inline words", "shared clock"])
async def test_one_that_fails_takes_no_other_with_it(kind: str) -> None:
    """If asking for one sentence that broke off fails, too, the next ones are spoken."""
    async with calls(3, kind) as (first, second, third):
        await first.bot.speak(LINE)
        await third.bot.speak(OTHER)
        await asyncio.sleep(0.1)
        second.provider.fail(Fault.LOST, text=LINE)
        await second.bot.llm_turn([f"{LINE} ", f"{OTHER} ", "Three is everywhere."])
        await asyncio.sleep(0.1)
        await first.bot.interrupt()
        await third.bot.interrupt()
        await second.bot.until_quiet()
        heard = second.bot.said().heard.text
        assert OTHER in heard
        assert "Three is everywhere." in heard
        assert [(1, 1, [])] == [(s.started, s.stopped, s.stray) for s in second.bot.said().contexts]


@pytest.mark.parametrize("kind", ["inline", "overlapping"])
async def test_nobody_follows_one_that_fails_after_the_other(kind: str) -> None:
    """Who was left in the lurch twice asks for itself, however many others fail."""
    async with calls(6, kind) as made:
        *failing, last = made
        for call in failing:
            call.provider.fail(Fault.SILENT)
        for call in made:
            await call.bot.speak(LINE)
        began = last.now
        await last.bot.until_quiet()
        heard_once(last, LINE)
        assert last.began - began <= 2 * PATIENCE + 1.0 + 0.1
        for call in failing:
            await call.bot.interrupt()


# Who leads


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_stored_is_replayed_at_once_while_another_has_it_spoken_anew(
    kind: str,
) -> None:
    """Who refreshes a line keeps nobody waiting for whom the old one would do."""
    async with calls(2, kind) as (first, second):
        await first.bot.speak(LINE)
        await first.bot.until_quiet()
        await first.bot.send(CacheControl(refresh=True).on(TTSSpeakFrame(LINE)))
        await asyncio.sleep(0.1)
        began = second.now
        await second.bot.speak(LINE)
        await second.bot.until_quiet()
        assert second.began - began <= 0.01
        assert [] == second.provider.texts
        assert (1, 0) == await second.stats("hits", "followed")


async def test_who_is_interrupted_before_it_asks_leads_nobody() -> None:
    """Nothing is left of a lead whose sentence is never asked for."""
    async with calls(2, "overlapping") as (first, second):
        first.tts._reconnect_in_progress = True
        await first.bot.speak(LINE)
        await asyncio.sleep(0.1)
        await first.bot.interrupt()
        first.tts._reconnect_in_progress = False
        assert [] == first.provider.texts
        await second.bot.speak("Hello.")


class Limited(CachedInOrder):
    """May close hardly any sentence by itself."""

    tts_cache_profile = replace(CachedInOrder.tts_cache_profile, closes_per_minute=1)


@pytest.mark.parametrize("count", [1, 2])
async def test_sentences_that_join_others_lead_nobody(count: int) -> None:
    """What cannot be told apart is heard by its own listener only, and leaves no lead."""
    async with calls(count, Limited) as made:
        turn = ["One is here. ", f"{OTHER} ", "Three is everywhere."]
        for call in made:
            await call.bot.llm_turn(turn)
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
        for call in made:
            heard_once(call, "".join(turn))
            assert ["".join(turn)] == call.bot.messages


# What is counted


@pytest.mark.parametrize("kind", KINDS)
async def test_what_waits_behind_another_sentence_is_counted_in_full(kind: str) -> None:
    """How much was heard is known although none of it has been passed on yet."""
    pace = {"speed": None}
    async with calls(3, kind, pace=pace) as (first, second, third):
        first.provider.first_audio = 0.3
        await first.bot.speak(OTHER)
        await second.bot.speak(LINE)
        await third.bot.llm_turn([f"{LINE} ", OTHER])
        await asyncio.gather(*(call.bot.until_quiet() for call in (first, second, third)))
        await asyncio.sleep(1.0)
        ((one,), (other,)) = [await c.stats("seconds_synthesized") for c in (first, second)]
        assert [] == third.provider.texts
        assert (2, pytest.approx(one + other)) == await third.stats(
            "followed", "seconds_from_cache"
        )


@pytest.mark.parametrize("after", [0.5, 1.2])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_stops_listening_has_followed(kind: str, after: float) -> None:
    """Every sentence is counted, and this one was asked for by another."""
    async with calls(2, kind) as (first, second):
        for call in (first, second):
            await call.bot.speak(LINE)
        await asyncio.sleep(after)
        await second.bot.interrupt()
        assert (1, 1, 0) == await second.stats("hits", "followed", "misses")


@pytest.mark.parametrize("kind", KINDS)
async def test_handlers_are_told_once_that_a_sentence_is_heard_from_another(kind: str) -> None:
    """It is told as a hit, and as a miss only if it has to be asked for after all."""
    async with calls(3, kind) as made:
        told: list[list[str]] = [[] for _ in made]
        for call, events in zip(made, told, strict=True):
            _listen(call.tts, events)
        for call in made:
            await call.bot.speak(LINE)
        await asyncio.sleep(1.2)
        await made[0].bot.interrupt()
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
        assert ["miss"] == told[0]
        assert [["hit"], ["hit", "miss"]] == sorted(told[1:])
        assert 2 == sum(asked(made).values())


def _listen(tts: Any, events: list[str]) -> None:
    for name in ("hit", "miss"):

        async def note(service: Any, context_id: str, text: str, name: str = name) -> None:
            events.append(name)

        tts.add_event_handler(f"on_tts_cache_{name}", note)


async def test_a_lead_is_forgotten_with_a_store_that_fails() -> None:
    """What could not be stored is led by nobody, and asked for again."""

    class Broken(MemoryCacheBackend):
        async def set(self, *args: Any, **options: Any) -> bool:
            raise OSError

        async def get(self, *args: Any, **options: Any) -> None:
            raise OSError

    async with calls(2, "overlapping", Broken()) as made:
        for _ in range(4):
            await asyncio.gather(*(call.bot.speak(LINE) for call in made))
            await asyncio.gather(*(call.bot.until_quiet() for call in made))
        assert 4 == sum(asked(made).values())
        for call in made:
            heard_once(call, " ".join([LINE] * 4))


# What waits for it, and what does not


@pytest.mark.parametrize("kind", [each for each in KINDS if each not in HOLDS_FRAMES_BACK])
async def test_the_next_frame_does_not_wait_for_what_follows(kind: str) -> None:
    """A bot that follows asks for its own next line as early as if it had asked for the first."""
    async with calls(2, kind, pace={"speed": 1.0}) as (first, second):
        await first.bot.speak(LINE)
        await asyncio.sleep(0.1)
        await second.bot.speak(LINE)
        await second.bot.speak(OTHER)
        await asyncio.sleep(0.1)
        assert [OTHER] == second.provider.texts
        await second.bot.until_quiet()
        heard_once(second, f"{LINE} {OTHER}")
        assert [LINE, OTHER] == second.bot.messages


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_the_pipeline_waits(kind: str, fails: bool) -> None:
    """What a bot follows when it is told to end is heard to its end, also if the leader fails."""
    async with calls(2, kind) as (first, second):
        if fails:
            first.provider.fail(Fault.BROKEN)
        await first.bot.speak(LINE)
        await second.bot.speak(LINE)
        await second.bot.end()
        heard_once(second, LINE)
        assert int(fails) == len(second.provider.texts)
        second.bot.until_quiet = first.bot.until_quiet  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_holds_frames_back_goes_on(kind: str) -> None:
    """Where no frame is processed until the bot has spoken, the turn itself waits."""
    async with calls(2, kind, pause_frame_processing=True) as (first, second):
        first.provider.fail(Fault.BROKEN)
        await first.bot.speak(LINE)
        await second.bot.speak(LINE)
        await second.bot.speak(OTHER)
        await second.bot.until_quiet()
        heard_once(second, f"{LINE} {OTHER}")


@pytest.mark.parametrize("kind", ["inline", "overlapping"])
async def test_new_settings_do_not_wait_for_ever(kind: str) -> None:
    """If nobody answers, the service goes on after half a minute, in the new voice."""
    async with calls(2, kind) as (first, second):
        for call in (first, second):
            call.provider.fail(Fault.SILENT)
            await call.bot.speak(LINE)
        await second.bot.update_settings(voice="bert")
        await second.bot.interrupt()
        await second.bot.speak(OTHER)
        await second.bot.until_quiet(patience=60)
        assert OTHER == second.bot.said().heard.text
        assert "bert" == second.provider.requests[-1].settings["voice"]
        await first.bot.interrupt()


@pytest.mark.skipif(INSTALLED < (1, 13), reason="before 1.13 all speech is interruptible")
@pytest.mark.parametrize("kind", KINDS)
async def test_what_survives_an_interruption_goes_on(kind: str) -> None:
    """Uninterruptible speech that breaks off around an interruption of its listener is spoken."""
    async with calls(2, kind) as (first, second):
        await first.bot.speak(LINE)
        await second.bot.speak(LINE, interruptible=False)
        await asyncio.sleep(0.5)
        await asyncio.gather(first.bot.interrupt(), second.bot.interrupt())
        await second.bot.until_quiet()
        heard_once(second, LINE)
