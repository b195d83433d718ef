#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store as a folder of sound files that people listen to and change, and back.

::

    from pipecat_tts_cache import MemoryCacheBackend
    from pipecat_tts_cache import export_store, import_store

    async def there_and_back(store):
        print(await export_store(store, "recordings"))
        print(await import_store("recordings", store))

Files are read and written in threads. Nothing from a folder is ever executed, no path in it leads
out of it, and what is no recording is skipped, with the reason.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.checks import (
    check_bool,
    check_callable,
    check_instance,
    check_positive_int,
    check_ttl,
)
from pipecat_tts_cache.exports.edits import Found, Recordings
from pipecat_tts_cache.exports.folder import ExportFolder, Format
from pipecat_tts_cache.exports.index import IndexKind
from pipecat_tts_cache.exports.names import file_stem
from pipecat_tts_cache.inventory import Selection, _batches, list_entries

KEPT: Literal["kept"] = "kept"


class Note(NamedTuple):
    """What came of a line, where that is worth a word.

    Parameters:
        file: Its file, from the folder, or what would be its name.
        outcome: The field of `Exported` or `Imported` that counts it.
        reason: Why, or what was changed.
    """

    file: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of an export, so far or in the end.

    Parameters:
        written: Files written.
        skipped: Those that were there already.
        gone: Utterances that expired or were removed before it was their turn.
        failed: Those that the store or the file system failed at, or that no file can hold.
        notes: In the end, what failed and why.
    """

    written: int = 0
    skipped: int = 0
    gone: int = 0
    failed: int = 0
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import, so far or in the end.

    Parameters:
        imported: Recordings that the store did not hold.
        replaced: Those that took the place of what the store held.
        unchanged: Those that the store holds already.
        skipped: Lines and files that were not taken.
        removed: Those removed from the store, as their file is gone.
        refused: Those that the store did not take, for instance as they are too large.
        failed: Those that the store failed at; import again to try them again.
        lines: How many lines the index has.
        notes: In the end, what was edited, skipped, removed, refused or failed, and why.
    """

    imported: int = 0
    replaced: int = 0
    unchanged: int = 0
    skipped: int = 0
    removed: int = 0
    refused: int = 0
    failed: int = 0
    lines: int = 0
    notes: tuple[Note, ...] = ()


