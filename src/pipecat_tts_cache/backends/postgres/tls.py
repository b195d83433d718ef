#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Certificates for connections to PostgreSQL, read off the event loop.

asyncpg reads them for each connection, on the loop: 0.1 s for those of a system.
"""

import os
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_SURE = ("require", "verify-ca", "verify-full")
_OF_ASYNCPG = frozenset(
    {
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslnegotiation",
        "sslpassword",
    }
)
"""Options that asyncpg reads along with the certificates."""
_READ = ("PGSSLMODE", "PGSSLROOTCERT")


def read_certificates(dsn: str | None) -> ssl.SSLContext | None:
    """Read the certificates that a DSN names, if that is all it says of TLS. Not on a loop.

    Args:
        dsn: Where the server is, or None for what the environment says.

    Returns:
        What asyncpg would make of ``sslmode`` and ``sslrootcert``, or None to leave it to asyncpg.

    Raises:
        OSError: If they cannot be read.
    """
    options = parse_qs(urlsplit(dsn or "").query)
    mode, root = (
        options.get(name, [os.environ.get(variable, "")])[-1]
        for name, variable in zip(("sslmode", "sslrootcert"), _READ, strict=True)
    )
    others = [name for name in os.environ if name.startswith("PGSSL") and name not in _READ]
    own_files = (Path.home() / ".postgresql").exists()
    if mode not in _SURE or not root or others or own_files or _OF_ASYNCPG & options.keys():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which verifies, and the name as well
    context.check_hostname = mode == "verify-full"
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=root)
    return context
