#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Random conversations on services of every kind: like the uncached ones, nothing broken kept."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.view import View, differences
from pipecat_tts_cache.testing.voice import listen
from tests.cached_scripted import CACHED_SCRIPTED
from tests.pipecat_versions import SPEAK_FRAMES_RACE
from tests.scripted import SCRIPTED
from tests.stored import check_store, entries

TEXTS = ["Yes. ", "One moment. ", "Let me look. ", "Here it is. ", "No, not at all. "]
KINDS = [kind for kind in SCRIPTED if kind != "endless"]
BROKEN_BY_MID_TURN_SPEECH = ("in order", "shared clock")
"""Without a cache, a speak frame inside a turn is lost on the one, and mixes words on the other."""


@dataclass(frozen=True)
class Step:
    """Something that happens in a conversation.

    Parameters:
        what: `turn`, `speak`, `voice`, `interrupt` or `wait`.
        texts: What is said.
        mid_speak: Inside a turn, a speak frame after so many sentences.
        options: Of a speak frame.
        audio: An interruption comes after so many more frames of audio.
    """

    what: str
    texts: tuple[str, ...] = ()
    mid_speak: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    audio: int = 0


texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4).map(tuple)
turns = st.builds(
    Step, st.just("turn"), texts, st.one_of(st.none(), st.integers(min_value=0, max_value=3))
)
speaks = st.builds(
    Step,
    st.just("speak"),
    st.tuples(st.sampled_from(TEXTS)),
    options=st.fixed_dictionaries({"append_to_context": st.booleans()}),
)
voices = st.sampled_from(["anna", "ben"]).map(lambda voice: Step("voice", (voice,)))
waits = st.just(Step("wait"))
interruptions = st.integers(min_value=0, max_value=12).map(
    lambda audio: Step("interrupt", audio=audio)
)


def certain(steps: list[Step]) -> list[Step]:
    """Let speak frames stand by themselves, where else nobody knows how they are committed."""
    if not SPEAK_FRAMES_RACE:
        return steps
    found: list[Step] = []
    for step in steps:
        if step.what == "speak":
            found += [Step("wait"), step, Step("wait")]
        else:
            found.append(replace(step, mid_speak=None))
    return found


quiet_conversations = st.lists(st.one_of(turns, turns, speaks, waits), min_size=1, max_size=5).map(
    certain
)
conversations = st.lists(
    st.one_of(turns, turns, speaks, voices, interruptions, waits), min_size=2, max_size=8
)
interleavings = st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=6)


async def act(bot: Bot, steps: list[Step]) -> None:
    for step in steps:
        if step.what == "turn":
            await say_turn(bot, step)
        elif step.what == "speak":
            await bot.speak(step.texts[0].strip(), **step.options)
        elif step.what == "voice":
            await bot.update_settings(voice=step.texts[0])
        elif step.what == "interrupt":
            for _ in range(step.audio):
                await asyncio.sleep(0)
            await bot.interrupt()
        else:
            await bot.until_quiet()


async def say_turn(bot: Bot, step: Step) -> None:
    await bot.llm_turn("", end=False)
    for number, text in enumerate(step.texts):
        if number == step.mid_speak:
            await bot.speak("By the way.")
        await bot.tokens(text)
    await bot.end_turn()


async def play(service: Any, steps: list[Step]) -> tuple[View, list[str]]:
    async with running(service, sample_rate=8000) as bot:
        await act(bot, steps)
        said = await bot.until_quiet(patience=20)
        return said, bot.messages


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(steps=quiet_conversations, turns=interleavings)
def test_nobody_can_tell_over_a_conversation(
    kind: str, steps: list[Step], turns: list[int]
) -> None:
    """Without interruptions a conversation leaves the service as without a cache, cold and warm."""

    if kind in BROKEN_BY_MID_TURN_SPEECH:
        steps = [replace(step, mid_speak=None) for step in steps]

    async def compare() -> None:
        backend = MemoryCacheBackend()
        expected, messages = await play(
            SCRIPTED[kind](Provider(turns=turns), stop_frame_timeout_s=0.5), steps
        )
        for _ in range(2):
            provider = Provider(turns=turns)
            tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend, stop_frame_timeout_s=0.5)
            actual, cached_messages = await play(tts, steps)
            assert [] == differences(expected, actual)
            assert messages == cached_messages
            stats = await tts.get_cache_stats()
            assert stats["misses"] == len(provider.requests)
            check_store(backend)
        assert stats["misses"] == 0

    asyncio.run(compare())


@pytest.mark.parametrize("kind", [*KINDS, "unlisted words"])
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(steps=conversations, turns=interleavings)
def test_whatever_happens_nothing_broken_is_kept(
    kind: str, steps: list[Step], turns: list[int]
) -> None:
    """With interruptions and changes of voice, what is stored is whole and of the right voice."""

    async def check() -> None:
        backend = MemoryCacheBackend()
        provider = Provider(turns=turns)
        for _ in range(2):
            tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend, stop_frame_timeout_s=0.5)
            async with running(tts, sample_rate=8000) as bot:
                await act(bot, steps)
                await bot.until_quiet(patience=20)
                await bot.speak("And good bye.")
                said = await bot.until_quiet(patience=20)
            last = said.contexts[-1]
            assert "And good bye." == last.heard.text
            assert [] == last.heard.flaws
            assert (1, 1) == (last.started, last.stopped)
            check_store(backend)
            for utterance in entries(backend):
                take = utterance_take(utterance)
                assert utterance.voice == provider.requests[take - 1].settings["voice"]
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert [] == [task.get_name() for task in others if not task.done()]

    asyncio.run(check())


def utterance_take(utterance: Any) -> int:
    (take,) = set(listen(utterance.audio, sample_rate=utterance.sample_rate).takes)
    return take
