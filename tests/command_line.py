#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The command line as tests use it: in this process, in one of its own, and on a terminal."""

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from pipecat_tts_cache import CacheBackend, Entry, Utterance, open_backend
from pipecat_tts_cache.cli.app import app
from pipecat_tts_cache.cli.options import STORE_VARIABLE
from pipecat_tts_cache.key import digest_text
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

DAY = 86_400.0
MODULE = [sys.executable, "-m", "pipecat_tts_cache.cli"]
HEARS_CONTROL_C = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from pipecat_tts_cache.cli import run
run()
"""
PATIENCE = 60.0
SLOW = "?timeout=20s&write_timeout=20s"


class Said(NamedTuple):
    """Something to put into a store."""

    text: str | None
    namespace: str = ""
    voice: str | None = "anna"
    days: float = 1.0
    uses: int = 0
    ttl: float | None = None


class Done(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        """What it printed, as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def rows(self) -> list[list[str]]:
        """What it printed, as columns between tabs, without the heading."""
        return [line.split("\t") for line in self.out.splitlines()[1:]]


def utterance_of(said: Said, seed: int = 0) -> Utterance:
    """Make the utterance that is put into a store."""
    usual: dict[str, Any] = {
        "text": said.text,
        "text_digest": digest_text(said.text or "unknown"),
        "voice": said.voice,
        "model": "sonic",
        "service": "CartesiaTTSService",
        "created_at": time.time() - said.days * DAY,
    }
    return replace(make_utterance(seed), **usual)


class Shop:
    """A store, and the commands that are given on it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fill(self, *what: Said) -> None:
        """Put something into the store; the digest is that of its number."""
        asyncio.run(self._fill(what))

    async def _fill(self, what: Sequence[Said]) -> None:
        async with self.open() as store:
            for number, said in enumerate(what):
                key = make_key(str(number), said.namespace)
                assert await store.set(key, utterance_of(said, number), ttl=said.ttl)
                for _ in range(said.uses):
                    assert await store.get(key)

    def open(self) -> CacheBackend:
        """Open the store, for the test itself."""
        return open_backend(self.url + ("" if "?" in self.url else SLOW))

    def entries(self) -> list[Entry]:
        """List what is in the store, by text."""

        async def read() -> list[Entry]:
            async with self.open() as store:
                return [entry async for entry in store.entries()]

        return sorted(asyncio.run(read()), key=lambda entry: str(entry.text))

    def texts(self) -> list[str | None]:
        """List the texts that are in the store."""
        return [entry.text for entry in self.entries()]

    def __call__(self, *arguments: str, stdin: str | None = None, url: str | None = None) -> Done:
        """Give a command in this process."""
        result = CliRunner().invoke(
            app, arguments, input=stdin, env={STORE_VARIABLE: url or self.url}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def environment(self, **others: str) -> dict[str, str]:
        """Make the environment of a process of its own."""
        return os.environ | {STORE_VARIABLE: self.url} | others

    def process(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Done:
        """Give a command in a process of its own."""
        done = subprocess.run(
            [*MODULE, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment(**environment),
            check=False,
            timeout=PATIENCE,
        )
        encoding = environment.get("PYTHONIOENCODING", "utf-8")
        return Done(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))

    def on_terminal(self, *arguments: str, typed: str | None = None) -> Done:
        """Give a command on a terminal, and type something when it asks."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", HEARS_CONTROL_C, *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            env=self.environment(COLUMNS="100", TERM="xterm"),
            start_new_session=True,
        )
        os.close(its)
        shown = b""
        try:
            while chunk := _read(ours):
                shown += chunk
                if typed is not None and b"[y/N] " in shown:
                    os.write(ours, typed.encode())
                    typed = None
            return Done(process.wait(PATIENCE), shown.decode(), "")
        finally:
            os.close(ours)
            process.kill()
            process.wait()


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], PATIENCE)
    assert ready, "nothing more is shown, and it does not end"
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux says so where others say that there is no more
        return b""


def disk(folder: Path) -> Shop:
    """Make a shop in a folder."""
    return Shop(f"disk://{folder}")
