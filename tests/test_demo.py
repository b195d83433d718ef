#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The demo, run as a user runs it."""

import os
import re
import subprocess
import sys
import wave
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from demo.show import Show
from tests.espeak import espeak
from tests.example import EXAMPLES, environment, run
from tests.pipecat_versions import needs_data
from tests.servers import Server, free_port, server, shared_server

__all__ = ["espeak", "server", "shared_server"]

pytestmark = needs_data

HEADING = re.compile(r"^(?:First call|Second call|What it comes to)$", re.MULTILINE)
SENTENCE = re.compile(r"^  (live|cached) +([\d.]+) ms +([\d.]+) s  (.*)$", re.MULTILINE)
CUE = re.compile(r"^([\d:.]+) --> ([\d:.]+)\n<v (Bot|Caller)>(.+)$")
WORD_TIME = re.compile(r"<(\d\d:\d\d:\d\d\.\d\d\d)>")
CUT = " ...  interrupted"


class Row(NamedTuple):
    """A sentence, as the demo shows it."""

    source: str
    milliseconds: float
    seconds: float
    text: str


class Cue(NamedTuple):
    """A caption, as the file has it."""

    start: float
    end: float
    speaker: str
    text: str
    word_times: list[float]


@dataclass(frozen=True)
class Run:
    """A run of the demo."""

    code: int
    output: str
    errors: str
    folder: Path

    def calls(self) -> list[list[Row]]:
        """The sentences of each call."""
        parts = HEADING.split(self.output)
        return [
            [Row(s, float(ms), float(length), t) for s, ms, length, t in SENTENCE.findall(part)]
            for part in parts[1:3]
        ]

    def figure(self, label: str) -> list[str]:
        """The values of a row of the end figures."""
        line = next(line for line in self.output.splitlines() if line.startswith(f"  {label}"))
        return re.split(r"  +", line.strip())[1:]

    def checks(self) -> set[str]:
        """How the checks came out."""
        return set(re.findall(r"^  (ok|FAILED)  ", self.output, re.MULTILINE))

    def audio(self) -> tuple[bytes, int]:
        """The recording, PCM s16le, and its sample rate."""
        with wave.open(str(self.folder / "call.wav"), "rb") as file:
            assert (1, 2) == (file.getnchannels(), file.getsampwidth())
            return file.readframes(file.getnframes()), file.getframerate()

    def captions(self) -> list[Cue]:
        """The captions, each as the format wants it."""
        head, *cues = (self.folder / "call.vtt").read_text(encoding="utf-8").strip().split("\n\n")
        assert "WEBVTT" == head
        return [_cue(text) for text in cues]


def run_demo(folder: Path, *arguments: str, latency: int = 0) -> Run:
    """Run the demo as fast as it goes, its output piped."""
    pace = ("--fast", "--provider-latency", str(latency))
    done = run(str(EXAMPLES / "demo_bot.py"), *pace, *arguments, cwd=folder)
    return Run(done.returncode, done.stdout, done.stderr, folder / "demo-output")


