#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What comes again and again in a stream, in bounded room.

It is "Space-Saving" by Metwally, Agrawal and El Abbadi (Efficient computation of frequent and top-k
elements in data streams, 2005): where there is no room, what came least is let go, and what is new
takes over its count as a possible error. What comes more often than once in `capacity` is held.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class Counted(Generic[V]):
    """How often something came.

    Parameters:
        value: What is held of it.
        most: It came so often at most.
        error: So many of these may have been something else.
    """

    value: V
    most: int
    error: int

    @property
    def count(self) -> int:
        """It came so often for certain: exactly so often as long as there was room."""
        return self.most - self.error


class Frequent(Generic[K, V]):
    """Counts what comes, and holds what comes most."""

    def __init__(self, capacity: int) -> None:
        """Start with nothing.

        Args:
            capacity: How many things to hold.
        """
        self._capacity = capacity
        self._held: dict[K, Counted[V]] = {}
        self._ranks: dict[int, dict[K, None]] = {}
        """What came so often at most, the oldest first."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[tuple[K, Counted[V]]]:
        return iter(self._held.items())

    def add(self, key: K, value: V) -> Counted[V]:
        """Count something.

        Args:
            key: What came.
            value: What to hold of it, if nothing is held by now.

        Returns:
            How often it came, and what is held of it; that may be changed.
        """
        counted = self._held.get(key)
        if counted is None:
            error = self._make_room()
            counted = self._held[key] = Counted(value, error, error)
        else:
            self._unrank(key, counted.most)
        counted.most += 1
        self._ranks.setdefault(counted.most, {})[key] = None
        return counted

    def forget(self, chosen: Callable[[K], bool]) -> None:
        """Let go of something.

        Args:
            chosen: Tells of each thing that is held whether to.
        """
        for key in [key for key in self._held if chosen(key)]:
            self._unrank(key, self._held.pop(key).most)

    def _make_room(self) -> int:
        """Let go of what came least, if there is no room; tell how often that was."""
        if len(self._held) < self._capacity:
            return 0
        least = min(self._ranks)
        key = next(iter(self._ranks[least]))
        self._unrank(key, least)
        del self._held[key]
        return least

    def _unrank(self, key: K, most: int) -> None:
        rank = self._ranks[most]
        del rank[key]
        if not rank:
            del self._ranks[most]
