#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The command line finds what makes a bot's services by its name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipecat_tts_cache.cli.ending import ExitCode, Stop
from pipecat_tts_cache.cli.factory import factory

MODULE = """
class Bot:
    def make():
        return "a service"

make, number = Bot.make, 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to a folder with modules in it."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path)])
    (tmp_path / "its_bot.py").write_text(MODULE)
    (tmp_path / "wants_more.py").write_text("import a_module_that_nobody_has")
    (tmp_path / "breaks.py").write_text("\nraise KeyError('secret-key')")
    yield tmp_path
    for name in sys.modules.keys() - known:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["its_bot:make", "its_bot:Bot.make"])
def test_a_function_in_the_current_folder_is_found(name: str) -> None:
    """Also if it belongs to something."""
    assert "a service" == factory(name)()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("its_bot", "'its_bot' is no MODULE:FUNCTION, as my_bot:make_tts is"),
        (":make", "':make' is no MODULE:FUNCTION, as my_bot:make_tts is"),
        ("its_bot:", "'its_bot:' is no MODULE:FUNCTION, as my_bot:make_tts is"),
        ("its_bot:made", "there is no 'made' in its_bot"),
        ("its_bot:number", "'number' in its_bot is no function"),
        ("no_bot:make", "there is no module no_bot here, nor is one installed"),
        ("no_bot.tts:make", "there is no module no_bot.tts here, nor is one installed"),
        (
            "wants_more:make",
            "wants_more cannot be imported: it needs the module a_module_that_nobody_has",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_misuse(name: str, message: str) -> None:
    """The message says what was looked for."""
    with pytest.raises(Stop) as stop:
        factory(name)
    assert (message, ExitCode.USAGE) == (stop.value.message, stop.value.code)


def test_a_module_that_breaks_is_told_without_its_words() -> None:
    """They may hold what is secret; where it happened is told."""
    with pytest.raises(Stop) as stop:
        factory("breaks:make")
    assert "breaks cannot be imported: KeyError in breaks.py, line 2" == stop.value.message
    assert ExitCode.FAILED == stop.value.code
