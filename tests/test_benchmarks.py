#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The benchmarks run and print what they promise; how fast anything is, no test says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipecat_versions import needs_data
from tests.servers import need

ROOT = Path(__file__).parent.parent


@needs_data
@pytest.mark.parametrize(
    ("benchmark", "rows"),
    [
        (
            "latency.py",
            ["memory hit / floor", "miss - floor", "raw GET", "Memory per stored second"],
        ),
        ("continuity.py", ["uncached", "cold", "mixed", "warm", "Cartesia", "ElevenLabs"]),
        (
            "stores.py",
            ["raw get", "in FLAC", "raw 1 s", "Sentences of more than", "clear of 10", "evicting"],
        ),
        ("hitrate.py", ["airline", "coffee", "long answers", "LRU", "GDSF", "Belady"]),
    ],
)
def test_a_benchmark_says_what_it_measured_and_where(benchmark: str, rows: list[str]) -> None:
    """Each prints its rows, and the machine, versions and date that they hold for."""
    need("redis-server")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / benchmark), "--quick"],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    for row in [*rows, "machine", "versions", "date"]:
        assert row in done.stdout
