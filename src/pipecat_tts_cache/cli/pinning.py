#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Recordings that stand in for synthesis: `pin`, `pins` and `unpin`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.cli import words as wording
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, run, with_store
from pipecat_tts_cache.cli.factory import Factory
from pipecat_tts_cache.cli.lines import in_words, without_pipecat_log
from pipecat_tts_cache.cli.look import show_entries
from pipecat_tts_cache.cli.maker import Maker
from pipecat_tts_cache.cli.options import (
    DryRun,
    Filters,
    Json,
    Store,
    Yes,
    takes_filters,
)
from pipecat_tts_cache.cli.output import note, waiting, write_json
from pipecat_tts_cache.cli.removal import purging, remove
from pipecat_tts_cache.cli.warming import SampleRate, Verbose
from pipecat_tts_cache.inventory import list_entries
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.outcomes import Pinned

_VOICE = "voice"

Text = Annotated[str, typer.Argument(metavar="TEXT", help="What the bot says.")]
Recording = Annotated[
    Path, typer.Argument(metavar="FILE", help="The recording: WAV, FLAC, MP3, M4A, …")
]
WordsFile = Annotated[
    Path | None,
    typer.Option(
        "--words",
        metavar="FILE",
        help='JSON with the words and their times in seconds: [["One", 0.0], …]. Else guessed.',
    ),
]
Loudness = Annotated[
    str | None,
    typer.Option(
        "--loudness",
        metavar="LUFS",
        help=f"Make it so loud; or as loud as its voice, with the word {_VOICE}.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME=VALUE",
        help="An argument for the function, such as voice=anna; as often as needed.",
    ),
]
AsTurn = Annotated[
    bool, typer.Option("--as-turn", help="A language model writes it; else it is a TTSSpeakFrame.")
]


def register(app: typer.Typer) -> None:
    """Add these commands.

    Args:
        app: Where to.
    """
    app.command("pin")(pin)
    app.command("pins")(takes_filters(pins))
    app.command("unpin")(takes_filters(unpin))


def pin(
    make: Factory,
    text: Text,
    recording: Recording,
    *,
    words: WordsFile = None,
    loudness: Loudness = None,
    options: Options = None,
    as_turn: AsTurn = False,
    sample_rate: SampleRate = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Let a recording stand in for a line."""
    with ending(), without_pipecat_log(verbose=verbose):
        line = Line(text, _read_options(options))
        how = {
            "words": None if words is None else _read_words(words),
            "loudness": None if loudness is None else _read_loudness(loudness),
            "as_turn": as_turn,
            "sample_rate": sample_rate,
        }
        with waiting("Asking the service where it looks for that …"):
            pinned = _pin(Maker(make), line, recording, how)
        if as_json:
            write_json(_described(pinned))
        else:
            sys.stdout.write(_for_people(pinned))


def pins(store: Store, as_json: Json = False, *, filters: Filters) -> None:
    """List the recordings that stand in for lines."""
    with ending(store):
        chosen = replace(filters.selection(), pinned=True)

        async def show(backend: CacheBackend) -> int:
            return await show_entries(list_entries(backend, chosen), None, as_json)

        if not with_store(store, show):
            note("nothing found")


def unpin(
    store: Store,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    *,
    filters: Filters,
) -> None:
    """Take recordings away that fit all options given, so that their lines are spoken again."""
    with ending(store):
        chosen = filters.selection()
        if chosen.is_everything:
            raise Stop("say which to take away, as with --text: see --help", ExitCode.USAGE)
        work = purging(replace(chosen, pinned=True))
        if not remove(store, work, yes=yes, dry_run=dry_run, as_json=as_json).entries:
            raise Stop("no recording is pinned there", ExitCode.NOTHING_FOUND)


def _pin(maker: Maker, line: Line, recording: Path, how: dict[str, Any]) -> Pinned:
    from pipecat_tts_cache.preparation import pinning  # noqa: PLC0415 - not at load
    from pipecat_tts_cache.preparation.headless import PipelineEndedError  # noqa: PLC0415

    async def work() -> Pinned:
        try:
            return await pinning.pin(maker, line, recording, **how)
        finally:
            await maker.close()

    with in_words(ExitCode.USAGE):
        try:
            return run(work)
        except PipelineEndedError as error:
            raise Stop(f"{error}; --verbose shows it") from None
        except TimeoutError:
            raise Stop("the service takes too long; --verbose shows its log") from None


def _read_options(given: list[str] | None) -> dict[str, str]:
    pairs = [each.partition("=") for each in given or ()]
    for name, equals, _ in pairs:
        if not (name.isidentifier() and equals):
            raise Stop(f"{name!r} is no NAME=VALUE, as voice=anna is", ExitCode.USAGE)
    return {name: value for name, _, value in pairs}


def _read_words(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        raise Stop(f"{path}: no JSON", ExitCode.USAGE) from None


def _read_loudness(given: str) -> float | Literal["voice"]:
    if given == _VOICE:
        return "voice"
    try:
        return float(given)
    except ValueError:
        raise Stop(f"{given!r} is neither a number of LUFS nor {_VOICE}", ExitCode.USAGE) from None


def _described(pinned: Pinned) -> dict[str, Any]:
    utterance = pinned.utterance
    names = ("duration", "sample_rate", "text", "service", "voice", "model")
    return {
        "namespace": pinned.key.namespace,
        "digest": pinned.key.digest,
        **{name: getattr(utterance, name) for name in names},
        "words": [word._asdict() for word in utterance.words],
        "gain": pinned.gain,
    }


def _for_people(pinned: Pinned) -> str:
    utterance = pinned.utterance
    louder = f", {pinned.gain:+.1f} dB" if pinned.gain else ""
    voice = f" in the voice {wording.plain(utterance.voice)}" if utterance.voice else ""
    length = wording.length(utterance.duration)
    return f"pinned {pinned.key.digest}{voice}: {length} at {utterance.sample_rate} Hz{louder}\n"
