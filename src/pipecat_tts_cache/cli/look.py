#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Looking into a store: `stats`, `list` and `inspect`."""

import time
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.cli import words
from pipecat_tts_cache.cli.choice import DigestPrefix, find_one, largest, uses
from pipecat_tts_cache.cli.ending import Stop, ending, with_store
from pipecat_tts_cache.cli.options import Filters, Json, Namespace, Store, takes_filters
from pipecat_tts_cache.cli.output import (
    Column,
    Table,
    entry_as_json,
    note,
    waiting,
    write_fields,
    write_json,
)
from pipecat_tts_cache.inventory import list_entries
from pipecat_tts_cache.utterance import Utterance

_SORTED_LIMIT = 100
_FOR_PEOPLE = (
    "server",
    "store",
    "entries",
    "entries_complete",
    "pinned",
    "bytes",
    "namespaces",
    "disk_bytes",
    "max_bytes",
    "max_size",
    "levels",
    "stats",
)
"""Statistics of what a store holds. The others count what this very process did."""


class Sort(StrEnum):
    """What a list may be sorted by."""

    USES = "uses"
    SIZE = "size"
    AGE = "age"


def register(app: typer.Typer) -> None:
    """Add these commands.

    Args:
        app: Where to.
    """
    app.command("stats")(stats)
    app.command("list")(takes_filters(list_))
    app.command("inspect")(inspect)


def stats(store: Store, as_json: Json = False) -> None:
    """Tell how much a store holds."""
    with ending(store):
        described = with_store(store, lambda backend: backend.get_stats())
        if as_json:
            write_json(described)
        if described.get("entries") is None:
            raise Stop(f"{described.get('server', 'the store')} does not answer")
        if not as_json:
            write_fields(_flat(described))


def list_(
    store: Store,
    sort: Annotated[
        Sort | None,
        typer.Option("--sort", help="The most used, the largest or the oldest first."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help=f"Show so many at most; if sorted, {_SORTED_LIMIT} unless given.",
        ),
    ] = None,
    as_json: Json = False,
    *,
    filters: Filters,
) -> None:
    """List what a store holds."""
    with ending(store):
        chosen = filters.selection()

        async def show(backend: CacheBackend) -> int:
            entries = list_entries(backend, chosen)
            if sort is not None:
                entries = _sorted(entries, sort, limit or _SORTED_LIMIT)
            return await show_entries(entries, limit, as_json)

        if not with_store(store, show):
            note("nothing found")


def inspect(
    digest: DigestPrefix, store: Store, namespace: Namespace = None, as_json: Json = False
) -> None:
    """Tell all about an utterance, except how it sounds."""
    with ending(store):
        entry, utterance = with_store(store, lambda backend: look_up(backend, digest, namespace))
        if as_json:
            write_json(_described(entry, utterance))
        else:
            write_fields(_for_people(entry, utterance))


async def look_up(
    backend: CacheBackend, prefix: str, namespace: str | None
) -> tuple[Entry, Utterance]:
    """Fetch the utterance that a digest names, without counting as a use.

    Args:
        backend: The store.
        prefix: The digest, or how it begins.
        namespace: Whose it is, or None for anybody's.

    Returns:
        Its entry and itself.

    Raises:
        Stop: If there is none, there are several, or it cannot be read.
    """
    with waiting("Looking for it …"):
        entry = await find_one(backend, prefix, namespace)
        utterance = await backend.peek(entry.key)
    if utterance is None:
        raise Stop(f"{entry.key.digest} was removed meanwhile, or its record is damaged")
    return entry, utterance


async def show_entries(entries: AsyncIterator[Entry], limit: int | None, as_json: bool) -> int:
    """Show entries as they come.

    Args:
        entries: The entries.
        limit: How many to show at most, or None.
        as_json: Whether as JSON.

    Returns:
        How many there were.
    """
    table = EntryTable()
    shown = 0
    async for entry in entries:
        shown += 1
        if as_json:
            write_json(entry_as_json(entry))
        else:
            table.add_entry(entry)
        if shown == limit:
            break
    if shown and not as_json:
        table.show()
    return shown


async def _sorted(entries: AsyncIterator[Entry], sort: Sort, limit: int) -> AsyncIterator[Entry]:
    by = {Sort.USES: uses, Sort.SIZE: _size, Sort.AGE: _age}[sort]
    with waiting("Reading the list …"):
        found = await largest(entries, by=by, limit=limit)
    for entry in found:
        yield entry


def _size(entry: Entry) -> float:
    return entry.size


def _age(entry: Entry) -> float:
    return -entry.created_at


class EntryTable(Table):
    """A table of entries."""

    def __init__(self) -> None:
        """Begin it."""
        super().__init__(
            Column("digest", 8),
            Column("age", 4, right=True),
            Column("uses", 5, right=True),
            Column("size", 7, right=True),
            Column("length", 7, right=True),
            Column("namespace", 10),
            Column("voice", 10),
            Column("text"),
        )

    def add_entry(self, entry: Entry) -> None:
        """Show an entry.

        Args:
            entry: The entry.
        """
        self.add(
            entry.key.digest[:8] if self.on_terminal else entry.key.digest,
            words.since(entry.created_at, time.time()),
            "-" if entry.uses is None else str(entry.uses),
            words.size(entry.size),
            words.length(entry.duration),
            entry.key.namespace,
            entry.voice or "-",
            "-" if entry.text is None else entry.text,
        )


def _flat(described: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Write statistics for people, also those of stores behind one another."""
    lines: dict[str, str] = {}
    for name in _FOR_PEOPLE:
        value = described.get(name)
        if isinstance(value, dict):
            lines |= _flat(value, prefix)
        elif isinstance(value, list):
            for number, each in enumerate(value, 1):
                lines |= _flat(each, f"{prefix}level {number}: ")
        elif name in described:
            lines[f"{prefix}{name}"] = _as_words(name, value)
    return lines


def _as_words(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name.endswith("bytes") and isinstance(value, int):
        return f"{words.size(value)} ({value:,})"
    return str(value)


def _described(entry: Entry, utterance: Utterance) -> dict[str, Any]:
    """Describe an utterance for machines: its entry, and what only the utterance knows."""
    return entry_as_json(entry) | {
        "num_frames": utterance.num_frames,
        "seal": utterance.seal,
        "watermarked": utterance.watermarked,
        "words": [word._asdict() for word in utterance.words],
    }


def _for_people(entry: Entry, utterance: Utterance) -> dict[str, str]:
    described = _described(entry, utterance)
    del described["words"]
    lines = {name: "-" if value is None else str(value) for name, value in described.items()}
    now = time.time()
    for name in ("created_at", "expires_at", "last_used_at"):
        if (moment := described[name]) is not None:
            lines[name] = _moment(moment, now)
    lines["size"] = words.size(entry.size)
    lines["duration"] = words.length(entry.duration)
    for number, word in enumerate(utterance.words, 1):
        lines[f"word {number}"] = f"{word.start:8.3f} s  {word.text}"
    return lines


def _moment(seconds: float, now: float) -> str:
    try:
        written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return str(seconds)
    distance = words.since(seconds, now)
    return f"{written} ({distance} ago)" if seconds <= now else f"{written} (in {distance})"
