#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the command line removes: only what is meant, and only when somebody agreed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pipecat_tts_cache.cli.options import SECRET_VARIABLE
from pipecat_tts_cache.key import digest_text
from pipecat_tts_cache.testing.store_contract import make_key
from tests.command_line import Said, Shop, disk, utterance_of

SAID = [
    Said("One moment."),
    Said("Good bye.", namespace="bank", voice="ben", days=100),
    Said("Hello.", namespace="bank", days=10),
]
ALL = ["Good bye.", "Hello.", "One moment."]
REMOVALS = [["purge", "--voice", "anna"], ["delete-text", "Hello."], ["clear"]]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A store with three lines."""
    made = disk(tmp_path)
    made.fill(*SAID)
    return made


@pytest.mark.parametrize("command", REMOVALS)
def test_nothing_is_removed_unasked(shop: Shop, command: list[str]) -> None:
    """Where nobody can be asked, a removal is refused unless it says --yes."""
    done = shop(*command, stdin="y\n")
    assert (2, "") == (done.code, done.out)
    assert "pass --yes" in done.err
    assert ALL == shop.texts()


@pytest.mark.parametrize(
    ("command", "left"),
    [*zip(REMOVALS, [["Good bye."], ["Good bye.", "One moment."], []], strict=True)],
)
def test_what_was_agreed_to_is_removed(shop: Shop, command: list[str], left: list[str]) -> None:
    """With --yes, or with "y" on a terminal after it was told how much goes, it is removed."""
    done = shop.on_terminal(*command, typed="y\n")
    assert 0 == done.code, done.out
    count = f"{len(ALL) - len(left)} utterance"
    assert f"Remove {count}" in done.out
    assert f"removed {count}" in done.out
    assert left == shop.texts()
    shop.fill(*SAID)
    assert 0 == shop(*command, "--yes").code
    assert left == shop.texts()


@pytest.mark.parametrize("typed", ["\n", "n\n", "nay, yes\n", "\x04"])
def test_any_answer_but_yes_removes_nothing(shop: Shop, typed: str) -> None:
    """Somebody who does not agree is told so, and the exit code is 1."""
    done = shop.on_terminal("clear", typed=typed)
    assert 1 == done.code
    assert "nothing was removed" in done.out
    assert ALL == shop.texts()


def test_an_interrupt_at_the_question_removes_nothing(shop: Shop) -> None:
    """Control-C is an answer, too."""
    done = shop.on_terminal("clear", typed="\x03")
    assert 130 == done.code
    assert "Traceback" not in done.out
    assert ALL == shop.texts()


@pytest.mark.parametrize("command", REMOVALS)
@pytest.mark.parametrize("more", [[], ["--yes"]])
def test_a_dry_run_only_counts(shop: Shop, command: list[str], more: list[str]) -> None:
    """It asks nobody, and removes nothing, whatever else is said."""
    done = shop(*command, "--dry-run", *more)
    assert (0, "") == (done.code, done.err)
    assert done.out.startswith("would remove ")
    assert ALL == shop.texts()


def test_a_purge_as_json(shop: Shop) -> None:
    """One document says what was removed, or would be."""
    (would,) = shop("purge", "--older-than", "9d", "--dry-run", "--json").documents
    (done,) = shop("purge", "--older-than", "9d", "--yes", "--json").documents
    assert {"entries", "size", "duration", "spared", "dry_run"} == would.keys()
    assert (2, True) == (would["entries"], would.pop("dry_run"))
    assert 0.2 == pytest.approx(done["duration"])
    assert done.pop("dry_run") is False
    assert would == done
    assert ["One moment."] == shop.texts()


def test_a_purge_of_everything_is_misuse(shop: Shop) -> None:
    """For that there is `clear`."""
    done = shop("purge", "--yes")
    assert 2 == done.code
    assert "clear" in done.err
    assert ALL == shop.texts()


def test_a_purge_that_finds_nothing_is_fine(shop: Shop) -> None:
    """A nightly job goes well when there is nothing to do."""
    assert 0 == shop("purge", "--voice", "nobody", "--yes").code


def test_clearing_a_namespace(shop: Shop) -> None:
    """Only what is in it goes, and JSON says how much."""
    assert {"entries": 2, "dry_run": True} == shop(
        "clear", "--namespace", "bank", "--dry-run", "--json"
    ).documents[0]
    assert {"entries": 2, "dry_run": False} == shop(
        "clear", "--namespace", "bank", "--yes", "--json"
    ).documents[0]
    assert ["One moment."] == shop.texts()


def test_the_empty_namespace_is_one(shop: Shop) -> None:
    """It is not the same as none."""
    assert 0 == shop("clear", "--namespace", "", "--yes").code
    assert ["Good bye.", "Hello."] == shop.texts()


def test_pins_are_spared_by_a_purge_only(shop: Shop) -> None:
    """A purge says that they stay; a sentence is erased, and a namespace cleared, with its pins."""

    async def pin() -> None:
        async with shop.open() as store:
            for name in "ab":
                pinned = replace(utterance_of(Said("Pinned.")), pinned=True)
                await store.set(make_key(name, "bank"), pinned)

    asyncio.run(pin())
    done = shop("purge", "--namespace", "bank", "--yes")
    assert 0 == done.code
    assert done.out.startswith("removed 2 utterances")
    assert done.out.endswith("; 2 pinned stay: see unpin\n")
    (would,) = shop("purge", "--text", "Pinned.", "--dry-run", "--json").documents
    assert (0, 2) == (would["entries"], would["spared"])
    assert ["pinned", "2"] in [line.split() for line in shop("stats").out.splitlines()]
    count = shop("clear", "--namespace", "bank", "--dry-run", "--json").documents[0]["entries"]
    assert 2 == count
    assert 2 == shop("delete-text", "Pinned.", "--yes", "--json").documents[0]["entries"]


# delete-text


def test_a_sentence_nobody_said(shop: Shop) -> None:
    """Whoever wants to be forgotten is told if nothing was found: that exits with 3."""
    done = shop("delete-text", "Hello!", "--yes", "--json")
    assert (3, 0) == (done.code, done.documents[0]["entries"])
    assert "no utterance says that" in done.err


def test_a_sentence_from_stdin(shop: Shop) -> None:
    """So that it is in no history of commands."""
    assert 0 == shop("delete-text", "-", "--yes", stdin="Hello.\n").code
    assert ["Good bye.", "One moment."] == shop.texts()


def test_no_sentence_is_misuse(shop: Shop) -> None:
    """An empty text is a slip of a script."""
    assert 2 == shop("delete-text", " ", "--yes").code
    assert ALL == shop.texts()


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A store of utterances without text, with keyed digests of it."""
    monkeypatch.setattr(
        "tests.command_line.digest_text", lambda _: digest_text("Hello.", secret=b"hush")
    )
    made = disk(tmp_path)
    made.fill(Said(None))
    return made


