#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""PostgreSQL servers of our own, for tests: on free loopback ports, in temporary folders.

Fixtures are imported by the test modules that need them. Where PostgreSQL is not installed its
tests are skipped, except in CI, where they fail. It refuses to run as root: then it runs as the
user "postgres", whom Debian's package creates, or "nobody".
"""

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from blockbuster import BlockBuster

from tests.servers import free_port, wait_for

USER = "tester"
DATABASE = "speech"
_PLACES = ("usr/lib/postgresql/*/bin", "opt/homebrew/opt/postgresql*/bin", "usr/pgsql-*/bin")
GUARDED = "guarded"
"""A role that has to give a password."""
STRANGER = "stranger"
"""A role that may not connect."""
_RULES = f"""
host all {GUARDED} 127.0.0.1/32 scram-sha-256
host all {STRANGER} 127.0.0.1/32 reject
"""
_WIPE = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public
"""
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def need_postgres() -> Path:
    """Find the folder of PostgreSQL's programs, or skip the test, or in CI fail it."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for place in _PLACES:
        folders += sorted(Path("/").glob(place), key=_version, reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    reason = "PostgreSQL is not installed: apt install postgresql, brew install postgresql"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _version(folder: Path) -> list[int]:
    return list(map(int, re.findall(r"\d+", str(folder))))


def _servant() -> dict[str, Any]:
    """Say whom to start the server as: not root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.fail("root cannot run PostgreSQL, and there is no user postgres or nobody")


class PostgresServer:
    """A server that can be stopped, stalled and started again on the same port."""

    def __init__(self, *, port: int | None = None, **settings: str) -> None:
        self.port = port or free_port()
        self.settings = _SETTINGS | _FAST | settings
        self._programs = need_postgres()
        self._process: subprocess.Popen[bytes] | None = None
        # pytest's own folders are closed to other users.
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._servant = _servant()
        self.hand_over(self.directory)
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--wal-segsize=1")
        self._run("initdb", f"--username={USER}", *options)
        rules = self.data / "pg_hba.conf"
        rules.write_text(_RULES + rules.read_text(encoding="utf-8"), encoding="utf-8")

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        return self.url_of()

    def url_of(self, *, user: str = USER, database: str = DATABASE, port: int | None = None) -> str:
        """The DSN for a user, who may be followed by a colon and a password."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def hand_over(self, path: Path) -> None:
        """Let the user that the server runs as have a file, and nobody else."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self._servant:
            os.chown(path, self._servant["user"], self._servant["group"])

    def start(self) -> "PostgresServer":
        """Start the server and wait until it takes connections."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, f"-p{self.port}", *options],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                **self._servant,
            )
        wait_for(self._is_ready, f"PostgreSQL on port {self.port}")
        return self

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End the server: at once and without a farewell, unless told otherwise."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Let the server stand still: it accepts connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled server go on."""
        self._signal(signal.SIGCONT)

    def revive(self) -> None:
        """See to it that the server runs, whatever was done to it."""
        if self._process is None:
            self.start()
        self.resume()

    def remove(self) -> None:
        """Stop the server and remove what it kept."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, query: str, *values: Any, **place: Any) -> list[Any]:
        """Ask the server something behind a store's back. It waits: not for an event loop."""
        return asyncio.run(_ask(self.url_of(**place), query, *values))

    async def query(self, query: str, *values: Any, **place: Any) -> list[Any]:
        """Ask the server something behind a store's back."""
        return await asyncio.to_thread(self.ask, query, *values, **place)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to all of its processes."""
        assert self._process is not None
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True)
        parents = dict(map(int, line.split()) for line in listed.stdout.splitlines())
        servants = [pid for pid, parent in parents.items() if parent == self._process.pid]
        for pid in [self._process.pid, *servants]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended: see {self.directory}/log"
        command = [self._programs / "pg_isready", "-q", "-h127.0.0.1", f"-p{self.port}"]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *options: str) -> None:
        command = [self._programs / program, "-D", self.data, *options]
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, check=False, **self._servant
        )
        assert done.returncode == 0, done.stderr.decode()


async def _ask(url: str, query: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        if values:
            return list(await connection.fetch(query, *values))
        if query.lstrip().lower().startswith(("select", "show", "with")):
            return list(await connection.fetch(query))
        await connection.execute(query)
        return []
    finally:
        await connection.close()


@contextmanager
def running_postgres(**settings: str) -> Iterator[PostgresServer]:
    """Run a server with an empty database, and remove it in the end."""
    server = PostgresServer(**settings)
    try:
        server.start()
        server.ask(f"CREATE DATABASE {DATABASE}", database="postgres")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a session that leave it alive."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def lets_asyncpg_look_for_files(no_blocking: BlockBuster) -> None:
    """Let asyncpg look for ~/.pgpass and ~/.postgresql, as it does with each connection."""
    for function in no_blocking.functions.values():
        function.can_block_in(
            "asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args", "_read_password_file"}
        )


@pytest.fixture
async def postgres(
    shared_postgres: PostgresServer, lets_asyncpg_look_for_files: None
) -> PostgresServer:
    """A server with nothing on it."""
    await shared_postgres.query(_WIPE)
    return shared_postgres


@pytest.fixture(scope="session")
def _mortal_postgres() -> Iterator[PostgresServer]:
    with running_postgres(synchronous_commit="on", full_page_writes="on") as server:
        yield server


@pytest.fixture
async def own_postgres(
    _mortal_postgres: PostgresServer, lets_asyncpg_look_for_files: None
) -> AsyncIterator[PostgresServer]:
    """A server with nothing on it, to be stopped, stalled and started by the test."""
    await _mortal_postgres.query(_WIPE)
    yield _mortal_postgres
    await asyncio.to_thread(_mortal_postgres.revive)


class Pgbouncer:
    """A pgbouncer that hands a connection to another client after each transaction."""

    def __init__(self, server: PostgresServer, program: str) -> None:
        self.port = free_port()
        self.url = server.url_of(port=self.port)
        self.directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        servant = _servant()
        (self.directory / "users").write_text(f'"{USER}" ""', encoding="utf-8")
        options = _POOLING | {
            "listen_port": self.port,
            "auth_file": self.directory / "users",
            "logfile": self.directory / "log",
        }
        settings = self.directory / "settings"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
            + "\n".join(f"{name} = {value}" for name, value in options.items()),
            encoding="utf-8",
        )
        for path in (self.directory, *self.directory.iterdir()) if servant else ():
            os.chown(path, servant["user"], servant["group"])
        self._process = subprocess.Popen(
            [program, settings], cwd=self.directory, stderr=subprocess.DEVNULL, **servant
        )
        wait_for(self._listens, "pgbouncer")

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"it ended: see {self.directory}/log"
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory)


_POOLING = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "trust",
    "pool_mode": "transaction",
    "default_pool_size": 3,
    "server_round_robin": 1,  # as bad as it can be: never the same connection twice in a row
}


@pytest.fixture
def pgbouncer(postgres: PostgresServer) -> Iterator[Pgbouncer]:
    """A pooler in front of a server with nothing on it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        reason = "pgbouncer is not installed: apt install pgbouncer, brew install pgbouncer"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    pooler = Pgbouncer(postgres, program)
    yield pooler
    pooler.stop()
