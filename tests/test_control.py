#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A frame, or a block of code, has the cache treat what is said otherwise than its options say."""

import asyncio
from copy import copy, deepcopy
from pickle import dumps, loads
from typing import Any

import pytest
from pipecat.frames.frames import LLMTextFrame, TextFrame, TTSSpeakFrame

from pipecat_tts_cache import CacheControl, MemoryCacheBackend
from pipecat_tts_cache.control import Controls, control_of
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached import KINDS as SERVICES
from tests.cached_scripted import CACHED_SCRIPTED
from tests.stored import check_store, entries

KINDS = [kind for kind in CACHED_SCRIPTED if kind not in ("endless", "unlisted words")]
TEXT = "Hello you."


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of service."""
    return request.param


def speak(text: str = TEXT, **control: Any) -> TTSSpeakFrame:
    return CacheControl(**control).on(TTSSpeakFrame(text))


async def say(bot: Bot, *frames: TTSSpeakFrame) -> None:
    """Have frames spoken, one after the other, each heard whole."""
    for frame in frames:
        await bot.send(frame)
        said = await bot.until_quiet()
        assert frame.text == said.contexts[-1].heard.text
        assert [] == said.contexts[-1].heard.flaws


# On a frame


async def test_bypass_neither_reads_nor_writes(kind: str) -> None:
    """What is to bypass the cache is spoken live each time, and leaves what is stored alone."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak(bypass=True), speak(bypass=True))
        await tts._tts_cache_book.close()
        assert [] == entries(backend)
        await say(bot, speak(), speak(), speak(bypass=True))
    stats = await tts.get_cache_stats()
    assert (1, 1, {"control": 3}) == (stats["hits"], stats["misses"], stats["bypassed"])
    assert 4 == len(tts.provider.requests)
    assert [TEXT] == check_store(backend)


@pytest.mark.parametrize(
    "title", ["CartesiaTTSService", "ElevenLabsHttpTTSService", "OpenAITTSService"]
)
async def test_services_of_pipecat_heed_it(title: str) -> None:
    """Their providers are asked where it says so, and a fresh take is the one that is replayed."""
    service = SERVICES[title]
    async with simulated_time(), service.server() as server:
        tts = service.with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts, sample_rate=service.sample_rate) as bot:
            await say(bot, speak(no_store=True), speak(), speak())
            assert 2 == len(server.requests)
            await say(bot, speak(bypass=True), speak(refresh=True), speak(no_store=True))
            first, *_, fresh, last = (each.audio for each in bot.said().contexts)
        assert 4 == len(server.requests)
    assert first != fresh == last


async def test_refresh_replaces_what_is_stored(kind: str) -> None:
    """A fresh take is spoken and stored, and from then on it is the one that is replayed."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak())
        await tts._tts_cache_book.close()
        (first,) = entries(backend)
        await say(bot, speak(refresh=True))
        await tts._tts_cache_book.close()
        (second,) = entries(backend)
        assert first.audio != second.audio
        await say(bot, speak())
        takes = {take for context in bot.said().contexts[2:] for take in context.heard.takes}
    assert {2} == takes
    stats = await tts.get_cache_stats()
    assert (1, 2, 2) == (stats["hits"], stats["misses"], stats["stores"])


async def test_a_refresh_that_fails_leaves_what_is_stored() -> None:
    """The old take stays if the new one is interrupted."""
    backend = MemoryCacheBackend()
    provider = Provider()
    tts = CACHED_SCRIPTED["overlapping"](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak())
        await tts._tts_cache_book.close()
        before = entries(backend)
        provider.first_audio = 0.2
        await bot.send(speak(refresh=True))
        await provider.asked(2)
        await bot.interrupt()
        await bot.until_quiet()
    assert before == entries(backend)


async def test_no_store_reads_only(kind: str) -> None:
    """What is there is replayed, and nothing is added."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak(no_store=True), speak(no_store=True))
        await tts._tts_cache_book.close()
        assert [] == entries(backend)
        await say(bot, speak(), speak(no_store=True))
    stats = await tts.get_cache_stats()
    assert (1, 3, {"control": 2}) == (stats["hits"], stats["misses"], stats["not_stored"])
    assert [TEXT] == check_store(backend)


async def test_a_time_to_live_of_its_own() -> None:
    """It takes the place of the option, for this sentence only."""
    now = 0.0
    backend = MemoryCacheBackend(clock=lambda: now)
    tts = CACHED_SCRIPTED["inline"](Provider(), cache_backend=backend, cache_ttl=60)
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak("One is here."), speak("Two is here.", ttl=600))
    assert [60, 600] == [
        round((each.expires_at or 0) - each.created_at) for each in entries(backend)
    ]
    now = 100.0
    assert ["Two is here."] == [entry.text async for entry in backend.entries()]


async def test_tags_are_counted(kind: str) -> None:
    """Hits, misses and characters are counted by tag, besides being counted at all."""
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak(tag="greeting"), speak(tag="greeting"), speak("So long.", tag="bye"))
        await say(bot, speak())
    stats = await tts.get_cache_stats()
    one, other = (len(request.text) for request in tts.provider.requests)
    tally = {"hits": 1, "misses": 1, "characters_from_cache": one, "characters_synthesized": one}
    bye = {"hits": 0, "misses": 1, "characters_from_cache": 0, "characters_synthesized": other}
    assert {"greeting": tally, "bye": bye} == stats["tags"]
    assert (2, 2) == (stats["hits"], stats["misses"])