def test_keyed_digests_are_found_with_the_secret(keyed: Shop) -> None:
    """The secret comes from the environment, and a wrong one finds nothing."""
    assert 3 == keyed("delete-text", "Hello.", "--yes").code
    assert 3 == keyed.process("delete-text", "Hello.", "--yes", **{SECRET_VARIABLE: "hash"}).code
    listed = keyed.process("list", "--json", "--text", "Hello.", **{SECRET_VARIABLE: "hush"})
    assert 1 == len(listed.documents)
    assert 0 == keyed.process("delete-text", "Hello.", "--yes", **{SECRET_VARIABLE: "hush"}).code
    assert [] == keyed.texts()


def test_the_secret_can_be_asked_for(keyed: Shop) -> None:
    """It is typed on stdin, and not shown."""
    done = keyed("delete-text", "Hello.", "--ask-secret", "--yes", stdin="hush\n")
    assert 0 == done.code, done.err
    assert "hush" not in done.out + done.err
    assert [] == keyed.texts()


def test_a_secret_that_is_not_given_removes_nothing(keyed: Shop) -> None:
    """Control-C or Control-D at that question ends it like any other interrupt."""
    done = keyed("delete-text", "Hello.", "--ask-secret", "--yes", stdin="")
    assert 130 == done.code
    assert [None] == keyed.texts()
