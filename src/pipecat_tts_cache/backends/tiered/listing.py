#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What several levels hold, each utterance listed once."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, suppress

from pipecat_tts_cache.backends.base import CacheKey, Entry
from pipecat_tts_cache.backends.tiered.level import GuardedLevel
from pipecat_tts_cache.errors import BackendError

_BATCH = 64


async def list_once(levels: Sequence[GuardedLevel], namespace: str | None) -> AsyncGenerator[Entry]:
    """List what levels hold, from the last to the first.

    That way round, what is copied to the front meanwhile is neither listed twice nor left out.

    Args:
        levels: The levels, from the front.
        namespace: The namespace, or None for everything.

    Yields:
        The entries, each from the last level that has it.

    Raises:
        BackendError: If a level fails, or does not list what it keeps.
    """
    for number in reversed(range(len(levels))):
        behind = levels[number + 1 :]
        batch: list[Entry] = []
        async with aclosing(levels[number].entries(namespace)) as listing:
            async for entry in listing:
                batch.append(entry)
                if len(batch) == _BATCH:
                    for each in await _only_here(batch, behind):
                        yield each
                    batch = []
        for each in await _only_here(batch, behind):
            yield each


async def held_by(levels: Iterable[GuardedLevel], keys: Iterable[CacheKey]) -> set[CacheKey]:
    """Tell what levels hold, as far as they answer.

    Args:
        levels: The levels.
        keys: What to look for.

    Returns:
        Those keys that at least one of the levels holds.
    """
    missing = set(keys)
    held: set[CacheKey] = set()
    for level in levels:
        with suppress(BackendError):
            for key in missing - held:
                if not level.drops.covers(key) and await level.ask(level.backend.exists, key):
                    held.add(key)
    return held


async def _only_here(entries: list[Entry], behind: Sequence[GuardedLevel]) -> list[Entry]:
    """Leave out what is also in levels behind."""

    async def is_behind(key: CacheKey) -> bool:
        for level in behind:
            if await level.insist(level.backend.exists, key):
                return True
        return False

    found = await asyncio.gather(*(is_behind(entry.key) for entry in entries))
    return [entry for entry, is_there in zip(entries, found, strict=True) if not is_there]
