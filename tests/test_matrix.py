#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Nobody can tell any of Pipecat's services with the cache from the same one without."""

import os
from importlib.metadata import version

import pytest

from tests.cached import ALL_KINDS
from tests.matrix import PAGE, row, try_kind, written_rows
from tests.pipecat_services import concrete_names

ROWS = written_rows()
WRITTEN_HERE = f"pipecat-ai {version('pipecat-ai')}." in (PAGE.read_text("utf-8") if ROWS else "")
"""Whether the page was written with the Pipecat that is installed."""


def test_every_service_has_a_provider() -> None:
    """No class that Pipecat ships goes untried."""
    assert set(concrete_names()) <= {kind.service for kind in ALL_KINDS.values()}


@pytest.mark.parametrize("title", ALL_KINDS)
async def test_nobody_can_tell(title: str) -> None:
    """The service holds all conversations alike, and its line in docs/compatibility.md is true."""
    kind = ALL_KINDS[title]
    if kind.service not in concrete_names():
        pytest.skip(f"there is no {kind.service} in this Pipecat")
    if not kind.available:
        reason = f"{kind.service} cannot be imported with what is installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    report = await try_kind(kind)
    assert report.passed, str(report)
    if WRITTEN_HERE:
        assert ROWS.get(title) == row(kind, report)


def test_the_page_names_them_all() -> None:
    """docs/compatibility.md has a line for each; `python -m tests.matrix --write` writes it."""
    assert sorted(ALL_KINDS) == sorted(ROWS)
