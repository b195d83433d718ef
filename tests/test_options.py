#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a user gets wrong is refused where it happens, in words that name it."""

from pathlib import Path
from typing import Any

import pytest
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.ai_service import AIService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService, WebsocketTTSService

from pipecat_tts_cache import MemoryCacheBackend, TTSCacheMixin
from pipecat_tts_cache.errors import CacheError
from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import SavingsLedger
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.view import View, differences
from tests.cached_scripted import CACHED_SCRIPTED, CachedInline
from tests.scripted import SCRIPTED, InlineService

GIVEN: dict[str, list[Any]] = {
    "cache_backend": [None, MemoryCacheBackend()],
    "cache_ttl": [None, 1, 0.5, 86400, 86400 * 365 * 100],
    "cache_namespace": [None, "", "user_123", "a:*\x00\ud800", "x" * 100_000],
    "cache_enabled": [True, False],
    "cache_key_extra": [None, {}, {"accent": "north", "n": 1, "deep": {"list": [1, {2}]}}],
    "cache_secret": [None, "sesame", b"\x00", "\ud800"],
    "cache_lookup_timeout": [0.001, 1, 60],
    "cache_store_text": [True, False],
    "should_cache": [None, str.isascii, lambda text: True, print],
    "cache_scope": ["all", "speak"],
    "cache_prices": [None, PriceTable({}, currency="USD")],
    "cache_ledger": [None, SavingsLedger()],
    "cache_telemetry": ["on", "off", "namespace"],
}
WRONG_TYPE: dict[str, list[Any]] = {
    "cache_backend": [{}, "redis://localhost", MemoryCacheBackend, object(), True],
    "cache_ttl": ["1h", True, [60], object()],
    "cache_namespace": [1, b"user", ["user"], True],
    "cache_enabled": [None, 1, 0, "yes", []],
    "cache_key_extra": [1, "accent", ["accent"], {1: 2}, {("a", "b"): 1}, {"style": object()}],
    "cache_secret": [1, True, ["sesame"], bytearray(b"sesame")],
    "cache_lookup_timeout": [None, "0.25", True],
    "cache_store_text": [None, 1, "no"],
    "should_cache": [True, "digits", ["digits"], 1],
    "cache_scope": [None, True, 1, ["all"], {"all": 1}],
    "cache_prices": [{("CartesiaTTSService", "*"): 30}, 30, PriceTable, True],
    "cache_ledger": [{}, SavingsLedger, True],
    "cache_telemetry": [None, True, ["on"]],
}
IMPOSSIBLE: dict[str, list[Any]] = {
    "cache_ttl": [0, -1, float("nan"), float("inf"), 86400 * 365 * 101],
    "cache_key_extra": [{"api_key": "x"}, {"accent": 1, "session": 2}, {"deep": [{"token": 1}]}],
    "cache_secret": ["", b""],
    "cache_lookup_timeout": [0, -0.1, float("nan"), float("inf")],
    "cache_scope": ["", "ALL", "turn"],
    "cache_telemetry": ["", "ON", "namespaces"],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}-{number}")
        for name, given in table.items()
        for number, value in enumerate(given)
    ]


# Arguments


@pytest.mark.parametrize(("name", "value"), cases(GIVEN))
async def test_what_makes_sense_is_taken(name: str, value: Any) -> None:
    """Every sensible value of every argument is taken."""
    CachedInline(**{name: value})


@pytest.mark.parametrize(("name", "value"), cases(WRONG_TYPE))
async def test_a_wrong_type_is_refused(name: str, value: Any) -> None:
    """A value of a wrong type is a TypeError that names the argument."""
    with pytest.raises(TypeError, match=name):
        CachedInline(**{name: value})


@pytest.mark.parametrize(("name", "value"), cases(IMPOSSIBLE))
async def test_an_impossible_value_is_refused(name: str, value: Any) -> None:
    """A value out of bounds is a ValueError that names the argument, and no secret."""
    with pytest.raises(ValueError, match=name) as caught:
        CachedInline(**{name: value})
    assert not isinstance(caught.value, CacheError)


def test_every_argument_is_tried() -> None:
    """The tables above know all arguments of the mixin."""
    assert TTSCacheMixin.__init__.__kwdefaults__ is not None
    assert TTSCacheMixin.__init__.__kwdefaults__.keys() == GIVEN.keys() == WRONG_TYPE.keys()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cache_namespce", "cache_namespace"),
        ("cache_name_space", "cache_namespace"),
        ("cache_secrets", "cache_secret"),
        ("cache_tll", "cache_ttl"),
        ("should_cached", "should_cache"),
    ],
)
async def test_a_slip_of_the_pen_is_refused(name: str, meant: str) -> None:
    """Services let pass what they do not know: speech would be shared that is not to be."""
    with pytest.raises(TypeError, match=f"CachedInline has no argument '{name}': .*'{meant}'"):
        CachedInline(Provider(), **{name: "user_123"})


