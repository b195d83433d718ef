#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store for several processes: utterances on a Redis or Valkey server."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.records import read_record, write_record
from pipecat_tts_cache.backends.redis.client import make_client, require_redis
from pipecat_tts_cache.backends.redis.contents import RedisContents
from pipecat_tts_cache.backends.redis.index import BATCH, RedisIndex, name_and_digest
from pipecat_tts_cache.backends.redis.server import is_read_only, make_servers
from pipecat_tts_cache.backends.redis.watch import RedisWatch
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.checks import check_choice, check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.codec import Codec
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
_COUNTED = (
    "hits",
    "misses",
    "known_absent",
    "corrupt",
    "newer",
    "refused",
    "not_prolonged",
    "not_announced",
)
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

    keeps_pins = True

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        key_prefix: str = "pipecat:tts:",
        client: "Redis | RedisCluster | None" = None,
        replica: "str | Redis | None" = None,
        codec: Codec = "flac",
        sliding_ttl: float | None = None,
        watch: bool = False,
        max_known: int = 200_000,
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
            replica: A URL or a client of a replica near by, which look-ups ask first.
            codec: How audio is kept: "flac" without loss in about half the room, "raw" as it is,
                "opus" with loss in a tenth.
            sliding_ttl: Seconds for which an utterance is kept from each hit on, and from when it
                was stored unless that named a time to live; None if hits change nothing.
            watch: Whether to listen to what other stores do, see `on_removal`, and to answer
                look-ups of what is known not to be there without asking the server.
            max_known: The most digests to keep in mind for that, in about 150 bytes each.
            timeout: Seconds a look-up may take.
            write_timeout: Seconds a write may take, a `peek`, or one batch of a `clear`, a listing
                or of statistics.
            max_connections: The most connections to open at once; further calls wait for one.
                Listening takes one more.
            breaker: Decides when to leave the server alone. By default after 3 failures in a row,
                for 1 s, doubling up to 30 s.
            wall_clock: Tells the time in seconds since the Unix epoch.

        Raises:
            MissingExtraError: If the ``redis`` extra is not installed.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense, or both a URL and a client are given, or
                both a replica and `sliding_ttl`, which makes a write of each hit.
        """
        require_redis()
        if not isinstance(key_prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"key_prefix must be a str, not {type(key_prefix).__name__}")
        if not isinstance(watch, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"watch must be a bool, not {type(watch).__name__}")
        if redis_url is not None and client is not None:
            raise ValueError("pass either redis_url or client, not both")
        if replica is not None and sliding_ttl is not None:
            raise ValueError("sliding_ttl makes a write of each hit, so leave out replica")
        self._timeout = check_seconds("timeout", timeout)
        self._write_timeout = check_seconds("write_timeout", write_timeout)
        self._codec: Codec = check_choice("codec", codec, Codec)
        self._sliding_ttl = (
            None if sliding_ttl is None else check_seconds("sliding_ttl", sliding_ttl)
        )
        self._key_prefix = key_prefix
        connect = partial(
            make_client,
            timeout=self._timeout,
            slowest=max(self._timeout, self._write_timeout),
            max_connections=check_positive_int("max_connections", max_connections),
        )
        connect_here = partial(connect, DEFAULT_URL if redis_url is None else redis_url)
        self._servers = make_servers(
            connect_here, client, breaker, replica=replica, connect=connect
        )
        self._server = self._servers.primary
        self._index = RedisIndex(key_prefix, wall_clock=wall_clock, on_unheard=self._unheard)
        self._contents = RedisContents(self._index, self._do, wall_clock=wall_clock)
        self._watch = RedisWatch(
            connect_here,
            client=client,
            news=self._index.news,
            contents=self._contents,
            max_known=check_positive_int("max_known", max_known),
        )
        self._watch.is_on = watch
        self._writes = 0
        self._counts = dict.fromkeys(_COUNTED, 0)

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
        record = await self._look_up(key, self._use if self._sliding_ttl else self._get)
        utterance = None if record is None else await self._read(key, record)
        self._counts["misses" if utterance is None else "hits"] += 1
        return utterance

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it, as tools do.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, or its record cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        record = await self._look_up(key, self._get, within=self._write_timeout)
        return None if record is None else await self._read(key, record)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, to the millisecond, or None to keep it, or to
                keep it for `sliding_ttl`.

        Returns:
            False, with nothing changed, if it cannot be written as a record, would replace
            something pinned and is not, or the server is a replica; else True.

        Raises:
            BackendError: If the server fails, is full, or takes longer than `write_timeout`.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl) or self._sliding_ttl
        written = False
        try:
            record = await write_record(utterance, self._codec)
            written = await self._write(key, record, None if utterance.pinned else seconds)
        except (RecordError, BackendError) as error:
            if not (isinstance(error, RecordError) or is_read_only(error.__cause__)):
                raise
        if not written:
            self._counts["refused"] += 1
            return False
        self._writes += 1
        if self._writes % _TIDY_EVERY == 0:
            with suppress(BackendError):
                await self._do(partial(self._index.tidy, name=name_and_digest(key)[0]))
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
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances.

        Args:
            keys: Where they are kept.

        Returns:
            How many there were.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        self._watch.start()
        digests: dict[bytes, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            name, digest = name_and_digest(key)
            digests.setdefault(name, []).append(digest)
        batches = [
            partial(self._index.remove, name=name, digests=mine[start : start + BATCH])
            for name, mine in digests.items()
            for start in range(0, len(mine), BATCH)
        ]
        return sum([await self._do(batch) for batch in batches])

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
        return bool(await self._look_up(key, lambda client, _: client.exists(entry)))

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace, at a cost in proportion to them.

        Args:
            namespace: The namespace, or None for everything under `key_prefix`.

        Returns:
            How many were removed.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        self._watch.start()
        return await self._contents.clear(_name(namespace))

    def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept, without the audio and without counting as a use.

        Records that cannot be read are passed over. Of each digest in a namespace 8 bytes are kept
        in mind meanwhile, in some 80 bytes of memory.

        Args:
            namespace: The namespace, or None for everything under `key_prefix`.

        Returns:
            The entries, as an async iterator. It raises `BackendError` if the server fails or takes
            longer than `write_timeout` for a page.
        """
        return self._contents.entries(_name(namespace))

    def on_removal(self, listener: Callable[[str | None, str | None], None]) -> bool:
        """Call somebody when another process removes or replaces what it may have a copy of.

        From the next call on this store listens. After the connection was lost, what was said
        meanwhile is too: then the listener is told that everything may be gone.

        Args:
            listener: Called on the event loop with a namespace and a digest. Without a digest,
                all of the namespace is gone; without either, everything is, or may be.

        Returns:
            True: this store can tell.
        """
        self._watch.add_listener(listener)
        return True

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
            - known_absent: Questions that the server was not asked, as it was known to hold
              nothing there.
            - corrupt: Damaged records, which were deleted.
            - newer: Records of a newer format, which were left alone.
            - refused: Utterances not taken: they fit into no record, would have replaced a pinned
              one, or the server is a replica.
            - not_prolonged: Hits whose time to live the server did not let be set anew.
            - not_announced: Changes that the server did not let be told to other stores.
            - watching: Whether this store listens to others just now.
            - known: Digests and namespaces that it keeps in mind.
            - server: Where it is, without user and password.
            - breaker: "closed" while calls are made, "open" while the server is left alone,
              "half_open" while one call tries again.
            - retry_in: Seconds until the next call is let through.
            - errors: Calls that failed, time-outs included.
            - timeouts: Calls that took too long.
            - unavailable: Calls not made because the server is left alone.
            - replica: None, or the last six of the replica.
        """
        entries: int | None = None
        namespaces: int | None = None
        with suppress(BackendError):
            entries, namespaces = await self._contents.count()
        return {
            "entries": entries,
            "namespaces": namespaces,
            "available": entries is not None,
            **self._counts,
            "watching": self._watch.is_listening,
            "known": self._watch.known.size,
            **self._servers.describe(),
        }

    async def close(self) -> None:
        """Close the connections, unless the client is the caller's. Later calls fail."""
        await self._watch.close(within=self._write_timeout)
        await self._servers.close(within=self._write_timeout)

    async def _do(self, work: Callable[[Any], Awaitable[_T]]) -> _T:
        return await self._server.ask(work, within=self._write_timeout)

    async def _look_up(
        self,
        key: CacheKey,
        question: Callable[[Any, CacheKey], Awaitable[Any]],
        within: float | None = None,
    ) -> Any:
        """Ask for something, unless it is known not to be there. None and 0 say that it is not."""
        name, digest = name_and_digest(key)
        self._watch.start()
        if self._watch.is_absent(name, digest):
            self._counts["known_absent"] += 1
            return None
        self._watch.may_be_copied(*key)
        known = self._watch.known
        hints = known.hints
        answer, is_primary = await self._servers.look_up(
            lambda client: question(client, key), within=within or self._timeout
        )
        # A replica may not hold yet what others have already told of.
        if answer in (None, 0) and is_primary:
            known.missed(name, digest, hints=hints)
        return answer

    async def _get(self, client: Any, key: CacheKey) -> Any:
        return await client.get(self._index.entry(key))

    async def _use(self, client: Any, key: CacheKey) -> Any:
        record, refusal = await self._index.use(client, key, self._sliding_ttl or 0)
        if refusal is not None and record is not None:
            self._counts["not_prolonged"] += 1
            self._server.refused(refusal)
        return record

    async def _read(self, key: CacheKey, record: bytes) -> Utterance | None:
        try:
            return await read_record(record)
        except NewerRecordError:
            self._counts["newer"] += 1
        except CorruptRecordError:
            self._counts["corrupt"] += 1
            with suppress(BackendError):
                await self.delete(key)
        return None

    async def _write(self, key: CacheKey, record: bytes, seconds: float | None) -> bool:
        self._watch.start()
        self._watch.may_be_copied(*key)
        name, digest = name_and_digest(key)
        try:
            self._watch.known.add(name, [digest])
            return await self._do(lambda client: self._index.write(client, key, record, seconds))
        finally:  # again, as a look-up meanwhile may have found nothing yet; and whoever gave up
            self._watch.known.add(name, [digest])  # waiting does not know what became of it

    def _unheard(self, error: Exception) -> None:
        self._counts["not_announced"] += 1
        self._server.refused(error)


def _name(namespace: str | None) -> bytes | None:
    return None if namespace is None else encode_namespace(namespace).encode()
