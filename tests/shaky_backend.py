#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store that fails at random: slow, raising, hanging, deaf to being cancelled, corrupt."""

import asyncio
from collections import Counter, OrderedDict
from random import Random
from typing import Any

from pipecat_tts_cache import CacheBackend, CacheKey, Utterance
from pipecat_tts_cache.errors import CorruptRecordError

MOODS = ("well",) * 18 + ("slow", "raising", "hanging", "deaf", "corrupt", "mixed up")
LONGEST_MOOD = 5.0
LONGEST_WAIT = 1.0
DEAF_SECONDS = 3.0
WHIM = 0.01
"""How often a single call fails while the store is well."""


class ShakyBackend(CacheBackend):
    """Keeps records as bytes, as a store on a network does, in a mood that changes.

    Args:
        random: Where moods come from.
        max_records: The most records it keeps; the oldest goes first.
    """

    def __init__(self, random: Random, *, max_records: int = 1000) -> None:
        self.records: OrderedDict[CacheKey, bytes] = OrderedDict()
        self.calls: Counter[str] = Counter()
        self._random, self._max_records = random, max_records
        self._mood, self._changes = "well", 0.0

    def _mood_now(self) -> str:
        now = asyncio.get_running_loop().time()
        if now >= self._changes:
            self._mood = self._random.choice(MOODS)
            self._changes = now + self._random.uniform(1.0, LONGEST_MOOD)
        mood = self._mood
        if mood == "well" and self._random.random() < WHIM:
            mood = self._random.choice(MOODS)
        self.calls[mood] += 1
        return mood

    async def _suffer(self) -> str:
        """Do what the mood has in store for every call."""
        mood = self._mood_now()
        if mood == "slow":
            await asyncio.sleep(self._random.uniform(0.0, LONGEST_WAIT))
        elif mood == "raising":
            raise self._random.choice([OSError, ValueError, RuntimeError])("The store is down")
        elif mood == "hanging":
            await asyncio.Event().wait()
        elif mood == "deaf":
            await self._ignore_cancellation()
        return mood

    @staticmethod
    async def _ignore_cancellation() -> None:
        try:
            await asyncio.sleep(DEAF_SECONDS)
        except asyncio.CancelledError:
            await asyncio.sleep(DEAF_SECONDS)

    async def get(self, key: CacheKey) -> Utterance | None:
        mood = await self._suffer()
        if mood == "mixed up" and self.records:
            key = self._random.choice(list(self.records))
        record = self.records.get(key)
        if record is None:
            return None
        try:
            return Utterance.from_bytes(self._damaged(record) if mood == "corrupt" else record)
        except CorruptRecordError:
            self.records.pop(key, None)
            return None

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        mood = await self._suffer()
        record = utterance.to_bytes()
        self.records[key] = self._damaged(record) if mood == "corrupt" else record
        while len(self.records) > self._max_records:
            self.records.popitem(last=False)
        return True

    def _damaged(self, record: bytes) -> bytes:
        place = self._random.randrange(len(record))
        if self._random.random() < 0.5:
            return record[:place]
        return record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]

    async def delete(self, key: CacheKey) -> bool:
        await self._suffer()
        return self.records.pop(key, None) is not None

    async def exists(self, key: CacheKey) -> bool:
        await self._suffer()
        return key in self.records

    async def clear(self, namespace: str | None = None) -> int:
        await self._suffer()
        mine = [key for key in self.records if namespace in (None, key.namespace)]
        for key in mine:
            del self.records[key]
        return len(mine)

    async def get_stats(self) -> dict[str, Any]:
        await self._suffer()
        return {"entries": len(self.records)}

    async def close(self) -> None:
        """There is nothing to release."""
