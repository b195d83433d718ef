#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the writing thread of a disk store does to its database."""

import sqlite3
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from pipecat_tts_cache.backends.disk.reads import to_column
from pipecat_tts_cache.backends.disk.room import (
    DiskRoom,
    delete_rows,
    forget,
    forget_namespace,
)
from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.eviction import Eviction
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.wall_clock import JUMP, WatchedClock

_ROW = 1536
"""Bytes of the file that an entry takes besides its record and its text, about."""
_MAX_NOTED = 4096
_SWEPT_AT_ONCE = 32
_CLEARED_AT_ONCE = 64
_SPARE_PAGES = 128
_PAGES_AT_ONCE = 2048
_COLUMNS = (
    "namespace", "digest", "size", "text", "text_digest", "service", "voice", "model", "duration",
    "sample_rate", "channels", "codec", "created_at", "stored_at", "expires_at", "last_used_at",
    "uses", "priority",
)  # fmt: skip
_PUT = f"""
    INSERT INTO entries ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
    ON CONFLICT (namespace, digest) DO UPDATE
    SET {", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[2:])}"""  # noqa: S608
_PUT_RECORD = """
    INSERT OR REPLACE INTO records
    SELECT id, ? FROM entries WHERE namespace = ? AND digest = ?"""
_ROWS_OF = """
    SELECT entries.id, expires_at FROM namespaces
    JOIN entries ON namespace = namespaces.id AND digest = ? WHERE name = ?"""
_SHORTEN = """
    UPDATE entries SET expires_at = ? + expires_at - stored_at, stored_at = ? WHERE id IN
    (SELECT id FROM entries WHERE expires_at IS NOT NULL AND stored_at > ? LIMIT ?)"""


