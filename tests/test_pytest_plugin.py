#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The plugin: its options, its fixture, and what it says of lines that are not recorded."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorded import INI, asked, run, write

pytest_plugins = ["pytester"]

HELLO, WAIT = "Hello there.", "One moment, please."


def names(folder: Path) -> list[str]:
    return sorted(path.name.partition("--")[0] + path.suffix for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """The folder of recordings, where nobody has said where that is."""
    return pytester.path / "tts-recordings"


# What becomes of a line


def test_what_was_recorded_is_replayed_without_the_provider(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """Recorded once, with FLAC and JSON for each line; replayed, by default, by any run after."""
    write(pytester, hello=[HELLO, WAIT])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    assert [HELLO, WAIT] == asked
    stems = ["hello-there", "one-moment-please"]
    assert [f"{stem}{suffix}" for stem in stems for suffix in (".flac", ".json")] == names(folder)
    run(pytester).assert_outcomes(passed=1)
    assert [] == asked


def test_what_is_replayed_is_heard(pytester: pytest.Pytester) -> None:
    """The bot says the very words."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot=f"""
        from tests.recorded import say

        async def test_hello(tts_cache):
            assert {HELLO!r} == await say(tts_cache, {HELLO!r})
        """
    )
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    run(pytester, "--tts-cache=replay").assert_outcomes(passed=1)


def test_off_is_the_provider_alone(pytester: pytest.Pytester, folder: Path) -> None:
    """Nothing is looked up and nothing is kept."""
    write(pytester, hello=[HELLO, HELLO])
    run(pytester, "--tts-cache=off").assert_outcomes(passed=1)
    assert [HELLO, HELLO] == asked
    assert not folder.exists()


def test_use_records_what_is_missing(pytester: pytest.Pytester, folder: Path) -> None:
    """What is there is replayed, and its files stay as they are."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    before = contents(folder)
    write(pytester, hello=[HELLO, WAIT, WAIT])
    run(pytester, "--tts-cache=use").assert_outcomes(passed=1)
    assert [WAIT] == asked
    assert before.items() <= contents(folder).items()
    assert 4 == len(contents(folder))


def test_record_speaks_all_anew_once(pytester: pytest.Pytester, folder: Path) -> None:
    """A line that this run has recorded is replayed, in this test and in others."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    before = contents(folder)
    write(pytester, hello=[WAIT, HELLO, HELLO], again=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=2)
    assert [WAIT, HELLO] == asked
    after = contents(folder)
    (changed,) = [name for name in before if before[name] != after[name]]
    assert ".flac" == Path(changed).suffix  # another take, of the same words


def test_what_is_recorded_again_and_the_same_leaves_no_change(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """Nothing in the files is of its time, and they are not even touched."""
    write(pytester, hello=[HELLO, WAIT])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    assert [HELLO, WAIT] == asked
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    recorded = contents(folder)
    for path in folder.iterdir():
        path.unlink()
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    assert recorded == contents(folder)


def test_a_line_that_is_not_recorded_fails_its_test(pytester: pytest.Pytester) -> None:
    """The test fails with each line and the command that records it, and with nothing else."""
    write(pytester, hello=[HELLO, WAIT], fine=[])
    outcome = run(pytester)
    outcome.assert_outcomes(failed=1, passed=1)
    assert [] == asked
    outcome.stdout.fnmatch_lines(
        [
            "*2 lines are not among the recordings in *tts-recordings:*",
            f"*'{HELLO}'",
            "*OverlappingService, voice 'anna', model 'scripted', 24000 Hz",
            f"*'{WAIT}'",
            "*pytest --tts-cache=use test_bot.py::test_hello",
        ]
    )
    outcome.stdout.no_fnmatch_line("*Traceback*")


def test_the_command_it_names_helps(pytester: pytest.Pytester) -> None:
    """What it says to do is done, and then the test passes."""
    write(pytester, hello=[HELLO])
    lines = run(pytester).outlines  # in CI it stands in the summary, too
    command, *_ = (line.split() for line in lines if "--tts-cache=use" in line)
    assert "pytest" == command[0]
    run(pytester, *command[1:]).assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)


def test_a_test_that_fails_anyway_is_told_why(pytester: pytest.Pytester) -> None:
    """The missing line stands beside the failure that it has probably caused."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot=f"""
        from tests.recorded import say

        async def test_hello(tts_cache):
            assert {HELLO!r} == await say(tts_cache, {HELLO!r})
        """
    )
    outcome = run(pytester)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*AssertionError*", "*tts-cache call*", f"*'{HELLO}'"])


def test_what_is_said_while_a_test_is_torn_down_counts(pytester: pytest.Pytester) -> None:
    """A bot that says good bye in a fixture is heard, too."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot=f"""
        import pytest_asyncio
        from tests.recorded import bot_of

        @pytest_asyncio.fixture
        async def bot(tts_cache):
            async with bot_of(tts_cache) as bot:
                yield bot
                await bot.speak({HELLO!r})
                await bot.until_quiet()

        async def test_hello(bot):
            pass
        """
    )
    outcome = run(pytester)
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*A line is not among the recordings*", f"*'{HELLO}'"])
    run(pytester, "--tts-cache=use").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)


# What it says of lines that are nearly recorded


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("voice='ben'", "It is recorded with voice 'anna', not 'ben'."),
        ("kind='inline'", "It is recorded with service 'OverlappingService', not 'InlineService'."),
        ("cache_namespace='n'", "It is recorded with namespace '', not 'n'."),
        ("cache_key_extra={'take': 2}", "It is recorded with other settings or arguments*"),
    ],
)
def test_a_line_that_is_recorded_otherwise(
    pytester: pytest.Pytester, options: str, expected: str
) -> None:
    """It says in which voice, or what else it is, that the line is recorded."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    source = pytester.path / "test_bot.py"
    source.write_text(source.read_text("utf-8").replace("tts_cache, ", f"tts_cache, {options}, "))
    outcome = run(pytester)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines([f"*'{HELLO}'", f"*{expected}"])


def test_a_line_that_was_rewritten(pytester: pytest.Pytester) -> None:
    """It says which line is recorded that is nearly the same."""
    write(pytester, hello=[WAIT])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    write(pytester, hello=["One moment please!"])
    outcome = run(pytester)
    outcome.stdout.fnmatch_lines(["*'One moment please!'", f"*What is recorded is '{WAIT}'."])


def test_a_damaged_recording_is_named(pytester: pytest.Pytester, folder: Path) -> None:
    """It is missing, the file is named, and recording what is missing mends it."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    (sound,) = folder.glob("*.flac")
    sound.write_bytes(sound.read_bytes()[:1000])
    outcome = run(pytester)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines([f"*Its recording is damaged: {sound.stem}.json: *"])
    run(pytester, "--tts-cache=use").assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)


def test_speech_that_cannot_be_recorded(pytester: pytest.Pytester) -> None:
    """It fails a replay with the reason, and does not hang; a run that records tells of it."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot=f"""
        from tests.recorded import say

        async def test_hello(tts_cache):
            await say(tts_cache, {HELLO!r}, kind="endless")
        """
    )
    outcome = run(pytester, "--tts-cache=record")
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines([f"*test_bot.py::test_hello: '{HELLO}' (end_unknown)"])
    outcome = run(pytester)
    outcome.assert_outcomes(failed=1)
    assert [] == asked
    outcome.stdout.fnmatch_lines(["*It cannot be recorded: the service does not say when *"])
    outcome.stdout.no_fnmatch_line("*--tts-cache=use*")


def test_a_sentence_that_was_cut_off_is_told_of(pytester: pytest.Pytester) -> None:
    """What is interrupted is not recorded, as it is not complete; the run says so."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot=f"""
        from tests.recorded import asked, bot_of

        async def test_hello(tts_cache):
            async with bot_of(tts_cache, first_audio=1.0) as bot:
                await bot.speak({HELLO!r})
                await bot.until(lambda: asked)
                await bot.interrupt()
        """
    )
    outcome = run(pytester, "--tts-cache=record")
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines([f"*test_bot.py::test_hello: '{HELLO}' (interrupted)"])


# Its options


def test_the_folder_can_be_named(pytester: pytest.Pytester) -> None:
    """On the command line from where pytest is run, in the configuration from its root."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record", "--tts-cache-dir=here").assert_outcomes(passed=1)
    assert 2 == len(contents(pytester.path / "here"))
    pytester.makeini(f"{INI}tts_cache_dir = there\ntts_cache = use")
    run(pytester).assert_outcomes(passed=1)
    assert 2 == len(contents(pytester.path / "there"))


def test_the_command_line_counts_more_than_the_configuration(pytester: pytest.Pytester) -> None:
    """A mode that is given for a run holds for it."""
    write(pytester, hello=[HELLO])
    pytester.makeini(f"{INI}tts_cache = use")
    run(pytester, "--tts-cache=replay").assert_outcomes(failed=1)


def test_a_mode_that_is_none_is_refused(pytester: pytest.Pytester) -> None:
    """Before any test is run, with the modes that there are."""
    write(pytester, hello=[HELLO])
    assert pytest.ExitCode.USAGE_ERROR == run(pytester, "--tts-cache=never").ret
    pytester.makeini(f"{INI}tts_cache = never")
    outcome = run(pytester)
    assert pytest.ExitCode.USAGE_ERROR == outcome.ret
    outcome.stderr.fnmatch_lines(["*must be one of off, use, record, replay, not 'never'*"])


def test_the_options_are_in_the_help(pytester: pytest.Pytester) -> None:
    """`pytest --help` tells of them."""
    outcome = run(pytester, "--help")
    outcome.stdout.fnmatch_lines(["*--tts-cache={off,use,record,replay}*", "*--tts-cache-clear*"])


# Others' tests


def test_others_tests_are_left_alone(pytester: pytest.Pytester, folder: Path) -> None:
    """A run that does not use the fixture says and leaves nothing."""
    pytester.makepyfile("def test_it():\n    pass")
    outcome = run(pytester)
    outcome.assert_outcomes(passed=1)
    outcome.stdout.no_fnmatch_line("*= tts-cache =*")
    assert not folder.exists()


def test_it_loads_nothing_heavy() -> None:
    """Neither Pipecat nor numpy, in a process of its own; nor does a run that does not use it."""
    heavy = ["pipecat", "numpy", "soundfile", "loguru", "redis"]
    code = (
        "import sys\nimport pipecat_tts_cache.pytest_plugin.plugin\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    assert (
        "[]" == subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    )


def test_it_is_found_by_its_entry_point(pytester: pytest.Pytester) -> None:
    """Nobody has to name it; and whoever does not want it can say so."""
    pytester.makeini(INI)
    pytester.makepyfile(
        "import sys\ndef test_it(tts_cache):\n"
        "    assert 'replay' == tts_cache.mode\n    assert 'pipecat' not in sys.modules"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    pytester.run(*command).assert_outcomes(passed=1)
    pytester.run(*command, "-p", "no:tts-cache").assert_outcomes(errors=1)


# Where files cannot be written


@pytest.fixture
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write into the folder, or its files, until the test is over."""
    yield
    folder.chmod(stat.S_IRWXU)


@pytest.mark.usefixtures("read_only")
def test_a_checkout_may_be_read_only(pytester: pytest.Pytester, folder: Path) -> None:
    """A replay writes nothing; to record says what is wrong."""
    write(pytester, hello=[HELLO])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    run(pytester).assert_outcomes(passed=1)
    assert before == {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    if os.geteuid() == 0:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.parent.joinpath(folder.name).write_text("no folder")
    else:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    write(pytester, hello=[WAIT])
    outcome = run(pytester, "--tts-cache=use")
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*the recordings in *tts-recordings cannot be written: *"])


def test_the_json_is_for_people(pytester: pytest.Pytester, folder: Path) -> None:
    """It tells the line, its words, its voice and its service, field by field, sorted."""
    write(pytester, hello=["Grüß Gott, Zoë."])
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    (page,) = folder.glob("grüß-gott-zoë--*.json")
    text = page.read_text("utf-8")
    fields = json.loads(text)
    assert '\n  "text": "Grüß Gott, Zoë.",\n' in text
    assert text.endswith("}\n")
    assert sorted(fields) == list(fields)
    assert ("OverlappingService", "anna", "scripted") == (
        fields["service"],
        fields["voice"],
        fields["model"],
    )
    assert ["Grüß", "Gott,", "Zoë."] == [word for word, _ in fields["words"]]
