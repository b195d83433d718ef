#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Several stores as one: the nearest first, and behind it what is larger, shared, or lasts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.names import check_namespace
from pipecat_tts_cache.backends.tiered.copies import Copies, Reading, Scope
from pipecat_tts_cache.backends.tiered.level import (
    CacheLevel,
    GuardedLevel,
    check_levels,
    failures_in,
    together,
)
from pipecat_tts_cache.backends.tiered.listing import held_by, list_once
from pipecat_tts_cache.backends.tiered.writes import settle
from pipecat_tts_cache.backends.wall_clock import check_clock
from pipecat_tts_cache.checks import MAX_SECONDS, check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.patience import Patience
from pipecat_tts_cache.utterance import Utterance

_CLOSE_SECONDS = 2.0
_T = TypeVar("_T")


class TieredCacheBackend(CacheBackend):
    """Looks utterances up in one store after the other, and brings them to the front.

    What is found in one level is copied to those before it, behind the answer. Everything is stored
    in all levels and removed from all::

        TieredCacheBackend([MemoryCacheBackend(), RedisCacheBackend()])
        TieredCacheBackend([CacheLevel(MemoryCacheBackend(), ttl=3600), RedisCacheBackend()])

    A level before the last forgets after a day, so that those behind see what is in use: give it a
    `CacheLevel.ttl` to change that.

    A level that fails or hangs is passed over, and left alone for a while: a call goes well as long
    as one level answers. Only what removes something raises unless every level did it.

    What other processes remove from a level that tells, as Redis does, the levels before it drop.

    One store may serve any number of services of one event loop.
    """

    heeds_cancellation = True

    def __init__(
        self,
        levels: Sequence[CacheBackend | CacheLevel],
        *,
        timeout: float = 0.2,
        write_timeout: float = 5.0,
        max_copies: int = 64,
        close_levels: bool = True,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Put stores behind one another.

        Args:
            levels: The stores, the nearest first. A `CacheLevel` gives one limits of its own.
            timeout: Seconds that a look-up may take in all levels together. Each level gets an
                equal share of what those before it left over: of two that have to be asked, the
                first has half of the time, and the second all that is left.
            write_timeout: Seconds that anything else may take with one utterance in a level: to
                keep, delete, peek at or probe it.
            max_copies: The most utterances that are copied to the front at a time; further ones
                are not copied.
            close_levels: Whether `close` closes the levels. Say False if others use them, too.
            wall_clock: Tells the time in seconds since the Unix epoch.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense: no level, or a store that is there twice.
        """
        self._timeout = check_seconds("timeout", timeout)
        if not isinstance(close_levels, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"close_levels must be a bool, not {type(close_levels).__name__}")
        self._close_levels = close_levels
        self._wall_clock = check_clock("wall_clock", wall_clock)
        self._patience = Patience()
        self._copies = Copies(check_positive_int("max_copies", max_copies))
        self._levels = [
            GuardedLevel(
                level,
                place=place,
                is_last=place == len(levels),
                write_timeout=check_seconds("write_timeout", write_timeout),
                drop=self._drop,
                patience=self._patience,
            )
            for place, level in enumerate(check_levels(levels, _stores_of), start=1)
        ]
        self.keeps_pins = self._levels[-1].backend.keeps_pins
        self._hits = 0
        self._misses = 0
        for place, level in enumerate(self._levels[1:], start=1):
            level.backend.on_removal(partial(self._removed, place))

    def __repr__(self) -> str:
        return f"TieredCacheBackend({[level.backend for level in self._levels]!r})"

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, level by level, and copy it to those that did not have it.

        Args:
            key: Where it is kept.

        Returns:
            What the first level has that has it, or None.

        Raises:
            BackendError: If no level answered.
        """
        reading = self._copies.begin(key)
        copy = None
        try:
            utterance, lacking = await self._search(key)
            if isinstance(utterance, Utterance) and lacking:
                copy = partial(self._copy, utterance, lacking)
        finally:
            self._copies.end(reading, copy)
        if utterance is None:
            self._misses += 1
        else:
            self._hits += 1
        return utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance in every level, in place of what was there.

        What is pinned is so in the last level, which decides on it; others have a copy.

        Args:
            key: Where to keep it.
            utterance: What to keep. What is kept says when it expires, in `expires_at`, so that
                a copy of it expires no later.
            ttl: Seconds after which it is forgotten, or None to keep it. A level that has a time
                to live of its own may forget it earlier.

        Returns:
            Whether a level kept it, and none refused it for something pinned that is there. From
            a level that refused it, what was there is removed, so that it does not hide the new
            one; what is pinned stays, and the others forget the new one.

        Raises:
            BackendError: If no level kept it, or not the last one what is pinned, and not because
                it was refused.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        if utterance.pinned:
            seconds = None
        expires_at = None if seconds is None else self._wall_clock() + seconds
        if utterance.expires_at != expires_at:
            utterance = replace(utterance, expires_at=expires_at)
        async with self._copies.changing([key]):
            outcomes = await self._ask_all(lambda level: level.keep(key, utterance, seconds))
            return await settle(self._levels, outcomes, key, pinned=utterance.pinned)

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance in every level.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one in a level.

        Raises:
            BackendError: If a level failed, so that it may still be there. The others have
                forgotten it.
        """
        return any(await self._remove([key], "delete", key))

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances in every level.

        Args:
            keys: Where they are kept; a few hundred at most.

        Returns:
            How many of them there were, in whatever level.

        Raises:
            BackendError: If a level failed, so that some may still be there.
        """
        self._copies.check_open()
        held = await held_by(self._levels[:-1], keys)
        parts = list(held), [key for key in keys if key not in held]  # the last level has the rest
        outcomes = await asyncio.gather(*map(self._remove_some, parts), return_exceptions=True)
        if failures := failures_in(outcomes):
            raise failures[0]
        return len(held) + sum(count for count in outcomes[1:] if isinstance(count, int))

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, in every level.

        Args:
            namespace: The namespace, or None for everything in all levels.

        Returns:
            How many were removed from the level that had most of them. As everything is kept in
            every level, that is how many there were, unless a level failed or was full before.

        Raises:
            BackendError: If a level failed, so that some may still be there. The others are clear.
        """
        everything = [(check_namespace(namespace), None)]
        return max(await self._remove(everything, "clear", namespace, at_length=True))

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept in a level, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one.

        Raises:
            BackendError: If no level answered.
        """
        return bool(await self._first(key, lambda backend: backend.exists, self._levels))

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it, and without copying it.

        Args:
            key: Where it is kept.

        Returns:
            What the last level has that has it, or None: it knows whether that is pinned.

        Raises:
            BackendError: If no level answered.
        """
        return await self._first(key, lambda backend: backend.peek, self._levels[::-1])

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept in any level, as the last one that has it tells it.

        The last level is listed first. Of the others, what levels behind have is left out; so what
        a level gives up meanwhile may be listed twice. Nothing is remembered but a few entries.

        Args:
            namespace: The namespace, or None for everything in all levels.

        Yields:
            The entries.

        Raises:
            BackendError: If a level fails, or does not list what it keeps.
        """
        self._copies.check_open()
        async with aclosing(list_once(self._levels, namespace)) as listing:
            async for entry in listing:
                yield entry

    async def sweep(self, namespace: str | None = None) -> int:
        """Remove what has expired from every level, see `CacheBackend.sweep`, or raise."""
        return max(await self._remove([], "sweep", namespace, at_length=True))

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store and its levels. It never raises.

        Returns:
            A plain dict:

            - entries: Utterances in the level that has most, or None if no level tells.
            - pinned: How many the last level has pinned, or None if it does not tell.
            - hits: Look-ups that found an utterance in a level.
            - misses: Look-ups that did not, while a level answered.
            - copies_skipped: Copies not made because too many were under way.
            - levels: A list of a dict for each level, from the front:

                - store: The name of its class.
                - entries: How many utterances it holds, or None if it does not tell.
                - hits: Look-ups that found an utterance here.
                - misses: Look-ups that went on to the next level.
                - copies: Utterances put here because a level behind had them.
                - to_drop: What others removed, and is still to be dropped here.
                - errors: Calls that failed, those that took too long included.
                - timeouts: Calls that took too long.
                - skipped: Calls not made because it is left alone.
                - breaker: "closed" while calls are made, "open" while it is left alone,
                  "half_open" while one call tries again.
                - ttl, timeout: Its own limits in seconds, or None.
                - stats: What the store itself says, or None.
        """
        levels = await asyncio.gather(*(level.describe() for level in self._levels))
        known = [level["entries"] for level in levels if isinstance(level["entries"], int)]
        return {
            "entries": max(known, default=None),
            "pinned": (levels[-1]["stats"] or {}).get("pinned"),
            "hits": self._hits,
            "misses": self._misses,
            "copies_skipped": self._copies.skipped,
            "levels": levels,
        }

    def on_removal(self, listener: Callable[[str | None, str | None], None]) -> bool:
        """Call somebody when another process removes or replaces something in a level.

        Args:
            listener: See `CacheBackend.on_removal`.

        Returns:
            Whether a level can tell.
        """
        return True in [level.backend.on_removal(listener) for level in self._levels]

    async def close(self) -> None:
        """End what is done behind answers, and close the levels unless `close_levels` is False.

        Raises:
            BackendError: If a level could not be closed. The others are.
        """
        await self._copies.close()
        for level in self._levels:
            await level.drops.close()
        await self._patience.close(within=_CLOSE_SECONDS)
        if self._close_levels:
            closing = (level.insist(level.backend.close, at_length=True) for level in self._levels)
            failures = failures_in(await asyncio.gather(*closing, return_exceptions=True))
            if failures:
                raise together("not closed", failures)

    async def _search(self, key: CacheKey) -> tuple[Utterance | None, list[GuardedLevel]]:
        """Find an utterance, and the levels that ought to have it, too."""
        deadline = monotonic() + self._timeout
        lacking: list[GuardedLevel] = []
        failures: list[BackendError] = []
        for number, level in enumerate(self._levels):
            if level.drops.covers(key):
                continue
            left = deadline - monotonic()
            if left <= 0:  # that is not the fault of this level
                failures.append(BackendError(f"no time is left for level {number + 1}"))
                continue
            try:
                found = await level.look_up(key, left=left, levels_left=len(self._levels) - number)
            except BackendError as error:
                failures.append(error)
                continue
            if found is not None:
                return found, lacking
            lacking.append(level)
        if len(failures) == len(self._levels):
            raise together("no level answers", failures)
        return None, lacking

    async def _first(
        self,
        key: CacheKey,
        method: Callable[[CacheBackend], Callable[[CacheKey], Coroutine[Any, Any, _T]]],
        levels: Sequence[GuardedLevel],
    ) -> _T | None:
        """Ask one level after the other until one has something."""
        self._copies.check_open()
        failures: list[BackendError] = []
        for level in levels:
            if level.drops.covers(key):
                continue
            try:
                answer = await level.ask(method(level.backend), key)
            except BackendError as error:
                failures.append(error)
                continue
            if answer:
                return answer
        if len(failures) == len(self._levels):
            raise together("no level answers", failures)
        return None

    async def _ask_all(
        self, call: Callable[[GuardedLevel], Coroutine[Any, Any, _T]]
    ) -> list[_T | BaseException]:
        return await asyncio.gather(*map(call, self._levels), return_exceptions=True)

    async def _remove(
        self, scopes: Iterable[Scope], method: str, *args: Any, at_length: bool = False
    ) -> list[int]:
        async with self._copies.changing(scopes):
            outcomes: list[int | BaseException] = await self._ask_all(
                lambda level: level.insist(
                    getattr(level.backend, method), *args, at_length=at_length
                )
            )
        if failures := failures_in(outcomes):
            raise together("not removed from every level", failures)
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]

    async def _remove_some(self, keys: list[CacheKey]) -> int:
        if not keys:
            return 0
        return max(await self._remove(keys, "delete_many", keys, at_length=True))

    async def _copy(
        self, utterance: Utterance, lacking: list[GuardedLevel], reading: Reading
    ) -> None:
        left = None
        if utterance.expires_at is not None:
            left = min(utterance.expires_at - self._wall_clock(), MAX_SECONDS)
        if left is not None and left <= 0:
            return  # kept behind by another clock: that one decides
        for level in lacking:
            if reading.is_spoilt:
                return
            with suppress(BackendError):
                level.copies += await level.keep(reading.key, utterance, left)

    def _removed(self, place: int, namespace: str | None, digest: str | None) -> None:
        """Take note that others removed something from a level that this one is a copy of."""
        if self._copies.is_closed:
            return
        self._copies.spoil({(namespace, digest)})
        for level in self._levels[:place]:
            level.drops.add((namespace, digest))

    async def _drop(self, level: GuardedLevel, scope: Scope) -> None:
        await self._copies.settle({scope})
        namespace, digest = scope
        if namespace is not None and digest is not None:
            await level.insist(level.backend.delete, CacheKey(namespace, digest))
        else:
            await level.insist(level.backend.clear, namespace, at_length=True)


def _stores_of(backend: CacheBackend) -> list[CacheBackend]:
    levels = backend._levels if isinstance(backend, TieredCacheBackend) else []
    return [level.backend for level in levels]
