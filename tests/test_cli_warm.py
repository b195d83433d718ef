#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Speech is prepared with the command line: `warm`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import MODULE, Done, disk
from tests.espeak import espeak

__all__ = ["espeak"]

ROOT = Path(__file__).parent.parent
BOT = """
from pipecat_tts_cache import DiskCacheBackend, MemoryCacheBackend
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat.services.settings import TTSSettings
from tests.cached_scripted import CACHED_SCRIPTED
from tests.scripted import SCRIPTED

provider = Provider(first_audio={first_audio})
provider.fail(Fault.ERROR, text="Fail.")
made = []

class Store(DiskCacheBackend):
    closed = 0

    async def close(self):
        self.closed += 1
        await super().close()

store = Store({folder!r}, timeout=20, write_timeout=20)

def make(voice="anna"):
    made.append(voice)
    settings = TTSSettings(model="scripted", voice=voice, language=None)
    return CACHED_SCRIPTED["inline"](provider, cache_backend=store, settings=settings)

def make_plain():
    return SCRIPTED["inline"](provider)

def make_without():
    return CACHED_SCRIPTED["inline"](provider)

def make_in_memory():
    return CACHED_SCRIPTED["inline"](provider, cache_backend=MemoryCacheBackend())

def make_nothing():
    raise KeyError("secret-key")
"""
ESPEAK = """
from demo.espeak_tts import EspeakTTSService
from pipecat_tts_cache import DiskCacheBackend, TTSCacheMixin

class CachedEspeak(TTSCacheMixin, EspeakTTSService):
    pass

def make():
    return CachedEspeak(cache_backend=DiskCacheBackend({folder!r}))
"""


class Bot:
    """A folder with a bot, its lines and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module: Any = None
        self.shop = disk(folder / "store")
        self.lines("lines.txt", "Hello!", "One moment.")
        self.write(BOT)

    def write(self, code: str, first_audio: float = 0.0) -> None:
        """Write the bot."""
        code = code.format(folder=str(self.folder / "store"), first_audio=first_audio)
        (self.folder / "its_bot.py").write_text(code)

    def lines(self, name: str, *lines: str) -> None:
        """Write a file."""
        (self.folder / name).write_text("\n".join(lines))

    def __call__(self, *arguments: str, make: str = "make") -> Done:
        """Give the command in this process."""
        try:
            return self.shop("warm", f"its_bot:{make}", *arguments)
        finally:
            self.module = sys.modules.pop("its_bot", None)

    @property
    def asked(self) -> list[str]:
        """What the provider was asked for in the last command."""
        requests = self.module.provider.requests if self.module else []
        return sorted(request.text for request in requests)

    def environment(self) -> dict[str, str]:
        """Make the environment of a process of its own."""
        paths = os.pathsep.join([str(ROOT), str(ROOT / "examples"), str(ROOT / "src")])
        return self.shop.environment(PYTHONPATH=paths, NO_COLOR="1")


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    """Go to the folder of a bot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield Bot(tmp_path)
    sys.modules.pop("its_bot", None)


def document(done: Done) -> Any:
    (found,) = done.documents
    return found


# What is prepared


def test_a_store_is_filled_and_the_next_time_goes_on(bot: Bot) -> None:
    """What is there is left alone."""
    done = bot("lines.txt")
    expected = "stored      2\nalready     0\nfailed      0\ncharacters  17\n"
    assert (0, expected, "") == done
    assert ["Hello!", "One moment."] == bot.shop.texts() == bot.asked
    bot.lines("lines.txt", "Hello!", "Good bye.", "Hello!")
    done = bot("lines.txt", "--json")
    counts = {"stored": 1, "already": 1, "failed": 0, "characters": 9, "dry_run": False}
    lines = [
        {"text": "Hello!", "options": {}, "outcome": "already", "reasons": []},
        {"text": "Good bye.", "options": {}, "outcome": "stored", "reasons": []},
    ]
    assert (0, counts | {"lines": lines}) == (done.code, document(done))
    assert ["Good bye."] == bot.asked


def test_options_of_lines_go_to_the_function(bot: Bot) -> None:
    """Several voices in one call, from tables and from JSON."""
    bot.lines("lines.csv", "text,voice,note,speed", "Hello!,ben,first,", "Hello!,,,")
    bot.lines("lines.jsonl", '{"text": "Good bye.", "voice": "carla"}')
    assert 0 == bot("lines.csv", "lines.jsonl", "--options", "voice, speed").code
    said = {(entry.text, entry.voice) for entry in bot.shop.entries()}
    assert {("Hello!", "ben"), ("Hello!", "anna"), ("Good bye.", "carla")} == said


