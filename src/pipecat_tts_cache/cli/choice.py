#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Which entries are meant: the one that a prefix names, or those that come first."""

import re
from collections.abc import AsyncIterator, Callable
from heapq import heappush, heappushpop
from typing import Annotated

import typer

from pipecat_tts_cache.backends.base import CacheBackend, Entry
from pipecat_tts_cache.cli.ending import ExitCode, Stop
from pipecat_tts_cache.errors import BackendError

_MAX_NAMED = 5


def _check_prefix(prefix: str) -> str:
    if not re.fullmatch("[0-9a-f]{1,64}", prefix.lower()):
        raise typer.BadParameter("a digest, or how one begins, has 1 to 64 hexadecimal digits")
    return prefix.lower()


DigestPrefix = Annotated[
    str,
    typer.Argument(
        callback=_check_prefix,
        metavar="DIGEST",
        help="The digest of an utterance, or how it begins.",
        show_default=False,
    ),
]


async def find_one(backend: CacheBackend, prefix: str, namespace: str | None) -> Entry:
    """Find the entry that a digest names.

    Args:
        backend: The store.
        prefix: The digest, or how it begins.
        namespace: Whose it is, or None for anybody's.

    Returns:
        The entry.

    Raises:
        Stop: If there is none, or there are several.
    """
    found: list[Entry] = []
    async for entry in backend.entries(namespace):
        if entry.key.digest.startswith(prefix):
            found.append(entry)
            if len(found) > _MAX_NAMED:
                break
    if not found:
        raise Stop(f"no utterance has a digest that begins with {prefix}", ExitCode.NOTHING_FOUND)
    if len(found) > 1:
        raise Stop(f"several begin with {prefix}: {_name(found)}", ExitCode.USAGE)
    return found[0]


def _name(entries: list[Entry]) -> str:
    named = [f"{each.key.digest} in {each.key.namespace!r}" for each in entries[:_MAX_NAMED]]
    return ", ".join([*named, *(["…"] if len(entries) > _MAX_NAMED else [])])


async def largest(
    entries: AsyncIterator[Entry], *, by: Callable[[Entry], float], limit: int
) -> list[Entry]:
    """Find those entries that have most of something, and hold no more than these.

    Args:
        entries: All of them.
        by: What they have.
        limit: How many to find.

    Returns:
        These, the largest first.
    """
    heap: list[tuple[float, int, Entry]] = []
    number = 0
    async for entry in entries:
        number += 1
        ranked = (by(entry), -number, entry)
        if len(heap) < limit:
            heappush(heap, ranked)
        else:
            heappushpop(heap, ranked)
    return [entry for _, _, entry in sorted(heap, reverse=True)]


def uses(entry: Entry) -> int:
    """Tell how often an entry was looked up.

    Args:
        entry: The entry.

    Returns:
        How often.

    Raises:
        BackendError: If the store does not count that.
    """
    if entry.uses is None:
        raise BackendError("this store does not count how often an utterance is used")
    return entry.uses
