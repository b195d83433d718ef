#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The command line tells what a store has saved."""

from pathlib import Path

import pytest

from tests.command_line import Said, Shop, disk

SAID = [
    Said("One moment.", uses=3),
    Said("Good bye.", namespace="bank", uses=1),
    Said("Hello.", namespace="bank", uses=5),
]
PRICES = """
currency = "USD"
per = 1
prices.cartesia.sonic = 10
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store with three lines."""
    made = disk(tmp_path_factory.mktemp("store"))
    made.fill(*SAID)
    return made


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """A price file."""
    (tmp_path / "prices.toml").write_text(PRICES, encoding="utf-8")
    return str(tmp_path / "prices.toml")


def test_savings_by_namespace(shop: Shop, prices: str) -> None:
    """Characters and money of each namespace, those that saved most first, and the sum."""
    done = shop("savings", "--prices", prices)
    assert 0 == done.code
    assert [["39", "390.00 USD", "0", "bank"], ["33", "330.00 USD", "0", ""]] == done.rows
    assert "72 characters not synthesized again, 720.00 USD\n" == done.err


def test_savings_by_model(shop: Shop, prices: str) -> None:
    """Or of each service and model."""
    done = shop("savings", "--by", "model", "--prices", prices)
    assert [["72", "720.00 USD", "0", "CartesiaTTSService sonic"]] == done.rows


def test_without_prices_there_is_no_money(shop: Shop) -> None:
    """A dash, not a zero."""
    done = shop("savings", "--namespace", "bank")
    assert [["39", "-", "39", "bank"]] == done.rows
    assert "39 characters not synthesized again\n" == done.err


def test_savings_as_json(shop: Shop, prices: str) -> None:
    """A document with the sum and its parts."""
    (told,) = shop("savings", "--prices", prices, "--json").documents
    assert (72, "720", "USD") == (told["characters"], told["money"], told["currency"])
    assert {"bank": "390", "": "330"} == {
        name: part["money"] for name, part in told["namespaces"].items()
    }
    assert "CartesiaTTSService" == told["models"][0]["service"]


def test_nothing_found(shop: Shop) -> None:
    """Nothing found is no failure."""
    assert (0, "", "nothing found\n") == shop("savings", "--namespace", "none")


def test_small_sums_have_more_digits(tmp_path: Path) -> None:
    """What is saved is not shown as nothing."""
    shop = disk(tmp_path / "store")
    shop.fill(Said("One moment.", uses=1))
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES.replace("per = 1", "per = 1_000_000"), encoding="utf-8")
    assert "0.0001 USD" == shop("savings", "--prices", str(prices)).rows[0][1]


def test_lines_without_text_are_told(tmp_path: Path) -> None:
    """Of these nobody knows the length."""
    shop = disk(tmp_path / "store")
    shop.fill(Said(None, uses=3))
    done = shop("savings")
    assert "1 utterance without a text or a count of uses could not be counted" in done.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("prices.toml", "currency = 1\nprices = {}", "currency must be a string"),
        ("prices.json", "{", "Expecting"),
        ("prices.csv", "", "*.toml or *.json"),
    ],
)
def test_a_price_file_that_makes_no_sense(
    name: str, text: str, said: str, shop: Shop, tmp_path: Path
) -> None:
    """One line says what is wrong with it."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = shop("savings", "--prices", str(tmp_path / name))
    assert (2, 1) == (done.code, done.err.count("\n"))
    assert said in done.err


def test_a_price_file_that_is_not_there(shop: Shop, tmp_path: Path) -> None:
    """It is said, in a line."""
    done = shop("savings", "--prices", str(tmp_path / "gone.toml"))
    assert (1, 1) == (done.code, done.err.count("\n"))
    assert "gone.toml" in done.err
