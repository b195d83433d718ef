#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A bot for tests of the plugin: for those that pytester runs, and for those around them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.services.settings import TTSSettings

from pipecat_tts_cache.pytest_plugin import SpeechRecorder
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.pytest_plugin.tape import Mode, Run
from pipecat_tts_cache.testing import Bot, Provider, running
from tests.cached_scripted import CACHED_SCRIPTED

RATE = 24_000
INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
asked: list[str] = []
"""What providers were asked for."""


class Listed(Provider):
    """A provider that lists what it is asked for."""

    async def ask(self, text: str, **details: Any) -> Any:
        asked.append(text)
        return await super().ask(text, **details)


def settings(voice: str = "anna") -> TTSSettings:
    return TTSSettings(model="scripted", voice=voice, language=None)


@asynccontextmanager
async def bot_of(
    tts_cache: SpeechRecorder,
    kind: str = "overlapping",
    *,
    voice: str = "anna",
    first_audio: float = 0.0,
    **options: Any,
) -> AsyncGenerator[Bot, None]:
    provider = Listed(first_audio=first_audio)
    tts: Any = tts_cache(CACHED_SCRIPTED[kind], provider, settings=settings(voice), **options)  # type: ignore[type-var]
    async with running(tts, sample_rate=RATE) as bot:
        yield bot


async def say(tts_cache: SpeechRecorder, *lines: str, **options: Any) -> str:
    """Have a bot say lines one by one, and return what was heard."""
    async with bot_of(tts_cache, **options) as bot:
        for line in lines:
            await bot.speak(line)
            await bot.until_quiet()
        return bot.said().heard.text


def recorder(root: Any, mode: str) -> SpeechRecorder:
    """Begin a test outside of pytester."""
    return SpeechRecorder(Run(Mode(mode), Library(root)))


def write(pytester: pytest.Pytester, **tests: Sequence[str]) -> None:
    """Write a test for each name, in which a bot says lines."""
    pytester.makeini(INI)
    body = "\n".join(
        f"async def test_{name}(tts_cache):\n    await say(tts_cache, *{list(lines)!r})\n"
        for name, lines in tests.items()
    )
    pytester.makepyfile(test_bot=f"from tests.recorded import say\n\n{body}")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the tests; what their providers are asked for is listed anew."""
    asked.clear()
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "ignore", *arguments)
