#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a store costs: beside its raw client, by how much it holds, and when it is full."""

import asyncio
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from itertools import pairwise
from statistics import quantiles
from typing import NamedTuple

from pipecat_tts_cache import CacheBackend, CacheKey, Utterance
from pipecat_tts_cache.backends.records import read_record
from pipecat_tts_cache.codec import Codec
from speech import SAMPLE_RATE, utterance_of
from store_floors import Floor
from store_places import Place

EVICTING, LONGEST = "set, evicting", "the longest of these"
ROWS = (
    *("get", "raw get", "set", "raw set", "delete", "exists", "clear of 10", "get_stats"),
    *(EVICTING, LONGEST),
)
"""What is timed by entries."""
_A_NAMESPACE = 100
"""Entries in a namespace, so that there are many of those, too."""
_SMALL = "a namespace of ten"
_AT_LEAST = 3
_SOME = 20
_FREE_NUMBERS = 10**9
_A_SECOND = 2 * SAMPLE_RATE
TINY = Utterance(audio=bytes(200), sample_rate=SAMPLE_RATE)
_TINY_RECORD = TINY.to_bytes()

Call = Callable[[int], Awaitable[object]]


class Effort(NamedTuple):
    """How much trouble to take.

    Parameters:
        rounds: The most calls of a kind.
        seconds: After which no more are made, if there were three.
    """

    rounds: int
    seconds: float


@lru_cache(maxsize=4096)
def key_of(number: int, namespace: str | None = None) -> CacheKey:
    """Make a key."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    return CacheKey(namespace or f"caller {number // _A_NAMESPACE}", digest)


def typical(times: Sequence[float]) -> float:
    """Find the lower quartile: on a machine that does other work, the median is that work's."""
    return quantiles(times, n=4)[0]