async def export_store(
    store: CacheBackend,
    folder: str | os.PathLike[str],
    *,
    selection: Selection | None = None,
    format: Format = "flac",  # noqa: A002 - what people call it
    index: IndexKind = "csv",
    overwrite: bool = False,
    concurrency: int = 8,
    progress: Callable[[Exported], None] | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> Exported:
    """Write what a store holds into a folder of sound files, with an index.

    A line that is there already is left alone, edits included, so that an export that was broken
    off goes on where it was when it is started again. In the store nothing counts as used.

    Args:
        store: The store. It has to list its entries.
        folder: Where to write; it is made if it is not there. Its index is held in memory.
        selection: What to export; by default everything.
        format: "flac" or "wav". What FLAC cannot take, or does not make smaller, becomes WAV.
        index: "csv" for spreadsheets, or "jsonl" for programs. A folder keeps the one it has.
        overwrite: Whether to write anew what is there; edits are lost then.
        concurrency: How many to read from the store at a time.
        progress: Called after each utterance with what came of it all so far.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Returns:
        What came of it.

    Raises:
        BackendError: If the store cannot be listed. What was written by then is in the index.
        OSError: If the folder or its index cannot be written.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument makes no sense, or the folder's index is damaged.
    """
    at_once = check_positive_int("concurrency", concurrency)
    if format not in get_args(Format):
        raise ValueError(f"format must be 'flac' or 'wav', not {format!r}")
    if index not in get_args(IndexKind):
        raise ValueError(f"index must be 'csv' or 'jsonl', not {index!r}")
    _check(store, progress, overwrite=overwrite)
    check_instance("selection", selection, Selection | None)
    target = await asyncio.to_thread(ExportFolder, _path(folder), index, format)
    tally = _Tally(Exported(), progress)
    try:
        entries = list_entries(store, selection, wall_clock=wall_clock)
        async for batch in _batches(entries, at_once):
            await _export(store, target, batch, overwrite, tally)
    finally:
        await asyncio.to_thread(target.save)
    return tally.total()


async def import_store(
    folder: str | os.PathLike[str],
    store: CacheBackend,
    *,
    overwrite: bool = False,
    delete_missing: bool = False,
    ttl: float | Literal["kept"] | None = KEPT,
    dry_run: bool = False,
    concurrency: int = 8,
    progress: Callable[[Imported], None] | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> Imported:
    """Take the recordings of a folder that `export_store` wrote into a store, edits included.

    What was edited replaces what the store holds; what was not only fills gaps.

    Args:
        folder: The folder.
        store: The store, the same as before or another.
        overwrite: Whether what was not edited replaces what the store holds, too.
        delete_missing: Whether to remove from the store what has a line in the index, but no file.
        ttl: Seconds after which the recordings are forgotten, None to keep them, or "kept" for what
            was left of their time when they were exported.
        dry_run: Whether only to tell what would come of it.
        concurrency: How many to read and store at a time.
        progress: Called after each line with what came of it all so far.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Returns:
        What came of it.

    Raises:
        OSError: If the folder or its index cannot be read, or is not there.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument makes no sense, or the index is none.
    """
    at_once = check_positive_int("concurrency", concurrency)
    _check(store, progress, overwrite=overwrite, delete_missing=delete_missing, dry_run=dry_run)
    seconds = ttl if ttl == KEPT else check_ttl(ttl)
    source = await asyncio.to_thread(Recordings, _path(folder))
    tally = _Tally(Imported(lines=len(source.rows)), progress)
    how = _How(overwrite, delete_missing, seconds, dry_run)
    for start in range(0, len(source.rows), at_once):
        rows = source.rows[start : start + at_once]
        found = await asyncio.to_thread(source.find, rows)
        kept = await asyncio.gather(*(_keep(store, each, how, wall_clock) for each in found))
        for each, (outcome, reason) in zip(found, kept, strict=True):
            tally.count(each.file, outcome, reason)
    for file in source.strays():
        tally.count(file, "skipped", "no line of the index is about it")
    return tally.total()


_Counts = TypeVar("_Counts", bound=Exported | Imported)


class _How(NamedTuple):
    overwrite: bool
    delete_missing: bool
    ttl: float | Literal["kept"] | None
    dry_run: bool


class _Tally(Generic[_Counts]):
    """Counts what comes of lines, and tells of it."""

    def __init__(self, done: _Counts, progress: Callable[[_Counts], None] | None) -> None:
        self.done = done
        self.notes: list[Note] = []
        self._progress = progress

    def count(self, file: str, outcome: str, reason: str = "") -> None:
        """Count one more, and note it if there is a reason."""
        self.done = replace(self.done, **{outcome: getattr(self.done, outcome) + 1})
        if reason:
            self.notes.append(Note(file, outcome, reason))
        if self._progress is not None:
            self._progress(self.done)

    def total(self) -> _Counts:
        """Return all of it, with the notes."""
        return replace(self.done, notes=tuple(self.notes))


async def _export(
    store: CacheBackend,
    target: ExportFolder,
    batch: Sequence[Entry],
    overwrite: bool,
    tally: _Tally[Exported],
) -> None:
    there = [False] * len(batch)
    if not overwrite:
        there = await asyncio.to_thread(target.hold, batch)
    wanted = [entry for entry, is_there in zip(batch, there, strict=True) if not is_there]
    for _ in range(len(batch) - len(wanted)):
        tally.count("", "skipped")
    peeks = (store.peek(entry.key) for entry in wanted)
    peeked = await asyncio.gather(*peeks, return_exceptions=True)
    for entry, utterance in zip(wanted, peeked, strict=True):
        if isinstance(utterance, Exception):
            tally.count(file_stem(entry.text, entry.key), "failed", _of_store(utterance))
        elif isinstance(utterance, BaseException):
            raise utterance
        elif utterance is None:
            tally.count("", "gone")
        else:
            file, problem = await asyncio.to_thread(target.write, entry, utterance)
            tally.count(file, "failed" if problem else "written", problem)


async def _keep(
    store: CacheBackend, found: Found, how: _How, wall_clock: Callable[[], float]
) -> tuple[str, str]:
    """Store what was found; tell which field of `Imported` counts it, and why."""
    try:
        return await _store(store, found, how, wall_clock())
    except Exception as error:  # whatever a store raises
        return "failed", _of_store(error)


async def _store(store: CacheBackend, found: Found, how: _How, now: float) -> tuple[str, str]:
    key, utterance, edits = found.key, found.utterance, found.edits
    if utterance is None or key is None:
        return await _leave(store, found, how)
    ttl = how.ttl
    if ttl == KEPT:
        ttl = None if utterance.expires_at is None else utterance.expires_at - now
        if ttl is not None and ttl <= 0:
            return "skipped", "its time is over: give a ttl to take it all the same"
    if edits:
        utterance = replace(utterance, created_at=now)
    is_there = await store.exists(key)
    if is_there and not edits and not how.overwrite:
        return "unchanged", ""
    there = await store.peek(key) if is_there else None
    if there is not None and replace(there, created_at=utterance.created_at) == utterance:
        return "unchanged", ""
    if not how.dry_run and not await store.set(key, utterance, ttl=ttl):
        return "refused", "the store did not take it"
    return "replaced" if is_there else "imported", edits


async def _leave(store: CacheBackend, found: Found, how: _How) -> tuple[str, str]:
    """Do what there is to do about a line without a recording."""
    if found.problem or found.key is None:
        return "skipped", found.problem
    if not how.delete_missing:
        return "skipped", "its file is gone: delete_missing=True removes it from the store, too"
    is_there = await (store.exists if how.dry_run else store.delete)(found.key)
    return ("removed", "its file is gone") if is_there else ("unchanged", "")


def _of_store(error: Exception) -> str:
    return f"the store failed ({type(error).__name__})"


def _check(store: object, progress: object, **switches: object) -> None:
    check_instance("store", store, CacheBackend)
    if progress is not None:
        check_callable("progress", progress)
    for name, value in switches.items():
        check_bool(name, value)


def _path(folder: object) -> Path:
    if not isinstance(folder, str | os.PathLike) or not isinstance(os.fspath(folder), str):
        raise TypeError(f"folder must be a string or a path, not {type(folder).__name__}")
    return Path(folder)
