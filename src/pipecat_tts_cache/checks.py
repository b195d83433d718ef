#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Checks of what users pass in: nonsense is refused where it happens, in words."""

import math
from types import UnionType
from typing import Any, get_args

MAX_SECONDS = 100 * 365 * 86400.0
"""A hundred years: whoever needs more means for ever."""


def check_positive_int(name: str, value: object) -> int:
    """Check a number of things.

    Args:
        name: What the number is called, for the message.
        value: The number.

    Returns:
        The number.

    Raises:
        TypeError: If it is no int (a bool is none).
        ValueError: If it is not above zero.
    """
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{name} must be above 0, not {value}")
    return value


def check_seconds(name: str, value: object) -> float:
    """Check a length of time.

    Args:
        name: What it is called, for the message.
        value: The time in seconds.

    Returns:
        The time in seconds.

    Raises:
        TypeError: If it is no int or float (a bool is neither).
        ValueError: If it is not above zero, not finite, or more than a hundred years.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not (math.isfinite(value) and 0 < value <= MAX_SECONDS):
        raise ValueError(f"{name} must be above 0 seconds and at most 100 years, not {value}")
    return float(value)


def check_ttl(value: object) -> float | None:
    """Check a time to live.

    Args:
        value: The time in seconds, or None for ever.

    Returns:
        The time in seconds, or None.

    Raises:
        TypeError: If it is neither None nor a number.
        ValueError: If it is not above zero, not finite, or more than a hundred years.
    """
    return None if value is None else check_seconds("ttl", value)


def check_bool(name: str, value: object) -> bool:
    """Check a switch.

    Args:
        name: What it is called, for the message.
        value: True or False.

    Returns:
        The same.

    Raises:
        TypeError: If it is neither: most things count as true.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def check_callable(name: str, value: object) -> None:
    """Check a function.

    Args:
        name: What it is called, for the message.
        value: The function.

    Raises:
        TypeError: If it cannot be called.
    """
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")


def check_instance(name: str, value: object, kind: type | UnionType) -> None:
    """Check what kind of thing something is.

    Args:
        name: What it is called, for the message.
        value: The thing.
        kind: What it must be; `X | None` if it may be left out.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, kind):
        wanted = kind if isinstance(kind, type) else get_args(kind)[0]
        article = "an" if wanted.__name__[0] in "aeiouAEIOU" else "a"
        raise TypeError(f"{name} must be {article} {wanted.__name__}, not {type(value).__name__}")


def check_choice(name: str, value: object, choices: Any) -> Any:
    """Check one of several words.

    Args:
        name: What it is called, for the message.
        value: The word.
        choices: The `Literal` of what there is.

    Returns:
        The word.

    Raises:
        ValueError: If there is no such choice.
    """
    known = get_args(choices)
    if isinstance(value, str) and value in known:
        return value
    *others, last = (repr(each) for each in known)
    raise ValueError(f"{name} must be {', '.join(others)} or {last}, not {value!r}")
