#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Records are written and read in threads that wait for nobody else's work."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipecat_tts_cache.backends.records import read_record, write_record
from pipecat_tts_cache.errors import RecordError
from pipecat_tts_cache.testing.store_contract import make_utterance

SPOKEN = replace(make_utterance(), audio=bytes(48_000))
PATIENCE = 10.0


@pytest.fixture
async def busy_threads() -> AsyncIterator[None]:
    """All threads that asyncio has for everybody are at work on something long."""
    loop, done = asyncio.get_running_loop(), threading.Event()
    threads = ThreadPoolExecutor(2)
    loop.set_default_executor(threads)
    jobs = [loop.run_in_executor(None, done.wait) for _ in range(10)]
    yield
    done.set()
    await asyncio.gather(*jobs)


@pytest.mark.usefixtures("busy_threads")
@pytest.mark.parametrize("codec", ["raw", "flac", "opus"])
async def test_nobody_is_waited_for(codec: str) -> None:
    """While a bot's other work holds every thread of asyncio, records are written and read."""
    async with asyncio.timeout(PATIENCE):
        record = await write_record(SPOKEN, codec)  # type: ignore[arg-type]
        assert len(SPOKEN.audio) == len((await read_record(record)).audio)


async def test_an_utterance_that_cannot_be_replayed_is_no_record() -> None:
    """Whatever the codec, it is refused when it is written, not when it is read."""
    for codec in ("raw", "flac", "opus"):
        with pytest.raises(RecordError):
            await write_record(replace(SPOKEN, audio=b""), codec)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_reads_and_writes_too() -> None:
    """The threads of the parent are not those of its child."""

    async def round_trip() -> None:
        async with asyncio.timeout(PATIENCE):
            record = await write_record(SPOKEN, "flac")
            assert SPOKEN == await read_record(record)

    asyncio.run(round_trip())
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(round_trip())
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert (child, 0) == os.waitpid(child, 0)
