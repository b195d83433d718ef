#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The plugin: its options, the fixture `tts_cache`, and what is said of a run.

It is loaded into every run of pytest where this library is installed, so it imports nothing heavy;
a run in which no test asks for the fixture takes no notice of it.
"""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from pipecat_tts_cache.pytest_plugin.closing import close
from pipecat_tts_cache.pytest_plugin.complaints import missing_lines, unrecorded
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.pytest_plugin.recorder import SpeechRecorder
from pipecat_tts_cache.pytest_plugin.tally import Tally, selection_of
from pipecat_tts_cache.pytest_plugin.tape import Mode, Run

_FOLDER = "tts-recordings"
_MODES = [mode.value for mode in Mode]
_FIXTURE = "tts_cache"
_MODES_TOLD = (
    "off: spoken by the provider. use: replayed, and recorded where it is not. record: recorded "
    "anew. replay: replayed only; a line that is not recorded fails its test."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("pipecat-tts-cache", "speech of Pipecat bots, recorded")
    group.addoption(
        "--tts-cache",
        choices=_MODES,
        help=f"What becomes of lines that bots say. {_MODES_TOLD} The default is replay.",
    )
    group.addoption(
        "--tts-cache-dir",
        metavar="DIR",
        help=f"The folder of the recordings; by default {_FOLDER} in the root of the tests.",
    )
    group.addoption(
        "--tts-cache-clear",
        action="store_true",
        help="Remove the recordings that no test has used, if all tests were run and passed.",
    )
    parser.addini("tts_cache", f"What becomes of lines that bots say. {_MODES_TOLD}")
    parser.addini("tts_cache_dir", "The folder of the recordings, from the root of the tests.")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options.

    Raises:
        UsageError: If they make no sense.
    """
    mode = config.getoption("tts_cache") or config.getini("tts_cache") or Mode.REPLAY.value
    if mode not in _MODES:
        raise pytest.UsageError(f"tts_cache must be one of {', '.join(_MODES)}, not {mode!r}")
    if config.getoption("tts_cache_clear") and mode == Mode.OFF.value:
        raise pytest.UsageError("--tts-cache-clear: with --tts-cache=off no recording is used")
    config.pluginmanager.register(_Recordings(config, Mode(mode), _folder(config)), "tts-cache-run")


def _folder(config: pytest.Config) -> Path:
    if given := config.getoption("tts_cache_dir"):
        return Path(config.invocation_params.dir, given)
    return config.rootpath / (config.getini("tts_cache_dir") or _FOLDER)


@pytest.fixture
def tts_cache(request: pytest.FixtureRequest) -> Iterator[SpeechRecorder]:
    """Services that speak from recordings: `tts_cache(CartesiaTTSService, api_key=...)`."""
    recordings = cast("_Recordings", request.config.pluginmanager.get_plugin("tts-cache-run"))
    yield from recordings.during(request.node)


_TEST = pytest.StashKey["_Test"]()


class _Test:
    """A test that uses the fixture."""

    def __init__(self, node: Any, run: Run) -> None:
        self.recorder = SpeechRecorder(run)
        self._nodeid: str = node.nodeid
        self._library = run.library
        self._told: set[object] = set()

    def complaint(self) -> str:
        """Say what is missing that it was not yet told of."""
        tape = self.recorder.tape
        if self.recorder.mode != Mode.REPLAY.value:
            return ""
        return missing_lines(tape, self._library, nodeid=self._nodeid, told=self._told)


class _Recordings:
    """The recordings in one run of pytest."""

    def __init__(self, config: pytest.Config, mode: Mode, folder: Path) -> None:
        self._config, self._mode, self._folder = config, mode, folder
        self._tally = Tally()
        self._run: Run | None = None
        self._said: list[str] = []

    # A test

    def during(self, node: pytest.Item) -> Iterator[SpeechRecorder]:
        """Give a test its recordings, and write what it has recorded."""
        run = self._begin()
        test = node.stash[_TEST] = _Test(node, run)
        yield test.recorder
        tape = test.recorder.tape
        before = len(run.recorded)
        try:
            tape.write()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            pytest.fail(
                f"the recordings in {run.library.root} cannot be written: {reason}", pytrace=False
            )
        finally:
            self._tally.recorded += len(run.recorded) - before
            self._tally.used |= run.used
        if self._mode in (Mode.USE, Mode.RECORD):
            self._tally.unrecorded += [(node.nodeid, *line) for line in unrecorded(tape)]
        if complaint := test.complaint():  # what was said while the test was being torn down
            pytest.fail(complaint, pytrace=False)

    def _begin(self) -> Run:
        if self._run is None:
            try:
                library = Library(self._folder)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                pytest.fail(
                    f"the recordings in {self._folder} cannot be read: {reason}", pytrace=False
                )
            self._run = Run(self._mode, library)
        return self._run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test that asked for what is not recorded; tell it, if it failed anyway."""
        try:
            result = yield
        except BaseException:
            if complaint := self._complaint(item):
                item.add_report_section("call", "tts-cache", complaint)
            raise
        if complaint := self._complaint(item):
            pytest.fail(complaint, pytrace=False)
        return result

    def _complaint(self, item: pytest.Item) -> str:
        test = item.stash.get(_TEST, None)
        return test.complaint() if test is not None else ""

    # Whether all were run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note a test that might have used more."""
        report = yield
        if not report.passed and _FIXTURE in getattr(item, "fixturenames", ()):
            self._tally.stop_short(f"{item.nodeid} {report.outcome}")
        return report

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note that tests are left out."""
        if items:
            self._tally.stop_short("some tests were deselected")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that tests are not even known."""
        if not report.passed:
            self._tally.stop_short(f"{report.nodeid} was not collected")

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Hand over what was used, or find out whether it was all."""
        output: dict[str, Any] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["tts_cache"] = self._tally.to_json()
            return
        if exitstatus != pytest.ExitCode.OK:
            self._tally.stop_short("not all tests have passed")
        if option := selection_of(vars(self._config.option)):
            self._tally.stop_short(f"{option} was given")
        named = self._config.args_source is pytest.Config.ArgsSource.ARGS
        if named or self._config.invocation_params.dir != self._config.rootpath:
            self._tally.stop_short("some tests were named")
        clear = bool(self._config.getoption("tts_cache_clear"))
        if clear or self._tally.used or self._tally.unrecorded:
            self._close(clear=clear)

    def _close(self, *, clear: bool) -> None:
        try:
            self._said = close(self._tally, Library(self._folder), clear=clear)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._said = [f"the recordings in {self._folder} cannot be tidied up: {reason}"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell of the run, if there is something to tell."""
        if self._said:
            terminalreporter.section("tts-cache")
            for line in self._said:
                terminalreporter.line(line)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker of pytest-xdist has used."""
        written = getattr(node, "workeroutput", {}).get("tts_cache")
        if written is None or error:
            self._tally.stop_short("a worker has crashed")
        else:
            self._tally.add(Tally.from_json(written))
