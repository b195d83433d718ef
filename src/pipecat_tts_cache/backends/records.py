#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Records written and read off the event loop, where that takes time."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TypeVar

from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import RecordError
from pipecat_tts_cache.utterance import Utterance, is_encoded

import_module("soundfile")  # now, as the first look-up would take 0.2 s for it

_T = TypeVar("_T")


class _Threads:
    """Threads of our own: a look-up must not wait for whatever else a bot has threads do.

    Those that read do not wait for those that write, which may take half a second for Opus.
    """

    def __init__(self) -> None:
        self.start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.start)  # a fork has no threads but its own

    def start(self) -> None:
        self.reading = ThreadPoolExecutor(2, "tts-cache-reading")
        self.writing = ThreadPoolExecutor(1, "tts-cache-writing")


_threads = _Threads()


async def write_record(utterance: Utterance, codec: Codec) -> bytes:
    """Write a record.

    Args:
        utterance: The utterance.
        codec: How to write its samples.

    Returns:
        The record.

    Raises:
        RecordError: If text and words take more than a megabyte, or it could not be replayed.
    """
    if not utterance.is_sound():
        raise RecordError("an utterance that cannot be replayed is no record")
    if codec == "raw":
        return utterance.to_bytes()
    return await _in(_threads.writing, lambda: utterance.to_bytes(codec=codec))


async def read_record(record: bytes) -> Utterance:
    """Read a record.

    Args:
        record: The record.

    Returns:
        The utterance.

    Raises:
        CorruptRecordError: If anything about the record does not check out.
        NewerRecordError: If it was written in a format this version does not know.
    """
    if is_encoded(record):
        return await _in(_threads.reading, lambda: Utterance.from_bytes(record))
    return Utterance.from_bytes(record)


async def _in(threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(threads, work)
