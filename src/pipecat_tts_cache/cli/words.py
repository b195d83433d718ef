#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Values as people read and write them. Text of a store cannot act on a terminal."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_UNITS = (("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))
_THOUSAND = 1000.0


def plain(text: str) -> str:
    r"""Make a text harmless, and one line.

    Args:
        text: Anything, escape sequences and lone surrogates included.

    Returns:
        It, with every character that is not shown as itself written as in Python: ``\x1b``.
    """
    return "".join(each if _is_shown(each) else _escape(each) for each in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in _JOINERS


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def age_in_seconds(text: str) -> float:
    """Read an age.

    Args:
        text: A number and "s", "m", "h", "d" or "w": "90d".

    Returns:
        Seconds.

    Raises:
        ValueError: If it is none, or not above zero.
    """
    found = _AGE.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2].lower()] if found else 0.0
    if not seconds:
        raise ValueError(f"{text!r} is no age such as 45s, 30m, 12h, 90d or 2w")
    return seconds


def size(number: float | None) -> str:
    """Write a number of bytes, to three digits."""
    if number is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if number < _THOUSAND:
            return f"{number:.3g} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= _THOUSAND
    return f"{number:.3g} TB"


def length(seconds: float) -> str:
    """Write how long some speech is."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def since(seconds: float | None, now: float) -> str:
    """Write how long ago something was, or how far ahead it is."""
    if seconds is None:
        return "-"
    distance = abs(now - seconds)
    for unit, worth in _UNITS:
        if distance >= worth:
            return f"{distance / worth:.0f}{unit}"
    return "0s"


def many(number: int, what: str) -> str:
    """Write a number of things: "1 utterance", "2 utterances"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
