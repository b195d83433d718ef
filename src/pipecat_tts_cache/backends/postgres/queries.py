#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The statements of the Postgres store: one for each thing it does, none in a transaction.

Parameters are of types that asyncpg knows without asking the server. Arrays are arrays of text.
"""

# ruff: noqa: S608 - the names of tables are checked and quoted

from dataclasses import dataclass
from typing import Self

from pipecat_tts_cache.backends.postgres.schema import Tables, fold_sql

COLUMNS = (
    "namespace_id",
    "digest",
    "namespace",
    "text",
    "text_digest",
    "service",
    "voice",
    "model",
    "duration",
    "sample_rate",
    "num_channels",
    "codec",
    "bytes",
    "record",
    "created_at",
)
"""What `Queries.put` takes first, in this order."""

_LIVE = "(expires_at IS NULL OR expires_at > to_timestamp({now}::float8))"
_PINNED = "'infinity'::timestamptz"
"""When something pinned expires; without a time to live it is NULL."""
_WANTED = "unnest($1::text[], $2::text[]) AS given (id, digest)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """The statements for a table.

    Parameters:
        get: namespace_id, digest, now -> record.
        exists: namespace_id, digest, now -> whether there is one.
        put: `COLUMNS`, then now and expires_at -> a row, unless what is there is pinned and this
            is not.
        delete: namespace_id, digest, now -> a row if there was one: whether it was alive.
        heal: namespace_id, digest, SHA-256 of the record to be deleted.
        delete_many: namespace_ids in hexadecimal, digests, now -> how many were alive.
        clear_all: namespace_id and digest to go on behind, now, limit -> keys, whether alive.
        clear_one: the same, within that namespace.
        list_all: namespace_id and digest to go on behind, now, limit -> descriptions.
        list_one: the same, within that namespace.
        count: now -> entries, bytes, namespaces, pinned.
        sweep: now, limit -> how many were removed: what is over by the server's clock, too, for
            one client whose clock is ahead would remove what is alive for all others.
        fold: namespace_ids in hexadecimal, of which to fold the changes to totals.
        note: namespace_ids in hexadecimal, digests, numbers of uses and times as texts.
    """

    get: str
    exists: str
    put: str
    delete: str
    heal: str
    delete_many: str
    clear_all: str
    clear_one: str
    list_all: str
    list_one: str
    count: str
    sweep: str
    fold: str
    note: str

    @classmethod
    def of(cls, tables: Tables) -> Self:
        """Write the statements.

        Args:
            tables: The tables.

        Returns:
            The statements.
        """
        table = tables.entries
        one = "namespace_id = $1 AND digest = $2"
        behind, behind_in_one = (
            "(namespace_id, digest) > ($1, $2)",
            "namespace_id = $1 AND digest > $2",
        )
        return cls(
            get=f"SELECT record FROM {table} WHERE {one} AND {_LIVE.format(now='$3')}",
            exists=f"SELECT true FROM {table} WHERE {one} AND {_LIVE.format(now='$3')}",
            put=_put(table),
            delete=f"DELETE FROM {table} WHERE {one} RETURNING {_LIVE.format(now='$3')}",
            heal=f"DELETE FROM {table} WHERE {one} AND sha256(record) = $3",
            delete_many=_delete_many(table),
            clear_all=_clear(table, behind),
            clear_one=_clear(table, behind_in_one),
            list_all=_list(table, behind),
            list_one=_list(table, behind_in_one),
            count=_count(table, tables.totals),
            sweep=_sweep(table),
            fold=fold_sql(tables, "SELECT decode(id, 'hex') FROM unnest($1::text[]) AS id"),
            note=_note(table),
        )


def _put(table: str) -> str:
    names = [*COLUMNS, "last_used_at", "expires_at"]
    values = [
        f"to_timestamp(${number}::float8)" if name.endswith("_at") else f"${number}"
        for number, name in enumerate(names, start=1)
    ]
    return f"""
        INSERT INTO {table} AS kept ({", ".join(names)}) VALUES ({", ".join(values)})
        ON CONFLICT (namespace_id, digest) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in names[2:])}
        WHERE kept.expires_at IS DISTINCT FROM {_PINNED} OR excluded.expires_at = {_PINNED}
        RETURNING true"""


def _delete_many(table: str) -> str:
    return f"""
        WITH wanted AS (
          SELECT DISTINCT decode(id, 'hex') AS namespace_id, digest FROM {_WANTED}
        ), doomed AS (
          SELECT namespace_id, digest FROM {table} JOIN wanted USING (namespace_id, digest)
          ORDER BY namespace_id, digest FOR UPDATE OF {_alias(table)}
        ), gone AS (
          DELETE FROM {table} AS kept USING doomed
          WHERE kept.namespace_id = doomed.namespace_id AND kept.digest = doomed.digest
          RETURNING expires_at
        )
        SELECT count(*) FROM gone WHERE {_LIVE.format(now="$3")}"""


def _clear(table: str, behind: str) -> str:
    return f"""
        WITH doomed AS (
          SELECT namespace_id, digest FROM {table} WHERE {behind}
          ORDER BY namespace_id, digest LIMIT $4::bigint FOR UPDATE
        )
        DELETE FROM {table} AS kept USING doomed
        WHERE kept.namespace_id = doomed.namespace_id AND kept.digest = doomed.digest
        RETURNING kept.namespace_id, kept.digest, {_LIVE.format(now="$3")} AS alive"""


def _list(table: str, behind: str) -> str:
    return f"""
        SELECT namespace_id, digest, namespace, text, text_digest, service, voice, model, duration,
          sample_rate, num_channels, codec, bytes, uses,
          extract(epoch FROM created_at)::float8 AS created_at,
          extract(epoch FROM last_used_at)::float8 AS last_used_at,
          extract(epoch FROM expires_at)::float8 AS expires_at
        FROM {table} WHERE {behind} AND {_LIVE.format(now="$3")}
        ORDER BY namespace_id, digest LIMIT $4::bigint"""


def _count(table: str, totals: str) -> str:
    return f"""
        WITH expired AS (
          SELECT namespace_id, count(*) AS entries, sum(bytes) AS bytes FROM {table}
          WHERE expires_at <= to_timestamp($1::float8) GROUP BY namespace_id
        ), kept AS (
          SELECT namespace_id, sum(entries) AS entries, sum(bytes) AS bytes FROM {totals}
          GROUP BY namespace_id
        ), alive AS (
          SELECT kept.entries - coalesce(expired.entries, 0) AS entries,
            kept.bytes - coalesce(expired.bytes, 0) AS bytes
          FROM kept LEFT JOIN expired USING (namespace_id)
        )
        SELECT coalesce(sum(entries), 0)::bigint AS entries,
          coalesce(sum(bytes), 0)::bigint AS bytes,
          count(*) FILTER (WHERE entries > 0) AS namespaces,
          (SELECT count(*) FROM {table} WHERE expires_at = {_PINNED}) AS pinned
        FROM alive"""


def _sweep(table: str) -> str:
    return f"""
        WITH doomed AS (
          SELECT namespace_id, digest FROM {table}
          WHERE expires_at <= least(to_timestamp($1::float8), now())
          ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
        ), gone AS (
          DELETE FROM {table} AS kept USING doomed
          WHERE kept.namespace_id = doomed.namespace_id AND kept.digest = doomed.digest
          RETURNING 1
        )
        SELECT count(*) FROM gone"""


def _note(table: str) -> str:
    return f"""
        WITH noted AS (
          SELECT decode(id, 'hex') AS namespace_id, digest, number::bigint AS more,
            to_timestamp(time::float8) AS used_at
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
            AS given (id, digest, number, time)
        ), used AS (
          SELECT namespace_id, digest, more, used_at
          FROM {table} JOIN noted USING (namespace_id, digest)
          ORDER BY namespace_id, digest FOR NO KEY UPDATE OF {_alias(table)}
        )
        UPDATE {table} AS kept
        SET uses = kept.uses + used.more, last_used_at = greatest(kept.last_used_at, used.used_at)
        FROM used WHERE kept.namespace_id = used.namespace_id AND kept.digest = used.digest"""


def _alias(table: str) -> str:
    """Name a table without its schema, as ``FOR UPDATE OF`` wants it."""
    return table.rpartition(".")[2]
