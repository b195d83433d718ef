#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How commands end, whatever goes wrong: one line, an exit code, no traceback and no secret."""

import errno
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import Entry, MemoryCacheBackend
from pipecat_tts_cache.cli.ending import conceal
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.command_line import MODULE, PATIENCE, Said, Shop, disk
from tests.servers import Server, lets_redis_introduce_itself, own_server

__all__ = ["lets_redis_introduce_itself", "own_server"]

PASSWORD = "hunter2"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty folder."""
    return disk(tmp_path)


def one_line(text: str) -> str:
    """Check that it is one line that says who speaks."""
    (line,) = text.splitlines()
    assert line.startswith("pipecat-tts-cache: ")
    return line


# Stores that are none


@pytest.mark.parametrize(
    ("url", "code", "expected"),
    [
        ("nonsense", 2, "a store's URL is"),
        (f"redsi://bot:{PASSWORD}@localhost", 2, "did you mean redis"),
        ("memory://?max_byte=1", 2, "did you mean 'max_bytes'"),
        ("disk://NOWHERE", 1, "there is no store in NOWHERE"),
        ("tiered:memory://,disk://NOWHERE", 1, "there is no store in NOWHERE"),
        ("file://NOWHERE", 1, "there is no folder NOWHERE"),
        (f"redis://bot:{PASSWORD}@127.0.0.1:1/0", 1, "127.0.0.1:1"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["stats"], ["clear", "--yes"], ["top", "--json"]])
def test_a_store_that_is_none_is_told_in_a_line(
    shop: Shop, tmp_path: Path, *, command: list[str], url: str, code: int, expected: str
) -> None:
    """Nothing is made where a name was mistyped, and no password is shown."""
    nowhere = tmp_path / "no" / "folder"
    done = shop(*command, url=url.replace("NOWHERE", str(nowhere)))
    assert (code, "") == (done.code, done.out)
    assert expected.replace("NOWHERE", str(nowhere)) in one_line(done.err)
    assert PASSWORD not in done.err
    assert not nowhere.parent.exists()


def test_statistics_of_a_store_that_is_down(shop: Shop) -> None:
    """As JSON they are still printed; the exit code tells."""
    done = shop("stats", "--json", url="redis://127.0.0.1:1/0")
    assert (1, False) == (done.code, done.documents[0]["available"])
    assert "does not answer" in one_line(done.err)


def test_no_store_is_misuse(shop: Shop) -> None:
    """It says where it may be named."""
    done = shop.process("stats", PIPECAT_TTS_CACHE_URL="")
    assert (2, "") == (done.code, done.out)
    assert "PIPECAT_TTS_CACHE_URL" in done.err


class Broken(MemoryCacheBackend):
    """Raises what it is given."""

    error: BaseException

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (RuntimeError(PASSWORD), 1, "pipecat-tts-cache: this failed: RuntimeError\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "pipecat-tts-cache: No space left\n"),
        (OSError(PASSWORD), 1, "pipecat-tts-cache: OSError\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_whatever_a_store_raises_ends_in_a_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, expected: str
) -> None:
    """The words of an error that nobody foresaw are not shown: they may hold a secret."""
    broken = Broken()
    broken.error = error
    monkeypatch.setattr("pipecat_tts_cache.backends.urls.open_backend", lambda _: broken)
    assert (code, "", expected) == shop("list")


def test_a_tool_waits_longer_than_a_call(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the URL says how long."""
    asked: list[str] = []

    def opened(url: str) -> MemoryCacheBackend:
        asked.append(url)
        return MemoryCacheBackend()

    monkeypatch.setattr("pipecat_tts_cache.backends.urls.open_backend", opened)
    for url in ("redis://h/0", "redis://h/0?timeout=1s&ssl=x", "memory://", "tiered:a:,b:"):
        assert 0 == shop("list", url=url).code
    assert [
        "redis://h/0?timeout=10s&write_timeout=60s",
        "redis://h/0?timeout=1s&ssl=x&write_timeout=60s",
        "memory://",
        "tiered:a:,b:",
    ] == asked


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://bot:s3cr%40t@host/0", ["s3cr%40t", "s3cr@t", "bot:s3cr%40t"]),
        ("redis://:s3cret@host", ["s3cret"]),
        ("redis://tok3n@host", ["tok3n"]),
        ("redis://bot:a/b@host", ["a/b"]),
        ("tiered:memory://,redis://a:one1@h,postgresql://b:two2@h/d", ["one1", "two2"]),
        ("s3://bucket?secret_access_key=k%2By&region=eu", ["k%2By", "k+y"]),
        ("postgresql://host/db?password=pwpw", ["pwpw"]),
    ],
)
def test_secrets_of_a_url_are_taken_out(url: str, secrets: list[str]) -> None:
    """Even if somebody else's message quotes them."""
    for secret in secrets:
        assert "it said: ***, eu" == conceal(f"it said: {secret}, eu", url)


# Text that comes from a store

HOSTILE = [
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "[red]markup[/red] [/] [link=http://x]y[/link] :smile:",
    "two\nlines\r\n\ttab\x0b\x0c\x85\u2028",
    "\ud83d alone \udc00",
    "right \u202e to left \u2066 \x9b31m \x7f",
]


