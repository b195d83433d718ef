#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whether the body of an HTTP answer was whole, where the service does not look.

A provider that fails in the middle of an answer may say so in the body and end it in order. A
service that takes no notice passes half a sentence on as if it were all of it. What only the end
of a whole body contains tells the one from the other.
"""

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

_ASKED = frozenset({"delete", "get", "patch", "post", "put", "request"})
_READ = frozenset({"read", "readany", "readchunk", "readexactly", "readline", "readuntil"})
_ITERATED = frozenset({"iter_any", "iter_chunked", "iter_chunks"})


class Body:
    """What is known of a body that is read by somebody else.

    Args:
        mark: What only a whole body contains.
    """

    def __init__(self, mark: bytes) -> None:
        """Start with nothing read."""
        self.whole = not mark
        self._mark = mark
        self._tail = b""

    def read(self, chunk: bytes) -> None:
        """Take what was read, however it is cut.

        Args:
            chunk: The next bytes of the body.
        """
        seen = self._tail + chunk
        self.whole = self.whole or self._mark in seen
        self._tail = seen[-len(self._mark) :]


class _ReadAlong:
    """Something of aiohttp that is read along. What is not known of it is the thing itself."""

    def __init__(self, real: Any, body: Body) -> None:
        self._real, self._body = real, body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def __aenter__(self) -> Any:
        await self._real.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await self._real.__aexit__(*error)


class _Content(_ReadAlong):
    """The content of an answer."""

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._real, name)
        if name in _READ:
            return partial(self._read, member)
        if name in _ITERATED:
            return partial(self._iterate, member)
        return member

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterate(self._real.__aiter__)

    async def _read(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        chunk = await read(*args, **kwargs)
        self._take(chunk)
        return chunk

    async def _iterate(
        self, iterate: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        async for chunk in iterate(*args, **kwargs):
            self._take(chunk)
            yield chunk

    def _take(self, chunk: Any) -> None:
        self._body.read(chunk[0] if isinstance(chunk, tuple) else chunk)


class _Response(_ReadAlong):
    """An answer."""

    @property
    def content(self) -> _Content:
        return _Content(self._real.content, self._body)

    async def read(self) -> bytes:
        body: bytes = await self._real.read()
        self._body.read(body)
        return body

    async def text(self, *args: Any, **kwargs: Any) -> str:
        await self.read()  # aiohttp keeps it
        text: str = await self._real.text(*args, **kwargs)
        return text

    async def json(self, *args: Any, **kwargs: Any) -> Any:
        await self.read()
        return await self._real.json(*args, **kwargs)


class _Request(_ReadAlong):
    """A request, which is awaited or entered for the answer."""

    def __await__(self) -> Generator[Any, None, _Response]:
        response = yield from self._real.__await__()
        return _Response(response, self._body)

    async def __aenter__(self) -> _Response:
        return _Response(await self._real.__aenter__(), self._body)


class _Session(_ReadAlong):
    """A session, whose answers are read along."""

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._real, name)
        return partial(self._ask, member) if name in _ASKED else member

    def _ask(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> _Request:
        return _Request(ask(*args, **kwargs), self._body)


@contextmanager
def read_along(service: Any, whole_body: tuple[str, bytes] | None) -> Generator[Body]:
    """Read along what a service gets through its session of aiohttp.

    A body that it reads in a way that is not known here counts as not whole.

    Args:
        service: The service.
        whole_body: The attribute that holds its session of aiohttp, and what only a whole body
            contains. None not to read along.

    Yields:
        What is known of the body; without reading along, that it is whole.
    """
    if whole_body is None:
        yield Body(b"")
        return
    name, mark = whole_body
    body, session = Body(mark), getattr(service, name, None)
    if session is None:  # it is yet to be opened
        yield body
        return
    watched = _Session(session, body)
    setattr(service, name, watched)
    try:
        yield body
    finally:
        if getattr(service, name) is watched:
            setattr(service, name, session)
