#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A service that runs can be had to prepare speech, under the keys that it has at that moment."""

import asyncio
import warnings
from typing import Any

import pytest
from pipecat.services.settings import TTSSettings
from pipecat.utils.text.base_text_filter import BaseTextFilter

from pipecat_tts_cache import Line, MemoryCacheBackend, Outcome
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED, SCRIPTED_KINDS
from tests.company import make, no_time, stored_by
from tests.providers.kind import Kind
from tests.providers.server import Server
from tests.stored import check_store, entries

__all__ = ["no_time"]

LINES = ["One is here.", "Two is over there."]


async def say(bot: Bot, *lines: str) -> None:
    for line in lines:
        await bot.speak(line)
        await bot.until_quiet()


# Every service


def whole(kind: Kind, server: Server, **options: Any) -> Any:
    """Make a service of which another can be made: what is done to it is done by its class."""

    def init(self: Any, **arguments: Any) -> None:
        super(made, self).__init__(**arguments)
        if kind.prepare:
            kind.prepare(self, server)

    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")  # some services are deprecated
        made: Any = type(f"Whole{kind.cached.__name__}", (kind.cached,), {"__init__": init})
        return made(**server.options(), **kind.arguments, **options)


@pytest.mark.parametrize("changes", [False, True], ids=["as made", "another voice"])
@pytest.mark.parametrize("title", KINDS)
async def test_every_service_finds_what_it_has_prepared(title: str, *, changes: bool) -> None:
    """It is replayed in the same call, after a change of voice too; or it is said why not."""
    kind = KINDS[title]
    clock, rate = simulated_time if kind.simulate_time else real_time, kind.sample_rate
    async with clock(), kind.server(chunk_ms=100) as server:
        tts = whole(kind, server, cache_backend=MemoryCacheBackend())
        async with running(tts, sample_rate=rate, simulate_time=kind.simulate_time) as bot:
            if changes:
                await bot.update_settings(voice=kind.voices[1])
                await bot.until_quiet()
                assert kind.voices[0] != tts._settings.voice
            done = await tts.warm(LINES, concurrency=1)
            asked = len(server.requests)
            if done.failed:
                assert set(done.failed.values()) <= {("end_unknown",), ("pipecat_changed",)}
                assert 0 == asked
                return
            await say(bot, *LINES)
        assert LINES == done.stored
        assert asked == len(server.requests)
        assert 2 == (await tts.get_cache_stats())["hits"]


# Under the keys of the moment


@pytest.mark.parametrize("kind", SCRIPTED_KINDS)
async def test_a_turn_is_prepared_sentence_by_sentence(kind: str) -> None:
    """What a language model is to say is found as it says it."""
    tts = make(kind)
    async with running(tts) as bot:
        done = await tts.warm(["One is here. Two is over there."], as_turns=True)
        assert {} == done.failed
        await bot.llm_turn("Two is over there. One is here.")
        await bot.until_quiet()
    assert 2 == (await tts.get_cache_stats())["hits"]
    assert 2 == len(tts.provider.requests)


async def test_a_change_in_the_call_is_followed() -> None:
    """Each time it is prepared in the voice that it has by then, whoever changed that."""
    tts = make()
    async with running(tts) as bot:
        await tts.warm(["Hello."])
        await bot.update_settings(voice="ben")
        await bot.until_quiet()
        assert not (await tts.is_warm(["Hello."])).already
        await tts.warm(["Hello."])
        tts._settings.voice = "carla"  # as set_voice() does in older bots
        await tts.warm(["Hello."])
        assert ["Hello."] == (await tts.is_warm(["Hello."])).already
    assert ["anna", "ben", "carla"] == [each.voice for each in entries(stored_by(tts))]
    assert ["anna", "ben", "carla"] == [each.settings["voice"] for each in tts.provider.requests]


async def test_the_service_itself_stays_as_it_is() -> None:
    """What its twins are told does not reach it, nor what it was made with."""
    settings = TTSSettings(model="scripted", voice="anna", language=None, extra={"mood": "calm"})
    tts = make(settings=settings)
    async with running(tts) as bot:
        lines = [Line("Hello.", {"voice": "ben", "mood": "merry"})]
        assert ["Hello."] == (await tts.warm(lines)).stored
        assert ("anna", "calm") == (tts._settings.voice, tts._settings.extra["mood"])
        await say(bot, "Hello.")
    assert [("ben", "merry"), ("anna", "calm")] == [
        (each.settings["voice"], each.settings["mood"]) for each in tts.provider.requests
    ]


async def test_a_line_may_have_another_voice() -> None:
    """It is found when the service has been told that voice."""
    tts = make()
    async with running(tts) as bot:
        assert {} == (await tts.warm([Line("Hello.", {"voice": "ben"}), "Hello."])).failed
        await bot.update_settings(voice="ben")
        await say(bot, "Hello.")
    assert 1 == (await tts.get_cache_stats())["hits"]


