#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The sound files of the object store: written, read, and whether their time is over."""

import asyncio
from contextlib import suppress

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.sound.file import (
    SoundFile,
    SoundHead,
    from_sound_file,
    is_encoded,
    read_sound_head,
    to_sound_file,
)
from pipecat_tts_cache.utterance import Utterance

_LARGE = 1 << 20
"""Bytes that take more than a millisecond to check."""


async def write_file(key: CacheKey, utterance: Utterance, codec: Codec) -> SoundFile:
    """Write an utterance as a sound file, off the event loop where that takes long.

    Args:
        key: Where it will be kept.
        utterance: The utterance, with when it expires.
        codec: How to write its samples.

    Returns:
        The file.

    Raises:
        RecordError: If it cannot be written as one.
    """

    def write() -> SoundFile:
        return to_sound_file(utterance, namespace=key.namespace, codec=codec)

    if codec == "raw" and len(utterance.audio) < _LARGE:
        return write()
    return await asyncio.to_thread(write)


async def read_file(key: CacheKey, file: bytes) -> Utterance:
    """Read an utterance from a sound file, off the event loop where that takes long.

    Args:
        key: Where it was kept.
        file: All of the file.

    Returns:
        The utterance, with when it expires.

    Raises:
        CorruptRecordError: If the file is damaged, or another namespace's.
        NewerRecordError: If it is of a newer format.
    """
    if is_encoded(file) or len(file) > _LARGE:
        namespace, utterance = await asyncio.to_thread(from_sound_file, file)
    else:
        namespace, utterance = from_sound_file(file)
    if namespace != key.namespace:
        raise CorruptRecordError("the file is another namespace's")
    return utterance


def is_over(utterance: Utterance, now: float) -> bool:
    """Tell whether the time of an utterance is over.

    Args:
        utterance: The utterance.
        now: What time it is, in seconds since the Unix epoch.

    Returns:
        Whether it has expired, which nothing pinned does.
    """
    if utterance.pinned or utterance.expires_at is None:
        return False
    return utterance.expires_at <= now


def describe_file(head: bytes, now: float) -> SoundHead | None:
    """Read the beginning of a file.

    Args:
        head: The beginning.
        now: What time it is, in seconds since the Unix epoch.

    Returns:
        What it says, or None if the file cannot be used or has expired.
    """
    try:
        found = read_sound_head(head)
    except RecordError:
        return None
    return None if is_over(found.utterance, now) else found


def has_ended(head: bytes, now: float) -> bool:
    """Tell whether a file that can be used has expired.

    Args:
        head: Its beginning.
        now: What time it is, in seconds since the Unix epoch.

    Returns:
        Whether it has.
    """
    with suppress(RecordError):
        return is_over(read_sound_head(head).utterance, now)
    return False


def is_live(head: bytes, now: float) -> bool:
    """Tell whether a file counts when it is deleted, which also one that is newer does.

    Args:
        head: Its beginning.
        now: What time it is, in seconds since the Unix epoch.

    Returns:
        Whether it does.
    """
    try:
        return not is_over(read_sound_head(head).utterance, now)
    except NewerRecordError:
        return True
    except CorruptRecordError:
        return False
