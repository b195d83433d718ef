#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tables of the Postgres store: their names, and how they come to be.

Every table says which version of this layout it is. Creating them is one statement that takes a
lock, so that any number of bots may start at once.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

SCHEMA_VERSION = 1
DEFAULT_TABLE = "pipecat_tts_cache"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MAX_NAME = 40
"""Characters; PostgreSQL cuts names off at 63, and what belongs to a table is named after it."""


class SchemaError(Exception):
    """The tables are not those that this version works with."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a store.

    Parameters:
        prefix: The schema and a full stop, quoted, or "" for the first of the search path.
        name: What the table is called.
    """

    prefix: str
    name: str

    @classmethod
    def named(cls, table: object) -> Self:
        """Check the name of a table.

        Args:
            table: Its name, with a schema and a full stop in front or without.

        Returns:
            The tables.

        Raises:
            TypeError: If it is no string.
            ValueError: If it is no name.
        """
        if not isinstance(table, str):
            raise TypeError(f"table must be a str, not {type(table).__name__}")
        schema, dot, name = table.rpartition(".")
        names = [schema, name] if dot else [name]
        if not all(_NAME.fullmatch(each) and len(each) <= _MAX_NAME for each in names):
            raise ValueError(
                "table must be 'name' or 'schema.name', of ASCII letters, digits and '_', at most "
                f"{_MAX_NAME} each, not {table!r:.120}"
            )
        return cls(f'"{schema}".' if dot else "", name)

    def related(self, suffix: str) -> str:
        """Name something that belongs to the table.

        Args:
            suffix: What it is.

        Returns:
            Its name, quoted.
        """
        return f'{self.prefix}"{self.name}{suffix}"'

    @property
    def entries(self) -> str:
        """The table of entries, quoted."""
        return self.related("")

    @property
    def totals(self) -> str:
        """The table of changes that add up to totals, quoted."""
        return self.related("_totals")

    @property
    def version(self) -> str:
        """The table that holds the version, quoted."""
        return self.related("_schema")


def schema_sql(table: str = DEFAULT_TABLE) -> str:
    """Write the statement that creates the tables, unless they are there.

    Args:
        table: What to call them, with a schema or without.

    Returns:
        One SQL statement.
    """
    return _creation(Tables.named(table))


def fold_sql(tables: Tables, namespaces: str) -> str:
    """Write the statement that makes one change of those to the totals of some namespaces.

    Those that somebody else is folding are left to them.

    Args:
        tables: The tables.
        namespaces: The query for the "namespace_id" of the namespaces.

    Returns:
        One SQL statement.
    """
    return f"""
      WITH gone AS (
        DELETE FROM {tables.totals} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM {tables.totals} WHERE namespace_id IN ({namespaces})
          FOR UPDATE SKIP LOCKED
        )) RETURNING *
      )
      INSERT INTO {tables.totals}
      SELECT namespace_id, min(namespace), sum(entries), sum(bytes)
      FROM gone GROUP BY namespace_id HAVING sum(entries) <> 0 OR sum(bytes) <> 0"""  # noqa: S608


async def prepare_schema(connection: Any, tables: Tables) -> None:
    """See to it that the tables are there, and of this version.

    Args:
        connection: A connection of asyncpg.
        tables: The tables.

    Raises:
        SchemaError: If they are of a newer version. They are left alone.
        asyncpg.PostgresError: If they cannot be created.
    """
    from asyncpg import UndefinedTableError  # noqa: PLC0415

    query = f"SELECT max(version) FROM {tables.version}"  # noqa: S608 - a checked name
    try:
        version = await connection.fetchval(query)
    except UndefinedTableError:
        await connection.execute(_creation(tables))
        version = await connection.fetchval(query)
    if version is None or version > SCHEMA_VERSION:
        raise SchemaError(
            f"the tables {tables.entries} have version {version}, and this library knows versions "
            f"up to {SCHEMA_VERSION}: upgrade pipecat-tts-cache. They are left alone"
        )


