#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is in a store: listing it, purging it, erasing a text, and moving house.

::

    from pipecat_tts_cache import MemoryCacheBackend, Selection, purge

    store = MemoryCacheBackend()
    old = Selection(namespace="user_123", unused_for=90 * 86400)
    print(await purge(store, old, dry_run=True))
    await purge(store, old)

It works on every store that lists its entries, and holds a bounded number of them at a time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.checks import (
    check_bool,
    check_callable,
    check_instance,
    check_positive_int,
    check_seconds,
)
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.key import digest_text, prepare_text

_BATCH = 256
_MOST_REASONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some of what a store holds: what fits everything that is given here.

    Parameters:
        namespace: Whose it is.
        service: The name of the TTS service class.
        voice: The voice.
        model: The model.
        text: What was spoken, in any Unicode form and with any white space. It is found by its
            digest where the text itself was not kept.
        secret: The `cache_secret` of the services that spoke it, if they have one.
        older_than: Seconds since it was recorded, at least.
        unused_for: Seconds since it was last looked up, at least.
        pinned: Whether it is pinned. None is for both, but what is pinned is only purged by True.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If an age is not above zero, or a secret is given without a text.
    """

    namespace: str | None = None
    service: str | None = None
    voice: str | None = None
    model: str | None = None
    text: str | None = None
    secret: str | bytes | None = None
    older_than: float | None = None
    unused_for: float | None = None
    pinned: bool | None = None

    def __post_init__(self) -> None:
        for name in ("namespace", "service", "voice", "model", "text"):
            if not isinstance(value := getattr(self, name), str | None):
                raise TypeError(f"{name} must be a string, not {type(value).__name__}")
        if not isinstance(self.secret, str | bytes | None):
            raise TypeError(f"secret must be a string or bytes, not {type(self.secret).__name__}")
        if not isinstance(self.pinned, bool | None):
            raise TypeError(f"pinned must be a bool, not {type(self.pinned).__name__}")
        if self.secret is not None and self.text is None:
            raise ValueError("a secret is for finding a text: give the text, too")
        for name in ("older_than", "unused_for"):
            if (seconds := getattr(self, name)) is not None:
                check_seconds(name, seconds)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is given, so that everything fits."""
        return all(getattr(self, each.name) is None for each in fields(self))

    def __repr__(self) -> str:
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        shown = [
            f"{name}={'...' if name == 'secret' else repr(value)}"
            for name, value in given
            if value is not None
        ]
        return f"Selection({', '.join(shown)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What was removed, or would be.

    Parameters:
        entries: How many utterances.
        size: Bytes that they took in the store.
        duration: Seconds of speech.
        spared: Pinned utterances that would fit, and stay.
    """

    entries: int = 0
    size: int = 0
    duration: float = 0.0
    spared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What came of copying a store, so far or in the end.

    Parameters:
        copied: Utterances copied.
        skipped: Those that were there already.
        refused: Those that the target did not take, for instance as they are too large.
        gone: Those that expired or were removed before it was their turn.
        failed: Those that either store failed at; copy again to try them again.
        evicted: Those that the target gave up meanwhile to make room: it is too small.
        reasons: Why some failed, each once, the first few.
    """

    copied: int = 0
    skipped: int = 0
    refused: int = 0
    gone: int = 0
    failed: int = 0
    evicted: int = 0
    reasons: tuple[str, ...] = ()


