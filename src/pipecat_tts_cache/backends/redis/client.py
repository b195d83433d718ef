#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Clients for the Redis store: made to fail fast, or taken from the caller and checked.

The `redis` package is imported inside the functions, so that it is needed only by who uses it.
"""

import random
import re
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from pipecat_tts_cache.errors import MissingExtraError

_LIBRARY = "pipecat-tts-cache"
_SCHEMES = ("redis", "rediss", "unix")


def require_redis() -> None:
    """Make sure that redis-py is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import_module("redis.asyncio")
    except ImportError as error:
        raise MissingExtraError("RedisCacheBackend", "redis") from error


def make_client(url: str, *, timeout: float, slowest: float, max_connections: int) -> Any:
    """Make a client that fails fast: no retries, and a call waits for a free connection.

    By default redis-py retries ten times, waits for 5 s each time, and raises when all connections
    are in use.

    Args:
        url: Where the server is.
        timeout: Seconds to wait for a connection to open or to be free.
        slowest: Seconds to wait for the slowest answer.
        max_connections: The most connections to open.

    Returns:
        A `redis.asyncio.Redis` that owns its connections. None is open yet.

    Raises:
        TypeError: If the URL is no string.
        ValueError: If it is no Redis URL. The message holds nothing of it but its scheme.
    """
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    _check_scheme(url)
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout,
            socket_timeout=slowest,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            # Under RESP3 redis-py 8 listens for maintenance notifications, and then hands out
            # connections without a look at whether they are still alive.
            protocol=2,
            **({} if url.startswith("unix") else {"socket_keepalive": True}),
            **_introduction(),
        )
        # An option that redis-py does not know comes to light when a connection is made.
        pool.connection_class(**pool.connection_kwargs)
    except (AttributeError, RedisError, TypeError, ValueError):
        # From None: the cause may quote a part of the URL, and that may be the password.
        raise ValueError(
            "redis_url cannot be read: a port is no number (encode '/', '@', ':' and '#' in user "
            "and password as %2F, %40, %3A and %23), or an option after '?' is unknown or wrong"
        ) from None
    _check_database(url)
    client = Redis.from_pool(pool)
    _check_decodes_nothing("redis_url", client)
    return client


def _introduction() -> dict[str, Any]:
    """Say who is connecting; left to itself, redis-py reads its own version from disk each time."""
    from redis.asyncio import connection  # noqa: PLC0415

    driver_info: Any = getattr(connection, "DriverInfo", None)
    if driver_info is None:
        return {"lib_name": _LIBRARY, "lib_version": None}
    return {"driver_info": driver_info(name=_LIBRARY, lib_version="")}


def _check_scheme(url: object) -> None:
    if not isinstance(url, str):
        raise TypeError(f"redis_url must be a str, not {type(url).__name__}")
    expected = "redis_url must start with redis://, rediss:// or unix://"
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise ValueError(f"{expected} and be a URL") from None
    if scheme not in _SCHEMES or not url[len(scheme) :].startswith("://"):
        raise ValueError(expected)


def _check_database(url: str) -> None:
    """Refuse what redis-py takes for database 0."""
    scheme, _, path, *_ = urlsplit(url)
    if scheme != "unix" and not re.fullmatch(r"/?|/[0-9]+/?", path):
        raise ValueError(
            "redis_url must end with the number of a database, as redis://localhost:6379/0 does"
        )


def check_client(client: object) -> None:
    """Check a caller's own client.

    Args:
        client: What the caller passed.

    Raises:
        TypeError: If it is no client of `redis.asyncio`.
        ValueError: If it turns what it reads into text.
    """
    from redis.asyncio import Redis, RedisCluster  # noqa: PLC0415

    if not isinstance(client, (Redis, RedisCluster)):
        raise TypeError(
            "client must be a redis.asyncio.Redis, a redis.asyncio.RedisCluster or what a "
            f"redis.asyncio Sentinel's master_for() returns, not {_full_name(type(client))}"
        )
    _check_decodes_nothing("client", client)


def _check_decodes_nothing(name: str, client: Any) -> None:
    if client.get_encoder().decode_responses:
        raise ValueError(f"{name} must not ask for decode_responses: records are no text")


def is_cluster(client: Any) -> bool:
    """Tell whether a client speaks to a cluster.

    Args:
        client: A client of `redis.asyncio`.

    Returns:
        Whether it does.
    """
    from redis.asyncio import RedisCluster  # noqa: PLC0415

    return isinstance(client, RedisCluster)


def reads_replicas(client: Any) -> bool:
    """Tell whether a client of a cluster asks replicas, which may not hold yet what was written.

    Args:
        client: A client of `redis.asyncio`.

    Returns:
        Whether it may.
    """
    options = ("read_from_replicas", "load_balancing_strategy")
    return is_cluster(client) and any(getattr(client, name, None) for name in options)


async def node_client(client: Any) -> Any:
    """Make a client of one node of a cluster, with connections of its own.

    Args:
        client: A client of the cluster.

    Returns:
        A `redis.asyncio.Redis` that owns its connections.
    """
    from redis.asyncio import ConnectionPool, Redis  # noqa: PLC0415

    await client.initialize()
    node = random.choice(client.get_primaries())  # noqa: S311 - any other will do as well
    pool = ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs)
    return Redis.from_pool(pool)


def describe(client: Any) -> str:
    """Name the server behind a client, without user and password.

    Args:
        client: A client of `redis.asyncio`.

    Returns:
        For instance "redis://localhost:6379/0".
    """
    if is_cluster(client):
        return "Redis Cluster"
    pool = client.connection_pool
    options: dict[str, Any] = pool.connection_kwargs
    if hasattr(pool, "service_name"):
        return f"Redis Sentinel's {pool.service_name}"
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return f"{scheme}://{host}:{port}/{options.get('db') or 0}"


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
