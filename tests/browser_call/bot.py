#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The bot, started as a user starts it."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser_call import EXAMPLES

_STATISTICS = re.compile(r"Cache statistics: (\{.*\})$", re.MULTILINE)
_OF_THE_USER = ("_API_KEY", "REDIS_URL", "PIPECAT_")
_TIME_TO_END = 10.0


class CallError(Exception):
    """The call could not be held."""


class Patience:
    """How long there is for all of it together."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; never none, for 0 would mean to wait for ever."""
        return max(0.001, self._ends - time.monotonic())

    def until(self, what: str) -> Iterator[None]:
        """Come again and again, until time is up."""
        while self._ends > time.monotonic():
            yield
            time.sleep(0.05)
        raise CallError(f"Time is up, and there is no {what}.")


@dataclass(frozen=True)
class Bot:
    """A running bot.

    Parameters:
        url: Where its page is.
        log: The file of what it prints.
    """

    url: str
    log: Path

    def printed(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def statistics(self, patience: Patience) -> dict[str, Any]:
        """What its cache counted in the call that has been hung up."""
        for _ in patience.until("word of the bot on what its cache was worth"):
            if found := _STATISTICS.search(self.printed()):
                return dict(ast.literal_eval(found[1]))
        raise AssertionError


@contextmanager
def running_bot(folder: Path, patience: Patience) -> Iterator[Bot]:
    """Run the bot without keys, on a port of its own, and end it whatever happens."""
    port = _free_port()
    bot = Bot(f"http://localhost:{port}", folder / "bot.log")
    plain = {k: v for k, v in os.environ.items() if not any(part in k for part in _OF_THE_USER)}
    with bot.log.open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                EXAMPLES / "voice_bot.py",
                "--transport",
                "webrtc",
                "--port",
                str(port),
            ],
            env=plain | {"WITHOUT_KEYS": "1", "PYTHON_DOTENV_DISABLED": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in patience.until("server of the bot"):
            if process.poll() is not None:
                raise CallError(f"The bot ended by itself, with exit code {process.returncode}.")
            with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
                break
        yield bot
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(_TIME_TO_END)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
