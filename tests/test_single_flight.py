#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Bots of one process that lack the same sentence at once ask for it once, and all hear it."""

import asyncio
import gc
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pipecat.frames.frames import TTSAudioRawFrame, TTSSpeakFrame

from pipecat_tts_cache import CacheControl, CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.speaking.single_flight import leads_of
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.view import differences
from tests.cached_scripted import CACHED_SCRIPTED
from tests.calls import PACE, Call, asked, calls, heard_once
from tests.scripted import SCRIPTED

KINDS = [kind for kind in CACHED_SCRIPTED if kind != "endless"]
WITH_WORDS = ["inline words", "overlapping", "shared clock"]
LINE = "One moment please while I look."
WORDS = LINE.split()
TURN = ["One is here. ", "Two is over there. ", "Three is everywhere."]


async def uncached(kind: str, *lines: str, turn: list[str] | None = None) -> Any:
    async with running(
        SCRIPTED[kind.replace("unlisted", "inline")](Provider(**PACE)), sample_rate=8000
    ) as bot:
        for line in lines:
            await bot.speak(line)
        if turn:
            await bot.llm_turn(turn)
        return await bot.until_quiet(), list(bot.messages), bot


# The promise


@pytest.mark.parametrize("kind", KINDS)
async def test_twenty_cold_calls_make_one_request(kind: str) -> None:
    """Each listener hears what it would without a cache, as early, and one provider is asked."""
    expected, messages, bot = await uncached(kind, LINE)
    alone = next(c.at for c in bot.captured if isinstance(c.frame, TTSAudioRawFrame))
    async with calls(20, kind) as made:
        begun = [call.now for call in made]
        await asyncio.gather(*(call.bot.speak(LINE) for call in made))
        said = await asyncio.gather(*(call.bot.until_quiet() for call in made))
        assert 1 == sum(asked(made).values())
        for view, call, start in zip(said, made, begun, strict=True):
            assert [] == differences(expected, view, tolerance=0.02)
            assert messages == call.bot.messages
            assert call.began - start <= alone + 0.02
            heard_once(call, LINE)
        told = [await call.stats("hits", "followed", "misses", "stores") for call in made]
    assert Counter({(1, 1, 0, 0): 19, (0, 0, 1, 1): 1}) == Counter(told)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "in order"])
async def test_cold_turns_make_one_request_a_sentence(kind: str) -> None:
    """Turns of several sentences, some of them alike, are spoken once each, in order."""
    turns = [TURN, TURN[1:], [TURN[0], TURN[2]], [TURN[2]], TURN]
    async with calls(len(turns), kind) as made:
        await asyncio.gather(*(c.bot.llm_turn(t) for c, t in zip(made, turns, strict=True)))
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
        assert Counter(sentence.strip() for sentence in TURN) == asked(made)
        for call, turn in zip(made, turns, strict=True):
            heard_once(call, " ".join(sentence.strip() for sentence in turn))
            assert ["".join(turn)] == call.bot.messages
            assert [(1, 1, [])] == [
                (s.started, s.stopped, s.stray) for s in call.bot.said().contexts
            ]


async def test_in_order_nobody_follows_who_is_heard_later_than_by_itself() -> None:
    """Where sentences queue at the provider, a turn alike follows; who needs one first, asks."""
    async with calls(4, "in order") as made:
        for call, turn in zip(made, [TURN, TURN, [TURN[2]], [TURN[0], TURN[2]]], strict=True):
            await call.bot.llm_turn(turn)
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
        _, alike, last_first, fewer = made
        assert [] == alike.provider.texts
        assert [TURN[2].strip()] == last_first.provider.texts
        assert [] == fewer.provider.texts
        for call in made:
            assert [] == call.bot.said().heard.flaws
            assert [1] == [context.started for context in call.bot.said().contexts]


async def test_in_order_nobody_waits_for_what_is_in_front_of_another_s_sentence() -> None:
    """Who needs at once what another's provider speaks last asks, and leads from then on."""
    async with calls(3, "in order") as (first, second, third):
        await first.bot.llm_turn(TURN)
        await first.provider.asked(len(TURN))
        begun = second.now
        await second.bot.speak(TURN[2].strip())
        await third.bot.speak(TURN[2].strip())
        await asyncio.gather(*(call.bot.until_quiet() for call in (first, second, third)))
        assert second.began - begun <= PACE["first_audio"] + 0.1
        assert ([TURN[2].strip()], []) == (second.provider.texts, third.provider.texts)
        for call in (second, third):
            heard_once(call, TURN[2].strip())


@pytest.mark.parametrize("late", [0.2, 1.1, 1.3, 1.6, 1.9, 3.0])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_comes_late_joins(kind: str, late: float) -> None:
    """A call that needs the sentence while it is spoken, or just stored, asks nobody."""
    async with calls(2, kind) as (first, second):
        await first.bot.speak(LINE)
        await asyncio.sleep(late)
        await second.bot.speak(LINE)
        await second.bot.until_quiet()
        assert ([LINE], []) == (first.provider.texts, second.provider.texts)
        heard_once(second, LINE)