def _creation(tables: Tables) -> str:
    return _SCHEMA.format(
        entries=tables.entries,
        totals=tables.totals,
        version_table=tables.version,
        count=tables.related("_count"),
        index=f'"{tables.name}_expires_at"',
        totals_index=f'"{tables.name}_totals_namespace_id"',
        fold=fold_sql(tables, "SELECT namespace_id FROM removed"),
        version=SCHEMA_VERSION,
    )


_SCHEMA = """\
DO $create$
BEGIN
  -- Those who come at the same time wait here, and then find the tables.
  PERFORM pg_advisory_xact_lock(hashtext('pipecat-tts-cache {version_table}'));
  IF to_regclass('{version_table}') IS NOT NULL THEN
    RETURN;
  END IF;

  CREATE TABLE {entries} (
    namespace_id  bytea NOT NULL,            -- SHA-256 of the namespace
    digest        text COLLATE "C" NOT NULL, -- of all that shapes the audio
    namespace     text NOT NULL,
    text          text,
    text_digest   text NOT NULL,
    service       text NOT NULL,
    voice         text,
    model         text,
    duration      double precision NOT NULL, -- seconds
    sample_rate   bigint NOT NULL,           -- Hz
    num_channels  integer NOT NULL,
    codec         text NOT NULL,
    bytes         bigint NOT NULL,           -- of the record
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,      -- looked up, or else stored
    uses          bigint NOT NULL DEFAULT 0,
    expires_at    timestamptz,
    record        bytea NOT NULL,
    PRIMARY KEY (namespace_id, digest)
  ) WITH (fillfactor = 90);
  -- Speech does not become smaller by compression.
  ALTER TABLE {entries} ALTER COLUMN record SET STORAGE EXTERNAL;
  CREATE INDEX {index} ON {entries} (expires_at) WHERE expires_at IS NOT NULL;

  -- How many entries and bytes there are, as changes to be added up: so nobody waits for others,
  -- and counting does not cost a scan of the entries. Changes are folded into one now and then.
  CREATE TABLE {totals} (
    namespace_id  bytea NOT NULL,
    namespace     text NOT NULL,
    entries       numeric NOT NULL,
    bytes         numeric NOT NULL
  );
  CREATE INDEX {totals_index} ON {totals} (namespace_id);

  -- It finds the totals in whatever session an entry is changed.
  CREATE FUNCTION {count}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $count$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      INSERT INTO {totals} VALUES (NEW.namespace_id, NEW.namespace, 1, NEW.bytes);
    ELSIF TG_OP = 'UPDATE' THEN
      INSERT INTO {totals} VALUES
        (OLD.namespace_id, OLD.namespace, -1, -OLD.bytes),
        (NEW.namespace_id, NEW.namespace, 1, NEW.bytes);
    ELSIF TG_OP = 'DELETE' THEN
      INSERT INTO {totals}
      SELECT namespace_id, min(namespace), -count(*), -sum(bytes) FROM removed GROUP BY 1;
      {fold};
    ELSE
      DELETE FROM {totals};
    END IF;
    RETURN NULL;
  END
  $count$;
  CREATE TRIGGER count_inserted AFTER INSERT ON {entries}
    FOR EACH ROW EXECUTE FUNCTION {count}();
  CREATE TRIGGER count_updated AFTER UPDATE ON {entries} FOR EACH ROW
    WHEN (OLD.bytes <> NEW.bytes OR OLD.namespace_id <> NEW.namespace_id)
    EXECUTE FUNCTION {count}();
  CREATE TRIGGER count_deleted AFTER DELETE ON {entries}
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION {count}();
  CREATE TRIGGER count_truncated AFTER TRUNCATE ON {entries}
    FOR EACH STATEMENT EXECUTE FUNCTION {count}();

  CREATE TABLE {version_table} (version integer NOT NULL);
  INSERT INTO {version_table} VALUES ({version});
END
$create$;
"""
