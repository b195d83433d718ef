#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""On a Pipecat in which something the mixin needs has changed, the bot speaks without a cache."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.pipecat_compat import TESTED

CHANGES = {
    "a method gone": (r"\b_refresh_audio_context\b", "_keep_audio_context_open"),
    "a method renamed": (r"\btts_process_generator\b", "process_speech"),
    "one more argument": (
        r"create_audio_context\(self, context_id: str\)",
        "create_audio_context(self, context_id: str, urgency: int = 0)",
        r"self\.create_audio_context\(context_id\)",
        "self.create_audio_context(context_id, urgency=1)",
    ),
    "an attribute renamed": (r"\b_turn_context_id\b", "_current_turn_id"),
    "a flag renamed": (r"\b_push_start_frame\b", "_opens_contexts"),
    "a property renamed": (r"\b_is_streaming_tokens\b", "_streams_tokens"),
    "words of another class": (r"\b(WordTimestamp|_WordTimestampEntry)\b", "TimedWord"),
    "words of another shape": (r"\bincludes_inter_frame_spaces\b", "keeps_spaces"),
}


def run(kind: str, *changes: str) -> dict[str, Any]:
    root = Path(__file__).parent.parent
    paths = [str(root), str(root / "src"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.changed_pipecat", kind, *changes],
        capture_output=True,
        check=False,
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        timeout=100,
        text=True,
    )
    assert 0 == done.returncode, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(result, dict)
    return result


def check_that_it_speaks(result: dict[str, Any]) -> None:
    """Check that a bot spoke, and exactly as it does without the mixin."""
    assert [] == result["differences"]
    assert "One is here. Two is there. One is here. Two is there. Hello there." in result["heard"]
    assert (True, True, True) == (result["audio"], result["frames"], result["messages"])


def check_that_nothing_is_cached(result: dict[str, Any]) -> None:
    """Check that one warning and the statistics say why."""
    (warning,) = result["warnings"]
    assert "is not as the cache needs it" in warning
    assert "Nothing is cached; the bot speaks as it does without the cache." in warning
    stats = result["stats"]
    assert not stats["enabled"]
    assert {"pipecat_changed"} == stats["bypassed"].keys()
    assert stats["bypassed"]["pipecat_changed"] > 5
    assert (0, 0, 0) == (stats["total_requests"], stats["stores"], result["stored"])


def test_the_conversation_is_cached_on_this_pipecat() -> None:
    """As a control: without a change, there are hits."""
    result = run("inline")
    assert result["stats"]["hits"] > 0
    assert [] == result["warnings"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        *((change, "inline") for change in CHANGES),
        ("one more argument", "overlapping"),
        ("an attribute renamed", "overlapping"),
        ("words of another class", "overlapping"),
    ],
)
def test_on_a_changed_pipecat_the_bot_speaks_as_without_the_mixin(change: str, kind: str) -> None:
    """Frame for frame; the warning names what has changed, and the releases that are tested."""
    result = run(kind, *CHANGES[change])
    check_that_it_speaks(result)
    check_that_nothing_is_cached(result)
    assert f"Pipecat {TESTED} is tested" in result["warnings"][0]


def test_where_the_mixin_cannot_be_imported_its_stand_in_lets_the_bot_speak() -> None:
    """A frame that is gone is no reason for a bot not to start."""
    result = run("inline", "del", "pipecat.frames.frames", "TTSUpdateSettingsFrame")
    check_that_it_speaks(result)
    check_that_nothing_is_cached(result)
    assert "TTSUpdateSettingsFrame" in result["warnings"][0]
