#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Many objects of a bucket at a time: listed, counted, looked into and removed."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from pipecat_tts_cache.backends.names import file_name
from pipecat_tts_cache.backends.object_store_server import ObjectStoreServer, fetch_head, remove

HEADS = 32
"""Beginnings of objects that are read at a time."""
PAGE = 1000
"""Objects that one request lists."""
MAX_COUNTED = 10 * PAGE
"""Objects that are counted at most."""
_BATCH = 250
"""Objects that one request removes, where a store can; Azure takes 256."""
_OURS = re.compile(r"([^/]+)/([0-9a-f]{64})")


class StoredObject(NamedTuple):
    """An utterance in a listing.

    Parameters:
        path: Its name.
        folder: The `file_name` of its namespace.
        digest: The digest of its key.
        size: Bytes that it takes.
    """

    path: str
    folder: str
    digest: str
    size: int


class Listing:
    """What is in a bucket, apart from what is not ours."""

    def __init__(self, server: ObjectStoreServer, *, within: float) -> None:
        """Take a server.

        Args:
            server: The server.
            within: Seconds that one request may take.
        """
        self._server = server
        self._within = within

    async def pages(self, namespace: str | None) -> AsyncIterator[list[StoredObject]]:
        """List objects by their names.

        Args:
            namespace: Whose, or None for all.

        Yields:
            Up to `PAGE` of them.

        Raises:
            BackendError: If the server fails or takes too long for a page.
        """
        prefix = None if namespace is None else file_name(namespace)
        stream: Any = None

        async def turn(store: Any) -> Any:
            nonlocal stream
            if stream is None:
                stream = aiter(store.list(prefix, chunk_size=PAGE))
            return await anext(stream, None)

        while (page := await self._server.ask(turn, within=self._within)) is not None:
            objects = [_ours(each["path"], each["size"]) for each in page]
            yield [each for each in objects if each is not None]

    async def count(self) -> dict[str, Any]:
        """Count objects by their names, up to `MAX_COUNTED`.

        Returns:
            A plain dict, see `ObjectStoreCacheBackend.get_stats`.

        Raises:
            BackendError: If the server fails or takes too long for a page.
        """
        counted: list[StoredObject] = []
        async for page in self.pages(None):
            counted += page
            if len(counted) > MAX_COUNTED:
                break
        complete = len(counted) <= MAX_COUNTED
        counted = counted[:MAX_COUNTED]
        return {
            "entries": len(counted),
            "entries_complete": complete,
            "bytes": sum(each.size for each in counted),
            "namespaces": len({each.folder for each in counted}),
        }

    async def heads(self, paths: Sequence[str]) -> list[bytes | None]:
        """Read the beginnings of objects, `HEADS` at a time.

        Args:
            paths: Their names.

        Returns:
            The beginnings, in the same order; None where there is no such object.

        Raises:
            BackendError: If the server fails or takes too long for one.
        """
        heads: list[bytes | None] = []
        for start in range(0, len(paths), HEADS):
            asked = [
                self._server.ask(partial(fetch_head, path=path), within=self._within)
                for path in paths[start : start + HEADS]
            ]
            for head in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(head, BaseException):
                    raise head
                heads.append(head)
        return heads

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove objects.

        Args:
            paths: Their names.

        Raises:
            BackendError: If the server fails or takes too long for a batch.
        """
        for start in range(0, len(paths), _BATCH):
            batch = list(paths[start : start + _BATCH])
            await self._server.ask(partial(remove, paths=batch), within=self._within)


def _ours(path: str, size: int) -> StoredObject | None:
    name = _OURS.fullmatch(path)
    return None if name is None else StoredObject(path, name[1], name[2], size)
