#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The database of a disk store: what is in it, how it is opened, and what its errors mean."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from pipecat_tts_cache.backends.disk.folder import DiskFolder
from pipecat_tts_cache.errors import BackendError

SCHEMA_VERSION = 1
_PAGE_SIZE = 8192
_APPLICATION_ID = 0x50545453  # "PTTS"
_LOG_PAGES = 512
"""Pages in the log from which on they are put into the database: some 4 MB."""
_BROKEN_RULES = (
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
)
IS_PINNED = "(priority = 9e999)"
"""What is pinned has an infinite priority; see `backends.eviction`."""
_TABLES_AMISS = ("no such", "has no column", "does not match any PRIMARY KEY")

_SCHEMA = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    entries INTEGER NOT NULL, bytes INTEGER NOT NULL, namespaces INTEGER NOT NULL,
    floor REAL NOT NULL, tick INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0, 0, 0, 0.0, 0);
CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
    entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    text, text_digest TEXT NOT NULL, service NOT NULL, voice, model,
    duration REAL NOT NULL, sample_rate INTEGER NOT NULL, channels INTEGER NOT NULL,
    codec TEXT NOT NULL, created_at REAL NOT NULL, stored_at REAL NOT NULL, expires_at REAL,
    last_used_at REAL NOT NULL, uses INTEGER NOT NULL, priority REAL NOT NULL,
    UNIQUE (namespace, digest)
);
CREATE TABLE records (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE gone (
    id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, digest TEXT NOT NULL,
    uses INTEGER NOT NULL, UNIQUE (namespace, digest)
);
CREATE INDEX entries_by_priority ON entries (priority);
CREATE INDEX entries_by_expiry ON entries (expires_at, size) WHERE expires_at IS NOT NULL;
CREATE INDEX entries_by_storing ON entries (stored_at) WHERE expires_at IS NOT NULL;
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    UPDATE state SET entries = entries + 1, bytes = bytes + NEW.size;
    UPDATE namespaces SET entries = entries + 1, bytes = bytes + NEW.size
        WHERE id = NEW.namespace;
END;
CREATE TRIGGER entry_resized AFTER UPDATE OF size ON entries WHEN OLD.size != NEW.size BEGIN
    UPDATE state SET bytes = bytes + NEW.size - OLD.size;
    UPDATE namespaces SET bytes = bytes + NEW.size - OLD.size WHERE id = NEW.namespace;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    DELETE FROM records WHERE id = OLD.id;
    UPDATE state SET entries = entries - 1, bytes = bytes - OLD.size;
    UPDATE namespaces SET entries = entries - 1, bytes = bytes - OLD.size
        WHERE id = OLD.namespace;
    DELETE FROM namespaces WHERE id = OLD.namespace AND entries = 0;
END;
CREATE TRIGGER namespace_added AFTER INSERT ON namespaces BEGIN
    UPDATE state SET namespaces = namespaces + 1;
END;
CREATE TRIGGER namespace_removed AFTER DELETE ON namespaces BEGIN
    UPDATE state SET namespaces = namespaces - 1;
END;
"""
"""The audio is in a table of its own: to change a row, SQLite writes all of it anew."""


class DamagedError(sqlite3.DatabaseError):
    """The database is not as it was made, though SQLite finds nothing wrong."""


DatabaseErrors = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises, the latter where its own words are damaged."""


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    Parameters:
        connection: The connection to it. Each statement is a transaction, or BEGIN is said.
        path: Where it is.
        identity: The device and the number of its file.
        read_only: Whether nothing can be written, nor what others write be seen: not to be kept.
    """

    connection: sqlite3.Connection
    path: Path
    identity: tuple[int, int]
    read_only: bool

    def is_in_use(self) -> bool:
        """Whether it is still the one in the folder, and not removed or set aside."""
        try:
            return _identity(self.path) == self.identity
        except OSError:
            return False


def open_database(folder: DiskFolder, *, deadline: float, patience: float) -> Database:
    """Open the database in use, or make one.

    Args:
        folder: The folder.
        deadline: Until when to wait for other processes, by `time.monotonic`.
        patience: Seconds that a later statement may wait for other processes.

    Returns:
        The database.

    Raises:
        BackendError: If it cannot be used, and should be left as it is.
        OSError: If it cannot be reached.
        sqlite3.Error: If SQLite refuses.
    """
    database = _open_or_tell(folder.database(), patience)
    if isinstance(database, Database):
        return database
    with folder.lock(deadline):
        # Another process may have made one meanwhile; only who holds the lock makes one.
        found = folder.database()
        database = _open_or_tell(found, patience)
        if isinstance(database, Database):
            return database
        if found is not None and database is not None:
            _set_aside(folder, found, database)
        made = _make(folder.create(), patience)
        if found is not None and database is None:  # left by a process that was killed
            folder.discard(found)
        return made


def set_aside(folder: DiskFolder, damaged: Database, reason: str, *, deadline: float) -> None:
    """Set a damaged database aside, unless another process did. The next one is made when opened.

    Args:
        folder: The folder.
        damaged: The database, which this thread has closed.
        reason: What is wrong with it.
        deadline: Until when to wait for other processes, by `time.monotonic`.

    Raises:
        BackendError: If another process holds the lock for longer.
        OSError: If it cannot be renamed.
    """
    with folder.lock(deadline):
        if damaged.is_in_use():
            _set_aside(folder, damaged.path, reason)


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that the database is damaged.

    Args:
        error: What was raised.

    Returns:
        Whether it has to be replaced. A missing table means as much, as does a row that is there
        twice: an index that did not find the first is damaged.
    """
    if isinstance(error, UnicodeDecodeError | DamagedError):
        return True
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = _code(error)
    return (
        code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        or code in _BROKEN_RULES
        or code == sqlite3.SQLITE_IOERR_SHORT_READ
        or (code == sqlite3.SQLITE_ERROR and any(map(str(error).__contains__, _TABLES_AMISS)))
    )


def describe(error: BaseException, within: float) -> str:
    """Put an error into words.

    Args:
        error: What was raised.
        within: Seconds that the call was given.

    Returns:
        What happened, without what was stored.
    """
    if isinstance(error, sqlite3.Error):
        code = _code(error) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"locked by another process for longer than {within:g} s"
        if code == sqlite3.SQLITE_READONLY:
            return "read-only: it can be looked up, but nothing is stored"
        if code == sqlite3.SQLITE_FULL:
            return "the disk is full"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, BackendError | sqlite3.Error) else type(error).__name__


def _open_or_tell(path: Path | None, patience: float) -> Database | str | None:
    """Open a database.

    Returns:
        It, or in words why it is damaged, or None if there is none or it is empty.
    """
    if path is None:
        return None
    try:
        return _open(path, patience)
    except DatabaseErrors as error:
        if not is_damage(error):
            raise
        return str(error)


def _open(path: Path, patience: float) -> Database | None:
    read_only = not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    try:
        identity = _identity(path)
        connection = _connect(path, patience, read_only=read_only)
    except (OSError, sqlite3.OperationalError):
        if path.exists():
            raise
        return None  # just set aside
    try:
        if _is_ready(connection, path):
            return Database(connection, path, identity, read_only)
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _make(path: Path, patience: float) -> Database:
    connection = _connect(path, patience, read_only=False)
    try:
        _create_tables(connection)
    except BaseException as error:
        connection.close()
        if is_damage(error):
            raise BackendError("a new database is damaged: the disk may be failing") from error
        raise
    return Database(connection, path, _identity(path), read_only=False)


def _set_aside(folder: DiskFolder, damaged: Path, reason: str) -> None:
    aside = folder.set_aside(damaged)
    logger.warning(
        f"TTS cache: {damaged} is damaged ({reason}). It was set aside as {aside.name} and a new "
        "one takes its place, so sentences are spoken live once more. Delete what was set aside "
        "unless you want to look into it; if this happens again, check the disk."
    )


def _connect(path: Path, patience: float, *, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        return _connect_as("mode=rw", path, patience)
    try:
        return _connect_as("mode=ro", path, patience)
    except sqlite3.OperationalError:  # where not even an index of the log can be made
        return _connect_as("mode=ro&immutable=1", path, patience)


def _connect_as(mode: str, path: Path, patience: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = _text  # or an error would quote what cannot be decoded
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {2 * _LOG_PAGES * _PAGE_SIZE}")
    except BaseException:
        connection.close()
        raise
    return connection


def _text(column: bytes) -> str:
    return column.decode(errors="replace")


def _is_ready(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there.

    Raises:
        BackendError: If they are another program's, or a newer version's.
    """
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if application != _APPLICATION_ID and (application or version or tables):
        raise BackendError(
            f"{path.name} is a database of another program: choose another folder, or move it away"
        )
    if version > SCHEMA_VERSION:
        raise BackendError(
            f"{path.name} was written by a newer version of pipecat-tts-cache (schema {version}, "
            f"this one knows {SCHEMA_VERSION}): upgrade this one, or choose another folder"
        )
    return bool(tables)


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    ((mode,),) = connection.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise BackendError("this file system is not for databases: choose a folder on a local disk")
    connection.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - twice as fast, and done with each look-up
    return status.st_dev, status.st_ino


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) or 0
