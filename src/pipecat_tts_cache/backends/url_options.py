#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Options of a URL, read as what a constructor takes: its signature says which there are."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin
from urllib.parse import unquote

_NUMBER = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*)", re.ASCII | re.IGNORECASE)
_BYTES = {"": 1, "b": 1} | {
    f"{prefix}{infix}b": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_NAMES = {"str": str, "int": int, "float": float, "bool": bool, "None": NoneType}
_ALIKE = 0.8


class Option(NamedTuple):
    """An option of a constructor.

    Parameters:
        name: Its name.
        types: What it may be, as far as that can be written in a URL.
    """

    name: str
    types: tuple[Any, ...]

    def read(self, text: str) -> Any:
        """Read a value.

        Args:
            text: How it is written.

        Returns:
            The value.

        Raises:
            ValueError: If it makes no sense.
        """
        if not text and NoneType in self.types:
            return None
        for kind, read in _READERS.items():
            if kind in self.types:
                return read(self.name, text)
        choices = [choice for each in self.types for choice in get_args(each)]
        if text not in choices:
            raise ValueError(f"{self.name} must be {_either(choices)}, not {text!r}")
        return text


def options_of(make: Callable[..., Any], *, leave_out: Iterable[str] = ()) -> dict[str, Option]:
    """Find the options that can be written in a URL.

    Args:
        make: A class or function.
        leave_out: Parameters that are none.

    Returns:
        The options by their names: text, numbers, switches and choices.
    """
    options: dict[str, Option] = {}
    for name, parameter in inspect.signature(make).parameters.items():
        types = tuple(filter(_is_writable, _alternatives(parameter.annotation)))
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if named and name not in leave_out and set(types) - {NoneType}:
            options[name] = Option(name, types)
    return options


def split_query(query: str) -> dict[str, str]:
    """Split the part of a URL behind the question mark.

    Args:
        query: That part.

    Returns:
        The options by their names, as they are written there: still percent-encoded.

    Raises:
        ValueError: If that is no list of options, or one is there twice.
    """
    if "@" in query:  # do not quote anything: that was meant to be a password
        raise ValueError(
            "'@' behind '?' must be written as %40, and '?' in user and password as %3F"
        )
    options: dict[str, str] = {}
    for each in filter(None, query.split("&")):
        name, equals, value = each.partition("=")
        if not equals:
            raise ValueError("options must be name=value, with & between them")
        if name in options:
            raise ValueError(f"{name} is there twice")
        options[name] = value
    return options


def read_options(
    written: Mapping[str, str],
    known: Mapping[str, Option],
    *,
    is_foreign: Callable[[str], bool] = lambda _: False,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read those options that are known.

    Args:
        written: Options as they are written, by their names.
        known: Those that are known.
        is_foreign: Tells whether another one is for somebody else to read.

    Returns:
        The values of those that are known, and the others as they are written.

    Raises:
        ValueError: If a value makes no sense, or an option is nobody's.
    """
    values: dict[str, Any] = {}
    rest: dict[str, str] = {}
    for name, text in written.items():
        if name in known:
            values[name] = known[name].read(unquote(text))
        elif is_foreign(name):
            rest[name] = text
        else:
            raise ValueError(_unknown(name, known))
    return values, rest


def alike(name: str, known: Iterable[str]) -> str | None:
    """Find what may have been meant.

    Args:
        name: What was written.
        known: What might have been.

    Returns:
        What is most like it, or None if nothing is.
    """
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=_ALIKE)), None)


def _unknown(name: str, known: Iterable[str]) -> str:
    meant = alike(name, known)
    if meant:
        return f"there is no option {name!r}: did you mean {meant!r}?"
    return f"there is no option {name!r}; there are {', '.join(sorted(known))}"


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Split what may be one of several types. Of quoted ones only the built-in ones count."""
    if isinstance(annotation, str):
        return tuple(
            _NAMES[name] for name in map(str.strip, annotation.split("|")) if name in _NAMES
        )
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_writable(kind: Any) -> bool:
    return kind in _NAMES.values() or get_origin(kind) is Literal


def _read_int(name: str, text: str) -> int:
    if name.endswith("bytes"):
        return round(_measure(name, text, _BYTES, "a number of bytes, as 500MB or 2GiB"))
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _read_seconds(name: str, text: str) -> float:
    return float(_measure(name, text, _SECONDS, "a time, as 0.5, 250ms, 90s, 15m, 12h or 30d"))


def _measure(name: str, text: str, units: Mapping[str, float], expected: str) -> float:
    found = _NUMBER.fullmatch(text)
    unit = found and units.get(found[2].lower())
    if not found or not unit:
        raise ValueError(f"{name} must be {expected}, not {text!r}")
    measure = float(found[1]) * unit
    if not math.isfinite(measure):
        raise ValueError(f"{name} must be {expected}, and not that much")
    return measure


def _read_switch(name: str, text: str) -> bool:
    switch = _SWITCHES.get(text.lower())
    if switch is None:
        raise ValueError(f"{name} must be true or false, not {text!r}")
    return switch


def _either(choices: Iterable[object]) -> str:
    return " or ".join(map(repr, choices))


_READERS: dict[type, Callable[[str, str], Any]] = {
    bool: _read_switch,
    int: _read_int,
    float: _read_seconds,
    str: lambda _, text: text,
}