class Slow(MemoryCacheBackend):
    """Takes its time to write."""

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        await asyncio.sleep(5.0)
        return await super().set(key, utterance, ttl=ttl)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_said_and_not_yet_stored_is_not_asked_for_again(kind: str) -> None:
    """Between a sentence's end and its record in the store, others hear it from who said it."""
    async with calls(2, kind, Slow()) as (first, second):
        await first.bot.speak(LINE)
        await first.bot.until_quiet()
        await second.bot.speak(LINE)
        await second.bot.until_quiet()
        assert [] == second.provider.texts
        heard_once(second, LINE)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sentence_twice_in_a_turn_is_asked_for_once(kind: str) -> None:
    """A bot follows itself, too."""
    async with calls(1, kind) as (call,):
        await call.bot.llm_turn(["Well then. ", "Well then. ", "Good bye."])
        await call.bot.until_quiet()
        assert ["Well then.", "Good bye."] == call.provider.texts
        heard_once(call, "Well then. Well then. Good bye.")


# When the leader fails


@pytest.mark.parametrize(
    "fault",
    [f for f in Fault if f not in (Fault.SLOW, Fault.UNENDED)],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_followers_go_on_by_themselves(kind: str, fault: Fault) -> None:
    """If the leader fails, one of the others asks, the rest follow it: nobody misses a word."""
    async with calls(4, kind) as made:
        first, *others = made
        first.provider.fail(fault)
        await first.bot.speak(LINE)
        await asyncio.sleep(0.1)
        for call in others:
            await call.bot.speak(LINE)
        await asyncio.gather(*(call.bot.until_quiet() for call in others))
        for call in others:
            heard_once(call, LINE)
            assert [LINE] == call.bot.messages
        await first.bot.interrupt()
        assert 2 >= sum(asked(made).values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [0.5, 1.1, 1.2, 1.3, 1.4])
async def test_an_interrupted_leader_leaves_nobody_behind(kind: str, after: float) -> None:
    """Followers of a leader that is interrupted hear every word, once."""
    async with calls(3, kind) as (first, second, third):
        for call in (first, second, third):
            await call.bot.speak(LINE)
        await asyncio.sleep(after)
        await first.bot.interrupt()
        for call in (second, third):
            await call.bot.until_quiet()
            assert WORDS == _without_the_cut_one(call)
            assert [LINE] == call.bot.messages
        assert {1, 0} == {len(call.provider.texts) for call in (first, second, third)}


def _without_the_cut_one(call: Call) -> list[str]:
    assert [] == call.bot.said().heard.flaws
    return call.bot.said().heard.words


@pytest.mark.parametrize("kind", WITH_WORDS)
@pytest.mark.parametrize("after", [1.05, 1.15, 1.25, 1.35])
async def test_another_take_goes_on_where_the_leader_s_broke_off(kind: str, after: float) -> None:
    """No two takes last equally long; whoever goes on does so in the same word."""
    async with calls(1, kind) as (first,):
        provider = Provider(**PACE, tempo=1.4)
        second = CACHED_SCRIPTED[kind](
            provider, cache_backend=first.tts._tts_cache_book.options.backend
        )
        async with running(second, sample_rate=8000) as bot:
            await first.bot.speak(LINE)
            await bot.speak(LINE)
            await asyncio.sleep(after)
            await first.bot.interrupt()
            said = await bot.until_quiet()
        heard = said.heard.words
        assert [word for word in WORDS if word in heard] == heard
        assert len(heard) >= len(WORDS) - 2  # where it is made of two halves
        assert WORDS == [text.text for text in said.contexts[0].texts if text.kind == "word"]
        assert [LINE] == bot.messages


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_waits_for_a_silent_leader_much_longer_than_usual(kind: str) -> None:
    """Once it is known how long the provider takes, a leader that takes longer is left."""
    async with calls(3, kind) as (first, second, third):
        await first.bot.speak("Hello.")
        await first.bot.until_quiet()
        first.provider.fail(Fault.SILENT)
        await first.bot.speak(LINE)
        await asyncio.sleep(0.5)
        asked_at = second.now
        await second.bot.speak(LINE)
        await third.bot.speak(LINE)
        await asyncio.gather(second.bot.until_quiet(), third.bot.until_quiet())
        await first.bot.interrupt()
        assert second.began - asked_at <= 2 * 1.0 - 0.5 + 1.0 + 0.1
        assert 1 == len(second.provider.texts) + len(third.provider.texts)
        for call in (second, third):
            heard_once(call, LINE)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sentence_between_others_goes_on_in_its_place(kind: str) -> None:
    """If the leader of a sentence in the middle of a turn fails, the order holds."""
    async with calls(2, kind) as (first, second):
        first.provider.fail(Fault.ERROR, text=TURN[1].strip())
        await first.bot.speak(TURN[1].strip())
        await second.bot.llm_turn(TURN)
        await second.bot.until_quiet()
        whole = "".join(TURN)
        heard_once(second, whole)
        assert [whole] == second.bot.messages
        assert [1] == [context.started for context in second.bot.said().contexts]


# Who stops listening, or says otherwise


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [0.5, 1.2])
async def test_a_follower_that_is_interrupted_disturbs_nobody(kind: str, after: float) -> None:
    """It falls silent and asks nobody; the leader and the others go on."""
    async with calls(3, kind) as (first, second, third):
        for call in (first, second, third):
            await call.bot.speak(LINE)
        await asyncio.sleep(after)
        await second.bot.interrupt()
        cut = second.bot.count(TTSAudioRawFrame)
        for call in (first, third):
            await call.bot.until_quiet()
            heard_once(call, LINE)
        assert cut == second.bot.count(TTSAudioRawFrame)
        assert Counter({LINE: 1}) == asked([first, second, third])
        await second.bot.speak("Hello.")
        await second.bot.until_quiet()
        assert "Hello." == second.bot.said().contexts[-1].heard.text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_follower_that_ends_leaves_nothing_behind(kind: str) -> None:
    """A pipeline that is cancelled in the middle of following has no task left."""
    async with calls(2, kind) as (first, second):
        for call in (first, second):
            await call.bot.speak(LINE)
        await asyncio.sleep(1.2)
        await second.bot.cancel()
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert [] == [name for name in names if f"{second.tts.name}::tts_cache" in name]
        await first.bot.until_quiet()
        heard_once(first, LINE)
        second.bot.until_quiet = first.bot.until_quiet  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", KINDS)
