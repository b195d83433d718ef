#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A service that runs can be given recordings in place of what it would say."""

from typing import Any

import pytest
from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import MemoryCacheBackend, UncacheableError
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from tests.cached_scripted import CACHED_SCRIPTED
from tests.company import no_time
from tests.sounds import sine
from tests.stored import entries

__all__ = ["no_time"]

RATE = 24_000
LINE = "One moment, please."
TONE = sine(RATE, seconds=1.5).tobytes()


def make(kind: str = "overlapping", **options: Any) -> Any:
    """Make a service with a store."""
    settings = TTSSettings(model="scripted", voice="anna", language=None)
    given = {"cache_backend": MemoryCacheBackend(), "settings": settings, **options}
    return CACHED_SCRIPTED[kind](Provider(), **given)


@pytest.mark.parametrize("kind", ["inline", "overlapping", "in order"])
async def test_it_is_heard_in_the_same_call(kind: str) -> None:
    """Until it is taken away."""
    tts = make(kind)
    async with running(tts, sample_rate=RATE) as bot:
        await tts.pin(LINE, TONE, audio_rate=RATE)
        await bot.speak(LINE)
        await bot.until_quiet()
        assert await tts.unpin(LINE)
        assert not await tts.unpin(LINE)
        await bot.speak(LINE)
        said = await bot.until_quiet()
    assert [True, False] == [TONE == context.audio for context in said.contexts]
    assert [LINE, LINE] == bot.messages
    assert [LINE] == tts.provider.texts


async def test_it_is_for_the_voice_of_the_moment() -> None:
    """Or for the one that the line names."""
    tts = make()
    async with running(tts, sample_rate=RATE) as bot:
        await bot.update_settings(voice="ben")
        await bot.until_quiet()
        pinned = await tts.pin(LINE, TONE, audio_rate=RATE)
        other = await tts.pin(Line(LINE, {"voice": "carla"}), TONE, audio_rate=RATE)
        assert ("ben", "carla") == (pinned.utterance.voice, other.utterance.voice)
        await bot.speak(LINE)
        said = await bot.until_quiet()
    assert TONE == said.contexts[0].audio


async def test_a_service_that_does_not_run_yet_can_be_told() -> None:
    """With the rate that its bot will have."""
    tts = make()
    await tts.pin(LINE, TONE, audio_rate=RATE, sample_rate=RATE)
    async with running(tts, sample_rate=RATE) as bot:
        await bot.speak(LINE)
        said = await bot.until_quiet()
    assert TONE == said.contexts[0].audio


async def test_what_holds_for_a_block_of_code_does_not_matter() -> None:
    """A recording is meant for later."""
    tts = make()
    async with running(tts, sample_rate=RATE):
        with tts.cache_control(bypass=True, no_store=True):
            await tts.pin(LINE, TONE, audio_rate=RATE)
    assert [LINE] == [each.text for each in entries(tts._tts_cache_book.options.backend)]


async def test_all_arguments_are_passed_on() -> None:
    """As to the function of that name."""
    tts = make()
    words = [("One", 0.1), ("moment", 0.2), ("please", 0.3)]
    async with running(tts, sample_rate=RATE):
        pinned = await tts.pin(
            LINE, TONE + TONE, words=words, loudness=-30, audio_rate=RATE, audio_channels=2
        )
        assert words == [(word.text, word.start) for word in pinned.utterance.words]
        assert 1.5 == pinned.utterance.duration
        assert pinned.gain < -10
        await tts.pin(LINE, TONE, audio_rate=RATE, as_turn=True, line_timeout=5)
        with pytest.raises(ValueError, match="several sentences"):
            await tts.pin(f"Hello. {LINE}", TONE, audio_rate=RATE, as_turn=True)


async def test_what_is_personal_is_refused() -> None:
    """It would not be looked up."""
    tts = make()
    tts.guard_values("Ada")
    async with running(tts, sample_rate=RATE):
        with pytest.raises(UncacheableError, match="personal"):
            await tts.pin("Hello, Ada.", TONE, audio_rate=RATE)


async def test_nonsense_is_refused() -> None:
    """In words."""
    with pytest.raises(ValueError, match="there is no store: give the service a cache_backend"):
        await make(cache_backend=None).pin(LINE, TONE, audio_rate=RATE)
    with pytest.raises(UncacheableError, match="disabled"):
        await make(cache_enabled=False).pin(LINE, TONE, audio_rate=RATE)
    tts: Any = make()
    with pytest.raises(TypeError, match="no setting 'speaker'"):
        await tts.pin(Line(LINE, {"speaker": "ben"}), TONE, audio_rate=RATE)
    with pytest.raises(TypeError, match="a string or a Line"):
        await tts.unpin(5)
