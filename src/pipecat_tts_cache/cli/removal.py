#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What removes: `purge`, `delete-text` and `clear`. Each counts, asks, and only then removes."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.cli import words
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, with_store
from pipecat_tts_cache.cli.options import (
    SECRET_VARIABLE,
    DryRun,
    Filters,
    Json,
    Namespace,
    Store,
    Yes,
    secret,
    takes_filters,
)
from pipecat_tts_cache.cli.output import waiting, write_json
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import Purged, Selection, remove_entries

_STDIN = "-"
Work = Callable[[CacheBackend, bool], Awaitable[Purged]]
"""Removes something, or with True only counts it."""

Sentence = Annotated[
    str,
    typer.Argument(
        metavar="TEXT", help="The sentence; - reads it from stdin, where no history keeps it."
    ),
]
AskSecret = Annotated[
    bool,
    typer.Option(
        "--ask-secret",
        help=f"Ask for the services' cache_secret. It may also be in {SECRET_VARIABLE}.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands.

    Args:
        app: Where to.
    """
    app.command("purge")(takes_filters(purge))
    app.command("delete-text")(delete_text)
    app.command("clear")(clear)


def purge(
    store: Store,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    *,
    filters: Filters,
) -> None:
    """Remove what fits all options that are given."""
    with ending(store):
        chosen = filters.selection()
        if chosen.is_everything:
            raise Stop("say what to purge, or use clear: see --help", ExitCode.USAGE)
        remove(store, purging(chosen), yes=yes, dry_run=dry_run, as_json=as_json)


def delete_text(
    text: Sentence,
    store: Store,
    *,
    ask_secret: AskSecret = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Erase a sentence, in every namespace, voice and setting."""
    with ending(store):
        if text == _STDIN:
            text = sys.stdin.read().removesuffix("\n")
        if not text.strip():
            raise Stop("there is no text in it", ExitCode.USAGE)
        chosen = Selection(text=text, secret=_ask_secret() if ask_secret else secret())
        work = purging(chosen, spares_pins=False)
        removed = remove(store, work, yes=yes, dry_run=dry_run, as_json=as_json)
        if not removed.entries:
            raise Stop("no utterance says that", ExitCode.NOTHING_FOUND)


def clear(
    store: Store,
    namespace: Namespace = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove everything, or everything of a namespace."""

    async def work(backend: CacheBackend, only_count: bool) -> Purged:
        if not only_count:
            return Purged(entries=await backend.clear(namespace))
        if namespace is not None:
            return await remove_entries(backend, Selection(namespace=namespace), dry_run=True)
        count = (await backend.get_stats()).get("entries")
        if count is None:
            raise BackendError("the store does not answer")
        return Purged(entries=count)

    with ending(store):
        remove(store, work, yes=yes, dry_run=dry_run, as_json=as_json, fields=("entries",))


def purging(selection: Selection, *, spares_pins: bool = True) -> Work:
    """Have a selection purged.

    Args:
        selection: What to remove.
        spares_pins: Whether what is pinned stays, unless the selection names it.

    Returns:
        What does it, or only counts.
    """
    spares = spares_pins and not selection.pinned
    return lambda backend, only_count: remove_entries(
        backend, selection, spares_pins=spares, dry_run=only_count
    )


def remove(
    store: str,
    work: Work,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    fields: Sequence[str] = ("entries", "size", "duration", "spared"),
) -> Purged:
    """Count, ask, remove, and tell.

    Args:
        store: The store.
        work: Removes it, or only counts it.
        yes: Whether nobody is to be asked.
        dry_run: Whether only to count.
        as_json: Whether to tell in JSON.
        fields: What to tell of it.

    Returns:
        What was removed, or would be.

    Raises:
        Stop: If nobody can be asked, or the answer is no.
    """
    if not (yes or dry_run):
        check_somebody_is_there()
    outcome = Purged()
    if not yes or dry_run:
        with waiting("Counting …"):
            outcome = with_store(store, lambda backend: work(backend, True))
    if not dry_run and (yes or outcome.entries):
        if not yes:
            confirm(f"Remove {_amount(outcome)}?")
        with waiting("Removing …"):
            outcome = with_store(store, lambda backend: work(backend, False))
    if as_json:
        write_json({name: getattr(outcome, name) for name in fields} | {"dry_run": dry_run})
    else:
        sys.stdout.write(f"{'would remove' if dry_run else 'removed'} {_amount(outcome)}\n")
    return outcome


def _amount(what: Purged) -> str:
    amount = words.many(what.entries, "utterance")
    if what.size:
        amount += f", {words.size(what.size)}, {words.length(what.duration)} of speech"
    if what.spared:
        amount += f"; {what.spared} pinned stay: see unpin"
    return amount


def check_somebody_is_there() -> None:
    """Make sure, before anything begins, that somebody can be asked.

    Raises:
        Stop: If nobody can.
    """
    if not sys.stdin.isatty():
        raise Stop("nobody is there to be asked: pass --yes, or --dry-run", ExitCode.USAGE)


def confirm(question: str) -> None:
    """Ask before something is removed.

    Args:
        question: What to ask.

    Raises:
        Stop: If the answer is not "yes".
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Stop("nothing was removed")


def _ask_secret() -> str:
    given: str = typer.prompt("cache_secret", hide_input=True, err=True)
    return given
