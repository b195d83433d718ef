#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where a PostgreSQL server is: a DSN checked, and named without user and password."""

import os
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEMES = ("postgresql", "postgres")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PORT = 5432
_MAX_PORT = 65535
_OF_LIBPQ_ONLY = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "requirepeer",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""Options that asyncpg does not know: it would pass them on to the server, which refuses them."""


def check_dsn(dsn: object) -> str:
    """Check a DSN.

    Args:
        dsn: The DSN, or None for what the environment says (``PGHOST`` …), as `psql` does.

    Returns:
        What to call the server: for instance "postgresql://localhost:5432/speech".

    Raises:
        TypeError: If it is no string.
        ValueError: If it is no DSN. The message holds nothing of it but names of options.
    """
    if dsn is None:
        host = os.environ.get("PGHOST", "localhost")
        port, database = os.environ.get("PGPORT", _PORT), os.environ.get("PGDATABASE", "")
        return f"postgresql://{host}:{port}/{database}"
    if not isinstance(dsn, str):
        raise TypeError(f"dsn must be a str, not {type(dsn).__name__}")
    try:
        parts = urlsplit(dsn)
    except ValueError:
        raise ValueError(_advice("cannot be read")) from None
    if parts.scheme not in _SCHEMES or not dsn.startswith(f"{parts.scheme}://"):
        raise ValueError("dsn must start with postgresql:// (or postgres://)")
    if "@" in parts.path or parts.fragment or "@" in parts.netloc.partition("@")[2]:
        raise ValueError(_advice("cannot be read"))
    options = _read_options(parts.query)
    hosts = parts.netloc.rpartition("@")[2] or options.get("host", "") or "localhost"
    port = options.get("port", "")
    named = ",".join(_name_host(host, port) for host in hosts.split(","))
    database = unquote(parts.path[1:]) or options.get("dbname", options.get("database", ""))
    return f"postgresql://{named}/{database}"


def _read_options(query: str) -> dict[str, str]:
    try:
        options = {
            name: values[-1] for name, values in parse_qs(query, strict_parsing=bool(query)).items()
        }
    except ValueError:
        raise ValueError(_advice("has options after '?' that cannot be read")) from None
    if unknown := sorted(_OF_LIBPQ_ONLY & options.keys()):
        raise ValueError(
            f"dsn has an option that asyncpg does not know: leave {', '.join(unknown)} out"
        )
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ValueError(f"sslmode of the dsn must be one of {', '.join(_SSL_MODES)}")
    return options


def _name_host(host: str, port: str) -> str:
    if unquote(host).startswith("/"):
        return unquote(host)
    name, colon, own_port = host.rpartition(":")
    if not colon or own_port.endswith("]"):
        name, own_port = host, ""
    number = own_port or port.split(",", maxsplit=1)[0] or str(_PORT)
    if not (number.isdecimal() and 0 < int(number) <= _MAX_PORT):
        raise ValueError(_advice("has a port that is no number"))
    return f"{name or 'localhost'}:{number}"


def _advice(problem: str) -> str:
    return (
        f"dsn {problem}: it must look like postgresql://user:password@host:5432/database, with "
        "'/', '@', ':', '?' and '#' in user and password written as %2F, %40, %3A, %3F and %23"
    )