async def test_settings_wait_until_what_follows_is_heard(kind: str) -> None:
    """A sentence asked for before the voice changed is spoken in the voice before."""
    async with calls(2, kind) as (first, second):
        first.provider.fail(Fault.BROKEN)
        await first.bot.speak(LINE)
        await second.bot.speak(LINE)
        await second.bot.update_settings(voice="bert")
        await second.bot.speak("Hello.")
        await second.bot.until_quiet()
        assert [(LINE, "anna"), ("Hello.", "bert")] == [
            (request.text.strip(), request.settings["voice"])
            for request in second.provider.requests
        ]


@pytest.mark.parametrize("kind", KINDS)
async def test_settings_wait_for_the_sentences_of_a_turn(kind: str) -> None:
    """Also where nothing else is said, and the turn goes on after it."""
    async with calls(2, kind) as (first, second):
        first.provider.fail(Fault.BROKEN)
        await first.bot.speak(TURN[0].strip())
        await second.bot.llm_turn(TURN[:2], end=False)
        await second.bot.update_settings(voice="bert")
        await second.bot.llm_turn(TURN[2:])
        await second.bot.until_quiet()
        assert {TURN[0].strip(): "anna"} == {
            request.text.strip(): request.settings["voice"]
            for request in second.provider.requests
            if request.text.strip() == TURN[0].strip()
        }


@pytest.mark.parametrize(
    ("leads", "follows", "expected"),
    [
        (CacheControl(), CacheControl(), 1),
        (CacheControl(), CacheControl(no_store=True), 1),
        (CacheControl(refresh=True), CacheControl(), 1),
        (CacheControl(), CacheControl(refresh=True), 2),
        (CacheControl(), CacheControl(bypass=True), 2),
        (CacheControl(bypass=True), CacheControl(), 2),
        (CacheControl(no_store=True), CacheControl(), 2),
    ],
)
async def test_what_is_said_of_a_sentence_holds(
    leads: CacheControl, follows: CacheControl, expected: int
) -> None:
    """Nobody follows who wants it spoken anew, or leads with what is not to be kept."""
    async with calls(2, "overlapping") as made:
        for call, control in zip(made, (leads, follows), strict=True):
            await call.bot.send(control.on(TTSSpeakFrame(LINE)))
        await asyncio.gather(*(call.bot.until_quiet() for call in made))
        assert expected == sum(asked(made).values())
        for call in made:
            heard_once(call, LINE)


async def test_namespaces_and_stores_do_not_follow_one_another() -> None:
    """Only who would find the record follows."""
    store = MemoryCacheBackend()
    async with AsyncExitStack() as stack:
        made = [
            (await stack.enter_async_context(calls(1, "inline", store, cache_namespace="a")))[0],
            (await stack.enter_async_context(calls(1, "inline", store, cache_namespace="b")))[0],
            (await stack.enter_async_context(calls(1, "inline")))[0],
        ]
        for call in made:
            await call.bot.speak(LINE)
        for call in made:
            await call.bot.until_quiet()
            assert [LINE] == call.provider.texts


def test_event_loops_do_not_follow_one_another() -> None:
    """A store may serve several event loops; nobody waits for news from another's."""
    store = MemoryCacheBackend()

    async def leads() -> object:
        return leads_of(store)

    one, other = asyncio.run(leads()), asyncio.run(leads())
    assert one is not other
    del one, other
    gc.collect()
