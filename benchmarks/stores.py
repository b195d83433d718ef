#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What each store costs, beside its raw client, by how much it holds, and when it is full.

    python benchmarks/stores.py
    python benchmarks/stores.py --quick
    python benchmarks/stores.py --only disk Redis

Every store runs on servers of its own on this machine; one whose server is not installed is left
out. What the figures mean, and those of one run, stand in benchmarks/README.md.
"""

import argparse
import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from dialogues import CHARACTERS_A_SECOND, read
from pipecat_tts_cache.codec import Codec
from pipeline import log_as_in_production
from report import print_row, print_where
from speech import is_real, utterance_of
from store_costs import LONGEST, ROWS, Effort, beside_raw, by_entries, first_frames, reading
from store_places import Place, places

DATA = Path(__file__).parent / "data"
SIZES = {"5 KB": 5_000, "240 KB": 240_000, "2.9 MB": 2_880_000}
LENGTHS = (10, 20, 60)
READ = (2, *LENGTHS)
_FEW = 1000
_RATIO, _FLAT = 1.3, 1.5
_MILLI = 1000.0
_PACKAGES = ("redis", "hiredis", "asyncpg", "obstore", "soundfile", "moto")


def ms(seconds: float) -> str:
    """Write a time."""
    return f"{_MILLI * seconds:.4f}" if seconds < 1e-4 else f"{_MILLI * seconds:.3f}"


async def print_beside_raw(found: Sequence[Place], effort: Effort) -> None:
    """Print get and set, and how many times the raw client's they are."""
    print("\nget and set, ms, and how many times the raw client's for the same bytes")
    columns = ("get", "raw get", "ratio", "set", "raw set", "ratio")
    print_row("", columns)
    for place in found:
        for size, num_bytes in SIZES.items():
            times = await beside_raw(place, num_bytes, effort)
            print_row(f"{place.name}, {size}", _beside(times, "", aim=True))
            if place.encodes:
                share = len(utterance_of(num_bytes).to_bytes(codec="flac")) / num_bytes
                cells = _beside(times, "FLAC ", aim=False)
                print_row("    in FLAC", [*cells, f"   {share:.2f} of the bytes"])
    print(f"aim: at most {_RATIO}x; FLAC reads and writes fewer bytes, and is beside raw ones here")


def _beside(times: Mapping[str, float], codec: str, *, aim: bool) -> list[str]:
    cells, missed = [], []
    for name in ("get", "set"):
        took, raw = times[codec + name], times[f"raw {name}"]
        cells += [ms(took), ms(raw), f"{took / raw:.2f}x"]
        if took / raw > _RATIO:
            missed.append(name)
    verdict = f"   {'and'.join(f' {name} ' for name in missed)}miss" if missed else "   met"
    return [*cells, verdict] if aim else cells


async def print_by_entries(found: Sequence[Place], quick: bool, effort: Effort) -> None:
    """Print what everything costs in a store that holds little and in one that holds much."""
    print("\nBy entries in the store, of a hundred a namespace, ms; aim: flat")
    for place in found:
        most = place.quick_entries if quick else place.entries
        counts = (min(_FEW, most // 10 if quick else most), most)
        counts = counts[:1] if counts[0] == counts[1] else counts
        began = time.perf_counter()
        results = await by_entries(place, counts, effort)
        took = f"({time.perf_counter() - began:.0f} s)"
        print_row(f"{place.name} {took}", [f"{count:,}" for count in counts])
        for name in filter(results.get, ROWS):
            costs = results[name]
            print_row(f"    {name}", [*map(ms, costs), _growth(name, costs)])
    print(f"flat: at most {_FLAT}x from the first count to the last")


def _growth(name: str, costs: Sequence[float]) -> str:
    if len(costs) == 1 or name == LONGEST:
        return ""
    growth = costs[-1] / costs[0]
    word = "" if name.startswith("raw") else "flat, " if growth <= _FLAT else "grows, "
    return f"   {word}{growth:.2f}x"


async def print_first_frames(found: Sequence[Place], effort: Effort) -> None:
    """Print how much later the first frame of a long utterance is there."""
    print("\nUntil a look-up returns, and with it the first frame, ms")
    columns = ("2 s", "60 s", "more", "raw 1 s", "raw 60 s")
    print_row("", columns)
    for place in found:
        times = await first_frames(place, effort)
        for codec in ("", "FLAC ") if place.encodes else ("",):
            short, long = times[f"{codec}get 2 s"], times[f"{codec}get 60 s"]
            over = long - short - times["raw 1 s"]
            verdict = f"   missed by {_MILLI * over:.2f} ms" if over > 0 else "   met"
            cells = (short, long, long - short, times["raw 1 s"], times["raw 60 s"])
            print_row(f"{place.name}{', FLAC' if codec else ''}", [*map(ms, cells), verdict])
    print("aim: 60 s take no longer than 2 s and the transfer of one second")
    print_row("\nAfter the transfer, ms: reading a record of", [f"{seconds} s" for seconds in READ])
    codecs: tuple[tuple[Codec, str], ...] = (("raw", "raw samples"), ("flac", "FLAC"))
    for codec, name in codecs:
        took = [await reading(codec, seconds, effort) for seconds in READ]
        print_row(f"    in {name}", [*map(ms, took)])


async def print_lengths() -> None:
    """Print how long sentences are."""
    print_row("\nSentences of more than", [f"{seconds} s" for seconds in LENGTHS])
    for path in sorted(DATA.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        sentences = (await read(path.stem, lines)).sentences
        seconds = [sentence.characters / CHARACTERS_A_SECOND for sentence in sentences]
        shares = [sum(one > length for one in seconds) / len(seconds) for length in LENGTHS]
        cells = [f"{100 * share:.2f} %" for share in shares]
        print_row(
            f"{path.stem}, {len(seconds)} sentences", [*cells, f"   longest {max(seconds):.0f} s"]
        )


async def run(arguments: argparse.Namespace, found: Sequence[Place]) -> None:
    """Measure, and print what came of it."""
    quick = arguments.quick
    effort = Effort(rounds=3, seconds=0.5) if quick else Effort(arguments.rounds, arguments.seconds)
    await print_beside_raw(found, effort)
    await print_first_frames(found, effort)
    await print_lengths()
    await print_by_entries(found, quick, effort)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Time the stores against their raw clients.")
    parser.add_argument("--quick", action="store_true", help="small and few, to see that it runs")
    parser.add_argument("--rounds", type=int, default=200, help="at most; default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="for each row, about; default: %(default)s"
    )
    parser.add_argument("--only", nargs="+", default=[], help="how the names of stores begin")
    arguments = parser.parse_args()
    log_as_in_production()
    with ExitStack() as stack:
        found, left_out = places(stack)
        if only := tuple(arguments.only):
            found = [place for place in found if place.name.startswith(only)]
        speech = "real speech by espeak-ng" if is_real() else "noise, as there is no espeak-ng"
        print_where(f"SQLite {sqlite3.sqlite_version}", packages=_PACKAGES)
        print(f"audio     {speech}, 24000 Hz mono s16le")
        print("figures   lower quartiles: medians would be those of what else the machine does")
        for reason in left_out:
            print(f"left out  {reason}")
        asyncio.run(run(arguments, found))


if __name__ == "__main__":
    main()
