#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""check_cache passes what is right, and says in plain words what is not."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    OutputTransportMessageFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from pipecat_tts_cache import TTSCacheMixin, testing
from pipecat_tts_cache.services import UNLISTED
from pipecat_tts_cache.testing import Provider, Refused, Report, check_cache
from tests.cached_scripted import (
    CACHED_SCRIPTED,
    CachedEndless,
    CachedInline,
    CachedOverlapping,
    CachedSharedClock,
)
from tests.scripted import InlineService

SETTINGS = {"sample_rate": 8000, "voices": ("anna", "ben"), "interruptions": 2}
PROVIDER = replace(UNLISTED, neutral_arguments=frozenset({"provider"}))


async def check(service: type, **options: Any) -> Report:
    """Check a scripted service."""
    provider = Provider(turns=[1, 3, 2])
    return await check_cache(
        service, provider, arguments={"provider": provider}, **{**SETTINGS, **options}
    )


def told(report: Report) -> str:
    """What a service author reads."""
    assert not report.passed
    return str(report)


# What is right


@pytest.mark.parametrize("kind", [kind for kind in CACHED_SCRIPTED if kind != "unlisted words"])
async def test_services_of_every_kind_pass(kind: str) -> None:
    """A service that is treated as it is passes, and everything was tried."""
    report = await check(CACHED_SCRIPTED[kind])
    assert report.passed, str(report)
    assert (kind != "endless") == report.cached
    assert 10 == report.tried["faults"]
    assert 12 == report.tried["conversations"]
    assert (8 if report.cached else 1) == report.tried["mixes"]
    assert (4 if report.cached else 2) == report.tried["interruptions"]


class Bare(InlineService):
    tts_cache_profile = PROVIDER


async def test_a_bare_class_is_cached_by_itself() -> None:
    """Nobody needs to write the cached class for a check."""
    report = await check(Bare, only=["mixes"])
    assert report.passed, str(report)
    assert report.cached
    assert "Bare" == report.service


async def test_a_function_may_make_the_service() -> None:
    """It is given the arguments of the mixin, or none."""
    provider = Provider()
    given: list[set[str]] = []

    def make(**cache: Any) -> Any:
        given.append(set(cache))
        return CachedInline(provider, **cache)

    report = await check_cache(make, provider, sample_rate=8000, only=["mixes"])
    assert report.passed, str(report)
    assert [set(), {"cache_backend"}] == sorted(
        map(set, {frozenset(each) for each in given}), key=len
    )


async def test_every_frame_is_interrupted() -> None:
    """Unless told otherwise, a turn is interrupted at each of its frames."""
    report = await check(CachedInline, interruptions=None, only=["interruptions"])
    assert report.tried["interruptions"] > 60


async def test_what_is_not_cached_is_said() -> None:
    """Who is left alone passes, and the report says why nothing was cached."""
    report = await check(CachedEndless, only=["mixes"])
    assert {"end_unknown"} == report.bypassed
    assert "nothing was cached (end_unknown)" in str(report)


# What is not


class Stopless(CachedOverlapping):
    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        stats = await self.get_cache_stats()
        if not (isinstance(frame, TTSStoppedFrame) and stats["hits"]):
            await super().push_frame(frame, direction)


async def test_a_missing_stop_is_found() -> None:
    """A turn that does not stop once it had a hit."""
    report = told(await check(Stopless, only=["mixes"]))
    assert "a turn of hit, miss, miss: context 0: stopped: expected 1, got 0" in report
    assert "a turn of miss, miss, miss: context 0" not in report


class Mistreated(CachedSharedClock):
    tts_cache_profile = replace(CachedSharedClock.tts_cache_profile, in_flight=3)


async def test_mixed_up_words_are_found() -> None:
    """Sentences that share a word clock and are spoken at once all the same."""
    report = told(await check(Mistreated, only=["mixes"]))
    assert "a turn of miss, miss, miss: context 0: word" in report
    assert [] == [line for line in report.splitlines() if set(line) & set("[]{}")]


class Voiceless(CachedInline):
    tts_cache_profile = replace(CachedInline.tts_cache_profile, fixed_settings=frozenset({"voice"}))


async def test_a_wrong_voice_is_found() -> None:
    """A key that does not follow the voice."""
    report = told(await check(Voiceless, only=["voices"]))
    assert "a change of voice in a turn" in report
    assert "voices: expected 'ben', " in report


