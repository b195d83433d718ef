#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What bots do besides plain turns: without a cache, with a cold one, and with a warm one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.view import View, differences
from tests.cached import KINDS, Kind
from tests.test_mixes import MISTIMED, timed_as_heard

Scenario = Callable[[Bot], Awaitable[None]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    return KINDS[request.param]


async def speak_only(bot: Bot) -> None:
    """A greeting."""
    await bot.speak("Hello and welcome.")


async def two_in_a_row(bot: Bot) -> None:
    """Two speak frames back to back, the second one short."""
    await bot.speak("Hello and welcome.")
    await bot.speak("Yes.")


async def turns_with_a_pause(bot: Bot) -> None:
    """Two turns, the second one when the first is through."""
    await bot.llm_turn(["One moment, please. ", "I am looking."])
    await bot.until_quiet()
    await bot.llm_turn(["One moment, please. ", "Here it is."])


async def turns_without_a_pause(bot: Bot) -> None:
    """Two turns back to back."""
    await bot.llm_turn(["One moment, please. ", "I am looking."])
    await bot.llm_turn(["Here it is. ", "One moment, please."])


async def repeated_in_a_turn(bot: Bot) -> None:
    """The same sentence three times in a turn."""
    await bot.llm_turn(["Yes indeed. ", "Yes indeed. ", "No way. ", "Yes indeed."])


async def not_for_the_context(bot: Bot) -> None:
    """A speak frame that is not to be committed."""
    await bot.speak("This is a test call.", append_to_context=False)


async def uninterruptible(bot: Bot) -> None:
    """A speak frame that may not be interrupted."""
    await bot.speak("This call is recorded.", interruptible=False)


async def an_empty_turn(bot: Bot) -> None:
    """A turn without any text, then one with."""
    await bot.llm_turn([])
    await bot.llm_turn(["Here it is."])


async def a_long_turn(bot: Bot) -> None:
    """More sentences than may be under way at once."""
    await bot.llm_turn([f"Number {n} is next. " for n in range(7)] + ["That is all."])


SCENARIOS: list[Scenario] = [
    speak_only,
    two_in_a_row,
    turns_with_a_pause,
    turns_without_a_pause,
    repeated_in_a_turn,
    not_for_the_context,
    uninterruptible,
    an_empty_turn,
    a_long_turn,
]


async def play(service: Any, scenario: Scenario) -> tuple[View, list[str]]:
    async with running(service) as bot:
        await scenario(bot)
        return await bot.until_quiet(), bot.messages


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_nobody_can_tell(kind: Kind, scenario: Scenario) -> None:
    """Without a cache, with a cold one and with a warm one the same leaves the service."""
    backend = MemoryCacheBackend()
    async with kind.server() as server:
        expected, messages = await play(kind.without_cache(server), scenario)
        if kind in MISTIMED:
            timed_as_heard(expected)
        cold, cold_messages = await play(kind.with_cache(server, cache_backend=backend), scenario)
        assert [] == differences(expected, cold)
        assert messages == cold_messages
        asked = len(server.requests)
        warm, warm_messages = await play(kind.with_cache(server, cache_backend=backend), scenario)
        assert [] == differences(expected, warm)
        assert messages == warm_messages
        assert asked == len(server.requests)
    assert [] == warm.usage
    assert [] == warm.ttfb
