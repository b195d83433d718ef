#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech outside of a pipeline: for scripts, the files of an IVR, tests."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from types import TracebackType
from typing import Self

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.checks import check_callable, check_seconds
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.errors import SpeechError
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.outcomes import Unprepared
from pipecat_tts_cache.preparation.rehearsal import Rehearsal
from pipecat_tts_cache.preparation.studio import Options, Studio
from pipecat_tts_cache.preparation.warming import (
    Outcome,
    Progress,
    ServiceFactory,
    Terms,
    Warmed,
    checked_service,
    go_through,
    say_line,
)
from pipecat_tts_cache.statistics.stats import CacheStats, NotStored
from pipecat_tts_cache.store import Store
from pipecat_tts_cache.utterance import Utterance

_LOOKUP_SECONDS = 10.0
_KEYS_IN_A_ROW = 200
_TELLS_NOTHING = {NotStored.STORE_FAILED, Unprepared.TIMEOUT, Unprepared.PIPELINE_ENDED}
"""Reasons that leave open whether something is there."""


class _Purpose(Enum):
    """What a line is said for.

    Parameters:
        FIND: To find out whether the store has it.
        KEEP: For the store, if that does not have it.
        HAVE: For who asked for it, as the store does not tell what it has.
    """

    FIND = "find"
    KEEP = "keep"
    HAVE = "have"


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of a line.

    Parameters:
        outcome: What became of it.
        take: What was spoken, if anything was.
    """

    outcome: Outcome
    take: Utterance | None = None


@dataclass(eq=False, slots=True)
class _Errand:
    """A line that a service says, or looks for.

    Parameters:
        task: What sees to it.
        waiting: How many wait for it.
    """

    task: asyncio.Task[_Result]
    waiting: int = 0


class SpeechCache:
    """Gives the speech of a service for the asking, from a store or spoken for it.

    What is missing is spoken by services of the factory, in pipelines that nobody hears, under
    exactly the keys that live speech uses. They stay connected for a while, for the next line.

    `line in speech` and `len(speech)` are about the lines that the store had when it was last asked
    for them here: what has expired since, or was removed by others, they do not tell. `contains`
    does. It belongs to one event loop at a time. Use it in `async with`, or `close` it.
    """

    def __init__(
        self,
        service_factory: ServiceFactory,
        backend: CacheBackend,
        *,
        concurrency: int = 5,
        sample_rate: int | None = None,
        line_timeout: float = 60.0,
        idle_timeout: float = 30.0,
    ) -> None:
        """Connect to nothing yet.

        Args:
            service_factory: Makes a service behind `TTSCacheMixin`, a new one each time. It is
                called with the options of a `Line`, and need not give it a store.
            backend: The store. Closing it is left to who made it.
            concurrency: How many lines to say at a time, each with a service of its own.
            sample_rate: Of the pipelines' audio output, in Hz; it is part of the key. None for
                Pipecat's default.
            line_timeout: Seconds that saying a line may take.
            idle_timeout: Seconds after which a service that has nothing to say is closed.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense.
        """
        check_callable("service_factory", service_factory)
        if not isinstance(backend, CacheBackend):
            raise TypeError(f"backend must be a CacheBackend, not {type(backend).__name__}")
        self._factory = service_factory
        self._backend = backend
        self._terms = Terms(concurrency, False, sample_rate, line_timeout)
        self._store = Store(backend, stats=CacheStats(), lookup_timeout=_LOOKUP_SECONDS)
        self._studio = Studio(
            self._make,
            booths=concurrency,
            sample_rate=sample_rate,
            idle_timeout=check_seconds("idle_timeout", idle_timeout),
        )
        self._known: dict[Line, CacheKey] = {}
        self._errands: dict[tuple[Line, _Purpose], _Errand] = {}
        self._tasks: set[asyncio.Task[_Result]] = set()
        self._closed = False

    async def fetch(self, line: str | Line) -> Utterance:
        """Give the speech of a line; what the store lacks is spoken, once for all who wait for it.

        Args:
            line: What to say, in one go.

        Returns:
            The utterance.

        Raises:
            SpeechError: If it could not be had. It says why.
            RuntimeError: If a service cannot be started.
            TimeoutError: If it does not start within half a minute.
            TypeError: If the line is neither a string nor a `Line`, or the factory does not make a
                service behind `TTSCacheMixin`.
            ValueError: If the service has another store, or is in a pipeline already.
        """
        wanted = _as_line(line)
        if (utterance := await self._look_up(wanted)) is not None:
            return utterance
        for _ in range(2):  # what is there and cannot be read is removed, and spoken anew
            result = await self._run(wanted)
            if result.outcome.reasons == ("store_failed",) and result.take is None:
                result = await self._run(wanted, _Purpose.HAVE)
            if result.take is not None:
                return result.take
            if not result.outcome.warm:
                raise SpeechError(result.outcome.reasons)
            if (utterance := await self._look_up(wanted)) is not None:
                return utterance
        raise SpeechError([Unprepared.NOT_THERE.value])

    async def preload(
        self,
        lines: Iterable[str | Line],
        *,
        progress: Progress | None = None,
    ) -> Warmed:
        """Have the store hold lines before they are fetched, as `warm` does.

        Args:
            lines: What to say.
            progress: Called after each line with how many are done, how many there are, and what
                came of this one.

        Returns:
            What came of each line.

        Raises:
            RuntimeError: As `fetch`.
            TimeoutError: As `fetch`.
            TypeError: As `fetch`.
            ValueError: As `fetch`.
        """

        async def say(line: Line) -> Outcome:
            return (await self._run(_as_line(line))).outcome

        return await go_through(lines, say, concurrency=self._terms.concurrency, progress=progress)

    async def contains(self, line: str | Line) -> bool:
        """Ask the store whether it has a line; nothing is spoken, and nothing counts as used.

        Args:
            line: What to look for.

        Returns:
            Whether it is there.

        Raises:
            SpeechError: If the store does not tell.
            RuntimeError: As `fetch`.
            TimeoutError: As `fetch`.
            TypeError: As `fetch`.
            ValueError: As `fetch`.
        """
        wanted = _as_line(line)
        outcome = (await self._run(wanted, _Purpose.FIND)).outcome
        if _TELLS_NOTHING & set(outcome.reasons):
            raise SpeechError(outcome.reasons)
        return outcome.warm

    async def clear(self) -> int:
        """Remove from the store the lines that are known here, and nothing else.

        Returns:
            How many were removed.

        Raises:
            BackendError: If the store fails.
        """
        removed, lines = 0, iter(list(self._known))
        while batch := list(islice(lines, _KEYS_IN_A_ROW)):
            keys = {self._known[line] for line in batch if line in self._known}
            removed += await self._backend.delete_many(list(keys))
            for line in batch:
                self._known.pop(line, None)
        return removed

    async def close(self) -> None:
        """Stop what is under way and leave nothing open. Calling it twice does no harm."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._studio.close()
        await self._store.drain()

    def __contains__(self, line: object) -> bool:
        return isinstance(line, str | Line) and _as_line(line) in self._known

    def __len__(self) -> int:
        return len(self._known)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _look_up(self, line: Line) -> Utterance | None:
        self._check_open()
        key = self._known.get(line)
        utterance = await self._store.look_up(key) if key else None
        if key and utterance is None:
            await self._store.written()  # if it is damaged, it is being removed
        return utterance

    async def _run(self, line: Line, purpose: _Purpose = _Purpose.KEEP) -> _Result:
        """Have a line said or looked for, unless that is under way, and wait for what comes of it.

        It is broken off when nobody waits for it any more.
        """
        self._check_open()
        what = (line, purpose)
        errand = self._errands.get(what) or self._begin(*what)
        errand.waiting += 1
        try:
            await asyncio.wait({errand.task})
        finally:
            errand.waiting -= 1
            if not errand.waiting:
                del self._errands[what]
                errand.task.cancel()
        if errand.task.cancelled():
            raise SpeechError([Unprepared.CLOSED.value])
        return errand.task.result()

    def _begin(self, line: Line, purpose: _Purpose) -> _Errand:
        task = asyncio.create_task(self._say(line, purpose))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._errands[line, purpose] = _Errand(task)
        return self._errands[line, purpose]

    async def _say(self, line: Line, purpose: _Purpose) -> _Result:
        speaks, blindly = purpose is not _Purpose.FIND, purpose is _Purpose.HAVE
        rehearsal = Rehearsal(speaks=speaks, blindly=blindly, asked=[], takes={})
        async with self._studio.booth(line.options) as booth:
            outcome = await say_line(booth, rehearsal, line, self._terms)
        keys = {asked.key for asked in rehearsal.asked or ()}
        if len(keys) > 1:
            reasons = (Unprepared.SEVERAL_SENTENCES.value,)
            return _Result(replace(outcome, warm=False, reasons=reasons))
        if outcome.warm:
            (self._known[line],) = keys
        else:
            self._known.pop(line, None)
        return _Result(outcome, *(rehearsal.takes or {}).values())

    def _make(self, options: Options) -> CacheControls:
        return checked_service(self._factory(**options), self._backend)

    def _check_open(self) -> None:
        if self._closed:
            raise SpeechError([Unprepared.CLOSED.value])


def _as_line(line: object) -> Line:
    """Check a line, and make it one that equals others of the same text and options."""
    if isinstance(line, str):
        return Line(line)
    if isinstance(line, Line):
        return Line(line.text, line.options)
    raise TypeError(f"a line must be a string or a Line, not {type(line).__name__}")
