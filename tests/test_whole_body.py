#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""An answer that breaks off in order is noticed where the service does not notice it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.speaking.whole_body import Body, read_along
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from tests.cached import KINDS
from tests.providers.timed_http import InworldSyncServer
from tests.stored import check_store


class Service:
    """A service with a session."""

    def __init__(self) -> None:
        self._session: Any = object()


@given(st.binary(max_size=20), st.binary(max_size=20), st.lists(st.integers(1, 6), max_size=20))
def test_the_mark_is_found_however_the_body_is_cut(
    before: bytes, behind: bytes, sizes: list[int]
) -> None:
    """A mark may be spread over several chunks."""
    body, rest = Body(b"the end"), before + b"the end" + behind
    for size in sizes:
        body.read(rest[:size])
        rest = rest[size:]
    body.read(rest)
    assert body.whole


def test_a_body_without_the_mark_is_not_whole() -> None:
    """Neither is one that only begins with it."""
    body = Body(b"the end")
    assert not body.whole
    body.read(b"not the e")
    body.read(b"n")
    assert not body.whole


def test_a_service_is_left_as_it_was() -> None:
    """It has its own session again, unless it has taken a new one meanwhile."""
    service = Service()
    session, new = service._session, object()
    with read_along(service, ("_session", b"the end")):
        assert service._session is not session
    assert session is service._session
    with read_along(service, ("_session", b"the end")):
        service._session = new
    assert new is service._session


SYNC = replace(
    KINDS["InworldHttpTTSService"],
    server=InworldSyncServer,
    arguments={"timestamp_transport_strategy": "SYNC"},
)


@pytest.mark.parametrize("text", ["Yes.", "Two is over there."])
async def test_words_that_are_told_before_they_are_spoken(text: str) -> None:
    """That the last word is told does not mean that all of it is spoken."""
    backend = MemoryCacheBackend()
    async with SYNC.server() as server:
        tts = SYNC.with_cache(server, cache_backend=backend)
        async with running(tts) as bot:
            server.fail(Fault.BROKEN)
            for _ in range(3):
                await bot.speak(text)
                said = await bot.until_quiet()
            stats = await tts.get_cache_stats()
    assert {"words": 1} == stats["not_stored"]
    assert 2 == len(server.requests)
    assert text == said.contexts[-1].heard.text
    assert [text] == check_store(backend)


READINGS: dict[str, Callable[[Any], AsyncIterator[Any]]] = {
    "await": lambda response: once(response.read),
    "text": lambda response: once(response.text),
    "content.read": lambda response: once(response.content.read),
    "content.readexactly": lambda response: once(partial(response.content.readexactly, 13)),
    "content.readany": lambda response: once(response.content.readany),
    "content.readline": lambda response: once(response.content.readline),
    "content.iter_any": lambda response: response.content.iter_any(),
    "content.iter_chunked": lambda response: response.content.iter_chunked(7),
    "content.iter_chunks": lambda response: response.content.iter_chunks(),
    "content": lambda response: aiter(response.content),
}
"""Ways of reading the body of an answer."""


async def once(read: Callable[[], Awaitable[Any]]) -> AsyncIterator[Any]:
    yield await read()


async def answer(request: web.Request) -> web.Response:
    return web.Response(body=b"audio the end")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service whose session is answered."""
    app = web.Application()
    app.router.add_route("*", "/", answer)
    async with TestServer(app) as server, TestClient(server) as client:
        service = Service()
        service._session = client
        yield service


@pytest.mark.parametrize("how", READINGS)
@pytest.mark.parametrize("asked", ["post", "get", "awaited", "awaited and entered"])
async def test_a_body_may_be_read_in_any_way(service: Service, how: str, asked: str) -> None:
    """The service gets what it would get, and the mark is seen."""
    with read_along(service, ("_session", b"the end")) as body:
        read = []
        async with AsyncExitStack() as stack:
            if asked in ("post", "get"):
                ask = getattr(service._session, asked)
                response = await stack.enter_async_context(ask("/"))
            else:
                response = await service._session.post("/")
                if asked != "awaited":
                    await stack.enter_async_context(response)
            assert (200, True) == (response.status, response.ok)
            async for chunk in READINGS[how](response):
                assert chunk
                read.append(chunk)
    assert read
    assert body.whole


async def test_what_is_not_known_of_a_session_is_its_own(service: Service) -> None:
    """What is read past the watch is read all the same, and the body is not known to be whole."""
    session = service._session
    with read_along(service, ("_session", b"the end")) as body:
        response = await service._session.head("/")
        assert session.session is service._session.session
        await response.read()
    assert not body.whole


async def test_a_session_may_be_opened_later() -> None:
    """A service that has none yet opens its own, which is not read along."""
    service = Service()
    service._session = None
    with read_along(service, ("_session", b"the end")) as body:
        assert service._session is None
    assert not body.whole


@pytest.mark.parametrize(
    ("title", "reason"), [("MiniMaxHttpTTSService", "no_end"), ("InworldHttpTTSService", "words")]
)
async def test_half_a_sentence_is_not_stored(title: str, reason: str) -> None:
    """What is broken off by an error that the service does not look at is asked for again."""
    kind, backend = KINDS[title], MemoryCacheBackend()
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=backend)
        async with running(tts) as bot:
            server.fail(Fault.BROKEN)
            for _ in range(3):
                await bot.speak("Two is over there.")
                said = await bot.until_quiet()
            stats = await tts.get_cache_stats()
    assert {reason: 1} == stats["not_stored"]
    assert 2 == len(server.requests)
    assert "Two is over there." == said.contexts[-1].heard.text
    assert ["Two is over there."] == check_store(backend)
