#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a store gives up when it is full.

Each utterance has a priority, one number that is set when it is stored and each time it is used;
the lowest goes first. By default that is GDSF, GreedyDual-Size-Frequency (Cherkasova, 1998)::

    priority = floor + min(uses, 8)² / size

Short lines that repeat stay, long ones that are said once go. The floor is the highest priority
given up so far, so that what was said often, but long ago, does not stay for ever. If room could
only be made at the cost of something worth more, the newcomer is refused, and the floor rises to
its priority. The uses of what was given up or refused lately are remembered. What is pinned has a
priority above all others, and is never given up: what only it could make room for is refused.

The square and the bound on uses were found on real dialogues, where this keeps up to eight times
the hits of LRU in a small store: `benchmarks/hitrate.py`.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Literal, TypeVar

Eviction = Literal["gdsf", "lru"]
"""By how often and how long, or by when it was last used."""

MAX_USES = 8
"""What was said for weeks must be able to make way for what is said now."""
REMEMBERED = 1000
"""Of how many keys it is remembered how often they were used, when they have gone."""
HEAP_SLACK = 64
"""Entries of a heap beyond twice those that count, from where on it is made anew."""
PINNED = math.inf
"""The priority of what is pinned."""
_MOST_RISEN = 256
_Key = TypeVar("_Key", bound=Hashable)


def priority(
    eviction: Eviction, *, floor: float, uses: int, size: int, now: float, pinned: bool = False
) -> float:
    """Tell how much an utterance is worth keeping.

    Args:
        eviction: The policy.
        floor: The highest priority given up so far.
        uses: How often it was stored or looked up, at least 1.
        size: Bytes that it takes.
        now: A time, or anything that grows from one use to the next.
        pinned: Whether it is pinned.

    Returns:
        Its priority: the lowest goes first, and `PINNED` never.
    """
    if pinned:
        return PINNED
    return now if eviction == "lru" else floor + min(uses, MAX_USES) ** 2 / max(size, 1)


def must_stay(kept: float, newcomer: float) -> bool:
    """Tell whether something is kept though room is needed.

    Args:
        kept: Its priority.
        newcomer: The priority of what needs the room.

    Returns:
        Whether it is worth more, or pinned.
    """
    return kept > newcomer or kept == PINNED


class EvictionQueue(Generic[_Key]):
    """Keys in the order in which they are given up.

    Priorities only rise; so a key that has risen stays where it is in the heap until it comes to
    the top, and a use costs nothing here.
    """

    def __init__(self, current: Callable[[_Key], tuple[float, int] | None]) -> None:
        """Start empty.

        Args:
            current: Tells a key's priority now and the number it was added under, or None if it is
                gone.
        """
        self._current = current
        self._heap: list[tuple[float, int, _Key]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, key: _Key, priority: float, number: int) -> None:
        """Add a key.

        Args:
            key: The key.
            priority: Its priority.
            number: What tells it from what was there before under the same key, and from all
                others; of two with the same priority, the lower goes first.
        """
        heapq.heappush(self._heap, (priority, number, key))

    def pop(self) -> tuple[float, _Key] | None:
        """Take out what goes first.

        Where hundreds have risen since they were last looked at, it is the lowest of 256: nobody
        waits until a million are put in order.

        Returns:
            Its priority and the key, or None if there is nothing. To spare it, add it again.
        """
        heap = self._heap
        seen: list[tuple[float, int, _Key]] = []
        while heap and not (seen and seen[0] <= heap[0]) and len(seen) < _MOST_RISEN:
            _, number, key = heapq.heappop(heap)
            now = self._current(key)
            if now is not None and now[1] == number:
                heapq.heappush(seen, (now[0], number, key))
        if not seen:
            return None
        lowest, _, key = heapq.heappop(seen)
        for each in seen:
            heapq.heappush(heap, each)
        return lowest, key

    def compact(self, alive: int) -> None:
        """Forget what is gone, once that outnumbers what is not.

        Args:
            alive: How many keys there are.
        """
        if len(self._heap) > 2 * alive + HEAP_SLACK:
            found = ((self._current(key), number, key) for _, number, key in self._heap)
            self._heap = [
                (now[0], number, key) for now, number, key in found if now and now[1] == number
            ]
            heapq.heapify(self._heap)


class UsesOfTheGone(Generic[_Key]):
    """How often what was given up or refused had been used, for a while and without the audio.

    What was often said and comes back need not begin anew.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        """Start empty.

        Args:
            most: How many keys to remember.
        """
        self._most = most
        self._uses: OrderedDict[_Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._uses)

    def add(self, key: _Key, uses: int) -> None:
        """Remember a key.

        Args:
            key: What has gone.
            uses: How often it was stored or looked up.
        """
        self._uses[key] = uses
        if len(self._uses) > self._most:
            self._uses.popitem(last=False)

    def take(self, key: _Key) -> int:
        """Forget a key.

        Args:
            key: What comes back, or must leave no trace.

        Returns:
            How often it was used, 0 if that is not known.
        """
        return self._uses.pop(key, 0)

    def forget(self, which: Callable[[_Key], bool]) -> None:
        """Forget some keys.

        Args:
            which: Tells for a key whether it must leave no trace.
        """
        for key in list(filter(which, self._uses)):
            del self._uses[key]
