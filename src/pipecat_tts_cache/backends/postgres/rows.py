#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Rows of the Postgres store, from entries and back."""

import math
from hashlib import sha256
from typing import Any

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.names import check_namespace
from pipecat_tts_cache.backends.postgres.queries import COLUMNS
from pipecat_tts_cache.backends.postgres.text import from_column, to_column

_TEXTS = ("text", "text_digest", "service", "voice", "model", "codec")
_NUMBERS = ("duration", "sample_rate", "num_channels")
_TIMES = ("created_at", "last_used_at", "expires_at")
PINNED = math.inf
"""When something pinned expires, as a row has it."""
_LATEST = 253_402_300_799.0
"""The end of the year 9999; far beyond that PostgreSQL has no time."""


def place_of(key: CacheKey) -> tuple[bytes, str]:
    """Tell in which row a key is. Any namespace fits into an index by its digest.

    Args:
        key: The key.

    Returns:
        "namespace_id" and "digest" of the row.
    """
    return sha256(key.namespace.encode(errors="surrogatepass")).digest(), key.digest


def start_of(namespace: str | None) -> tuple[bytes, str]:
    """Tell what comes before all rows, or before all of a namespace.

    Args:
        namespace: The namespace, or None for all.

    Returns:
        "namespace_id" and "digest".

    Raises:
        TypeError: If the namespace is neither a string nor None.
    """
    checked = check_namespace(namespace)
    return (b"", "") if checked is None else place_of(CacheKey(checked, ""))


def write_row(entry: Entry, record: bytes) -> list[Any]:
    """Write a row.

    Args:
        entry: What to keep.
        record: Its record.

    Returns:
        The values of `COLUMNS`.
    """
    owner, digest = place_of(entry.key)
    values: dict[str, Any] = {
        "namespace_id": owner,
        "digest": digest,
        "namespace": to_column(entry.key.namespace),
        "bytes": len(record),
        "record": record,
        "created_at": min(max(entry.created_at, 0.0), _LATEST),
    }
    for name in _TEXTS:
        text = getattr(entry, name)
        values[name] = None if text is None else to_column(text)
    return [values[name] if name in values else getattr(entry, name) for name in COLUMNS]


def read_row(row: Any) -> Entry:
    """Read a row.

    Args:
        row: What `Queries.list_all` returns.

    Returns:
        The entry.
    """
    texts: dict[str, Any] = {
        name: None if row[name] is None else from_column(row[name]) for name in _TEXTS
    }
    others = {name: row[name] for name in (*_NUMBERS, *_TIMES, "uses")}
    pinned = others["expires_at"] == PINNED
    if pinned:
        others["expires_at"] = None
    key = CacheKey(from_column(row["namespace"]), row["digest"])
    return Entry(key=key, size=row["bytes"], pinned=pinned, **texts, **others)
