#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a store has on a Redis server as a whole: listed, counted and cleared, some at a time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.names import decode_namespace
from pipecat_tts_cache.backends.redis.commands import Command, run
from pipecat_tts_cache.backends.redis.index import BATCH, RedisIndex
from pipecat_tts_cache.errors import RecordError
from pipecat_tts_cache.utterance import HEAD_SIZE, head_size

_SHORT_DIGEST = 16
Ask = Callable[[Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""Asks the server something, within the time of one call."""


class RedisContents:
    """Goes through what is there without holding more than a page of it."""

    def __init__(
        self, index: RedisIndex, ask: Ask, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """Take what it asks.

        Args:
            index: The keys of the store.
            ask: Asks the server.
            wall_clock: Tells the time in seconds since the Unix epoch.
        """
        self._index = index
        self._ask = ask
        self._wall_clock = wall_clock

    async def clear(self, name: bytes | None) -> int:
        """Remove everything, or all of a namespace.

        Args:
            name: Its encoded name, or None for everything.

        Returns:
            How many entries were removed.
        """
        removed = sum([await self._clear(each) for each in await self._names(name)])
        await self._ask(lambda client: self._index.tell_cleared(client, name))
        return removed

    async def count(self) -> tuple[int, int]:
        """Count entries.

        Returns:
            How many there are, and how many namespaces hold some.
        """
        names = await self._names(None)
        sizes: list[int] = []
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            sizes += await self._ask(partial(self._index.count, names=batch))
        return sum(sizes), sum(size > 0 for size in sizes)

    async def digests(self, name: bytes) -> AsyncIterator[list[bytes]]:
        """List the digests of a namespace, some of them twice.

        Args:
            name: Its encoded name.

        Yields:
            Some digests at a time.
        """
        cursor, first = 0, True
        while cursor or first:
            first = False
            page = partial(self._index.page, name=name, cursor=cursor)
            cursor, digests = await self._ask(page)
            yield digests

    async def entries(self, name: bytes | None) -> AsyncIterator[Entry]:
        """List entries, each once.

        To list none twice it keeps 8 bytes of each digest of a namespace in mind, in some 80 bytes
        of memory.

        Args:
            name: The encoded name of the namespace, or None for all.

        Yields:
            The entries. What cannot be described, or is gone, is passed over.
        """
        for each in await self._names(name):
            async for entry in self._entries(each):
                yield entry

    async def _names(self, name: bytes | None) -> list[bytes]:
        return await self._ask(self._index.list_names) if name is None else [name]

    async def _clear(self, name: bytes) -> int:
        removed, more = 0, True
        while more:
            count, more = await self._ask(lambda client: self._index.clear_some(client, name))
            removed += count
        return removed

    async def _entries(self, name: bytes) -> AsyncIterator[Entry]:
        seen: set[bytes] = set()
        async for page in self.digests(name):
            fresh = {digest[:_SHORT_DIGEST]: digest for digest in page}
            fresh = {short: digest for short, digest in fresh.items() if short not in seen}
            seen.update(fresh)
            for entry in await self._describe(name, list(fresh.values())):
                yield entry

    async def _describe(self, name: bytes, digests: Sequence[bytes]) -> list[Entry]:
        asked: list[Command] = []
        for digest in digests:
            entry = self._index.entry_of(name, digest)
            asked += [("GETRANGE", entry, 0, HEAD_SIZE - 1), ("PTTL", entry)]
        answers = await self._ask(lambda client: run(client, asked, strict=False))
        described = zip(digests, answers[::2], answers[1::2], strict=True)
        entries = [await self._entry(name, *each) for each in described]
        return [entry for entry in entries if entry is not None]

    async def _entry(
        self, name: bytes, digest: bytes, head: Any, milliseconds: Any
    ) -> Entry | None:
        if not isinstance(head, bytes) or not head or not isinstance(milliseconds, int):
            return None  # it is gone, or something else is under its key
        expires_at = None if milliseconds < 0 else self._wall_clock() + milliseconds / 1000
        key = CacheKey(decode_namespace(name.decode()), digest.decode())
        try:
            needed = head_size(head)
            if needed > HEAD_SIZE:
                whole: list[Command] = [
                    ("GETRANGE", self._index.entry_of(name, digest), 0, needed - 1)
                ]
                (head,) = await self._ask(lambda client: run(client, whole))
            return Entry.from_head(key, head, expires_at=expires_at)
        except RecordError:
            return None
