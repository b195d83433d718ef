#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Moving house with the command line: `copy`."""

from pathlib import Path

import pytest

from tests.command_line import Said, Shop, disk

SAID = [Said("One moment."), Said("Good bye.", voice="ben", ttl=1000), Said("Hello.")]
ALL = ["Good bye.", "Hello.", "One moment."]


@pytest.fixture
def source(tmp_path: Path) -> Shop:
    """A store with three lines."""
    made = disk(tmp_path / "source")
    made.fill(*SAID)
    return made


@pytest.fixture
def target(tmp_path: Path) -> Shop:
    """A folder that is not there."""
    return disk(tmp_path / "target")


def test_a_store_is_copied_and_the_copy_goes_on(source: Shop, target: Shop) -> None:
    """The target is made, what is there is skipped, and what is left of its time goes along."""
    done = source("copy", source.url, target.url, "--json")
    assert (0, "") == (done.code, done.err)
    counts = {"skipped": 0, "refused": 0, "gone": 0, "failed": 0, "evicted": 0, "reasons": []}
    assert [{"copied": 3, **counts}] == done.documents
    assert ALL == target.texts()
    assert [True, False, False] == [entry.expires_at is not None for entry in target.entries()]
    (again,) = source("copy", source.url, target.url, "--json").documents
    assert (0, 3) == (again["copied"], again["skipped"])
    (over,) = source("copy", source.url, target.url, "--overwrite", "--json").documents
    assert (3, 0) == (over["copied"], over["skipped"])


def test_a_selection_is_copied(source: Shop, target: Shop) -> None:
    """The filters are those of a list."""
    assert 0 == source("copy", source.url, target.url, "--voice", "ben").code
    assert ["Good bye."] == target.texts()


def test_what_the_target_refuses_is_told(source: Shop, target: Shop) -> None:
    """A script must not take that for the whole house."""
    done = source("copy", source.url, f"{target.url}?max_bytes=4KB")
    assert 1 == done.code
    assert ["refused", "3"] == done.out.splitlines()[2].split()
    assert "pipecat-tts-cache: 3 utterances could not be copied\n" == done.err


def test_a_bar_on_a_terminal(source: Shop, target: Shop) -> None:
    """Whoever watches sees how far it is."""
    done = source.on_terminal("copy", source.url, target.url)
    assert 0 == done.code
    assert "3/3" in done.out
    assert ALL == target.texts()


def test_a_store_is_not_copied_onto_itself(source: Shop) -> None:
    """That is a slip."""
    done = source("copy", source.url, source.url)
    assert 2 == done.code
    assert "the same store" in done.err


def test_a_source_that_is_not_there(source: Shop, target: Shop, tmp_path: Path) -> None:
    """Neither store is made."""
    done = source("copy", f"disk://{tmp_path}/typo", target.url)
    assert (1, f"pipecat-tts-cache: there is no store in {tmp_path}/typo\n") == (
        done.code,
        done.err,
    )
    assert ["source"] == [each.name for each in tmp_path.iterdir()]


def test_a_target_that_is_too_small_is_told(source: Shop, target: Shop) -> None:
    """What it gives up again to make room has not been copied."""
    size = max(entry.size for entry in source.entries())
    done = source("copy", source.url, f"{target.url}?max_bytes={2 * size}")
    assert 1 == done.code
    assert "pipecat-tts-cache: the target is too small: it gave up" in done.err
