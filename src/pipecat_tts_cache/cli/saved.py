#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a store has saved: `savings`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, with_store
from pipecat_tts_cache.cli.options import Filters, Json, Store, takes_filters
from pipecat_tts_cache.cli.output import Column, Table, note, waiting, write_json
from pipecat_tts_cache.cli.words import many
from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import Savings, SavingsReport, savings_report

Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="What characters cost: a TOML or JSON file."),
]


class By(StrEnum):
    """What savings may be told apart by."""

    NAMESPACE = "namespace"
    MODEL = "model"


def register(app: typer.Typer) -> None:
    """Add this command.

    Args:
        app: Where to.
    """
    app.command("savings")(takes_filters(savings))


def savings(
    store: Store,
    prices: Prices = None,
    by: Annotated[By, typer.Option("--by", help="What to tell apart.")] = By.NAMESPACE,
    as_json: Json = False,
    *,
    filters: Filters,
) -> None:
    """Tell what was not synthesized again, of what a store holds now."""
    with ending(store):
        chosen, table = filters.selection(), _read(prices)
        with waiting("Adding up …"):
            report = with_store(
                store, lambda backend: savings_report(backend, table, selection=chosen)
            )
        if as_json:
            write_json(report.as_dict())
        else:
            _show(report, by)


def _read(path: Path | None) -> PriceTable | None:
    try:
        return None if path is None else PriceTable.from_file(path)
    except (TypeError, ValueError) as error:
        raise Stop(f"{path}: {error}", ExitCode.USAGE) from None


def _show(report: SavingsReport, by: By) -> None:
    table = Table(
        Column("saved", 12, right=True),
        Column("money", 14, right=True),
        Column("unpriced", 12, right=True),
        Column(by.value),
    )
    parts: Mapping[str, Savings] = report.namespaces
    if by is By.MODEL:
        parts = {f"{who.service} {who.model or '-'}": each for who, each in report.models.items()}
    for name, each in sorted(parts.items(), key=lambda part: -part[1].characters):
        table.add(f"{each.characters:,}", _money(each), f"{each.unpriced_characters:,}", name)
    if parts:
        table.show()
        money = "" if report.total.money is None else f", {_money(report.total)}"
        note(f"{many(report.total.characters, 'character')} not synthesized again{money}")
    else:
        note("nothing found")
    if report.unknown_entries:
        what = many(report.unknown_entries, "utterance")
        note(f"{what} without a text or a count of uses could not be counted")


def _money(savings: Savings) -> str:
    if savings.money is None:
        return "-"
    digits = 2 if savings.money >= 1 else 4
    return f"{savings.money:,.{digits}f} {savings.currency}"
