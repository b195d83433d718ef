#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""One level of a tiered store: within its time, left alone while it hangs, counted."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

from loguru import logger

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.tiered.copies import Drops, Scope
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.checks import check_seconds, check_ttl
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.patience import Patience
from pipecat_tts_cache.utterance import Utterance

FRONT_TTL = 86_400.0
"""Seconds that a level before the last keeps an utterance unless told otherwise: so the level
behind is asked once a day for what is in use, and takes note."""

_MAX_MESSAGE = 200
_STATS_SECONDS = 2.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CacheLevel:
    """A store as a level of a `TieredCacheBackend`.

    Parameters:
        backend: The store.
        ttl: The most seconds that this level keeps an utterance; None for as long as was asked;
            "auto" for a day (`FRONT_TTL`), and in the last level for as long as was asked.
        timeout: Seconds that a look-up may take here before the next level is asked; None for a
            share of what is left of the time of the whole.
        write_timeout: Seconds that anything else may take with one utterance here; None for what
            the tiered store allows.
    """

    backend: CacheBackend
    _: KW_ONLY
    ttl: float | Literal["auto"] | None = "auto"
    timeout: float | None = None
    write_timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.backend, CacheBackend):
            raise TypeError(f"a level must be a CacheBackend, not {_type_of(self.backend)}")
        if self.ttl != "auto":
            check_ttl(self.ttl)
        for name in ("timeout", "write_timeout"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))

    @classmethod
    def of(cls, level: "CacheBackend | CacheLevel") -> "CacheLevel":
        """Take a store for a level without further wishes.

        Args:
            level: A store, or a level.

        Returns:
            A level.

        Raises:
            TypeError: If it is neither.
        """
        return level if isinstance(level, CacheLevel) else cls(level)