class DiskWriter:
    """Writes, removes, makes room, and notes what was used. For one thread."""

    def __init__(self, *, max_bytes: int, eviction: Eviction, clock: WatchedClock) -> None:
        """Prepare to write.

        Args:
            max_bytes: The most bytes to keep.
            eviction: What goes when there is no room.
            clock: Tells the time.
        """
        self._room = DiskRoom(max_bytes=max_bytes, eviction=eviction)
        self.expirations = 0
        self._clock = clock
        self._used: deque[tuple[int, float]] = deque(maxlen=_MAX_NOTED)

    @property
    def max_bytes(self) -> int:
        """The most bytes to keep."""
        return self._room.max_bytes

    @property
    def evictions(self) -> int:
        """How many records were removed to make room for others."""
        return self._room.evictions

    def use(self, row: int) -> None:
        """Take note of a look-up, from any thread.

        Args:
            row: The number of what was found.
        """
        self._used.append((row, self._clock.now()))

    def note(self, connection: sqlite3.Connection) -> None:
        """Write down what was used, and remove some of what has expired.

        Args:
            connection: The connection.
        """
        with self._change(connection):
            self._note(connection)

    def store(
        self,
        connection: sqlite3.Connection,
        entry: Entry,
        record: bytes,
        seconds: float | None,
    ) -> bool:
        """Keep a record, in place of what was there.

        Args:
            connection: The connection.
            entry: What it is.
            record: The record.
            seconds: After how long it is forgotten unless it is pinned, or None for never.

        Returns:
            Whether it was kept.
        """
        with self._change(connection):
            self._note(connection)
            now = self._clock.now()
            standing = self._room.make(
                connection, entry, now=now, sweep=lambda: self._sweep(connection)
            )
            if standing is None:
                return False
            namespace = _namespace(connection, entry.key.namespace)
            expires_at = None if seconds is None or entry.pinned else now + seconds
            texts = (entry.text, entry.text_digest, entry.service, entry.voice, entry.model)
            columns = (
                namespace, entry.key.digest, entry.size, *map(to_column, texts), entry.duration,
                entry.sample_rate, entry.num_channels, entry.codec, entry.created_at, now,
                expires_at, now, *standing,
            )  # fmt: skip
            connection.execute(_PUT, columns)
            connection.execute(_PUT_RECORD, (record, namespace, entry.key.digest))
        return True

    def remove(self, connection: sqlite3.Connection, keys: Sequence[CacheKey]) -> int:
        """Remove some.

        Args:
            connection: The connection.
            keys: Where they are kept.

        Returns:
            How many there were that had not expired.
        """
        now, rows = self._clock.now(), []
        with self._change(connection):
            for key in dict.fromkeys(keys):
                asked = (key.digest, encode_namespace(key.namespace))
                forget(connection, key)
                rows += connection.execute(_ROWS_OF, asked).fetchall()
            delete_rows(connection, [row for row, _ in rows])
        return _alive(rows, now)

    def remove_row(self, connection: sqlite3.Connection, row: int, record: bytes) -> None:
        """Remove a record that cannot be used, unless it was replaced.

        Args:
            connection: The connection.
            row: The number of its row.
            record: The record.
        """
        with self._change(connection):
            connection.execute(
                "DELETE FROM entries WHERE id = "
                "(SELECT id FROM records WHERE id = ? AND record = ?)",
                (row, record),
            )

    def clear_some(
        self, connection: sqlite3.Connection, namespace: str | None, last: int | None
    ) -> tuple[int, int | None]:
        """Remove some of a namespace, or of all.

        Args:
            connection: The connection.
            namespace: The namespace, or None for all.
            last: The number of the last row to remove, or None to begin with what there is now.

        Returns:
            How many were removed that had not expired, and the last row if there may be more.
        """
        now = self._clock.now()
        with self._change(connection):
            if last is None:
                ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM entries")
                forget_namespace(connection, namespace)
            where, names = "", []
            if namespace is not None:
                where = "namespace = (SELECT id FROM namespaces WHERE name = ?) AND"
                names = [encode_namespace(namespace)]
            rows = connection.execute(
                f"SELECT id, expires_at FROM entries WHERE {where} id <= ? LIMIT ?",  # noqa: S608
                (*names, last, _CLEARED_AT_ONCE),
            ).fetchall()
            delete_rows(connection, [row for row, _ in rows])
        return _alive(rows, now), last if len(rows) == _CLEARED_AT_ONCE else None

    def sweep_some(self, connection: sqlite3.Connection) -> int:
        """Remove some of what has expired.

        Args:
            connection: The connection.

        Returns:
            How many were removed, 0 if there are no more.
        """
        before = self.expirations
        with self._change(connection):
            pass  # as with every change
        return self.expirations - before

    @contextmanager
    def _change(self, connection: sqlite3.Connection) -> Generator[None, None, None]:
        """Make one transaction of it. What fails is rolled back by the thread."""
        before = self._room.evictions, self.expirations
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._sweep(connection)
            yield
            connection.execute("COMMIT")
        except BaseException:
            self._room.evictions, self.expirations = before
            raise
        _give_back(connection)

    def _sweep(self, connection: sqlite3.Connection) -> bool:
        """Remove some of what has expired, and take back what a wrong clock has promised."""
        now = self._clock.now()
        if self._clock.may_shorten():
            connection.execute(_SHORTEN, (now, now, now + JUMP, _SWEPT_AT_ONCE))
        if not self._clock.may_delete():
            return False
        rows = connection.execute(
            "SELECT id, size FROM entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            (now, _SWEPT_AT_ONCE),
        ).fetchall()
        delete_rows(connection, [row for row, _ in rows])
        self.expirations += len(rows)
        return bool(rows)

    def _note(self, connection: sqlite3.Connection) -> None:
        used = [self._used.popleft() for _ in range(len(self._used))]
        self._room.note(connection, used)


def room(record: bytes, text: str | None) -> int:
    """Tell how much of the file a record takes.

    Args:
        record: The record.
        text: The text that is kept beside it.

    Returns:
        Bytes, about.
    """
    return len(record) + 2 * len(text or "") + _ROW


def _namespace(connection: sqlite3.Connection, namespace: str) -> int:
    name = encode_namespace(namespace)
    found = connection.execute("SELECT id FROM namespaces WHERE name = ?", (name,)).fetchone()
    if found is None:
        connection.execute("INSERT INTO namespaces (name) VALUES (?)", (name,))
        found = connection.execute("SELECT last_insert_rowid()").fetchone()
    return int(found[0])


def _alive(rows: Sequence[tuple[int, float | None]], now: float) -> int:
    return sum(expires_at is None or expires_at > now for _, expires_at in rows)


def _give_back(connection: sqlite3.Connection) -> None:
    """Make the file smaller, if much of it is empty. Some is kept for the next record."""
    with suppress(sqlite3.OperationalError):  # another process's turn, or no room: another time
        ((free,),) = connection.execute("PRAGMA freelist_count")
        if free > _SPARE_PAGES:
            pages = min(free - _SPARE_PAGES, _PAGES_AT_ONCE)
            # A script, as execute() would take no step but the first, which is a page.
            connection.executescript(f"PRAGMA incremental_vacuum({pages})")