async def list_entries(
    backend: CacheBackend,
    selection: Selection | None = None,
    *,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[Entry]:
    """List what a store holds.

    Args:
        backend: The store.
        selection: What to list; by default everything.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Yields:
        The entries, in no order.

    Raises:
        BackendError: If the store fails, or cannot tell what was asked for.
        TypeError: If an argument has the wrong type.
    """
    check_instance("backend", backend, CacheBackend)
    check_instance("selection", selection, Selection | None)
    chosen = selection or Selection()
    fits = _matcher(chosen, wall_clock())
    async for entry in backend.entries(chosen.namespace):
        if fits(entry):
            yield entry


async def purge(
    backend: CacheBackend,
    selection: Selection,
    *,
    dry_run: bool = False,
    wall_clock: Callable[[], float] = time.time,
) -> Purged:
    """Remove what fits a selection, and beside it whatever has expired and is still there.

    What is pinned stays, unless the selection says ``pinned=True``.

    Args:
        backend: The store.
        selection: What to remove.
        dry_run: Whether only to count.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Returns:
        What was removed, or would be, without what had expired.

    Raises:
        BackendError: If the store fails, or cannot tell what was asked for.
        TypeError: If an argument has the wrong type.
        ValueError: If the selection is everything: there is `clear` for that.
    """
    check_instance("selection", selection, Selection)
    if selection.is_everything:
        raise ValueError("this would remove everything: say what to purge, or call clear()")
    return await remove_entries(
        backend,
        selection,
        spares_pins=not selection.pinned,
        dry_run=dry_run,
        wall_clock=wall_clock,
    )


async def remove_entries(
    backend: CacheBackend,
    selection: Selection,
    *,
    spares_pins: bool = False,
    dry_run: bool = False,
    wall_clock: Callable[[], float] = time.time,
) -> Purged:
    """Remove what fits a selection, and beside it whatever has expired and is still there.

    Args:
        backend: The store.
        selection: What to remove.
        spares_pins: Whether what is pinned stays.
        dry_run: Whether only to count.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Returns:
        What was removed, or would be, without what had expired.

    Raises:
        BackendError: If the store fails, or cannot tell what was asked for.
        TypeError: If an argument has the wrong type.
    """
    check_instance("backend", backend, CacheBackend)
    if not check_bool("dry_run", dry_run):
        await backend.sweep(selection.namespace)
    entries, size, duration, spared = 0, 0, 0.0, 0
    async for batch in _batches(list_entries(backend, selection, wall_clock=wall_clock), _BATCH):
        doomed = [entry for entry in batch if not (spares_pins and entry.pinned)]
        spared += len(batch) - len(doomed)
        size += sum(entry.size for entry in doomed)
        duration += sum(entry.duration for entry in doomed)
        keys = [entry.key for entry in doomed]
        entries += len(keys) if dry_run else await backend.delete_many(keys)
    return Purged(entries=entries, size=size, duration=duration, spared=spared)


async def delete_text(
    backend: CacheBackend,
    text: str,
    *,
    secret: str | bytes | None = None,
    dry_run: bool = False,
) -> Purged:
    """Erase a sentence: every record of it, in every namespace, voice and setting, pins too.

    Args:
        backend: The store.
        text: The sentence, as it was prepared for the provider.
        secret: The `cache_secret` of the services that spoke it, if they have one: without it,
            records that hold neither the text nor a plain digest of it are not found.
        dry_run: Whether only to count.

    Returns:
        What was removed, or would be.

    Raises:
        BackendError: If the store fails. Then something may be left: erase again.
        TypeError: If an argument has the wrong type.
    """
    return await remove_entries(backend, Selection(text=text, secret=secret), dry_run=dry_run)


async def copy_store(
    source: CacheBackend,
    target: CacheBackend,
    *,
    selection: Selection | None = None,
    overwrite: bool = False,
    concurrency: int = 8,
    progress: Callable[[Copied], None] | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> Copied:
    """Copy utterances into another store, with what is left of their time.

    What is there already is left alone, so that a copy that was broken off goes on where it was
    when it is started again. In the source nothing counts as used.

    Args:
        source: Where to read.
        target: Where to write.
        selection: What to copy; by default everything.
        overwrite: Whether to replace what is there.
        concurrency: How many to copy at a time.
        progress: Called after each utterance with what came of it all so far.
        wall_clock: Tells the time in seconds since the Unix epoch.

    Returns:
        What came of it.

    Raises:
        BackendError: If the source cannot be listed.
        TypeError: If an argument has the wrong type.
        ValueError: If both are the same store, or `concurrency` is not above zero.
    """
    check_instance("source", source, CacheBackend)
    check_instance("target", target, CacheBackend)
    check_bool("overwrite", overwrite)
    if progress is not None:
        check_callable("progress", progress)
    if source is target:
        raise ValueError("source and target are the same store")
    at_once = check_positive_int("concurrency", concurrency)
    done = Copied()
    evicted_before = await _evictions(target)
    async for batch in _batches(list_entries(source, selection, wall_clock=wall_clock), at_once):
        copies = (_copy_one(source, target, each, overwrite, wall_clock) for each in batch)
        for outcome, reason in await asyncio.gather(*copies):
            done = _counted(done, outcome, reason)
            if progress is not None:
                progress(done)
    return replace(done, evicted=await _evictions(target) - evicted_before)


def _counted(done: Copied, outcome: str, reason: str) -> Copied:
    known = done.reasons
    if reason and reason not in known and len(known) < _MOST_REASONS:
        known = (*known, reason)
    return replace(done, reasons=known, **{outcome: getattr(done, outcome) + 1})


async def _evictions(store: CacheBackend) -> int:
    """How many utterances a store has given up, as far as it tells."""
    with suppress(Exception):
        return int((await store.get_stats()).get("evictions") or 0)
    return 0


async def _copy_one(
    source: CacheBackend,
    target: CacheBackend,
    entry: Entry,
    overwrite: bool,
    wall_clock: Callable[[], float],
) -> tuple[str, str]:
    """Copy an utterance; tell which field of `Copied` counts it, and why if it failed."""
    try:
        if not overwrite and await target.exists(entry.key):
            return "skipped", ""
        utterance = await source.peek(entry.key)
        left = None if entry.expires_at is None else entry.expires_at - wall_clock()
        if utterance is None or (left is not None and left <= 0):
            return "gone", ""
        return "copied" if await target.set(entry.key, utterance, ttl=left) else "refused", ""
    except BackendError as error:
        return "failed", str(error)
    except Exception as error:  # whatever a store raises; its words may hold anything
        return "failed", type(error).__name__


async def _batches(entries: AsyncIterator[Entry], size: int) -> AsyncIterator[list[Entry]]:
    batch: list[Entry] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _matcher(selection: Selection, now: float) -> Callable[[Entry], bool]:
    """Make the test that an entry has to pass."""
    says = None if selection.text is None else _says(selection.text, selection.secret)
    born, used = (
        None if age is None else now - age for age in (selection.older_than, selection.unused_for)
    )

    def fits(entry: Entry) -> bool:
        return (
            selection.service in (None, entry.service)
            and selection.voice in (None, entry.voice)
            and selection.model in (None, entry.model)
            and selection.pinned in (None, entry.pinned)
            and (says is None or says(entry))
            and (born is None or entry.created_at <= born)
            and (used is None or _last_use(entry) <= used)
        )

    return fits


def _says(text: str, secret: str | bytes | None) -> Callable[[Entry], bool]:
    prepared = prepare_text(text)
    digests = {digest_text(text)}
    if secret is not None:
        keyed = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
        digests.add(digest_text(text, secret=keyed))
    return lambda entry: (
        entry.text_digest in digests
        or (entry.text is not None and prepare_text(entry.text) == prepared)
    )


def _last_use(entry: Entry) -> float:
    if entry.last_used_at is None:
        raise BackendError("this store does not note when an utterance was last used")
    return entry.last_used_at