def test_turns_are_cut_by_the_service(bot: Bot) -> None:
    """With `--as-turns` they are what a language model writes."""
    bot.lines("lines.txt", "Hello! How can I help?")
    assert 0 == bot("lines.txt", "--as-turns").code
    assert ["Hello!", "How can I help?"] == bot.shop.texts()


def test_past_calls_are_cut_and_ranked(bot: Bot) -> None:
    """What was said twice is prepared, sentence by sentence, as it is looked up in a call."""
    said = ["Hello! How can I help?", "Sure. How can I help?", "Hello! It is 5 o'clock.", "Sure."]
    messages = [{"role": "assistant", "content": each} for each in said]
    bot.lines("calls.json", json.dumps(messages))
    bot.lines("calls.txt", *(f"Bot: {each}" for each in said))
    assert ["How can I help?"] == texts_of(bot("calls.json", "--top", "1", "--json"))
    three = ["How can I help?", "Hello!", "Sure."]
    assert three == texts_of(bot("calls.txt", "--speaker", "bot", "--json"))
    done = bot("calls.json", "calls.json", "--min-count", "5", "--json")
    assert ([], "0 lines chosen\n") == (texts_of(done), done.err)
    assert sorted(three) == bot.shop.texts()


def texts_of(done: Done) -> list[str]:
    return [line["text"] for line in document(done)["lines"]]


def test_what_phrases_shows_can_be_prepared(bot: Bot) -> None:
    """Its JSON is a list of lines."""
    bot.lines("said.csv", "text,voice", "Hello!,ben", "Hello!,ben", "Bye.,ben", "Bye.,ben")
    shown = bot.shop("phrases", "said.csv", "--json").out
    bot.lines("lines.jsonl", shown)
    assert 0 == bot("lines.jsonl").code
    assert {("Hello!", "ben"), ("Bye.", "ben")} == {
        (entry.text, entry.voice) for entry in bot.shop.entries()
    }


@pytest.mark.parametrize(("arguments", "services"), [([], 5), (["--concurrency", "2"], 2)])
def test_so_many_lines_are_said_at_a_time(arguments: list[str], services: int, bot: Bot) -> None:
    """Each by a service of its own."""
    bot.write(BOT, first_audio=0.05)
    bot.lines("lines.txt", *(f"Line number {number}." for number in range(8)))
    assert 0 == bot("lines.txt", *arguments).code
    assert services == len(bot.module.made)


def test_the_store_is_closed(bot: Bot) -> None:
    """Once, whatever came of it, and however many services were on it."""
    for arguments in ([], ["--dry-run"]):
        bot("lines.txt", *arguments)
        assert 1 == bot.module.store.closed


def test_a_refresh_says_everything_anew(bot: Bot) -> None:
    """What is there is replaced."""
    bot("lines.txt")
    assert "stored      2" in bot("lines.txt", "--refresh").out
    assert ["Hello!", "One moment."] == bot.asked


def test_the_sample_rate_is_that_of_the_bot(bot: Bot) -> None:
    """It is part of the key."""
    assert 0 == bot("lines.txt", "--sample-rate", "8000", "--concurrency", "1").code
    assert {8000} == {entry.sample_rate for entry in bot.shop.entries()}
    assert 2 == document(bot("lines.txt", "--dry-run", "--json"))["missing"]


def test_a_dry_run_tells_what_is_missing(bot: Bot) -> None:
    """And what it would cost; nothing is said."""
    bot("lines.txt")
    bot.lines("lines.txt", "Hello!", "Good bye.")
    done = bot("lines.txt", "--dry-run")
    assert (0, []) == (done.code, bot.asked)
    assert ["WHY\tOPTIONS\tTEXT", "not there\t-\tGood bye."] == done.out.splitlines()[:2]
    assert "characters  9" in done.out
    found = document(bot("lines.txt", "--dry-run", "--json"))
    assert (1, 1, 0, True) == tuple(found[n] for n in ("already", "missing", "failed", "dry_run"))


# What goes wrong


