#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is said again and again: `top` and `near-misses`."""

from dataclasses import asdict
from typing import Annotated

import typer

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.cli import words
from pipecat_tts_cache.cli.choice import largest, uses
from pipecat_tts_cache.cli.ending import ending, with_store
from pipecat_tts_cache.cli.options import Filters, Json, Store, takes_filters
from pipecat_tts_cache.cli.output import Column, Table, entry_as_json, note, waiting, write_json
from pipecat_tts_cache.inventory import list_entries
from pipecat_tts_cache.near_misses import NearMisses, find_near_misses

Limit = Annotated[int, typer.Option("--limit", min=1, help="Show so many at most.")]


def register(app: typer.Typer) -> None:
    """Add these commands.

    Args:
        app: Where to.
    """
    app.command("top")(takes_filters(top))
    app.command("near-misses")(takes_filters(near_misses))


def top(store: Store, limit: Limit = 20, as_json: Json = False, *, filters: Filters) -> None:
    """Show the lines that are used most, and the characters that this saved."""
    with ending(store):
        chosen = filters.selection()

        async def find(backend: CacheBackend) -> list[Entry]:
            return await largest(list_entries(backend, chosen), by=uses, limit=limit)

        with waiting("Reading the list …"):
            found = with_store(store, find)
        table = Table(
            Column("uses", 6, right=True),
            Column("saved", 9, right=True),
            Column("digest", 8),
            Column("voice", 12),
            Column("text"),
        )
        for entry in found:
            if as_json:
                write_json(entry_as_json(entry) | {"characters_saved": _saved(entry)})
            else:
                saved = _saved(entry)
                table.add(
                    str(entry.uses),
                    "-" if saved is None else f"{saved:,}",
                    entry.key.digest[:8] if table.on_terminal else entry.key.digest,
                    entry.voice or "-",
                    "-" if entry.text is None else entry.text,
                )
        _finish(table, is_empty=not found, as_json=as_json)


def near_misses(
    store: Store, limit: Limit = 20, as_json: Json = False, *, filters: Filters
) -> None:
    """Show lines that differ only by case, punctuation and white space, and what that costs."""
    with ending(store):
        chosen = filters.selection()
        with waiting("Comparing lines …"):
            found = with_store(
                store, lambda backend: find_near_misses(backend, chosen, limit=limit)
            )
        if as_json:
            write_json(asdict(found))
        else:
            _show(found)


def _show(found: NearMisses) -> None:
    table = Table(
        Column("cost", 8, right=True),
        Column("entries", 7, right=True),
        Column("uses", 6, right=True),
        Column("text"),
    )
    for group in found.groups:
        for number, line in enumerate(group.spellings):
            table.add(
                f"{group.characters:,}" if number == 0 else "",
                str(line.entries),
                "-" if line.uses is None else str(line.uses),
                line.text,
            )
    _finish(table, is_empty=not found.groups, as_json=False)
    if found.num_groups:
        what = (
            f"{words.many(found.num_groups, 'group')}, {words.many(found.characters, 'character')}"
        )
        note(f"{what} synthesized that one line each would have spared")
    if found.unread:
        note(f"{words.many(found.unread, 'utterance')} without text could not be compared")


def _finish(table: Table, *, is_empty: bool, as_json: bool) -> None:
    if is_empty:
        note("nothing found")
    elif not as_json:
        table.show()


def _saved(entry: Entry) -> int | None:
    return None if entry.text is None else len(entry.text) * uses(entry)