@pytest.fixture(scope="module")
def demo(espeak: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the demo, for all tests that look at it."""
    return run_demo(tmp_path_factory.mktemp("demo"), latency=100)


def test_demo_runs(demo: Run) -> None:
    """The demo ends well, says nothing on standard error, and finds all its checks true."""
    assert "" == demo.errors
    assert 0 == demo.code, demo.output
    assert {"ok"} == demo.checks()


def test_piped_demo_is_plain_text(demo: Run) -> None:
    """Piped, the demo writes neither escape codes nor drawings."""
    assert demo.output.isascii()
    assert demo.output.isprintable() is False  # it has lines
    assert demo.output.replace("\n", "").isprintable()


def test_demo_synthesises_only_what_is_new(demo: Run) -> None:
    """What was heard before comes from the cache, in both calls; everything else is live."""
    heard: list[str] = []
    for row in (row for call in demo.calls() for row in call):
        text = row.text.removesuffix(CUT)  # one that is cut off is the beginning of the whole
        known = any(text.startswith(each) or each.startswith(text) for each in heard)
        assert ("cached" if known else "live") == row.source, row
        heard.append(text)


def test_demo_mixes_hits_and_misses_in_a_turn(demo: Run) -> None:
    """Both calls have hits and misses, and the second has more of the former."""
    first, second = ([row.source for row in call] for call in demo.calls())
    assert 0 < first.count("cached") < first.count("live")
    assert 0 < second.count("live") < second.count("cached")
    for label in ("hit rate, by requests", "hit rate, by characters"):
        cold, warm = (int(value.removesuffix("%")) for value in demo.figure(label))
        assert 0 < cold < warm < 100


def test_demo_shows_that_a_hit_does_not_wait(demo: Run) -> None:
    """A live sentence waits for the (simulated) provider, and a repeated one does not."""
    live = [row.milliseconds for call in demo.calls() for row in call if row.source == "live"]
    cached = [row.milliseconds for call in demo.calls() for row in call if row.source == "cached"]
    assert min(live) >= 100
    assert median(cached) < min(live)
    assert "live (100 ms simulated)" in demo.output


def test_demo_is_interrupted(demo: Run) -> None:
    """The caller talks over the bot once a call, and the sentence stops there."""
    for call in demo.calls():
        assert 1 == sum(row.text.endswith(CUT) for row in call)


def test_recording_holds_what_was_heard(demo: Run) -> None:
    """The WAV holds every sentence in its length, and silence where the bot is silent."""
    audio, sample_rate = demo.audio()
    assert 22050 == sample_rate
    bot = [cue for cue in demo.captions() if cue.speaker == "Bot"]
    lengths = [row.seconds for call in demo.calls() for row in call]
    assert lengths == pytest.approx([cue.end - cue.start for cue in bot], abs=0.06)

    position = 0
    for cue in bot:
        start, end = (2 * round(at * sample_rate) for at in (cue.start, cue.end))
        slack = 2 * round(0.001 * sample_rate)
        assert not audio[position + slack : max(start - slack, 0)].strip(b"\0")
        assert audio[start:end].strip(b"\0")
        position = end
    assert len(audio) / 2 / sample_rate == pytest.approx(bot[-1].end, abs=0.001)


def test_captions_are_in_order_and_in_time(demo: Run) -> None:
    """Captions do not overlap, and their words follow one another within them."""
    captions = demo.captions()
    for before, after in pairwise(captions):
        assert before.end <= after.start + 0.001
    for cue in captions:
        assert cue.start < cue.end
        times = [cue.start, *cue.word_times, cue.end]
        assert sorted(set(times)) == times


def test_captions_say_what_was_said(demo: Run) -> None:
    """The bot's captions are its sentences, cut off where it was, with a time for each word."""
    rows = [row for call in demo.calls() for row in call]
    bot = [cue for cue in demo.captions() if cue.speaker == "Bot"]
    assert [row.text.removesuffix(CUT) for row in rows] == [cue.text for cue in bot]
    assert all(len(cue.text.split()) - len(cue.word_times) <= 1 for cue in bot)


def test_caller_is_captioned_too(demo: Run) -> None:
    """The questions can be read where the recording is silent."""
    said = re.findall(r"^  caller +(.*)$", demo.output, re.MULTILINE)
    assert said == [cue.text for cue in demo.captions() if cue.speaker == "Caller"]


def test_demo_goes_on_without_its_store(espeak: None, tmp_path: Path) -> None:
    """With a Redis that is not there the demo says so, speaks live, and ends well."""
    demo = run_demo(tmp_path, "--redis", f"redis://127.0.0.1:{free_port()}/0")
    assert (0, "") == (demo.code, demo.errors), demo.output
    assert "The store does not answer" in demo.output
    assert {"live"} == {row.source for call in demo.calls() for row in call}
    assert {"ok"} == demo.checks()


def test_demo_remembers_in_redis(espeak: None, server: Server, tmp_path: Path) -> None:
    """With Redis, and --keep, a second run has nothing left to synthesise."""
    first = run_demo(tmp_path, "--redis", server.url)
    second = run_demo(tmp_path, "--redis", server.url, "--keep")
    for demo in (first, second):
        assert (0, "") == (demo.code, demo.errors), demo.output
    if "The store failed" not in first.output + second.output:  # as it may, on a machine in need
        rows = [row for call in second.calls() for row in call]
        assert {"cached"} == {row.source for row in rows}, second.output


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [(["--disk"], "demo-output/speech"), (["--disk", "kept here"], "kept here")],
)
def test_demo_remembers_on_disk(
    espeak: None, tmp_path: Path, arguments: list[str], folder: str
) -> None:
    """With --disk a second run has nothing left to synthesise."""
    first, second = run_demo(tmp_path, *arguments), run_demo(tmp_path, *arguments)
    for demo in (first, second):
        assert (0, "") == (demo.code, demo.errors), demo.output
        assert f"disk, {folder}" in demo.output
        assert {"ok"} == demo.checks()
    assert "the cache is empty" in first.output
    assert "the cache holds what earlier runs have said" in second.output
    assert (tmp_path / folder / "speech-1.sqlite3").exists()
    if "The store failed" not in first.output + second.output:  # as it may, on a machine in need
        assert "live" in {row.source for call in first.calls() for row in call}
        rows = [row for call in second.calls() for row in call]
        assert {"cached"} == {row.source for row in rows}, second.output


