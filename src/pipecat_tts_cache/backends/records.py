#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Records written and read off the event loop, where that takes time."""

import asyncio
from importlib import import_module

from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import RecordError
from pipecat_tts_cache.utterance import Utterance, is_encoded

import_module("soundfile")  # now, as the first look-up would take 0.2 s for it


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
    return await asyncio.to_thread(utterance.to_bytes, codec=codec)


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
        return await asyncio.to_thread(Utterance.from_bytes, record)
    return Utterance.from_bytes(record)
