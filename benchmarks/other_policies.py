#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Eviction policies that need more than a number for each entry: queues, counters, or the future.

They count bytes where their authors count entries.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain

from policies import Policy, Request, Shelf


class SLRU(Policy):
    """LRU in two segments: what is used twice moves to the one that newcomers do not touch."""

    _PROTECTED = 0.8

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self.probation: Shelf = OrderedDict()
        self.protected: Shelf = OrderedDict()
        self._protected_bytes = 0

    def lookup(self, request: Request) -> bool:
        if request.key in self.protected:
            self.protected.move_to_end(request.key)
        elif request.key in self.probation:
            self.protected[request.key] = self.probation.pop(request.key)
            self._protected_bytes += request.size
            self._demote()
        else:
            return False
        return True

    def _demote(self) -> None:
        while self._protected_bytes > self._PROTECTED * self.capacity and len(self.protected) > 1:
            key, demoted = self.protected.popitem(last=False)
            self.probation[key] = demoted
            self._protected_bytes -= demoted.size

    def admit(self, request: Request) -> None:
        if request.size > self.capacity:
            return
        while self.full_for(request):
            if self.probation:
                self.take(self.probation)
            else:
                self._protected_bytes -= self.take(self.protected).size
        self.put(self.probation, request)

    def entries(self) -> Iterable[Request]:
        return chain(self.probation.values(), self.protected.values())


class Sieve(Policy):
    """SIEVE: a hand goes from the oldest to the newest, and spares once what was used."""

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self._kept: Shelf = OrderedDict()
        self._visited: set[Hashable] = set()
        self._queue: list[Hashable] = []
        self._hand = 0

    def lookup(self, request: Request) -> bool:
        if request.key in self._kept:
            self._visited.add(request.key)
            return True
        return False

    def admit(self, request: Request) -> None:
        if request.size > self.capacity:
            return
        while self.full_for(request):
            self._hand %= len(self._queue)
            if (key := self._queue[self._hand]) in self._visited:
                self._visited.discard(key)
                self._hand += 1
            else:
                del self._queue[self._hand]
                self.take(self._kept, key)
        self.put(self._kept, request)
        self._queue.append(request.key)

    def entries(self) -> Iterable[Request]:
        return self._kept.values()


class S3FIFO(Policy):
    """S3-FIFO: what is not used in a small queue leaves at once, but for its name."""

    _SMALL = 0.1
    _MOST_USES = 3

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self._small: Shelf = OrderedDict()
        self._main: Shelf = OrderedDict()
        self._gone: Shelf = OrderedDict()
        self._uses: Counter[Hashable] = Counter()
        self._small_bytes = self._gone_bytes = 0

    def lookup(self, request: Request) -> bool:
        if request.key not in self._small and request.key not in self._main:
            return False
        self._uses[request.key] = min(self._MOST_USES, self._uses[request.key] + 1)
        return True

    def admit(self, request: Request) -> None:
        if request.size > self.capacity:
            return
        while self.full_for(request):
            if self._small and (self._small_bytes >= self._SMALL * self.capacity or not self._main):
                self._leave_small()
            else:
                self._leave_main()
        if self._gone.pop(request.key, None):
            self._gone_bytes -= request.size
            self.put(self._main, request)
        else:
            self.put(self._small, request)
            self._small_bytes += request.size

    def entries(self) -> Iterable[Request]:
        return chain(self._small.values(), self._main.values())

    def _leave_small(self) -> None:
        request = self.take(self._small)
        self._small_bytes -= request.size
        if self._uses.pop(request.key, 0):
            self.put(self._main, request)
            return
        self._gone[request.key] = request
        self._gone_bytes += request.size
        while self._gone_bytes > (1 - self._SMALL) * self.capacity:
            self._gone_bytes -= self._gone.popitem(last=False)[1].size

    def _leave_main(self) -> None:
        request = self.take(self._main)
        if self._uses[request.key]:
            self._uses[request.key] -= 1
            self.put(self._main, request)
        else:
            del self._uses[request.key]


class WTinyLFU(Policy):
    """W-TinyLFU: what leaves a small window is kept if it was asked for more often than what goes.

    All requests are counted, exactly, and the counts are halved every so often.
    """

    _WINDOW = 0.01
    _HALVED_AFTER = 10

    def __init__(self, capacity: float) -> None:
        super().__init__(capacity)
        self._window: Shelf = OrderedDict()
        self._window_bytes = 0
        self._main = SLRU((1 - self._WINDOW) * capacity)
        self._counts: Counter[Hashable] = Counter()
        self._counted = 0

    def lookup(self, request: Request) -> bool:
        self._count(request)
        if request.key in self._window:
            self._window.move_to_end(request.key)
            return True
        return self._main.lookup(request)

    def admit(self, request: Request) -> None:
        self._window[request.key] = request
        self._window_bytes += request.size
        while self._window_bytes > self._WINDOW * self.capacity:
            _, candidate = self._window.popitem(last=False)
            self._window_bytes -= candidate.size
            victim = next(iter(self._main.entries()), None)
            if (
                not self._main.full_for(candidate)
                or victim is None
                or self._counts[candidate.key] > self._counts[victim.key]
            ):
                self._main.admit(candidate)
        self.used = self._window_bytes + self._main.used

    def entries(self) -> Iterable[Request]:
        return chain(self._window.values(), self._main.entries())

    def _count(self, request: Request) -> None:
        self._counts[request.key] += 1
        self._counted += 1
        if self._counted >= self._HALVED_AFTER * max(100, sum(1 for _ in self._main.entries())):
            self._counts = Counter({k: n // 2 for k, n in self._counts.items() if n > 1})
            self._counted //= 2


class Belady(Policy):
    """Knows what will be asked for, and gives up what takes most bytes for longest: a ceiling.

    The very best for entries of unequal size takes too long to find; this is close to it.
    """

    def __init__(self, capacity: float, requests: Sequence[Request]) -> None:
        super().__init__(capacity)
        self._kept: Shelf = OrderedDict()
        self._next_of: dict[Hashable, float] = {}
        self._nexts = _next_requests(requests)
        self._now = -1

    def lookup(self, request: Request) -> bool:
        self._now += 1
        if request.key not in self._kept:
            return False
        self._next_of[request.key] = self._nexts[self._now]
        return True

    def admit(self, request: Request) -> None:
        if self._nexts[self._now] == math.inf:
            return
        self.put(self._kept, request)
        self._next_of[request.key] = self._nexts[self._now]
        while self.used > self.capacity:
            self.take(self._kept, max(self._kept, key=self._takes))

    def entries(self) -> Iterable[Request]:
        return self._kept.values()

    def _takes(self, key: Hashable) -> float:
        return (self._next_of[key] - self._now) * self._kept[key].size


def _next_requests(requests: Sequence[Request]) -> list[float]:
    """For each request, the number of the next one for the same."""
    following: dict[Hashable, int] = {}
    nexts = [math.inf] * len(requests)
    for number in range(len(requests) - 1, -1, -1):
        nexts[number] = following.get(requests[number].key, math.inf)
        following[requests[number].key] = number
    return nexts
