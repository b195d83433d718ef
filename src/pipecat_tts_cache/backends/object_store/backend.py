#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The store in a bucket or folder: one sound file an utterance, readable without this library."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey, Entry
from pipecat_tts_cache.backends.object_store.client import open_callers, open_url, require_obstore
from pipecat_tts_cache.backends.object_store.files import (
    describe_file,
    has_ended,
    is_live,
    is_over,
    read_file,
    write_file,
)
from pipecat_tts_cache.backends.object_store.listing import (
    HEADS,
    Listing,
    folder_name,
    object_path,
)
from pipecat_tts_cache.backends.object_store.server import (
    ObjectStoreServer,
    fetch,
    fetch_head,
)
from pipecat_tts_cache.backends.wall_clock import WatchedClock
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.checks import check_choice, check_positive_int, check_seconds, check_ttl
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import BackendError, CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.sound.file import SoundFile
from pipecat_tts_cache.utterance import Utterance

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# Import now what takes time, rather than with the first look-up or when a store is made.
import_module("soundfile")
with suppress(ImportError):
    import_module("obstore.store")


class ObjectStoreCacheBackend(CacheBackend):
    """Keeps utterances as sound files in a bucket, or in a folder, that many processes share.

    S3 and what speaks it (MinIO, Cloudflare R2, Supabase Storage), Google Cloud Storage, Azure
    Blob Storage, a folder, or memory. It makes its own client, which fails fast and takes its
    credentials from the environment, or works on the caller's store of obstore::

        ObjectStoreCacheBackend("s3://bucket/prefix")
        ObjectStoreCacheBackend("s3://bucket/prefix?endpoint=http://minio:9000")
        ObjectStoreCacheBackend("file:///var/cache/tts")
        ObjectStoreCacheBackend(store=MemoryStore())

    An utterance is one object, ``{prefix}/{namespace}/{digest}.speech``: WAV, FLAC or Ogg Opus with
    the text as its title, and with all else in a comment, see `sound_file`. The suffix is always
    the same, so that a key has one object whatever it was written with: a look-up is one request, a
    new object replaces the old one at once, and no stale one is left beside it. Players and CDNs go
    by the media type that is set.

    Each call has a time limit. When calls fail in a row the server is left alone for a while, in
    which every call raises `BackendUnavailableError` at once; then one call tries again. A damaged
    object is a miss, and is deleted. One of a newer format is a miss, and stays. Whatever else is
    in the bucket is left alone.

    Who can read the bucket can listen. One store may serve any number of services of one event
    loop.
    """

    keeps_pins = True

    def __init__(
        self,
        url: str | None = None,
        *,
        store: "ObjectStore | None" = None,
        codec: Codec = "flac",
        cache_control: str | None = "no-cache",
        timeout: float = 1.0,
        write_timeout: float = 5.0,
        max_connections: int = 32,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        """Create a store. It connects when it is first used, and makes its folder then.

        Args:
            url: Where it is: ``s3://bucket/prefix``, ``gs://``, ``az://container/prefix``,
                ``file:///folder`` or ``memory:///``, with options of obstore that are no secrets
                as a query, such as ``endpoint`` and ``region``.
            store: A store of obstore to use instead of a URL. Its own retries and time-outs hold,
                within those here.
            codec: How to keep the samples: "flac" without loss, "raw" as WAV, or "opus" small, at
                the price of some of the sound.
            cache_control: What browsers and CDNs are told, with each object: by default that they
                ask each time whether it has changed. None says nothing.
            timeout: Seconds a look-up may take.
            write_timeout: Seconds a write may take, a `peek`, or one page of a listing.
            max_connections: The most requests to have under way at once; further calls wait.
            breaker: Decides when to leave the server alone. By default after 3 failures in a row,
                for 1 s, doubling up to 30 s.
            clock: Tells the time in seconds, and never jumps.
            wall_clock: Tells the time in seconds since the Unix epoch.
            **options: Further options of obstore's store, secrets among them.

        Raises:
            MissingExtraError: If the ``object-store`` extra is not installed.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense, or not one of URL and store is given.
        """
        require_obstore()
        if (url is None) == (store is None):
            raise ValueError("pass either url or store")
        if store is not None and options:
            raise ValueError(f"a store of your own has its options: {', '.join(options)}")
        if cache_control is not None and not isinstance(cache_control, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"cache_control must be a str, not {type(cache_control).__name__}")
        self._codec: Codec = check_choice("codec", codec, Codec)
        self._cache_control = cache_control
        self._timeout = check_seconds("timeout", timeout)
        self._write_timeout = check_seconds("write_timeout", write_timeout)
        connection = open_callers(store) if store is not None else open_url(url, options)
        self._server = ObjectStoreServer(
            connection,
            is_callers=store is not None,
            max_connections=check_positive_int("max_connections", max_connections),
            breaker=breaker or CircuitBreaker(),
        )
        self._listing = Listing(self._server, within=self._write_timeout)
        self._clock = WatchedClock(wall_clock, clock)
        self._hits = 0
        self._misses = 0
        self._corrupt = 0
        self._newer = 0
        self._expirations = 0
        self._refused = 0

    def __repr__(self) -> str:
        return f"ObjectStoreCacheBackend({self._server.name!r}, codec={self._codec!r})"

    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up, with one request.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, it has expired, or its file cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        utterance = await self._find(key, within=self._timeout)
        if utterance is None:
            self._misses += 1
        else:
            self._hits += 1
        return utterance

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, it has expired, or its file cannot be used.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        return await self._find(key, within=self._write_timeout)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there, whole or not at all, with two requests.

        One of them looks whether something pinned is there; what is pinned itself needs only the
        other. Who pins something between the two may find it replaced: look, and pin again.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it.

        Returns:
            False, with nothing changed, if it cannot be written as a sound file, or would replace
            something pinned and is not; else True.

        Raises:
            BackendError: If the server fails, is full, or takes longer than `write_timeout`.
            TypeError: If `ttl` is no number.
            ValueError: If `ttl` is not above zero or not finite.
        """
        seconds = check_ttl(ttl)
        expires_at = None
        if seconds is not None and not utterance.pinned:
            expires_at = self._clock.now() + seconds
        path = object_path(key)
        try:
            spoken = replace(utterance, expires_at=expires_at)
            file = await write_file(key, spoken, self._codec)
        except RecordError:
            file = None
        if file is None or not (utterance.pinned or await self._may_replace(path)):
            self._refused += 1
            return False
        attributes = self._attributes(key, file)
        await self._server.ask(
            lambda store: store.put_async(
                path, file.content, attributes=attributes, use_multipart=False
            ),
            within=self._write_timeout,
        )
        return True

    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance, with two requests: stores do not tell what they removed.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one that had not expired.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout`.
        """
        return await self.delete_many([key]) > 0

    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, by the beginning of its file, with one request.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one that has not expired.

        Raises:
            BackendError: If the server fails or takes longer than `timeout`.
        """
        path = object_path(key)
        head = await self._server.ask(lambda store: fetch_head(store, path), within=self._timeout)
        return head is not None and describe_file(head, self._clock.now()) is not None

    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace: a request for each 1000, and to remove.

        Args:
            namespace: The namespace, or None for everything in this store.

        Returns:
            How many were removed, those included that had expired and that nobody had asked for
            since.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a batch.
        """
        removed = 0
        async for page in self._listing.pages(namespace):
            await self._listing.remove([each.path for each in page])
            removed += len(page)
        return removed

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances: a request for each, and one to remove them.

        Args:
            keys: Where they are kept; a few hundred at most.

        Returns:
            How many there were that had not expired.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for one.
        """
        paths = [object_path(key) for key in keys]
        heads = await self._listing.heads(paths)
        there = {path: head for path, head in zip(paths, heads, strict=True) if head is not None}
        await self._listing.remove(list(there))
        now = self._clock.now()
        return sum(is_live(head, now) for head in there.values())

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept: a request for each 1000, and one for the beginning of each.

        Args:
            namespace: The namespace, or None for everything in this store.

        Yields:
            The entries. Damaged ones, and those of a newer format, are passed over.

        Raises:
            BackendError: If the server fails or takes longer than `write_timeout` for a page or
                one beginning.
        """
        async for page in self._listing.pages(namespace):
            for start in range(0, len(page), HEADS):
                objects = page[start : start + HEADS]
                heads = await self._listing.heads([each.path for each in objects])
                for each, head in zip(objects, heads, strict=True):
                    found = None if head is None else describe_file(head, self._clock.now())
                    if found is not None and folder_name(found.namespace) == each.folder:
                        yield each.describe(found)

    async def sweep(self, namespace: str | None = None) -> int:
        """Remove what has expired: as many requests as `entries`, see `CacheBackend.sweep`.

        It removes nothing while the clock was set a few minutes ago, as it may be set back.
        """
        if not self._clock.may_delete():
            return 0
        removed = await self._listing.remove_some(namespace, self._has_ended)
        self._expirations += removed
        return removed

    async def get_stats(self) -> dict[str, Any]:
        """Describe the store. It never raises: a server that is down is described as that.

        It lists names, with one request for each 1000 objects and eleven at most.

        Returns:
            A plain dict:

            - entries: Utterances, those included that have expired and that nobody asked for
              since; 10 000 stand for that many or more. None while the server does not answer.
            - entries_complete: Whether there are no more, or None likewise.
            - bytes: What those that were counted take, or None likewise.
            - namespaces: How many namespaces hold some of them, or None likewise.
            - available: Whether the server answered just now.
            - codec: How samples are written.
            - hits: Look-ups that found an utterance.
            - misses: Look-ups that did not, those with an unusable file included.
            - corrupt: Damaged files, which were deleted.
            - newer: Files of a newer format, which were left alone.
            - expirations: Utterances that this object deleted because their time was over.
            - refused: Utterances not taken because they cannot be written as a sound file, or
              would have replaced a pinned one.
            - server: Where it is, without credentials.
            - breaker: "closed" while calls are made, "open" while the server is left alone,
              "half_open" while one call tries again.
            - retry_in: Seconds until the next call is let through.
            - errors: Calls that failed, time-outs included.
            - timeouts: Calls that took too long.
            - unavailable: Calls not made because the server is left alone.
        """
        counted: dict[str, Any] = dict.fromkeys(
            ("entries", "entries_complete", "bytes", "namespaces")
        )
        with suppress(BackendError):
            counted = await self._listing.count()
        return {
            **counted,
            "available": counted["entries"] is not None,
            "codec": self._codec,
            "hits": self._hits,
            "misses": self._misses,
            "corrupt": self._corrupt,
            "newer": self._newer,
            "expirations": self._expirations,
            "refused": self._refused,
            **self._server.describe(),
        }

    async def close(self) -> None:
        """Let go of the connections, unless the store is the caller's. Later calls fail."""
        await self._server.close(within=self._write_timeout)

    async def _may_replace(self, path: str) -> bool:
        """Tell whether nothing pinned is there."""
        head = await self._server.ask(
            lambda store: fetch_head(store, path), within=self._write_timeout
        )
        found = None if head is None else describe_file(head, self._clock.now())
        return found is None or not found.utterance.pinned

    async def _find(self, key: CacheKey, *, within: float) -> Utterance | None:
        path = object_path(key)
        file = await self._server.ask(lambda store: fetch(store, path), within=within)
        if file is None:
            return None
        try:
            utterance = await read_file(key, file)
        except NewerRecordError:
            self._newer += 1
            return None
        except CorruptRecordError:
            self._corrupt += 1
        else:
            if not is_over(utterance, self._clock.now()):
                return utterance
            if not self._clock.may_delete():
                return None
            self._expirations += 1
        with suppress(BackendError):
            await self._listing.remove([path])
        return None

    def _attributes(self, key: CacheKey, file: SoundFile) -> dict[str, str] | None:
        if self._server.is_folder:
            return None
        attributes = {
            "Content-Type": file.content_type,
            "Content-Disposition": f'inline; filename="{key.digest}{file.suffix}"',
        }
        if self._cache_control is not None:
            attributes["Cache-Control"] = self._cache_control
        return attributes

    def _has_ended(self, head: bytes) -> bool:
        """Tell whether a file has expired, by a clock that is to be believed."""
        return has_ended(head, self._clock.now()) and self._clock.may_delete()
