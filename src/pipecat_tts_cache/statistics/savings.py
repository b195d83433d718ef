#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What was not synthesized again: characters, and money at given prices.

A `SavingsLedger` adds up what any number of services of a process replay; `savings_report` tells it
of a store, by how often it was asked for what it holds.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.checks import check_instance, check_positive_int
from pipecat_tts_cache.inventory import Selection, list_entries
from pipecat_tts_cache.statistics.prices import PriceTable

OTHER = "(other)"
"""What stands for all names beyond those that are told apart."""
_NAMESPACES = 1000
TAGS = 100
"""How many tags are told apart."""
_MODELS = 100
_T = TypeVar("_T", bound=Hashable)


class ServiceModel(NamedTuple):
    """Who would have been asked.

    Parameters:
        service: The class of the service.
        model: The model, if it has one.
    """

    service: str
    model: str | None


_Saved = Counter[ServiceModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What was saved.

    Parameters:
        characters: Length of the texts that were not synthesized again.
        money: What they would have cost; None if there is no price for any of them.
        currency: What that is in; None without a price table.
        unpriced_characters: Those of `characters` without a price, which `money` leaves out.
    """

    characters: int = 0
    money: Decimal | None = None
    currency: str | None = None
    unpriced_characters: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Make it ready for JSON.

        Returns:
            The fields by name; money as a string with all of its digits: "0.00183".
        """
        money = None if self.money is None else format(self.money, "f")
        return asdict(self) | {"money": money}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsReport:
    """What was saved, in all and by what it can be told apart.

    Parameters:
        total: All of it.
        namespaces: By namespace.
        tags: By the tag of a `CacheControl`, as far as there was one. A store knows of none.
        models: By service and model.
        unknown_entries: Utterances of a store of which it cannot be told, as the store does not
            count uses, or does not hold the text.
    """

    total: Savings
    namespaces: Mapping[str, Savings]
    tags: Mapping[str, Savings]
    models: Mapping[ServiceModel, Savings]
    unknown_entries: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Make it ready for JSON.

        Returns:
            The fields of `total`; `namespaces` and `tags`, each with such fields by name;
            `models`, a list of such fields with `service` and `model`; `unknown_entries`.
        """
        return {
            **self.total.as_dict(),
            "namespaces": {name: each.as_dict() for name, each in self.namespaces.items()},
            "tags": {name: each.as_dict() for name, each in self.tags.items()},
            "models": [who._asdict() | each.as_dict() for who, each in self.models.items()],
            "unknown_entries": self.unknown_entries,
        }


class SavingsLedger:
    """Adds up what services save: give the same one to any number of them, as `cache_ledger`.

    It holds numbers only, and no more than so many of them, however long the process runs.
    """

    def __init__(self, *, max_namespaces: int = _NAMESPACES) -> None:
        """Start with nothing.

        Args:
            max_namespaces: How many namespaces to tell apart; what comes in others is told as
                "(other)". Of tags, and of services with their models, a hundred are told apart.

        Raises:
            TypeError: If the number is none.
            ValueError: If it is not above zero.
        """
        self._books = _Books(check_positive_int("max_namespaces", max_namespaces))
        self._lock = Lock()  # services may run in several threads

    def add(
        self,
        characters: int,
        *,
        service: str,
        model: str | None = None,
        namespace: str = "",
        tag: str | None = None,
    ) -> None:
        """Add a sentence that was replayed. Services do that by themselves.

        Args:
            characters: Length of its text.
            service: The class of the service.
            model: The model, if it has one.
            namespace: Whose it is.
            tag: What else to count it under.
        """
        with self._lock:
            self._books.add(characters, ServiceModel(service, model), namespace, tag)

    def report(self, prices: PriceTable | None = None) -> SavingsReport:
        """Tell what was saved so far.

        Args:
            prices: What characters cost; without it there is no money in the report.

        Returns:
            The report.

        Raises:
            TypeError: If the prices are no `PriceTable`.
        """
        check_instance("prices", prices, PriceTable | None)
        with self._lock:
            return self._books.report(prices)


async def savings_report(
    backend: CacheBackend,
    prices: PriceTable | None = None,
    *,
    selection: Selection | None = None,
    max_namespaces: int = _NAMESPACES,
) -> SavingsReport:
    """Tell what a store has saved: how often what it holds now was asked for, times its length.

    What was removed, evicted or has expired counts no more.

    Args:
        backend: The store. It has to count uses, as memory, disk and Postgres do.
        prices: What characters cost; without it there is no money in the report.
        selection: What to count; by default everything.
        max_namespaces: How many namespaces to tell apart, as in `SavingsLedger`.

    Returns:
        The report.

    Raises:
        BackendError: If the store fails, or does not list what it keeps.
        TypeError: If an argument has the wrong type.
        ValueError: If the number is not above zero.
    """
    check_instance("prices", prices, PriceTable | None)
    books = _Books(check_positive_int("max_namespaces", max_namespaces))
    unknown = 0
    async for entry in list_entries(backend, selection):
        if entry.text is None or entry.uses is None:
            unknown += 1
        else:
            who = ServiceModel(entry.service, entry.model)
            books.add(len(entry.text) * entry.uses, who, entry.key.namespace, None)
    return books.report(prices, unknown)


@dataclass(slots=True)
class _Books:
    max_namespaces: int
    total: _Saved = field(default_factory=Counter)
    namespaces: dict[str, _Saved] = field(default_factory=dict)
    tags: dict[str, _Saved] = field(default_factory=dict)

    def add(self, characters: int, who: ServiceModel, namespace: str, tag: str | None) -> None:
        who = known(who, self.total, _MODELS, ServiceModel(OTHER, None))
        name = known(namespace, self.namespaces, self.max_namespaces, OTHER)
        saved = [self.total, self.namespaces.setdefault(name, Counter())]
        if tag is not None:
            saved.append(self.tags.setdefault(known(tag, self.tags, TAGS, OTHER), Counter()))
        for each in saved:
            each[who] += characters

    def report(self, prices: PriceTable | None, unknown: int = 0) -> SavingsReport:
        return SavingsReport(
            total=_priced(self.total, prices),
            namespaces={name: _priced(each, prices) for name, each in self.namespaces.items()},
            tags={name: _priced(each, prices) for name, each in self.tags.items()},
            models={who: _priced(Counter({who: n}), prices) for who, n in self.total.items()},
            unknown_entries=unknown,
        )


def known(name: _T, names: Mapping[_T, Any], limit: int, other: _T) -> _T:
    """Keep the number of names within a bound.

    Args:
        name: A name.
        names: The names that are told apart so far.
        limit: How many are to be told apart.
        other: What stands for all others.

    Returns:
        The name, or what stands for it.
    """
    return name if name in names or len(names) < limit else other


def _priced(saved: _Saved, prices: PriceTable | None) -> Savings:
    characters = sum(saved.values())
    if prices is None:
        return Savings(characters=characters, unpriced_characters=characters)
    costs = {who: prices.cost(who.service, who.model, number) for who, number in saved.items()}
    unpriced = sum(saved[who] for who, cost in costs.items() if cost is None)
    money = sum((cost for cost in costs.values() if cost is not None), Decimal(0))
    return Savings(
        characters=characters,
        money=None if characters and unpriced == characters else money,
        currency=prices.currency,
        unpriced_characters=unpriced,
    )
