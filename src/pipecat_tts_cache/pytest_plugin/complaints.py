#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a test is told of lines that were not replayed, or not recorded."""

import shlex
from collections.abc import Iterator
from difflib import get_close_matches

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.key import prepare_text
from pipecat_tts_cache.pytest_plugin.library import Library, Recording
from pipecat_tts_cache.pytest_plugin.tape import Said, Tape

_Difference = tuple[str, object, object]
"""A name, what is recorded, and what was asked for."""
_ALIKE = 0.8
_MOST = 50
"""Lines that one complaint tells of."""
_HOW = """\
To record what is missing, with the provider's key at hand:

  pytest --tts-cache=use {}
"""
_CANNOT = {
    "end_unknown": "the service does not say when a sentence is complete",
    "no_key": "something that shapes the audio has no canonical form; the log names it",
    "tokens": "the service is sent tokens, not sentences",
    "pipecat_changed": "Pipecat is not as the cache needs it; the log says what it misses",
}


def missing_lines(tape: Tape, library: Library, *, nodeid: str, told: set[object]) -> str:
    """Say which lines a test has asked for that are not recorded, and how to record them.

    Args:
        tape: What the test has asked for.
        library: What is recorded.
        nodeid: The test.
        told: What it was told of before; what is told now is added.

    Returns:
        What to say; nothing if all is well.
    """
    missing = [(key, said) for key, said in tape.missing.items() if key not in told]
    alone = [said for said in left_alone(tape) if said not in told]
    told |= {key for key, _ in missing} | set(alone)
    lines = [_describe(key, said, library) for key, said in missing]
    lines += map(_describe_left_alone, alone)
    if not lines:
        return ""
    number = f"{len(lines)} lines are" if len(lines) > 1 else "A line is"
    more = [f"  and {len(lines) - _MOST} more\n"] if len(lines) > _MOST else []
    how = [_HOW.format(shlex.quote(nodeid))] if missing else []
    head = f"{number} not among the recordings in {library.root}:\n"
    return "\n".join([head, *lines[:_MOST], *more, *how])


def unrecorded(tape: Tape) -> Iterator[tuple[str, str]]:
    """Tell which lines were spoken and not recorded, in a test that may record.

    Args:
        tape: What the test has asked for.

    Yields:
        The text of each, and why, as far as that is known.
    """
    seen = set[tuple[str, CacheKey | None]]()
    for said in [*(each for each in tape.said if _is_lost(each, tape)), *left_alone(tape)]:
        if (said.text, said.key) not in seen:
            seen.add((said.text, said.key))
            yield prepare_text(said.text), _reasons(said, tape)


def left_alone(tape: Tape) -> list[Said]:
    """Find lines that were not even looked up.

    Args:
        tape: What a test has asked for.

    Returns:
        The lines. One that was heard from another service, which said it at that moment, is none.
    """
    known = {prepare_text(said.text) for said in tape.said if said.key is not None}
    return [said for said in tape.said if said.key is None and prepare_text(said.text) not in known]


def _is_lost(said: Said, tape: Tape) -> bool:
    return said.key in tape.unwritten or (said.key in tape.missed and said.key not in tape.new)


def _reasons(said: Said, tape: Tape) -> str:
    if said.key is not None and said.key in tape.unwritten:
        return tape.unwritten[said.key]
    return ", ".join(sorted(said.not_stored() if said.key else said.bypassed()))


def _describe(key: CacheKey, said: Said | None, library: Library) -> str:
    if said is None:
        return f"  a line of a service that is not of tts_cache, with the digest {key.digest}\n"
    about = [_who(said)]
    if said.damaged:
        about.append(f"Its recording is damaged: {said.damaged}.")
    elif hint := _nearest(said, library):
        about.append(hint)
    return "\n".join([f"  {_quoted(said)}", *(f"    {line}" for line in about), ""])


def _describe_left_alone(said: Said) -> str:
    reasons = [_CANNOT.get(each, each) for each in sorted(said.bypassed())]
    why = "; ".join(reasons) or "it was not looked up"
    return f"  {_quoted(said)}\n    {_who(said)}\n    It cannot be recorded: {why}.\n"


def _quoted(said: Said) -> str:
    return repr(prepare_text(said.text))


def _who(said: Said) -> str:
    named = [f"{name} {value!r}" for name, value in _told(said) if value]
    return ", ".join([said.service, *named, f"{said.sample_rate} Hz"])


def _told(said: Said) -> list[tuple[str, str | None]]:
    return [("voice", said.voice), ("model", said.model), ("namespace", said.namespace)]


def _nearest(said: Said, library: Library) -> str:
    """Say what is recorded that is nearly what was asked for."""
    by_text: dict[str, list[Recording]] = {}
    for recording in library.recordings.values():
        if recording.head.text is not None:
            by_text.setdefault(prepare_text(recording.head.text), []).append(recording)
    if same := by_text.get(prepare_text(said.text)):
        compared: list[list[_Difference]] = [_compare(said, each) for each in same]
        return _differences(min(compared, key=len))
    alike = get_close_matches(prepare_text(said.text), by_text, 1, _ALIKE)
    return f"What is recorded is {alike[0]!r}." if alike else ""


def _compare(said: Said, recording: Recording) -> list[_Difference]:
    """List in which respects a recording is another than was asked for."""
    head = recording.head
    pairs = [
        ("service", head.service, said.service),
        ("voice", head.voice, said.voice),
        ("model", head.model, said.model),
        ("sample rate", head.sample_rate, said.sample_rate),
        ("namespace", recording.key.namespace, said.namespace),
    ]
    return [(name, there, asked) for name, there, asked in pairs if there != asked]


def _differences(differences: list[_Difference]) -> str:
    if not differences:
        return "It is recorded with other settings or arguments of the service."
    told = [f"with {name} {there!r}, not {asked!r}" for name, there, asked in differences]
    return f"It is recorded {', '.join(told)}."
