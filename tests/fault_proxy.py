#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A TCP proxy in front of a real server whose faults can be switched while it runs."""

import asyncio
from contextlib import suppress
from typing import Self


class FaultProxy:
    """Passes bytes on, unless told to stall, to refuse, or to cut a connection in mid-answer.

    Parameters:
        cut_after: Bytes of answers that a connection passes on before it is cut, or None.
        refusing: Whether connections are closed as soon as they are made.
        connections: How many were made.
        most_at_once: How many there were at a time, at the most.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self.cut_after: int | None = None
        self.refusing = False
        self.connections = 0
        self.most_at_once = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._listener.close()
        self.drop()
        self.resume()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stall(self) -> None:
        """Keep answers back from now on."""
        self._passing.clear()

    def resume(self) -> None:
        """Let answers pass again, those that were kept back first."""
        self._passing.set()

    def drop(self) -> None:
        """Cut all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def forget(self) -> None:
        """Answer nothing any more on the connections there are, as a firewall does."""
        self._forgotten = set(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        pair = {writer, server_writer}
        self._writers |= pair
        self.most_at_once = max(self.most_at_once, len(self._writers) // 2)
        with suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, server_writer))
                tasks.create_task(self._pass_back(server_reader, writer))
        self._writers -= pair
        for each in pair:
            each.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._passing.wait()
                if writer in self._forgotten:
                    continue
                if self.cut_after is not None and passed + len(data) > self.cut_after:
                    writer.write(data[: self.cut_after - passed])
                    await writer.drain()
                    break
                passed += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()
