#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The commands, put together."""

import typer

from pipecat_tts_cache.cli import copying, folders, look, play, removal, repeated

app = typer.Typer(
    name="tts-cache",
    help="Look into a store of speech, tidy it, and move it.",
    epilog="What is removed is asked about first. Every command takes --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
look.register(app)
play.register(app)
repeated.register(app)
copying.register(app)
folders.register(app)
removal.register(app)


@app.callback()
def _group() -> None:
    """Keep this a group of commands, whatever it is mounted on."""
