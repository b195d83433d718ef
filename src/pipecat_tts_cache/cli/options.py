#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The options that commands share."""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_args

import typer

from pipecat_tts_cache.cli.ending import ExitCode, Stop
from pipecat_tts_cache.cli.words import age_in_seconds
from pipecat_tts_cache.inventory import Selection

STORE_VARIABLE = "PIPECAT_TTS_CACHE_URL"
SECRET_VARIABLE = "PIPECAT_TTS_CACHE_SECRET"  # noqa: S105 - the name of a variable


def _age(text: str) -> float:
    try:
        return age_in_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Store = Annotated[
    str,
    typer.Option(
        "--store",
        "-s",
        envvar=STORE_VARIABLE,
        metavar="URL",
        help="The store: disk:///var/cache/tts, redis://host:6379/0, …",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Only what is in this namespace.")
]
Voice = Annotated[str | None, typer.Option("--voice", help="Only what this voice says.")]
Model = Annotated[str | None, typer.Option("--model", help="Only what this model says.")]
Service = Annotated[
    str | None, typer.Option("--service", help="Only what this service class says.")
]
Text = Annotated[
    str | None,
    typer.Option("--text", help="Only this sentence, however its white space is written."),
]
OlderThan = Annotated[
    float | None,
    typer.Option(
        "--older-than", parser=_age, metavar="AGE", help="Recorded that long ago: 45s, 12h, 90d."
    ),
]
UnusedFor = Annotated[
    float | None,
    typer.Option("--unused-for", parser=_age, metavar="AGE", help="Not looked up for that long."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")]


def secret() -> bytes | None:
    """Read the secret of keyed digests from where nobody else sees it.

    Returns:
        What the environment variable `SECRET_VARIABLE` holds, or None.
    """
    value = os.environ.get(SECRET_VARIABLE)
    return os.fsencode(value) if value else None


class Filters(dict[str, Any]):
    """What a user gave of the options that make a `Selection`, by name."""

    def selection(self) -> Selection:
        """Make the selection.

        Returns:
            What is meant.

        Raises:
            Stop: If it makes no sense.
        """
        try:
            return Selection(**self, secret=None if self["text"] is None else secret())
        except (TypeError, ValueError) as error:
            raise Stop(str(error), ExitCode.USAGE) from None


_FILTERS: dict[str, Any] = {
    "namespace": Namespace,
    "voice": Voice,
    "model": Model,
    "service": Service,
    "text": Text,
    "older_than": OlderThan,
    "unused_for": UnusedFor,
}


_Command = Callable[..., None]


def takes(make: Callable[..., Any], options: Mapping[str, Any]) -> Callable[[_Command], _Command]:
    """Let a command take options that make one thing, in place of its last parameter.

    Args:
        make: Makes it of what was given, by name.
        options: How Typer is told of each, by name; they default to None, flags to False.

    Returns:
        What makes of a command what Typer is to see.
    """

    def of(command: _Command) -> _Command:
        *own, last = inspect.signature(command).parameters.values()

        @wraps(command)
        def run(**given: Any) -> None:
            made = make(**{name: given.pop(name) for name in options})
            command(**given, **{last.name: made})

        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if get_args(kind)[0] is bool else None,
                annotation=kind,
            )
            for name, kind in options.items()
        ]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run.__signature__ = inspect.Signature([*parameters, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in [*own, *added]}
        del run.__wrapped__
        return run

    return of


takes_filters = takes(Filters, _FILTERS)
"""Gives a command the options of a selection, as its last parameter, `filters`."""
