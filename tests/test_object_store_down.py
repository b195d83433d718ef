#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The object store when S3 is down, silent, slow or full, cuts off in mid-value, and is back."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from typing import Any, Self

import pytest

from pipecat_tts_cache.backends import ObjectStoreCacheBackend
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock, breaker, clock
from tests.fault_proxy import FaultProxy
from tests.object_servers import KEYS, Bucket, bucket, s3_server
from tests.outages import LARGE, Outages, fail, warnings
from tests.servers import free_port

__all__ = ["breaker", "bucket", "clock", "s3_server"]

SHORT = 0.5
"""A time limit that a living server on loopback nearly always keeps, in seconds."""
PATIENT: dict[str, Any] = {"timeout": 20, "write_timeout": 20}
SECRETS = ("hunter2", "HUNTER2")


@pytest.fixture
async def proxy(bucket: Bucket) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(bucket.port) as proxy:
        yield proxy


@pytest.fixture
async def store(
    bucket: Bucket, proxy: FaultProxy, breaker: CircuitBreaker
) -> AsyncIterator[ObjectStoreCacheBackend]:
    """A patient store behind the proxy, with one utterance."""
    url = bucket.url(port=proxy.port)
    async with ObjectStoreCacheBackend(url, breaker=breaker, **PATIENT, **KEYS) as store:
        await store.set(make_key(), LARGE)
        yield store


@pytest.fixture
async def hasty(
    bucket: Bucket, proxy: FaultProxy, breaker: CircuitBreaker, store: ObjectStoreCacheBackend
) -> AsyncIterator[ObjectStoreCacheBackend]:
    """A store with short limits behind the proxy, with the same utterance."""
    async with ObjectStoreCacheBackend(
        bucket.url(port=proxy.port), timeout=SHORT, write_timeout=SHORT, breaker=breaker, **KEYS
    ) as hasty:
        yield hasty


@pytest.fixture
def far_store(store: ObjectStoreCacheBackend) -> ObjectStoreCacheBackend:
    return store


class TestOutages(Outages):
    @contextmanager
    def in_haste(self, store: ObjectStoreCacheBackend) -> Generator[None]:
        patience, store._timeout = store._timeout, SHORT
        yield
        store._timeout = patience


class AnsweringServer:
    """A server that answers every request the same."""

    def __init__(self, status: str, body: bytes = b"", *, sent: int | None = None) -> None:
        self.status = status
        self.body = body
        self.sent = sent  # bytes of the body; then it stands still
        self.requests = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    def store(self, **options: Any) -> ObjectStoreCacheBackend:
        url = f"s3://bucket/x?endpoint=http://127.0.0.1:{self.port}"
        return ObjectStoreCacheBackend(url, **{**PATIENT, **KEYS, **options})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = [
                    int(line[15:])
                    for line in head.lower().splitlines()
                    if line.startswith(b"content-length:")
                ]
                await reader.readexactly(sum(size))
                self.requests += 1
                answer = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n"
                answer += 'ETag: "x"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n'
                writer.write(answer.encode() + self.body[: self.sent])
                await writer.drain()
        writer.close()


def chain(error: BaseException | None) -> str:
    """Everything that a traceback of an error would show."""
    shown = ""
    while error is not None:
        shown += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    return shown


# Down


