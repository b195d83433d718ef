#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for one process: utterances in memory."""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.checks import check_positive_int, check_ttl
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.utterance import Utterance

_NEVER = float("inf")
_HEAP_SLACK = 64


class _Entry(NamedTuple):
    utterance: Utterance
    size: int
    deadline: float
    serial: int


class MemoryCacheBackend(CacheBackend):
    """Keeps utterances in the memory of this process, the most recently used ones longest.

    It is bounded by the number of utterances and by their bytes. When room is needed, what has
    expired goes first, then what has not been used for longest. A look-up returns the very
    object that was stored, in about a microsecond.

    One store may serve any number of services, and event loops that run one after the other. It
    takes no locks, so it must not be shared by event loops that run at once in several threads:
    give each its own.
    """

    heeds_cancellation = True

    def __init__(
        self,
        max_size: int = 1000,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Create an empty store.

        Args:
            max_size: The most utterances to keep.
            max_bytes: The most bytes to keep, counted by `Utterance.size`. An utterance above it
                is refused and leaves the others alone.
            clock: Tells the time in seconds.

        Raises:
            TypeError: If a bound is no int.
            ValueError: If a bound is not above zero.
        """
        self._max_size = check_positive_int("max_size", max_size)
        self._max_bytes = check_positive_int("max_bytes", max_bytes)
        self._clock = clock
        self._entries: OrderedDict[CacheKey, _Entry] = OrderedDict()
        self._namespaces: dict[str, set[CacheKey]] = {}
        self._deadlines: list[tuple[float, int, CacheKey]] = []
        self._bytes = 0
        self._serial = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._expirations = 0
        self._refused = 0

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, which makes it the most recently used.

        Args:
            key: Where it is kept.

        Returns:
            The object that was stored, or None if there is none or it has expired.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return None
        if entry.deadline <= self._clock():
            self._drop_expired()
            self._misses += 1
            return None
        self._entries.move_to_end(key)
        self._hits += 1
        return entry.utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it.

        Returns:
            False, with nothing changed, if it is larger than `max_bytes`; else True.

        Raises:
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        size = utterance.size
        if size > self._max_bytes:
            self._refused += 1
            return False
        self._remove(key)
        self._make_room(size)
        deadline = _NEVER if seconds is None else self._clock() + seconds
        self._add(key, _Entry(utterance, size, deadline, self._serial))
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one that had not expired.
        """
        self._drop_expired()
        return self._remove(key)

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one that has not expired.
        """
        entry = self._entries.get(key)
        return entry is not None and entry.deadline > self._clock()

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        Args:
            namespace: The namespace, or None for everything in this store.

        Returns:
            How many were removed, not counting those that had expired.
        """
        self._drop_expired()
        keys = self._entries if namespace is None else self._namespaces.get(namespace, ())
        for key in (removed := list(keys)):
            self._remove(key)
        return len(removed)

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store.

        Returns:
            A plain dict:

            - entries: Utterances it holds, not counting expired ones.
            - bytes: What they take, by `Utterance.size`.
            - namespaces: How many namespaces they belong to.
            - max_size: The most entries it may hold.
            - max_bytes: The most bytes it may hold.
            - hits: Look-ups that found an utterance.
            - misses: Look-ups that did not.
            - evictions: Utterances dropped to make room for others.
            - expirations: Utterances dropped because their time was over.
            - refused: Utterances not taken because they are larger than `max_bytes`.
        """
        self._drop_expired()
        return {
            "entries": len(self._entries),
            "bytes": self._bytes,
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

    def __repr__(self) -> str:
        return f"MemoryCacheBackend({self._max_size}, max_bytes={self._max_bytes})"

    def _make_room(self, size: int) -> None:
        """Drop what has expired, then the least recently used, until one more entry fits."""
        self._drop_expired()
        while len(self._entries) >= self._max_size or self._bytes + size > self._max_bytes:
            self._remove(next(iter(self._entries)))
            self._evictions += 1

    def _add(self, key: CacheKey, entry: _Entry) -> None:
        self._entries[key] = entry
        self._namespaces.setdefault(key.namespace, set()).add(key)
        self._bytes += entry.size
        self._serial += 1
        if entry.deadline < _NEVER:
            heapq.heappush(self._deadlines, (entry.deadline, entry.serial, key))

    def _remove(self, key: CacheKey) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._bytes -= entry.size
        namespace = self._namespaces[key.namespace]
        namespace.discard(key)
        if not namespace:
            del self._namespaces[key.namespace]
        self._compact_deadlines()
        return True

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, key = heapq.heappop(self._deadlines)
            entry = self._entries.get(key)
            if entry is not None and entry.serial == serial:
                self._remove(key)
                self._expirations += 1

    def _compact_deadlines(self) -> None:
        """Forget deadlines of entries that are gone, once they outnumber the others."""
        if len(self._deadlines) > 2 * len(self._entries) + _HEAP_SLACK:
            self._deadlines = [
                (entry.deadline, entry.serial, key)
                for key, entry in self._entries.items()
                if entry.deadline < _NEVER
            ]
            heapq.heapify(self._deadlines)