@pytest.fixture
def hostile(tmp_path: Path) -> Shop:
    """A store with text and names that were made to do harm."""
    made = disk(tmp_path)
    made.fill(*(Said(text, namespace=text, voice=text, uses=1) for text in HOSTILE))
    return made


def check_harmless(shown: str) -> None:
    """Check that a terminal shows it, and does nothing else."""
    shown.encode()
    assert [] == [each for each in shown if each not in "\n\t" and not each.isprintable()]


@pytest.mark.parametrize("command", ["list", "top", "near-misses", "list --json", "inspect"])
def test_hostile_text_is_shown_and_does_nothing(hostile: Shop, command: str) -> None:
    """Control characters are written as escapes, and markup as it is."""
    if command == "inspect":
        outs = [hostile("inspect", make_key(str(i)).digest).out for i in range(len(HOSTILE))]
    else:
        outs = [hostile(*command.split()).out]
    for out in outs:
        check_harmless(out)
    if command == "list":
        assert len(HOSTILE) == len(hostile("list").rows)
        assert r"\x1b]0;title\x07\x1b[2J\x1b[31mred" in outs[0]
        assert "[red]markup[/red] [/] [link=http://x]y[/link] :smile:" in outs[0]
        assert r"\ud83d alone \udc00" in outs[0]
    if command == "list --json":
        assert set(HOSTILE) == {each["voice"] for each in hostile("list", "--json").documents}


def test_hostile_text_on_a_terminal(hostile: Shop) -> None:
    """What the terminal is told to do is nothing but bold headings."""
    done = hostile.on_terminal("list")
    assert 0 == done.code
    assert r"\x1b]0;title" in done.out
    assert "[red]" in done.out
    check_harmless(done.out.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\r\n", "\n"))


def test_hostile_names_in_errors(hostile: Shop) -> None:
    """An error that quotes a name is harmless, too."""
    for namespace in ("\x1b[31m", "b"):
        hostile.fill(Said("x", namespace=namespace))
    done = hostile("inspect", make_key("0").digest)
    assert 2 == done.code
    check_harmless(one_line(done.err))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_stdout_will_do(hostile: Shop, encoding: str) -> None:
    """What it does not have is written as an escape."""
    hostile.fill(Said("日本語 é"))
    done = hostile.process("list", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (0, "") == (done.code, done.err)
    expected = {"ascii": r"\u65e5\u672c\u8a9e \xe9", "latin-1": r"\u65e5\u672c\u8a9e é"}
    assert expected.get(encoding, "日本語 é") in done.out


# Signals and pipes


def test_a_pipe_that_is_closed_ends_it(shop: Shop) -> None:
    """`| head` gets what it wants; there is no traceback, and the code is that of SIGPIPE."""
    shop.fill(*(Said(f"Line {i} " + "x" * 3000) for i in range(100)))
    for options in ([], ["--json"], ["--sort", "age"]):
        with subprocess.Popen(
            [*MODULE, "list", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=shop.environment(),
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert b"" == process.stderr.read()
        assert 141 == process.returncode


def test_an_interrupt_ends_it() -> None:
    """A command that waits for a server ends at once, with 130 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0?timeout=1h&write_timeout=1h"
        with subprocess.Popen(
            [*MODULE, "list", "--store", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=PATIENCE)
    assert (130, b"", b"") == (process.returncode, out, err)


# Redis


@pytest.mark.usefixtures("lets_redis_introduce_itself")
def test_the_commands_work_on_a_server(own_server: Server, tmp_path: Path) -> None:
    """What is seen on disk holds on Redis, which does not count uses."""
    shop = Shop(f"{own_server.url}?timeout=20s&write_timeout=20s")
    shop.fill(Said("Sure, one moment."), Said("Sure! One moment.", namespace="bank"))
    assert 2 == shop("stats", "--json").documents[0]["entries"]
    assert "entries     2\n" in shop("stats").out
    assert 2 == len(shop("list").rows)
    assert [17] == [each["characters"] for each in shop("near-misses", "--json").documents]
    assert 0 == shop("inspect", make_key("0").digest[:12]).code
    file = tmp_path / "line.wav"
    assert 0 == shop("play", make_key("0").digest, "-o", str(file)).code
    assert file.read_bytes().endswith(make_utterance(0).audio)
    done = shop("top")
    assert (1, "") == (done.code, done.out)
    assert "does not count" in one_line(done.err)
    assert 0 == shop("copy", shop.url, f"disk://{tmp_path}/copy").code
    assert 2 == len(disk(tmp_path / "copy").texts())
    assert 0 == shop("delete-text", "Sure, one moment.", "--yes").code
    assert {"entries": 1, "dry_run": False} == shop("clear", "--yes", "--json").documents[0]


def test_stdout_is_as_it_was(shop: Shop) -> None:
    """A command in this process leaves logging and streams to others."""
    from loguru import logger

    heard: list[Any] = []
    handler = logger.add(heard.append, format="{message}")
    try:
        shop("list", url="memory://")
        logger.patch(lambda record: record.update(name="pipecat_tts_cache")).warning("heard")
    finally:
        logger.remove(handler)
    assert ["heard\n"] == heard
    assert sys.stdout is not None
