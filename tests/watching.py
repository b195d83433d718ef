#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Two stores on a Redis server, of which one listens to what the other does."""

from collections.abc import AsyncIterator

import pytest

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key
from tests.eventually import eventually
from tests.servers import Server


@pytest.fixture
async def other(server: Server) -> AsyncIterator[RedisCacheBackend]:
    """Another process's store."""
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as store:
        yield store


async def listens(store: RedisCacheBackend) -> None:
    """Use a store, and wait until it listens."""
    await store.exists(make_key("nothing", "nowhere"))
    await eventually(lambda: store._watch.is_listening)
