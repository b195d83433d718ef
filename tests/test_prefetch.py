#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a bot is likely to say next is prepared in the background, and never in the way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loguru import logger
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache import Line, MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Fault, Provider
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED, SCRIPTED_KINDS
from tests.company import make, no_time, stored_by
from tests.stored import check_store, entries

__all__ = ["no_time"]

LINES = ["One is here.", "Two is over there.", "Three is everywhere."]
LIVE = "Live is now."


async def prefetched(tts: Any, count: int) -> None:
    """Wait until so many lines have been prepared, or let go."""
    stats = tts._tts_cache_book.stats
    async with asyncio.timeout(300):
        while stats.prefetched + stats.prefetch_dropped < count:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.1)


async def counts(tts: Any) -> tuple[int, int]:
    """Return how many lines were prepared, and how many let go."""
    stats = await tts.get_cache_stats()
    return stats["prefetched"], stats["prefetch_dropped"]


async def speak(bot: Bot, line: str) -> None:
    await bot.speak(line)
    await bot.until_quiet()


# What it is for


@pytest.mark.parametrize(
    "title", ["CartesiaTTSService", "ElevenLabsHttpTTSService", "OpenAITTSService"]
)
async def test_services_of_pipecat_replay_it(title: str) -> None:
    """Their providers are asked while nobody speaks, and not when the lines are said."""
    kind = KINDS[title]
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts, sample_rate=kind.sample_rate) as bot:
            tts.prefetch(LINES)
            await prefetched(tts, len(LINES))
            assert sorted(LINES) == sorted(server.texts)
            for line in LINES:
                await bot.speak(line)
                await bot.until_quiet()
        assert len(LINES) == len(server.requests)
    heard = bot.said().heard
    assert (" ".join(LINES), []) == (heard.text, heard.flaws)


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_the_next_line_is_replayed(kind: str) -> None:
    """What was prefetched while the bot listened is found when it speaks."""
    tts = make(kind)
    async with running(tts) as bot:
        tts.prefetch(LINES[:2])
        assert [] == tts.provider.requests
        await prefetched(tts, 2)
        for line in LINES[:2]:
            await speak(bot, line)
    stats = await tts.get_cache_stats()
    assert (2, 0) == (stats["hits"], stats["misses"])
    assert (2, 0) == await counts(tts)
    asked = [request.text for request in tts.provider.requests]
    assert (2, sum(map(len, asked))) == (len(asked), stats["characters_prefetched"])


async def test_a_turn_is_prefetched_sentence_by_sentence() -> None:
    """It is found as a language model says it."""
    tts = make()
    async with running(tts) as bot:
        tts.prefetch(["One is here. Two is over there."], as_turns=True)
        await prefetched(tts, 1)
        await bot.llm_turn("Two is over there.")
        await bot.until_quiet()
    assert 1 == (await tts.get_cache_stats())["hits"]


async def test_nothing_is_said_twice() -> None:
    """Neither what is asked for again, nor what is there."""
    tts = make(provider=Provider(first_audio=1.0))
    async with running(tts) as bot:
        await speak(bot, LINES[0])
        tts.prefetch([LINES[0], LINES[1], LINES[1]])
        await tts.provider.asked(2)
        tts.prefetch([LINES[1], LINES[2]])
        await prefetched(tts, 2)
    assert LINES == tts.provider.texts
    assert (2, 0) == await counts(tts)


async def test_lines_of_another_voice() -> None:
    """A line may say that it is said in another voice; one of the voice in force is in that."""
    tts = make()
    async with running(tts) as bot:
        tts.prefetch([Line("Hello.", {"voice": "ben"}), "Hello."])
        await prefetched(tts, 2)
        await bot.update_settings(voice="carla")
        await bot.until_quiet()
        tts.prefetch(["Hello."])
        await prefetched(tts, 3)
    assert ["ben", "anna", "carla"] == [each.voice for each in entries(stored_by(tts))]


async def test_cache_control_at_that_moment_is_heeded() -> None:
    """What holds when it is asked for holds when it is said; what is not to be stored is not."""
    tts = make()
    async with running(tts):
        with tts.cache_control(ttl=60):
            tts.prefetch(LINES[:1])
        with tts.cache_control(no_store=True):
            tts.prefetch(LINES[1:2])
        await prefetched(tts, 2)
    (entry,) = entries(stored_by(tts))
    assert entry.expires_at is not None
    assert 60 == round(entry.expires_at - entry.created_at)
    assert (1, 1) == await counts(tts)


