#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How the Postgres store gets at its server: arguments, DSNs, rights, secrets, poolers."""

import asyncio
import inspect
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from asyncpg import connect_utils

import pipecat_tts_cache.backends
from pipecat_tts_cache.backends.postgres.backend import PostgresCacheBackend
from pipecat_tts_cache.backends.postgres.connections import Names
from pipecat_tts_cache.backends.postgres.dsn import check_dsn
from pipecat_tts_cache.backends.postgres.tls import read_certificates
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError, MissingExtraError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.postgres_server import (
    DATABASE,
    GUARDED,
    STRANGER,
    Pgbouncer,
    PostgresServer,
    lets_asyncpg_look_for_files,
    pgbouncer,
    postgres,
    shared_postgres,
)
from tests.servers import need

__all__ = ["lets_asyncpg_look_for_files", "pgbouncer", "postgres", "shared_postgres"]

SECRET = "pass-Xyzzy"
DSN = "postgresql://localhost/speech"


# Construction


def test_a_missing_extra_is_said_on_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asyncpg everything can be imported, and making a store says what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in [name for name in sys.modules if "backends.postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    without_asyncpg = pipecat_tts_cache.backends.PostgresCacheBackend
    assert without_asyncpg is not PostgresCacheBackend
    assert "CREATE TABLE" in without_asyncpg.schema_sql()
    with pytest.raises(MissingExtraError, match=r"pip install 'pipecat-tts-cache\[postgres\]'"):
        without_asyncpg()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dsn": 5432}, TypeError, "dsn must be a str, not int"),
        ({"dsn": b"postgresql://localhost"}, TypeError, "not bytes"),
        ({"dsn": ""}, ValueError, "must start with postgresql://"),
        ({"dsn": "host=localhost dbname=x"}, ValueError, "must start with postgresql://"),
        ({"dsn": f"mysql://u:{SECRET}@localhost"}, ValueError, "must start with postgresql://"),
        ({"dsn": f"u:{SECRET}@localhost:5432"}, ValueError, "must start with postgresql://"),
        ({"dsn": f"postgresql:u:{SECRET}@localhost"}, ValueError, "must start with"),
        ({"dsn": f"postgresql://[{SECRET}"}, ValueError, "cannot be read"),
        ({"dsn": f"postgresql://u:{SECRET}/x@localhost"}, ValueError, "cannot be read"),
        ({"dsn": f"postgresql://u:{SECRET}@x@localhost"}, ValueError, "cannot be read"),
        ({"dsn": f"postgresql://u:{SECRET}#x@localhost"}, ValueError, "cannot be read"),
        ({"dsn": f"postgresql://u:{SECRET}?x@localhost"}, ValueError, "cannot be read"),
        ({"dsn": f"postgresql://u:p@localhost:{SECRET}"}, ValueError, "port that is no number"),
        ({"dsn": "postgresql://localhost:0/x"}, ValueError, "port that is no number"),
        ({"dsn": f"{DSN}?sslmode=strict"}, ValueError, "sslmode of the dsn must be one of"),
        ({"dsn": f"{DSN}?channel_binding=require"}, ValueError, "leave channel_binding out"),
        ({"dsn": DSN, "pool": object()}, ValueError, "either dsn or pool, not both"),
        ({"pool": object()}, TypeError, "pool must be an asyncpg.Pool, not object"),
        ({"table": 5}, TypeError, "table must be a str"),
        ({"table": ""}, ValueError, "table must be 'name' or 'schema.name'"),
        ({"table": "a.b.c"}, ValueError, "table must be"),
        ({"table": 'a"; DROP TABLE users; --'}, ValueError, "table must be"),
        ({"table": "speech cache"}, ValueError, "table must be"),
        ({"table": "x" * 41}, ValueError, "at most 40 each"),
        ({"table": "1st"}, ValueError, "table must be"),
        ({"codec": "mp3"}, ValueError, "codec must be"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"write_timeout": float("nan")}, ValueError, "write_timeout must be above 0"),
        ({"timeout": None}, TypeError, "timeout must be a number"),
        ({"max_connections": 0}, ValueError, "max_connections must be above 0"),
        ({"max_connections": 2.5}, TypeError, "max_connections must be an int"),
        ({"breaker": 5}, TypeError, "breaker must be a CircuitBreaker, not int"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What cannot work is refused where the store is made, in words, and without the secret."""
    with pytest.raises(error, match=message) as raised:
        PostgresCacheBackend(**options)
    assert all(SECRET not in f"{each!r} {each}" for each in chain_of(raised.value))


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://bot:secret@db.example.com:5433/speech", "db.example.com:5433/speech"),
        ("postgres://db.example.com", "db.example.com:5432/"),
        ("postgresql://bot:p%40ss%2Fword@h/sp%C3%A9ech?sslmode=require", "h:5432/spéech"),
        ("postgresql://bot@a:1,b:2/x?target_session_attrs=primary", "a:1,b:2/x"),
        ("postgresql://bot@[::1]:5433/x", "[::1]:5433/x"),
        ("postgresql://bot@[::1]/x", "[::1]:5432/x"),
        ("postgresql:///x?host=/run/postgresql&user=bot&password=secret", "/run/postgresql/x"),
        ("postgresql://%2Frun%2Fpostgresql/x", "/run/postgresql/x"),
        ("postgresql://?host=h&port=5433&dbname=x", "h:5433/x"),
    ],
)
def test_a_server_is_named_without_user_and_password(dsn: str, name: str) -> None:
    """A DSN that asyncpg takes is taken, and named by host, port and database."""
    parse = connect_utils._parse_connect_dsn_and_args
    parse(**dict.fromkeys(inspect.signature(parse).parameters) | {"dsn": dsn})
    assert f"postgresql://{name}" == check_dsn(dsn)
    assert f"PostgresCacheBackend('postgresql://{name}', table='pipecat_tts_cache')" == repr(
        PostgresCacheBackend(dsn)
    )


async def test_without_a_dsn_the_environment_decides(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As psql does, the store takes the server that PGHOST and others name."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    monkeypatch.setenv("PGUSER", "tester")
    monkeypatch.setenv("PGDATABASE", DATABASE)
    async with PostgresCacheBackend(timeout=20, write_timeout=20) as store:
        await store.set(make_key(), make_utterance())
        assert (
            f"postgresql://127.0.0.1:{postgres.port}/speech" == (await store.get_stats())["server"]
        )


# Who may, and who may not


@pytest.fixture
async def roles(postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """A server with a role that needs a password, and one that may not connect."""
    await postgres.query(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{SECRET}'")
    await postgres.query(f"CREATE ROLE {STRANGER} LOGIN")
    yield postgres
    await postgres.query(f"DROP OWNED BY {GUARDED}; DROP ROLE {GUARDED}, {STRANGER}")


def patient(dsn: str, **options: Any) -> PostgresCacheBackend:
    return PostgresCacheBackend(dsn, timeout=20, write_timeout=20, **options)


@pytest.mark.parametrize(
    ("user", "database", "words"),
    [
        (f"{GUARDED}:not-{SECRET}", DATABASE, "InvalidPasswordError: user or password is not"),
        (f"no-{SECRET}", DATABASE, "InvalidAuthorizationSpecificationError: user or password"),
        (STRANGER, DATABASE, "InvalidAuthorizationSpecificationError: user or password is not"),
        ("tester", "nosuch", 'InvalidCatalogNameError: database "nosuch" does not exist'),
    ],
)
async def test_who_may_not_connect_is_told(
    roles: PostgresServer,
    caplog: pytest.LogCaptureFixture,
    user: str,
    database: str,
    words: str,
) -> None:
    """A wrong password, user or database is an outage, told in words, without the secret."""
    async with patient(roles.url_of(user=user, database=database)) as store:
        for _ in range(3):
            with pytest.raises(BackendError, match=words) as raised:
                await store.get(make_key())
            said = [f"{each!r} {each} {vars(each)}" for each in chain_of(raised.value)]
            assert_private(said, user)
        with pytest.raises(BackendUnavailableError):
            await store.set(make_key(), make_utterance())
        assert_private([repr(store), repr(await store.get_stats())], user)
        assert_private(
            [each.getMessage() for each in caplog.records if "TTS cache" in each.getMessage()], user
        )


def assert_private(said: list[str], user: str) -> None:
    for secret in (SECRET, GUARDED, STRANGER, *user.split(":")):
        assert not any(secret in each for each in said), (secret, said)


async def test_a_right_password_is_right(roles: PostgresServer) -> None:
    """A role that has all it needs can do all a store does, after the SQL that creates tables."""
    await roles.query(PostgresCacheBackend.schema_sql())
    await roles.query(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON pipecat_tts_cache, pipecat_tts_cache_totals"
        " TO guarded; GRANT SELECT ON pipecat_tts_cache_schema TO guarded"
    )
    async with patient(roles.url_of(user=f"{GUARDED}:{SECRET}")) as store:
        for i in range(17):  # every sixteenth write tidies up
            await store.set(make_key(str(i)), make_utterance(i), ttl=60)
        assert make_utterance(0) == await store.get(make_key("0"))
        await store._uses.flush()
        assert await store.delete(make_key("1"))
        assert 1 == await store.delete_many([make_key("2")])
        assert 15 == len([entry async for entry in store.entries()])
        assert 15 == await store.clear()
        stats = await store.get_stats()
        assert (0, 0) == (stats["entries"], stats["errors"])


async def test_missing_rights_are_told(
    roles: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A role that may not create the tables is told so, once in the log; nothing is left alone."""
    async with patient(roles.url_of(user=f"{GUARDED}:{SECRET}")) as store:
        for _ in range(4):
            with pytest.raises(BackendError, match="permission denied for schema public"):
                await store.set(make_key(), make_utterance())
        assert "closed" == (await store.get_stats())["breaker"]
        await roles.query(PostgresCacheBackend.schema_sql())
        with pytest.raises(BackendError, match=r"permission denied .* \(42501\)"):
            await store.get(make_key())
    told = [each.getMessage() for each in caplog.records if "refuses" in each.getMessage()]
    assert 1 == len(told)
    assert "the rights of the role" in told[0]


async def test_a_server_without_tls_is_refused(postgres: PostgresServer) -> None:
    """Who asks for TLS in the DSN gets it or an error, never a bare connection."""
    async with patient(f"{postgres.url}?sslmode=require") as store:
        with pytest.raises(BackendError, match="rejected SSL upgrade"):
            await store.get(make_key())


async def test_tls_is_what_the_dsn_says(
    tls_postgres: PostgresServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `sslmode` and `sslrootcert` a server proves who it is; one that cannot is refused.

    What the store trusts is read off the event loop.
    """
    read = ssl.SSLContext.load_verify_locations

    def read_in_a_thread(self: ssl.SSLContext, **files: Any) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        read(self, **files)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", read_in_a_thread)
    dsn = f"{tls_postgres.url}?sslmode=verify-full&sslrootcert={certificate}"
    async with patient(dsn) as store:
        await store.set(make_key(), make_utterance())
        assert await store.get(make_key()) == make_utterance()
        rows = await tls_postgres.query(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE query ~ 'record'"
        )
        assert {True} <= {row["ssl"] for row in rows}
    by_name = dsn.replace("127.0.0.1", "localhost")
    for mode in ("require", "verify-ca"):  # the certificate is for 127.0.0.1 only
        async with patient(by_name.replace("verify-full", mode)) as store:
            assert await store.get(make_key()) == make_utterance()
    for wrong in (by_name, dsn.replace(str(certificate), certifi.where())):
        async with patient(wrong) as store:
            with pytest.raises(BackendError, match="SSLCertVerificationError"):
                await store.get(make_key())
    async with patient(dsn.replace(str(certificate), "/nowhere.pem")) as store:
        with pytest.raises(BackendError, match="FileNotFoundError"):
            await store.get(make_key())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself; its key is beside it."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = [need("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=nobody"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(path)]
    subprocess.run(
        [*command, "-keyout", str(path.with_name("key.pem"))], check=True, capture_output=True
    )
    return path


@pytest.fixture
def shown(shared_postgres: PostgresServer, certificate: Path) -> Path:
    """The certificate as the server can read it, its key beside it."""
    for name in ("certificate.pem", "key.pem"):
        shutil.copyfile(certificate.with_name(name), shared_postgres.directory / name)
        shared_postgres.hand_over(shared_postgres.directory / name)
    return shared_postgres.directory / certificate.name


@pytest.fixture
async def tls_postgres(postgres: PostgresServer, shown: Path) -> AsyncIterator[PostgresServer]:
    """The server, which speaks TLS for the time of a test."""
    await postgres.query(f"ALTER SYSTEM SET ssl_cert_file = '{shown}'")
    await postgres.query(f"ALTER SYSTEM SET ssl_key_file = '{shown.with_name('key.pem')}'")
    await postgres.query("ALTER SYSTEM SET ssl = on")
    await reloaded(postgres, ssl="on")
    yield postgres
    await postgres.query("ALTER SYSTEM RESET ALL")
    await reloaded(postgres, ssl="off")


async def reloaded(postgres: PostgresServer, ssl: str) -> None:
    await postgres.query("SELECT pg_reload_conf()")
    async with asyncio.timeout(20):
        while (await postgres.query("SHOW ssl"))[0][0] != ssl:
            pass


async def test_a_driver_that_refuses_values_is_no_outage(postgres: PostgresServer) -> None:
    """A value that fits into no column fails the write, and the connection is of use."""
    async with patient(postgres.url) as store:
        await store.set(make_key(), make_utterance())
        for _ in range(4):
            with pytest.raises(BackendError):
                await store.get(make_key()._replace(digest="a\x00b"))
        stats = await store.get_stats()
        assert ("closed", 4) == (stats["breaker"], stats["errors"])


async def test_messages_hold_nothing_that_was_said(postgres: PostgresServer) -> None:
    """What PostgreSQL quotes of a row that it refuses is not repeated."""
    async with patient(postgres.url) as store:
        await store.set(make_key(), make_utterance())
        await postgres.query("ALTER TABLE pipecat_tts_cache ADD CHECK (text <> 'Sentence 7.')")
        with pytest.raises(BackendError, match="CheckViolationError") as raised:
            await store.set(make_key("x"), make_utterance(7))
    said = [f"{each} {vars(each)}" for each in chain_of(raised.value)]
    assert not any("Sentence" in each for each in said)


# Poolers


async def test_behind_a_pooler_that_shares_connections(
    pgbouncer: Pgbouncer, postgres: PostgresServer
) -> None:
    """With transaction pooling, where no statement is there twice, everything works."""
    stores = [patient(pgbouncer.url) for _ in range(3)]
    keys = [make_key(str(i)) for i in range(30)]
    for turn in range(3):
        await asyncio.gather(
            *(stores[i % 3].set(key, make_utterance(i + turn)) for i, key in enumerate(keys))
        )
        for store in stores:
            found = await asyncio.gather(*map(store.get, keys))
            assert [make_utterance(i + turn) for i in range(30)] == found
    assert 30 == len([entry async for entry in stores[0].entries()])
    assert 5 == await stores[1].delete_many(keys[:5])
    assert 25 == (await stores[2].get_stats())["entries"]
    assert [0, 0, 0] == [(await store.get_stats())["errors"] for store in stores]
    assert [False] * 3 == [store._server.client._names.hold for store in stores]
    assert 25 == await stores[2].clear()
    await asyncio.gather(*(store.close() for store in stores))


async def test_statements_that_are_lost_are_done_without(postgres: PostgresServer) -> None:
    """When a prepared statement is gone, the call succeeds all the same, and no more are made."""
    async with patient(postgres.url, max_connections=1) as store:
        await store.set(make_key(), make_utterance())
        connection = store._server.client._idle[-1][1]
        prepared = "SELECT count(*) AS n FROM pg_prepared_statements"
        assert 2 <= await connection.fetchval(prepared)
        await connection.execute("DEALLOCATE ALL")
        assert await store.get(make_key()) == make_utterance()
        assert await store.set(make_key("x"), make_utterance(2))
        assert 0 == await connection.fetchval(prepared)
        assert 0 == (await store.get_stats())["errors"]


def test_statements_have_names_that_nobody_else_has() -> None:
    """Names of two stores never meet on a server."""
    one, other = Names(), Names()
    names = [each.new() for each in (one, other, one, other)]
    assert 4 == len(set(names))
    assert all(len(name) < 63 for name in names)


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error with all that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ("", {}),
        ("?sslmode=prefer&sslrootcert={root}", {}),
        ("?sslmode=verify-full", {}),
        ("?sslmode=verify-full&sslrootcert={root}&sslcert=x&sslkey=y", {}),
        ("?sslmode=verify-full&sslrootcert={root}", {"PGSSLCERT": "x"}),
    ],
)
def test_what_else_is_said_of_tls_is_for_asyncpg(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, options: str, variables: dict[str, str]
) -> None:
    """Where more, or less, is said than whom to trust, asyncpg reads it all."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert read_certificates(DSN + options.format(root=certificate)) is None
