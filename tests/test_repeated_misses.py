#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is spoken live again and again is counted, and told to those whose speech it is."""

from typing import Any

import pytest

from pipecat_tts_cache import CacheControl, MemoryCacheBackend, is_warm, warm
from pipecat_tts_cache.statistics.repeated_misses import RepeatedMisses, misses_on
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached_scripted import CACHED_SCRIPTED

HELLO = "Hello, and welcome."
BYE = "Good bye."


class Shop:
    """Makes services on one store."""

    def __init__(self, store: MemoryCacheBackend | None = None, **provider: Any) -> None:
        self.provider = Provider(**provider)
        self.store = store or MemoryCacheBackend()

    def __call__(self, **options: Any) -> Any:
        options = {"cache_backend": self.store, **options}
        return CACHED_SCRIPTED["inline"](self.provider, **options)


async def say(tts: Any, *lines: str, control: CacheControl | None = None) -> Any:
    """Have a service say something in a call, and return it."""
    async with simulated_time(), running(tts, sample_rate=24_000) as bot:
        for line in lines:
            with tts._tts_cache_book.controls.within(control):
                await bot.speak(line)
                await bot.until_quiet()
    return tts


def missed(tts: Any) -> dict[str, int]:
    return {line.text: line.count for line in tts.get_top_misses()}


# What counts


async def test_what_is_evicted_is_counted() -> None:
    """In a store with room for one, two lines in turns are never there."""
    shop = Shop(MemoryCacheBackend(max_size=1, eviction="lru"))
    tts = await say(shop(), HELLO, BYE, HELLO, BYE, HELLO)
    assert {HELLO: 3, BYE: 2} == missed(tts)


async def test_what_is_expired_is_counted() -> None:
    """A time to live that is shorter than the time between two uses keeps nothing."""
    now = [0.0]
    shop = Shop(MemoryCacheBackend(clock=lambda: now[0]))
    for _ in range(2):
        tts = await say(shop(cache_ttl=60), HELLO, BYE)
        now[0] += 61
    assert {HELLO: 2, BYE: 2} == missed(tts)


async def test_what_is_interrupted_is_counted() -> None:
    """It is never stored, if nobody ever hears it out."""
    shop = Shop()
    tts = shop()
    async with simulated_time(), running(tts, sample_rate=24_000) as bot:
        for number in range(2):
            await bot.speak("This takes so long that nobody hears it out.")
            await shop.provider.asked(number + 1)
            await bot.interrupt()
            await bot.until_quiet()
    assert [2] == list(missed(tts).values())


async def test_what_cannot_be_stored_is_counted() -> None:
    """As it is too large, or as something goes wrong with it each time."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    assert {HELLO: 2} == missed(await say(shop(), HELLO, HELLO))
    shop = Shop()
    shop.provider.fail(Fault.ERROR, text=BYE)
    tts = await say(shop(), BYE)
    shop.provider.fail(Fault.ERROR, text=BYE)
    assert {BYE: 2} == missed(
        await say(tts.__class__(shop.provider, cache_backend=shop.store), BYE)
    )


async def test_what_is_replayed_is_not_counted() -> None:
    """A first miss is what fills a cache."""
    tts = await say(Shop()(), HELLO, HELLO, HELLO, BYE)
    assert [] == tts.get_top_misses()


async def test_services_on_one_store_are_counted_together() -> None:
    """However many calls there are, each with a service of its own."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    for _ in range(3):
        await say(shop(), HELLO)
    other = Shop(MemoryCacheBackend(max_bytes=10))
    assert {HELLO: 3} == missed(shop())
    assert {} == missed(other())


async def test_what_another_service_speaks_is_not_counted() -> None:
    """Who follows it has it spoken by nobody."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    one, two = shop(), shop()
    async with (
        simulated_time(),
        running(one, sample_rate=24_000) as first,
        running(two, sample_rate=24_000) as second,
    ):
        await first.speak(HELLO)
        await second.speak(HELLO)
        await first.until_quiet()
        await second.until_quiet()
    assert 1 == len(shop.provider.requests)
    assert [1] == [counted.count for _, counted in misses_on(shop.store)._counts]


async def test_what_costs_most_comes_first() -> None:
    """Length counts, and how often; `limit` are told."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    tts = await say(shop(), *3 * ["No."], *2 * [HELLO], *4 * ["Yes."], "Once.")
    found = tts.get_top_misses()
    assert [(HELLO, 19), ("Yes.", 12), ("No.", 6)] == [
        (line.text, line.characters_saved) for line in found
    ]
    assert found[:2] == tts.get_top_misses(2)


async def test_they_are_lines_for_warm() -> None:
    """What was missed in one store, another is filled with."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    tts = await say(shop(), HELLO, HELLO, BYE, BYE)
    shop.store = MemoryCacheBackend()
    async with simulated_time():
        assert [HELLO, BYE] == (await warm(shop, tts.get_top_misses())).stored
        assert {} == (await is_warm(shop, [HELLO, BYE])).failed


async def test_to_prepare_is_no_miss() -> None:
    """Whatever `warm` speaks is on its way into the store."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    async with simulated_time():
        for _ in range(2):
            await warm(shop, [HELLO])
    assert {} == missed(shop())


