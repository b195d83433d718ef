#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Any string as a text that PostgreSQL can hold and people can read."""

import re

_SPECIAL = re.compile("[\\\\\0\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(\\|x00|u[0-9a-f]{4})")


def to_column(text: str) -> str:
    r"""Write what a text cannot hold there as an escape.

    Args:
        text: Any string.

    Returns:
        The same, but ``\x00`` for NUL, ``\ud800`` for a lone surrogate, and a backslash doubled.
    """
    return _SPECIAL.sub(_escape, text)


def from_column(text: str) -> str:
    """Read a string back.

    Args:
        text: What `to_column` made of it.

    Returns:
        The string.
    """
    return _ESCAPE.sub(_unescape, text)


def _escape(match: re.Match[str]) -> str:
    found = match.group()
    if found == "\\":
        return "\\\\"
    return f"\\u{ord(found):04x}" if found != "\0" else "\\x00"


def _unescape(match: re.Match[str]) -> str:
    found = match.group(1)
    return "\\" if found == "\\" else chr(int(found[1:], 16))
