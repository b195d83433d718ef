#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How often a bot repeats itself, and which eviction policy keeps what is worth keeping.

    python benchmarks/hitrate.py
    python benchmarks/hitrate.py --quick
    python benchmarks/hitrate.py my_bot.jsonl
    python benchmarks/hitrate.py --price-per-million-characters 1 \\
        --storage-per-gb-month 1 --calls-per-day 1000

Nothing is spoken: sentences are cut by Pipecat, keyed by the library, and their audio is as long as
their text says. What the figures mean, and those of one run, stand in benchmarks/README.md.
"""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from dialogues import (
    CHARACTERS_A_SECOND,
    LONG_ANSWER,
    Corpus,
    after_another,
    in_some_order,
    read,
    with_long_answers,
)
from other_policies import S3FIFO, SLRU, Belady, Sieve, WTinyLFU
from pipeline import SAMPLE_RATE, log_as_in_production
from policies import (
    Policy,
    Rank,
    Ranked,
    Request,
    TwoTouch,
    by_arrival,
    by_last_use,
    by_uses,
    by_uses_aging,
    decaying,
    gdsf,
    gdsf_cost,
    gdsf_squared,
)
from report import print_row, print_where

DATA = Path(__file__).parent / "data"
BOUNDS = (0.01, 0.05, 0.2, 1.0)
"""Of what the distinct sentences of a corpus take."""
REMEMBERED = 1000
TIMES_BEFORE = 5
"""How often another bot's dialogues were held before."""
_DAYS_A_MONTH = 365.25 / 12
_QUICK = 100
"""Dialogues of each file for a look."""

Maker = Callable[[float, Sequence[Request]], Policy]
"""Makes a store of so many bytes; only Belady's looks at what will be asked for."""


def ranked(rank: Rank, *, refuses: bool = False, remembers: int = 0) -> Maker:
    """Make stores that keep one number for each entry."""
    return lambda capacity, _: Ranked(capacity, rank, refuses=refuses, remembers=remembers)


LRU, GDSF2, DECAYING = "LRU", "GDSF, uses squared", "decaying uses / size, remembering"
POLICIES: Mapping[str, Maker] = {
    "FIFO": ranked(by_arrival),
    LRU: ranked(by_last_use),
    "LRU, stores at the second request": lambda capacity, _: TwoTouch(capacity),
    "SLRU": lambda capacity, _: SLRU(capacity),
    "LFU": ranked(by_uses),
    "LFU with aging": ranked(by_uses_aging),
    "SIEVE": lambda capacity, _: Sieve(capacity),
    "S3-FIFO": lambda capacity, _: S3FIFO(capacity),
    "W-TinyLFU": lambda capacity, _: WTinyLFU(capacity),
    "GDSF, cost = characters": ranked(gdsf_cost),
    "GDSF, cost = 1": ranked(gdsf),
    "GDSF, cost = 1, refusing": ranked(gdsf, refuses=True),
    "GDSF, cost = 1, remembering": ranked(gdsf, refuses=True, remembers=REMEMBERED),
    GDSF2: ranked(gdsf_squared, refuses=True),
    "GDSF, uses squared, remembering": ranked(gdsf_squared, refuses=True, remembers=REMEMBERED),
    "decaying uses / size": ranked(decaying, refuses=True),
    DECAYING: ranked(decaying, refuses=True, remembers=REMEMBERED),
    "Belady's optimum, about": Belady,
}

Order = Callable[[random.Random], list[Request]]


class Outcome(NamedTuple):
    """What came of a policy.

    Parameters:
        requests: Share of the requests that count and were hits.
        characters: The same of their characters.
        others: Share of the kept bytes, in the end, that hold what does not count.
        kept: The bytes that it kept in the end.
    """

    requests: float
    characters: float
    others: float
    kept: float


def measure(policy: Policy, requests: Sequence[Request]) -> Outcome:
    """Ask a policy for sentences one after the other."""
    counted = [request for request in requests if request.counts]
    hits = characters = 0
    for request in requests:
        if not policy.lookup(request):
            policy.admit(request)
        elif request.counts:
            hits += 1
            characters += request.characters
    kept = list(policy.entries())
    assert policy.used == sum(request.size for request in kept) <= policy.capacity
    counting = {request.key for request in counted}
    others = sum(request.size for request in kept if request.key not in counting)
    return Outcome(
        hits / len(counted),
        characters / sum(request.characters for request in counted),
        others / max(1, policy.used),
        policy.used,
    )


def measure_all(corpus: Corpus, order: Order, orders: int) -> dict[str, list[Outcome]]:
    """Try every policy at every bound, with the dialogues in some orders, and take the means."""
    drawn = [order(random.Random(seed)) for seed in range(orders)]
    results: dict[str, list[Outcome]] = {}
    for name, make in POLICIES.items():
        results[name] = [
            _mean([measure(make(bound * corpus.size, one), one) for one in drawn])
            for bound in BOUNDS
        ]
    return results


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(*map(fmean, zip(*outcomes, strict=True)))


def print_corpora(corpora: Sequence[Corpus], orders: int) -> None:
    """Print how often each bot repeats itself."""
    print()
    print_row("How often a bot repeats itself", [corpus.name for corpus in corpora])
    columns = [_describe(corpus, orders) for corpus in corpora]
    for name in columns[0]:
        print_row(name, [column[name] for column in columns])


