#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is saved is told in characters and money: of a service, of many, and of a store."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipecat_tts_cache import (
    CacheBackend,
    MemoryCacheBackend,
    PriceTable,
    Savings,
    SavingsLedger,
    Selection,
    ServiceModel,
    savings_report,
    warm,
)
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.cached_scripted import CachedInline, CachedOverlapping

PRICES = PriceTable(
    {("inlineservice", "scripted"): 10, ("InlineService", "other"): "0.5"}, currency="USD", per=1
)
LINE = "One is here."


async def say(bot: Bot, *texts: str, **control: Any) -> None:
    """Have texts spoken, one after another."""
    for text in texts:
        with bot.service.cache_control(**control):  # type: ignore[attr-defined]
            await bot.speak(text)
            await bot.until_quiet()


async def savings_of(tts: CachedInline) -> dict[str, Any]:
    savings: dict[str, Any] = (await tts.get_cache_stats())["savings"]
    assert savings == json.loads(json.dumps(savings))
    return savings


# Of a service


async def test_a_hit_saves_what_its_text_would_have_cost() -> None:
    """Misses save nothing; each hit saves its characters, at the price of the model."""
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_prices=PRICES)
    async with running(tts) as bot:
        await say(bot, LINE)
        nothing = {"characters": 0, "money": "0", "currency": "USD", "unpriced_characters": 0}
        assert nothing | {"tags": {}} == await savings_of(tts)
        await say(bot, LINE, LINE)
    characters = 2 * len(LINE)
    expected = nothing | {"characters": characters, "money": str(10 * characters), "tags": {}}
    assert expected == await savings_of(tts)


async def test_without_prices_there_is_no_money() -> None:
    """Characters are told; money is None, not zero."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        await say(bot, LINE, LINE)
    savings = await savings_of(tts)
    assert (len(LINE), None, None) == tuple(savings[n] for n in ("characters", "money", "currency"))
    assert len(LINE) == savings["unpriced_characters"]


async def test_a_model_without_a_price_has_none() -> None:
    """What has no price is None, even where another model of the service has one."""
    prices = PriceTable({("InlineService", "other"): 1}, currency="USD")
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_prices=prices)
    async with running(tts) as bot:
        await say(bot, LINE, LINE)
    assert (None, len(LINE)) == (
        (await savings_of(tts))["money"],
        (await savings_of(tts))["unpriced_characters"],
    )


async def test_each_hit_is_priced_by_the_model_in_force() -> None:
    """If the model changes in mid-call, what was saved before keeps its price."""
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_prices=PRICES)
    async with running(tts) as bot:
        await say(bot, LINE, LINE)
        await bot.update_settings(model="other")
        await say(bot, LINE, LINE, LINE)
        await bot.update_settings(model="unheard of")
        await say(bot, LINE, LINE)
    savings = await savings_of(tts)
    n = len(LINE)
    assert 4 * n == savings["characters"]
    assert Decimal(10 * n) + Decimal("0.5") * 2 * n == Decimal(savings["money"])
    assert n == savings["unpriced_characters"]


async def test_savings_by_tag() -> None:
    """What was tagged is told by tag besides, with its money."""
    tts = CachedInline(cache_backend=MemoryCacheBackend(), cache_prices=PRICES)
    async with running(tts) as bot:
        await say(bot, LINE, LINE)
        await say(bot, LINE, LINE, tag="greeting")
    savings = await savings_of(tts)
    assert 3 * len(LINE) == savings["characters"]
    assert ["greeting"] == list(savings["tags"])
    told = savings["tags"]["greeting"]
    assert (2 * len(LINE), str(20 * len(LINE))) == (told["characters"], told["money"])


async def test_refreshed_and_bypassed_speech_saves_nothing() -> None:
    """Only what is replayed is saved."""
    tts = CachedInline(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        await say(bot, LINE)
        await say(bot, LINE, refresh=True)
        await say(bot, LINE, bypass=True)
    assert 0 == (await savings_of(tts))["characters"]


# Of many services


async def test_a_ledger_adds_up_what_services_save() -> None:
    """By namespace, tag and model, over services that come and go, on whatever store."""
    ledger, store = SavingsLedger(), MemoryCacheBackend()
    for namespace, hits in (("bank", 1), ("shop", 2), ("bank", 3)):
        tts = CachedInline(cache_backend=store, cache_namespace=namespace, cache_ledger=ledger)
        async with running(tts) as bot:
            await say(bot, LINE, refresh=True)
            await say(bot, *[LINE] * hits, tag="greeting")
    other = CachedOverlapping(cache_backend=MemoryCacheBackend(), cache_ledger=ledger)
    async with running(other) as bot:
        await say(bot, LINE, LINE)
    n = len(LINE)
    report = ledger.report(PRICES)
    assert Savings(
        characters=7 * n, money=Decimal(60 * n), currency="USD", unpriced_characters=n
    ) == (report.total)
    assert {"bank": 4 * n, "shop": 2 * n, "": n} == {
        name: each.characters for name, each in report.namespaces.items()
    }
    assert {"bank": 40 * n, "shop": 20 * n, "": None} == {
        name: each.money for name, each in report.namespaces.items()
    }
    assert {"greeting": 6 * n} == {name: each.characters for name, each in report.tags.items()}
    assert {
        ServiceModel("InlineService", "scripted"): 6 * n,
        ServiceModel("OverlappingService", "scripted"): n,
    } == {who: each.characters for who, each in report.models.items()}


async def test_what_is_heard_from_another_service_is_saved() -> None:
    """Of two that lack a sentence at once, one asks for it; the other has saved it."""
    ledger, store = SavingsLedger(), MemoryCacheBackend()
    async with simulated_time():
        first, second = (
            CachedOverlapping(Provider(first_audio=1.0), cache_backend=store, cache_ledger=ledger)
            for _ in range(2)
        )
        async with running(first) as one, running(second) as other:
            await asyncio.gather(one.speak(LINE), other.speak(LINE))
            await asyncio.gather(one.until_quiet(), other.until_quiet())
    told = [await each.get_cache_stats() for each in (first, second)]
    assert {0: 1, 1: 0} == {each["hits"]: each["misses"] for each in told}
    who = ServiceModel("OverlappingService", "scripted")
    assert {who: len(LINE)} == {
        name: each.characters for name, each in ledger.report().models.items()
    }


async def test_preparing_speech_saves_nothing() -> None:
    """What `warm` renders is in no ledger; the first time it is replayed is."""
    ledger, store = SavingsLedger(), MemoryCacheBackend()

    def make() -> CachedInline:
        return CachedInline(cache_backend=store, cache_ledger=ledger)

    await warm(make, [LINE])
    await warm(make, [LINE])
    assert 0 == ledger.report().total.characters
    async with running(make()) as bot:
        await say(bot, LINE)
    assert len(LINE) == ledger.report().total.characters


def test_a_ledger_takes_no_room_without_end() -> None:
    """Beyond its bounds, names are told together, and those that are known go on."""
    ledger = SavingsLedger(max_namespaces=3)
    for number in range(500):
        ledger.add(1, service=f"S{number}", model="m", namespace=f"n{number}", tag=f"call {number}")
    ledger.add(7, service="S1", model="m", namespace="n1", tag="call 1")
    report = ledger.report()
    assert {"n0": 1, "n1": 8, "n2": 1, "(other)": 497} == {
        name: each.characters for name, each in report.namespaces.items()
    }
    assert (101, 8, 400) == (
        len(report.tags),
        report.tags["call 1"].characters,
        report.tags["(other)"].characters,
    )
    assert (101, 400) == (
        len(report.models),
        report.models[ServiceModel("(other)", None)].characters,
    )
    assert 507 == report.total.characters


@pytest.mark.parametrize(("bound", "error"), [(0, ValueError), ("3", TypeError)])
async def test_a_bound_that_makes_no_sense_is_refused(bound: Any, error: type[Exception]) -> None:
    """For a ledger and for a store's report."""
    with pytest.raises(error, match="max_namespaces"):
        SavingsLedger(max_namespaces=bound)
    with pytest.raises(error, match="max_namespaces"):
        await savings_report(MemoryCacheBackend(), max_namespaces=bound)


