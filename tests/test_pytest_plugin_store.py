#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The recordings of a test are a store like any other, but nothing in it expires."""

import asyncio
from pathlib import Path

import pytest

from pipecat_tts_cache import CacheBackend, CacheKey
from pipecat_tts_cache.pytest_plugin import SpeechRecorder
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.pytest_plugin.tape import Mode, Run, Tape
from pipecat_tts_cache.testing import StoreContract
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

KEY = make_key()


class TestTape(StoreContract):
    """What every store promises, but for time."""

    async def advance(self, seconds: float) -> None:
        """Nothing depends on time."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> CacheBackend:
        """The store of a test that may record."""
        return Tape(Run(Mode.USE, Library(tmp_path)))

    async def test_time_to_live(self, backend: CacheBackend) -> None:
        """A time to live makes no difference."""
        await backend.set(KEY, make_utterance(), ttl=1e-9)
        assert await backend.exists(KEY)
        assert make_utterance() == await backend.get(KEY)

    test_use_does_not_lengthen_life = test_the_last_time_to_live_counts = test_time_to_live
    test_a_sweep_leaves_what_has_not_expired = test_time_to_live

    async def test_an_entry_describes_its_utterance(self, backend: CacheBackend) -> None:
        """What is known of a line is listed."""
        await backend.set(KEY, make_utterance())
        (entry,) = [entry async for entry in backend.entries()]
        assert (KEY, "Sentence 0.", None) == (entry.key, entry.text, entry.expires_at)


class Recorded:
    """A folder with a recording, and runs that use it. What blocks is done in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def run(self, mode: str) -> Run:
        return await asyncio.to_thread(lambda: Run(Mode(mode), Library(self._root)))

    async def keys(self) -> list[CacheKey]:
        return list((await self.run("use")).library.recordings)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A folder with one recording."""
    Library(tmp_path).add(KEY, make_utterance())
    return Recorded(tmp_path)


async def test_a_test_forgets_nothing_for_others(recorded: Recorded) -> None:
    """What a bot clears or deletes is gone for its test, and no file is removed."""
    run = await recorded.run("use")
    tape = Tape(run)
    assert 1 == await tape.clear()
    assert await tape.get(KEY) is None
    assert [] == [entry async for entry in tape.entries()]
    await asyncio.to_thread(tape.write)
    assert await Tape(run).exists(KEY)
    assert [KEY] == await recorded.keys()


async def test_what_a_bot_forgets_is_still_replayed(recorded: Recorded) -> None:
    """The recordings stand for the provider as well, which would say the line again."""
    tape = Tape(await recorded.run("replay"))
    assert await tape.delete(KEY)
    assert not await tape.exists(KEY)
    found = await tape.get(KEY)
    assert found is not None
    assert make_utterance().audio == found.audio
    assert {} == tape.missing


async def test_a_replay_writes_nothing(recorded: Recorded) -> None:
    """What a bot stores by itself lasts as long as its test."""
    run = await recorded.run("replay")
    tape = Tape(run)
    await tape.set(make_key("y"), make_utterance())
    assert make_utterance() == await tape.get(make_key("y"))
    await asyncio.to_thread(tape.write)
    assert [KEY] == await recorded.keys()
    assert not await Tape(run).exists(make_key("y"))


async def test_to_record_is_to_find_nothing_but_what_is_new(recorded: Recorded) -> None:
    """What earlier runs have recorded is not there, what this run has recorded is."""
    run = await recorded.run("record")
    tape = Tape(run)
    assert await tape.get(KEY) is None
    assert not await tape.exists(KEY)
    await tape.set(KEY, make_utterance(1))
    await asyncio.to_thread(tape.write)
    found = await Tape(run).get(KEY)
    assert found is not None
    assert make_utterance(1).audio == found.audio


async def test_a_service_of_ones_own_is_told_of_what_is_missing(recorded: Recorded) -> None:
    """A store does not know the text of what it is asked for by a service it has not made."""
    recorder = SpeechRecorder(await recorded.run("replay"))
    assert recorder.backend is not None
    assert await recorder.backend.get(make_key("y")) is None
    assert {make_key("y"): None} == recorder.tape.missing


async def test_without_a_cache_there_is_no_store(recorded: Recorded) -> None:
    """A service with that for its store is as Pipecat ships it."""
    assert SpeechRecorder(await recorded.run("off")).backend is None


async def test_statistics_name_the_mode(recorded: Recorded) -> None:
    """How many lines there are, and what becomes of others."""
    tape = Tape(await recorded.run("replay"))
    assert {"entries": 1, "mode": "replay"} == await tape.get_stats()
