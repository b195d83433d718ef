#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The command line `pipecat-tts-cache`, which is also `pipecat tts-cache`.

It needs the extra ``cli``; without it, it says so. Importing it is cheap, as Pipecat does that for
every command of its own: what a command needs is imported when that runs.
"""

import sys

_HINT = """\
The command line of pipecat-tts-cache needs typer and rich, which are not installed:

    pip install 'pipecat-tts-cache[cli]'
"""
_NEEDED = ("typer", "rich")


def run() -> None:
    """Run the command line, or say how to install it and exit with 1."""
    try:
        from pipecat_tts_cache.cli.app import app  # noqa: PLC0415 - may not be installed
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(_HINT)
        raise SystemExit(1) from None
    app()