class Careless(InlineService):
    """Takes an error in the middle for the end."""

    tts_cache_profile = PROVIDER

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        request = await self.ask(text, context_id)
        try:
            async for piece in self.provider.pieces(request):
                yield self.frame(piece, context_id)
        except Refused:
            return


async def test_a_broken_record_is_found() -> None:
    """What was cut off, and ended as if it had not been."""
    report = told(await check(Careless, only=["faults"]))
    where = "a provider that gives half of the audio, then an error message"
    assert f"{where}: 'Two is over there.' was stored" in report
    assert "what was stored for 'Two is over there.' is not whole" in report


class Expensive(CachedInline):
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.start_tts_usage_metrics(text)
        async for frame in super().run_tts(text, context_id):
            yield frame


async def test_usage_of_a_hit_is_found() -> None:
    """Characters that are billed though nobody was asked for them."""
    report = told(await check(Expensive, only=["conversations"]))
    assert "a speak frame, from the cache: usage of 18 characters is reported" in report


class Forgetful(CachedInline):
    tts_cache_profile = replace(CachedInline.tts_cache_profile, neutral_arguments=frozenset())


async def test_what_has_no_key_is_said() -> None:
    """A service whose speech has no key is not cached, and that is said."""
    report = await check(Forgetful, only=["mixes"])
    assert not report.cached
    assert "nothing was cached (no_key)" in str(report)


class Unstopped(InlineService):
    """Its author forgot the stop frames, so that it is never right by itself."""

    tts_cache_profile = PROVIDER

    def __init__(self, provider: Provider | None = None, **kwargs: Any) -> None:
        super().__init__(provider, push_stop_frames=False, **kwargs)


class Mute(TTSCacheMixin, Unstopped):
    """Swallows what it replays."""

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        stats = await self.get_cache_stats()
        if not (isinstance(frame, TTSAudioRawFrame | TTSTextFrame) and stats["hits"]):
            await super().push_frame(frame, direction)


class Hanging(TTSCacheMixin, Unstopped):
    """Never says anything that is not known yet."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if (await self.get_cache_stats())["backend"]:
            await asyncio.Event().wait()
        async for frame in super().run_tts(text, context_id):
            yield frame


async def test_what_is_worse_than_a_service_that_is_not_right_is_found() -> None:
    """A missing stop without the cache excuses no silence with it."""
    report = await check(Mute, only=["conversations"])
    assert report.notes
    assert "a speak frame, from the cache: '' is heard; without the cache, also" in told(report)
    for kind in ("mixes", "faults"):
        assert "is heard" in told(await check(Mute, only=[kind])).split("(no comparison)")[0]


async def test_nothing_to_compare_with_is_no_pass() -> None:
    """A service that is never right without the cache is not certified."""
    report = told(await check(Unstopped, only=["conversations", "voices"]))
    assert "Unstopped: there was nothing to compare with" in report
    assert "(no comparison) a speak frame: without a cache, 'Hello and welcome.' is heard" in report


class Deaf(CachedInline):
    """Goes on with a replay for a while when it is interrupted."""

    last: TTSAudioRawFrame | None = None

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        self.last = frame if isinstance(frame, TTSAudioRawFrame) else self.last
        await super().push_frame(frame, direction)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        stats = await self.get_cache_stats()
        if isinstance(frame, InterruptionFrame) and self.last and stats["hits"]:
            for _ in range(5):
                await self.push_frame(self.last)


async def test_audio_behind_an_interruption_is_found() -> None:
    """A replay that goes on when the user speaks."""
    report = told(await check(Deaf, only=["interruptions"]))
    assert "a replayed turn, interrupted at frame 8 of 8: 5 frames of its audio" in report
    assert "a live turn" not in report


class Talkative(CachedInline):
    """Tells all of a turn when its first audio leaves, once there is a cache."""

    told = False

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        has_cache = (await self.get_cache_stats())["backend"]
        if not (isinstance(frame, TTSTextFrame) and has_cache):
            await super().push_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame) and has_cache and not self.told:
            self.told = True
            text = TTSTextFrame("One is here. Two is over there. Three is everywhere.", "turn")
            text.context_id = frame.context_id
            await super().push_frame(text)


async def test_what_is_committed_unheard_is_found() -> None:
    """A turn that is in the context though its first words were heard only."""
    report = told(await check(Talkative, only=["interruptions"]))
    assert "a live turn, interrupted at frame 1 of 83: 'One is here. Two is over" in report
    assert "was committed when '' had been heard" in report


class Greedy(CachedInline):
    """Reports each miss twice."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        misses = (await self.get_cache_stats())["misses"]
        async for frame in super().run_tts(text, context_id):
            yield frame
        if (await self.get_cache_stats())["misses"] > misses:
            await self.start_tts_usage_metrics(text)


