#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Levels for tiered stores that do as a test tells them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from pipecat_tts_cache.backends import CacheKey, Entry, MemoryCacheBackend
from pipecat_tts_cache.utterance import Utterance

NAMES = ("get", "set", "delete", "exists", "clear", "get_stats", "peek", "delete_many")


class Obedient(MemoryCacheBackend):
    """A store in memory that fails, hangs or stops before or behind a call, and can tell.

    Parameters:
        fails: What every call raises, or None.
        hangs: Whether calls never return.
        calls: How often each method was called.
        before: Gates by the name of a method: a call goes on once its gate is open.
        behind: Likewise, when all is done but returning.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fails: Exception | None = None
        self.hangs = False
        self.closed = 0
        self.calls: Counter[str] = Counter()
        self.before: dict[str, asyncio.Event] = {}
        self.behind: dict[str, asyncio.Event] = {}
        self.listeners: list[Callable[[str | None, str | None], None]] = []

    async def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        if name in self.before:
            await self.before[name].wait()

    async def _do(self, name: str, *args: Any, **options: Any) -> Any:
        await self._called(name)
        answer = await getattr(MemoryCacheBackend, name)(self, *args, **options)
        if name in self.behind:
            await self.behind[name].wait()
        return answer

    async def get(self, key: CacheKey) -> Utterance | None:
        return await self._do("get", key)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        return await self._do("set", key, utterance, ttl=ttl)

    async def delete(self, key: CacheKey) -> bool:
        return await self._do("delete", key)

    async def exists(self, key: CacheKey) -> bool:
        return await self._do("exists", key)

    async def clear(self, namespace: str | None = None) -> int:
        return await self._do("clear", namespace)

    async def get_stats(self) -> dict[str, Any]:
        return await self._do("get_stats")

    async def peek(self, key: CacheKey) -> Utterance | None:
        await self._called("peek")
        return self._kept[key].utterance if key in self._kept else None

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        await self._called("entries")
        async for entry in super().entries(namespace):
            yield entry

    async def close(self) -> None:
        await self._called("close")
        self.closed += 1

    def on_removal(self, listener: Callable[[str | None, str | None], None]) -> bool:
        self.listeners.append(listener)
        return True

    def tell(self, namespace: str | None = None, digest: str | None = None) -> None:
        """Say that another process removed something."""
        for listener in self.listeners:
            listener(namespace, digest)

    @property
    def held(self) -> frozenset[CacheKey]:
        """What it holds, whatever state it is in."""
        return frozenset(self._kept)


async def idle() -> None:
    """Let everything that is ready to go on do so."""
    for _ in range(30):
        await asyncio.sleep(0)
