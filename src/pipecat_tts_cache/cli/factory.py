#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What makes the services of a bot, by its name: `my_bot:make_tts`."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from pipecat_tts_cache.cli.ending import ExitCode, Stop

Factory = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:FUNCTION",
        help="What makes the bot's TTS service, with its store: my_bot:make_tts for my_bot.py.",
        show_default=False,
    ),
]


def factory(name: str) -> Callable[..., Any]:
    """Import what makes a bot's services; modules in the current folder are found.

    Args:
        name: The module and the function in it, as `my_bot:make_tts`.

    Returns:
        The function.

    Raises:
        Stop: If there is none of that name, or its module cannot be imported.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise Stop(f"{name!r} is no MODULE:FUNCTION, as my_bot:make_tts is", ExitCode.USAGE)
    found: Any = _module(module_name)
    for part in path.split("."):
        if (found := getattr(found, part, None)) is None:
            raise Stop(f"there is no {path!r} in {module_name}", ExitCode.USAGE)
    if not callable(found):
        raise Stop(f"{path!r} in {module_name} is no function", ExitCode.USAGE)
    return cast("Callable[..., Any]", found)


def _module(name: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing == name or name.startswith(f"{missing}."):
            what = f"there is no module {name} here, nor is one installed"
        else:
            what = f"{name} cannot be imported: it needs the module {missing}"
        raise Stop(what, ExitCode.USAGE) from None
    except Exception as error:  # whatever its code does; its words may hold anything
        where = last_line(error)
        raise Stop(f"{name} cannot be imported: {type(error).__name__}{where}") from None


def last_line(error: Exception) -> str:
    """Say where an error was raised, without its words.

    Args:
        error: The error.

    Returns:
        The file and the line, to put behind the name of the error.
    """
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return ""
    return f" in {Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno}"