async def compare(calls: Mapping[str, Call], effort: Effort) -> dict[str, list[float]]:
    """Time calls in turns, so that whatever the machine does hits all alike.

    Args:
        calls: What to time; each is told the number of its round.
        effort: How often.

    Returns:
        What each took, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, until = list(calls), time.perf_counter() + effort.seconds
    for number in range(effort.rounds):
        if number >= _AT_LEAST and time.perf_counter() > until:
            break
        order.append(order.pop(0))
        for name in order:
            began = time.perf_counter()
            await calls[name](number)
            times[name].append(time.perf_counter() - began)
    return times


async def beside_raw(place: Place, num_bytes: int, effort: Effort) -> dict[str, float]:
    """Time get and set of a store and of its raw client, for utterances of one size.

    Returns:
        Typical seconds of: "get", "set", "raw get", "raw set", and where the store encodes,
        "FLAC get" and "FLAC set".
    """
    utterance = utterance_of(num_bytes)
    record = utterance.to_bytes()
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(place.floor())
        sets: dict[str, Call] = {"raw set": lambda i: floor.set(str(i), record)}
        gets: dict[str, Call] = {"raw get": lambda i: floor.get(str(i % there))}
        for codec, name in (("raw", ""), ("flac", "FLAC ")):
            if codec == "raw" or place.encodes:
                store = await stack.enter_async_context(place.store(codec))
                sets[f"{name}set"] = _setting(store, utterance)
                gets[f"{name}get"] = lambda i, store=store: _get(store, i % there)
        for number in range(effort.rounds):
            key_of(number)  # now, as that is no part of what is measured
        for call in sets.values():
            await call(-1)
        times = await compare(sets, effort)
        there = len(times["set"])
        for call in gets.values():
            await call(0)
        times |= await compare(gets, effort)
    return {name: typical(each) for name, each in times.items()}


def _setting(store: CacheBackend, utterance: Utterance) -> Call:
    async def set_one(number: int) -> None:
        assert await store.set(key_of(number), utterance)

    return set_one


async def _get(store: CacheBackend, number: int) -> None:
    assert await store.get(key_of(number))


async def by_entries(place: Place, counts: Sequence[int], effort: Effort) -> dict[str, list[float]]:
    """Time every operation with so many entries in the store, and then with more.

    Returns:
        For each of `ROWS`, typical seconds for each of the counts. The last two are there where
        the store evicts by itself.
    """
    results = defaultdict[str, list[float]](list)
    async with place.store("raw") as store, place.floor() as floor:
        for there, count in pairwise((0, *counts)):
            await fill(store, there, count, place.at_once)
            for number in range(there, count):
                await floor.set(str(number), _TINY_RECORD)
            for name, times in (await _all_operations(store, floor, count, effort)).items():
                results[name].append(typical(times))
            if place.full:
                async with place.full(store, count) as full:
                    times = await _evicting(full, count, effort)
                results[EVICTING].append(typical(times))
                results[LONGEST].append(max(times))
    return results


async def _evicting(store: CacheBackend, count: int, effort: Effort) -> list[float]:
    """Time sets of a full store, in which there are places for the first of them, at most."""
    first = _FREE_NUMBERS + count
    for number in range(_SOME):
        await store.set(key_of(first + number), TINY)
    before = (await store.get_stats())["evictions"]
    first += _SOME
    times = await compare({"set": lambda i: store.set(key_of(first + i), TINY)}, effort)
    assert (await store.get_stats())["evictions"] > before
    return times["set"]


async def fill(store: CacheBackend, start: int, stop: int, at_once: int) -> None:
    """Keep tiny utterances, from one number to another."""
    for begin in range(start, stop, at_once):
        numbers = range(begin, min(stop, begin + at_once))
        if at_once == 1:
            await store.set(key_of(begin), TINY)
        else:
            await asyncio.gather(*(store.set(key_of(number), TINY) for number in numbers))


async def _all_operations(
    store: CacheBackend, floor: Floor, count: int, effort: Effort
) -> dict[str, list[float]]:
    chance, times = random.Random(count), defaultdict[str, list[float]](list)

    async def timed(name: str, call: Awaitable[object]) -> None:
        began = time.perf_counter()
        await call
        times[name].append(time.perf_counter() - began)

    until = time.perf_counter() + effort.seconds
    for number in range(effort.rounds):
        if number >= _AT_LEAST and time.perf_counter() > until:
            break
        free, taken = _FREE_NUMBERS + count - 1 - number, chance.randrange(count)
        new, old = key_of(free), key_of(taken)
        await timed("raw set", floor.set(str(free), _TINY_RECORD))
        await timed("set", store.set(new, TINY))
        await timed("raw get", floor.get(str(taken)))
        await timed("get", store.get(old))
        await timed("exists", store.exists(old))
        await timed("delete", store.delete(new))
        await asyncio.gather(*(store.set(key_of(i, _SMALL), TINY) for i in range(10)))
        await timed("clear of 10", store.clear(_SMALL))
    # By itself: a server that had much to count is slow to take the next call.
    return times | await compare({"get_stats": lambda _: store.get_stats()}, effort)


async def first_frames(place: Place, effort: Effort) -> dict[str, float]:
    """Time look-ups of a short utterance and of a long one, and the transfer of a second.

    Returns:
        Typical seconds of: "get 2 s", "get 60 s", and where the store encodes those with "FLAC"
        before; "raw 1 s" and "raw 60 s", what the raw client takes for the samples alone.
    """
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(place.floor())
        calls: dict[str, Call] = {}
        for seconds in (1, 60):
            await floor.set(f"{seconds} s", utterance_of(_A_SECOND * seconds).audio)
            calls[f"raw {seconds} s"] = lambda _, name=f"{seconds} s": floor.get(name)
        for codec, name in (("raw", ""), ("flac", "FLAC ")):
            if codec == "raw" or place.encodes:
                for seconds in (2, 60):
                    # A store for each length, as connections keep a long answer's buffer.
                    store = await stack.enter_async_context(place.store(codec))
                    for number in range(3):
                        await store.set(key_of(number), utterance_of(_A_SECOND * seconds))
                    calls[f"{name}get {seconds} s"] = lambda i, store=store: _get(store, i % 3)
        for call in calls.values():
            await call(0)
        times = await compare(calls, effort)
    return {name: typical(each) for name, each in times.items()}


async def reading(codec: Codec, seconds: int, effort: Effort) -> float:
    """Time what comes after the transfer: a record is checked, decoded and copied.

    Returns:
        Typical seconds.
    """
    record = utterance_of(_A_SECOND * seconds).to_bytes(codec=codec)
    times = await compare({"read": lambda _: read_record(record)}, effort)
    return typical(times["read"])