async def test_it_may_be_asked_for_by_a_handler_of_the_cache() -> None:
    """As when one line leads to the next."""
    tts = make()

    @tts.event_handler("on_tts_cache_miss")
    async def on_miss(service: Any, _context_id: str, _text: str) -> None:
        service.prefetch(LINES[:1])

    async with running(tts) as bot:
        await speak(bot, LIVE)
        await prefetched(tts, 1)
        await speak(bot, LINES[0])
    assert 1 == (await tts.get_cache_stats())["hits"]


# Never in the way


async def test_one_line_is_said_at_a_time() -> None:
    """The next is asked for when the one before is stored."""
    tts = make("inline", Provider(first_audio=1.0))
    loop = asyncio.get_running_loop()
    async with running(tts):
        began = loop.time()
        tts.prefetch(LINES)
        for count in (1, 2, 3):
            await tts.provider.asked(count)
            assert count - 1 <= loop.time() - began < count
        await prefetched(tts, 3)


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_it_gives_way_to_live_speech(kind: str) -> None:
    """It is broken off when live speech asks the provider, and comes back when that is through."""
    tts = make(kind, Provider(speed=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES[:1])
        await tts.provider.asked(1)
        await asyncio.sleep(0.2)
        await bot.speak(LIVE)
        await tts.provider.asked(2)
        await asyncio.sleep(0.2)
        assert not tts.provider.requests[0].whole
        said = await bot.until_quiet()
        assert LIVE == said.heard.text
        assert [] == said.heard.flaws
        await prefetched(tts, 1)
    assert [LINES[0], LIVE, LINES[0]] == tts.provider.texts
    assert {LINES[0], LIVE} == set(check_store(stored_by(tts)))
    assert (1, 0) == await counts(tts)


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_live_speech_follows_it(kind: str) -> None:
    """What is needed while it is being prepared is heard as it comes, and not broken off."""
    tts = make(kind, Provider(speed=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES[:1])
        await tts.provider.asked(1)
        await asyncio.sleep(0.2)
        await bot.llm_turn(f"{LINES[0]} {LIVE}")
        said = await bot.until_quiet()
        await prefetched(tts, 1)
    assert f"{LINES[0]} {LIVE}" == said.heard.text
    assert [] == said.heard.flaws
    assert [LINES[0], LIVE] == tts.provider.texts
    stats = await tts.get_cache_stats()
    assert (1, 1, 0) == (stats["followed"], stats["prefetched"], stats["prefetch_dropped"])


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_it_waits_for_a_turn_to_end(kind: str) -> None:
    """Between the sentences of a turn nothing is begun that the next would break off."""
    tts = make(kind)
    async with running(tts) as bot:
        await bot.llm_turn("One is here. ", end=False)
        tts.prefetch([LIVE])
        await asyncio.sleep(2)
        await bot.tokens("Two is over there.")
        await bot.end_turn()
        await bot.until_quiet()
        await prefetched(tts, 1)
    assert [*LINES[:2], LIVE] == tts.provider.texts


async def test_what_is_replayed_does_not_break_it_off() -> None:
    """The provider is not asked then."""
    tts = make(provider=Provider(first_audio=1.0))
    async with running(tts) as bot:
        await speak(bot, LIVE)
        tts.prefetch(LINES[:1])
        await tts.provider.asked(2)
        await speak(bot, LIVE)
        await prefetched(tts, 1)
    assert [LIVE, LINES[0]] == tts.provider.texts


@pytest.mark.parametrize("kind", ["inline", "overlapping"])
async def test_it_gives_way_to_speech_that_is_not_cached(kind: str) -> None:
    """That asks the provider, too, and it comes back when that has been played."""
    tts = make(kind, Provider(speed=1.0), cache_scope="speak")
    async with running(tts) as bot:
        tts.prefetch([LINES[0]])
        await tts.provider.asked(1)
        await asyncio.sleep(0.2)
        await bot.llm_turn(LIVE)
        await tts.provider.asked(3)
        live, again = tts.provider.requests[1:]
        assert (LIVE, True, LINES[0]) == (live.text, live.whole, again.text)
        await prefetched(tts, 1)
    assert not tts.provider.requests[0].whole


async def test_a_service_that_is_sent_tokens_prefetches_nothing() -> None:
    """It caches nothing, either."""
    tts = make("inline", text_aggregation_mode=TextAggregationMode.TOKEN)
    async with running(tts):
        tts.prefetch(LINES)
        await prefetched(tts, 3)
    assert (0, 3) == await counts(tts)
    assert [] == tts.provider.requests


async def test_what_is_broken_off_again_and_again_is_let_go() -> None:
    """It is paid for three times at most."""
    tts = make("inline", Provider(first_audio=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES[:1])
        for i in range(5):
            await asyncio.sleep(0.5)
            await speak(bot, f"Live is number {i}.")
    assert 3 == tts.provider.texts.count(LINES[0])
    assert (0, 1) == await counts(tts)
    assert 3 * len(LINES[0]) == (await tts.get_cache_stats())["characters_prefetched"]


async def test_an_interruption_by_the_caller_does_not_matter() -> None:
    """What is prepared is nothing that the bot says now."""
    tts = make(provider=Provider(first_audio=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES[:2])
        await tts.provider.asked(1)
        await bot.interrupt()
        await prefetched(tts, 2)
    assert LINES[:2] == tts.provider.texts


# Bounds


async def test_too_many_lines_push_out_the_oldest() -> None:
    """Predictions of a while ago are let go first, and counted."""
    tts = make()
    lines = [f"Line number {i} is here." for i in range(40)]
    tts.prefetch(lines)
    assert (0, 8) == await counts(tts)
    async with running(tts):
        await prefetched(tts, 40)
    assert lines[8:] == tts.provider.texts
    assert (32, 8) == await counts(tts)


async def test_a_line_that_waits_or_is_said_takes_no_more_room() -> None:
    """However often it is asked for."""
    tts = make(provider=Provider(first_audio=1.0))
    lines = [f"Line number {i} is here." for i in range(33)]
    async with running(tts):
        tts.prefetch(lines[:1])
        await tts.provider.asked(1)
        tts.prefetch([*lines, *lines])
        await prefetched(tts, 33)
    assert (33, 0) == await counts(tts)


async def test_before_the_start_lines_wait() -> None:
    """They are said when the service runs, at its sample rate."""
    before = asyncio.all_tasks()
    tts = make()
    tts.prefetch(["Hello."])
    assert before == asyncio.all_tasks()
    async with running(tts, sample_rate=8_000) as bot:
        await prefetched(tts, 1)
        await speak(bot, "Hello.")
    assert 1 == (await tts.get_cache_stats())["hits"]


async def test_a_second_service_is_closed_when_it_is_idle() -> None:
    """For half a minute it waits for the next line, with its connection; then it is gone."""

    class Counted(CACHED_SCRIPTED["overlapping"]):  # type: ignore[misc]
        made = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            Counted.made += 1
            super().__init__(*args, **kwargs)

    tts = Counted(Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts):
        await asyncio.sleep(1)
        before = asyncio.all_tasks()
        tts.prefetch(LINES[:1])
        await prefetched(tts, 1)
        await asyncio.sleep(20)
        tts.prefetch(LINES[1:2])
        await prefetched(tts, 2)
        assert 2 == Counted.made
        await asyncio.sleep(32)
        assert before == asyncio.all_tasks()
        tts.prefetch(LINES[2:])
        await prefetched(tts, 3)
        assert 3 == Counted.made


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
@pytest.mark.parametrize("ends", ["end", "cancel"])
async def test_cleanup_lets_go_of_all(kind: str, ends: str) -> None:
    """When the call is over nothing goes on, and what was not prepared is counted."""
    before = asyncio.all_tasks()
    tts = make(kind, Provider(speed=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES)
        await tts.provider.asked(1)
        await getattr(bot, ends)()
    assert before == asyncio.all_tasks()
    assert (0, 3) == await counts(tts)
    tts.prefetch(LINES[:1])
    assert (0, 4) == await counts(tts)
    assert before == asyncio.all_tasks()


@asynccontextmanager
async def opening(tts: Any) -> AsyncGenerator[Bot]:
    """A call that ends while a second service is being started."""
    async with running(tts) as bot:
        tts.prefetch(LINES)
        yield bot


@pytest.mark.parametrize("turns", range(0, 60, 7))
async def test_cleanup_at_any_moment(turns: int) -> None:
    """Also while a second service is on its way."""
    before = asyncio.all_tasks()
    tts = make()
    async with opening(tts) as bot:
        for _ in range(turns):
            await asyncio.sleep(0)
        await bot.cancel()
    assert before == asyncio.all_tasks()
    assert 3 == sum(await counts(tts))


# What goes wrong


@pytest.fixture
def logged() -> Any:
    """What is logged as a warning by this library."""
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(message.record["message"]),
        level="WARNING",
        filter="pipecat_tts_cache.preparation",
    )
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize("options", [{"cache_backend": None}, {"cache_enabled": False}])
async def test_without_a_cache_it_does_nothing(options: dict[str, Any]) -> None:
    """But count."""
    tts = make(**options)
    async with running(tts):
        tts.prefetch(LINES)
        await asyncio.sleep(1)
    assert [] == tts.provider.requests
    assert (0, 3) == await counts(tts)


async def test_when_it_is_switched_off_in_between() -> None:
    """Nothing more is asked for."""
    tts = make(provider=Provider(first_audio=1.0))
    async with running(tts):
        tts.prefetch(LINES)
        await tts.provider.asked(1)
        tts.cache_enabled = False
        await prefetched(tts, 3)
    assert LINES[:1] == tts.provider.texts
    assert (0, 3) == await counts(tts)


async def test_a_setting_that_equals_nothing() -> None:
    """What has no key is let go, and no second service after the other is made for it."""
    settings = TTSSettings(model="scripted", voice="anna", language=None, extra={"mood": object()})
    tts = make(settings=settings)
    async with running(tts):
        tts.prefetch(LINES[:2])
        await prefetched(tts, 2)
    assert (0, 2) == await counts(tts)
    assert [] == tts.provider.requests


async def test_a_service_that_makes_its_own_store() -> None:
    """It shares it with the second one, and follows that."""

    class Own(CACHED_SCRIPTED["inline"]):  # type: ignore[misc]
        def __init__(self, provider: Provider) -> None:
            super().__init__(provider, cache_backend=MemoryCacheBackend())

    tts: Any = Own(Provider(speed=1.0))
    async with running(tts) as bot:
        tts.prefetch(LINES[:2])
        await prefetched(tts, 1)
        await tts.provider.asked(2)
        await bot.llm_turn(f"{LINES[0]} {LINES[1]}")
        await bot.until_quiet()
    stats = await tts.get_cache_stats()
    assert (2, 1, 0) == (stats["hits"], stats["followed"], stats["misses"])
    assert LINES[:2] == tts.provider.texts


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.EMPTY, Fault.BROKEN])
async def test_a_line_that_fails_is_let_go(kind: str, fault: Fault) -> None:
    """The call goes on, and so does the next line."""
    tts = make(kind)
    tts.provider.fail(fault, text=LINES[0])
    async with running(tts) as bot:
        tts.prefetch(LINES[:2])
        await prefetched(tts, 2)
        await speak(bot, LINES[1])
        assert [] == bot.errors
    assert 1 <= (await counts(tts))[1]
    assert LINES[0] not in check_store(stored_by(tts))


# Pipecat 1.10 forgets a coroutine of a processor that was not set up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_second_service_that_cannot_be_started(logged: list[str]) -> None:
    """The call goes on; it is said once why nothing is prefetched, without what."""

    class Single(CACHED_SCRIPTED["inline"]):  # type: ignore[misc]
        running = 0

        async def setup(self, setup: Any) -> None:
            Single.running += 1
            if Single.running > 1:
                raise OSError("no route")
            await super().setup(setup)

    tts = Single(Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        tts.prefetch(LINES)
        await prefetched(tts, 3)
        tts.prefetch(LINES[:1])
        await prefetched(tts, 4)
        await speak(bot, LIVE)
        assert LIVE == bot.said().heard.text
    assert (0, 4) == await counts(tts)
    (warning,) = logged
    assert "nothing is prefetched" in warning
    assert not any(line in warning for line in LINES)


async def test_a_second_service_that_cannot_be_made(logged: list[str]) -> None:
    """As of arguments that are used up."""
    tts = make(text_transforms=iter([]))
    async with running(tts) as bot:
        tts.prefetch(LINES)
        await prefetched(tts, 3)
        await speak(bot, LIVE)
        assert LIVE == bot.said().heard.text
    (warning,) = logged
    assert "text_transforms is an iterator" in warning


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("Hello.", "one by one"),
        ([1], "a string or a Line, not int"),
        ([Line("Hello.", {"mood": 1})], "no setting 'mood'"),
    ],
)
def test_nonsense_is_refused(lines: Any, error: str) -> None:
    """At once."""
    tts = make()
    with pytest.raises(TypeError, match=error):
        tts.prefetch(lines)


def test_a_switch_that_is_none_is_refused() -> None:
    """A word counts as true, whatever it says."""
    with pytest.raises(TypeError, match="as_turns must be a bool, not str"):
        make().prefetch(LINES, as_turns="no")
