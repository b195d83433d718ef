#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store as the speech path sees it: within a budget, behind speech, and never in the way.

Whatever a store does — hang, raise, fill up, give back something else than was asked for — costs a
saving and is counted. It is logged once, in words that tell what to do.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from loguru import logger

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendUnavailableError
from pipecat_tts_cache.inventory import delete_text
from pipecat_tts_cache.patience import Patience
from pipecat_tts_cache.statistics.repeated_misses import misses_on
from pipecat_tts_cache.statistics.stats import CacheStats, NotStored
from pipecat_tts_cache.utterance import Utterance

_MAX_PENDING_WRITES = 64
_WRITE_SECONDS = 10.0
_DRAIN_SECONDS = 2.0
_STATS_SECONDS = 2.0
_LIVE = "sentences are spoken live meanwhile"

_breakers: WeakKeyDictionary[CacheBackend, CircuitBreaker] = WeakKeyDictionary()


class Store:
    """A backend with a budget for look-ups and writes that nobody waits for."""

    def __init__(
        self,
        backend: CacheBackend,
        *,
        stats: CacheStats,
        lookup_timeout: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Put a backend behind the seam.

        Args:
            backend: The backend.
            stats: Where to count.
            lookup_timeout: Seconds that a look-up may take.
            clock: Gives the time in seconds.
        """
        self._backend = backend
        self._stats = stats
        self._lookup_timeout = lookup_timeout
        self._clock = clock
        self._heeds_cancellation = bool(vars(type(backend)).get("heeds_cancellation"))
        self._breaker = _breaker_of(backend)
        self.misses = misses_on(backend)
        """What all services on this backend missed."""
        self._writes: dict[asyncio.Task[None], Hashable] = {}
        self._patience = Patience()
        self._said: set[str] = set()

    async def look_up(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, within the budget.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none that can be trusted, or the store fails.
        """
        if not self._breaker.allow():
            self._stats.lookups_skipped += 1
            return None
        began = self._clock()
        utterance = None
        try:
            utterance = await self._get(key)
        except BackendUnavailableError as error:
            self._stats.lookups_skipped += 1
            self._say("look-ups", f"it is not asked ({_name(error)}); {_LIVE}")
            return None
        except TimeoutError:
            self._timed_out("look-ups", f"{self._lookup_timeout:g} s")
            return None
        except Exception as error:
            self._failed("look-ups", error)
            return None
        finally:
            self._stats.looked_up(self._clock() - began, found=utterance is not None)
        self._breaker.succeeded()
        if utterance is None or _is_what_was_asked_for(utterance, key):
            return utterance
        self._distrust(key)
        return None

    async def holds(self, key: CacheKey) -> bool | None:
        """Tell whether an utterance is kept, without using it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one, or None if the store does not tell.
        """
        try:
            return await self._patience.within(_WRITE_SECONDS, self._backend.exists(key))
        except Exception as error:
            self._stats.store_errors += 1
            self._say("probes", f"the store does not tell what it holds ({_name(error)})")
            return None

    def write(
        self,
        key: CacheKey,
        make: Callable[[], Utterance | None],
        *,
        ttl: float | None,
        of: Hashable,
        regret: Callable[[], NotStored | None] = lambda: None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep an utterance, behind speech. Returns at once.

        Args:
            key: Where to keep it.
            make: Makes the utterance when its time has come, or decides against it with None.
            ttl: Seconds after which it is forgotten, or None to keep it.
            of: What the write is part of, for `cancel`.
            regret: Tells why it should not have been written, or None, once it has been.
            done: Called when it is written, or is not going to be.
        """
        if len(self._writes) >= _MAX_PENDING_WRITES:
            self._stats.not_stored[NotStored.PENDING_WRITES] += 1
            self._say("writes", "writes are slower than speech; some sentences are not stored")
            done()
            return
        task = self._behind_speech(self._write(key, make, ttl, regret), of)
        task.add_done_callback(self._count_ended)
        task.add_done_callback(lambda _: done())

    def cancel(self, of: Hashable) -> None:
        """Cancel the writes that are still pending.

        Args:
            of: What they are part of.
        """
        for task, owner in list(self._writes.items()):
            if owner == of:
                task.cancel()

    async def clear(self, namespace: str | None) -> int:
        """Forget all utterances, or all of one namespace, pending writes included.

        Args:
            namespace: The namespace, or None for everything in the store.

        Returns:
            How many were removed.
        """
        await self.drain()
        self.misses.forget(namespace)
        return await self._backend.clear(namespace)

    async def delete_text(self, text: str, *, secret: bytes | None) -> int:
        """Erase a sentence, pending writes included.

        Args:
            text: The text as prepared for the provider.
            secret: What the digests of its records are keyed with, if they are.

        Returns:
            How many utterances were removed.
        """
        await self.drain()
        self.misses.forget_text(text)
        return (await delete_text(self._backend, text, secret=secret)).entries

    async def describe(self) -> dict[str, Any] | None:
        """Ask the backend for its statistics.

        Returns:
            What it says, or None if it does not answer.
        """
        try:
            stats: object = await self._patience.within(_STATS_SECONDS, self._backend.get_stats())
        except Exception as error:
            self._say("statistics", f"the store does not tell its statistics ({_name(error)})")
            return None
        return dict(stats) if isinstance(stats, Mapping) else None

    async def written(self) -> None:
        """Wait until no write is pending, each within its own time."""
        while self._writes:
            await asyncio.wait(list(self._writes))

    async def drain(self) -> None:
        """Let pending writes end, and cancel those that do not within two seconds."""
        if self._writes:
            await asyncio.wait(list(self._writes), timeout=_DRAIN_SECONDS)
        late = list(self._writes)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _get(self, key: CacheKey) -> Utterance | None:
        if not self._heeds_cancellation:
            return await self._patience.within(self._lookup_timeout, self._backend.get(key))
        async with asyncio.timeout(self._lookup_timeout):
            return await self._backend.get(key)

    def _behind_speech(self, work: Coroutine[Any, Any, None], of: Hashable) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._writes[task] = of
        task.add_done_callback(lambda done: self._writes.pop(done, None))
        return task

    def _count_ended(self, write: asyncio.Task[None]) -> None:
        if write.cancelled():
            self._stats.not_stored[NotStored.INTERRUPTED] += 1
        self._stats.tell()

    async def _write(
        self,
        key: CacheKey,
        make: Callable[[], Utterance | None],
        ttl: float | None,
        regret: Callable[[], NotStored | None],
    ) -> None:
        utterance = make()
        if utterance is None:
            return
        if self._breaker.state != "closed":  # look-ups find out when it is back
            self._stats.not_stored[NotStored.STORE_FAILED] += 1
            return
        reason = await self._set(key, utterance, ttl)
        if regretted := regret():
            if reason is not NotStored.REFUSED and not await self._is_pinned(key):
                await self._remove(key)
            reason = regretted
        if reason is None:
            self._stats.stores += 1
        else:
            self._stats.not_stored[reason] += 1

    async def _set(
        self, key: CacheKey, utterance: Utterance, ttl: float | None
    ) -> NotStored | None:
        try:
            work = self._backend.set(key, utterance, ttl=ttl)
            stored = await self._patience.within(_WRITE_SECONDS, work)
        except TimeoutError:
            self._timed_out("writes", f"{_WRITE_SECONDS:g} s")
            return NotStored.STORE_FAILED
        except Exception as error:
            self._failed("writes", error, tells=False)  # a full store is one to read from
            return NotStored.STORE_FAILED
        return None if stored else NotStored.REFUSED

    def _distrust(self, key: CacheKey) -> None:
        """Forget an entry that is not what it should be, so that it heals."""
        self._stats.store_errors += 1
        self._say("content", "the store gave back something else than was kept; it is removed")
        self._behind_speech(self._remove(key), None)

    async def _is_pinned(self, key: CacheKey) -> bool:
        if not self._backend.keeps_pins:
            return False
        try:
            found = await self._patience.within(_WRITE_SECONDS, self._backend.peek(key))
        except Exception as error:
            self._failed("peeks", error, tells=False)
            return False
        return found is not None and found.pinned

    async def _remove(self, key: CacheKey) -> None:
        try:
            await self._patience.within(_WRITE_SECONDS, self._backend.delete(key))
        except Exception as error:
            self._failed("removals", error, tells=False)

    def _timed_out(self, what: str, limit: str) -> None:
        self._stats.store_timeouts += 1
        self._breaker.failed()
        self._say(what, f"{what} take longer than {limit}; {_LIVE}")

    def _failed(self, what: str, error: Exception, *, tells: bool = True) -> None:
        """Count a failure, which may tell whether the store should be left alone for a while."""
        self._stats.store_errors += 1
        if tells and not isinstance(error, BackendUnavailableError):
            self._breaker.failed()
        self._say(what, f"{what} fail ({_name(error)}); {_LIVE}")

    def _say(self, topic: str, message: str) -> None:
        if topic not in self._said:
            self._said.add(topic)
            logger.warning(
                f"TTS cache, {type(self._backend).__name__}: {message}. Check that the store is up "
                f"and near; get_cache_stats() counts what follows."
            )


def _breaker_of(backend: CacheBackend) -> CircuitBreaker:
    """Give all services on one backend the same breaker."""
    try:
        return _breakers.setdefault(backend, CircuitBreaker())
    except TypeError:  # a backend that cannot be hashed or weakly referenced
        return CircuitBreaker()


def _is_what_was_asked_for(utterance: object, key: CacheKey) -> bool:
    try:
        return (
            isinstance(utterance, Utterance) and utterance.seal == key.seal and utterance.is_sound()
        )
    except Exception:  # whatever a store made up
        return False


def _name(error: Exception) -> str:
    """Name an error without its message, which may hold what is nobody's business."""
    cause = error.__cause__
    return type(error).__name__ + (f" from {type(cause).__name__}" if cause else "")
