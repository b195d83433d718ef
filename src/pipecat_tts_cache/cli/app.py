#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from pipecat_tts_cache.cli import (
    copying,
    folders,
    lines,
    look,
    pinning,
    play,
    removal,
    repeated,
    saved,
    warming,
)

app = typer.Typer(
    name="tts-cache",
    help="Fill a store of speech, look into it, tidy it, and move it.",
    epilog="What is removed is asked about first. Every command takes --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
look.register(app)
play.register(app)
repeated.register(app)
saved.register(app)
copying.register(app)
folders.register(app)
warming.register(app)
lines.register(app)
pinning.register(app)
removal.register(app)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("pipecat-tts-cache"))
        raise typer.Exit


@app.callback()
def _group(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Keep this a group of commands, whatever it is mounted on."""
