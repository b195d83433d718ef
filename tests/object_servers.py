#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""An S3 server of our own (moto's), for tests, on a free loopback port.

Fixtures are imported by the test modules that need them. Where it is not installed its tests are
skipped, except in CI, where they fail.
"""

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from tests.servers import free_port, wait_for

PROGRAM = Path(__file__).parent / "s3_program.py"
KEYS = {"access_key_id": "AKIAHUNTER2", "secret_access_key": "hunter2secret", "region": "eu-west-1"}


def need_module(name: str) -> None:
    """Skip the test where a module is not installed, or in CI fail it."""
    if importlib.util.find_spec(name) is None:
        reason = f"{name} is not installed: it belongs to the group 'test'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class S3Server:
    """A server that speaks S3 and keeps all in memory. It can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "S3Server":
        """Start the server and wait until it listens."""
        need_module("moto")
        command = [sys.executable, str(PROGRAM), str(self.port)]
        with (self.directory / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._listens, f"moto on port {self.port}")
        return self

    def stop(self) -> None:
        """End the server at once. All it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def make_bucket(self) -> str:
        """Make a bucket that nobody else uses."""
        name = f"bucket-{uuid.uuid4().hex}"
        url = f"http://127.0.0.1:{self.port}/{name}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
        return name

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"moto ended: see {self.directory}"
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Bucket:
    """A bucket of a server that speaks S3."""

    name: str
    port: int

    def url(self, prefix: str = "tts/speech", *, port: int | None = None) -> str:
        """Name it, as a store takes it."""
        return f"s3://{self.name}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}"

    def client(self, prefix: str | None = "tts/speech", **options: Any) -> S3Store:
        """A client for the test itself."""
        return S3Store(
            self.name,
            prefix=prefix,
            endpoint=f"http://127.0.0.1:{self.port}",
            client_options={"allow_http": True},
            **KEYS,
            **options,
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server for all tests of a session."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
async def bucket(s3_server: S3Server) -> Bucket:
    """A bucket with nothing in it."""
    return Bucket(await asyncio.to_thread(s3_server.make_bucket), s3_server.port)
