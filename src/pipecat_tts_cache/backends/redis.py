#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for several processes: utterances on a Redis or Valkey server."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.redis_client import check_client, make_client, require_redis
from pipecat_tts_cache.backends.redis_index import BATCH, RedisIndex
from pipecat_tts_cache.backends.redis_server import RedisServer
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.checks import check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.errors import BackendError, CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.utterance import Utterance

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

# Import redis-py now, where it is installed, rather than when a store is made: that may be on a
# running event loop, which it would hold up for 0.2 s.
with suppress(ImportError):
    import_module("redis.asyncio")

DEFAULT_URL = "redis://localhost:6379/0"
_TIDY_EVERY = 16
_T = TypeVar("_T")


class RedisCacheBackend(CacheBackend):
    """Keeps utterances on a Redis (6.2 or newer) or Valkey server that many processes share.

    It makes its own client, which fails fast, or works on the caller's::

        RedisCacheBackend("rediss://user:password@cache.example.com:6379/0")
        RedisCacheBackend(client=RedisCluster(host="cache.example.com"))
        RedisCacheBackend(client=Sentinel([("10.0.0.1", 26379)]).master_for("mymaster"))

    Whatever the client's own timeouts are, each call here has one. When calls fail in a row the
    server is left alone for a while, in which every call raises `BackendUnavailableError` at once;
    then one call tries again.

    A damaged record is a miss, and is deleted. A record of a newer format is a miss, and stays.

    The audio is as safe as the server: nothing is encrypted here. On a server that evicts under
    memory pressure choose a ``volatile-*`` policy and give utterances a time to live, for
    ``allkeys-*`` may evict the index that `clear` goes by.

    One store may serve any number of services of one event loop. Its own connections belong to
    that loop; once it is closed, the store may be used in another one.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        key_prefix: str = "pipecat:tts:",
        client: "Redis | RedisCluster | None" = None,
        timeout: float = 0.25,
        write_timeout: float = 2.0,
        max_connections: int = 32,
        breaker: CircuitBreaker | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a store. It connects when it is first used.

        Args:
            redis_url: Where the server is: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with
                user, password and database, and redis-py's options as a query. By default
                ``redis://localhost:6379/0``.
            key_prefix: What all keys begin with.
            client: A client of `redis.asyncio` to use instead of a URL, with
                ``decode_responses=False``. Closing it is up to the caller.
            timeout: Seconds a look-up may take.
            write_timeout: Seconds a write may take, or one batch of a `clear` or of statistics.
            max_connections: The most connections to open at once; further calls wait for one.
            breaker: Decides when to leave the server alone. By default after 3 failures in a row,
                for 1 s, doubling up to 30 s.
            wall_clock: Tells the time in seconds since the Unix epoch.

        Raises:
            MissingExtraError: If the ``redis`` extra is not installed.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense, or both a URL and a client are given.
        """
        require_redis()
        if not isinstance(key_prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"key_prefix must be a str, not {type(key_prefix).__name__}")
        if redis_url is not None and client is not None:
            raise ValueError("pass either redis_url or client, not both")
        self._timeout = check_seconds("timeout", timeout)
        self._write_timeout = check_seconds("write_timeout", write_timeout)
        self._key_prefix = key_prefix
        self._index = RedisIndex(key_prefix, wall_clock=wall_clock)
        connect = partial(
            make_client,
            DEFAULT_URL if redis_url is None else redis_url,
            timeout=self._timeout,
            slowest=max(self._timeout, self._write_timeout),
            max_connections=check_positive_int("max_connections", max_connections),
        )
        if client is not None:
            check_client(client)
        self._server = RedisServer(connect, client=client, breaker=breaker or CircuitBreaker())
        self._writes = 0
        self._hits = 0
        self._misses = 0
        self._corrupt = 0
        self._newer = 0
        self._refused = 0

    def __repr__(self) -> str:
        return f"RedisCacheBackend({self._server.name!r}, key_prefix={self._key_prefix!r})"

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, or its record cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        entry = self._index.entry(key)
        record = await self._server.ask(lambda client: client.get(entry), within=self._timeout)
        utterance = None if record is None else await self._read(key, record)
        if utterance is None:
            self._misses += 1
        else:
            self._hits += 1
        return utterance

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, to the millisecond, or None to keep it.

        Returns:
            False, with nothing changed, if it cannot be written as a record; else True.

        Raises:
            BackendError: If the server fails, is full, or takes longer than `write_timeout`.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        try:
            record = utterance.to_bytes()
        except RecordError:
            self._refused += 1
            return False
        await self._do(lambda client: self._write(client, key, record, seconds))
        self._writes += 1
        if self._writes % _TIDY_EVERY == 0:
            name = encode_namespace(key.namespace).encode()
            with suppress(BackendError):
                await self._do(lambda client: self._index.tidy(client, name))
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        name, digest = encode_namespace(key.namespace).encode(), key.digest.encode()
        removed = await self._do(lambda client: self._index.remove(client, name, [digest]))
        return removed > 0

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        entry = self._index.entry(key)
        found = await self._server.ask(lambda client: client.exists(entry), within=self._timeout)
        return bool(found)

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        Args:
            namespace: The namespace, or None for everything under `key_prefix`.

        Returns:
            How many were removed.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        if namespace is None:
            names = await self._do(self._index.list_names)
        else:
            names = [encode_namespace(namespace).encode()]
        return sum([await self._clear(name) for name in names])

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store. It never raises: a server that is down is described as that.

        Returns:
            A plain dict:

            - entries: Utterances under `key_prefix` that have not expired, or None while the
              server does not answer. Those that the server evicted may count for a while.
            - namespaces: How many namespaces hold some, or None likewise.
            - available: Whether the server answered just now.
            - hits: Look-ups that found an utterance.
            - misses: Look-ups that did not, those with an unusable record included.
            - corrupt: Damaged records, which were deleted.
            - newer: Records of a newer format, which were left alone.
            - refused: Utterances not taken because they do not fit into a record.
            - server: Where it is, without user and password.
            - breaker: "closed" while calls are made, "open" while the server is left alone,
              "half_open" while one call tries again.
            - retry_in: Seconds until the next call is let through.
            - errors: Calls that failed, time-outs included.
            - timeouts: Calls that took too long.
            - unavailable: Calls not made because the server is left alone.
        """
        entries: int | None = None
        namespaces: int | None = None
        with suppress(BackendError):
            entries, namespaces = await self._count()
        return {
            "entries": entries,
            "namespaces": namespaces,
            "available": entries is not None,
            "hits": self._hits,
            "misses": self._misses,
            "corrupt": self._corrupt,
            "newer": self._newer,
            "refused": self._refused,
            **self._server.describe(),
        }

    async def close(self) -> None:
        """Close the connections, unless the client is the caller's. Later calls fail."""
        await self._server.close(within=self._write_timeout)

    async def _do(self, work: Callable[[Any], Awaitable[_T]]) -> _T:
        return await self._server.ask(work, within=self._write_timeout)

    async def _read(self, key: CacheKey, record: bytes) -> Utterance | None:
        try:
            return Utterance.from_bytes(record)
        except NewerRecordError:
            self._newer += 1
        except CorruptRecordError:
            self._corrupt += 1
            with suppress(BackendError):
                await self.delete(key)
        return None

    async def _write(
        self, client: Any, key: CacheKey, record: bytes, seconds: float | None
    ) -> None:
        await self._index.note(client, key, seconds)
        await client.set(
            self._index.entry(key),
            record,
            px=None if seconds is None else max(1, round(1000 * seconds)),
        )
        await self._index.note(client, key, seconds)

    async def _clear(self, name: bytes) -> int:
        removed, more = 0, True
        while more:
            count, more = await self._do(lambda client: self._index.clear_some(client, name))
            removed += count
        return removed

    async def _count(self) -> tuple[int, int]:
        """Count entries and the namespaces that hold some."""
        names = await self._do(self._index.list_names)
        sizes: list[int] = []
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            sizes += await self._do(partial(self._index.count, names=batch))
        return sum(sizes), sum(size > 0 for size in sizes)
