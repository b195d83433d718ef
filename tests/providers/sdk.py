#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What providers have in common that are asked through a client library of their own.

Where the library can be told another address, the provider is a server as any other, and only the
place where Pipecat creates the client is replaced. Where it cannot, an object stands in for the
client and hands what is asked straight to the provider.
"""

import asyncio
import importlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any
from unittest.mock import patch

import httpx
from aiohttp import web

from pipecat_tts_cache.testing.provider import (
    ConnectionLost,
    Fault,
    NothingMore,
    Piece,
    Refused,
    Request,
)
from pipecat_tts_cache.testing.simulation import wait_for_loop
from tests.providers.http import SessionServer
from tests.providers.server import Server

Replacement = tuple[object, str, object]
"""Whose attribute is replaced, its name, and by what."""


class ReplacingServer(Server):
    """A provider that can be reached only if something in Pipecat's module is replaced."""

    module = ""
    """Pipecat's module, without `pipecat.services`."""

    async def __aenter__(self) -> Any:
        await super().__aenter__()
        pipecat = importlib.import_module(f"pipecat.services.{self.module}")
        for target, name, value in self.replacements(pipecat):
            self._clients.enter_context(patch.object(target, name, value))
        return self

    @abstractmethod
    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Say what is replaced as long as the server is there.

        Args:
            pipecat: Pipecat's module.
        """


class ClientServer(ReplacingServer, SessionServer):
    """A provider over HTTP whose client library is told another address."""

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; the address is not among them."""
        return {"api_key": "key"}

    def http_client(self) -> httpx.AsyncClient:
        """Return an HTTP client for the library, which is closed with the server."""
        client = httpx.AsyncClient(verify=False, trust_env=False, timeout=None)
        self._clients.push_async_callback(client.aclose)
        return client


class LibraryServer(ReplacingServer):
    """A provider whose client library has a stand-in: nothing listens.

    There is no end signal but the end of an answer, so `Fault.UNENDED` leaves it open, and
    `Fault.ERROR_AFTER_END` breaks it off behind the last byte of audio. `Fault.LATE` is like
    `Fault.STALLED`, for a client cancels by going away.
    """

    def __init__(self, **pacing: Any) -> None:
        super().__init__(**pacing)
        self._answers: set[asyncio.Task[Any] | asyncio.Future[Any]] = set()
        self._up = False

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments; the address is not among them."""
        return {"api_key": "key"}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Nobody comes by HTTP."""

    async def come_back(self) -> None:
        """Answer what is asked."""
        self._up = True

    async def go_down(self) -> None:
        """Break off all answers and refuse what is asked."""
        self._up = False
        for answer in list(self._answers):
            answer.cancel()

    async def take(self, text: str, sample_rate: int, **settings: Any) -> Request:
        """Note down what is asked for.

        Args:
            text: What to say.
            sample_rate: In Hz.
            settings: Voice and everything else that came with it.
        """
        if not self._up:
            raise self.lost()
        self.connections = 1
        return await self.ask(text, connection=1, sample_rate=sample_rate, **settings)

    async def speak(self, request: Request) -> AsyncIterator[Piece]:
        """Speak, with what goes wrong as the library's exceptions."""
        try:
            async for piece in self.pieces(request):
                yield piece
        except ConnectionLost:
            raise self.lost() from None
        except Refused:
            raise self.refused(request) from None
        except NothingMore:
            await self._never()
        if request.fault is Fault.ERROR_AFTER_END:
            raise self.lost()

    async def answer(self, text: str, sample_rate: int, **settings: Any) -> AsyncIterator[Piece]:
        """Take a request and speak it."""
        async for piece in self.speak(await self.take(text, sample_rate, **settings)):
            yield piece

    async def whole_answer(self, text: str, sample_rate: int, **settings: Any) -> bytes:
        """Return the audio of `answer`."""
        pieces = [piece.audio async for piece in self.answer(text, sample_rate, **settings)]
        return b"".join(pieces)

    async def _never(self) -> None:
        """Wait until the provider goes down."""
        answer = asyncio.get_running_loop().create_future()
        self._answers.add(answer)
        try:
            await answer
        except asyncio.CancelledError:
            if not self._up:
                raise self.lost() from None
            raise
        finally:
            self._answers.discard(answer)

    def lost(self) -> Exception:
        """Return the exception for a connection that breaks."""
        return ConnectionError("The connection was lost")

    def refused(self, request: Request) -> Exception:
        """Return the exception for what the provider refuses."""
        return RuntimeError("Synthesis failed")


class Threads:
    """What a stand-in needs that is called in threads: it does everything on the event loop.

    Args:
        server: The provider.
    """

    def __init__(self, server: LibraryServer) -> None:
        self._server, self._loop = server, asyncio.get_running_loop()

    def wait_for(self, do: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Have something done on the event loop, and wait for it in this thread."""
        return wait_for_loop(self._loop, self._tracked(do, *args))

    def iterate(self, pieces: AsyncIterator[Any]) -> Iterator[Any]:
        """Iterate in this thread over what comes on the event loop."""
        nothing = object()
        while (piece := self.wait_for(_next, pieces, nothing)) is not nothing:
            yield piece

    async def _tracked(self, do: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Break it off when the provider goes away, so that no thread waits for ever."""
        task = asyncio.ensure_future(do(*args))
        self._server._answers.add(task)
        try:
            return await task
        finally:
            self._server._answers.discard(task)


async def _next(pieces: AsyncIterator[Any], nothing: object) -> Any:
    return await anext(pieces, nothing)


def exact_floats(audio: bytes) -> Any:
    """Return PCM s16le as float32 samples that give the same PCM when multiplied by 32767.

    Args:
        audio: Of which the conversion back leaves off what is behind the point.
    """
    import numpy as np

    samples = np.frombuffer(audio, dtype="<i2").astype(np.float64)
    return ((samples + 0.5 * np.sign(samples)) / 32767).astype("<f4")
