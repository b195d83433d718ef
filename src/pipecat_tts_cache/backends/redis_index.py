#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where things are on a Redis server, and the index that tells what is there.

Keys, where *name* stands for a namespace, percent-encoded so that any string is safe::

    {prefix}e:{name}:{digest}   an entry: one record, with the server's own time to live
    {prefix}i:{name}            the index of a namespace: a sorted set of digests
    {prefix}n                   the namespaces: a sorted set of names

Scores are expiry times in seconds since the Unix epoch: of the entry in an index, of the longest
lived entry among the namespaces; +inf for ever. With the index, clearing and counting never search
the server, and cost what is theirs, not what else lives there.

Nothing holds two of these keys together but the order in which they are written, so that they may
lie on different nodes of a cluster. An entry is never without its index: `note` comes before it is
written, in case the writer dies, and again after it, in case a `remove` passed in between. `remove`
in its turn takes entries away before and after their place in the index.

The other way round is allowed: an index may list entries that are gone, because they expired or
the server evicted them. `tidy` drops them, a few with every few writes.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.redis_client import is_cluster

BATCH = 256
_TIDY_SAMPLE = 32
_CLOCK_SKEW = 3600.0
"""How far the clocks of two hosts may be apart before one takes the other's entries for expired."""

_FOREVER = "+inf"
_Command = tuple[Any, ...]


class RedisIndex:
    """The keys of one store on a Redis server."""

    def __init__(self, prefix: str, *, wall_clock: Callable[[], float] = time.time) -> None:
        """Name the keys.

        Args:
            prefix: What all keys begin with.
            wall_clock: Tells the time in seconds since the Unix epoch.
        """
        self._prefix = prefix.encode(errors="surrogatepass")
        self._names = self._prefix + b"n"
        self._wall_clock = wall_clock

    def entry(self, key: CacheKey) -> bytes:
        """Name the key of an entry.

        Args:
            key: Where an utterance is kept.

        Returns:
            The name.
        """
        return self._entry(encode_namespace(key.namespace).encode(), key.digest.encode())

    def _entry(self, name: bytes, digest: bytes) -> bytes:
        return b"%be:%b:%b" % (self._prefix, name, digest)

    def _index(self, name: bytes) -> bytes:
        return b"%bi:%b" % (self._prefix, name)

    async def note(self, client: Any, key: CacheKey, ttl: float | None) -> None:
        """List an entry.

        Args:
            client: The client.
            key: Where the utterance is kept.
            ttl: Seconds for which it is, or None for ever.
        """
        name = encode_namespace(key.namespace).encode()
        expiry = _FOREVER if ttl is None else self._wall_clock() + ttl
        await run(client, [("ZADD", self._index(name), expiry, key.digest)])
        await run(client, [("ZADD", self._names, "GT", expiry, name)])

    async def remove(self, client: Any, name: bytes, digests: Sequence[bytes]) -> int:
        """Remove entries.

        Args:
            client: The client.
            name: The encoded name of their namespace.
            digests: Their digests, at least one.

        Returns:
            How many there were.
        """
        entries = [self._entry(name, digest) for digest in digests]
        removed = await _unlink(client, entries)
        await run(client, [("ZREM", self._index(name), *digests)])
        return removed + await _unlink(client, entries)

    async def list_names(self, client: Any) -> list[bytes]:
        """List the namespaces that may hold entries.

        Args:
            client: The client.

        Returns:
            Their encoded names.
        """
        (names,) = await run(client, [("ZRANGE", self._names, 0, -1)])
        return list(names)

    async def clear_some(self, client: Any, name: bytes) -> tuple[int, bool]:
        """Remove some entries of a namespace, and its name once there is nothing left.

        Args:
            client: The client.
            name: The encoded name of the namespace.

        Returns:
            How many entries were removed, and whether there may be more.
        """
        (digests,) = await run(client, [("ZRANGE", self._index(name), 0, BATCH - 1)])
        if digests:
            return await self.remove(client, name, digests), True
        await self._drop_names(client, [name])
        return 0, False

    async def count(self, client: Any, names: Sequence[bytes]) -> list[int]:
        """Count entries that have not expired.

        Args:
            client: The client.
            names: The encoded names of the namespaces to count in.

        Returns:
            How many the index of each lists.
        """
        now = self._wall_clock()
        return await run(client, [("ZCOUNT", self._index(n), now, _FOREVER) for n in names])

    async def tidy(self, client: Any, name: bytes) -> None:
        """Drop a few things from the index that are gone, so that it cannot grow for ever.

        Args:
            client: The client.
            name: The encoded name of the namespace whose index to look at.
        """
        await self._tidy_entries(client, name)
        await self._tidy_names(client)

    async def _tidy_entries(self, client: Any, name: bytes) -> None:
        """Look at those that expire first and at some others, which the server may have evicted."""
        index = self._index(name)
        look_at = [("ZRANGE", index, 0, _TIDY_SAMPLE - 1), ("ZRANDMEMBER", index, _TIDY_SAMPLE)]
        first, some = await run(client, look_at)
        digests = list({*first, *some})
        there = await run(client, [("EXISTS", self._entry(name, digest)) for digest in digests])
        gone = [digest for digest, exists in zip(digests, there, strict=True) if not exists]
        if gone:
            await run(client, [("ZREM", index, *gone)])

    async def _tidy_names(self, client: Any) -> None:
        """Drop namespaces in which everything has expired and nothing is written any more."""
        horizon = self._wall_clock() - _CLOCK_SKEW
        expired = ("ZRANGEBYSCORE", self._names, "-inf", horizon, "LIMIT", 0, _TIDY_SAMPLE)
        (names,) = await run(client, [expired])
        if names:
            await run(
                client, [("ZREMRANGEBYSCORE", self._index(n), "-inf", horizon) for n in names]
            )
            await self._drop_names(client, names)

    async def _drop_names(self, client: Any, names: Sequence[bytes]) -> None:
        """Drop namespaces, but take back those in which something was written meanwhile."""
        await run(client, [("ZREM", self._names, *names)])
        sizes = await run(client, [("ZCARD", self._index(name)) for name in names])
        alive = [name for name, size in zip(names, sizes, strict=True) if size]
        await run(client, [("ZADD", self._names, "GT", _FOREVER, name) for name in alive])


async def run(client: Any, commands: Iterable[_Command]) -> list[Any]:
    """Send commands in one go. On a cluster, their order is only kept on each node.

    Args:
        client: The client.
        commands: The commands.

    Returns:
        The answers.

    Raises:
        Exception: The first answer that is an error.
    """
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    # Were the pipeline to raise, it would quote the command in the message.
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _unlink(client: Any, entries: Sequence[bytes]) -> int:
    """Delete entries: in one command, or in one each where they may lie on different nodes."""
    together = [("UNLINK", *entries)]
    one_by_one = [("UNLINK", entry) for entry in entries]
    return sum(await run(client, one_by_one if is_cluster(client) else together))
