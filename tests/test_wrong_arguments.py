#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is asked about a store is refused in words if it is no store, no selection, no switch."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipecat_tts_cache import (
    MemoryCacheBackend,
    PriceTable,
    SavingsLedger,
    Selection,
    copy_store,
    delete_text,
    export_store,
    find_near_misses,
    import_store,
    list_entries,
    purge,
    savings_report,
)
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

Ask = Callable[..., Awaitable[Any]]
URL: Any = "memory://"
TABLE: Any = {"voice": "anna"}
OLD = Selection(older_than=1)
PRICES = PriceTable({("*", "*"): 1}, currency="USD")


async def listed(*arguments: Any) -> list[Any]:
    return [entry async for entry in list_entries(*arguments)]


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("backend", lambda: listed(URL)),
        ("backend", lambda: purge(URL, OLD)),
        ("backend", lambda: delete_text(URL, "Hello.")),
        ("backend", lambda: find_near_misses(URL)),
        ("backend", lambda: savings_report(URL)),
        ("source", lambda: copy_store(URL, MemoryCacheBackend())),
        ("target", lambda: copy_store(MemoryCacheBackend(), URL)),
        ("store", lambda: export_store(URL, "recordings")),
        ("store", lambda: import_store("recordings", URL)),
    ],
)
async def test_a_url_is_no_store(name: str, ask: Ask) -> None:
    """`open_backend` makes one of it."""
    with pytest.raises(TypeError, match=f"^{name} must be a CacheBackend, not str$"):
        await ask()


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: listed(store, TABLE),
        lambda store: purge(store, TABLE),
        lambda store: find_near_misses(store, TABLE),
        lambda store: savings_report(store, selection=TABLE),
        lambda store: copy_store(store, MemoryCacheBackend(), selection=TABLE),
        lambda store: export_store(store, "recordings", selection=TABLE),
    ],
)
async def test_a_table_is_no_selection(ask: Ask) -> None:
    """Whatever is in it."""
    with pytest.raises(TypeError, match=r"^selection must be a Selection, not dict$"):
        await ask(MemoryCacheBackend())


async def test_nothing_is_no_selection_to_purge() -> None:
    """For everything there is `clear`."""
    with pytest.raises(TypeError, match=r"^selection must be a Selection, not NoneType$"):
        await purge(MemoryCacheBackend(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("dry_run", lambda store, no: purge(store, Selection(namespace="a"), dry_run=no)),
        ("dry_run", lambda store, no: delete_text(store, "Hello.", dry_run=no)),
        ("overwrite", lambda store, no: copy_store(store, MemoryCacheBackend(), overwrite=no)),
        ("overwrite", lambda store, no: export_store(store, "recordings", overwrite=no)),
        ("overwrite", lambda store, no: import_store("recordings", store, overwrite=no)),
        ("dry_run", lambda store, no: import_store("recordings", store, dry_run=no)),
        ("delete_missing", lambda store, no: import_store("recordings", store, delete_missing=no)),
    ],
)
async def test_a_word_is_no_switch(name: str, ask: Ask) -> None:
    """The word "no" counts as true: something would be removed or written over."""
    store = MemoryCacheBackend()
    await store.set(make_key(namespace="a"), make_utterance())
    with pytest.raises(TypeError, match=f"^{name} must be a bool, not str$"):
        await ask(store, "no")
    assert 1 == len(await listed(store))


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: copy_store(store, MemoryCacheBackend(), progress=True),
        lambda store: export_store(store, "recordings", progress=True),
        lambda store: import_store("recordings", store, progress=True),
    ],
)
async def test_progress_is_told_to_a_function(ask: Ask) -> None:
    """It is looked at before anything is done."""
    with pytest.raises(TypeError, match=r"^progress must be callable, not bool$"):
        await ask(MemoryCacheBackend())


async def test_prices_are_a_price_table() -> None:
    """A table without a currency says nothing."""
    prices: Any = {("*", "*"): 1}
    with pytest.raises(TypeError, match=r"^prices must be a PriceTable, not dict$"):
        await savings_report(MemoryCacheBackend(), prices)
    with pytest.raises(TypeError, match=r"^prices must be a PriceTable, not dict$"):
        SavingsLedger().report(prices)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((5, "sonic", 1), "service must be a str, not int"),
        (("Service", 5, 1), "model must be a str, not int"),
        (("Service", None, "1"), "characters must be an int, not str"),
        (("Service", None, -1), "characters must not be negative, not -1"),
    ],
)
def test_costs_are_of_characters(arguments: tuple[Any, ...], error: str) -> None:
    """Nothing is given back for them."""
    with pytest.raises((TypeError, ValueError), match=error):
        PRICES.cost(*arguments)