async def test_a_server_that_is_down_and_comes_back(
    bucket: Bucket,
    proxy: FaultProxy,
    store: ObjectStoreCacheBackend,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left alone after three failures, tried by itself, and used again; told once each."""
    proxy.refusing = True
    proxy.drop()
    await fail(store)
    tried = proxy.connections
    for call in (
        store.get(make_key()),
        store.set(make_key(), make_utterance()),
        store.delete(make_key()),
        store.exists(make_key()),
        store.clear(),
        store.clear("x"),
        anext(store.entries()),
        store.delete_many([make_key()]),
        store.peek(make_key()),
    ):
        with pytest.raises(BackendUnavailableError, match=r"left alone for 1.0 s more"):
            await call
    stats = await store.get_stats()
    assert tried == proxy.connections
    expected = {"entries": None, "namespaces": None, "bytes": None, "available": False}
    assert expected | {"breaker": "open", "errors": 3} == {
        name: stats[name] for name in [*expected, "breaker", "errors"]
    }
    clock.now += 1
    await fail(store, times=1)
    assert tried + 1 == proxy.connections
    proxy.refusing = False
    clock.now += 2
    assert await store.get(make_key()) == LARGE
    assert "closed" == (await store.get_stats())["breaker"]
    down, up = warnings(caplog)
    assert "spoken live meanwhile" in down
    assert "answers again" in up


async def test_a_port_that_nobody_listens_on(bucket: Bucket, breaker: CircuitBreaker) -> None:
    """A refused connection fails at once, without retries."""
    store = ObjectStoreCacheBackend(
        bucket.url(port=free_port()), breaker=breaker, **PATIENT, **KEYS
    )
    async with asyncio.timeout(10):
        await fail(store)
    assert 0 == (await store.get_stats())["timeouts"]


# Silent and slow


async def test_a_server_that_stands_still(
    proxy: FaultProxy, hasty: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """A silent server costs the time limit three times, then nothing, until it goes on."""
    proxy.stall()
    for said in await fail(hasty):
        assert "no answer within 0.5 s" in said
    with pytest.raises(BackendUnavailableError):
        await hasty.set(make_key(), make_utterance())
    stats = await hasty.get_stats()
    assert (3, 3) == (stats["errors"], stats["timeouts"])
    proxy.resume()
    clock.now += 1
    assert await hasty.get(make_key()) == LARGE


async def test_a_value_that_never_ends() -> None:
    """The limit holds for all of an answer, also where it begins in time."""
    async with (
        AnsweringServer("200 OK", LARGE.audio, sent=100_000) as server,
        server.store(timeout=SHORT) as store,
    ):
        await fail(store, times=1)
        assert 1 == server.requests
        assert (1, 0) == ((stats := store._server.describe())["timeouts"], stats["unavailable"])


async def test_a_probe_gets_a_fresh_connection(
    proxy: FaultProxy, hasty: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """Idle connections that a firewall forgot do not make probe after probe fail."""
    hasty._timeout = 20
    before = len(proxy._writers)
    while len(proxy._writers) < before + 2 * 5:  # until so many stay open when they are idle
        proxy.stall()
        calls = [asyncio.ensure_future(hasty.exists(make_key())) for _ in range(8)]
        await asyncio.sleep(0.2)
        proxy.resume()
        assert [True] * 8 == await asyncio.gather(*calls)
        await asyncio.sleep(0.2)
    hasty._timeout = SHORT
    proxy.forget()
    await fail(hasty)
    clock.now += 1
    assert await hasty.get(make_key()) == LARGE


async def test_no_more_requests_at_once_than_allowed(bucket: Bucket, proxy: FaultProxy) -> None:
    """Further calls wait for one that is under way."""
    store = ObjectStoreCacheBackend(
        bucket.url(port=proxy.port), max_connections=3, **PATIENT, **KEYS
    )
    await store.set(make_key(), make_utterance())
    found = await asyncio.gather(*(store.get(make_key()) for _ in range(30)))
    assert [make_utterance()] * 30 == found
    assert proxy.most_at_once <= 3


async def test_closing_does_not_wait_for_a_silent_server(
    proxy: FaultProxy, hasty: ObjectStoreCacheBackend
) -> None:
    """Close ends in time, raises nothing, and no call is made any more."""
    proxy.stall()
    await fail(hasty, times=1)
    async with asyncio.timeout(10):
        await hasty.close()
    with pytest.raises(BackendError, match="is closed"):
        await hasty.get(make_key())


# Cut off


async def test_a_write_that_is_cut_off_leaves_the_old_one(
    proxy: FaultProxy, store: ObjectStoreCacheBackend
) -> None:
    """However far a write got, what is there is whole: the old one or the new."""
    new = make_utterance(2, num_bytes=500_000)
    outcomes = set()
    for turns in range(30):
        await store.set(make_key(), LARGE)
        write = asyncio.ensure_future(store.set(make_key(), new))
        for _ in range(4 * turns):
            await asyncio.sleep(0)
        if turns % 2:
            proxy.drop()
        else:
            write.cancel()
        await asyncio.wait([write])
        found = await store.get(make_key())
        assert found in (LARGE, new)
        outcomes.add(found == new)
    assert False in outcomes
    assert 1 == (await store.get_stats())["entries"]


# What a server says


@pytest.mark.parametrize(
    ("status", "breaker"),
    [
        ("507 Insufficient Storage", "closed"),
        ("403 Forbidden", "closed"),
        ("401 Unauthorized", "closed"),
        ("400 Bad Request", "closed"),
        ("301 Moved Permanently", "closed"),
        ("503 Slow Down", "open"),
        ("500 Internal Server Error", "open"),
        ("429 Too Many Requests", "open"),
    ],
)
async def test_a_server_that_is_full_or_refuses(
    status: str, breaker: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Writes fail with what it says, but for what may be secret; while it lives, it is asked."""
    body = (
        b"<Error><Code>NoRoomLeft</Code><Message>hunter2</Message>"
        b"<AWSAccessKeyId>AKIAHUNTER2</AWSAccessKeyId></Error>"
    )
    async with AnsweringServer(status, body) as server, server.store() as store:
        for _ in range(3):
            with pytest.raises(BackendError) as raised:
                await store.set(make_key(), make_utterance())
            assert type(raised.value) is BackendError
            shown = chain(raised.value)
            assert not any(secret in shown for secret in SECRETS)
            if not status.startswith("301"):
                assert status[:3] in str(raised.value)
            if status.startswith("4"):
                assert "NoRoomLeft" in str(raised.value)
        stats = await store.get_stats()
        assert (breaker, False) == (stats["breaker"], stats["available"])
        assert server.requests >= 3
    (said,) = warnings(caplog)
    assert ("refuses" if breaker == "closed" else "spoken live meanwhile") in said
    assert not any(secret in said for secret in SECRETS)


@pytest.mark.parametrize("answer", [b"", b"abc", b"<xml>"])
async def test_a_server_that_lies(answer: bytes) -> None:
    """What is no sound file is never an utterance, and what is no part or list is an error."""
    async with AnsweringServer("200 OK", answer) as server, server.store() as store:
        assert await store.get(make_key()) is None
        with pytest.raises(BackendError):
            await store.exists(make_key())
        with pytest.raises(BackendError):
            await store.clear()


async def test_nobody_gives_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials, and on a machine that is given none, that is what is said."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    async with AnsweringServer("403 Forbidden") as server:
        here = f"http://127.0.0.1:{server.port}"
        store = ObjectStoreCacheBackend(
            f"s3://bucket/x?endpoint={here}", metadata_endpoint=here, **PATIENT
        )
        with pytest.raises(BackendError, match="no credentials in the environment"):
            await store.get(make_key())


async def test_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    """No bucket is an error, not a miss for ever."""
    missing = Bucket("no-such-bucket", bucket.port)
    async with ObjectStoreCacheBackend(missing.url(), **PATIENT, **KEYS) as store:
        for call in (
            store.get(make_key()),
            store.set(make_key(), make_utterance()),
            store.exists(make_key()),
            store.delete(make_key()),
            store.clear(),
            anext(store.entries()),
        ):
            with pytest.raises(BackendError, match="404 Not Found, NoSuchBucket"):
                await call
        stats = await store.get_stats()
        assert (None, "closed") == (stats["entries"], stats["breaker"])


async def test_a_removal_that_fails_does_not_fail_the_look_up(
    bucket: Bucket, store: ObjectStoreCacheBackend
) -> None:
    """A damaged object is a miss, whether or not it can be deleted."""
    await bucket.client().put_async(f"!!/{make_key().digest}.speech", b"junk")

    async def broken(*_: object) -> None:
        raise BackendError("no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._listing, "remove", broken)
        assert await store.get(make_key()) is None
    assert 1 == (await store.get_stats())["corrupt"]


async def test_a_callers_slow_store_is_held_to_time(
    bucket: Bucket, proxy: FaultProxy, clock: Clock, breaker: CircuitBreaker
) -> None:
    """The time limits hold whatever retries and time-outs a caller's store has."""
    client = Bucket(bucket.name, proxy.port).client(retry_config={"max_retries": 10})
    store = ObjectStoreCacheBackend(store=client, timeout=SHORT, write_timeout=5, breaker=breaker)
    await store.set(make_key(), make_utterance())
    proxy.refusing = True
    proxy.drop()
    async with asyncio.timeout(20):
        await fail(store)
    proxy.refusing = False
    clock.now += 1
    assert await store.get(make_key()) == make_utterance()
