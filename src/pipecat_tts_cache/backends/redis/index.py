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
lie on different nodes of a cluster. An entry is never without its index: on a single server both
are written at once. On a cluster the index is written before the entry, in case the writer dies,
and again after it, in case a removal passed in between. A removal takes entries away before and
after their place in the index; not at once, which a server refuses that is full.

The other way round is allowed: an index may list entries that are gone, because they expired or
the server evicted them. `tidy` drops them, a few with every few writes. A server that evicts an
index leaves its entries without one; each is listed again when it is next written.

Each change is told to the other stores, see `redis_news`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.backends.names import encode_namespace
from pipecat_tts_cache.backends.redis.client import is_cluster
from pipecat_tts_cache.backends.redis.commands import Command, run, run_at_once, run_in_order
from pipecat_tts_cache.backends.redis.news import NewsChannel
from pipecat_tts_cache.backends.wall_clock import check_clock
from pipecat_tts_cache.utterance import PINNED_MARK, PINNED_START, PINNED_STOP, is_pinned

BATCH = 256
PAGE = 128
_TIDY_SAMPLE = 32
_CLOCK_SKEW = 3600.0
"""How far the clocks of two hosts may be apart before one takes the other's entries for expired."""

_FOREVER = "+inf"
_UNLESS_PINNED = f"""
local head = redis.pcall('GETRANGE', KEYS[1], {PINNED_START}, {PINNED_STOP - 1})
if type(head) == 'string' and head:find(ARGV[1], 1, true) then return false end
return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))"""
"""Runs a command on an entry; answers None if that is pinned."""
_GONE = -2
"""What a server says of the time to live of a key that is not there."""


