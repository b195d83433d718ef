#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A folder of sound files that people listen to and change: `export` and `import`."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.checks import check_ttl
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, open_store, run, with_store
from pipecat_tts_cache.cli.options import Filters, Json, Store, Yes, takes_filters
from pipecat_tts_cache.cli.output import note, write_fields, write_json
from pipecat_tts_cache.cli.progress import count_entries, interruptible, progress_bar
from pipecat_tts_cache.cli.removal import check_somebody_is_there, confirm
from pipecat_tts_cache.cli.words import age_in_seconds, many
from pipecat_tts_cache.exports.folder import Format
from pipecat_tts_cache.exports.index import IndexKind, find_index
from pipecat_tts_cache.exports.store import (
    KEPT,
    Exported,
    Imported,
    Note,
    export_store,
    import_store,
)

_FOREVER = "never"
_NOT_TAKEN = ("failed", "refused", "skipped")
_AS_OPTIONS = {
    "delete_missing=True": "--delete-missing",
    "give a ttl": "give a --ttl",
    "index='jsonl'": "--index jsonl",
}
"""What reasons say of arguments, as it is said here."""


def _check_folder(folder: str) -> str:
    if not folder:
        raise typer.BadParameter("give the name of a folder; . is the one you are in")
    return folder


Folder = Annotated[
    str,
    typer.Argument(
        callback=_check_folder, metavar="FOLDER", help="The folder.", show_default=False
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="How to write sound; both without a loss.")
]
Index = Annotated[
    IndexKind,
    typer.Option("--index", help="A table for spreadsheets, or JSON; a folder keeps what it has."),
]
Rewrite = Annotated[
    bool, typer.Option("--overwrite", help="Write anew what is there; edits are lost.")
]
Replace = Annotated[
    bool, typer.Option("--overwrite", help="Replace what was not edited in the store, too.")
]
DeleteMissing = Annotated[
    bool,
    typer.Option("--delete-missing", help="Remove from the store the lines whose file is gone."),
]
Ttl = Annotated[
    str,
    typer.Option(
        "--ttl",
        metavar="AGE",
        help="When to forget it: 12h, 90d, never, or kept for what was left of its time.",
    ),
]
Rehearsal = Annotated[
    bool, typer.Option("--dry-run", help="Only tell what would come of it; change nothing.")
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=256, help="How many to move at a time.")
]


def register(app: typer.Typer) -> None:
    """Add these commands.

    Args:
        app: Where to.
    """
    app.command("export")(takes_filters(export))
    app.command("import")(import_)


def export(
    folder: Folder,
    store: Store,
    *,
    form: FormatOption = "flac",
    index: Index = "csv",
    overwrite: Rewrite = False,
    concurrency: Concurrency = 8,
    as_json: Json = False,
    filters: Filters,
) -> None:
    """Write a store into a folder of sound files. Started again, it goes on where it was."""
    with ending(store):
        chosen = filters.selection()

        async def work(backend: CacheBackend) -> Exported:
            total = await count_entries(backend, chosen)
            with progress_bar(total) as show:
                return await export_store(
                    backend,
                    folder,
                    selection=chosen,
                    format=form,
                    index=index,
                    overwrite=overwrite,
                    concurrency=concurrency,
                    progress=lambda done: show(sum(_counts(done).values()), total),
                )

        with interruptible(), _in_words():
            done = with_store(store, work)
        _tell(done, as_json=as_json)
        if done.failed:
            raise Stop(f"{many(done.failed, 'utterance')} could not be exported")


def import_(
    folder: Folder,
    store: Store,
    *,
    overwrite: Replace = False,
    delete_missing: DeleteMissing = False,
    ttl: Ttl = KEPT,
    concurrency: Concurrency = 8,
    yes: Yes = False,
    dry_run: Rehearsal = False,
    as_json: Json = False,
) -> None:
    """Take the recordings of an exported folder into a store, with what was edited."""
    with ending(store):
        how: dict[str, Any] = {
            "overwrite": overwrite,
            "delete_missing": delete_missing,
            "ttl": _seconds(ttl),
            "concurrency": concurrency,
        }
        asks = delete_missing and not (yes or dry_run)
        if asks:
            check_somebody_is_there()
        with _in_words():
            _check_recordings(folder)
            if asks:
                _ask(_import(folder, store, dry_run=True, **how))
            with interruptible():
                done = _import(folder, store, dry_run=dry_run, **how)
        _tell(done, as_json=as_json, dry_run=dry_run)
        if not_taken := sum(getattr(done, name) for name in _NOT_TAKEN):
            did = "would" if dry_run else "did"
            raise Stop(f"{did} not take {many(not_taken, 'recording')}")


def _import(folder: str, store: str, **how: Any) -> Imported:
    """Import, and make the store if that can be meant."""
    only_fills = not (how["dry_run"] or how["delete_missing"])
    backend = open_store(store, make=only_fills)

    async def work() -> Imported:
        with progress_bar() as show:

            def progress(done: Imported) -> None:
                number = sum(_counts(done).values())
                show(number, max(number, done.lines))  # files without a line come on top

            return await import_store(folder, backend, progress=progress, **how)

    return run(work, backend)


def _ask(would: Imported) -> None:
    """Ask, if something would be removed."""
    if would.failed:
        raise Stop(f"the store failed at {many(would.failed, 'line')}: nothing was changed")
    if would.removed:
        confirm(f"Remove {many(would.removed, 'utterance')} whose file is gone?")


def _check_recordings(folder: str) -> None:
    """Make sure that there are recordings, before a store is made for them."""
    if not Path(folder).is_dir():
        raise Stop(f"there is no folder {folder}")
    if find_index(Path(folder)) is None:
        raise Stop(f"{folder} holds neither index.csv nor index.jsonl: it was not exported")


def _seconds(ttl: str) -> float | Literal["kept"] | None:
    if ttl == KEPT:
        return KEPT
    try:
        return None if ttl == _FOREVER else check_ttl(age_in_seconds(ttl))
    except ValueError as error:
        raise Stop(f"--ttl: {error}, nor never or kept", ExitCode.USAGE) from None


@contextmanager
def _in_words() -> Generator[None]:
    """Tell what is wrong with an index in the words of the error: these hold no secret."""
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError:  # not raised by this library
            raise
        raise Stop(_as_options(str(error))) from None


def _counts(done: Exported | Imported) -> dict[str, int]:
    """Tell what came of how many."""
    counts = asdict(done)
    del counts["notes"]
    counts.pop("lines", None)
    return counts


def _tell(done: Exported | Imported, *, as_json: bool, **more: bool) -> None:
    """Tell what came of it: the edits that were not taken, and the numbers."""
    if as_json:
        notes = [each._replace(reason=_as_options(each.reason)) for each in done.notes]
        write_json(asdict(done) | more | {"notes": [each._asdict() for each in notes]})
        return
    for each in done.notes:
        if each.outcome in _NOT_TAKEN:
            note(_in_a_line(each))
    if more.get("dry_run"):
        note("nothing was changed; this would come of it:")
    write_fields({name: f"{count:,}" for name, count in _counts(done).items()})


def _in_a_line(what: Note) -> str:
    reason = _as_options(what.reason)
    return f"{what.file}: {reason}" if what.file else reason


def _as_options(reason: str) -> str:
    for argument, option in _AS_OPTIONS.items():
        reason = reason.replace(argument, option)
    return reason
