#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What characters cost is what the user says, and nothing else."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import PriceTable

CARTESIA = "CartesiaTTSService"


def table(prices: Any, **options: Any) -> PriceTable:
    return PriceTable(prices, **{"currency": "USD", **options})


def test_a_price_is_for_a_million_characters() -> None:
    """Unless it is said otherwise, and it is exact."""
    assert Decimal("0.06") == table({(CARTESIA, "sonic-3"): 30}).cost(CARTESIA, "sonic-3", 2000)
    assert Decimal(60) == table({(CARTESIA, "*"): 30}, per=1000).cost(CARTESIA, "x", 2000)


@pytest.mark.parametrize("price", [0.1, "0.1", Decimal("0.1")])
def test_a_float_counts_as_it_is_written(price: Any) -> None:
    """A tenth is a tenth, however it is given."""
    assert Decimal("0.3") == table({("*", "*"): price}, per=1).cost(CARTESIA, None, 3)


def test_nothing_is_built_in() -> None:
    """Without a price there is none: for another service, another model, and a table of nothing."""
    prices = table({(CARTESIA, "sonic-3"): 30})
    assert None is prices.cost(CARTESIA, "sonic-2", 1)
    assert None is prices.cost(CARTESIA, None, 1)
    assert None is prices.cost("DeepgramTTSService", "sonic-3", 1)
    assert None is table({}).cost(CARTESIA, "sonic-3", 1)


def test_what_costs_nothing_has_a_price() -> None:
    """Zero is a price, as of a voice that runs on the own machine."""
    assert Decimal(0) == table({("kokoro", "*"): 0}).cost("KokoroTTSService", None, 5)


@pytest.mark.parametrize("name", [CARTESIA, "cartesia", "Cartesia", "cartesia*", "*"])
def test_a_service_is_named_by_class_or_provider(name: str) -> None:
    """By its class or as Pipecat's traces name its provider, in whatever case, and by a part."""
    assert Decimal(1) == table({(name, "*"): 1}, per=1).cost(CARTESIA, "sonic-3", 1)


@pytest.mark.parametrize("name", ["cart", "Cartesi?", "cartesia.*", "CartesiaHttpTTSService"])
def test_nothing_but_a_star_stands_for_anything(name: str) -> None:
    """A part of a name is not the name, and other signs mean themselves."""
    assert None is table({(name, "*"): 1}).cost(CARTESIA, "sonic-3", 1)


def test_the_most_exact_price_counts() -> None:
    """First by the service, then by the model, whatever the order in the table."""
    prices = {
        ("*", "*"): 1,
        ("*", "sonic-3"): 2,
        ("cartesia*", "*"): 3,
        (CARTESIA, "*"): 4,
        (CARTESIA, "sonic-*"): 5,
        (CARTESIA, "sonic-3*"): 6,
        (CARTESIA, "sonic-3"): 7,
    }
    asked = [
        ("DeepgramTTSService", "aura", 1),
        ("DeepgramTTSService", None, 1),
        ("DeepgramTTSService", "sonic-3", 2),
        ("CartesiaHttpTTSService", "sonic-3", 3),
        (CARTESIA, "x", 4),
        (CARTESIA, None, 4),
        (CARTESIA, "sonic-2", 5),
        (CARTESIA, "sonic-3-2026", 6),
        (CARTESIA, "sonic-3", 7),
    ]
    for given in (prices, dict(reversed(prices.items()))):
        made = table(given, per=1)
        assert [price for *_, price in asked] == [made.cost(s, m, 1) for s, m, _ in asked]


def test_the_table_is_taken_down_at_once() -> None:
    """Changing what it was made from changes no price."""
    given: dict[tuple[str, str], Any] = {("*", "*"): 1}
    prices = table(given, per=1)
    given["*", "*"] = 9
    assert Decimal(1) == prices.cost(CARTESIA, None, 1)


@pytest.mark.parametrize(
    ("prices", "options", "error"),
    [
        ([("a", "b", 1)], {}, TypeError),
        ({"a": 1}, {}, TypeError),
        ({("a", "b", "c"): 1}, {}, TypeError),
        ({("a", None): 1}, {}, TypeError),
        ({("a", "b"): True}, {}, TypeError),
        ({("a", "b"): None}, {}, TypeError),
        ({("", "b"): 1}, {}, ValueError),
        ({("a", ""): 1}, {}, ValueError),
        ({("a", "b"): -1}, {}, ValueError),
        ({("a", "b"): float("nan")}, {}, ValueError),
        ({("a", "b"): float("inf")}, {}, ValueError),
        ({("a", "b"): "thirty"}, {}, ValueError),
        ({}, {"currency": None}, TypeError),
        ({}, {"currency": " "}, ValueError),
        ({}, {"per": 0}, ValueError),
        ({}, {"per": 1e6}, TypeError),
    ],
)
def test_nonsense_is_refused(prices: Any, options: dict[str, Any], error: type[Exception]) -> None:
    """What cannot be a price table is refused where it is made."""
    with pytest.raises(error):
        table(prices, **options)


TOML = """
currency = "EUR"
per = 1000

[prices.CartesiaTTSService]
"sonic-3" = 0.03
"*" = "0.0325"
"""
JSON = """{"currency": "EUR", "per": 1000,
 "prices": {"CartesiaTTSService": {"sonic-3": 0.03, "*": "0.0325"}}}"""


@pytest.mark.parametrize(("name", "text"), [("prices.toml", TOML), ("prices.JSON", JSON)])
def test_a_table_is_read_from_a_file(name: str, text: str, tmp_path: Path) -> None:
    """TOML and JSON, with all digits."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    prices = PriceTable.from_file(tmp_path / name)
    assert ("EUR", 1000) == (prices.currency, prices.per)
    assert Decimal("0.03") == prices.cost(CARTESIA, "sonic-3", 1000)
    assert Decimal("0.0325") == prices.cost(CARTESIA, None, 1000)


def test_a_price_file_is_for_a_million_unless_it_says(tmp_path: Path) -> None:
    """As a table in code."""
    (tmp_path / "p.json").write_text('{"currency": "USD", "prices": {"*": {"*": 5}}}')
    assert 1_000_000 == PriceTable.from_file(str(tmp_path / "p.json")).per


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("p.txt", "{}", ValueError, "toml or"),
        ("p.json", "{", ValueError, "line 1"),
        ("p.toml", "=", ValueError, "line 1"),
        ("p.json", "[]", TypeError, "table"),
        ("p.json", '{"prices": {}}', ValueError, "lacks currency"),
        ("p.json", "{}", ValueError, "lacks currency and prices"),
        ("p.json", '{"currency": "USD", "prices": {}, "price": 1}', ValueError, "'price'"),
        ("p.json", '{"currency": "USD", "prices": []}', TypeError, "prices must be a table"),
        ("p.json", '{"currency": "USD", "prices": {"a": 1}}', TypeError, "prices of 'a'"),
        ("p.json", '{"currency": "USD", "prices": {"a": {"b": NaN}}}', ValueError, "finite"),
        ("p.json", '{"currency": 1, "prices": {}}', TypeError, "currency"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    name: str, text: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    """In words, as a table in code."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        PriceTable.from_file(tmp_path / name)