async def test_a_line_may_be_in_another_language() -> None:
    """Several languages are prepared in one call, and each is found when it is spoken."""
    tts = make()
    async with running(tts) as bot:
        lines = [Line("Taxi!", {"language": language}) for language in ("de", "fr")]
        assert ["Taxi!"] * 3 == (await tts.warm([*lines, "Taxi!"])).stored
        for language in ("fr", "de"):
            await bot.update_settings(language=language)
            await say(bot, "Taxi!")
    assert {"de", "fr", None} == {each.settings["language"] for each in tts.provider.requests}
    assert (2, 3) == ((await tts.get_cache_stats())["hits"], len(tts.provider.requests))


async def test_transforms_and_filters_are_those_of_the_moment() -> None:
    """Texts are prepared as the service prepares them by now."""

    async def shout(text: str, _: str) -> str:
        return text.upper()

    tts = make()
    async with running(tts) as bot:
        tts.add_text_transformer(shout)
        assert ["Hello."] == (await tts.warm(["Hello."])).stored
        tts.remove_text_transformer(shout)
        assert ["Hello."] == (await tts.warm(["Hello."])).stored
        await say(bot, "Hello.")
    assert ["HELLO.", "Hello."] == tts.provider.texts
    assert 1 == (await tts.get_cache_stats())["hits"]


class OnceATurn(BaseTextFilter):
    """Lets the first sentence of a turn pass, in upper case."""

    def __init__(self) -> None:
        self.has_spoken = False

    async def filter(self, text: str) -> str:
        text, self.has_spoken = "" if self.has_spoken else text.upper(), True
        return text

    async def handle_interruption(self) -> None:
        self.has_spoken = False


async def test_a_filter_has_a_state_for_each() -> None:
    """One that is in the middle of something in the call does not leave out what is prepared."""
    tts = make()
    tts._text_filters = [mine := OnceATurn()]
    async with running(tts):
        await mine.filter("Hello.")
        assert ["Hello."] == (await tts.warm(["Hello."])).stored
        assert mine.has_spoken
    assert ["HELLO."] == tts.provider.texts


async def test_the_sample_rate_is_that_of_the_pipeline() -> None:
    """Nobody has to say it."""
    tts = make()
    async with running(tts, sample_rate=8_000) as bot:
        await tts.warm(["Hello."])
        await say(bot, "Hello.")
    assert 1 == (await tts.get_cache_stats())["hits"]


async def test_a_service_that_does_not_run_yet() -> None:
    """Before a call, the sample rate of the bot's output is the user's to say."""
    tts = make()
    assert ["Hello."] == (await tts.warm(["Hello."], sample_rate=8_000)).stored
    assert not (await tts.is_warm(["Hello."])).already
    assert ["Hello."] == (await tts.is_warm(["Hello."], sample_rate=8_000)).already
    async with running(tts, sample_rate=8_000) as bot:
        await say(bot, "Hello.")
    assert 1 == (await tts.get_cache_stats())["hits"]


async def test_cache_control_in_force_is_heeded() -> None:
    """A time to live is kept, and what would not be stored is not spoken."""
    tts = make(cache_ttl=1000)
    async with running(tts):
        with tts.cache_control(ttl=60):
            await tts.warm(["Hello."])
        with tts.cache_control(no_store=True):
            assert {"One.": ("control",)} == (await tts.warm(["One."])).failed
        with tts.cache_control(bypass=True):
            assert {"One.": ("control",)} == (await tts.warm(["One."])).failed
        with tts.cache_control(refresh=True):
            assert ["Hello."] == (await tts.warm(["Hello."])).stored
        await tts.warm(["One."])
    ttls = [round((each.expires_at or 0) - each.created_at) for each in entries(stored_by(tts))]
    assert [1000, 1000] == ttls
    assert ["Hello.", "Hello.", "One."] == tts.provider.texts


async def test_what_is_personal_is_not_prepared() -> None:
    """The values that the bot has named count for it, too."""
    tts = make()
    async with running(tts):
        tts.guard_values("Ada")
        assert {"Hello Ada.": ("personal",)} == (await tts.warm(["Hello Ada."])).failed
    assert [] == tts.provider.requests


async def test_a_service_with_a_constructor_of_its_own() -> None:
    """It is made with the arguments of the whole class."""

    class Greeter(CACHED_SCRIPTED["overlapping"]):  # type: ignore[misc]
        def __init__(self, provider: Provider, mood: str) -> None:
            settings = TTSSettings(model="scripted", voice=mood, language=None)
            super().__init__(provider, settings=settings, cache_backend=MemoryCacheBackend())

    tts = Greeter(Provider(), mood="merry")
    async with running(tts):
        await tts.warm(["Hello."])
    assert {} == (await tts.warm(["Hello."], sample_rate=24_000)).failed
    assert ["merry"] == [each.voice for each in entries(stored_by(tts))]


