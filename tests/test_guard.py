#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sentences that hold what is personal in a call are neither looked up, nor stored, nor logged."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from pipecat_tts_cache import CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.guard import Guard
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED
from tests.stored import check_store, entries


@pytest.fixture
def own_log() -> Iterator[list[str]]:
    """What this library logs, at any level."""
    lines: list[str] = []

    def is_own(record: Any) -> bool:
        return "pipecat_tts_cache" in (record["name"] or "")

    sink = logger.add(lines.append, filter=is_own, level=0)
    yield lines
    logger.remove(sink)


def guard(*values: str) -> Guard:
    made = Guard()
    made.add(values)
    return made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Ada", "Hello, Ada!"),
        ("Ada", "HELLO ADA"),
        ("Zoë-Marie", "Good bye, zoe marie."),
        ("Zoe\u0308", "ZOË is here."),
        ("A-123 456", "Your order a123456 is on its way."),
        ("123456", "It is 12 34 56."),
        ("123456", "It is \uff11\uff12\uff13\uff14\uff15\uff16."),
        ("١٢٣", "It is 123."),
        ("Straße 5", "You live in STRASSE 5."),
        ("İstanbul", "From istanbul."),
        ("Y\u0131lmaz", "YILMAZ is here."),
        ("客户", "您好 客 户。"),
        ("किताब", "यह किताब है।"),
        ("Ада", "Здравствуйте, АДА."),
        ("Αρχιμήδης", "ΑΡΧΙΜΗΔΗΣ"),
        ("\U0001d400\U0001d41d\U0001d41a", "Hello Ada."),  # mathematical letters, as in nicknames
        ("ada@example.com", "Write to ada (at) example.com, ADA@EXAMPLE.COM."),
        ("Ada", "Adana is a city."),  # a saving lost, and nothing else
    ],
)
def test_a_value_is_found_however_it_is_written(value: str, text: str) -> None:
    """Case, width, accents, white space, punctuation and the script of digits do not matter."""
    assert guard("other", value).holds_back(text)


@pytest.mark.parametrize("text", ["", "One moment.", "A d", "12345", "\ud800", "."])
def test_other_sentences_pass(text: str) -> None:
    """What holds none of the values is cached as ever."""
    assert not guard("Ada", "123456").holds_back(text)
    assert not Guard().holds_back(text)


def test_vowels_of_other_scripts_tell_words_apart() -> None:
    """Where vowels are marks with a width of their own, they are no accents."""
    assert not guard("कला").holds_back("यह किला है।")


@given(st.text(), st.text(st.characters(categories=["L", "Nd"]), min_size=1), st.text())
def test_a_value_is_found_wherever_it_stands(before: str, value: str, behind: str) -> None:
    """In the middle of any text, and in upper case too."""
    held = Guard()
    held.add([value])
    assert held.holds_back(before + value + behind)
    assert held.holds_back(before + value.upper() + behind)


@pytest.mark.parametrize("kind", ["inline", "overlapping", "shared clock", "in order"])
async def test_what_is_personal_leaves_no_trace(kind: str, own_log: list[str]) -> None:
    """It is spoken live each time, and is in no store, no event and no log of this library."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)
    told: list[str] = []

    @tts.event_handler("on_tts_cache_miss")
    async def on_miss(service: Any, context_id: str, text: str) -> None:
        told.append(text)

    tts.guard_values("Ada", "A-123")
    async with running(tts, sample_rate=8000) as bot:
        for _ in range(2):
            await bot.llm_turn(["One moment. ", "Hello ADA. ", "Your order is a 123."])
            await bot.until_quiet()
    stats = await tts.get_cache_stats()
    assert (1, 1, {"personal": 4}) == (stats["hits"], stats["misses"], stats["bypassed"])
    assert ["One moment."] == check_store(backend)
    assert ["One moment."] == [text.strip() for text in told]
    assert [] == [line for line in own_log if "ADA" in line or "123" in line]
    assert "ada" not in repr(tts._tts_cache_book.guard).lower()


@pytest.mark.parametrize(
    "title", ["CartesiaTTSService", "ElevenLabsHttpTTSService", "OpenAITTSService"]
)
async def test_services_of_pipecat_speak_it_live(title: str) -> None:
    """Their providers are asked each time, and the store holds the rest."""
    kind, backend = KINDS[title], MemoryCacheBackend()
    async with simulated_time(), kind.server() as server:
        tts = kind.with_cache(server, cache_backend=backend)
        tts.guard_values("Ada")
        async with running(tts, sample_rate=kind.sample_rate) as bot:
            for _ in range(2):
                await bot.llm_turn("Hello Ada. One moment.")
                await bot.until_quiet()
        assert ["Hello Ada.", "One moment.", "Hello Ada."] == server.texts
    assert ["One moment."] == [each.text for each in entries(backend)]


async def test_what_turns_out_to_be_personal_is_not_stored() -> None:
    """A value that is named while a sentence is under way holds for that one too."""
    backend = MemoryCacheBackend()
    provider = Provider(first_audio=0.2)
    tts = CACHED_SCRIPTED["overlapping"](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.speak("Hello Ada.")
        await provider.asked(1)
        tts.guard_values("Ada")
        await bot.until_quiet()
    assert [] == entries(backend)
    assert {"personal": 1} == (await tts.get_cache_stats())["not_stored"]


class Slow(MemoryCacheBackend):
    """Says that a write has begun, and takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = asyncio.Event()

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        stored = await super().set(key, utterance, ttl=ttl)
        self.writing.set()
        await asyncio.sleep(0.05)
        return stored


async def test_what_is_being_written_is_taken_back() -> None:
    """A value that is named while the store keeps a sentence holds for that one, too."""
    backend = Slow()
    tts = CACHED_SCRIPTED["overlapping"](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.speak("Hello Ada.")
        await bot.until_quiet()
        await backend.writing.wait()
        tts.guard_values("Ada")
        await tts._tts_cache_book.written()
        assert [] == entries(backend)
        await bot.speak("One moment.")
        await bot.until_quiet()
    stats = await tts.get_cache_stats()
    assert ({"personal": 1}, 1) == (stats["not_stored"], stats["stores"])
    assert ["One moment."] == check_store(backend)


async def test_with_another_caller_it_begins_anew() -> None:
    """Once the values are forgotten, sentences with them are cached again."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED["inline"](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        tts.guard_values("Ada")
        await bot.speak("Hello Ada.")
        await bot.until_quiet()
        tts.forget_guarded_values()
        await bot.speak("Hello Ada.")
        await bot.until_quiet()
    assert ["Hello Ada."] == check_store(backend)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((1,), "a value must be a string, not int"),
        ((None,), "a value must be a string, not NoneType"),
        (("Ada", ""), "letters or digits"),
        (("?!",), "letters or digits"),
        ((["Ada"],), "a value must be a string, not list"),
    ],
)
def test_nonsense_is_refused(values: tuple[Any, ...], error: str) -> None:
    """A value that would match everything, or is none, is a mistake; then none is taken."""
    tts = CACHED_SCRIPTED["inline"](Provider())
    with pytest.raises((TypeError, ValueError), match=error):
        tts.guard_values(*values)
    assert 0 == len(tts._tts_cache_book.guard)


def test_values_are_several() -> None:
    """One string is not taken for its letters."""
    with pytest.raises(TypeError, match="one by one"):
        Guard().add("Ada")
