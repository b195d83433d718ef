#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The database of a disk store, as somebody sees it who opens it with SQLite alone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from pipecat_tts_cache.backends import DiskCacheBackend


@pytest.fixture
def looks_at_files(no_blocking: BlockBuster) -> None:
    """Let the functions of this module wait for the disk."""
    for function in no_blocking.functions.values():
        function.can_block_in("tests/disk.py", _FUNCTIONS)


def database_of(folder: Path) -> Path:
    """Find the database in use."""
    (found,) = (each for each in folder.glob("speech-*.sqlite3") if "damaged" not in each.name)
    return found


def damaged_of(folder: Path) -> list[str]:
    """Name the databases that were set aside."""
    return sorted(each.name for each in folder.glob("*.damaged.sqlite3"))


def query(folder: Path, sql: str, *values: Any, create: str = "") -> list[tuple[Any, ...]]:
    """Ask the database something, or change it, behind the store's back."""
    path = folder / create if create else database_of(folder)
    with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def sizes(folder: Path) -> dict[str, int]:
    """Tell what the files of a folder take, in bytes."""
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def modes(folder: Path) -> dict[str, int]:
    """Tell who may do what with the files of a folder, and with the folder itself."""
    return {file.name: file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())}


def contents(folder: Path) -> bytes:
    """Read the database, with all that is in its log."""
    query(folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    return database_of(folder).read_bytes()


def spoil(path: Path, how: Callable[[Path], Any]) -> None:
    """Do something to a file, or to the database in a folder."""
    if path.is_dir():
        path = database_of(path)
    path.parent.mkdir(exist_ok=True)
    how(path)


@contextmanager
def locked(folder: Path) -> Iterator[sqlite3.Connection]:
    """Hold the lock that writers need."""
    connection = sqlite3.connect(database_of(folder), isolation_level=None, timeout=20)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def check(folder: Path) -> int:
    """See to it that the database is sound and its totals agree with its rows.

    Returns:
        How many entries it holds.
    """
    assert [("ok",)] == query(folder, "PRAGMA integrity_check")
    entries = query(folder, "SELECT count(*), coalesce(sum(size), 0) FROM entries")
    assert entries == query(folder, "SELECT entries, bytes FROM state")
    by_namespace = "SELECT namespace, count(*), sum(size) FROM entries GROUP BY 1 ORDER BY 1"
    totals = "SELECT id, entries, bytes FROM namespaces ORDER BY 1"
    assert query(folder, by_namespace) == query(folder, totals)
    assert query(folder, "SELECT count(*) FROM namespaces") == query(
        folder, "SELECT namespaces FROM state"
    )
    assert [] == query(folder, "SELECT id FROM entries EXCEPT SELECT id FROM records")
    assert [] == query(folder, "SELECT id FROM records EXCEPT SELECT id FROM entries")
    return int(entries[0][0])


async def have(store: DiskCacheBackend, sql: str) -> None:
    """Have the thread that writes say something to its own connection."""
    await store._writer.ask(lambda connection: connection.execute(sql).fetchall(), within=20)


_FUNCTIONS = {
    each.__name__
    for each in (database_of, damaged_of, query, sizes, modes, contents, locked, spoil)
}
