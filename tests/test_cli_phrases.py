#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What was said in past calls is looked at with the command line: `phrases`."""

import json
from pathlib import Path

import pytest

from pipecat_tts_cache.pipecat_compat import INSTALLED
from tests.command_line import Shop, disk

TURNS = ["Hello! How can I help?", "Sure. How can I help?", "Hello! Bye.", "Sure. It is 5.", "Bye."]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Go to a folder with past calls in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.txt").write_text("\n".join(f"Bot: {turn}" for turn in TURNS))
    calls = [[{"role": "assistant", "content": turn}] for turn in TURNS]
    (tmp_path / "calls.jsonl").write_text("\n".join(map(json.dumps, calls)))
    (tmp_path / "said.csv").write_text("text,voice\nYes. No.,ben\nYes. No.,ben\nYes. No.,\n")
    return disk(tmp_path / "store")


def test_what_was_said_most_is_shown(shop: Shop) -> None:
    """Sentence by sentence, what saves most first, and what it comes to."""
    done = shop("phrases", "calls.txt", "--speaker", "Bot")
    assert 0 == done.code
    expected = [
        ["2", "15", "-", "How can I help?"],
        ["2", "6", "-", "Hello!"],
        ["2", "5", "-", "Sure."],
        ["2", "4", "-", "Bye."],
    ]
    assert expected == done.rows
    assert "4 lines: 30 characters once, in place of 60\n" == done.err


def test_several_files_are_counted_together(shop: Shop) -> None:
    """As calls are many; and the best are chosen."""
    arguments = ["calls.jsonl", "calls.jsonl", "--format", "messages", "--top", "2", "--json"]
    done = shop("phrases", *arguments)
    assert [("How can I help?", 4, 45), ("Hello!", 4, 18)] == [
        (line["text"], line["count"], line["characters_saved"]) for line in done.documents
    ]
    done = shop("phrases", *arguments, "--min-count", "5")
    assert (0, "", "nothing found\n") == done


def test_lists_are_lines_unless_they_are_turns(shop: Shop) -> None:
    """The options of a line stay with it."""
    done = shop("phrases", "said.csv", "--json")
    line = {"text": "Yes. No.", "options": {"voice": "ben"}, "count": 2, "characters_saved": 8}
    assert [line] == done.documents
    done = shop("phrases", "said.csv", "--as-turns", "--min-count", "1", "--options", "")
    assert [["3", "8", "-", "Yes."], ["3", "6", "-", "No."]] == done.rows
    assert [["2", "8", "voice=ben", "Yes. No."]] == shop("phrases", "said.csv").rows


@pytest.mark.skipif(INSTALLED < (1, 13), reason="Pipecat cuts all languages as English")
def test_turns_are_cut_by_the_rules_of_a_language(shop: Shop) -> None:
    """And a log by a pattern."""
    Path("bot.log").write_text(2 * "DEBUG: Generating TTS [Herr bzw. Frau.]\n", encoding="utf-8")
    pattern = r"Generating TTS \[(?P<text>.*)\]"
    found = [
        [row[3] for row in shop("phrases", "bot.log", "--pattern", pattern, *more).rows]
        for more in ([], ["--language", "de"])
    ]
    assert [["Herr bzw.", "Frau."], ["Herr bzw. Frau."]] == found


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["calls.txt"], 0, "nothing found"),
        (["calls.txt", "--pattern", "("], 2, "the pattern is no regular expression"),
        (["calls.txt", "--speaker", "Bot", "--field", "x"], 2, "field makes no sense"),
        (["calls.jsonl"], 1, "calls.jsonl, line 1: it is neither a string nor an object"),
        (["calls.txt", "--top", "0"], 2, "Invalid value for '--top'"),
        (["calls.txt", "--format", "yaml"], 2, "Invalid value for '--format'"),
        ([], 2, "Missing argument 'FILE...'"),
        (["none.txt"], 1, "none.txt: No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_told(
    arguments: list[str], code: int, message: str, shop: Shop
) -> None:
    """With the exit code of what it is."""
    done = shop("phrases", *arguments)
    assert (code, "") == (done.code, done.out)
    assert message in done.err
