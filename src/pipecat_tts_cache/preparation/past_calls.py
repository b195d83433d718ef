#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a bot said in past calls: contexts of language models, transcripts and logs."""

import re
from collections.abc import Iterator
from typing import Any

from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.numbered import NumberedLines

_SPEAKER = (
    r"(?:[\[(][^\])]*[\])]\s*|\d[-\d:.,+TZ]*\s+)*\**{}\**\s*(?:[\[(][^\])]*[\])]\s*)?:\**\s*(.*)"
)
"""A name and a colon; a time in brackets, or before the name without, and Markdown's bold."""


def messages(lines: NumberedLines) -> Iterator[Line]:
    """Read what the role "assistant" says.

    Args:
        lines: The file: one document, or one a line.

    Yields:
        The turns.

    Raises:
        ValueError: If something is no message.
    """
    read = iter(lines)
    first = next((line for line in read if line.strip()), "")
    if not first:
        return
    try:
        value = lines.parsed(first)
    except ValueError:  # one document, then
        yield from _said(lines, lines.parsed(first + lines.rest(read)))
        return
    yield from _said(lines, value)
    for line in read:
        if line.strip():
            yield from _said(lines, lines.parsed(line))


def _said(lines: NumberedLines, value: Any) -> Iterator[Line]:
    if isinstance(value, list):
        for each in value:
            yield from _said(lines, each)
    elif isinstance(value, dict) and isinstance(value.get("messages"), list):
        yield from _said(lines, value["messages"])
    elif not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise lines.wrong("it is no message with a 'role'")
    elif value["role"] == "assistant" and (text := _text(value.get("content"))).strip():
        yield Line(text)


def _text(content: Any) -> str:
    """Take the text of a message: it may be in parts, and there is none where tools are called."""
    if isinstance(content, list):
        return " ".join(filter(None, (_text(part) for part in content)))
    if isinstance(content, dict):
        content = content.get("text")
    return content if isinstance(content, str) else ""


def transcript(lines: NumberedLines, speaker: str) -> Iterator[Line]:
    """Read what one of those who speak says.

    Args:
        lines: The file.
        speaker: Who it is.

    Yields:
        The turns.
    """
    begins = re.compile(_SPEAKER.format(re.escape(speaker.strip())), re.IGNORECASE)
    turn: list[str] = []
    speaks = False
    for line in lines:
        if line[:1].isspace() and line.strip():
            turn += [line.strip()] if speaks else []
            continue
        found = begins.match(line.strip())
        if found or line.strip():
            yield from _turn(turn)
            turn, speaks = ([found[1]], True) if found else ([], False)
    yield from _turn(turn)


def _turn(pieces: list[str]) -> Iterator[Line]:
    if text := " ".join(pieces).strip():
        yield Line(text)


def log(lines: NumberedLines, pattern: re.Pattern[str]) -> Iterator[Line]:
    """Read what a pattern finds.

    Args:
        lines: The file.
        pattern: See `checked_pattern`.

    Yields:
        What was said.
    """
    for line in lines:
        if found := pattern.search(line.rstrip("\r\n")):
            options = {name: value for name, value in found.groupdict().items() if value}
            if text := options.pop("text", "").strip():
                yield Line(text, options)


def checked_pattern(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """Compile a pattern.

    Args:
        pattern: A regular expression.

    Returns:
        It.

    Raises:
        ValueError: If it is none, or has no group "text".
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern is no regular expression: {error}") from None
    if "text" not in compiled.groupindex:
        raise ValueError("the pattern has no group (?P<text>…)")
    return compiled
