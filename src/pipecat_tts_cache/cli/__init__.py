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
from collections.abc import Callable
from importlib import import_module

_HINT = """\
The command line of pipecat-tts-cache needs typer and rich, which are not installed:

    pip install 'pipecat-tts-cache[cli]'
"""
_NEEDED = ("typer", "rich")


def run() -> None:
    """Run the command line, or say how to install it and exit with 1."""
    try:
        _load()()
    except KeyboardInterrupt:  # before a command began
        raise SystemExit(130) from None


def _load() -> Callable[[], object]:
    try:
        for name in _NEEDED:
            import_module(name)
    except ImportError:
        sys.stderr.write(_HINT)
        raise SystemExit(1) from None
    app: Callable[[], object] = import_module(f"{__name__}.app").app
    return app
