#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How long a hit and a miss take, against the fastest service there can be.

    python benchmarks/latency.py
    python benchmarks/latency.py --quick

All variants speak in one process, in turns, so that whatever the machine does hits all alike. What
the figures mean, and those of one run, stand in benchmarks/README.md.
"""

import argparse
import asyncio
import gc
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the servers of the tests

from pipecat.services.tts_service import TTSService
from redis.asyncio import Redis
from tests.servers import Server
from tests.servers import running as serving

from instant import (
    QUIET,
    CachedInstantTTS,
    Call,
    InstantTTS,
    Spoken,
    audio_of,
    calling,
    text_of,
)
from pipecat_tts_cache import CacheBackend, MemoryCacheBackend, RedisCacheBackend
from pipeline import log_as_in_production
from report import median_and_p95, print_row, print_where

LENGTHS = (2, 10, 60)
FLOOR, METRICS, MEMORY, REDIS, MISS, RAW = (
    "floor: prepared audio", "floor, reporting metrics", "memory hit", "Redis hit",
    "miss, memory store", "raw GET by redis-py",
)  # fmt: skip
VARIANTS = (FLOOR, METRICS, MEMORY, REDIS, MISS, RAW)
TEXTS = {seconds: text_of(seconds) for seconds in LENGTHS}
AUDIO = {TEXTS[seconds]: audio_of(seconds) for seconds in LENGTHS}
_STORED_SECONDS = 10
_MILLI = 1000.0

Results = dict[str, dict[int, list[Spoken]]]
Speak = Callable[[int], Awaitable[Spoken]]


async def measure(redis_url: str | None, rounds: int) -> Results:
    """Let all variants speak texts of all lengths in turns."""
    results: Results = defaultdict(lambda: defaultdict(list))
    async with _variants(redis_url) as variants:
        for speak in variants.values():
            for seconds in LENGTHS:
                await speak(seconds)
        await asyncio.sleep(0.2)
        order = list(variants)
        for _ in range(rounds):
            order.append(order.pop(0))
            for seconds in LENGTHS:
                for name in order:
                    results[name][seconds].append(await variants[name](seconds))
    return results


@asynccontextmanager
async def _variants(redis_url: str | None) -> AsyncIterator[dict[str, Speak]]:
    async with AsyncExitStack() as stack:

        async def call(service: TTSService) -> Call:
            return await stack.enter_async_context(calling(service))

        variants = {
            FLOOR: _speaking(await call(InstantTTS(AUDIO))),
            METRICS: _speaking(await call(InstantTTS(AUDIO, metrics=True))),
            MEMORY: _speaking(await call(cached(MemoryCacheBackend()))),
            MISS: _missing(await call(cached(MemoryCacheBackend()))),
        }
        if redis_url:
            # A connection for each length: after a long answer, the next one pays for its buffer.
            calls, clients = {}, {}
            for seconds in LENGTHS:
                store = RedisCacheBackend(redis_url, key_prefix=f"{seconds}:", codec="raw")
                calls[seconds] = await call(cached(await stack.enter_async_context(store)))
                clients[seconds] = await stack.enter_async_context(Redis.from_url(redis_url))
            variants[REDIS] = lambda seconds: calls[seconds].speak(TEXTS[seconds])
            variants[RAW] = _raw_get(clients)
        yield variants


def cached(store: CacheBackend) -> CachedInstantTTS:
    """Put the instant service behind a store."""
    return CachedInstantTTS(AUDIO, cache_backend=store)


def _speaking(call: Call) -> Speak:
    return lambda seconds: call.speak(TEXTS[seconds])


def _missing(call: Call) -> Speak:
    async def speak(seconds: int) -> Spoken:
        await call.service.clear_cache()
        return await call.speak(TEXTS[seconds])

    return speak


def _raw_get(clients: Mapping[int, Redis]) -> Speak:
    """Get the records of the stores with nothing around it."""
    records: dict[int, bytes] = {}

    async def get(seconds: int) -> Spoken:
        client = clients[seconds]
        while seconds not in records:  # it is written behind speech
            await asyncio.sleep(QUIET)
            async for key in client.scan_iter(f"{seconds}:e:*"):
                records[seconds] = key
        await asyncio.sleep(QUIET)
        began, cpu = time.perf_counter(), time.process_time()
        await client.get(records[seconds])
        took = time.perf_counter() - began
        return Spoken(took, took, time.process_time() - cpu)

    return get


async def memory_per_second(entries: int) -> tuple[float, float, float]:
    """Store utterances that were spoken live, and see what they take.

    Returns:
        Bytes per second of audio: allocated by Python, by the process (0.0 if the system does not
        tell), and as the store counts them.
    """
    texts = [text_of(_STORED_SECONDS, number) for number in range(entries)]
    audio = audio_of(_STORED_SECONDS)
    store = MemoryCacheBackend(max_size=entries, max_bytes=1 << 40)
    service = CachedInstantTTS(dict.fromkeys(texts, audio), cache_backend=store)
    async with calling(service) as call:
        gc.collect()
        tracemalloc.start()
        resident = _resident()
        for text in texts:
            await call.speak(text)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
        resident = _resident() - resident
        tracemalloc.stop()
        stats = await store.get_stats()
    seconds = _STORED_SECONDS * stats["entries"]
    return allocated / seconds, resident / seconds, stats["bytes"] / seconds


def _resident() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


def print_results(results: Results, rounds: int) -> None:
    """Print the tables."""
    print(f"\nTime to first audio frame, ms ({rounds} rounds)")
    print_row("", [cell for seconds in LENGTHS for cell in (f"{seconds} s", "p95")])
    for name in filter(results.get, VARIANTS):
        times = [[spoken.first for spoken in results[name][seconds]] for seconds in LENGTHS]
        print_row(name, [cell for each in times for cell in median_and_p95(each, scale=_MILLI)])
    print("\nAgainst the aims (medians over rounds)")
    print_row("", [f"{seconds} s" for seconds in LENGTHS])
    _print_aims(results)
    print("\nMedians of the whole utterance, ms")
    print_row("", [f"{what} {n} s" for what in ("out", "CPU") for n in LENGTHS])
    for name in filter(results.get, VARIANTS[:-1]):
        lasts = [_median(results, name, n, "last") for n in LENGTHS]
        cpus = [_median(results, name, n, "cpu") for n in LENGTHS]
        print_row(name, [f"{_MILLI * value:.2f}" for value in (*lasts, *cpus)])


def _print_aims(results: Results) -> None:
    first = {name: [_median(results, name, n, "first") for n in LENGTHS] for name in results}
    ratios = [hit / floor for hit, floor in zip(first[MEMORY], first[FLOOR], strict=True)]
    _print_aim("memory hit / floor", ratios, 1.1, "x")
    adds = [
        median(miss.first - floor.first for miss, floor in _pairs(results, MISS, FLOOR, seconds))
        for seconds in LENGTHS
    ]
    _print_aim("miss - floor", [_MILLI * seconds for seconds in adds], 0.2, " ms")
    if REDIS in results:
        gets = [
            (redis - floor) / raw
            for redis, floor, raw in zip(first[REDIS], first[FLOOR], first[RAW], strict=True)
        ]
        _print_aim("(Redis hit - floor) / raw GET", gets, 1.5, "x")


def _print_aim(name: str, values: Sequence[float], limit: float, unit: str) -> None:
    met = sum(value <= limit for value in values)
    verdict = "met" if met == len(values) else f"met by {met} of {len(values)}"
    cells = [f"{value:.2f}{unit}" for value in values]
    print_row(name, [*cells, f"   aim: at most {limit}{unit}, {verdict}"])


def _pairs(results: Results, one: str, other: str, seconds: int) -> list[tuple[Spoken, Spoken]]:
    return list(zip(results[one][seconds], results[other][seconds], strict=True))


def _median(results: Results, name: str, seconds: int, what: str) -> float:
    return median(getattr(spoken, what) for spoken in results[name][seconds])


async def run(rounds: int, entries: int, redis_server: Server | None) -> None:
    """Measure, and print what came of it."""
    url, about = None, "no redis-server"
    if redis_server:
        url = redis_server.url
        with redis_server.client() as client:
            about = f"redis-server {client.info('server')['redis_version']}"
    print_where(about, packages=("pipecat-ai", "redis", "hiredis"))
    allocated, resident, counted = await memory_per_second(entries)
    print_results(await measure(url, rounds), rounds)
    print(
        f"\nMemory per stored second, kB: {allocated / 1000:.2f} allocated, "
        f"{resident / 1000:.2f} resident, {counted / 1000:.2f} counted by the store, 48.00 samples"
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Time hits and misses against the floor.")
    parser.add_argument("--quick", action="store_true", help="3 rounds only, to see that it runs")
    parser.add_argument("--rounds", type=int, default=200, help="default: %(default)s")
    arguments = parser.parse_args()
    rounds, entries = (3, 5) if arguments.quick else (arguments.rounds, 100)
    log_as_in_production()
    with ExitStack() as stack:
        server = None
        if shutil.which("redis-server"):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = Server("redis-server", directory)
            stack.enter_context(serving(server))
        asyncio.run(run(rounds, entries, server))


if __name__ == "__main__":
    main()
