#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The examples of docs/cli.md run, and it names what there is."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipecat_tts_cache import Copied, Entry
from pipecat_tts_cache.cli.app import app
from pipecat_tts_cache.cli.ending import ExitCode
from pipecat_tts_cache.exports.store import Exported, Imported, Note
from pipecat_tts_cache.near_misses import NearMisses, Spelling
from pipecat_tts_cache.testing.store_contract import make_key
from tests.command_line import Said, disk
from tests.pipecat_versions import needs_data
from tests.sounds import sine, write

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
BOT = """
import os
from pipecat_tts_cache import open_backend
from tests.cached_scripted import CACHED_SCRIPTED

def make_tts():
    store = open_backend(os.environ["PIPECAT_TTS_CACHE_URL"])
    return CACHED_SCRIPTED["inline"](cache_backend=store, cache_namespace="booking-bot")
"""
CALL = """[{"role": "assistant", "content": "One moment. One moment."}]"""


@needs_data
@pytest.mark.timeout(600)  # two dozen processes
def test_the_examples_run(tmp_path: Path) -> None:
    """Every line of every sh example runs, one behind another, on a store in a folder."""
    (tmp_path / "pipecat-tts-cache").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pipecat_tts_cache.cli "$@"\n'
    )
    (tmp_path / "pipecat-tts-cache").chmod(0o700)
    shop = disk(tmp_path / "var" / "cache" / "tts")
    shop.fill(Said("One moment."), Said("Hello.", namespace="booking-bot", days=8))
    assert make_key("0").digest.startswith("5feceb66")
    (tmp_path / "my_bot.py").write_text(BOT)
    (tmp_path / "lines.txt").write_text("Hello.")
    write(tmp_path, "wav", sine(16_000), 16_000).rename(tmp_path / "moment.wav")
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "one.json").write_text(CALL)
    examples = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    script = "set -eu\n" + "".join(examples).replace("disk:///", f"disk://{tmp_path}/")
    done = subprocess.run(
        ["sh", "-c", f'PATH="{tmp_path}:$PATH"\n{script}'],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "line.wav").exists()
    assert 1 == len(list((tmp_path / "recordings").rglob("hello--*")))
    assert ["Hello.", "One moment."] == disk(tmp_path / "srv" / "tts").texts()
    assert [] == shop.texts()


def names_in(row: str) -> set[str]:
    """Read the names behind a command in the table for scripts."""
    (cells,) = re.findall(rf"^\| {row} \| (?:a document|a line)(.*)\|$", PAGE, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", cells))


def names_of(kind: type) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def test_fields_are_those_that_are_printed() -> None:
    """The table for scripts names every field."""
    assert names_of(Entry) - {"key"} | {"namespace", "digest"} == names_in("`list`")
    assert names_of(Copied) == names_in("`copy`")
    assert names_of(Exported) | set(Note._fields) == names_in("`export`")
    assert names_of(Imported) | set(Note._fields) | {"dry_run"} == names_in("`import`")
    assert names_of(NearMisses) | names_of(Spelling) | {"spellings"} == names_in("`near-misses`")


def test_commands_and_exit_codes_are_named() -> None:
    """The page names every command with its options, and every exit code."""
    commands = typer.main.get_group(app).commands
    for name, command in commands.items():
        assert f"`{name}`" in PAGE, name
        for parameter in command.params:
            for option in parameter.opts:
                is_common = option in ("--help", "--overwrite", "--concurrency")
                assert is_common or not option.startswith("--") or option in PAGE, option
    assert [] == [code for code in ExitCode if f"| {code.value} | " not in PAGE]
