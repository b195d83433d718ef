#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The folder of a disk store: which database is in use, and what became of damaged ones.

::

    speech.lock                  held while a database is made or set aside
    speech-1.sqlite3             the database, and while it is open
    speech-1.sqlite3-wal         what was not yet put into it, and
    speech-1.sqlite3-shm         the index of that
    speech-0.damaged.sqlite3     the one before, set aside

Each database has a number of its own, so that a process which still has the damaged one open when
another replaces it cannot touch the files of the new one.
"""

import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from pipecat_tts_cache.errors import BackendError

fcntl: ModuleType | None = None
with suppress(ImportError):  # on Windows, where processes had better not share a store
    import fcntl

_LOCK = "speech.lock"
_CURRENT = re.compile(r"speech-(\d{1,9})\.sqlite3")
_DAMAGED = re.compile(r"speech-(\d{1,9})\.damaged\.sqlite3(?:-wal)?")
_LOCK_POLL = 0.005


class DiskFolder:
    """A folder with one database in use."""

    def __init__(self, path: Path) -> None:
        """Take a folder, which need not be there.

        Args:
            path: Where it is.
        """
        self.path = path

    def database(self) -> Path | None:
        """Find the database in use.

        Returns:
            Where it is, or None if there is none yet.

        Raises:
            OSError: If the folder is there and cannot be read.
        """
        numbers = self._numbers(_CURRENT)
        return self._file(max(numbers)) if numbers else None

    def create(self) -> Path:
        """Make an empty file for a new database, and the folder. Hold the lock.

        Returns:
            Where it is.

        Raises:
            OSError: If it cannot be made.
        """
        numbers = self._numbers(_CURRENT) + self._numbers(_DAMAGED)
        path = self._file(max(numbers, default=0) + 1)
        _create(path)
        return path

    def set_aside(self, damaged: Path) -> Path:
        """Give a damaged database another name, and forget those set aside before. Hold the lock.

        Args:
            damaged: Where it is.

        Returns:
            Where it is now.

        Raises:
            OSError: If it cannot be renamed.
        """
        aside = damaged.with_name(damaged.name.replace(".sqlite3", ".damaged.sqlite3"))
        for each in self._names():
            if _DAMAGED.fullmatch(each):
                with suppress(OSError):
                    (self.path / each).unlink()
        with suppress(OSError):
            Path(f"{damaged}-wal").rename(f"{aside}-wal")
        with suppress(OSError):
            Path(f"{damaged}-shm").unlink()
        damaged.rename(aside)
        return aside

    def discard(self, empty: Path) -> None:
        """Remove a database with nothing in it. Hold the lock.

        Args:
            empty: Where it is.
        """
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                Path(f"{empty}{end}").unlink()

    @contextmanager
    def lock(self, deadline: float) -> Generator[None, None, None]:
        """Keep out all others who would make or set aside a database.

        Args:
            deadline: Until when to wait for it, by `time.monotonic`.

        Raises:
            BackendError: If another process holds it for longer.
            OSError: If there can be none here.
        """
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
        lock = self.path / _LOCK
        if not lock.exists():
            _create(lock)
        file = os.open(lock, os.O_RDWR)
        try:
            _wait_for(file, deadline)
            yield
        finally:
            os.close(file)  # which ends the lock: nothing forks meanwhile

    def _file(self, number: int) -> Path:
        return self.path / f"speech-{number}.sqlite3"

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        found = map(pattern.fullmatch, self._names())
        return [int(match.group(1)) for match in found if match]

    def _names(self) -> list[str]:
        with suppress(FileNotFoundError):
            return [each.name for each in self.path.iterdir()]
        return []


def _create(path: Path) -> None:
    """Make an empty file that is the owner's alone, whatever the umask. SQLite's follow it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        path.chmod(0o600)


def _wait_for(file: int, deadline: float) -> None:
    while fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BackendError("another process holds the lock of the folder") from None
            time.sleep(_LOCK_POLL)
        else:
            return
