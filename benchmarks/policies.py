#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Eviction policies under a bound in bytes, as small as they can be: they keep requests, no audio.

`Ranked` is every policy that needs one number for each entry and gives up the lowest: in memory a
heap, in a database an indexed column. Those that need more are in `other_policies`.
"""

import heapq
import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from pipecat_tts_cache.backends.eviction import priority

_MEBI = 1 << 20
DECAY = 2000
"""Requests after which a use counts 1/e."""


class Request(NamedTuple):
    """A sentence that a bot says.

    Parameters:
        key: What it is kept under.
        size: What it takes in a store, in bytes.
        characters: The length of its text.
        counts: Whether it counts for the hit rate.
    """

    key: Hashable
    size: int
    characters: int
    counts: bool = True


Shelf = OrderedDict[Hashable, Request]


class Policy(ABC):
    """A store of so many bytes.

    Parameters:
        capacity: The most bytes that it keeps.
        used: The bytes that it keeps now.
    """

    def __init__(self, capacity: float) -> None:
        self.capacity, self.used = capacity, 0

    @abstractmethod
    def lookup(self, request: Request) -> bool:
        """Use what is kept, and say whether it was."""

    @abstractmethod
    def admit(self, request: Request) -> None:
        """Keep what was not there, if it is worth what has to go for it."""

    @abstractmethod
    def entries(self) -> Iterable[Request]:
        """What is kept."""

    def full_for(self, request: Request) -> bool:
        """Whether something has to go first."""
        return self.used + request.size > self.capacity

    def put(self, shelf: Shelf, request: Request) -> None:
        """Put it last on a shelf."""
        shelf[request.key] = request
        self.used += request.size

    def take(self, shelf: Shelf, key: Hashable | None = None) -> Request:
        """Take something from a shelf, or what is first on it."""
        request = shelf.pop(next(iter(shelf)) if key is None else key)
        self.used -= request.size
        return request


Rank = Callable[["Ranked", Request, int, float | None], float]
"""The number of an entry that is used so often; None, or what it was before."""


class Ranked(Policy):
    """Keeps one number for each entry, and gives up the lowest.

    Parameters:
        refuses: Whether it takes nothing for which it would have to give up something higher.
        remembers: Of how many keys that it gave up or refused it remembers the uses.
        now: How many look-ups there were.
        floor: The highest number that it has given up or refused: above it is what is still used.
    """

    def __init__(
        self, capacity: float, rank: Rank, *, refuses: bool = False, remembers: int = 0
    ) -> None:
        super().__init__(capacity)
        self.now, self.floor = 0, 0.0
        self._rank, self._refuses, self._remembers = rank, refuses, remembers
        self._kept: Shelf = OrderedDict()
        self._ranks: dict[Hashable, float] = {}
        self._uses: dict[Hashable, int] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._gone: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def lookup(self, request: Request) -> bool:
        self.now += 1
        if request.key not in self._kept:
            return False
        uses = self._uses[request.key] = self._uses[request.key] + 1
        self._ranks[request.key] = self._rank(self, request, uses, self._ranks[request.key])
        return True

    def admit(self, request: Request) -> None:
        uses, before = self._gone.pop(request.key, (0, None))
        uses += 1
        rank = self._rank(self, request, uses, before)
        if not self._make_room(request, rank):
            self._remember(request.key, uses, rank)
            return
        self.put(self._kept, request)
        self._ranks[request.key], self._uses[request.key] = rank, uses
        heapq.heappush(self._heap, (rank, self.now, request.key))

    def entries(self) -> Iterable[Request]:
        return self._kept.values()

    def _make_room(self, request: Request, rank: float) -> bool:
        """Give up the lowest until it fits, or nothing at all."""
        room, going = self.capacity - self.used, []
        while room < request.size and len(going) < len(self._kept):
            lowest, _, key = self._lowest()
            if self._refuses and lowest > rank:
                break
            going.append(heapq.heappop(self._heap))
            room += self._kept[key].size
        if room < request.size:
            for entry in going:
                heapq.heappush(self._heap, entry)
            self.floor = max(self.floor, rank) if self._refuses else self.floor
            return False
        for lowest, _, key in going:
            self.floor = max(self.floor, lowest)
            self.take(self._kept, key)
            self._remember(key, self._uses.pop(key), self._ranks.pop(key))
        return True

    def _lowest(self) -> tuple[float, int, Hashable]:
        """Numbers only rise, so what is lowest by its present number is soon found."""
        while True:
            rank, _, key = self._heap[0]
            if rank == self._ranks[key]:
                return self._heap[0]
            heapq.heapreplace(self._heap, (self._ranks[key], self.now, key))

    def _remember(self, key: Hashable, uses: int, rank: float) -> None:
        self._gone[key] = uses, rank
        while len(self._gone) > self._remembers:
            self._gone.popitem(last=False)


def by_arrival(store: Ranked, _request: Request, _uses: int, before: float | None) -> float:
    return store.now if before is None else before


def by_last_use(store: Ranked, _request: Request, _uses: int, _before: float | None) -> float:
    return store.now


def by_uses(store: Ranked, _request: Request, uses: int, _before: float | None) -> float:
    return uses + 1e-9 * store.now


def by_uses_aging(store: Ranked, _request: Request, uses: int, _before: float | None) -> float:
    return store.floor + uses


def gdsf(store: Ranked, request: Request, uses: int, _before: float | None) -> float:
    """GreedyDual-Size-Frequency: the uses for each byte, above the floor."""
    return store.floor + uses * _MEBI / request.size


def gdsf_cost(store: Ranked, request: Request, uses: int, _before: float | None) -> float:
    return store.floor + uses * request.characters * 1000 / request.size


def gdsf_squared(store: Ranked, request: Request, uses: int, _before: float | None) -> float:
    """What `MemoryCacheBackend` does."""
    return priority("gdsf", floor=store.floor, uses=uses, size=request.size, now=store.now)


def decaying(store: Ranked, request: Request, _uses: int, before: float | None) -> float:
    """The uses for each byte, where a use counts the less the more requests came after it.

    All lose the same share with every request, so their order stays, and the logarithm of what a
    use counted for at the very first request can be kept in place of what it counts for now.
    """
    now, size = store.now / DECAY, math.log(request.size)
    if before is None:
        return now - size
    uses = before + size
    return max(uses, now) + math.log1p(math.exp(-abs(uses - now))) - size


class TwoTouch(Ranked):
    """Keeps nothing before the second time, and then the most recently used longest."""

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity, by_last_use)
        self._seen: set[Hashable] = set()

    def admit(self, request: Request) -> None:
        if request.key in self._seen:
            super().admit(request)
        self._seen.add(request.key)