async def test_an_argument_of_the_service_is_no_slip_of_the_pen() -> None:
    """Whatever it is called."""

    class Theirs(InlineService):
        def __init__(self, provider: Provider, *, cache_scopes: int = 0, **kwargs: Any) -> None:
            super().__init__(provider, **kwargs)
            self.scopes = cache_scopes

    class Cached(TTSCacheMixin, Theirs):
        pass

    assert 2 == Cached(Provider(), cache_scopes=2).scopes


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file in `cache_key_extra` has to be there."""
    with pytest.raises(TypeError, match=r"cache_key_extra\.reference"):
        CachedInline(cache_key_extra={"reference": tmp_path / "none"})


async def test_an_error_does_not_quote_a_secret() -> None:
    """Whoever mistakes a secret for something else does not find it in a log."""
    for name in ("cache_secret", "cache_key_extra", "cache_backend"):
        with pytest.raises(TypeError) as caught:
            CachedInline(**{name: ["hunter2"]})
        assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="api_key") as refused:
        CachedInline(cache_key_extra={"api_key": "hunter2"})
    assert "hunter2" not in str(refused.value)


# The switch


async def test_the_switch_is_a_property() -> None:
    """`cache_enabled` can be read and flipped, with a bool only."""
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_enabled=False)
    assert False is tts.cache_enabled
    assert False is (await tts.get_cache_stats())["enabled"]
    tts.cache_enabled = True
    assert True is tts.cache_enabled
    assert True is (await tts.get_cache_stats())["enabled"]
    for value in (None, 1, "on"):
        with pytest.raises(TypeError, match="cache_enabled"):
            tts.cache_enabled = value  # type: ignore[assignment]
    assert True is tts.cache_enabled


async def test_without_a_store_nothing_is_enabled() -> None:
    """Without a store the switch has nothing to switch, and there is nothing to clear."""
    tts = CachedInline()
    assert True is tts.cache_enabled
    stats = await tts.get_cache_stats()
    assert (False, None) == (stats["enabled"], stats["backend"])
    assert 0 == await tts.clear_cache()
    assert 0 == await tts.clear_cache("tenant")
    assert 0 == await tts.delete_text("Hello.")


async def test_only_a_namespace_can_be_cleared() -> None:
    """Clearing anything but a string, or everything, is refused."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    for namespace in (1, b"tenant", ["tenant"], False):
        with pytest.raises(TypeError, match="namespace"):
            await tts.clear_cache(namespace)  # type: ignore[arg-type]


async def test_only_a_text_can_be_erased() -> None:
    """Erasing anything but a string is refused."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    for text in (None, 1, b"Hello.", ["Hello."]):
        with pytest.raises(TypeError, match="text must be a string"):
            await tts.delete_text(text)  # type: ignore[arg-type]


# Classes


def test_the_mixin_stands_in_front() -> None:
    """A service before the mixin would never be cached, and is refused when it is written."""
    with pytest.raises(TypeError, match=r"class Wrong\(TTSCacheMixin, OpenAITTSService\)"):

        class Wrong(OpenAITTSService, TTSCacheMixin):
            pass


def test_a_service_further_in_front_is_refused_too() -> None:
    """The order counts in all that a class inherits."""

    class Cached(TTSCacheMixin, OpenAITTSService):
        pass

    with pytest.raises(TypeError, match="InlineService"):

        class Wrong(InlineService, Cached):
            pass


async def test_a_mixin_of_ones_own_may_stand_anywhere() -> None:
    """What is no service may stand before or behind the mixin; so may further subclasses."""

    class Before:
        pass

    class Behind:
        pass

    class Cached(Before, TTSCacheMixin, Behind, InlineService):
        pass

    class Further(Cached):
        pass

    Further(cache_backend=MemoryCacheBackend())


class Nothing(TTSCacheMixin):
    pass


class Abstract(TTSCacheMixin, WebsocketTTSService):
    pass


class Base(TTSCacheMixin, TTSService):
    pass


class NoSpeech(TTSCacheMixin, AIService, FrameProcessor):
    pass


@pytest.mark.parametrize("kind", [TTSCacheMixin, Nothing, Abstract, Base, NoSpeech])
async def test_there_has_to_be_a_service(kind: type[TTSCacheMixin]) -> None:
    """A mixin before no concrete service is refused when it is constructed."""
    with pytest.raises(TypeError, match=rf"{kind.__name__} (caches|with.*abstract)"):
        kind(cache_backend=MemoryCacheBackend())


# Without a store


async def play(tts: TTSService, speak: bool) -> tuple[View, list[str], list[type]]:
    async with running(tts, sample_rate=8000) as bot:
        await converse(bot, speak)
        return await bot.until_quiet(), bot.messages, [type(frame) for frame in bot.frames]


async def converse(bot: Bot, speak: bool) -> None:
    await bot.llm_turn(["One is here. ", "Two is there."])
    await bot.until_quiet()
    if speak:
        await bot.speak("Hello there.", append_to_context=False)
        await bot.speak("No way out.", interruptible=False)
        await bot.until_quiet()
    await bot.update_settings(voice="bert")
    await bot.llm_turn(["One is here."])
    await bot.until_quiet()
    await bot.interrupt()
    await bot.llm_turn(["Three is everywhere."])


@pytest.mark.parametrize("kind", [kind for kind in CACHED_SCRIPTED if kind in SCRIPTED])
@pytest.mark.parametrize("switched_off", [False, True])
async def test_without_a_store_the_mixin_is_not_there(kind: str, switched_off: bool) -> None:
    """Without a store, or switched off, the same frames leave the service, one for one."""
    options: dict[str, Any] = {}
    if switched_off:
        options = {"cache_backend": MemoryCacheBackend(), "cache_enabled": False}
    speak = kind != "endless"  # its silences decide which of two speak frames is heard
    expected, messages, frames = await play(SCRIPTED[kind](Provider()), speak)
    tts = CACHED_SCRIPTED[kind](Provider(), **options)
    actual, actual_messages, actual_frames = await play(tts, speak)
    assert [] == differences(expected, actual)
    assert messages == actual_messages
    assert frames == actual_frames
    assert expected.usage == actual.usage
    stats = await tts.get_cache_stats()
    assert (0, 0) == (stats["total_requests"], stats["stores"])
    assert {"disabled"} == stats["bypassed"].keys()
