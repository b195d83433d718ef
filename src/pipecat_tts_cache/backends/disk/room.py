#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Room in a disk store: what each record is worth, and what goes when there is none.

The policy is that of `backends.eviction`. All that it goes by is in the database, so that the
processes that share it agree, and none begins anew.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pipecat_tts_cache.backends.disk.database import IS_PINNED, DamagedError
from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.eviction import PINNED, REMEMBERED, Eviction, must_stay, priority
from pipecat_tts_cache.backends.names import encode_namespace

_BEFORE = f"""
    SELECT entries.id, size, uses, expires_at, {IS_PINNED} FROM namespaces
    JOIN entries ON namespace = namespaces.id AND digest = ? WHERE name = ?"""  # noqa: S608
_LEAST = "SELECT id, size, priority FROM entries WHERE id IS NOT ? ORDER BY priority, id"
_USED = f"""
    UPDATE entries SET uses = ?, last_used_at = ?,
        priority = CASE WHEN {IS_PINNED} THEN priority ELSE ? END WHERE id = ?"""  # noqa: S608
_REMEMBER = "INSERT OR REPLACE INTO gone (namespace, digest, uses) VALUES (?, ?, ?)"
_REMEMBER_ROW = """
    INSERT OR REPLACE INTO gone (namespace, digest, uses)
    SELECT name, digest, uses + 1 FROM entries JOIN namespaces ON namespaces.id = namespace
    WHERE entries.id = ?"""
_FORGET_OLD = "DELETE FROM gone WHERE id <= (SELECT max(id) FROM gone) - ?"


class Standing(NamedTuple):
    """What a record stands for when it is stored.

    Parameters:
        uses: How often it was looked up before.
        priority: What it is worth.
    """

    uses: int
    priority: float


class _Before(NamedTuple):
    row: int | None = None
    size: int = 0
    uses: int | None = None
    pinned: bool = False


class _State(NamedTuple):
    held: int
    floor: float
    tick: int