def test_what_failed_is_told_with_the_reason(bot: Bot) -> None:
    """The rest is prepared all the same, and the exit code says so."""
    bot.lines("lines.csv", "text,voice", "Hello!,", "Fail.,ben")
    done = bot("lines.csv")
    assert 1 == done.code
    assert ["error", "voice=ben", "Fail."] == done.rows[0]
    message = "1 line could not be prepared; --verbose shows what Pipecat logs"
    assert f"pipecat-tts-cache: {message}\n" == done.err
    assert ["Hello!"] == bot.shop.texts()
    bot.lines("more.txt", "Fail.", "Hello!")
    found = document(bot("more.txt", "--json"))
    assert {"text": "Fail.", "options": {}, "outcome": "failed", "reasons": ["error"]} == (
        found["lines"][0]
    )
    assert (1, 1) == (found["failed"], found["already"])


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        ("make_plain", 1, "the factory must make a service behind TTSCacheMixin"),
        ("make_without", 1, "there is no store"),
        ("make_in_memory", 2, "its_bot:make_in_memory has its store in memory, which ends"),
        ("make_nothing", 1, "its_bot:make_nothing made no service: KeyError in its_bot.py, line"),
        ("provider", 2, "'provider' in its_bot is no function"),
    ],
)
def test_a_bot_that_cannot_be_prepared_is_told(
    make: str, code: int, message: str, bot: Bot
) -> None:
    """Without what may be secret in the words of others."""
    done = bot("lines.txt", make=make)
    assert (code, "") == (done.code, done.out)
    assert message in done.err
    assert "secret-key" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.txt"], 1, "pipecat-tts-cache: no.txt: No such file or directory\n"),
        (["lines.log"], 2, "the name of lines.log does not tell what is in it"),
        (["lines.txt", "--field", "say"], 2, "field makes no sense for the format 'text'"),
        (["lines.txt", "calls.json"], 2, "some files are lists, others past calls"),
        (["lines.txt", "--refresh", "--dry-run"], 2, "a refresh says everything anew"),
        (["bad.jsonl"], 1, "bad.jsonl, line 2: it is no JSON"),
        (["bad.csv"], 2, "its_bot:make does not take a line's options: got an unexpected"),
    ],
)
def test_lines_that_cannot_be_read_are_told(
    arguments: list[str], code: int, message: str, bot: Bot
) -> None:
    """Before anything is said."""
    bot.lines("bad.jsonl", '"Hello."', "nonsense")
    bot.lines("bad.csv", "text,id", "Hello.,1")
    done = bot(*arguments)
    assert (code, "") == (done.code, done.out)
    assert message in done.err
    assert [] == bot.asked


def test_nothing_to_say_is_no_failure(bot: Bot) -> None:
    """As an empty list is none."""
    bot.lines("lines.txt", "# only this")
    assert (0, "stored      0\nalready     0\nfailed      0\ncharacters  0\n", "") == bot(
        "lines.txt"
    )


def test_an_interrupt_says_what_is_done(bot: Bot) -> None:
    """What is stored by then stays, and the next time goes on from there."""
    bot.lines("lines.txt", *(f"Line number {number}." for number in range(50)))
    bot.write(BOT, first_audio=0.2)
    process = subprocess.Popen(
        [*MODULE, "warm", "its_bot:make", "lines.txt", "--concurrency", "1"],
        cwd=bot.folder,
        env=bot.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (bot.folder / "store").exists() or len(bot.shop.texts()) < 2:
            assert None is process.poll(), process.stderr and process.stderr.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (130, "") == (process.returncode, out)
    found = len(bot.shop.texts())
    assert 2 <= found < 50
    *_, told = err.splitlines()  # an old Pipecat says something at first
    assert told.startswith("interrupted: ")
    assert told.endswith(" stored, 0 there already; start it again to go on")
    assert found - int(told.split()[1]) in (0, 1)


# What is shown


def test_a_bar_on_a_terminal(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches sees how far it is, and nothing that Pipecat logs."""
    monkeypatch.setenv("PYTHONPATH", bot.environment()["PYTHONPATH"])
    done = bot.shop.on_terminal("warm", "its_bot:make", "lines.txt")
    assert 0 == done.code, done.out
    assert "2/2" in done.out
    assert "Generating TTS" not in done.out
    assert "DEBUG" not in done.out


@pytest.mark.usefixtures("espeak")
def test_real_speech_is_prepared(bot: Bot) -> None:
    """In a process of its own, as people do, with what Pipecat logs if that is wanted."""
    bot.write(ESPEAK)
    command = [*MODULE, "warm", "its_bot:make", "lines.txt"]
    for more, logs in (["--json"], False), (["--json", "--verbose"], True):
        done = subprocess.run(
            [*command, *more],
            cwd=bot.folder,
            env=bot.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        assert logs == ("Pipecat" in done.stderr)
        assert 0 == json.loads(done.stdout)["failed"]
    assert ["Hello!", "One moment."] == bot.shop.texts()
    assert all(entry.duration > 0.3 for entry in bot.shop.entries())
