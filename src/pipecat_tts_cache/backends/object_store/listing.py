#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Many objects of a bucket at a time: listed, counted, looked into and removed."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from stat import S_ISREG
from typing import Any, NamedTuple

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.backends.names import file_name
from pipecat_tts_cache.backends.object_store.server import ObjectStoreServer, fetch_head, remove
from pipecat_tts_cache.sound.file import SoundHead

HEADS = 32
"""Beginnings of objects that are read at a time."""
PAGE = 1000
"""Objects that one request lists."""
MAX_COUNTED = 10 * PAGE
"""Objects that are counted at most."""
_BATCH = 250
"""Objects that one request removes, where a store can; Azure takes 256."""
_SUFFIX = ".speech"
"""Tells our objects from others' that are named by a digest, as many are."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"([0-9a-f]{64})\.speech")
_FOLDER = re.compile(r"[a-z0-9_!-]{1,200}")

_Turn = Callable[[Any], Awaitable[list[tuple[str, int]] | None]]


class StoredObject(NamedTuple):
    """An utterance in a listing.

    Parameters:
        path: Its name.
        folder: The `folder_name` of its namespace.
        digest: The digest of its key.
        size: Bytes that it takes.
    """

    path: str
    folder: str
    digest: str
    size: int

    def describe(self, head: SoundHead) -> Entry:
        """Describe it.

        Args:
            head: What the beginning of its file says.

        Returns:
            The entry.
        """
        entry = Entry.of(
            CacheKey(head.namespace, self.digest),
            head.utterance,
            size=self.size,
            codec=head.codec.value,
            expires_at=head.utterance.expires_at,
        )
        return replace(entry, duration=head.duration)


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
        prefix = None if namespace is None else folder_name(namespace)
        turn = _turn_folder(prefix) if self._server.is_folder else _turn_bucket(prefix)
        while (page := await self._server.ask(turn, within=self._within)) is not None:
            objects = [_ours(path, size) for path, size in page]
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

    async def remove_some(self, namespace: str | None, which: Callable[[bytes], bool]) -> int:
        """Remove objects by their beginnings.

        Args:
            namespace: Whose, or None for all.
            which: Tells by the beginning of an object whether it has to go.

        Returns:
            How many were removed.

        Raises:
            BackendError: If the server fails or takes too long for one request.
        """
        removed = 0
        async for page in self.pages(namespace):
            for start in range(0, len(page), HEADS):
                paths = [each.path for each in page[start : start + HEADS]]
                heads = await self.heads(paths)
                found = zip(paths, heads, strict=True)
                doomed = [path for path, head in found if head is not None and which(head)]
                await self.remove(doomed)
                removed += len(doomed)
        return removed


def folder_name(namespace: str) -> str:
    """Name the folder of a namespace: `file_name` in characters that need no care in any bucket.

    Supabase Storage takes neither "%" nor "~", and in a URL "%" would have to be written "%25".

    Args:
        namespace: Any string.

    Returns:
        Lower-case letters, digits and "_-!". Two namespaces never share one.
    """
    return file_name(namespace).replace("%", "!").replace("~", "!!")


def object_path(key: CacheKey) -> str:
    """Name the object of a key.

    Args:
        key: The key.

    Returns:
        Its name, below the prefix of the store.

    Raises:
        ValueError: If the digest is none.
    """
    if _DIGEST.fullmatch(key.digest) is None:
        raise ValueError("a digest is 64 hexadecimal digits in lower case")
    return f"{folder_name(key.namespace)}/{key.digest}{_SUFFIX}"


def _ours(path: str, size: int) -> StoredObject | None:
    folder, _, file = path.partition("/")
    name = _FILE.fullmatch(file)
    if name is None or _FOLDER.fullmatch(folder) is None:
        return None
    return StoredObject(path, folder, name[1], size)


def _turn_bucket(prefix: str | None) -> _Turn:
    """Make what turns the pages of a listing by obstore."""
    stream: Any = None

    async def turn(store: Any) -> list[tuple[str, int]] | None:
        nonlocal stream
        if stream is None:
            stream = aiter(store.list(prefix, chunk_size=PAGE))
        page = await anext(stream, None)
        return None if page is None else [(each["path"], each["size"]) for each in page]

    return turn


def _turn_folder(prefix: str | None) -> _Turn:
    """Make what turns the pages of a folder, where obstore gives up at a file with an odd name."""
    files: Iterator[tuple[str, int]] | None = None

    async def turn(store: Any) -> list[tuple[str, int]] | None:
        nonlocal files
        if files is None:
            files = _walk(str(store.prefix), prefix)
        return await asyncio.to_thread(list, islice(files, PAGE)) or None

    return turn


def _walk(root: str, folder: str | None) -> Iterator[tuple[str, int]]:
    for name in [folder] if folder is not None else [each.name for each in _scan(root)]:
        for each in _scan(f"{root}/{name}"):
            if _FILE.fullmatch(each.name) is not None:
                with suppress(FileNotFoundError):
                    if S_ISREG((found := each.stat()).st_mode):
                        yield f"{name}/{each.name}", found.st_size


def _scan(folder: str) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        return list(found)
    return []