# Of a store


async def used(store: CacheBackend, seed: str, uses: int, namespace: str, **fields: Any) -> None:
    key = make_key(seed, namespace)
    assert await store.set(key, replace(make_utterance(), **fields))
    for _ in range(uses):
        assert await store.get(key)


async def test_a_store_knows_what_it_saved() -> None:
    """For each utterance that it holds, its length times how often it was asked for."""
    store = MemoryCacheBackend()
    await used(store, "1", 2, "bank", text="12345", service="InlineService", model="scripted")
    await used(store, "2", 1, "bank", text="123", service="InlineService", model="other")
    await used(store, "3", 4, "shop", text="12", service="InlineService", model=None)
    await used(store, "4", 5, "shop", text=None)
    report = await savings_report(store, PRICES)
    assert (13 + 8, Decimal("101.5"), 8, 1) == (
        report.total.characters,
        report.total.money,
        report.total.unpriced_characters,
        report.unknown_entries,
    )
    assert {"bank": Decimal("101.5"), "shop": None} == {
        name: each.money for name, each in report.namespaces.items()
    }
    assert {} == report.tags
    only = await savings_report(store, PRICES, selection=Selection(namespace="bank"))
    assert ["bank"] == list(only.namespaces)


async def test_a_store_that_does_not_count_saves_nobody_knows_what() -> None:
    """Its utterances are counted as unknown, not as zero uses."""

    class Uncounting(MemoryCacheBackend):
        async def entries(self, namespace: str | None = None) -> Any:
            async for entry in super().entries(namespace):
                yield replace(entry, uses=None)

    store = Uncounting()
    await used(store, "1", 2, "bank", text="12345")
    report = await savings_report(store, PRICES)
    assert (0, 1, {}) == (report.total.characters, report.unknown_entries, report.namespaces)


async def test_a_report_is_ready_for_json() -> None:
    """Every part of it, with money as a string that keeps all digits."""
    ledger = SavingsLedger()
    ledger.add(3, service="InlineService", model="other", namespace="bank", tag="greeting")
    told = ledger.report(PRICES).as_dict()
    saved = {"characters": 3, "money": "1.5", "currency": "USD", "unpriced_characters": 0}
    assert told == json.loads(json.dumps(told))
    assert told == saved | {
        "namespaces": {"bank": saved},
        "tags": {"greeting": saved},
        "models": [{"service": "InlineService", "model": "other"} | saved],
        "unknown_entries": 0,
    }


def test_small_sums_are_written_out() -> None:
    """No exponent, however small."""
    ledger = SavingsLedger()
    ledger.add(1, service="a")
    prices = PriceTable({("a", "*"): "0.01"}, currency="USD")
    assert "0.00000001" == ledger.report(prices).total.as_dict()["money"]
