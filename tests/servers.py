#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Redis and Valkey servers of our own, for tests: on free loopback ports, keeping nothing.

Fixtures are imported by the test modules that need them. Where a server is not installed its tests
are skipped, except in CI, where they fail.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from blockbuster import BlockBuster

_PATIENCE = 20.0
VALKEY = "valkey-server"
PROGRAMS = ["redis-server", *([VALKEY] if shutil.which(VALKEY) else [])]


def need(program: str) -> str:
    """Find a program, or skip the test that needs it, or in CI fail it."""
    path = shutil.which(program)
    if path is None:
        package = "openssl" if program == "openssl" else "redis"
        reason = f"{program} is not installed: apt install {package}, brew install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def free_port() -> int:
    """Find a TCP port on loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A redis-server that can be stopped, stalled and started again on the same port."""

    def __init__(
        self, program: str, directory: Path, *options: str, port: int | None = None
    ) -> None:
        self.program = program
        self.directory = directory
        self.options = options
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """A client for the test itself, which waits."""
        return redis.Redis(port=self.port, **options)

    async def ask(self, *command: Any) -> Any:
        """Ask the server something behind a store's back."""

        def ask() -> Any:
            with self.client() as client:
                return client.execute_command(*command)

        return await asyncio.to_thread(ask)

    def start(self) -> "Server":
        """Start the server and wait until it listens."""
        base = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]
        ports = () if "--tls-port" in self.options else ("--port", str(self.port))
        with (self.directory / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [need(self.program), *self.options, *base, str(self.directory), *ports],
                stdout=log,
                stderr=log,
            )
        wait_for(self._listens, f"{self.program} on port {self.port}")
        return self

    def stop(self) -> None:
        """End the server at once. All it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Let the server stand still: it accepts connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.program} ended: see {self.directory}"
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {_PATIENCE:g} s in vain for {what}"
        time.sleep(0.01)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start servers, and stop them in the end."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield


@pytest.fixture
def lets_redis_introduce_itself(no_blocking: BlockBuster) -> None:
    """Let redis-py read its version from disk, as callers' own clients do with each connection."""
    for function in no_blocking.functions.values():
        function.can_block_in("redis/utils.py", {"get_lib_version"})


@pytest.fixture(scope="session", params=PROGRAMS)
def shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server for all tests of a session that leave it alive."""
    server = Server(request.param, tmp_path_factory.mktemp(request.param))
    with running(server):
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """A server with nothing on it."""
    with shared_server.client() as client:
        client.flushall()
        client.config_resetstat()
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server to be stopped, stalled and started by the test."""
    server = Server("redis-server", tmp_path)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def cluster_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """The ports of a cluster of three nodes."""
    nodes = []
    for _ in range(3):
        bus = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
        nodes.append((Server("redis-server", tmp_path_factory.mktemp("node"), *options), bus))
    with running(*(node for node, _ in nodes)):
        for i, (node, _) in enumerate(nodes):
            with node.client() as client:
                first, last = i * 5461, 16383 if i == 2 else i * 5461 + 5460
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                for other, bus in nodes[:i]:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, bus)
        wait_for(lambda: all(_knows_all(node) for node, _ in nodes), "the cluster")
        yield [node.port for node, _ in nodes]


def _knows_all(node: Server) -> bool:
    with node.client() as client:
        info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"
