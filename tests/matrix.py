#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Every service against its provider on loopback, and docs/compatibility.md, the page of results.

python -m tests.matrix                  # try all, and print what was found
python -m tests.matrix Cartesia Soniox  # those whose names begin like this
python -m tests.matrix --write          # and write the page
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from loguru import logger

from pipecat_tts_cache.services import profile_of
from pipecat_tts_cache.testing import Fault, Report, check_cache
from tests.cached import ALL_KINDS, KINDS
from tests.pipecat_versions import even_out
from tests.providers.kind import Kind

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"
INTERRUPTIONS = 8

_HEAD = """\
<!-- Written by `python -m tests.matrix --write`; the tests compare it with what they find. -->

# What was tried with each service

Every row is the result of [`check_cache`](testing.md): the class as Pipecat ships it, against a
local server that speaks the provider's protocol (or, where the client library cannot be pointed
anywhere, a stand-in for that client), without the cache, with an empty one and with a full one.
Nothing that left the service differed, or the tests of this repository fail. No provider was
called; how far the local servers are like the real ones is how far these results go.

For each class: all 8 mixes of hits and misses in a turn of three sentences; 12 conversations
(speak frames, in a turn too, turns back to back, a long random conversation, a change of voice
inside a turn); {interruptions} interruptions of a live turn and as many of a replayed one, and
audio that comes late after one; and {faults} faults:

{fault_names}

The page was written with pipecat-ai {pipecat}. Which releases the tests pass on is in the
[README](../README.md).

- **Cached**: whether its speech is stored and replayed; if not, the reason that
  `get_cache_stats()` counts under `bypassed`.
- **Words**: whether the service tells when which word is spoken. A replay tells the same.
- **At once**: how many live sentences are with the provider at a time. 1 for inline services,
  which Pipecat asks for one sentence after the other.
- **Limits**: what the local server refuses, as the provider does.
- **No comparison**: where the service is not right without the cache either, so that there was
  nothing to compare with. What is stored is listened to there, too.

| service | cached | words | at once | limits | no comparison |
|---|---|---|---|---|---|
"""


async def try_kind(kind: Kind) -> Report:
    """Hold all conversations with a service."""
    async with kind.server() as server:
        return await check_cache(
            kind.maker(server),
            server,
            sample_rate=kind.sample_rate,
            voices=kind.voices,
            interruptions=INTERRUPTIONS,
            simulate_time=kind.simulate_time,
        )


def row(kind: Kind, report: Report) -> str:
    """Write the line of a service."""
    profile = profile_of(kind.bare, websocket=False)
    cells = [
        f"`{kind.service}`" + (f" ({kind.name})" if kind.name else ""),
        "yes" if report.cached else f"no: {', '.join(sorted(report.bypassed))}",
        "yes" if report.word_times else "no",
        str(profile.in_flight) if report.cached else "",
        kind.limits,
        "; ".join(_incomparable(report)),
    ]
    return f"| {' | '.join(cells)} |".replace("  |", " |")


def _incomparable(report: Report) -> Iterable[str]:
    """Name what could not be compared, each once."""
    places = Counter(_short(note.where) for note in report.notes)
    interrupted = [place for place in places if "interrupted at frame" in place]
    yield from (place for place in places if place not in interrupted)
    if interrupted:
        yield "interruptions"


def _short(where: str) -> str:
    return where.removesuffix(", from the cache").removeprefix("a provider that gives ")


def page(rows: Iterable[str]) -> str:
    """Write the page."""
    head = _HEAD.format(
        interruptions=INTERRUPTIONS,
        faults=len(Fault),
        fault_names="\n".join(f"- {fault.value}" for fault in Fault),
        pipecat=version("pipecat-ai"),
    )
    return head + "".join(f"{line}\n" for line in sorted(rows, key=str.casefold))


def written_rows() -> dict[str, str]:
    """Read the lines of the page, by the title of their kind."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    rows = [line for line in lines if line.startswith("| `")]
    return {line.split(" | ")[0].removeprefix("| ").replace("`", ""): line for line in rows}


def _try(title: str) -> tuple[str, Report]:
    logger.remove()
    even_out()
    return title, asyncio.run(try_kind(KINDS[title]))


def main(arguments: Sequence[str]) -> int:
    """Try all or some, and say what was found."""
    wanted = [argument for argument in arguments if argument != "--write"]
    titles = [title for title in KINDS if not wanted or title.startswith(tuple(wanted))]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        reports = {}
        for title, report in pool.map(_try, titles):
            reports[title] = report
            print(report, flush=True)  # noqa: T201
    if "--write" in arguments:
        rows = {title: line for title, line in written_rows().items() if title in ALL_KINDS}
        rows |= {title: row(KINDS[title], report) for title, report in reports.items()}
        PAGE.write_text(page(rows.values()), encoding="utf-8")
    return any(not report.passed for report in reports.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
