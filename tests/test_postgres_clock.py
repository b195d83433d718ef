#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the Postgres store deletes when the clock of one bot is ahead of the server's."""

import time
from collections.abc import AsyncIterator

import pytest

from pipecat_tts_cache.backends.postgres import backend as module
from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock
from tests.postgres_server import (
    PostgresServer,
    lets_asyncpg_look_for_files,
    postgres,
    shared_postgres,
)

__all__ = ["lets_asyncpg_look_for_files", "postgres", "shared_postgres"]

DAY = 86_400.0


@pytest.fixture
async def right(postgres: PostgresServer) -> AsyncIterator[PostgresCacheBackend]:
    """The store of a bot whose clock is right, with an utterance that is kept for a day."""
    async with PostgresCacheBackend(postgres.url, timeout=20, write_timeout=20) as store:
        await store.set(make_key(), make_utterance(), ttl=DAY)
        yield store


@pytest.fixture
async def ahead(postgres: PostgresServer) -> AsyncIterator[PostgresCacheBackend]:
    """The store of a bot whose clock is 30 days ahead, on the same table."""
    async with PostgresCacheBackend(
        postgres.url,
        timeout=20,
        write_timeout=20,
        wall_clock=lambda: time.time() + 30 * DAY,
    ) as store:
        yield store


async def test_a_clock_that_is_ahead_takes_nothing_from_others(
    right: PostgresCacheBackend, ahead: PostgresCacheBackend
) -> None:
    """By such a clock it is a miss, but neither a sweep nor writes delete it."""
    assert await ahead.get(make_key()) is None
    assert 0 == await ahead.sweep()
    for i in range(2 * module._TIDY_EVERY):
        await ahead.set(make_key(str(i), "other"), make_utterance(num_bytes=2))
    assert make_utterance() == await right.get(make_key())
    assert 0 == (await ahead.get_stats())["expirations"]


async def test_a_clock_that_is_ahead_sweeps_what_is_over_for_all(
    postgres: PostgresServer, right: PostgresCacheBackend, ahead: PostgresCacheBackend
) -> None:
    """What has expired by the server's clock, too, goes, whoever sweeps."""
    async with PostgresCacheBackend(
        postgres.url, timeout=20, write_timeout=20, wall_clock=Clock(time.time() - 2 * DAY)
    ) as earlier:
        await earlier.set(make_key("over"), make_utterance(), ttl=DAY)
    assert 1 == await ahead.sweep()
    assert make_utterance() == await right.get(make_key())