async def test_usage_of_a_miss_is_found() -> None:
    """Characters that are billed twice."""
    report = told(await check(Greedy, only=["conversations"]))
    assert "a speak frame: usage: expected 18 characters, got 36" in report


class Odd(InlineService):
    """Says yes with a frame that no replay would have."""

    tts_cache_profile = PROVIDER

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        async for frame in super().run_tts(text, context_id):
            yield frame
        if text.startswith("Yes."):
            yield OutputTransportMessageFrame(message="yes")


async def test_what_is_spoken_live_again_is_said() -> None:
    """Where something was not stored, the report says how much, and why."""
    report = await check(Odd, only=["conversations"])
    assert report.passed, str(report)
    where = "two speak frames back to back, from the cache"
    note = f"{where}: 1 sentences were spoken live again (not stored: 1 other_frames)"
    assert note in map(str, report.notes)


class Silent(InlineService):
    """Never says a word."""

    tts_cache_profile = PROVIDER

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.ask(text, context_id)
        yield None


async def test_a_service_that_never_speaks_is_found() -> None:
    """Silence is not certified, though the cache changes nothing about it."""
    report = told(await check(Silent))
    assert "a turn: the service was not heard without the cache; the provider was asked 3" in report
    assert "a turn: the service was not heard with an empty cache" in report


async def test_a_cache_that_silences_a_service_is_found() -> None:
    """A bot that says nothing until something is stored."""
    report = told(await check(Hanging, only=["interruptions"]))
    assert "not heard with an empty cache; the provider was asked 0 times" in report
    assert "without the cache" not in report


class Monotonous(CachedInline):
    """Knows one voice."""

    async def ask(self, text: str, context_id: str) -> Any:
        self._settings.voice = "anna"
        return await super().ask(text, context_id)


async def test_a_voice_that_does_not_change_is_said() -> None:
    """Where a change of voice has no effect, it was not tried."""
    report = await check(Monotonous, only=["voices"])
    assert "all is spoken by 'anna': are these voices of the service?" in str(report)


# Misuse


async def test_a_service_by_itself_is_refused() -> None:
    """Each run needs a new one."""
    with pytest.raises(TypeError, match="gives a new service each time, not a CachedInline itself"):
        await check(CachedInline())  # type: ignore[arg-type]


async def test_the_provider_must_be_the_one_that_answers() -> None:
    """Nothing can be said about a service that somebody else answers."""
    with pytest.raises(ValueError, match="answered by the provider that is passed to check_cache"):
        await check_cache(
            CachedInline, Provider(), arguments={"provider": Provider()}, sample_rate=8000
        )


async def test_the_name_of_a_check_is_no_collection() -> None:
    """A string would be taken for its letters."""
    with pytest.raises(TypeError, match=r"as \['mixes'\] is, not a string"):
        await check(CachedInline, only="mixes")


@pytest.mark.parametrize("voices", ["ab", ("anna",), ("anna", "anna"), ("anna", "ben", "cleo")])
async def test_a_change_takes_two_voices(voices: Any) -> None:
    """Anything else is refused at once."""
    with pytest.raises(ValueError, match="voices must be two values"):
        await check(CachedInline, voices=voices)


async def test_only_services_are_checked() -> None:
    """A factory that gives something else is refused at once."""
    with pytest.raises(TypeError, match="make_service must give a TTSService, not a object"):
        await check_cache(lambda **_: object(), Provider())  # type: ignore[arg-type,return-value]


async def test_a_function_must_add_the_mixin() -> None:
    """A function that gives a bare service is told what else to pass."""
    provider = Provider()
    with pytest.raises(TypeError, match="may be the class of the service itself"):
        await check_cache(lambda **_: InlineService(provider), provider, sample_rate=8000)


async def test_there_are_only_these_checks() -> None:
    """A check that is not there is refused at once."""
    with pytest.raises(ValueError, match="and no 'everything'"):
        await check(CachedInline, only=["everything"])


def test_pipecat_is_imported_when_it_is_used() -> None:
    """The names are there without it; the voice and the provider do not need it."""
    code = (
        "import sys; from pipecat_tts_cache import testing; dir(testing); "
        "from pipecat_tts_cache.testing import Provider, listen, speak; "
        "sys.exit('pipecat' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_the_public_names() -> None:
    """What is promised is there."""
    assert sorted(testing.__all__) == testing.__all__ == dir(testing)
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing
