#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the reading thread of a disk store asks its database."""

import os
import sqlite3
from contextlib import suppress
from typing import Any, NamedTuple

from pipecat_tts_cache.backends.disk.database import IS_PINNED, DamagedError
from pipecat_tts_cache.backends.disk.folder import DiskFolder
from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.names import decode_namespace, encode_namespace

_PAGE = 256
_UNEXPIRED = "(expires_at IS NULL OR expires_at > ?)"
_FIND = f"""
    SELECT entries.id, record FROM namespaces
    JOIN entries ON namespace = namespaces.id AND digest = ?
    JOIN records ON records.id = entries.id
    WHERE name = ? AND {_UNEXPIRED}"""  # noqa: S608 - nothing in it comes from outside
_COUNT = f"""
    SELECT count(*) FROM namespaces JOIN entries ON namespace = namespaces.id AND digest = ?
    WHERE name = ? AND {_UNEXPIRED}"""  # noqa: S608
_LIST = f"""
    SELECT namespace, name, digest, size, duration, sample_rate, channels, codec, created_at,
        expires_at, last_used_at, uses, {IS_PINNED}, text, text_digest, service, voice, model
    FROM entries JOIN namespaces ON namespaces.id = namespace
    WHERE (namespace, digest) > (?, ?) AND {_UNEXPIRED} AND (? IS NULL OR name = ?)
    ORDER BY namespace, digest LIMIT {_PAGE}"""  # noqa: S608
_TOTALS = f"""
    SELECT entries, bytes, namespaces,
        (SELECT count(*) FROM entries WHERE expires_at <= :now),
        (SELECT coalesce(sum(size), 0) FROM entries WHERE expires_at <= :now),
        (SELECT count(*) FROM entries WHERE {IS_PINNED})
    FROM state"""  # noqa: S608


class Found(NamedTuple):
    """A record, and the number of its row."""

    row: int
    record: bytes


class Place(NamedTuple):
    """How far a listing has come."""

    namespace: int = 0
    digest: str = ""


def to_column(text: str | None) -> str | bytes | None:
    """Write a text into a column, as bytes where it is no proper Unicode.

    Args:
        text: The text.

    Returns:
        What SQLite takes.
    """
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def find(connection: sqlite3.Connection, key: CacheKey, now: float) -> Found | None:
    """Find a record.

    Args:
        connection: The connection.
        key: Where it is kept.
        now: The time in seconds since the Unix epoch.

    Returns:
        The record, or None if there is none or it has expired.
    """
    asked = (key.digest, encode_namespace(key.namespace), now)
    row = connection.execute(_FIND, asked).fetchone()
    return None if row is None else Found(*row)


def is_there(connection: sqlite3.Connection, key: CacheKey, now: float) -> bool:
    """Tell whether there is a record that has not expired.

    Args:
        connection: The connection.
        key: Where it would be kept.
        now: The time in seconds since the Unix epoch.

    Returns:
        Whether there is one.
    """
    asked = (key.digest, encode_namespace(key.namespace), now)
    ((count,),) = connection.execute(_COUNT, asked)
    return bool(count)


def list_some(
    connection: sqlite3.Connection, namespace: str | None, place: Place, now: float
) -> tuple[list[Entry], Place | None]:
    """List a page of what is kept.

    Args:
        connection: The connection.
        namespace: The namespace, or None for all.
        place: How far the listing has come.
        now: The time in seconds since the Unix epoch.

    Returns:
        Entries, and the place behind them or None if these were the last.
    """
    name = None if namespace is None else encode_namespace(namespace)
    if name is not None and not place.namespace:
        found = connection.execute("SELECT id FROM namespaces WHERE name = ?", (name,)).fetchone()
        if found is None:
            return [], None
        place = Place(found[0])
    rows = connection.execute(_LIST, (*place, now, name, name)).fetchall()
    more = Place(rows[-1][0], rows[-1][2]) if len(rows) == _PAGE else None
    return [_entry(*row[1:]) for row in rows], more


def totals(connection: sqlite3.Connection, folder: DiskFolder, now: float) -> dict[str, Any]:
    """Tell how much there is, at a cost in proportion to what is pinned or not yet swept.

    Args:
        connection: The connection.
        folder: The folder of the database.
        now: The time in seconds since the Unix epoch.

    Returns:
        "entries" and "bytes" that have not expired, "pinned", "namespaces", and "disk_bytes" of
        the files.

    Raises:
        DamagedError: If the table that says so is empty.
    """
    row = connection.execute(_TOTALS, {"now": now}).fetchone()
    if row is None:
        raise DamagedError("the totals are missing")
    entries, size, namespaces, expired, expired_size, pinned = row
    return {
        "entries": entries - expired,
        "bytes": size - expired_size,
        "pinned": pinned,
        "namespaces": namespaces,
        "disk_bytes": _disk_bytes(folder),
    }


def _disk_bytes(folder: DiskFolder) -> int:
    database, size = folder.database(), 0
    for name in (f"{database}", f"{database}-wal", f"{database}-shm"):
        with suppress(OSError):
            size += os.stat(name).st_size  # noqa: PTH116
    return size


def _entry(name: str, digest: str, *columns: Any) -> Entry:
    """Make a row an entry. The columns come in the order of its fields, texts last."""
    size, duration, sample_rate, channels, codec, created_at, *times, pinned = columns[:10]
    text, text_digest, service, voice, model = map(_from_column, columns[10:])
    return Entry(
        key=CacheKey(decode_namespace(name), digest),
        size=size,
        duration=duration,
        sample_rate=sample_rate,
        num_channels=channels,
        codec=codec,
        created_at=created_at,
        expires_at=times[0],
        last_used_at=times[1],
        uses=times[2],
        text=text,
        text_digest=text_digest or "",
        service=service or "",
        voice=voice,
        model=model,
        pinned=bool(pinned),
    )


def _from_column(text: str | bytes | None) -> str | None:
    return text.decode(errors="surrogatepass") if isinstance(text, bytes) else text