# Whose business it is


async def test_a_namespace_does_not_see_another() -> None:
    """Nor does it count there."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    await say(shop(cache_namespace="a"), HELLO, HELLO, BYE)
    await say(shop(cache_namespace="b"), BYE, BYE)
    assert {HELLO: 2} == missed(shop(cache_namespace="a"))
    assert {BYE: 2} == missed(shop(cache_namespace="b"))
    assert {} == missed(shop())


async def test_texts_that_are_not_to_be_kept_are_not_held() -> None:
    """With `cache_store_text` off, and where a control says that nothing is to be stored."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    await say(shop(cache_store_text=False), HELLO, HELLO)
    for control in (
        CacheControl(bypass=True),
        CacheControl(no_store=True),
        CacheControl(refresh=True),
    ):
        await say(shop(), HELLO, HELLO, control=control)
    assert {} == missed(shop())
    assert 0 == len(misses_on(shop.store)._counts)


@pytest.mark.parametrize(
    "options",
    [
        {"cache_enabled": False},
        {"should_cache": lambda _: False},
        {"cache_key_extra": {"take": 1}, "settings": object()},
    ],
)
async def test_what_is_not_looked_up_is_not_counted(options: dict[str, Any]) -> None:
    """As the cache is switched off, or a predicate refuses it, or it has no key."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    unkeyed = "settings" in options
    options.pop("settings", None)
    tts = shop(**options)
    if unkeyed:
        tts._settings.voice = object()
    await say(tts, HELLO, HELLO)
    assert 0 == len(misses_on(shop.store)._counts)


async def test_what_is_personal_is_not_told() -> None:
    """Nor counted, from when the value is named."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    tts = shop()
    tts.guard_values("Ada")
    await say(tts, "Hello, Ada.", "Hello, Ada.", HELLO, HELLO)
    assert {HELLO: 2} == missed(shop())
    tts.guard_values("welcome")
    assert {} == missed(tts)


def test_a_text_that_was_missed_once_is_not_held() -> None:
    """Only a digest of it is, as most of what is personal is said once."""
    misses = RepeatedMisses()
    misses.note("", HELLO)
    assert [None] == [counted.value for _, counted in misses._counts]
    misses.note("", f" {HELLO}\n")
    assert [HELLO] == [counted.value for _, counted in misses._counts]


async def test_what_is_erased_is_forgotten() -> None:
    """A sentence, a namespace, or everything."""
    shop = Shop(MemoryCacheBackend(max_bytes=10))
    tenants = [shop(cache_namespace=name) for name in ("a", "b")]
    for tts in tenants:
        await say(tts, HELLO, HELLO, BYE, BYE)
    await tenants[0].delete_text(f"{HELLO} ")
    assert [{BYE: 2}, {BYE: 2}] == [missed(tts) for tts in tenants]
    await tenants[0].clear_cache(namespace="a")
    assert [{}, {BYE: 2}] == [missed(tts) for tts in tenants]
    await tenants[0].clear_cache()
    assert [{}, {}] == [missed(tts) for tts in tenants]


async def test_statistics_hold_no_texts() -> None:
    """They are logged, as texts must not be."""
    tts = await say(Shop(MemoryCacheBackend(max_bytes=10))(), HELLO, HELLO)
    assert HELLO not in str(await tts.get_cache_stats())


# Bounds


def test_room_is_bounded() -> None:
    """However many sentences there are, and however long they are."""
    misses = RepeatedMisses()
    for number in range(5000):
        misses.note(f"tenant {number}", "Hello.")
        misses.note("", HELLO)
    misses.note("", 2001 * "a")
    misses.note("", 2001 * "a")
    assert 2000 == len(misses._counts)
    assert [HELLO] == [line.text for line in misses.top("")]
    assert [] == misses.top("tenant 4999")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1", True])
async def test_nonsense_is_refused(limit: Any) -> None:
    """At once, in words."""
    with pytest.raises((TypeError, ValueError), match="limit"):
        Shop()().get_top_misses(limit)


async def test_without_a_store_there_are_none() -> None:
    """Everything is spoken live then, and nothing is looked up."""
    tts = await say(Shop()(cache_backend=None), HELLO, HELLO)
    assert [] == tts.get_top_misses()


class Odd(MemoryCacheBackend):
    """Cannot be told from another."""

    __hash__ = None  # type: ignore[assignment]


async def test_a_store_that_cannot_be_hashed_is_counted_by_service() -> None:
    """Nothing is known of others on it then."""
    shop = Shop(Odd(max_bytes=10))
    tts = await say(shop(), HELLO, HELLO)
    assert {HELLO: 2} == missed(tts)
    assert {} == missed(shop())