class DiskRoom:
    """Makes room by a policy. For one thread, within its transactions."""

    def __init__(self, *, max_bytes: int, eviction: Eviction) -> None:
        """Take the policy.

        Args:
            max_bytes: The most bytes to keep.
            eviction: What goes when there is no room.
        """
        self.max_bytes = max_bytes
        self.evictions = 0
        self._eviction: Eviction = eviction

    def make(
        self,
        connection: sqlite3.Connection,
        entry: Entry,
        *,
        now: float,
        sweep: Callable[[], bool],
    ) -> Standing | None:
        """Remove what has expired, then what is worth least, until a record fits.

        Args:
            connection: The connection.
            entry: What is to be stored.
            now: The time in seconds since the Unix epoch.
            sweep: Removes some of what has expired, and tells whether there was some.

        Returns:
            What it stands for, or None if it is worth less than what would have to go, or would
            replace what is pinned and is not.
        """
        while True:
            state = self._state(connection)
            before = self._before(connection, entry.key, now)
            lacking = state.held - before.size + entry.size - self.max_bytes
            if lacking <= 0 or not sweep():
                break
        if before.pinned and not entry.pinned:
            return None
        uses = _take(connection, entry.key) if before.uses is None else before.uses
        state = state._replace(tick=state.tick + 1)
        worth = self._worth(state, uses, entry.size, pinned=entry.pinned)
        floor = self._evict(connection, before.row, lacking, worth)
        if floor is None:
            if before.row is None:
                name = encode_namespace(entry.key.namespace)
                _remember(connection, _REMEMBER, [(name, entry.key.digest, uses + 1)])
            return None
        state = state._replace(floor=max(floor, state.floor))
        connection.execute("UPDATE state SET floor = ?, tick = ?", (state.floor, state.tick))
        return Standing(uses, self._worth(state, uses, entry.size, pinned=entry.pinned))

    def note(self, connection: sqlite3.Connection, used: Iterable[tuple[int, float]]) -> None:
        """Raise what was used.

        Args:
            connection: The connection.
            used: The numbers of rows, each time one was used, and when that was.
        """
        times: dict[int, tuple[int, float]] = {}
        for row, at in used:
            times[row] = (times.get(row, (0, 0.0))[0] + 1, at)
        if not times:
            return
        state = self._state(connection)
        for row, (more, at) in times.items():
            state = state._replace(tick=state.tick + 1)
            found = connection.execute("SELECT uses, size FROM entries WHERE id = ?", (row,))
            for uses, size in found.fetchall():
                worth = self._worth(state, uses + more, size)
                connection.execute(_USED, (uses + more, at, worth, row))
        connection.execute("UPDATE state SET tick = ?", (state.tick,))

    def _evict(
        self, connection: sqlite3.Connection, row: int | None, lacking: int, worth: float
    ) -> float | None:
        """Remove what is worth least, but not a row that is to be replaced.

        Returns:
            The most that anything was worth that went, or None if something worth more than
            `worth`, or pinned, would have to.
        """
        victims: list[int] = []
        floor = 0.0
        ranked: Iterable[tuple[int, int, float]] = ()
        if lacking > 0:
            ranked = connection.execute(_LEAST, (row,))
        for victim, size, value in ranked:
            if must_stay(value, worth):
                if value < PINNED:  # the floor rises, or old favourites would stay for ever
                    connection.execute("UPDATE state SET floor = max(floor, ?)", (worth,))
                return None
            victims.append(victim)
            floor = max(floor, value)
            lacking -= size
            if lacking <= 0:
                break
        if victims:
            _remember(connection, _REMEMBER_ROW, [(victim,) for victim in victims])
            delete_rows(connection, victims)
            self.evictions += len(victims)
        return floor

    def _before(self, connection: sqlite3.Connection, key: CacheKey, now: float) -> _Before:
        """Tell what is under a key: its row and size, and its uses unless it has expired."""
        asked = (key.digest, encode_namespace(key.namespace))
        found = connection.execute(_BEFORE, asked).fetchone()
        if found is None:
            return _Before()
        row, size, uses, expires_at, pinned = found
        is_alive = expires_at is None or expires_at > now
        return _Before(row, size, uses if is_alive else None, bool(pinned))

    def _state(self, connection: sqlite3.Connection) -> _State:
        found = connection.execute("SELECT bytes, floor, tick FROM state").fetchone()
        if found is None:
            raise DamagedError("the totals are missing")
        return _State(*found)

    def _worth(self, state: _State, uses: int, size: int, *, pinned: bool = False) -> float:
        return priority(
            self._eviction,
            floor=state.floor,
            uses=uses + 1,
            size=size,
            now=float(state.tick),
            pinned=pinned,
        )


def delete_rows(connection: sqlite3.Connection, rows: Sequence[int]) -> None:
    """Remove entries; triggers remove their records and correct the totals.

    Args:
        connection: The connection.
        rows: The numbers of the rows.
    """
    connection.executemany("DELETE FROM entries WHERE id = ?", [(row,) for row in rows])


def forget(connection: sqlite3.Connection, key: CacheKey) -> None:
    """Leave no trace of what is removed because somebody said so.

    Args:
        connection: The connection.
        key: Where it was kept.
    """
    _take(connection, key)


def forget_namespace(connection: sqlite3.Connection, namespace: str | None) -> None:
    """Leave no trace of a namespace, or of any.

    Args:
        connection: The connection.
        namespace: The namespace, or None for all.
    """
    if namespace is None:
        connection.execute("DELETE FROM gone")
    else:
        name = encode_namespace(namespace)
        connection.execute("DELETE FROM gone WHERE namespace = ?", (name,))


def _take(connection: sqlite3.Connection, key: CacheKey) -> int:
    """Forget how often something had been used that went, and return it."""
    asked = (encode_namespace(key.namespace), key.digest)
    sql = "SELECT id, uses FROM gone WHERE namespace = ? AND digest = ?"
    found = connection.execute(sql, asked).fetchone()
    if found is None:
        return 0
    connection.execute("DELETE FROM gone WHERE id = ?", (found[0],))
    return int(found[1])


def _remember(connection: sqlite3.Connection, sql: str, what: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(sql, what)
    connection.execute(_FORGET_OLD, (REMEMBERED,))
