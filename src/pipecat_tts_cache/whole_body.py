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

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any


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


class _Response:
    """An answer, and its content."""

    def __init__(self, response: Any, body: Body) -> None:
        self._response, self._body = response, body

    @property
    def content(self) -> "_Response":
        return self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_chunked(size):
            self._body.read(chunk)
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)


class _Session:
    """A session of aiohttp whose answers are read along."""

    def __init__(self, session: Any, body: Body) -> None:
        self._session, self._body = session, body

    @asynccontextmanager
    async def post(self, *args: Any, **kwargs: Any) -> AsyncIterator[_Response]:
        async with self._session.post(*args, **kwargs) as response:
            yield _Response(response, self._body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@contextmanager
def read_along(service: Any, whole_body: tuple[str, bytes] | None) -> Iterator[Body]:
    """Read along what a service gets by POST and reads in chunks.

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
    body, session = Body(mark), getattr(service, name)
    watched = _Session(session, body)
    setattr(service, name, watched)
    try:
        yield body
    finally:
        if getattr(service, name) is watched:
            setattr(service, name, session)
