#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What takes long shows how far it is, and can be interrupted."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.cli.output import note
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import Selection

Show = Callable[[int, int | None], None]
"""Shows how many are done, and of how many if that is known by now."""


@contextmanager
def progress_bar(total: int | None = None) -> Generator[Show]:
    """Show a bar, if stderr is a terminal.

    Args:
        total: How many there are to do, if that is known.

    Yields:
        What moves the bar.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
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
        yield lambda done, now: bar.update(task, completed=done, total=now)


async def count_entries(store: CacheBackend, selection: Selection) -> int | None:
    """Tell how many utterances are selected, if that costs no more than a question.

    Args:
        store: The store.
        selection: Which are meant.

    Returns:
        How many, or None.
    """
    with suppress(BackendError):
        if selection.is_everything:
            count: int | None = (await store.get_stats()).get("entries")
            return count
    return None


@contextmanager
def interruptible() -> Generator[None]:
    """Tell whoever interrupts it that it can be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        note("interrupted; start it again to go on")
        raise