class GuardedLevel:
    """A level as the tiered store sees it. All that it raises is a `BackendError`.

    A level that fails three look-ups in a row, or lets three calls run out of time, is left alone
    for 1 s, then for twice as long, up to 30 s, until a call goes well.

    Parameters:
        backend: The store.
        ttl: The most seconds that it keeps an utterance, or None.
        is_last: Whether there is none behind it.
        drops: What has been removed elsewhere and is still to be dropped here.
        copies: Utterances that were put here because a level behind had them.
    """

    def __init__(
        self,
        level: CacheLevel,
        *,
        place: int,
        is_last: bool,
        write_timeout: float,
        drop: Callable[["GuardedLevel", Scope], Coroutine[Any, Any, None]],
        patience: Patience,
    ) -> None:
        """Put a level behind limits.

        Args:
            level: The level.
            place: Its place, from 1 at the front.
            is_last: Whether there is none behind it.
            write_timeout: Seconds that anything but a look-up may take with one utterance, where
                the level does not say.
            drop: Drops from this level what was removed elsewhere.
            patience: Waits for the store.
        """
        self.backend = level.backend
        self.ttl = level.ttl if level.ttl != "auto" else None if is_last else FRONT_TTL
        self.is_last = is_last
        self.drops = Drops(lambda scope: drop(self, scope))
        self.copies = 0
        self._level = level
        self._name = f"level {place} ({type(level.backend).__name__})"
        self._write_timeout = level.write_timeout or write_timeout
        self._patience = patience
        self._heeds_cancellation = bool(vars(type(level.backend)).get("heeds_cancellation"))
        self._breaker = CircuitBreaker()
        self._hits = 0
        self._misses = 0
        self._errors = 0
        self._timeouts = 0
        self._skipped = 0

    async def look_up(self, key: CacheKey, *, left: float, levels_left: int) -> Utterance | None:
        """Look an utterance up.

        Args:
            key: Where it is kept.
            left: Seconds that are left for all levels from this one on.
            levels_left: How many these are.

        Returns:
            The utterance, or None.

        Raises:
            BackendError: If the level fails, takes too long, or is left alone.
        """
        own = self._level.timeout
        within = left / levels_left if own is None else min(own, left)
        self._let_through()
        utterance = await self._ask(self.backend.get, key, within=within, is_look_up=True)
        if utterance is None:
            self._misses += 1
        else:
            self._hits += 1
        return utterance

    async def keep(self, key: CacheKey, utterance: Utterance, ttl: float | None) -> bool:
        """Keep an utterance for no longer than this level keeps any.

        What is pinned is so in the last level. Before that it is a copy like any other, or a front
        would fill with it, and would not hear of it when others take it away.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None.

        Returns:
            Whether it was kept.

        Raises:
            BackendError: If the level fails, takes too long, or is left alone.
        """
        self._let_through()
        if not self.is_last and utterance.pinned:
            utterance = replace(utterance, pinned=False)
        times = [seconds for seconds in (ttl, self.ttl) if seconds is not None]
        put = partial(self.backend.set, ttl=min(times, default=None))
        return bool(await self._ask(put, key, utterance, within=self._write_timeout))

    async def ask(self, call: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> _T:
        """Ask something that is not urgent.

        Args:
            call: A method of the store.
            args: Its arguments.

        Returns:
            What it returns.

        Raises:
            BackendError: If the level fails, takes too long, or is left alone.
        """
        self._let_through()
        return await self._ask(call, *args, within=self._write_timeout)

    async def insist(
        self, call: Callable[..., Coroutine[Any, Any, _T]], *args: Any, at_length: bool = False
    ) -> _T:
        """Ask something even if the level is left alone otherwise.

        Args:
            call: A method of the store.
            args: Its arguments.
            at_length: Whether it may take as long as the store itself allows.

        Returns:
            What it returns.

        Raises:
            BackendError: If the level fails or takes too long.
        """
        return await self._ask(call, *args, within=None if at_length else self._write_timeout)

    async def entries(self, namespace: str | None) -> AsyncGenerator[Entry]:
        """List what is kept here.

        Args:
            namespace: The namespace, or None for everything.

        Yields:
            The entries.

        Raises:
            BackendError: If the level fails, or does not list what it keeps.
        """
        listing = None
        try:
            listing = self.backend.entries(namespace)
            async for entry in listing:
                if not self.drops.covers(entry.key):
                    yield entry
        except Exception as error:
            self._errors += 1
            raise self._error(error) from error
        finally:
            if isinstance(listing, AsyncGenerator):
                await listing.aclose()

    async def describe(self) -> dict[str, Any]:
        """Describe the level, without raising.

        Returns:
            A plain dict, see `TieredCacheBackend.get_stats`.
        """
        try:
            stats = dict(await self._patience.within(_STATS_SECONDS, self.backend.get_stats()))
        except Exception as error:
            logger.debug(
                f"TTS cache: {self._name} does not tell its statistics: {_in_words(error)}"
            )
            stats = None
        return {
            "store": type(self.backend).__name__,
            "entries": stats.get("entries") if stats else None,
            "hits": self._hits,
            "misses": self._misses,
            "copies": self.copies,
            "to_drop": len(self.drops),
            "errors": self._errors,
            "timeouts": self._timeouts,
            "skipped": self._skipped,
            "breaker": self._breaker.state,
            "ttl": self.ttl,
            "timeout": self._level.timeout,
            "stats": stats,
        }

    def _let_through(self) -> None:
        if not self._breaker.allow():
            self._skipped += 1
            raise BackendUnavailableError(
                f"{self._name} is left alone for {self._breaker.retry_in:.1f} s more"
            )

    async def _ask(
        self,
        call: Callable[..., Coroutine[Any, Any, _T]],
        *args: Any,
        within: float | None,
        is_look_up: bool = False,
    ) -> _T:
        try:
            answer = await self._wait(call(*args), within)
        except BackendUnavailableError as error:
            self._skipped += 1
            raise BackendUnavailableError(f"{self._name}: {error}"[:_MAX_MESSAGE]) from error
        except Exception as error:
            self._errors += 1
            is_late = isinstance(error, TimeoutError)
            self._timeouts += is_late
            if is_look_up or is_late:
                self._has_failed(error)
            raise self._error(error) from error
        if self._breaker.succeeded():
            logger.info(f"TTS cache: {self._name} answers again")
        return answer

    async def _wait(self, work: Coroutine[Any, Any, _T], within: float | None) -> _T:
        """Wait for the store, in a task of its own unless it can be cancelled at any moment."""
        if not self._heeds_cancellation:
            return await self._patience.within(within, work)
        try:
            async with asyncio.timeout(within):
                return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise BackendError("the store cancelled its own work") from None

    def _error(self, error: Exception) -> BackendError:
        if isinstance(error, TimeoutError):
            return BackendError(f"{self._name} takes too long")
        return BackendError(f"{self._name}: {_in_words(error)}"[:_MAX_MESSAGE])

    def _has_failed(self, error: Exception) -> None:
        if self._breaker.failed():
            logger.warning(
                f"TTS cache: {self._error(error)}. The other levels go on without it, and it is "
                "tried again by itself."
            )


def check_levels(
    levels: object, stores_of: Callable[[CacheBackend], Iterable[CacheBackend]]
) -> list[CacheLevel]:
    """Check the levels of a tiered store.

    Args:
        levels: What is to be a list of stores and levels.
        stores_of: Tells the stores that a store consists of.

    Returns:
        The levels.

    Raises:
        TypeError: If it is no such list.
        ValueError: If there is none, or a store is there twice.
    """
    if isinstance(levels, str) or not isinstance(levels, Sequence):
        raise TypeError(f"levels must be a list of stores, not {type(levels).__name__}")
    checked = [CacheLevel.of(level) for level in levels]
    if not checked:
        raise ValueError("levels must name a store at least")
    seen: set[int] = set()
    for store in _all_stores((level.backend for level in checked), stores_of):
        if id(store) in seen:
            raise ValueError(f"{store!r} must not be in more than one level")
        seen.add(id(store))
    return checked


def failures_in(outcomes: Iterable[object]) -> list[BaseException]:
    """Pick what went wrong.

    Args:
        outcomes: What calls returned or raised.

    Returns:
        What they raised.
    """
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


def together(what: str, failures: Sequence[BaseException]) -> BackendError:
    """Make one error of several.

    Args:
        what: What could not be done.
        failures: Why, at least one.

    Returns:
        The error to raise; a `BackendUnavailableError` if no level was asked.
    """
    message = f"{what}: " + "; ".join(map(str, failures))
    is_left_alone = all(isinstance(each, BackendUnavailableError) for each in failures)
    error = (BackendUnavailableError if is_left_alone else BackendError)(message)
    error.__cause__ = failures[0]
    return error


def _all_stores(
    backends: Iterable[CacheBackend], stores_of: Callable[[CacheBackend], Iterable[CacheBackend]]
) -> Iterator[CacheBackend]:
    for backend in backends:
        yield from _all_stores(stores_of(backend), stores_of)
        yield backend


def _in_words(error: Exception) -> str:
    """Tell what went wrong, without a message that may hold what is nobody's business."""
    return str(error) if isinstance(error, BackendError) else type(error).__name__


def _type_of(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
