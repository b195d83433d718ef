#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for one machine: utterances in a folder, which outlive the process."""

import os
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.disk.folder import DiskFolder
from pipecat_tts_cache.backends.disk.reads import Found, Place, find, is_there, list_some, totals
from pipecat_tts_cache.backends.disk.worker import DiskWorker, Tally, TooSlowError, Work
from pipecat_tts_cache.backends.disk.writes import DiskWriter, room
from pipecat_tts_cache.backends.eviction import Eviction
from pipecat_tts_cache.backends.names import check_namespace
from pipecat_tts_cache.backends.records import read_record, write_record
from pipecat_tts_cache.backends.wall_clock import WatchedClock
from pipecat_tts_cache.checks import check_choice, check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import BackendError, CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.utterance import Utterance, head_size, read_header

_HELD = ("entries", "bytes", "pinned", "namespaces", "disk_bytes")
_T = TypeVar("_T")


class DiskCacheBackend(CacheBackend):
    """Keeps utterances in a folder, for the processes of one machine, those that repeat longest.

    They are in an SQLite database. Two threads have it open, one to look up and one to write, so
    that a look-up never waits for a write. It is bounded by bytes: when room is needed, what has
    expired goes first, then what is worth least: see `backends.eviction`.

    After a process was killed every utterance is there whole, or not at all. A database that is
    damaged is set aside and replaced; a damaged record is a miss, and is deleted; a record of a
    newer format is a miss, and stays. Folder and files are the owner's alone, but not encrypted.

    One store may serve any number of services and of event loops, and may be used on both sides of
    a fork. The folder has to be on a local disk: processes on several machines share no SQLite.
    """

    heeds_cancellation = True
    keeps_pins = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 2 * 1024**3,
        codec: Codec = "flac",
        eviction: Eviction = "gdsf",
        timeout: float = 0.25,
        write_timeout: float = 2.0,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a store. The folder is opened, or made, when it is first used.

        Args:
            path: The folder. It is made, with those above it, if it is not there.
            max_bytes: The most bytes that utterances may take in the database. An utterance above
                it is refused and leaves the others alone. The log beside the database, some 4 to
                8 MB, comes on top.
            codec: How samples are kept: "flac" without loss in about half the room, "raw", or
                "opus", small and not quite the same.
            eviction: What goes when it is full: "gdsf", what is said seldom and takes much room,
                or "lru", what was not said for longest.
            timeout: Seconds a look-up may take.
            write_timeout: Seconds a write may take, a `peek`, or one batch of a `clear`.
            clock: Tells the time in seconds, and never jumps.
            wall_clock: Tells the time in seconds since the Unix epoch.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense.
        """
        self._folder = DiskFolder(_check_path(path))
        self._codec: Codec = check_choice("codec", codec, Codec)
        self._timeout = check_seconds("timeout", timeout)
        self._write_timeout = check_seconds("write_timeout", write_timeout)
        self._clock = WatchedClock(wall_clock, clock)
        self._tables = DiskWriter(
            max_bytes=check_positive_int("max_bytes", max_bytes),
            eviction=check_choice("eviction", eviction, Eviction),
            clock=self._clock,
        )
        self._reader = DiskWorker(self._folder, patience=self._timeout)
        self._writer = DiskWorker(
            self._folder, patience=self._write_timeout, idle=self._tables.note
        )
        for worker in (self._reader, self._writer):  # should nobody close it
            weakref.finalize(self, worker.stop)
        self._tally = Tally()

    def __repr__(self) -> str:
        return f"DiskCacheBackend({str(self._folder.path)!r}, max_bytes={self._tables.max_bytes})"

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, which makes it worth more.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, it has expired, or its record cannot be used.

        Raises:
            BackendError: If the disk fails or takes longer than `timeout`.
        """
        found = await self._find(key, within=self._timeout)
        utterance = None if found is None else await self._read_found(found)
        if found is None or utterance is None:
            self._tally.add("misses")
            return None
        self._tally.add("hits")
        self._tables.use(found.row)
        self._writer.wake()
        return utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it.

        Returns:
            False, with nothing changed, if it is larger than `max_bytes`, if only what is worth
            more or pinned could make room for it, if it would replace something pinned and is not,
            or if it cannot be written as a record; else True.

        Raises:
            BackendError: If the disk fails, is full, or takes longer than `write_timeout`.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        stored = False
        with suppress(RecordError):
            record = await write_record(utterance, self._codec)
            size = room(record, utterance.text)
            if size <= self._tables.max_bytes:
                codec = read_header(record[: head_size(record)])["codec"].value
                entry = Entry.of(key, utterance, size=size, codec=codec)
                stored = await self._write(
                    partial(self._tables.store, entry=entry, record=record, seconds=seconds)
                )
        if not stored:
            self._tally.add("refused")
        return stored

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one that had not expired.

        Raises:
            BackendError: If the disk fails or takes longer than `write_timeout`.
        """
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances, all or none.

        Args:
            keys: Where they are kept; a few hundred at most.

        Returns:
            How many there were that had not expired.

        Raises:
            BackendError: If the disk fails or takes longer than `write_timeout`.
        """
        return await self._write(partial(self._tables.remove, keys=keys)) if keys else 0

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one that has not expired.

        Raises:
            BackendError: If the disk fails or takes longer than `timeout`.
        """
        return await self._read(lambda database: is_there(database, key, self._clock.now()))

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        It goes in batches, between which others can write.

        Args:
            namespace: The namespace, or None for everything in this folder.

        Returns:
            How many were removed, not counting those that had expired.

        Raises:
            BackendError: If the disk fails or takes longer than `write_timeout` for a batch.
            TypeError: If the namespace is neither a string nor None.
        """
        removed, last, more = 0, None, True
        checked = check_namespace(namespace)
        while more:
            count, last = await self._write(
                partial(self._tables.clear_some, namespace=checked, last=last)
            )
            removed += count
            more = last is not None
        return removed

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store. It never raises: a disk that fails is described as that.

        Returns:
            A plain dict:

            - entries: Utterances in the folder that have not expired, or None while the disk does
              not answer.
            - bytes: What they take in the database, about, or None likewise.
            - pinned: How many of them are pinned, or None likewise.
            - namespaces: How many namespaces there are, or None likewise. Those whose utterances
              have all expired may count for a while.
            - disk_bytes: What the database and its log take, or None likewise.
            - max_bytes: The most bytes that utterances may take.
            - available: Whether the disk answered just now.
            - hits: Look-ups of this object that found an utterance.
            - misses: Look-ups that did not, those with an unusable record included.
            - corrupt: Damaged records, which were deleted.
            - newer: Records of a newer format, which were left alone.
            - refused: Utterances not taken because they are larger than `max_bytes`, worth less
              than some that would have had to go, would have replaced a pinned one, or do not fit
              into a record.
            - evictions: Utterances that this object dropped to make room for others.
            - expirations: Utterances that this object dropped because their time was over.
            - errors: Calls that failed, time-outs included.
            - timeouts: Calls that took too long.
        """
        held: dict[str, Any] = dict.fromkeys(_HELD)
        with suppress(BackendError):
            held = await self._read(
                lambda database: totals(database, self._folder, self._clock.now())
            )
        return {
            **held,
            "max_bytes": self._tables.max_bytes,
            "available": held["entries"] is not None,
            **{name: self._tally[name] for name in ("hits", "misses", "corrupt", "newer")},
            "refused": self._tally["refused"],
            "evictions": self._tables.evictions,
            "expirations": self._tables.expirations,
            "errors": self._tally["errors"],
            "timeouts": self._tally["timeouts"],
        }

    async def close(self) -> None:
        """Finish what was begun, and close the database. Later calls fail."""
        for worker in (self._reader, self._writer):
            await worker.close(within=2 * self._write_timeout)

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept, without the audio and without counting as a use.

        Args:
            namespace: The namespace, or None for everything in this folder.

        Yields:
            The entries.

        Raises:
            BackendError: If the disk fails, or takes longer than `write_timeout` for a page.
        """
        with suppress(BackendError):  # only so that uses are as they should be
            await self._writer.ask(self._tables.note, within=self._timeout)
        place: Place | None = Place()
        while place is not None:
            page, place = await self._read(
                partial(list_some, namespace=namespace, place=place, now=self._clock.now()),
                within=self._write_timeout,
            )
            for entry in page:
                yield entry

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, it has expired, or its record cannot be used.

        Raises:
            BackendError: If the disk fails or takes longer than `write_timeout`.
        """
        found = await self._find(key, within=self._write_timeout)
        return None if found is None else await self._read_found(found)

    async def sweep(self, namespace: str | None = None) -> int:
        """Remove all that has expired, in any namespace, unless the clock was set just now.

        Args:
            namespace: Makes no difference.

        Returns:
            How many there were.

        Raises:
            BackendError: If the disk fails or takes longer than `write_timeout` for a batch.
        """
        del namespace
        removed = 0
        while some := await self._write(self._tables.sweep_some):
            removed += some
        return removed

    async def _find(self, key: CacheKey, *, within: float) -> Found | None:
        return await self._read(
            lambda database: find(database, key, self._clock.now()), within=within
        )

    async def _read_found(self, found: Found) -> Utterance | None:
        try:
            return await read_record(found.record)
        except NewerRecordError:
            self._tally.add("newer")
        except CorruptRecordError:
            self._tally.add("corrupt")
            with suppress(BackendError):
                await self._write(
                    partial(self._tables.remove_row, row=found.row, record=found.record)
                )
        return None

    async def _read(self, work: Work[_T], *, within: float | None = None) -> _T:
        return await self._ask(self._reader, work, within or self._timeout)

    async def _write(self, work: Work[_T]) -> _T:
        return await self._ask(self._writer, work, self._write_timeout)

    async def _ask(self, worker: DiskWorker, work: Work[_T], within: float) -> _T:
        try:
            return await worker.ask(work, within=within)
        except TooSlowError:
            self._tally.add("errors", "timeouts")
            raise
        except BackendError:
            self._tally.add("errors")
            raise


def _check_path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a Path, not {type(path).__name__}")
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"path must be the name of a folder, not {name!r}")
    return Path(name).absolute()
