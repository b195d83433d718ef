#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What came of a write in several levels, put right where one would hide what others keep."""

import asyncio
from collections.abc import Sequence

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.backends.tiered.level import GuardedLevel, failures_in, together
from pipecat_tts_cache.errors import BackendError

Outcomes = Sequence[bool | BaseException]
"""What each level answered to a write, from the front, or what it raised."""


async def settle(
    levels: Sequence[GuardedLevel], outcomes: Outcomes, key: CacheKey, *, pinned: bool
) -> bool:
    """See to it that after a write the levels say the same.

    Args:
        levels: The levels, from the front.
        outcomes: What came of the write in each.
        key: What was written.
        pinned: Whether it was something pinned, which is for the last level to decide.

    Returns:
        Whether it was kept.

    Raises:
        BackendError: If it was not, and not because levels refused it.
    """
    refused = [level for level, each in zip(levels, outcomes, strict=True) if each is False]
    stands = not pinned and await _is_pinned_in(refused, key)
    kept = not stands and (outcomes[-1] is True if pinned else True in outcomes)
    if pinned or stands:
        _drop_others(levels, outcomes, key, kept=kept)
    elif kept:
        deleting = (level.insist(level.backend.delete, key) for level in refused)
        await asyncio.gather(*deleting, return_exceptions=True)
    if not kept and False not in (outcomes[-1:] if pinned else outcomes):
        raise together("not kept", failures_in(outcomes))
    return kept


async def _is_pinned_in(levels: Sequence[GuardedLevel], key: CacheKey) -> bool:
    """Tell whether a level refused something because of what is pinned there, or may have."""
    for level in levels:
        if level.backend.keeps_pins:
            try:
                found = await level.insist(level.backend.peek, key)
            except BackendError:
                return True  # to take that for a refusal of another kind could cost a recording
            if found is not None and found.pinned:
                return True
    return False


def _drop_others(
    levels: Sequence[GuardedLevel], outcomes: Outcomes, key: CacheKey, *, kept: bool
) -> None:
    """Let levels forget what is not to be heard: what they have is seen again from behind."""
    *fronts, last = zip(levels, outcomes, strict=True)
    for level, outcome in fronts:
        if outcome is not kept:
            level.drops.add(key)
    if last[1] is True and not kept:
        last[0].drops.add(key)
