#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The silence that a listener hears within turns, without a cache and with one.

    python benchmarks/continuity.py
    python benchmarks/continuity.py --quick

Conversations drawn from a seed are held in real time, over local servers that take their time. All
variants of a conversation are held at once, so that whatever the machine does hits all alike. What
the figures mean, and those of one run, stand in benchmarks/README.md.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the servers of the tests

from pipecat.frames.frames import (
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.services.tts_service import TTSService
from tests.cached import KINDS, Kind

from gaps import COLUMNS, DIFFERENCES, Boundary, Figures, boundaries_of, compare
from listener import Heard, Listener
from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.provider import Piece, Provider, Request
from pipeline import log_as_in_production, running
from report import percentile_95, print_row, print_where
from script import USUAL, WORST, Script, Turn, write_script

SERVICES = {
    "CartesiaTTSService": "Cartesia, sentences overlap",
    "ElevenLabsTTSService": "ElevenLabs, sentences go one at a time",
    "DeepgramTTSService": "Deepgram, sentences overlap, no ids",
}
UNCACHED, AGAIN, COLD, MIXED, WARM = VARIANTS = (
    "uncached", "uncached, again", "cold", "mixed", "warm",
)  # fmt: skip
"""The uncached bot speaks twice, so that it can be seen what chance does."""

_CHUNK = 0.100
_STAGGER = 1.0
_LOOK = 0.010


class Paced(Provider):
    """A provider that takes its time, as the script says for each sentence.

    The first audio comes after a while, each further chunk when it has been generated. Texts in
    one context are spoken one after the other, but the wait for a later one runs while an earlier
    one is being spoken. That is kind to the uncached bot, which has one context a turn.
    """

    script: Script | None = None

    async def ask(self, text: str, **details: Any) -> Request:
        request = await super().ask(text, **details)
        self.__dict__.setdefault("asked_at", {})[request.take] = _now()
        return request

    async def pieces(self, request: Request) -> AsyncIterator[Piece]:
        if self.script is None:
            async for piece in super().pieces(request):
                yield piece
            return
        pace = self.script.paces[request.text.strip()]
        begin = max(_now(), self.__dict__["asked_at"][request.take] + pace.first_audio)
        for piece in self._cut_up(request):
            await self._wait(begin + max(0.0, piece.end - _CHUNK) / pace.speed)
            request.sent += len(piece.audio)
            yield piece


async def hold(
    service: TTSService, turns: Sequence[Turn], *, start: asyncio.Barrier, after: float
) -> list[Heard]:
    """Hold a conversation.

    Args:
        service: The bot's voice.
        turns: The bot's turns.
        start: Passed when all others are ready, too.
        after: Seconds to wait then.
    """
    listener = Listener()
    async with running(service, behind=listener.note) as worker:
        await start.wait()
        await asyncio.sleep(after)
        for turn in turns:
            listener.begin_turn()
            due = _now()
            await worker.queue_frame(LLMFullResponseStartFrame())
            for token, seconds in turn.tokens():
                due += seconds
                await asyncio.sleep(due - _now())
                await worker.queue_frame(LLMTextFrame(token))
            await worker.queue_frame(LLMFullResponseEndFrame())
            await listener.end_turn()
    return listener.turns


async def warm_up(service: TTSService, sentences: Sequence[str]) -> None:
    """Let a service say sentences, so that its store knows them."""
    listener = Listener()
    async with running(service, behind=listener.note) as worker:
        for sentence in sentences:
            listener.begin_turn()
            await worker.queue_frame(TTSSpeakFrame(sentence))
            await listener.stopped()


async def hold_all(kind: Kind, script: Script, seed: int) -> tuple[dict[str, Figures], list[float]]:
    """Hold all conversations of a script in all variants at once.

    Returns:
        What came of each variant, and how late the event loop was, in seconds.
    """

    class Server(Paced, kind.server):  # type: ignore[name-defined, misc]
        pass

    chance = random.Random(seed)
    async with Server(chunk_ms=1000 * _CHUNK) as server:
        stores = {
            WARM: await _store(kind, server, script.sentences),
            MIXED: await _store(
                kind, server, [text for text in script.sentences if chance.random() < 0.5]
            ),
        }
        server.script = script
        held: dict[str, list[asyncio.Task[list[Heard]]]] = {}
        start = asyncio.Barrier(len(VARIANTS) * len(script.conversations) + 1)
        async with asyncio.TaskGroup() as group:
            for turns in script.conversations:
                after = chance.uniform(0.0, _STAGGER)
                for variant in VARIANTS:
                    service = _service(kind, server, variant, stores)
                    task = group.create_task(hold(service, turns, start=start, after=after))
                    held.setdefault(variant, []).append(task)
            await start.wait()
            late = group.create_task(watch_loop({task for each in held.values() for task in each}))
    figures = {
        variant: Figures.of(script.turns, [turn for task in tasks for turn in task.result()])
        for variant, tasks in held.items()
    }
    return figures, late.result()


async def _store(kind: Kind, server: Any, sentences: Sequence[str]) -> MemoryCacheBackend:
    store = MemoryCacheBackend(max_size=100_000, max_bytes=1 << 40)
    await warm_up(kind.with_cache(server, cache_backend=store), sentences)
    return store


def _service(
    kind: Kind, server: Any, variant: str, stores: dict[str, MemoryCacheBackend]
) -> TTSService:
    if variant in (UNCACHED, AGAIN):
        return kind.without_cache(server)
    store = stores.get(variant) or MemoryCacheBackend()
    return kind.with_cache(server, cache_backend=store)


async def watch_loop(meanwhile: set[asyncio.Task[Any]]) -> list[float]:
    """Note how late the event loop is, until tasks are done."""
    late = []
    while not all(task.done() for task in meanwhile):
        due = _now() + _LOOK
        await asyncio.sleep(_LOOK)
        late.append(_now() - due)
    return late


def _now() -> float:
    return asyncio.get_running_loop().time()


async def run(title: str, script: Script, names: Sequence[str], seed: int) -> None:
    """Hold the conversations of a script with each service, and print what came of it."""
    boundaries = boundaries_of(script)
    short = sum(boundary.too_short for boundary in boundaries)
    print(
        f"\n{title}: {len(script.turns)} turns, {len(script.sentences)} sentences; of "
        f"{len(boundaries)} boundaries {short} are behind a sentence too short to cover the wait"
    )
    for name in names:
        figures, late = await hold_all(KINDS[name], script, seed)
        print_figures(SERVICES[name], figures, boundaries)
        print(
            f"  longest silence within a sentence "
            f"{1000 * max(each.within for each in figures.values()):.0f} ms; event loop late by "
            f"{1000 * percentile_95(late):.0f} ms (p95), {1000 * max(late):.0f} ms at most"
        )


def print_figures(title: str, figures: dict[str, Figures], boundaries: Sequence[Boundary]) -> None:
    """Print the tables of one service."""
    print()
    print_row(title, COLUMNS)
    for variant in VARIANTS:
        print_row(f"  {variant}", figures[variant].cells())
    print_row("  against uncached", DIFFERENCES)
    for variant in VARIANTS[1:]:
        print_row(f"  {variant}", compare(figures[variant], figures[UNCACHED], boundaries))
    if not all(each.complete for each in figures.values()):
        print("  NOT ALL AUDIO WAS HEARD")


async def run_all(arguments: argparse.Namespace) -> None:
    """Run the scripts, one after the other."""
    seed, conversations, turns = arguments.seed, arguments.conversations, arguments.turns
    if not arguments.quick:
        script = write_script(USUAL, seed=seed, conversations=conversations, turns=turns)
        await run("As drawn", script, arguments.services, seed)
    else:
        conversations, turns = 1, 1
    script = write_script(WORST, seed=seed, conversations=conversations, turns=turns)
    await run("The worst of each range", script, arguments.services, seed)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Measure the silence between sentences.")
    parser.add_argument("--quick", action="store_true", help="one short turn, to see that it runs")
    parser.add_argument("--conversations", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=4, help="in each; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--services", nargs="+", choices=SERVICES, default=list(SERVICES))
    arguments = parser.parse_args()
    log_as_in_production()
    print_where(packages=("pipecat-ai", "websockets", "aiohttp"))
    print(f"script    seed {arguments.seed}, in real time; differences from 20 ms on count")
    asyncio.run(run_all(arguments))


if __name__ == "__main__":
    main()
