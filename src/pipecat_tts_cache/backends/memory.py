#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for one process: utterances in memory."""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.eviction import (
    HEAP_SLACK,
    PINNED,
    Eviction,
    EvictionQueue,
    UsesOfTheGone,
    must_stay,
    priority,
)
from pipecat_tts_cache.backends.names import check_namespace
from pipecat_tts_cache.backends.wall_clock import check_clock
from pipecat_tts_cache.checks import check_choice, check_positive_int, check_ttl
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.utterance import Utterance

_NEVER = float("inf")
_ENTRIES_IN_A_ROW = 256


@dataclass(slots=True)
class _Kept:
    """What is kept under a key.

    Parameters:
        utterance: The utterance.
        size: Bytes that it takes.
        deadline: When it will be forgotten, by the store's clock.
        number: What tells it from all that was ever kept.
        uses: How often it was stored or looked up.
        used_at: When it was last used, in seconds since the Unix epoch.
        turn: How many uses of anything there had been by then.
        floor: The floor of that time.
    """

    utterance: Utterance
    size: int
    deadline: float
    number: int
    uses: int
    used_at: float
    turn: int
    floor: float


class MemoryCacheBackend(CacheBackend):
    """Keeps utterances in the memory of this process, those that repeat longest.

    It is bounded by the number of utterances and by their bytes. When room is needed, what has
    expired goes first, then what is worth least: see `backends.eviction`. A look-up returns the
    very object that was stored, in about a microsecond.

    One store may serve any number of services, and event loops that run one after the other. It
    takes no locks, so it must not be shared by event loops that run at once in several threads:
    give each its own.
    """

    heeds_cancellation = True
    keeps_pins = True

    def __init__(
        self,
        max_size: int = 1000,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        eviction: Eviction = "gdsf",
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an empty store.

        Args:
            max_size: The most utterances to keep.
            max_bytes: The most bytes to keep, counted by `Utterance.size`. An utterance above it
                is refused and leaves the others alone.
            eviction: What goes when it is full: "gdsf", what is said seldom and takes much room,
                or "lru", what was not said for longest.
            clock: Tells the time in seconds.
            wall_clock: Tells the time in seconds since the Unix epoch, for `entries`.

        Raises:
            TypeError: If a bound is no int, or a clock no function.
            ValueError: If a bound is not above zero, or there is no such eviction.
        """
        self._max_size = check_positive_int("max_size", max_size)
        self._max_bytes = check_positive_int("max_bytes", max_bytes)
        self._eviction: Eviction = check_choice("eviction", eviction, Eviction)
        self._clock = check_clock("clock", clock)
        self._wall_clock = check_clock("wall_clock", wall_clock)
        self._kept: dict[CacheKey, _Kept] = {}
        self._namespaces: dict[str, dict[CacheKey, None]] = {}
        self._queue: EvictionQueue[CacheKey] = EvictionQueue(self._rank)
        self._gone: UsesOfTheGone[CacheKey] = UsesOfTheGone()
        self._deadlines: list[tuple[float, int, CacheKey]] = []
        self._bytes = 0
        self._pinned = 0
        self._floor = 0.0
        self._turn = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._expirations = 0
        self._refused = 0

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, which makes it worth more.

        Args:
            key: Where it is kept.

        Returns:
            The object that was stored, or None if there is none or it has expired.
        """
        entry = self._kept.get(key)
        if entry is None or entry.deadline <= self._clock():
            self._misses += 1
            return None
        self._hits += 1
        self._turn += 1
        entry.uses += 1
        entry.used_at = self._wall_clock()
        entry.turn = self._turn
        entry.floor = self._floor
        return entry.utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it.

        Returns:
            False, with all that is kept unchanged, if it is larger than `max_bytes`, if only what
            is worth more or pinned could make room for it, or if something pinned is there and it
            is not; else True.

        Raises:
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        size = utterance.size
        now = self._drop_expired()
        before = self._kept.get(key)
        would_unpin = before is not None and before.utterance.pinned and not utterance.pinned
        if size > self._max_bytes or would_unpin:
            self._refused += 1
            return False
        self._turn += 1
        entry = _Kept(
            utterance,
            size=size,
            deadline=_NEVER if seconds is None or utterance.pinned else now + seconds,
            number=self._turn,
            uses=before.uses if before else self._gone.take(key) + 1,
            used_at=self._wall_clock(),
            turn=self._turn,
            floor=self._floor,
        )
        if not self._make_room(key, entry, before):
            self._refused += 1
            return False
        self._remove(key)
        self._add(key, entry)
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one that had not expired.
        """
        self._drop_expired()
        self._gone.take(key)
        return self._remove(key)

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one that has not expired.
        """
        entry = self._kept.get(key)
        return entry is not None and entry.deadline > self._clock()

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        Args:
            namespace: The namespace, or None for everything in this store.

        Returns:
            How many were removed, not counting those that had expired.

        Raises:
            TypeError: If the namespace is neither a string nor None.
        """
        check_namespace(namespace)
        self._drop_expired()
        self._gone.forget(lambda key: namespace in (None, key.namespace))
        keys = self._kept if namespace is None else self._namespaces.get(namespace, ())
        for key in (removed := list(keys)):
            self._remove(key)
        return len(removed)

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store.

        Returns:
            A plain dict:

            - entries: Utterances it holds, not counting expired ones.
            - bytes: What they take, by `Utterance.size`.
            - pinned: How many of them are pinned.
            - namespaces: How many namespaces they belong to.
            - max_size: The most entries it may hold.
            - max_bytes: The most bytes it may hold.
            - hits: Look-ups that found an utterance.
            - misses: Look-ups that did not.
            - evictions: Utterances dropped to make room for others.
            - expirations: Utterances dropped because their time was over.
            - refused: Utterances not taken because they are larger than `max_bytes`, worth less
              than some that would have had to go, or would have replaced a pinned one.
        """
        self._drop_expired()
        return {
            "entries": len(self._kept),
            "bytes": self._bytes,
            "pinned": self._pinned,
            "namespaces": len(self._namespaces),
            "max_size": self._max_size,
            "max_bytes": self._max_bytes,
            "hits": self._hits,
            "misses": self._misses,
            "evictions": self._evictions,
            "expirations": self._expirations,
            "refused": self._refused,
        }

    async def close(self) -> None:
        """Do nothing: there is nothing to release, and others may share this store."""

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept, without the audio and without counting as a use.

        Args:
            namespace: The namespace, or None for everything in this store.

        Yields:
            The entries. Their `uses` include what is remembered of a stay before.
        """
        keys = self._kept if namespace is None else self._namespaces.get(namespace, {})
        for number, key in enumerate(list(keys), start=1):
            if number % _ENTRIES_IN_A_ROW == 0:
                await asyncio.sleep(0)  # a call must not wait until a million are listed
            entry = self._kept.get(key)
            if entry is not None and entry.deadline > self._clock():
                yield self._describe(key, entry)

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it.

        Args:
            key: Where it is kept.

        Returns:
            The object that was stored, or None if there is none or it has expired.
        """
        return self._kept[key].utterance if await self.exists(key) else None

    async def sweep(self, namespace: str | None = None) -> int:
        """Drop all that has expired, in any namespace.

        Args:
            namespace: Makes no difference.

        Returns:
            How many there were.
        """
        del namespace
        before = self._expirations
        self._drop_expired()
        return self._expirations - before

    def __repr__(self) -> str:
        return f"MemoryCacheBackend({self._max_size}, max_bytes={self._max_bytes})"

    def _make_room(self, key: CacheKey, entry: _Kept, before: _Kept | None) -> bool:
        """Drop what is worth least until something fits, or nothing.

        Args:
            key: Where it will be kept.
            entry: What will be kept.
            before: What is there and will be replaced.

        Returns:
            Whether it fits.
        """
        entries = len(self._kept) + (before is None) - self._max_size
        excess = self._bytes + entry.size - (before.size if before else 0) - self._max_bytes
        if entries <= 0 and excess <= 0:
            return True
        worth = self._worth(entry)
        victims: list[tuple[float, CacheKey]] = []
        while (entries > 0 or excess > 0) and (victim := self._queue.pop()):
            victims.append(victim)
            if victim[1] == key:
                continue
            if must_stay(victim[0], worth):
                if victim[0] < PINNED:
                    self._floor = worth  # or old favourites would stay for ever
                self._spare(victims)
                if before is None:
                    self._gone.add(key, entry.uses)
                return False
            entries -= 1
            excess -= self._kept[victim[1]].size
        for value, each in victims:
            if each != key:
                self._evict(each, value)
        return True

    def _spare(self, victims: list[tuple[float, CacheKey]]) -> None:
        for value, key in victims:
            self._queue.add(key, value, self._kept[key].number)

    def _evict(self, key: CacheKey, worth: float) -> None:
        self._floor = max(self._floor, worth)
        self._gone.add(key, self._kept[key].uses)
        self._remove(key)
        self._evictions += 1

    def _add(self, key: CacheKey, entry: _Kept) -> None:
        entry.floor = self._floor
        self._namespaces.setdefault(key.namespace, {})[key] = None  # fails for what is no key
        self._kept[key] = entry
        self._queue.add(key, self._worth(entry), entry.number)
        self._bytes += entry.size
        self._pinned += entry.utterance.pinned
        if entry.deadline < _NEVER:
            heapq.heappush(self._deadlines, (entry.deadline, entry.number, key))

    def _remove(self, key: CacheKey) -> bool:
        entry = self._kept.pop(key, None)
        if entry is None:
            return False
        self._bytes -= entry.size
        self._pinned -= entry.utterance.pinned
        namespace = self._namespaces[key.namespace]
        del namespace[key]
        if not namespace:
            del self._namespaces[key.namespace]
        self._compact_deadlines()
        self._queue.compact(len(self._kept))
        return True

    def _drop_expired(self) -> float:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, key = heapq.heappop(self._deadlines)
            entry = self._kept.get(key)
            if entry is not None and entry.number == number:
                self._remove(key)
                self._expirations += 1
        return now

    def _compact_deadlines(self) -> None:
        """Forget deadlines of entries that are gone, once they outnumber the others."""
        if len(self._deadlines) > 2 * len(self._kept) + HEAP_SLACK:
            self._deadlines = [
                (entry.deadline, entry.number, key)
                for key, entry in self._kept.items()
                if entry.deadline < _NEVER
            ]
            heapq.heapify(self._deadlines)

    def _worth(self, entry: _Kept) -> float:
        return priority(
            self._eviction,
            floor=entry.floor,
            uses=entry.uses,
            size=entry.size,
            now=entry.turn,
            pinned=entry.utterance.pinned,
        )

    def _rank(self, key: CacheKey) -> tuple[float, int] | None:
        entry = self._kept.get(key)
        return None if entry is None else (self._worth(entry), entry.number)

    def _describe(self, key: CacheKey, entry: _Kept) -> Entry:
        since_epoch = self._wall_clock() - self._clock()
        return Entry.of(
            key,
            entry.utterance,
            size=entry.size,
            expires_at=None if entry.deadline == _NEVER else entry.deadline + since_epoch,
            last_used_at=entry.used_at,
            uses=entry.uses - 1,
        )