def test_demo_goes_on_without_its_disk(espeak: None, tmp_path: Path) -> None:
    """With a folder that cannot be made the demo says so, speaks live, and ends well."""
    (tmp_path / "file").touch()
    demo = run_demo(tmp_path, "--disk", "file/speech")
    assert (0, "") == (demo.code, demo.errors), demo.output
    assert "The store does not answer" in demo.output
    assert {"live"} == {row.source for call in demo.calls() for row in call}


def test_demo_is_pretty_in_a_terminal(espeak: None, tmp_path: Path) -> None:
    """In a terminal there are colours and bars, and sentences fill up word by word."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    output = _in_terminal(pty, tmp_path)
    assert "\u2588" in output
    assert re.search(r"\x1b\[(\d;)?3\dm", output)
    assert "How can \x1b[2mI help you today?" in output


def test_no_color_is_respected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With NO_COLOR there are no colours, even in a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    Show().notice("in yellow")
    monkeypatch.setenv("NO_COLOR", "1")
    Show().notice("in black")
    yellow, black = capsys.readouterr().out.splitlines()
    assert "\x1b[33min yellow" in yellow
    assert "in black" == black


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--redis", "http://localhost"], "--redis: redis_url must start with redis://"),
        (["--voice", "nobody"], "espeak-ng has no voice 'nobody'"),
        (["--output", "demo_bot.py/inside"], "demo_bot.py/inside cannot be written to"),
    ],
)
def test_demo_refuses_in_a_line(
    espeak: None, tmp_path: Path, arguments: list[str], message: str
) -> None:
    """What cannot work is said at once, in one line, with exit code 2."""
    (tmp_path / "demo_bot.py").touch()
    demo = run_demo(tmp_path, *arguments)
    assert (2, "") == (demo.code, demo.output)
    assert 1 == len(demo.errors.splitlines())
    assert f"demo_bot.py: {message}" in demo.errors


@pytest.mark.parametrize(
    "arguments",
    [["--speed", "0"], ["--provider-latency", "-1"], ["--x"], ["--disk", "d", "--redis", "r"]],
)
def test_demo_refuses_wrong_options(tmp_path: Path, arguments: list[str]) -> None:
    """Options that make no sense end with usage and exit code 2."""
    done = run(str(EXAMPLES / "demo_bot.py"), *arguments, cwd=tmp_path)
    assert 2 == done.returncode
    assert "usage: demo_bot.py" in done.stderr


def test_demo_explains_itself(tmp_path: Path) -> None:
    """--help is quick and quiet: it does not even import Pipecat."""
    done = run(str(EXAMPLES / "demo_bot.py"), "--help", cwd=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    assert "--provider-latency" in done.stdout
    assert [] == list(tmp_path.iterdir())


def _cue(text: str) -> Cue:
    match = CUE.match(text)
    assert match, text
    start, end, speaker, words = match.groups()
    times = [_seconds(time) for time in WORD_TIME.findall(words)]
    return Cue(_seconds(start), _seconds(end), speaker, WORD_TIME.sub("", words), times)


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _in_terminal(pty: Any, folder: Path) -> str:
    outside, inside = pty.openpty()
    arguments = ["--fast", "--provider-latency", "0"]
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "demo_bot.py"), *arguments],
        cwd=folder,
        env=environment(TERM="xterm-256color", COLUMNS="120"),
        stdout=inside,
        stderr=subprocess.STDOUT,
    ) as process:
        os.close(inside)
        output = bytearray()
        while chunk := _read(outside):
            output.extend(chunk)
        os.close(outside)
    assert 0 == process.returncode
    return output.decode()


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""