async def test_without_a_cache_a_control_does_nothing() -> None:
    """A frame that says how to be cached is spoken by a service that does not cache."""
    tts = CACHED_SCRIPTED["inline"](Provider())
    async with running(tts, sample_rate=8000) as bot:
        await say(bot, speak(refresh=True, tag="a"), speak(bypass=True))
    assert {} == (await tts.get_cache_stats())["tags"]


# For a block of code


async def test_a_block_holds_for_turns_too(kind: str) -> None:
    """All that is asked for while a block is open is treated so, and nothing after it."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        with tts.cache_control(bypass=True):
            await bot.llm_turn(["One is here. ", "Two is here."])
            await bot.until_quiet()
        await bot.llm_turn(["One is here. ", "Two is here."])
        await bot.until_quiet()
    stats = await tts.get_cache_stats()
    assert (0, 2, {"control": 2}) == (stats["hits"], stats["misses"], stats["bypassed"])
    assert ["One is here.", "Two is here."] == check_store(backend)


async def test_a_frame_within_a_block_has_the_last_word() -> None:
    """What a frame says counts; what it leaves open is as the block says."""
    tts = CACHED_SCRIPTED["inline"](Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts, sample_rate=8000) as bot:
        with tts.cache_control(no_store=True, tag="block"):
            await say(bot, speak(tag="frame"), speak(refresh=True))
        await say(bot, speak())
    stats = await tts.get_cache_stats()
    assert {"frame", "block"} == stats["tags"].keys()
    assert (1, 1) == (stats["hits"], stats["stores"])


async def test_blocks_of_several_tasks_may_end_in_any_order() -> None:
    """A block that ends takes back what it said itself."""
    controls = Controls()
    one, two = (CacheControl(tag=name) for name in ("one", "two"))
    first, second = controls.within(one), controls.within(two)
    first.__enter__()
    second.__enter__()
    assert "two" == controls.now.tag
    first.__exit__(None, None, None)
    assert "two" == controls.now.tag
    second.__exit__(None, None, None)
    assert CacheControl() == controls.now


async def test_the_same_control_may_hold_in_blocks_within_one_another() -> None:
    """The inner block that ends is the one that is taken back."""
    controls = Controls()
    again = CacheControl(tag="again")
    with controls.within(again), controls.within(CacheControl(tag="between")):
        with controls.within(again):
            assert "again" == controls.now.tag
        assert "between" == controls.now.tag


async def test_a_block_that_raises_ends() -> None:
    """What holds within a block does not outlive it."""
    controls = Controls()
    with pytest.raises(asyncio.CancelledError), controls.within(CacheControl(bypass=True)):
        raise asyncio.CancelledError
    assert not controls.now.bypass


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ({"bypass": True}, {"tag": "a"}, {"bypass": True, "tag": "a"}),
        ({"ttl": 1.0, "tag": "a"}, {"ttl": 2.0}, {"ttl": 2.0, "tag": "a"}),
        ({"bypass": True}, {"refresh": True}, {"refresh": True}),
        ({"no_store": True}, {"refresh": True}, {"refresh": True}),
        ({"refresh": True}, {"bypass": True}, {"bypass": True}),
        ({"refresh": True}, {"no_store": True}, {"no_store": True}),
        ({"bypass": True}, {"no_store": True}, {"bypass": True, "no_store": True}),
    ],
)
def test_controls_are_put_together(
    outer: dict[str, Any], inner: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Of what contradicts, the inner counts."""
    controls = Controls()
    with controls.within(CacheControl(**outer)), controls.within(CacheControl(**inner)):
        assert CacheControl(**expected) == controls.now


# Nonsense


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bypass": 1}, "bypass must be a bool, not int"),
        ({"ttl": 0}, "ttl must be above 0"),
        ({"ttl": "1"}, "ttl must be a number"),
        ({"tag": 1}, "tag must be a string, not int"),
        ({"refresh": True, "bypass": True}, "a refresh is stored"),
        ({"refresh": True, "no_store": True}, "a refresh is stored"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once, on a frame and for a block."""
    with pytest.raises((TypeError, ValueError), match=error):
        CacheControl(**arguments)
    tts = CACHED_SCRIPTED["inline"](Provider())
    with pytest.raises((TypeError, ValueError), match=error):
        tts.cache_control(**arguments)


@pytest.mark.parametrize("frame", [TextFrame(TEXT), LLMTextFrame(TEXT), "frame"])
def test_only_a_speak_frame_is_told(frame: Any) -> None:
    """Nobody asks other frames, so that what is to bypass the cache would be stored."""
    with pytest.raises(TypeError, match=f"a TTSSpeakFrame, not a {type(frame).__name__}.*cache_co"):
        CacheControl(bypass=True).on(frame)


@pytest.mark.parametrize("passed_on", [copy, deepcopy, lambda frame: loads(dumps(frame))])
def test_a_frame_that_is_copied_keeps_its_control(passed_on: Any) -> None:
    """As does one that goes to another process."""
    assert CacheControl(bypass=True, ttl=5) == control_of(passed_on(speak(bypass=True, ttl=5)))


def test_what_else_is_in_the_metadata_is_no_control() -> None:
    """A frame's metadata may hold anything under any name."""
    frame = TTSSpeakFrame(TEXT)
    assert None is control_of(frame)
    frame.metadata["pipecat_tts_cache"] = {"bypass": True}
    assert None is control_of(frame)
