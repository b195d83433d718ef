#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech prepared before the first call: `warm`."""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from pipecat_tts_cache.cli import lines as from_files
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, run
from pipecat_tts_cache.cli.factory import Factory
from pipecat_tts_cache.cli.lines import Reading, in_words, line_as_json, options_in_words
from pipecat_tts_cache.cli.maker import Maker
from pipecat_tts_cache.cli.options import Json
from pipecat_tts_cache.cli.output import Column, Table, note, write_fields, write_json
from pipecat_tts_cache.cli.progress import Show, progress_bar
from pipecat_tts_cache.cli.words import many
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.outcomes import Outcome, Unprepared, Warmed

_MIN_COUNT = 2

Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        min=1,
        max=256,
        help="How many to say at a time; mind the provider's limit.",
    ),
]
SampleRate = Annotated[
    int | None,
    typer.Option(
        "--sample-rate", min=1, metavar="HZ", help="The bot's audio_out_sample_rate, if it sets it."
    ),
]
Refresh = Annotated[bool, typer.Option("--refresh", help="Say what is there, too, and replace it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what is missing; say nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what Pipecat logs.")]


def register(app: typer.Typer) -> None:
    """Add this command.

    Args:
        app: Where to.
    """
    app.command("warm")(from_files.takes_reading(warm))


def warm(
    make: Factory,
    files: from_files.Files,
    *,
    top: from_files.Top = None,
    min_count: from_files.MinCount = None,
    concurrency: Concurrency = 5,
    sample_rate: SampleRate = None,
    refresh: Refresh = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Have a bot's service say lines to nobody, so that its store holds them."""
    with ending(), from_files.without_pipecat_log(verbose=verbose):
        if refresh and dry_run:
            raise Stop(
                "a refresh says everything anew: there is nothing to find out", ExitCode.USAGE
            )
        chosen, turns = _choose(reading, files, top, min_count)
        how: dict[str, Any] = {"as_turns": turns, "sample_rate": sample_rate}
        if not dry_run:
            how |= {"concurrency": concurrency, "refresh": refresh}
        done = _prepare(Maker(make), chosen, how, dry_run=dry_run)
        _tell(done, as_json=as_json, dry_run=dry_run)
        if failed := [each for each in done.outcomes if _kind(each) == "failed"]:
            hint = "" if verbose else "; --verbose shows what Pipecat logs"
            raise Stop(f"{many(len(failed), 'line')} could not be prepared{hint}")


def _choose(
    reading: Reading, files: Sequence[str], top: int | None, min_count: int | None
) -> tuple[Sequence[Line], bool]:
    """Read the lines; tell whether the service is to cut them as turns."""
    if top or min_count or reading.is_past_calls(files):
        chosen = reading.ranked(files, top, min_count or _MIN_COUNT)
        note(f"{many(len(chosen), 'line')} chosen")
        return chosen, False
    with in_words():
        return list(reading.lines(files)), reading.as_turns


def _prepare(maker: Maker, lines: Sequence[Line], how: dict[str, Any], *, dry_run: bool) -> Warmed:
    from pipecat_tts_cache.preparation import warming  # noqa: PLC0415 - not at load
    from pipecat_tts_cache.preparation.headless import PipelineEndedError  # noqa: PLC0415

    async def work() -> Warmed:
        try:
            if dry_run:
                return await warming.is_warm(maker, lines, **how)
            with progress_bar(len(lines)) as show:
                return await warming.warm(maker, lines, progress=_progress(show, counts), **how)
        finally:
            await maker.close()

    counts: Counter[str] = Counter()
    with _interruptible(counts), in_words():
        try:
            return run(work)
        except PipelineEndedError as error:
            raise Stop(f"{error}; --verbose shows it") from None
        except TimeoutError:
            raise Stop("the service did not start in time; --verbose shows its log") from None


def _progress(show: Show, counts: Counter[str]) -> Callable[[int, int, Outcome], None]:
    def progress(done: int, of: int, outcome: Outcome) -> None:
        counts[_kind(outcome)] += 1
        show(done, of)

    return progress


@contextmanager
def _interruptible(counts: Counter[str]) -> Generator[None]:
    """Tell whoever interrupts it what is done."""
    try:
        yield
    except KeyboardInterrupt:
        done = f"{counts['stored']:,} stored, {counts['already']:,} there already"
        note(f"interrupted: {done}; start it again to go on")
        raise


def _kind(outcome: Outcome) -> str:
    """Tell what came of a line in a word."""
    if outcome.warm:
        return "stored" if outcome.spoken else "already"
    return "missing" if outcome.reasons == (Unprepared.NOT_THERE,) else "failed"


def _tell(done: Warmed, *, as_json: bool, dry_run: bool) -> None:
    """Tell what came of the lines, and why of those that are not there."""
    kinds = Counter(_kind(each) for each in done.outcomes)
    names = ("already", "missing", "failed") if dry_run else ("stored", "already", "failed")
    asked = [each.line for each in done.outcomes if _kind(each) in ("stored", "missing")]
    numbers = {name: kinds[name] for name in names}
    numbers["characters"] = sum(len(line.text) for line in asked)
    if as_json:
        lines = [
            line_as_json(each.line) | {"outcome": _kind(each), "reasons": each.reasons}
            for each in done.outcomes
        ]
        write_json({**numbers, "lines": lines, "dry_run": dry_run})
        return
    table = Table(Column("why", 16), Column("options", 16), Column("text"))
    not_there = [each for each in done.outcomes if not each.warm]
    for each in not_there:
        table.add(", ".join(each.reasons), options_in_words(each.line.options), each.line.text)
    if not_there:
        table.show()
    write_fields({name: f"{number:,}" for name, number in numbers.items()})
