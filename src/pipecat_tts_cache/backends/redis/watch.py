#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Listening to what other stores do on a Redis server.

One task subscribes to the channel of `redis_news`, tells listeners what others removed or replaced,
and keeps in mind what the server may hold (`redis_known`). What it knows holds while it listens:
from the moment the server has confirmed the subscription, until the connection ends or has been
silent for two pings. What a namespace holds is loaded from its index after that confirmation, and
messages that come meanwhile are added, so that between them they cover every write.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from loguru import logger

from pipecat_tts_cache.backends.redis.client import is_cluster, node_client, reads_replicas
from pipecat_tts_cache.backends.redis.contents import RedisContents
from pipecat_tts_cache.backends.redis.known import KnownDigests
from pipecat_tts_cache.backends.redis.news import News, NewsChannel
from pipecat_tts_cache.errors import BackendError

Listener = Callable[[str | None, str | None], None]

_PING_AFTER = 3.0
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0
_REFUSED_PAUSE = 60.0
_MAX_COPIES = 1000


class RedisWatch:
    """What is heard of other stores, and what is known by that."""

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        client: Any | None,
        news: NewsChannel,
        contents: RedisContents,
        max_known: int,
    ) -> None:
        """Get ready. It listens from the first `start` on, once `is_on` is set.

        Args:
            connect: Makes a client to listen with.
            client: The caller's own client to listen with, if there is one.
            news: What to listen to.
            contents: Lists what an index holds.
            max_known: The most digests and namespaces to keep in mind.
        """
        self.is_on = False
        self.is_listening = False
        self.known = KnownDigests(max_known)
        self._connect = connect
        self._client = client
        self._may_lag = client is not None and reads_replicas(client)
        self._news = news
        self._contents = contents
        self._ping_after = _PING_AFTER
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted: asyncio.Queue[bytes] = asyncio.Queue()
        self._has_listened = False
        self._copies: set[tuple[str | None, str | None]] = set()
        self._said: set[str] = set()
        self._closed = False

    def add_listener(self, listener: Listener) -> None:
        """Call somebody when others remove or replace something.

        Args:
            listener: See `CacheBackend.on_removal`.
        """
        self._listeners.append(listener)
        self.is_on = True

    def start(self) -> None:
        """Listen from now on, if it is on and does not yet."""
        if not self.is_on or self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._loop is not loop:
            self._loop = loop
            self._task = loop.create_task(self._run())

    async def close(self, *, within: float) -> None:
        """Stop listening.

        Args:
            within: Seconds that it may take.
        """
        self._closed = True
        task, self._task = self._task, None
        if task is not None and self._loop is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task}, timeout=within)

    def is_absent(self, name: bytes, digest: bytes) -> bool:
        """Tell whether the server is known not to hold something.

        Args:
            name: The encoded name of its namespace.
            digest: Its digest.

        Returns:
            Whether nobody needs to ask for it.
        """
        if not self.is_listening or self._may_lag:
            return False
        if self.known.must_load(name):
            self._wanted.put_nowait(name)
            return False
        return self.known.is_absent(name, digest)

    def may_be_copied(self, namespace: str, digest: str) -> None:
        """Take note that there may be a copy of something from before news could be heard.

        Args:
            namespace: Its namespace.
            digest: Its digest.
        """
        if self._listeners and not self._has_listened and len(self._copies) <= _MAX_COPIES:
            self._copies.add((namespace, digest))

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            is_refused = False
            try:
                await self._listen()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled the task: two time limits ran out in the same moment.
            except Exception as error:  # whatever a client raises: speech goes on without news
                is_refused = self._is_refused(error)
            finally:
                was_listening, self.is_listening = self.is_listening, False
                self.known.forget_all()
            pause = _FIRST_PAUSE if was_listening else min(2 * pause, _MAX_PAUSE)
            await asyncio.sleep(_REFUSED_PAUSE if is_refused else pause)

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        client, is_own = self._client, False
        if client is None:
            client, is_own = self._connect(), True
        elif is_cluster(client):  # whichever node is told tells all others
            client, is_own = await node_client(client), True
        try:
            await self._subscribe(client.pubsub())
        finally:
            if is_own:
                with suppress(Exception):
                    await client.aclose()

    async def _subscribe(self, pubsub: Any) -> None:
        self._wanted = asyncio.Queue()
        loader = asyncio.create_task(self._load())
        try:
            async with asyncio.timeout(2 * self._ping_after):
                await pubsub.subscribe(self._news.name)
            await self._read(pubsub)
        finally:
            loader.cancel()
            await asyncio.gather(loader, return_exceptions=True)
            with suppress(Exception):
                await pubsub.aclose()

    async def _read(self, pubsub: Any) -> None:
        is_pinged = False
        while True:
            # A client that connects anew by itself is given no longer than silence is.
            async with asyncio.timeout(2 * self._ping_after):
                message = await pubsub.get_message(timeout=self._ping_after)
                if message is None and not is_pinged:
                    is_pinged = True
                    await pubsub.ping()
                    continue
            if message is None:
                raise TimeoutError
            is_pinged = False
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if self.is_listening:
                raise ConnectionError("the client connected anew: what was said meanwhile is lost")
            self._confirmed()
        elif message["type"] == "message":
            news = self._news.read(message["data"])
            if news is not None:
                self._heard(news)

    def _confirmed(self) -> None:
        """From here on nothing is missed. Before, something may have been."""
        if self._has_listened or len(self._copies) > _MAX_COPIES:
            self._copies = {(None, None)}
        for namespace, digest in self._copies:
            self._call(namespace, digest)
        self._copies = set()
        self._has_listened = True
        self.is_listening = True

    def _heard(self, news: News) -> None:
        if news.kind == "stored" and news.name is not None:
            self.known.add(news.name, news.digests)
        if news.kind == "cleared":
            self.known.forget(news.name)
        if not news.is_own:
            for namespace, digest in news.scopes:
                self._call(namespace, digest)

    def _call(self, namespace: str | None, digest: str | None) -> None:
        for listener in self._listeners:
            try:
                listener(namespace, digest)
            except Exception as error:  # it is the user's, and the next ones want to know, too
                self._say(f"a listener of on_removal fails ({type(error).__name__})")

    async def _load(self) -> None:
        while True:
            name = await self._wanted.get()
            self.known.loaded(name, entirely=await self._load_one(name))

    async def _load_one(self, name: bytes) -> bool:
        try:
            async for digests in self._contents.digests(name):
                if not self.known.add(name, digests):
                    break
        except BackendError:
            return False
        return True

    def _is_refused(self, error: Exception) -> bool:
        from redis.exceptions import ResponseError  # noqa: PLC0415

        if not isinstance(error, ResponseError):
            return False
        self._say(
            "the Redis server does not let this user subscribe, so nothing is heard of what others "
            "remove. See the permissions in docs/store-redis.md"
        )
        return True

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning(f"TTS cache: {message}.")
