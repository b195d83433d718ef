#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How the command line is reached: as a command, as Pipecat's, and without what it needs."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from tests.command_line import MODULE

COMMANDS = [
    "stats",
    "list",
    "inspect",
    "play",
    "top",
    "near-misses",
    "copy",
    "export",
    "import",
    "warm",
    "phrases",
    "pin",
    "pins",
    "unpin",
    "purge",
    "delete-text",
    "clear",
]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def entry_point(group: str, name: str) -> metadata.EntryPoint:
    """Find an entry point of the installed package."""
    (found,) = metadata.entry_points(group=group, name=name)
    return found


def test_it_is_a_command() -> None:
    """Installing the package brings `pipecat-tts-cache`."""
    script = Path(sys.executable).parent / "pipecat-tts-cache"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert [] == [name for name in COMMANDS if name not in done.stdout]


def test_it_is_a_module() -> None:
    """Where no script was installed, `python -m` does."""
    done = subprocess.run([*MODULE, "stats", "--help"], capture_output=True, text=True, check=True)
    assert "PIPECAT_TTS_CACHE_URL" in done.stdout


def test_no_command_shows_the_help_and_is_misuse() -> None:
    """As with other programs."""
    done = subprocess.run(MODULE, capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "near-misses" in done.stdout + done.stderr


def test_what_pipecat_loads_is_a_typer_app() -> None:
    """Anything else Pipecat would skip."""
    assert isinstance(entry_point("pipecat_cli.extensions", "tts-cache").load(), typer.Typer)


PIPECAT = """
import importlib, sys, types
import typer
# Commands of Pipecat's own need more than is installed here: stand in for what is missing.
def init_command() -> None: ...
stand_ins = {"init": {"init_command": init_command}, "eval": {"eval_app": typer.Typer()}}
for name, value in stand_ins.items():
    try:
        importlib.import_module(f"pipecat.cli.commands.{name}")
    except ImportError:
        module = types.ModuleType(name)
        vars(module).update(value)
        sys.modules[f"pipecat.cli.commands.{name}"] = module
from pipecat.cli.main import run
run()
"""


def test_it_is_a_command_of_pipecat() -> None:
    """Pipecat's command line finds and shows it: `pipecat tts-cache`."""
    main = pytest.importorskip("pipecat.cli.main")
    assert main
    done = run(PIPECAT, "tts-cache", "--help")
    assert 0 == done.returncode, done.stderr
    assert [] == [name for name in COMMANDS if name not in done.stdout]
    assert "tts-cache" in run(PIPECAT, "--help").stdout
    done = run(PIPECAT, "tts-cache", "stats", "--store", "nonsense")
    assert 2 == done.returncode
    assert "pipecat-tts-cache: a store's URL is" in done.stderr
    assert "Traceback" not in done.stderr


HELP = """
sys.argv[1:] = ["list", "--help"]
from pipecat_tts_cache.cli import run
try:
    run()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import pipecat_tts_cache.cli",
        "import pipecat_tts_cache.cli.app",
        HELP,
    ],
)
def test_it_is_light_to_load(statement: str) -> None:
    """Pipecat imports it for every command of its own, so that it must cost next to nothing."""
    heavy = ["pipecat", "numpy", "redis", "soundfile", "obstore", "asyncpg", "sqlite3", "loguru"]
    loaded = f"print(*[name for name in {heavy} if name in sys.modules], sep=',')"
    done = run(f"import sys\n{statement}\n{loaded}")
    assert 0 == done.returncode, done.stderr
    assert "" == done.stdout.splitlines()[-1]


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_how_to_install_it(missing: str) -> None:
    """The command is there, ends with 1, and shows no traceback."""
    done = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from pipecat_tts_cache.cli import run; run()",
        "stats",
        "--help",
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert "pip install 'pipecat-tts-cache[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_tells_its_version() -> None:
    """As every command line does."""
    done = subprocess.run([*MODULE, "--version"], capture_output=True, text=True, check=True)
    assert metadata.version("pipecat-tts-cache") == done.stdout.strip()