def _describe(corpus: Corpus, orders: int) -> dict[str, str]:
    said = corpus.sentences
    distinct = set(said)
    characters = sum(request.characters for request in said)
    once = sum(times == 1 for times in Counter(said).values())
    firsts, quarter = _with_room_for_all(corpus, orders)
    fresh = sum(request.characters for request in distinct)
    return {
        "dialogues": str(len(corpus.dialogues)),
        "turns": str(len(corpus.turns)),
        "sentences": str(len(said)),
        "distinct": str(len(distinct)),
        "said once": str(once),
        "distinct, minutes of speech": f"{fresh / CHARACTERS_A_SECOND / 60:.0f}",
        "distinct, MB": f"{corpus.size / 1e6:.0f}",
        "repeated, % of sentences": f"{100 * (1 - len(distinct) / len(said)):.1f}",
        "repeated, % of characters": f"{100 * (1 - fresh / characters):.1f}",
        "% of the last quarter's sentences": f"{100 * quarter:.1f}",
        "% of the first sentences of turns": f"{100 * firsts:.1f}",
    }


def _with_room_for_all(corpus: Corpus, orders: int) -> tuple[float, float]:
    """The hit rates of the first sentences of turns, and of the last quarter of the dialogues."""
    firsts, quarters = [], []
    for seed in range(orders):
        order = random.Random(seed).sample(corpus.dialogues, len(corpus.dialogues))
        seen: set[Request] = set()
        for number, dialogue in enumerate(order):
            for turn in filter(None, dialogue):
                firsts.append(turn[0] in seen)
                for sentence in turn:
                    if number >= 0.75 * len(order):
                        quarters.append(sentence in seen)
                    seen.add(sentence)
    return fmean(firsts), fmean(quarters)


def print_rates(title: str, results: Mapping[str, Sequence[Outcome]]) -> None:
    """Print the hit rates of all policies."""
    print()
    print_row(title, [f"{bound:>13.0%}" for bound in BOUNDS])
    for name, outcomes in results.items():
        rates = [f"{100 * one.requests:8.1f}/{100 * one.characters:4.1f}" for one in outcomes]
        print_row(name, rates)


def print_intruders(results: Mapping[str, Sequence[Outcome]]) -> None:
    """Print how much of each store long answers have taken."""
    print()
    print_row("% of the store that long answers hold", [f"{bound:.0%}" for bound in BOUNDS])
    for name, outcomes in results.items():
        print_row(name, [f"{100 * one.others:.1f}" for one in outcomes])


def print_money(
    corpus: Corpus, results: Mapping[str, Sequence[Outcome]], prices: argparse.Namespace
) -> None:
    """Print what a store saves in a month."""
    characters = sum(request.characters for request in corpus.sentences)
    spoken = characters / len(corpus.dialogues) * prices.calls_per_day * _DAYS_A_MONTH
    cost = spoken * prices.price_per_million_characters / 1e6
    print()
    print_row(f"{corpus.name}: saved in a month", [f"{bound:.0%}" for bound in BOUNDS])
    print(f"of {cost:.2f} for {spoken / 1e6:.2f} million characters, net of storage")
    for name in (LRU, GDSF2, DECAYING):
        net = [
            cost * one.characters - one.kept / 1e9 * prices.storage_per_gb_month
            for one in results[name]
        ]
        print_row(name, [f"{money:.2f}" for money in net])


async def run(arguments: argparse.Namespace) -> None:
    """Measure, and print what came of it."""
    print_where()
    print(
        f"audio     {CHARACTERS_A_SECOND} characters a second, {SAMPLE_RATE} Hz mono s16le, "
        "sizes as Utterance.size counts"
    )
    corpora = [await read(name, lines) for name, lines in arguments.texts.items()]
    orders = 1 if arguments.quick else arguments.orders
    print_corpora(corpora, orders)
    print(f"\nHit rates in %, requests/characters, means of {orders} orders of the dialogues.")
    print("Bounds: of what the distinct sentences take.")
    for number, corpus in enumerate(corpora):
        results = measure_all(corpus, partial(in_some_order, corpus), orders)
        print_rates(corpus.name, results)
        if arguments.calls_per_day:
            print_money(corpus, results, arguments)
        results = measure_all(corpus, partial(with_long_answers, corpus), orders)
        print_rates("{} and long answers of {}-{} s".format(corpus.name, *LONG_ANSWER), results)
        print_intruders(results)
        if (other := corpora[number - 1]) is not corpus:
            order = partial(after_another, corpus, other, times=TIMES_BEFORE)
            title = f"{corpus.name} after {TIMES_BEFORE} x {other.name}"
            print_rates(title, measure_all(corpus, order, orders))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Try eviction policies on real dialogues.")
    parser.add_argument(
        "files", nargs="*", type=Path, default=sorted(DATA.glob("*.jsonl")),
        help='one dialogue a line: {"id": ..., "agent": ["...", ...]}; default: those in data/',
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="little of it, to see that it runs")
    parser.add_argument("--orders", type=int, default=3, help="default: %(default)s")
    money = parser.add_argument_group("money, all three or none")
    names = ("--price-per-million-characters", "--storage-per-gb-month", "--calls-per-day")
    given = [money.add_argument(name, type=float).dest for name in names]
    arguments = parser.parse_args()
    if len({getattr(arguments, name) is None for name in given}) > 1:
        parser.error(f"these go together: {', '.join(names)}")
    most = _QUICK if arguments.quick else None
    arguments.texts = {
        path.stem: path.read_text("utf-8").splitlines()[:most] for path in arguments.files
    }
    log_as_in_production()
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
