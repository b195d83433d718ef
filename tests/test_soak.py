#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The soak in short, and that it finds what it looks for."""

from itertools import count
from typing import Any

import pytest

from pipecat_tts_cache import CacheKey
from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.speaking.conductor import Conductor
from pipecat_tts_cache.speaking.live import LiveSpeech
from tests.cached_scripted import CACHED_SCRIPTED
from tests.pipecat_versions import as_now
from tests.soak import Soak


async def soaked(bots: int, seconds: float) -> Soak:
    soak = Soak(bots, seconds)
    await soak.run()
    return soak


@as_now
async def test_many_bots_on_one_store() -> None:
    """Bots of every kind talk, are interrupted and change their voice; nothing wrong is left."""
    soak = await soaked(2 * len(CACHED_SCRIPTED), 20.0)
    assert [] == soak.findings
    for what in ("hits", "misses", "stores", "interruptions", "changes of voice"):
        assert soak.done[what]
    assert {"slow", "raising", "hanging", "corrupt"} & soak.backend.calls.keys()


def one_voice(monkeypatch: pytest.MonkeyPatch) -> str:
    """The voice is not in the key."""
    digest = Phrasebook._digest

    async def broken(self: Phrasebook, text: str, settings: Any, sample_rate: int) -> str:
        return await digest(self, text, {**settings, "voice": ""}, sample_rate)

    monkeypatch.setattr(Phrasebook, "_digest", broken)
    return "was spoken as"


def one_namespace(monkeypatch: pytest.MonkeyPatch) -> str:
    """All share one namespace."""
    key = Phrasebook.key

    async def broken(self: Phrasebook, *args: Any, **details: Any) -> Any:
        found = await key(self, *args, **details)
        return found and CacheKey("", found.digest)

    monkeypatch.setattr(Phrasebook, "key", broken)
    return "was spoken as"


def lost_audio(monkeypatch: pytest.MonkeyPatch) -> str:
    """A chunk of live audio is lost now and then."""
    hear, chunks = LiveSpeech._hear_audio, count(1)

    async def broken(self: LiveSpeech, *args: Any) -> None:
        if next(chunks) % 20:
            await hear(self, *args)

    monkeypatch.setattr(LiveSpeech, "_hear_audio", broken)
    return "left the service"


def kept_turns(monkeypatch: pytest.MonkeyPatch) -> str:
    """Turns are not forgotten."""
    monkeypatch.setattr(Conductor, "played", lambda *_: None)
    return "turns left"


def uncounted(monkeypatch: pytest.MonkeyPatch) -> str:
    """What was not found is not counted."""
    find = Phrasebook.find

    async def broken(self: Phrasebook, *args: Any) -> Any:
        found = await find(self, *args)
        self.stats.misses -= found is None
        return found

    monkeypatch.setattr(Phrasebook, "find", broken)
    return "requests for"


@pytest.mark.parametrize("breakage", [one_voice, one_namespace, lost_audio, kept_turns, uncounted])
async def test_what_is_broken_is_found(breakage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soak finds wrong voices, strangers' speech, lost audio, leaks and wrong counts."""
    expected = breakage(monkeypatch)
    soak = await soaked(8, 12.0)
    assert [finding for finding in soak.findings if expected in finding]
