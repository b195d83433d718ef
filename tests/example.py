#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Runs an example as a user does."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
_OF_THE_USER = ("COLOR", "TTY_", "_API_KEY", "REDIS_URL")


def environment(**more: str) -> dict[str, str]:
    """The environment without what would change an example: keys, and wishes about colours."""
    plain = {k: v for k, v in os.environ.items() if not any(part in k for part in _OF_THE_USER)}
    return {**plain, **more}


def run(script: str, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run an example, its output piped, and wait for its end."""
    return subprocess.run(
        [sys.executable, script, *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
