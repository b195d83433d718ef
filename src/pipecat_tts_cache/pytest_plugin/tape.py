#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The recordings as the store of one test, and what the test has asked of them.

Everything is in memory while the test runs: nothing blocks the event loop, and no look-up is late.
The library is written when the test is over.
"""

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.errors import CorruptRecordError
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.utterance import Utterance


class Mode(StrEnum):
    """What becomes of a line that a test has a bot say.

    Parameters:
        OFF: It is spoken by the provider; there are no recordings.
        USE: It is replayed if it is recorded, else spoken and recorded.
        RECORD: It is spoken and recorded, in place of what was there; once in a run.
        REPLAY: It is replayed. If it is not recorded, the test fails.
    """

    OFF = "off"
    USE = "use"
    RECORD = "record"
    REPLAY = "replay"


@dataclass(eq=False, slots=True, kw_only=True)
class Said:
    """A line that a service was asked for.

    Parameters:
        text: The text as prepared for the provider.
        service: The name of the service's class.
        voice: Its voice, where it has one.
        model: Its model, where it has one.
        namespace: Whose it is.
        sample_rate: Of the service, in Hz.
        bypassed: Tells why speech of the service was not looked up.
        not_stored: Tells why speech of the service was not stored.
        key: Where it was looked up, if it was.
        damaged: Why its recording cannot be used, if there is one.
    """

    text: str
    service: str
    voice: str | None
    model: str | None
    namespace: str
    sample_rate: int
    bypassed: Callable[[], set[str]]
    not_stored: Callable[[], set[str]]
    key: CacheKey | None = None
    damaged: str = ""


saying: ContextVar[Said | None] = ContextVar("saying", default=None)
"""The line that is being asked for, so that it is known what a key stands for."""


@dataclass(eq=False, slots=True)
class Run:
    """What the tests of a run have in common.

    Parameters:
        mode: What becomes of lines.
        library: The recordings.
        recorded: What was recorded by this run.
        used: What was asked for, recordings and others.
    """

    mode: Mode
    library: Library
    recorded: set[CacheKey] = field(default_factory=set)
    used: set[CacheKey] = field(default_factory=set)


class Tape(CacheBackend):
    """A store of recordings for one test. What it forgets stays in the library."""

    heeds_cancellation: ClassVar[bool] = True

    def __init__(self, run: Run) -> None:
        """Begin a test.

        Args:
            run: What it has in common with the others.
        """
        self.said: list[Said] = []
        self.missing: dict[CacheKey, Said | None] = {}
        """What is not recorded and was asked for, to be replayed; None where nobody knows what."""
        self.missed: set[CacheKey] = set()
        """What was asked for and not found."""
        self.unwritten: dict[CacheKey, str] = {}
        """What could not be written, with the reason."""
        self._run = run
        self._new: dict[CacheKey, Utterance] = {}
        self._forgotten: set[CacheKey] = set()

    @property
    def new(self) -> set[CacheKey]:
        """Where what the test has stored is kept."""
        return set(self._new)

    def note(self, said: Said) -> None:
        """Note that a service is asked for a line now.

        Args:
            said: The line.
        """
        self.said.append(said)
        saying.set(said)

    def note_missing(self) -> None:
        """Note that a service that only replays would have had to speak the line of this moment."""
        if (said := saying.get()) is not None and said.key is not None:
            self.missing.setdefault(said.key, said)

    def write(self) -> None:
        """Write what is new into the library, unless lines are only replayed. It blocks.

        Raises:
            OSError: If it cannot be written.
        """
        if self._run.mode is Mode.REPLAY:
            return
        for key, utterance in self._new.items():
            try:
                self._run.library.add(key, utterance)
                self._run.recorded.add(key)
            except CorruptRecordError as error:
                self.unwritten[key] = str(error)

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look a line up. One that is missing in a replay is noted."""
        said = _note(key)
        self._run.used.add(key)
        replays = self._run.mode is Mode.REPLAY
        utterance = self._find(key, said, forgotten=replays)
        if utterance is None:
            self.missed.add(key)
            if replays:
                self.missing.setdefault(key, said)
        return utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep a line. Recordings do not expire."""
        del ttl
        self._new[key] = utterance
        self._forgotten.discard(key)
        self._run.used.add(key)
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget a line for the rest of the test."""
        if not self._holds(key):
            return False
        self._new.pop(key, None)
        self._forgotten.add(key)
        return True

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether a line is there."""
        _note(key)
        self._run.used.add(key)
        return self._holds(key)

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all lines, or all of one namespace, for the rest of the test."""
        return await self.delete_many(self._keys(namespace))

    async def get_stats(self) -> dict[str, Any]:
        """Describe the recordings.

        Returns:
            "entries": how many there are; "mode": what becomes of lines.
        """
        return {"entries": len(self._keys(None)), "mode": self._run.mode.value}

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is there."""
        for key in self._keys(namespace):
            if utterance := self._find(key):
                yield Entry.of(key, utterance, size=utterance.size)

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look at a line."""
        return self._find(key)

    def _keys(self, namespace: str | None) -> list[CacheKey]:
        known = self._run.library.recordings.keys() | self._new.keys()
        return [key for key in known if namespace in (None, key.namespace) and self._holds(key)]

    def _holds(self, key: CacheKey) -> bool:
        return key in self._new or (key not in self._forgotten and self._may_replay(key))

    def _may_replay(self, key: CacheKey) -> bool:
        """Whether the library has a line, and that is not one to record anew."""
        anew = self._run.mode is Mode.RECORD and key not in self._run.recorded
        return key in self._run.library.recordings and not anew

    def _find(
        self, key: CacheKey, said: Said | None = None, *, forgotten: bool = False
    ) -> Utterance | None:
        if (utterance := self._new.get(key)) is not None:
            return utterance
        if not self._may_replay(key) or (key in self._forgotten and not forgotten):
            return None
        recording = self._run.library.recordings[key]
        try:
            return recording.utterance()
        except CorruptRecordError as error:
            if said is not None:
                said.damaged = f"{recording.page.name}: {error}"
            return None


def _note(key: CacheKey) -> Said | None:
    """Find out which line it is that is looked up now."""
    said = saying.get()
    if said is None or said.key not in (None, key):
        return None
    said.key = key
    return said
