#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Nobody can tell any of Pipecat's services with the cache from the same one without."""

from importlib.metadata import version

import pytest

from tests.cached import ALL_KINDS
from tests.matrix import PAGE, row, try_kind, written_rows
from tests.pipecat_services import concrete_names, why_not

ELSEWHERE = "elsewhere"


def test_every_service_has_a_provider() -> None:
    """No class that Pipecat ships goes untried."""
    assert set(concrete_names()) <= {kind.service for kind in ALL_KINDS.values()}


@pytest.mark.parametrize("title", ALL_KINDS)
async def test_nobody_can_tell(title: str) -> None:
    """The service holds all conversations alike, and its line in docs/compatibility.md is true."""
    kind = ALL_KINDS[title]
    if not kind.available:
        pytest.skip(f"{kind.service} cannot be imported: {why_not(kind.service)}")
    report = await try_kind(kind)
    assert report.passed, str(report)
    if f"pipecat-ai {version('pipecat-ai')}." in PAGE.read_text(encoding="utf-8"):
        assert written_rows().get(title) == row(kind, report)


def test_the_page_names_them_all() -> None:
    """docs/compatibility.md has a line for each; `python -m tests.matrix --write` writes it."""
    assert sorted(ALL_KINDS) == sorted(written_rows())
