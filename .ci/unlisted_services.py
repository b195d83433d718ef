#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Names the TTS services of the installed Pipecat that `pipecat_tts_cache.services` does not list.

    python .ci/unlisted_services.py

Fails if there are any. They work, but are treated as services nobody knows. Sources are read and
not imported, because most services want packages that are not there.
"""

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipecat_tts_cache.services import _PROFILES


def services() -> Iterator[str]:
    """Find the TTS services of the installed Pipecat.

    Yields:
        The names of their classes.
    """
    spec = find_spec("pipecat")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder, "services").glob("*/**/*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and _is_concrete(node.name):
                    yield node.name


def _is_concrete(name: str) -> bool:
    return name.endswith("TTSService") and not name.endswith("BaseTTSService")


if __name__ == "__main__":
    found = set(services())
    unlisted = sorted(found - _PROFILES.keys())
    print(
        f"{len(found)} services in Pipecat, {len(_PROFILES)} listed, unlisted: {unlisted or 'none'}"
    )
    print(f"listed, but not in this Pipecat: {sorted(_PROFILES.keys() - found) or 'none'}")
    sys.exit(bool(unlisted) or not found)