class RedisIndex:
    """The keys of one store on a Redis server."""

    def __init__(
        self,
        prefix: str,
        *,
        wall_clock: Callable[[], float] = time.time,
        on_unheard: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Name the keys.

        Args:
            prefix: What all keys begin with.
            wall_clock: Tells the time in seconds since the Unix epoch.
            on_unheard: Called with what a server says that does not pass on what is told.

        Raises:
            TypeError: If the clock is no function.
        """
        self._prefix = prefix.encode(errors="surrogatepass")
        self._names = self._prefix + b"n"
        self._wall_clock = check_clock("wall_clock", wall_clock)
        self._on_unheard = on_unheard
        self.news = NewsChannel(self._prefix)

    def entry(self, key: CacheKey) -> bytes:
        """Name the key of an entry.

        Args:
            key: Where an utterance is kept.

        Returns:
            The name.
        """
        return self.entry_of(*name_and_digest(key))

    def entry_of(self, name: bytes, digest: bytes) -> bytes:
        """Name the key of an entry.

        Args:
            name: The encoded name of its namespace.
            digest: Its digest.

        Returns:
            The name.
        """
        return b"%be:%b:%b" % (self._prefix, name, digest)

    def _index(self, name: bytes) -> bytes:
        return b"%bi:%b" % (self._prefix, name)

    async def write(self, client: Any, key: CacheKey, record: bytes, ttl: float | None) -> bool:
        """Write an entry and list it, unless it would replace something pinned and is not.

        Args:
            client: The client.
            key: Where to keep it.
            record: What to keep.
            ttl: Seconds for which to keep it, or None for ever.

        Returns:
            Whether it was written.
        """
        name, digest = name_and_digest(key)
        expiry = _FOREVER if ttl is None else self._wall_clock() + ttl
        lifetime = () if ttl is None else ("PX", max(1, round(1000 * ttl)))
        entry = self.entry_of(name, digest)
        index: Command = ("ZADD", self._index(name), expiry, digest)
        names: Command = ("ZADD", self._names, "GT", expiry, name)
        stored: Command = ("SET", entry, record, *lifetime)
        if not is_pinned(record[:PINNED_STOP]):
            stored = _unless_pinned(stored)
        message = self.news.stored(name, digest)
        if is_cluster(client):
            steps = [[index], [names], [stored], [index], [names]]
            _, _, (answer,), *_ = await self._change(client, steps, message)
        else:
            undo = ("UNLINK", entry)
            commands = [index, names, stored]
            (*_, answer), unheard = await run_at_once(client, commands, message=message, undo=undo)
            self._note(unheard)
        if answer is None:
            await self._list_for_ever(client, name, digest)
        return answer is not None

    async def _list_for_ever(self, client: Any, name: bytes, digest: bytes) -> None:
        """Put in order the place of something pinned, which a write or a use has moved."""
        await run(client, [("ZADD", self._index(name), "XX", _FOREVER, digest)], strict=False)

    async def use(self, client: Any, key: CacheKey, ttl: float) -> tuple[Any, Exception | None]:
        """Read an entry and let it live on from now, unless it is pinned and lives for ever.

        It is read even where the server does not let it be written.

        Args:
            client: The client.
            key: Where it is kept.
            ttl: Seconds for which to keep it from now on.

        Returns:
            The record or None, and what the server said if it does not let it live on.
        """
        name, digest = name_and_digest(key)
        entry = self.entry_of(name, digest)
        expiry = self._wall_clock() + ttl
        commands: list[Command] = [
            ("GET", entry),
            _unless_pinned(("PEXPIRE", entry, max(1, round(1000 * ttl)))),
            ("ZADD", self._index(name), "XX", expiry, digest),
            ("ZADD", self._names, "XX", "GT", expiry, name),
        ]
        record, *touched = await run(client, commands, strict=False)
        if isinstance(record, Exception):
            raise record
        if record is not None and is_pinned(record[:PINNED_STOP]):
            await self._list_for_ever(client, name, digest)
        return record, next((each for each in touched if isinstance(each, Exception)), None)

    async def remove(self, client: Any, name: bytes, digests: Sequence[bytes]) -> int:
        """Remove entries.

        Args:
            client: The client.
            name: The encoded name of their namespace.
            digests: Their digests, at least one.

        Returns:
            How many there were.
        """
        steps = self._removal(client, name, digests)
        return _removed(await self._change(client, steps, self.news.removed(name, digests)))

    def _removal(self, client: Any, name: bytes, digests: Sequence[bytes]) -> list[list[Command]]:
        entries = [self.entry_of(name, digest) for digest in digests]
        unlinked: list[Command] = [("UNLINK", *entries)]
        if is_cluster(client):  # where they may lie on different nodes
            unlinked = [("UNLINK", entry) for entry in entries]
        return [unlinked, [("ZREM", self._index(name), *digests)], unlinked]

    async def _change(
        self, client: Any, steps: Sequence[Sequence[Command]], message: Command
    ) -> list[list[Any]]:
        answers, unheard = await run_in_order(client, steps, message=message)
        self._note(unheard)
        return answers

    def _note(self, unheard: Exception | None) -> None:
        if unheard is not None:
            self._on_unheard(unheard)

    async def tell_cleared(self, client: Any, name: bytes | None) -> None:
        """Tell the other stores that a namespace was cleared.

        Args:
            client: The client.
            name: Its encoded name, or None for all.
        """
        await self._change(client, [], self.news.cleared(name))

    async def page(self, client: Any, name: bytes, cursor: int) -> tuple[int, list[bytes]]:
        """List some digests of a namespace.

        What is in the index from the first page to the last is on one of them, perhaps on two.

        Args:
            client: The client.
            name: The encoded name of the namespace.
            cursor: 0 for the first page, then what came with the one before.

        Returns:
            What to ask for the next page, 0 after the last; and the digests.
        """
        command: Command = ("ZSCAN", self._index(name), cursor, "COUNT", PAGE)
        ((following, members),) = await run(client, [command])
        return int(following), [digest for digest, _ in members]

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
        if not digests:
            await self._drop_names(client, [name])
            return 0, False
        steps = self._removal(client, name, digests)
        return _removed(await self._change(client, steps, self.news.cleared(name))), True

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

    async def _tidy_entries(self, client: Any, name: bytes, *, expired: int = _TIDY_SAMPLE) -> None:
        """Look at those that expire first and at some others, which the server may have evicted."""
        index = self._index(name)
        look_at = [("ZRANGE", index, 0, expired - 1), ("ZRANDMEMBER", index, _TIDY_SAMPLE)]
        first, some = await run(client, look_at)
        digests = list({*first, *some})
        left = await self._lifetimes(client, name, digests)
        gone = [digest for digest in digests if left[digest] == _GONE]
        if gone:
            await run(client, [("ZREM", index, *gone)])
            await self._take_back(client, name, gone)

    async def _take_back(self, client: Any, name: bytes, digests: Sequence[bytes]) -> None:
        """List again what was written just before it was dropped from the index."""
        for digest, milliseconds in (await self._lifetimes(client, name, digests)).items():
            if milliseconds != _GONE:
                is_forever = milliseconds < 0
                expiry = _FOREVER if is_forever else self._wall_clock() + milliseconds / 1000
                listed: Command = ("ZADD", self._index(name), "NX", expiry, digest)
                await self._change(client, [[listed]], self.news.stored(name, digest))

    async def _lifetimes(
        self, client: Any, name: bytes, digests: Sequence[bytes]
    ) -> dict[bytes, int]:
        """Ask for the milliseconds that entries have left."""
        asked: list[Command] = [("PTTL", self.entry_of(name, digest)) for digest in digests]
        return dict(zip(digests, await run(client, asked), strict=True))

    async def _tidy_names(self, client: Any) -> None:
        """Drop namespaces in which everything has expired and nothing is written any more.

        What has, the server is asked: by the clock of a host that is ahead, others' would have.
        """
        horizon = self._wall_clock() - _CLOCK_SKEW
        over = ("ZRANGEBYSCORE", self._names, "-inf", horizon, "LIMIT", 0, _TIDY_SAMPLE)
        (names,) = await run(client, [over])
        for name in names:
            await self._tidy_entries(client, name, expired=BATCH)
        sizes = await run(client, [("ZCARD", self._index(name)) for name in names])
        if empty := [name for name, size in zip(names, sizes, strict=True) if not size]:
            await self._drop_names(client, empty)

    async def _drop_names(self, client: Any, names: Sequence[bytes]) -> None:
        """Drop namespaces, but take back those in which something was written meanwhile."""
        await run(client, [("ZREM", self._names, *names)])
        sizes = await run(client, [("ZCARD", self._index(name)) for name in names])
        alive = [name for name, size in zip(names, sizes, strict=True) if size]
        await run(client, [("ZADD", self._names, "GT", _FOREVER, name) for name in alive])


def _removed(answers: list[list[int]]) -> int:
    """Count what a removal removed: before its place in the index, and after."""
    before, _, after = answers
    return sum(before) + sum(after)


def _unless_pinned(command: Command) -> Command:
    """Make a command on an entry one that is not done if the entry is pinned."""
    name, entry, *arguments = command
    return ("EVAL", _UNLESS_PINNED, 1, entry, PINNED_MARK, name, *arguments)


def name_and_digest(key: CacheKey) -> tuple[bytes, bytes]:
    """Write a key in bytes.

    Args:
        key: Where an utterance is kept.

    Returns:
        The encoded name of its namespace, and its digest.
    """
    return encode_namespace(key.namespace).encode(), key.digest.encode()
