#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a whole run has used: recordings that no test needs any more, and several processes."""

from pathlib import Path

import pytest

from tests.recorded import INI, asked, run, write

pytest_plugins = ["pytester"]

HELLO, WAIT, BYE = "Hello there.", "One moment, please.", "Good bye."


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with recordings of three lines, of which the tests say two by now."""
    write(pytester, hello=[HELLO], wait=[WAIT, BYE])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=2)
    write(pytester, hello=[HELLO], wait=[WAIT])
    return pytester.path / "tts-recordings"


def lines(folder: Path) -> list[str]:
    return sorted(path.name.partition("--")[0] for path in folder.glob("*.flac"))


ALL = ["good-bye", "hello-there", "one-moment-please"]
USED = ["hello-there", "one-moment-please"]


@pytest.mark.parametrize(
    ("mode", "workers"),
    [("replay", []), ("use", []), ("record", []), ("replay", ["-n2"])],
    ids=["replay", "use", "record", "two workers"],
)
def test_what_no_test_uses_is_told_of_and_removed(
    pytester: pytest.Pytester, folder: Path, mode: str, workers: list[str]
) -> None:
    """A whole run lists it; with `--tts-cache-clear` it removes it, both its files and no other."""
    outcome = run(pytester, f"--tts-cache={mode}", *workers)
    outcome.assert_outcomes(passed=2)
    outcome.stdout.fnmatch_lines(["*1 recording that no test has used:", "*good-bye--*"])
    outcome.stdout.fnmatch_lines(["*--tts-cache-clear removes what no test has used"])
    assert ALL == lines(folder)
    for name in ("index.json", "notes.txt", "hello-there.flac", "list.json"):
        (folder / name).write_text("[]")
    outcome = run(pytester, f"--tts-cache={mode}", "--tts-cache-clear", *workers)
    outcome.stdout.fnmatch_lines(["*1 recording removed, which no test has used:", "*good-bye--*"])
    assert sorted([*USED, "hello-there.flac"]) == lines(folder)
    assert 2 * 2 + 4 == len(list(folder.iterdir()))
    run(pytester, "--tts-cache=replay").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-k", "hello"],
        ["-m", "not slow"],
        ["test_bot.py"],
        ["test_bot.py::test_hello"],
        ["--deselect", "test_bot.py::test_wait"],
        ["--ignore", "other"],
        ["--collect-only"],
    ],
    ids=" ".join,
)
def test_a_part_of_the_tests_shows_nothing(
    pytester: pytest.Pytester, folder: Path, arguments: list[str]
) -> None:
    """What the other tests may use is neither listed nor removed, and it is said why."""
    outcome = run(pytester, *arguments)
    outcome.stdout.no_fnmatch_line("*no test has used*")
    outcome = run(pytester, "--tts-cache-clear", *arguments)
    outcome.stdout.fnmatch_lines(["*nothing is removed: *"])
    assert ALL == lines(folder)


@pytest.mark.parametrize(
    "body",
    [
        "async def test_more(tts_cache):\n    raise ValueError",
        "import pytest\n@pytest.mark.skip\nasync def test_more(tts_cache):\n    pass",
        "import pytest\nasync def test_more(tts_cache):\n    pytest.skip('not today')",
        "import pytest\n@pytest.mark.xfail\nasync def test_more(tts_cache):\n    raise ValueError",
        "import pytest\npytest.skip('not here', allow_module_level=True)",
        "import no_such_module",
    ],
    ids=["fails", "is skipped", "skips", "is known to fail", "module", "cannot be collected"],
)
def test_a_test_that_did_not_run_through_may_need_more(
    pytester: pytest.Pytester, folder: Path, body: str
) -> None:
    """Nothing is removed while a test has failed or was left out."""
    pytester.makepyfile(test_more=body)
    outcome = run(pytester, "--tts-cache-clear")
    outcome.stdout.fnmatch_lines(["*nothing is removed: *"])
    assert ALL == lines(folder)


def test_a_plugin_may_leave_out_tests(pytester: pytest.Pytester, folder: Path) -> None:
    """As one does that shares out the tests among several machines."""
    pytester.makeconftest(
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=[items.pop()])"
    )
    outcome = run(pytester, "--tts-cache-clear")
    outcome.stdout.fnmatch_lines(["*nothing is removed: some tests were deselected"])
    assert ALL == lines(folder)


def test_other_tests_may_be_skipped(pytester: pytest.Pytester, folder: Path) -> None:
    """A test that speaks nothing does not matter."""
    pytester.makepyfile(test_more="import pytest\n@pytest.mark.skip\ndef test_more():\n    pass")
    run(pytester, "--tts-cache-clear")
    assert USED == lines(folder)


def test_where_no_test_speaks_nothing_is_removed(pytester: pytest.Pytester, folder: Path) -> None:
    """Nobody loses all recordings at once."""
    pytester.makepyfile(test_bot="def test_it():\n    pass")
    outcome = run(pytester, "--tts-cache-clear")
    outcome.stdout.fnmatch_lines(["*nothing is removed: no test has asked for a recording"])
    assert ALL == lines(folder)


def test_where_nothing_is_replayed_nothing_can_be_cleared(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """With `off` no recording is used, so to clear makes no sense."""
    outcome = run(pytester, "--tts-cache=off", "--tts-cache-clear")
    assert pytest.ExitCode.USAGE_ERROR == outcome.ret
    assert ALL == lines(folder)


def test_below_the_root_only_a_part_is_run(
    pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pytest is run in a folder below, the tests of others are not run."""
    below = pytester.mkdir("below")
    (pytester.path / "test_bot.py").rename(below / "test_bot.py")
    monkeypatch.chdir(below)
    run(pytester, "--tts-cache-clear").assert_outcomes(passed=2)
    assert ALL == lines(folder)


def test_workers_record_together(pytester: pytest.Pytester) -> None:
    """Several processes write into one folder, the same line, too."""
    write(pytester, **{f"number_{i}": [HELLO, f"This is number {i}."] for i in range(4)})
    outcome = run(pytester, "--tts-cache=record", "-n2", "--dist=load")
    outcome.assert_outcomes(passed=4)
    outcome.stdout.fnmatch_lines(["* lines recorded in *"])
    assert 5 == len(list((pytester.path / "tts-recordings").glob("*.flac")))
    assert 10 == len(list((pytester.path / "tts-recordings").iterdir()))
    asked.clear()
    run(pytester, "-n2").assert_outcomes(passed=4)


def test_what_cannot_be_used_is_told_of(pytester: pytest.Pytester, folder: Path) -> None:
    """A recording with a conflict in it, or without its sound, is named; other files are not."""
    first, second, _ = sorted(folder.glob("*.json"))
    first.write_text(f"<<<<<<< ours\n{first.read_text('utf-8')}", encoding="utf-8")
    second.with_suffix(".flac").unlink()
    (folder / "package.json").write_text("{}")
    outcome = run(pytester)
    outcome.stdout.fnmatch_lines(
        [
            "*not taken for recordings, in *",
            f"*{first.name}: it makes no sense (*",
            f"*{second.name}: there is no sound file to it",
        ]
    )
    outcome.stdout.no_fnmatch_line("*package.json*")


def test_the_configuration_may_name_folders(pytester: pytest.Pytester, folder: Path) -> None:
    """With `testpaths`, all that it names is a whole run."""
    pytester.makeini(f"{INI}testpaths = .")
    run(pytester, "--tts-cache-clear").assert_outcomes(passed=2)
    assert USED == lines(folder)
