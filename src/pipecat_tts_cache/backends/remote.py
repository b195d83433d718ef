#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A server as a store sees it: asked in time, left alone while it is down.

What differs from one kind of server to another is in the methods that a `RemoteServer` leaves to
its subclasses, one beside each store.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from loguru import logger

from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError

_MAX_MESSAGE = 200
_T = TypeVar("_T")


class RemoteServer(ABC):
    """A client behind a time limit and a breaker. Its errors are mapped here and nowhere else."""

    advice: ClassVar[str] = "Check the permissions of the user"
    """What to do about a server that refuses."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Any],
        *,
        errors: tuple[type[Exception], ...],
        client: Any | None,
        breaker: CircuitBreaker,
    ) -> None:
        """Take a client, or make one.

        Args:
            name: Where the server is, without user and password.
            connect: Makes a client. It does not wait: what is to be awaited is for `_prepare`.
            errors: What the client raises, besides `OSError`.
            client: The caller's own client, if there is one.
            breaker: Decides when to leave the server alone.

        Raises:
            TypeError: If that is no breaker.
        """
        if not isinstance(breaker, CircuitBreaker):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"breaker must be a CircuitBreaker, not {type(breaker).__name__}")
        self.name = name
        self.client = connect() if client is None else client
        self.owns_client = client is None
        self._connect = connect
        self._errors: tuple[type[Exception], ...] = (*errors, OSError, EOFError)
        self._breaker = breaker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._said: set[type[Exception]] = set()
        self._failed = 0
        self._timed_out = 0
        self._not_asked = 0

    # What differs from one kind of server to another

    async def _prepare(self, *, is_probe: bool) -> None:  # noqa: B027 - nothing, where not needed
        """Make the client ready to be asked, within the time of the call.

        Args:
            is_probe: Whether this finds out if the server is back: what is left of old connections
                had better not be used.
        """

    @abstractmethod
    def _is_timeout(self, error: Exception) -> bool:
        """Tell whether the server, or its client on its behalf, took too long."""

    @abstractmethod
    def _is_answer(self, error: Exception) -> bool:
        """Tell whether an error is what a living server said, as "out of memory" is."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close the connections of a client that was made here."""

    # What is the same for all

    async def ask(self, question: Callable[[Any], Awaitable[_T]], *, within: float) -> _T:
        """Ask the server something.

        Args:
            question: What to do with the client.
            within: Seconds it may take.

        Returns:
            What `question` returns.

        Raises:
            BackendError: If it fails or takes too long, or the store may not be used here.
            BackendUnavailableError: If it is not asked, because it is left alone for a while.
        """
        self._check_usable()
        is_probe = self._breaker.state != "closed"
        if not self._breaker.allow():
            self._not_asked += 1
            raise BackendUnavailableError(
                f"{self.name} failed and is left alone for {self._breaker.retry_in:.1f} s more"
            )
        try:
            async with asyncio.timeout(within):
                await self._prepare(is_probe=is_probe)
                answer = await question(self.client)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled the caller: two time limits ran out in the same moment.
            raise self._failure(TimeoutError(), within) from error
        except self._errors as error:
            raise self._failure(error, within) from error
        self._answered()
        return answer

    def describe(self) -> dict[str, Any]:
        """Describe the server.

        Returns:
            A plain dict, see `get_stats` of the stores.
        """
        return {
            "server": self.name,
            "breaker": self._breaker.state,
            "retry_in": round(self._breaker.retry_in, 3),
            "errors": self._failed,
            "timeouts": self._timed_out,
            "unavailable": self._not_asked,
        }

    async def close(self, *, within: float) -> None:
        """Close the connections, unless the client is the caller's. Twice does no harm.

        Args:
            within: Seconds it may take.
        """
        was_closed, self._closed = self._closed, True
        if was_closed or not self.owns_client or self._loop is not asyncio.get_running_loop():
            return
        with suppress(*self._errors):
            async with asyncio.timeout(within):
                await self._disconnect()

    def _check_usable(self) -> None:
        """See to it that connections are only used by the event loop they belong to."""
        if self._closed:
            raise BackendError(f"the store on {self.name} is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            self._leave(self._loop)
        self._loop = loop

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            raise BackendError(
                f"the store on {self.name} is in use by another event loop: make one for each"
            )
        if not self.owns_client:
            raise BackendError(
                f"the event loop that the client of {self.name} belongs to is closed: make a new "
                "client, and a store on it"
            )
        self.client = self._connect()

    def _answered(self) -> None:
        if self._breaker.succeeded():
            logger.info(f"TTS cache: {self.name} answers again, speech is cached as before")

    def _failure(self, error: Exception, within: float) -> BackendError:
        """Take note of an error.

        Args:
            error: What the client raised.
            within: Seconds that it was given.

        Returns:
            What to raise instead.
        """
        self._failed += 1
        reason = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE]
        if self._is_timeout(error):
            self._timed_out += 1
            reason = f"no answer within {within:g} s"
        if self._is_answer(error):
            self._answered()
            self._say_refused(error, reason)
        elif self._breaker.failed():
            logger.warning(
                f"TTS cache: {self.name} fails ({reason}). Sentences are spoken live meanwhile, "
                "and it is tried again by itself. Check that the server is up and near."
            )
        return BackendError(f"{self.name}: {reason}")

    def _say_refused(self, error: Exception, reason: str) -> None:
        if type(error) not in self._said:
            self._said.add(type(error))
            logger.warning(
                f"TTS cache: {self.name} refuses ({reason}). {self.advice}; get_stats() "
                "counts what follows."
            )
