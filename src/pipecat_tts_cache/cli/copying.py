#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Moving house: `copy`."""

from dataclasses import asdict
from typing import Annotated

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, open_store, run
from pipecat_tts_cache.cli.options import Filters, Json, takes_filters
from pipecat_tts_cache.cli.output import write_fields, write_json
from pipecat_tts_cache.cli.progress import count_entries, interruptible, progress_bar
from pipecat_tts_cache.cli.words import many
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
        with interruptible():
            done = run(lambda: _copy(*stores, chosen, overwrite, concurrency), *stores)
        if as_json:
            write_json(asdict(done))
        else:
            write_fields({name: f"{count:,}" for name, count in _counts(done).items()})
        if done.failed or done.refused:
            why = f": {'; '.join(done.reasons)}" if done.reasons else ""
            raise Stop(f"{many(done.failed + done.refused, 'utterance')} could not be copied{why}")
        if done.evicted:
            raise Stop(f"the target is too small: it gave up {many(done.evicted, 'utterance')}")


def _counts(done: Copied) -> dict[str, int]:
    return {name: value for name, value in asdict(done).items() if isinstance(value, int)}


async def _copy(
    source: CacheBackend,
    target: CacheBackend,
    selection: Selection,
    overwrite: bool,
    concurrency: int,
) -> Copied:
    total = await count_entries(source, selection)
    with progress_bar(total) as show:
        return await copy_store(
            source,
            target,
            selection=selection,
            overwrite=overwrite,
            concurrency=concurrency,
            progress=lambda done: show(sum(_counts(done).values()), total),
        )
