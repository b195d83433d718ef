#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A provider as a server on loopback; a page of a protocol (one file a provider) does the rest."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web

from pipecat_tts_cache.testing.provider import Provider


class Server(Provider, ABC):
    """A provider on loopback, as an async context manager.

    Args:
        pacing: See `Provider`.
    """

    scheme = "http"
    address = "base_url"
    """The argument of the service that says where the provider is."""

    def __init__(self, **pacing: Any) -> None:
        super().__init__(**pacing)
        self.messages: list[tuple[int, dict[str, Any]]] = []
        self.connections = 0
        self._open: list[web.Request] = []
        self._clients = AsyncExitStack()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where the server listens, without a path."""
        return f"{self.scheme}://127.0.0.1:{self._port}"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments with which Pipecat's service uses this server."""
        return {self.address: self.url, "api_key": "key"}

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()
        await self._clients.aclose()

    async def come_back(self) -> None:
        """Listen, again on the same port after `go_down`."""
        app = web.Application()
        self.add_routes(app.router)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=0, access_log=None
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Cut all connections and refuse new ones."""
        runner, self._runner = self._runner, None
        for request in list(self._open):
            cut(request)
        if runner:
            await runner.cleanup()

    @abstractmethod
    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Say which paths are answered by which methods."""


def cut(request: web.Request) -> None:
    """Cut the connection that a request came on."""
    if request.transport:
        request.transport.abort()
