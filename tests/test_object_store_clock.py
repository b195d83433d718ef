#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the object store does when the clock of one bot is set, while others share its bucket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from pipecat_tts_cache.backends import ObjectStoreCacheBackend
from pipecat_tts_cache.backends.wall_clock import SETTLED
from pipecat_tts_cache.inventory import delete_text
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock

NOW, HOUR, DAY = 1_800_000_000.0, 3600.0, 86_400.0


@pytest.fixture(params=["a folder", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStore | MemoryStore:
    return LocalStore(tmp_path) if request.param == "a folder" else MemoryStore()


@pytest.fixture
def passed() -> Clock:
    """The time that passes for both bots."""
    return Clock()


@pytest.fixture
def ahead() -> Clock:
    """How far the clock of one of them is ahead."""
    return Clock()


@pytest.fixture
async def right(
    objects: LocalStore | MemoryStore, passed: Clock
) -> AsyncIterator[ObjectStoreCacheBackend]:
    """The store of a bot whose clock is right, with an utterance that is kept for a day."""
    async with ObjectStoreCacheBackend(
        store=objects,
        timeout=20,
        write_timeout=20,
        clock=passed,
        wall_clock=lambda: NOW + passed.now,
    ) as store:
        await store.set(make_key(), make_utterance(), ttl=DAY)
        yield store


@pytest.fixture
async def wrong(
    objects: LocalStore | MemoryStore, passed: Clock, ahead: Clock
) -> AsyncIterator[ObjectStoreCacheBackend]:
    """The store of a bot whose clock is set ahead, on the same objects."""
    async with ObjectStoreCacheBackend(
        store=objects,
        timeout=20,
        write_timeout=20,
        clock=passed,
        wall_clock=lambda: NOW + passed.now + ahead.now,
    ) as store:
        yield store


async def test_a_clock_that_jumps_ahead_and_back_takes_nothing_from_others(
    right: ObjectStoreCacheBackend, wrong: ObjectStoreCacheBackend, passed: Clock, ahead: Clock
) -> None:
    """By such a clock it is a miss, but no look-up, no sweep and no erasure deletes it."""
    assert make_utterance() == await wrong.get(make_key())
    passed.now += HOUR
    ahead.now = 30 * DAY
    for _ in range(2):
        assert await wrong.get(make_key()) is None
        assert await wrong.peek(make_key()) is None
        assert 0 == await wrong.sweep()
        await delete_text(wrong, "something else")
        assert make_utterance() == await right.get(make_key())
        passed.now += SETTLED / 2
    ahead.now = 0
    assert make_utterance() == await wrong.get(make_key())
    assert 0 == (await wrong.get_stats())["expirations"]


async def test_a_jump_that_is_first_seen_by_a_sweep_under_way_stops_it(
    right: ObjectStoreCacheBackend,
    wrong: ObjectStoreCacheBackend,
    ahead: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock that is set between the first page of a sweep and the next deletes nothing either."""
    heads = wrong._listing.heads

    async def jump(paths: list[str]) -> list[bytes | None]:
        ahead.now = 30 * DAY
        return await heads(paths)

    monkeypatch.setattr(wrong._listing, "heads", jump)
    assert 0 == await wrong.sweep()
    assert make_utterance() == await right.get(make_key())


@pytest.mark.parametrize("call", ["get", "sweep"])
async def test_a_clock_that_was_set_ahead_for_good_is_believed(
    right: ObjectStoreCacheBackend,
    wrong: ObjectStoreCacheBackend,
    passed: Clock,
    ahead: Clock,
    call: str,
) -> None:
    """What has expired by the new time is deleted once the clock has stood the test."""
    ahead.now = 30 * DAY
    assert await wrong.get(make_key()) is None
    passed.now += SETTLED
    await (wrong.get(make_key()) if call == "get" else wrong.sweep())
    assert await right.get(make_key()) is None
    assert 1 == (await wrong.get_stats())["expirations"]
