#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What providers charge: the user's own price table. There is no other."""

import json
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

from pipecat_tts_cache.checks import check_instance, check_positive_int

Price = Decimal | int | float | str
_MILLION = 1_000_000
_ANY = "*"
_IN_A_FILE = {"currency", "per", "prices"}


class _Rule(NamedTuple):
    service: re.Pattern[str]
    model: re.Pattern[str]
    rank: tuple[tuple[bool, int], ...]
    price: Decimal


class PriceTable:
    """What characters cost, by service and model.

    ::

        prices = PriceTable(
            {("CartesiaTTSService", "sonic-3"): 30, ("elevenlabs*", "*"): "82.50"},
            currency="USD",
        )
        prices.cost("CartesiaTTSService", "sonic-3", 2_000)  # Decimal("0.06")
        prices.cost("CartesiaTTSService", "sonic-2", 2_000)  # None: nobody has said

    A service is named by its class, or as Pipecat's traces name its provider: "cartesia" for
    `CartesiaTTSService`; case does not matter. In either name `*` stands for anything, and what has
    no model fits only `*`. If several entries fit, the most exact one counts: first by the service,
    then by the model, a name without `*` before one with it, and else the longer one.
    """

    def __init__(
        self, prices: Mapping[tuple[str, str], Price], *, currency: str, per: int = _MILLION
    ) -> None:
        """Take prices down.

        Args:
            prices: The price of `per` characters, by service and model. A float counts as it is
                written: 0.1 is a tenth.
            currency: What they are in: "USD". It is told with every sum, and not looked into.
            per: The number of characters that a price is for.

        Raises:
            TypeError: If something has the wrong type.
            ValueError: If a price is no number, negative or not finite, a name is empty, or `per`
                is not above zero.
        """
        if not isinstance(prices, Mapping):
            raise TypeError(f"prices must be a mapping, not {type(prices).__name__}")
        if not isinstance(currency, str):
            raise TypeError(f"currency must be a string, not {type(currency).__name__}")
        if not currency.strip():
            raise ValueError("currency must not be empty")
        self.currency = currency
        self.per = check_positive_int("per", per)
        rules = [_rule(key, price) for key, price in prices.items()]
        self._rules = sorted(rules, key=lambda rule: rule.rank, reverse=True)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a price table from a file. This blocks: do it before the bot starts.

        Args:
            path: A TOML or JSON file: `currency`, `per` (a million unless given), and `prices` by
                service, then by model.

        Returns:
            The table.

        Raises:
            OSError: If the file cannot be read.
            TypeError: If something in it has the wrong type.
            ValueError: If it is neither TOML nor JSON, by its name and by what is in it, or holds
                what makes no sense.
        """
        given = _read(Path(path))
        if not isinstance(given, Mapping):
            raise TypeError("a price file must hold a table")
        if unknown := given.keys() - _IN_A_FILE:
            raise ValueError(f"a price file has no {', '.join(sorted(map(repr, unknown)))}")
        if missing := {"currency", "prices"} - given.keys():
            raise ValueError(f"the price file lacks {' and '.join(sorted(missing))}")
        by_service = _table("prices", given["prices"])
        prices = {
            (service, model): cast("Price", price)
            for service, models in by_service.items()
            for model, price in _table(f"prices of {service!r}", models).items()
        }
        return cls(prices, currency=given["currency"], per=given.get("per", _MILLION))

    def cost(self, service: str, model: str | None, characters: int) -> Decimal | None:
        """Tell what some characters cost.

        Args:
            service: The class of the service.
            model: The model, if it has one.
            characters: How many.

        Returns:
            The cost in `currency`, or None if no price is known.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If the characters are less than none.
        """
        check_instance("service", service, str)
        check_instance("model", model, str | None)
        check_instance("characters", characters, int)
        if characters < 0:
            raise ValueError(f"characters must not be negative, not {characters}")
        names = (service.casefold(), provider_of(service))
        for rule in self._rules:
            if any(map(rule.service.fullmatch, names)) and _fits(rule.model, model):
                return rule.price * characters / self.per
        return None


def provider_of(service: str) -> str:
    """Name a provider by the class of its service, as Pipecat's traces do.

    Args:
        service: The class: "CartesiaTTSService".

    Returns:
        The name: "cartesia".
    """
    return service.replace("TTSService", "").lower()


def _rule(key: object, price: object) -> _Rule:
    if not (isinstance(key, tuple) and [str, str] == [type(each) for each in key]):
        raise TypeError(f"prices are named by (service, model), two strings, not by {key!r}")
    service, model = cast("tuple[str, str]", key)
    if not (service and model):
        raise ValueError(f"a name in {key!r} is empty; '*' stands for anything")
    return _Rule(
        service=_pattern(service.casefold()),
        model=_pattern(model),
        rank=tuple((_ANY not in name, len(name.replace(_ANY, ""))) for name in (service, model)),
        price=_checked(key, price),
    )


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, name.split(_ANY))), re.DOTALL)


def _fits(pattern: re.Pattern[str], model: str | None) -> bool:
    return pattern.pattern == ".*" if model is None else pattern.fullmatch(model) is not None


def _checked(key: object, price: object) -> Decimal:
    if isinstance(price, bool) or not isinstance(price, Decimal | int | float | str):
        raise TypeError(f"the price of {key!r} must be a number, not {type(price).__name__}")
    try:
        amount = Decimal(str(price))
    except InvalidOperation:
        raise ValueError(f"the price of {key!r} is no number: {price!r}") from None
    if not (amount.is_finite() and amount >= 0):
        raise ValueError(f"the price of {key!r} must be finite and not negative, not {price}")
    return amount


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".json":
        return json.loads(text, parse_float=Decimal)
    if path.suffix.lower() == ".toml":
        return tomllib.loads(text, parse_float=Decimal)
    raise ValueError("a price file is named *.toml or *.json")


def _table(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a table, not {type(value).__name__}")
    return cast("Mapping[str, object]", value)
