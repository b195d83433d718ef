#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services that speak from recordings: every one of Pipecat's, and those of a bot's own."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache import CacheControl, MemoryCacheBackend, TTSCacheMixin, is_warm, warm
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.needs import classes_below
from pipecat_tts_cache.pytest_plugin import SpeechRecorder
from pipecat_tts_cache.pytest_plugin.complaints import missing_lines, unrecorded
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.pytest_plugin.tape import Mode, Run
from pipecat_tts_cache.testing import Provider, running
from pipecat_tts_cache.testing.simulation import real_time, simulated_time
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED
from tests.recorded import RATE, bot_of, say, settings

HELLO, WAIT = "Hello there.", "One moment, please."


class Folder:
    """A folder of recordings, and the tests of several runs on it, one at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.library = Library(root)

    def begin(self, mode: str) -> SpeechRecorder:
        return SpeechRecorder(Run(Mode(mode), self.library))

    async def end(self, recorder: SpeechRecorder) -> None:
        """Write what is new; the next test reads the files."""
        await asyncio.to_thread(recorder.tape.write)
        self.library = await asyncio.to_thread(Library, self._root)

    def complaint(self, recorder: SpeechRecorder) -> str:
        return missing_lines(recorder.tape, self.library, nodeid="test.py::test", told=set())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    return Folder(tmp_path)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has every attempt to reach a network fail, from when it is called."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a network was reached for")

    def forbid() -> None:
        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        for name in ("create_connection", "getaddrinfo"):
            monkeypatch.setattr(socket, name, refuse)

    return forbid


# Every service


@pytest.mark.parametrize("title", KINDS)
async def test_every_service_is_replayed_without_a_network(
    title: str, folder: Folder, no_network: Callable[[], None]
) -> None:
    """What was recorded is heard again, the rest is told of; nobody is asked, nothing hangs."""
    kind = KINDS[title]
    clock = simulated_time if kind.simulate_time else real_time
    async with clock(), kind.server(chunk_ms=100) as server:

        async def speak(recorder: SpeechRecorder, *lines: str, voice: Any = None) -> Any:
            tts = kind._create(recorder.cached(kind.bare), server, {})
            async with running(
                tts, sample_rate=kind.sample_rate, simulate_time=kind.simulate_time
            ) as bot:
                for line in lines:
                    await bot.speak(line)
                    await bot.until_quiet()
                await bot.llm_turn([HELLO, " ", WAIT])
                said = await bot.until_quiet()
                if voice is not None:
                    await bot.update_settings(voice=voice)
                    await bot.speak(HELLO)
                    await bot.until_quiet()
                return said, list(bot.errors), bot.messages

        live, _, spoken = await speak(recorder := folder.begin("record"), HELLO)
        await folder.end(recorder)
        asked, connections = len(server.requests), getattr(server, "connections", 0)
        no_network()
        said, errors, messages = await speak(recorder := folder.begin("replay"), HELLO)
        assert [] == errors
        complaint = folder.complaint(recorder)
        if recorder.tape.said[0].bypassed():
            assert f"{HELLO!r}" in complaint
            assert "It cannot be recorded: " in complaint
        else:
            assert "" == complaint
            assert (spoken, live.heard.words) == (messages, said.heard.words)
            assert f"{HELLO} {HELLO} {WAIT}".split() == said.heard.words
        folder.library.recordings.clear()
        recorder = folder.begin("replay")
        began = asyncio.get_running_loop().time()
        said, errors, messages = await speak(recorder, voice=kind.voices[1])
        assert [] == errors
        assert not kind.simulate_time or asyncio.get_running_loop().time() - began < 1
        assert ([], f"{HELLO} {WAIT}") == (said.heard.words, messages[0])
        complaint = folder.complaint(recorder)
        assert all(repr(line) in complaint for line in (HELLO, WAIT))
        assert asked == len(server.requests)
        assert connections == getattr(server, "connections", 0)


@pytest.mark.parametrize(
    ("service", "method"),
    [("NvidiaTTSService", "_create_synthesis_config"), ("XTTSService", "start")],
)
async def test_nobody_is_asked_when_a_service_starts(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, service: str, method: str
) -> None:
    """A service that asks its provider for voices, or a configuration, starts without."""
    kind = next(each for each in KINDS.values() if each.service == service)
    asked: list[str] = []
    monkeypatch.setattr(kind.bare, method, lambda *_: asked.append(service))
    async with real_time(), kind.server() as server:
        tts = kind._create(folder.begin("replay").cached(kind.bare), server, {})
        async with running(tts, sample_rate=kind.sample_rate, simulate_time=False) as bot:
            await bot.until_quiet()
    assert ([], []) == (asked, bot.errors)


@pytest.mark.parametrize("kind", ["inline", "inline words", "overlapping", "in order"])
async def test_a_line_that_is_missing_holds_up_nothing(folder: Folder, kind: str) -> None:
    """There is a moment of silence in its place: nobody waits for an end that does not come."""
    loop = asyncio.get_running_loop()
    async with bot_of(folder.begin("replay"), kind) as bot:
        began = loop.time()
        for line in (HELLO, WAIT):
            await bot.speak(line)
            await bot.until_quiet()
        assert loop.time() - began < 1
        assert [HELLO, WAIT] == bot.messages


# Services of a bot's own


async def speech_of(tts: Any, *lines: str) -> str:
    async with running(tts, sample_rate=RATE) as bot:
        for line in lines:
            await bot.speak(line)
            await bot.until_quiet()
        return bot.said().heard.text


@pytest.mark.parametrize("kind", ["inline", "overlapping"])
async def test_a_class_of_the_bots_own_keeps_its_keys(folder: Folder, kind: str) -> None:
    """What is recorded has the keys that it has in a call, with classes in between, too."""
    store = MemoryCacheBackend()

    class Between(classes_below(CACHED_SCRIPTED[kind], CacheControls)[-1]):  # type: ignore[misc]
        pass

    class Own(CACHED_SCRIPTED[kind], Between):  # type: ignore[misc, valid-type]
        pass

    options: dict[str, Any] = {"settings": settings(), "cache_secret": "vault"}
    await speech_of(Own(Provider(), cache_backend=store, **options), HELLO)
    for mode in ("record", "replay"):
        recorder = folder.begin(mode)
        tts = recorder(Own, Provider(), cache_backend=MemoryCacheBackend(), **options)
        assert isinstance(tts, Own)
        assert HELLO == await speech_of(tts, HELLO)
        assert "" == folder.complaint(recorder)
        await folder.end(recorder)
    assert [each.key async for each in store.entries()] == list(folder.library.recordings)


async def test_the_bots_own_store_is_not_asked(folder: Folder) -> None:
    """A test neither finds what a bot has said elsewhere, nor leaves anything there."""
    store = MemoryCacheBackend()
    assert HELLO == await say(folder.begin("record"), HELLO, cache_backend=store)
    assert 0 == (await store.get_stats())["entries"]


async def test_a_class_may_be_put_in_a_bots_place(folder: Folder) -> None:
    """The class is a subclass of the one that is named, and in a test always the same."""
    recorder = folder.begin("replay")
    made = recorder.cached(CartesiaTTSService)
    assert made is recorder.cached(CartesiaTTSService)
    assert made is not folder.begin("replay").cached(CartesiaTTSService)
    tts = made(api_key="", settings=made.Settings(voice="anna"))
    assert isinstance(tts, CartesiaTTSService)
    assert isinstance(tts, TTSCacheMixin)
    assert "CartesiaTTSService" == made.__name__


async def test_connected_to_nobody_is_connected(folder: Folder) -> None:
    """A bot that waits until its service is connected does not wait for ever."""
    connected = asyncio.Event()
    made = folder.begin("replay").cached(CartesiaTTSService)
    tts = made(api_key="", settings=made.Settings(voice="anna"))

    @tts.event_handler("on_connected")
    async def on_connected(*_: object) -> None:
        connected.set()

    async with running(tts, sample_rate=RATE):
        await asyncio.wait_for(connected.wait(), 5)


async def refuse_all(_: str) -> bool:
    return False


@pytest.mark.parametrize(
    "options",
    [
        {"cache_enabled": False},
        {"cache_scope": "speak"},
        {"cache_store_text": False},
        {"cache_ttl": 1e-6},
        {"cache_lookup_timeout": 1e-9},
        {"should_cache": refuse_all},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_what_a_bot_does_not_cache_is_recorded(folder: Folder, options: Any) -> None:
    """In a test there is nobody else to say it."""
    for mode in ("record", "replay"):
        recorder = folder.begin(mode)
        async with bot_of(recorder, **options) as bot:
            await bot.llm_turn(HELLO)
            said = await bot.until_quiet()
        assert HELLO == said.heard.text
        assert [] == list(unrecorded(recorder.tape))
        assert "" == folder.complaint(recorder)
        await folder.end(recorder)


async def test_what_a_bot_keeps_from_its_cache_is_recorded(folder: Folder) -> None:
    """Personal values, bypassed frames and a cache switched off make no difference to a test."""
    for mode in ("record", "replay"):
        recorder = folder.begin(mode)
        async with bot_of(recorder) as bot:
            tts: Any = bot.service
            tts.guard_values("there")
            tts.cache_enabled = False
            assert tts.cache_enabled is False
            frame = CacheControl(bypass=True, tag="greeting").on(TTSSpeakFrame(HELLO))
            await bot.send(frame)
            said = await bot.until_quiet()
            assert {"greeting"} == (await tts.get_cache_stats())["tags"].keys()
        assert HELLO == said.heard.text
        assert "" == folder.complaint(recorder)
        await folder.end(recorder)


async def test_options_are_checked_as_ever(folder: Folder) -> None:
    """What a service would refuse in a call, it refuses in a test."""
    with pytest.raises(ValueError, match="cache_ttl"):
        await say(folder.begin("replay"), cache_ttl=-1)
    async with bot_of(folder.begin("replay")) as bot:
        tts: Any = bot.service
        with pytest.raises(TypeError, match="cache_enabled must be a bool"):
            tts.cache_enabled = 1
        with pytest.raises(TypeError):
            tts.guard_values(7)


@pytest.mark.parametrize("other", [str, object(), MemoryCacheBackend, "CartesiaTTSService"])
async def test_only_services_speak(folder: Folder, other: Any) -> None:
    """What is no class of a service is refused, by its name."""
    with pytest.raises(TypeError, match="name the class of a Pipecat TTS service, not "):
        folder.begin("replay")(other)


async def test_without_a_cache_the_service_is_pipecats(folder: Folder) -> None:
    """With `off`, nothing is looked up, whatever store the bot has."""
    store, recorder = MemoryCacheBackend(), folder.begin("off")
    assert HELLO == await say(recorder, HELLO, cache_backend=store)
    assert ([], 0) == (recorder.tape.said, (await store.get_stats())["entries"])


async def test_tokens_cannot_be_recorded(folder: Folder) -> None:
    """It is told that they cannot; nothing hangs."""
    recorder = folder.begin("replay")
    async with bot_of(recorder, text_aggregation_mode=TextAggregationMode.TOKEN) as bot:
        await bot.llm_turn(HELLO)
        await bot.until_quiet()
    assert "It cannot be recorded: the service is sent tokens" in folder.complaint(recorder)


async def test_an_interruption_of_a_replay(folder: Folder) -> None:
    """A bot is interrupted in a replay as in a call, and goes on."""
    await say(recorder := folder.begin("record"), HELLO, WAIT)
    await folder.end(recorder)
    recorder = folder.begin("replay")
    async with bot_of(recorder) as bot:
        await bot.speak(HELLO)
        await bot.interrupt()
        await bot.speak(WAIT)
        said = await bot.until_quiet()
    assert said.heard.text.endswith(WAIT)
    assert "" == folder.complaint(recorder)


async def test_several_bots_that_say_the_same(folder: Folder) -> None:
    """A line that one bot hears from another, which says it at that moment, is recorded."""
    recorder = folder.begin("record")
    await asyncio.gather(*(say(recorder, HELLO, first_audio=1.0) for _ in range(3)))
    assert [] == list(unrecorded(recorder.tape))
    await folder.end(recorder)
    assert 1 == len(folder.library.recordings)


# Speech prepared


async def test_lines_can_be_recorded_without_a_call(folder: Folder) -> None:
    """What a test interrupts, `warm` records whole; in a replay it finds it."""
    for mode in ("record", "replay"):
        recorder = folder.begin(mode)

        def make(recorder: SpeechRecorder = recorder) -> Any:
            return recorder(CACHED_SCRIPTED["overlapping"], Provider(), settings=settings())

        assert not (await warm(make, [HELLO])).failed
        assert "" == folder.complaint(recorder)
        await folder.end(recorder)


async def test_what_is_prepared_and_not_recorded_fails_a_replay(folder: Folder) -> None:
    """To ask whether it is there does no harm."""
    recorder = folder.begin("replay")

    def make() -> Any:
        return recorder(CACHED_SCRIPTED["overlapping"], Provider(), settings=settings())

    assert (await is_warm(make, [HELLO])).failed
    assert "" == folder.complaint(recorder)
    await warm(make, [HELLO])
    assert repr(HELLO) in folder.complaint(recorder)


async def test_what_a_bot_prepares_is_recorded(folder: Folder) -> None:
    """A bot that prepares speech while it runs finds it prepared in a replay."""
    for mode in ("record", "replay"):
        recorder = folder.begin(mode)
        async with bot_of(recorder) as bot:
            tts: Any = bot.service
            await bot.speak(HELLO)
            await bot.until_quiet()
            assert not (await tts.warm([WAIT])).failed
        assert "" == folder.complaint(recorder)
        await folder.end(recorder)
        assert 2 == len(folder.library.recordings)
