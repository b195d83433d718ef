#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The bot that a user would deploy: what it needs, and what it says to whom."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import Frame, TTSTextFrame
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection
from pipecat.runner.types import RunnerArguments
from pipecat.transports.base_transport import BaseTransport

import voice_bot
from pipecat_tts_cache.testing.driver import PATIENCE
from tests.example import EXAMPLES, run
from tests.providers.cartesia import CartesiaServer

KEYS = ["DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"]


@pytest.mark.parametrize("given", [{}, {KEYS[1]: "set"}, {KEYS[0]: "set", KEYS[2]: " "}])
def test_voice_bot_names_all_missing_keys(tmp_path: Path, given: dict[str, str]) -> None:
    """Without its keys the bot says which are missing, and where to put them, and ends."""
    shutil.copy(EXAMPLES / "voice_bot.py", tmp_path)  # away from anybody's .env
    done = run("voice_bot.py", cwd=tmp_path, **given)
    assert 1 == done.returncode
    for key in KEYS:
        missing = not given.get(key, "").strip()
        assert missing == (f"  {key}" in done.stderr), key
    assert str(tmp_path / ".env") in done.stderr
    assert "Traceback" not in done.stderr


def test_voice_bot_refuses_a_bad_store(tmp_path: Path) -> None:
    """A REDIS_URL that is none is said before the server starts."""
    shutil.copy(EXAMPLES / "voice_bot.py", tmp_path)
    done = run("voice_bot.py", cwd=tmp_path, REDIS_URL="localhost", **dict.fromkeys(KEYS, "set"))
    assert 1 == done.returncode
    assert "voice_bot.py cannot use REDIS_URL: redis_url must start with" in done.stderr


class Phone(BaseTransport):
    """A transport to a client that hears what the bot says, and says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = ""
        self.news = asyncio.Event()
        self.answered = asyncio.Event()
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")

    def add_event_handler(self, event_name: str, handler: Any) -> None:
        super().add_event_handler(event_name, handler)
        if event_name == "on_client_disconnected":  # the last that the bot listens for
            self.answered.set()

    def input(self) -> IdentityFilter:
        return IdentityFilter()

    def output(self) -> IdentityFilter:
        phone = self

        class Ear(IdentityFilter):
            async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
                if isinstance(frame, TTSTextFrame):
                    phone.heard = f"{phone.heard} {frame.text}".strip()
                    phone.news.set()
                await super().process_frame(frame, direction)

        return Ear()

    async def until_heard(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.heard != text:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def bots(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CartesiaServer]:
    """The bot's surroundings: a provider for its voice on loopback, nobody for its ears."""

    class Deaf(IdentityFilter):
        def __init__(self, *, api_key: str) -> None:
            super().__init__()

    async with CartesiaServer() as server:

        class Local(voice_bot.CachedCartesiaTTSService):
            def __init__(self, **options: Any) -> None:
                super().__init__(**{**options, **server.options()})

        for key in KEYS:
            monkeypatch.setenv(key, "set")
        monkeypatch.delenv("REDIS_URL", raising=False)
        monkeypatch.setattr(voice_bot, "DeepgramSTTService", Deaf)
        monkeypatch.setattr(voice_bot, "SileroVADAnalyzer", lambda: None)
        monkeypatch.setattr(voice_bot, "CachedCartesiaTTSService", Local)
        voice_bot.store.cache_clear()
        yield server
        voice_bot.store.cache_clear()


@asynccontextmanager
async def call() -> AsyncIterator[Phone]:
    """A call to the bot, hung up at the end."""
    phone = Phone()
    bot = asyncio.create_task(voice_bot.run_bot(phone, RunnerArguments()))
    async with asyncio.timeout(PATIENCE):
        await phone.answered.wait()
    try:
        await phone._call_event_handler("on_client_connected", "client")
        yield phone
    finally:
        await phone._call_event_handler("on_client_disconnected", "client")
        await asyncio.wait_for(bot, PATIENCE)


async def test_voice_bot_greets_from_memory(
    bots: CartesiaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Every caller is greeted, and the provider is asked for the greeting only once."""
    for _ in range(3):
        async with call() as phone:
            await phone.until_heard(voice_bot.GREETING)

    assert [voice_bot.GREETING] == [request.text for request in bots.requests]
    savings = [m for m in caplog.messages if m.startswith("Client disconnected.")]
    assert ["0 of 1", "1 of 1", "1 of 1"] == [s.split(": ")[1][:6] for s in savings]
