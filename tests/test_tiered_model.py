#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store beside the plainest code that says what a look-up may return.

Levels are full, fail and take their time at random, look-ups run beside changes, and another
process changes what is behind. Whatever happens: what was removed or replaced in all levels is
never heard again, and as long as a level lives nothing is raised.
"""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pipecat_tts_cache.backends import (
    CacheKey,
    MemoryCacheBackend,
    TieredCacheBackend,
)
from pipecat_tts_cache.backends.tiered import copies
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.levels import Obedient

NAMESPACES = ["", "n"]
KEYS = [make_key(name, namespace) for name in "abc" for namespace in NAMESPACES]
SIZES = [2, 4000, 12_000]

keys = st.sampled_from(KEYS)
Allowed = set[Utterance | None]


class Leisurely(Obedient):
    """Takes a few turns of the event loop before and behind everything."""

    def __init__(self, random: Random, *args: Any, most: int = 4, **options: Any) -> None:
        super().__init__(*args, **options)
        self._random, self._most = random, most

    async def _do(self, name: str, *args: Any, **options: Any) -> Any:
        await self._dawdle()
        answer = await super()._do(name, *args, **options)
        await self._dawdle()
        return answer

    async def _dawdle(self) -> None:
        for _ in range(self._random.randrange(self._most)):
            await asyncio.sleep(0)


class Front(MemoryCacheBackend):
    """Asked in place."""

    heeds_cancellation = True


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.serial = 0
        self.allowed: dict[CacheKey, Allowed] = {key: {None} for key in KEYS}
        self.runner = asyncio.Runner()
        self.patch = patch.object(copies, "_RETRY_SECONDS", 0)
        self.patch.start()

    @initialize(seed=st.integers(0, 2**32), front=st.booleans())
    def start(self, seed: int, front: bool) -> None:
        self.random = random = Random(seed)
        bounds: dict[str, Any] = {"max_bytes": 10_000}
        first = Front(2, **bounds) if front else Leisurely(random, 2, **bounds)
        self.levels = [first, Leisurely(random, 3), Leisurely(random, most=20)]
        self.troubled = [level for level in self.levels if isinstance(level, Leisurely)]
        self.store = TieredCacheBackend(self.levels, timeout=60, write_timeout=60)
        for level in self.store._levels:
            level._breaker = CircuitBreaker(clock=lambda: self.now)

    def teardown(self) -> None:
        for level in self.troubled:
            level.fails = None
        self.run(self.store.close())
        assert set() == asyncio.all_tasks(self.runner.get_loop())
        self.runner.close()
        self.patch.stop()

    def run(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run calls side by side."""

        async def gather() -> list[Any]:
            return await asyncio.gather(*calls, return_exceptions=True)

        return self.runner.run(gather())

    async def soon(self, call: Coroutine[Any, Any, Any]) -> Any:
        for _ in range(self.random.randrange(20)):
            await asyncio.sleep(0)
        return await call

    async def idle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)

    def complaints(self) -> int:
        """How often a level failed or was left alone up to now."""
        return sum(level._errors + level._skipped for level in self.store._levels)

    def is_alive(self) -> bool:
        """Whether a level answers that nobody leaves alone."""
        return any(
            getattr(level.backend, "fails", None) is None and level._breaker.state == "closed"
            for level in self.store._levels
        )

    def change(
        self, change: Coroutine[Any, Any, Any], about: list[CacheKey], value: Utterance | None
    ) -> None:
        """Make a change, while others look up what it is about."""
        before, alive = self.complaints(), self.is_alive()
        raced = [*about[:3], *about[:3]]
        at_once: list[Utterance | None] = []

        async def change_and_look() -> Any:
            await self.soon(asyncio.sleep(0))
            done = await change
            if done is not False and self.complaints() == before:
                at_once.extend([await self.store.get(key) for key in about])
            return done

        gets = [self.soon(self.store.get(key)) for key in raced]
        done, *found = self.run(change_and_look(), *gets, self.idle())
        for key, each in zip(raced, found, strict=False):
            self.check(each, self.allowed[key] | {value}, alive=alive)
        failed = isinstance(done, BaseException)
        if failed:
            assert isinstance(done, BackendError), done
        assert set(at_once) <= {value}
        for key in about:
            if failed or self.complaints() > before:
                self.allowed[key] = self.allowed[key] | {value}
            elif value is not None and done is False:
                pass  # refused by all
            else:
                self.allowed[key] = {value}

    def check(self, found: object, allowed: Allowed, *, alive: bool) -> None:
        if isinstance(found, BaseException):
            assert isinstance(found, BackendError)
            assert not alive
        else:
            assert found is None or found in allowed

    @rule(key=keys, size=st.sampled_from(SIZES))
    def set(self, key: CacheKey, size: int) -> None:
        self.serial += 1
        utterance = make_utterance(self.serial, num_bytes=size)
        self.change(self.store.set(key, utterance), [key], utterance)

    @rule(key=keys)
    def delete(self, key: CacheKey) -> None:
        self.change(self.store.delete(key), [key], None)

    @rule(some=st.lists(keys, unique=True))
    def delete_many(self, some: list[CacheKey]) -> None:
        self.change(self.store.delete_many(some), some, None)

    @rule(namespace=st.sampled_from([None, *NAMESPACES]))
    def clear(self, namespace: str | None) -> None:
        about = [key for key in KEYS if namespace in (None, key.namespace)]
        self.change(self.store.clear(namespace), about, None)

    @rule(key=keys)
    def get(self, key: CacheKey) -> None:
        before, alive = self.complaints(), self.is_alive()
        found, is_there = self.run(self.store.get(key), self.store.exists(key))
        self.check(found, self.allowed[key], alive=alive)
        if self.complaints() == before:
            assert found in self.allowed[key]  # not None, if it was kept by all
            assert (found is not None) == is_there

    @rule()
    def entries(self) -> None:
        before = self.complaints()

        async def listing() -> list[CacheKey]:
            return [entry.key async for entry in self.store.entries()]

        (found,) = self.run(listing())
        if self.complaints() == before:
            assert len(set(found)) == len(found)
            assert {key for key in KEYS if None not in self.allowed[key]} <= set(found)
            assert set(found) <= {key for key in KEYS if {None} != self.allowed[key]}

    @rule(key=keys, there=st.booleans())
    def another_process_changes(self, key: CacheKey, there: bool) -> None:
        """Another process stores or deletes something, and says so, while this one reads."""
        self.serial += 1
        utterance = make_utterance(self.serial, num_bytes=2) if there else None
        shared = self.levels[-1]
        assert isinstance(shared, Leisurely)

        async def change() -> None:
            if utterance is None:
                await MemoryCacheBackend.delete(shared, key)
            else:
                await MemoryCacheBackend.set(shared, key, utterance)
            await shared._dawdle()
            shared.tell(*key)
            at_once.append(await self.store.get(key))

        at_once: list[Utterance | None] = []
        alive = self.is_alive()
        gets = [self.soon(self.store.get(key)) for _ in range(3)]
        _, *found = self.run(self.soon(change()), *gets)
        self.run(self.idle())
        for each in found:
            self.check(each, self.allowed[key] | {utterance}, alive=alive)
        assert set(at_once) <= {utterance, None}
        self.allowed[key] = {utterance}

    @rule(place=st.integers(0, 2), fails=st.booleans())
    def fail(self, place: int, fails: bool) -> None:
        level = self.levels[place]
        if isinstance(level, Leisurely):
            level.fails = OSError("gone") if fails else None

    @rule()
    def recover(self) -> None:
        for level in self.troubled:
            level.fails = None
        self.now += 60

    @rule(seconds=st.sampled_from([0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=75, stateful_step_count=40)
