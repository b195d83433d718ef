#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Moving house: `copy`."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from typing import Annotated

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, open_store, run
from pipecat_tts_cache.cli.options import Filters, Json, takes_filters
from pipecat_tts_cache.cli.output import note, write_fields, write_json
from pipecat_tts_cache.cli.words import many
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import Copied, Selection, copy_store

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The URL of the store to read.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="The URL of the store to fill.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=256, help="How many to copy at a time.")
]


def register(app: typer.Typer) -> None:
    """Add this command.

    Args:
        app: Where to.
    """
    app.command("copy")(takes_filters(copy))


def copy(
    source: Source,
    target: Target,
    overwrite: Overwrite = False,
    concurrency: Concurrency = 8,
    as_json: Json = False,
    *,
    filters: Filters,
) -> None:
    """Copy a store into another. Started again, it goes on where it was broken off."""
    with ending(source, target):
        if source == target:
            raise Stop("source and target are the same store", ExitCode.USAGE)
        chosen = filters.selection()
        stores = open_store(source), open_store(target, make=True)
        with _interruptible():
            done = run(lambda: _copy(*stores, chosen, overwrite, concurrency), *stores)
        if as_json:
            write_json(asdict(done))
        else:
            write_fields({name: f"{count:,}" for name, count in asdict(done).items()})
        if done.failed or done.refused:
            raise Stop(f"{many(done.failed + done.refused, 'utterance')} could not be copied")


async def _copy(
    source: CacheBackend,
    target: CacheBackend,
    selection: Selection,
    overwrite: bool,
    concurrency: int,
) -> Copied:
    total = await _count(source) if selection.is_everything else None
    with _progress(total) as progress:
        return await copy_store(
            source,
            target,
            selection=selection,
            overwrite=overwrite,
            concurrency=concurrency,
            progress=progress,
        )


async def _count(store: CacheBackend) -> int | None:
    with suppress(BackendError):
        count: int | None = (await store.get_stats()).get("entries")
        return count
    return None


@contextmanager
def _progress(total: int | None) -> Generator[Callable[[Copied], None] | None]:
    """Show a bar, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - not at load
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        counts = [each.name for each in fields(Copied)]
        yield lambda done: bar.update(task, completed=sum(getattr(done, n) for n in counts))


@contextmanager
def _interruptible() -> Generator[None]:
    try:
        yield
    except KeyboardInterrupt:
        note("interrupted; start it again to go on")
        raise