# What goes on in the call


async def test_the_call_goes_on_meanwhile() -> None:
    """Speech of the call is heard as it comes, and the statistics are those of the call."""
    tts = make("inline", Provider(first_audio=1.0))
    async with running(tts) as bot:
        work = asyncio.create_task(tts.warm(LINES, concurrency=2))
        await tts.provider.asked(2)
        await bot.speak("Three is everywhere.")
        said = await bot.until_quiet()
        assert ["Three is everywhere."] == [each.heard.text for each in said.contexts]
        assert LINES == (await work).stored
    stats = await tts.get_cache_stats()
    assert (0, 1, 1) == (stats["hits"], stats["misses"], stats["stores"])


async def test_nothing_is_left_behind() -> None:
    """When it is prepared, or given up, no task goes on."""
    tts = make(provider=Provider(first_audio=1.0))
    async with running(tts):
        await asyncio.sleep(1)
        before = asyncio.all_tasks()
        await tts.warm(LINES)
        assert before == asyncio.all_tasks()
        work = asyncio.create_task(tts.warm(["Three is everywhere."]))
        await tts.provider.asked(3)
        work.cancel()
        await asyncio.wait([work])
        assert before == asyncio.all_tasks()
    assert LINES == check_store(stored_by(tts))


# What cannot be


async def test_progress_and_refresh_are_those_of_warm() -> None:
    """Progress is told after each line, and what is there is said anew if wanted."""
    told: list[tuple[int, int]] = []

    def progress(done: int, of: int, _: Outcome) -> None:
        told.append((done, of))

    tts = make()
    async with running(tts):
        await tts.warm(LINES)
        done = await tts.warm(LINES, refresh=True, concurrency=1, progress=progress)
    assert LINES == done.stored
    assert [(1, 2), (2, 2)] == told


@pytest.mark.parametrize(
    "options", [{"cache_backend": None}, {"cache_enabled": False}], ids=["no store", "off"]
)
async def test_without_a_cache_nothing_is_prepared(options: dict[str, Any]) -> None:
    """Nor paid for: it is told that the cache is not in use."""
    tts = make(**options)
    async with running(tts):
        for done in (await tts.warm(LINES), await tts.is_warm(LINES)):
            assert dict.fromkeys(LINES, ("disabled",)) == done.failed
    assert [] == tts.provider.requests


async def test_a_service_that_steps_aside_prepares_nothing() -> None:
    """It would speak as without a cache."""
    tts = make()
    tts._tts_cache_book.step_aside(["something"])
    assert {"Hello.": ("pipecat_changed",)} == (await tts.warm(["Hello."])).failed


async def test_arguments_that_are_used_up_are_refused() -> None:
    """It is told which, and what to do instead; no secret is."""
    tts = make(text_transforms=iter([]), cache_secret="vault")
    async with running(tts):
        with pytest.raises(RuntimeError, match="text_transforms is an iterator") as error:
            await tts.warm(["Hello."])
    assert "warm() and a function" in str(error.value)
    assert "vault" not in f"{error.value}{tts._tts_cache_made_with}"


async def test_a_second_service_that_cannot_be_made_is_told() -> None:
    """With the kind of error, and what to do instead."""

    class Single(CACHED_SCRIPTED["inline"]):  # type: ignore[misc]
        made = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if Single.made:
                raise OSError("in use, with key 4711")
            Single.made += 1
            super().__init__(*args, cache_backend=MemoryCacheBackend(), **kwargs)

    tts = Single(Provider())
    with pytest.raises(RuntimeError, match="Single cannot be made a second time") as error:
        await tts.warm(["Hello."])
    assert "OSError" in str(error.value)
    assert "4711" not in str(error.value)


async def test_a_second_service_with_other_keys_is_refused() -> None:
    """Nothing is said that live speech would not find."""

    class Moody(CACHED_SCRIPTED["inline"]):  # type: ignore[misc]
        async def _update_settings(self, delta: Any) -> dict[str, Any]:
            return {}

    tts: Any = Moody(Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts):
        tts._settings.voice = "ben"
        with pytest.raises(RuntimeError, match="other keys"):
            await tts.warm(["Hello."])
    assert [] == tts.provider.requests


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"lines": "Hello."}, "one by one"),
        ({"lines": [1]}, "a string or a Line, not int"),
        ({"lines": [Line("Hello.", {"mood": 1})]}, "CachedOverlapping has no setting 'mood'"),
        ({"concurrency": 0}, "concurrency"),
        ({"line_timeout": 0}, "line_timeout"),
    ],
)
async def test_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once, and before any service is made."""
    tts = make()
    with pytest.raises((TypeError, ValueError), match=error):
        await tts.warm(**{"lines": LINES, **arguments})
    assert [] == tts.provider.requests
