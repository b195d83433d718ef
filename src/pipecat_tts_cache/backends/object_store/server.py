#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A bucket as the store sees it."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pipecat_tts_cache.backends.object_store.client import Connection
from pipecat_tts_cache.backends.remote import RemoteServer
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import CorruptRecordError
from pipecat_tts_cache.sound.file import HEAD_SIZE, MAX_SIZE, sound_head_size

_STATUS = re.compile(r"status code: ((\d{3})(?: [A-Z][A-Za-z-]*)*)")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_OS_ERROR = re.compile(r"\(os error (\d{1,5})\)")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_IDENTITY_SERVERS = (
    "token request",
    "/latest/api/token",
    "/latest/meta-data",
    "/metadata/identity",
)
_FULL = 507
_NO_SUCH_RANGE = "416"
_TOO_MANY = 429
_SERVER_ERROR = 500
_HEAD_STEPS = 8
_T = TypeVar("_T")


class RefusedError(Exception):
    """What a living server says: no such bucket, no room, something is wrong with the request."""


class DeniedError(RefusedError):
    """What a living server says to whom it does not let in."""


class FailedError(Exception):
    """What is said of a server that is down, or breaks off."""


class ObjectStoreServer(RemoteServer):
    """A store of obstore behind a time limit and a breaker.

    Its errors quote addresses, keys and what servers say, so nothing of them is passed on but the
    status and the code of an answer, and the number of an error of the system.
    """

    advice = "Check the bucket, the credentials and what they permit, and the room that is left"

    def __init__(
        self,
        connection: Connection,
        *,
        is_callers: bool,
        max_connections: int,
        breaker: CircuitBreaker,
    ) -> None:
        """Take a store.

        Args:
            connection: How to come by it.
            is_callers: Whether it is the caller's.
            max_connections: The most requests to have under way at once.
            breaker: Decides when to leave it alone.
        """
        from obstore.exceptions import BaseError  # noqa: PLC0415

        super().__init__(
            connection.name,
            lambda: None,  # it is opened in a thread when it is first used
            errors=(RefusedError, FailedError),
            client=connection.connect() if is_callers else None,
            breaker=breaker,
        )
        self.is_folder = connection.is_folder
        self._connection = connection
        self._theirs = (BaseError, OSError, EOFError, NotImplementedError, ValueError)
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)

    async def ask(self, question: Callable[[Any], Awaitable[_T]], *, within: float) -> _T:
        """Ask something, once a request may be made.

        Args:
            question: What to do with the store of obstore.
            within: Seconds it may take, the wait for others included.

        Returns:
            What `question` returns.

        Raises:
            BackendError: If it fails or takes too long, or the store may not be used here.
            BackendUnavailableError: If it is not asked, because it is left alone for a while.
        """
        return await super().ask(lambda client: self._ask(client, question), within=within)

    async def _ask(self, client: Any, question: Callable[[Any], Awaitable[_T]]) -> _T:
        async with self._slots:
            try:
                return await question(client)
            except self._theirs as error:
                failure = explain(error)
        raise failure  # here, so that it does not hold on to what it explains

    async def _prepare(self, *, is_probe: bool) -> None:
        """Open the store; let a probe have fresh connections, as idle ones may have died."""
        if self.client is None or (is_probe and self._connection.keeps and self.owns_client):
            try:
                self.client = await asyncio.to_thread(self._connection.connect)
            except self._theirs as error:
                failure = explain(error)
            else:
                return
            raise failure

    def _is_timeout(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError)

    def _is_answer(self, error: Exception) -> bool:
        return isinstance(error, RefusedError)

    async def _disconnect(self) -> None:
        """Let go of the connections, which are closed when nobody holds the store any more."""
        self.client = None

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on with the same connections: they belong to no loop."""
        if not loop.is_closed():
            super()._leave(loop)
        self._slots = asyncio.Semaphore(self._max_connections)


def explain(error: Exception) -> Exception:
    """Say what is wrong, without anything that may be a secret.

    Args:
        error: What obstore raised.

    Returns:
        A `RefusedError`, a `FailedError` or a `TimeoutError`.
    """
    text = str(error)
    if isinstance(error, TimeoutError) or "kind: Timeout" in text or "TimedOut" in text:
        return TimeoutError()
    if any(each in text for each in _IDENTITY_SERVERS):
        return FailedError("no credentials in the environment, and no server gives any")
    if (status := _STATUS.search(text)) is not None:
        return _explain_status(int(status[2]), status[1], _CODE.search(text))
    if (number := _OS_ERROR.search(text)) is not None:
        return RefusedError(os.strerror(int(number[1])))
    if isinstance(error, OSError) and error.errno is not None:
        return RefusedError(os.strerror(error.errno))
    return _explain_words(text)


def _explain_words(text: str) -> Exception:
    if "invalid path" in text:
        return RefusedError(
            "an object in it has a name that cannot be listed: give the store a prefix of its own"
        )
    if "without LOCATION" in text:
        return RefusedError("sent on to nowhere: is the region right?")
    return FailedError("not reached, broken off, or what was said is no answer")


def _explain_status(status: int, words: str, code: re.Match[str] | None) -> Exception:
    reason = words if code is None else f"{words}, {code[1]}"
    if status in (401, 403):
        return DeniedError(reason)
    if status == _FULL or (status < _SERVER_ERROR and status != _TOO_MANY):
        return RefusedError(reason)
    return FailedError(reason)


async def fetch(store: Any, path: str) -> bytes | None:
    """Read an object.

    Args:
        store: A store of obstore.
        path: Its name.

    Returns:
        All of it, or None if there is none. What is too large to be ours is not read, and empty.

    Raises:
        EOFError: If a part is missing.
        Exception: What obstore raises.
    """
    try:
        found = await store.get_async(path)
    except FileNotFoundError as error:
        _check_bucket(error)
        return None
    size = found.meta["size"]
    if size > MAX_SIZE:
        return b""
    return _whole(bytes(await found.bytes_async()), size)


async def fetch_head(store: Any, path: str) -> bytes | None:
    """Read the beginning of an object: what comes before the end of its description.

    Args:
        store: A store of obstore.
        path: Its name.

    Returns:
        The beginning, or None if there is no such object.

    Raises:
        EOFError: If a part is missing.
        Exception: What obstore raises.
    """
    head, needed = b"", HEAD_SIZE
    for _ in range(_HEAD_STEPS):
        try:
            found = await store.get_async(path, options={"range": (0, needed)})
        except FileNotFoundError as error:
            _check_bucket(error)
            return None
        except Exception as error:
            if _is_empty(str(error)):
                return b""
            raise
        size = found.meta["size"]
        head = _whole(bytes(await found.bytes_async()), min(size, needed))
        try:
            needed = sound_head_size(head)
        except CorruptRecordError:
            break
        if needed <= len(head) or len(head) == size:
            break
    return head


async def remove(store: Any, paths: list[str]) -> None:
    """Remove objects, those included that others remove meanwhile.

    Args:
        store: A store of obstore.
        paths: Their names.

    Raises:
        Exception: What obstore raises.
    """
    try:
        await store.delete_async(paths)
    except FileNotFoundError as error:
        _check_bucket(error)
        for path in paths if len(paths) > 1 else ():
            await remove(store, [path])


def _is_empty(text: str) -> bool:
    """Tell whether an object has no beginning, by what is said when it is asked for."""
    status = _STATUS.search(text)
    return "StartTooLarge" in text if status is None else status[2] == _NO_SUCH_RANGE


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise EOFError("an answer that ends early")
    return data


def _check_bucket(error: FileNotFoundError) -> None:
    code = _CODE.search(str(error))
    if code is not None and code[1] in _NO_BUCKET:
        raise error
