#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is said, and done, when all tests are over."""

from collections.abc import Iterator

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.pytest_plugin.tally import Tally

_MOST = 20
"""Lines of each kind that are shown."""


def close(tally: Tally, library: Library, *, clear: bool) -> list[str]:
    """Remove what no test has used, if that was asked for and is certain; and tell of the run.

    Args:
        tally: What the tests have used.
        library: What is recorded by now.
        clear: Whether to remove what no test has used.

    Returns:
        What to say, line by line; nothing if there is nothing to say.
    """
    told: list[str] = []
    if tally.recorded:
        told.append(f"{_count(tally.recorded, 'line')} recorded in {library.root}")
    if tally.unrecorded:
        told.append("spoken, but not recorded:")
        told += _some([f"{test}: {text!r} ({why})" for test, text, why in tally.unrecorded])
    if library.damaged:
        told.append(f"not taken for recordings, in {library.root}:")
        told += _some([f"{name}: {why}" for name, why in sorted(library.damaged.items())])
    return told + list(_tell_of_unused(tally, library, clear=clear))


def _tell_of_unused(tally: Tally, library: Library, *, clear: bool) -> Iterator[str]:
    unused = sorted(library.recordings.keys() - tally.used)
    if clear and (tally.partial or not tally.used):
        yield f"nothing is removed: {tally.partial or 'no test has asked for a recording'}"
    elif unused and tally.used and not tally.partial:
        names = [_name(key, library) for key in unused]
        if clear:
            library.remove(unused)
            yield f"{_count(len(unused), 'recording')} removed, which no test has used:"
        else:
            yield f"{_count(len(unused), 'recording')} that no test has used:"
        yield from _some(names)
        if not clear:
            yield "  --tts-cache-clear removes what no test has used"


def _name(key: CacheKey, library: Library) -> str:
    return library.recordings[key].page.stem


def _some(lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return [f"  {line}" for line in lines[:_MOST]] + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
