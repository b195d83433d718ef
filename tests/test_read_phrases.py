#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Lines to say are read from lists and past calls; what makes no sense is told with its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import Line, rank_phrases, read_phrases

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def texts(path: Path, **options: Any) -> list[str]:
    return [line.text for line in read_phrases(path, **options)]


# Lists


def test_a_text_file_has_a_line_each(write: Write) -> None:
    """Empty lines and comments say nothing; what comes twice is there twice."""
    path = write("lines.txt", "Hello!\n\n# The rest\n  One moment. \r\n \nHello!")
    assert [Line("Hello!"), Line("One moment."), Line("Hello!")] == list(read_phrases(path))
    assert ["Hello!"] == texts(write("lines", "Hello!"), format="text")
    assert [] == texts(write("empty.txt", ""))


def test_a_byte_order_mark_is_no_text(write: Write) -> None:
    """Whatever the format."""
    for name in ("lines.txt", "lines.csv", "lines.jsonl", "lines.json"):
        content = {
            "lines.txt": "Grüße!",
            "lines.csv": "text\nGrüße!",
            "lines.jsonl": '"Grüße!"',
            "lines.json": '[{"role": "assistant",\n "content": "Grüße!"}]',
        }[name]
        assert ["Grüße!"] == texts(write(name, content.encode("utf-8-sig"))), name


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_has_a_column_for_the_text(delimiter: str, write: Write) -> None:
    """The other columns are options, where they are not empty; cells may hold line breaks."""
    rows = [
        ["voice", "text", "language"],
        ["anna", '"One, or\ntwo; or\tthree."', "en"],
        ["", "", "en"],
        ["", "Hola."],
    ]
    path = write("lines.csv", "\r\n".join(delimiter.join(row) for row in rows))
    expected = [
        Line("One, or\ntwo; or\tthree.", {"voice": "anna", "language": "en"}),
        Line("Hola."),
    ]
    assert expected == list(read_phrases(path))


def test_the_columns_can_be_named(write: Write) -> None:
    """Which one is the text, and which ones are options."""
    path = write("lines.csv", "id,say,voice\n1,Hello.,anna\n2,Good bye.,ben\n")
    expected = [Line("Hello.", {"voice": "anna"}), Line("Good bye.", {"voice": "ben"})]
    assert expected == list(read_phrases(path, field="say", options=["voice"]))
    assert [{}, {}] == [line.options for line in read_phrases(path, field="say", options=())]


def test_json_lines_are_strings_or_objects(write: Write) -> None:
    """One field is the text, or a list of texts; the others are options."""
    lines = [
        '"Hello."',
        "",
        '{"text": "One moment.", "voice": "anna", "speed": 1.2, "model": null}',
        '{"content": ["Yes.", " ", "No."], "voice": "ben"}',
        '{"text": "Hola.", "count": 7, "options": {"language": "es"}}',
        '{"text": "", "voice": "anna"}',
    ]
    path = write("lines.jsonl", "\n".join(lines))
    expected = [
        Line("Hello."),
        Line("One moment.", {"voice": "anna", "speed": 1.2}),
        Line("Yes.", {"voice": "ben"}),
        Line("No.", {"voice": "ben"}),
        Line("Hola.", {"language": "es"}),
    ]
    assert expected == list(read_phrases(path))
    assert ["anna"] == texts(write("a.jsonl", lines[2]), field="voice", options=())


# Past calls


MESSAGES = [
    {"role": "system", "content": "You are kind."},
    {"role": "assistant", "content": "Hello! How can I help?"},
    {"role": "user", "content": "Order."},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "content": "done"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "It is done."},
            {"type": "image_url", "image_url": {"url": "https://example.com"}},
            {"type": "output_text", "text": "Bye!"},
        ],
    },
]
SAID = ["Hello! How can I help?", "It is done. Bye!"]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(MESSAGES),
        json.dumps(MESSAGES, indent=2),
        json.dumps({"messages": MESSAGES}),
        json.dumps({"messages": MESSAGES, "model": "any"}, indent=1),
        "\n".join(map(json.dumps, MESSAGES)),
        "\n" + json.dumps({"messages": MESSAGES[:3]}) + "\n\n" + json.dumps(MESSAGES[3:]),
    ],
)
def test_what_the_assistant_says_counts(content: str, write: Write) -> None:
    """In one document, a message a line, or a call a line; text may be in parts."""
    assert SAID == texts(write("call.json", content))
    assert SAID == texts(write("calls.jsonl", content), format="messages")


TRANSCRIPT = """\
Bot: Hello! How can I help?
User: Bot: is that you?
[00:03] BOT: One moment.
  I will look it up.
00:04 bot (quiet): Here it is.

    It was behind the door.
**Bot:** Is there more?
User: No.
  Thank you.
Bottle: Glug.
Note that nobody says this.
Bot:
2026-11-21 12:00:01,250 Bot: Bye!
"""


def test_a_transcript_names_who_speaks(write: Write) -> None:
    """Times and case make no difference; indented lines go on with what was said."""
    expected = [
        "Hello! How can I help?",
        "One moment. I will look it up.",
        "Here it is. It was behind the door.",
        "Is there more?",
        "Bye!",
    ]
    assert expected == texts(write("call.txt", TRANSCRIPT), speaker="Bot")
    assert ["No. Thank you."] == texts(write("call.txt", TRANSCRIPT), speaker="user")[1:]


def test_a_name_is_no_pattern(write: Write) -> None:
    """It may hold any character."""
    assert ["Hi."] == texts(write("call.txt", "Bot (A+): Hi.\nBot A: No."), speaker="Bot (A+)")


def test_a_pattern_finds_the_text_in_a_log(write: Write) -> None:
    """As Pipecat writes it; other named groups are options."""
    log = (
        "12:00:01 | DEBUG | CartesiaTTSService#0: Generating TTS [One moment.]\n"
        "12:00:02 | DEBUG | something else\n"
        "12:00:03 | DEBUG | OtherTTSService#1: Generating TTS [I [really] mean it.]\n"
    )
    path = write("bot.log", log)
    pattern = r"Generating TTS \[(?P<text>.*)\]"
    assert ["One moment.", "I [really] mean it."] == texts(path, pattern=pattern)
    lines = read_phrases(path, pattern=r"(?P<service>\w+)#(\d): \w+ TTS \[(?P<text>.*)\]")
    assert ["CartesiaTTSService", "OtherTTSService"] == [line.options["service"] for line in lines]


# What goes wrong


@pytest.mark.parametrize(
    ("name", "content", "options", "problem"),
    [
        ("a.txt", b"Hello.\nGr\xfc\xdfe!\n", {}, "a.txt, line 2: it is not in UTF-8"),
        ("a.txt", b"Hi.\n" + b"a" * 1_048_577, {}, "a.txt, line 2: it is longer than a megabyte"),
        ("a.csv", "say\nHello.\n", {}, "a.csv, line 1: it has neither 'text' nor 'content'"),
        ("a.csv", "", {}, "a.csv, line 0: it has neither"),
        ("a.csv", "text\nHi.\n", {"field": "say"}, "a.csv, line 1: it has no 'say'"),
        ("a.csv", "text,text\n", {}, "a.csv, line 1: two columns have the same name"),
        ("a.csv", "text\nHi.\nHi, you.\n", {}, "a.csv, line 3: it has 2 cells for 1 columns"),
        ("a.csv", 'text\nHi.\n"Hi', {}, "a.csv, line 3: unexpected end of data"),
        ("a.csv", "text\nHi.\n", {"options": ["voice"]}, "line 1: there is no column 'voice'"),
        ("a.jsonl", '"Hi."\n{"text"\n', {}, "a.jsonl, line 2: it is no JSON"),
        ("a.jsonl", "[" * 200_000, {}, "a.jsonl, line 1: it is no JSON"),
        ("a.jsonl", '{"text": "Hi.", "speed": NaN}', {}, "a.jsonl, line 1: it is no JSON"),
        ("a.jsonl", "5", {}, "a.jsonl, line 1: it is neither a string nor an object"),
        ("a.jsonl", '{"say": "Hi."}', {}, "line 1: it has neither 'text' nor 'content'"),
        ("a.jsonl", '{"text": 5}', {}, "a.jsonl, line 1: 'text' is no text"),
        ("a.jsonl", '{"role": "user", "content": "Hi."}', {}, "give the format 'messages'"),
        ("a.json", '[{"role": "user"},\n"Hi."]', {}, "a.json, line 2: it is no message with"),
        ("a.json", "[\n{]", {}, "a.json, line 2: it is no JSON"),
        ("a.json", "Hello.", {}, "a.json, line 1: it is no JSON"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(
    name: str, content: str | bytes, options: dict[str, Any], problem: str, write: Write
) -> None:
    """And without what it says."""
    lines = read_phrases(write(name, content), **options)
    with pytest.raises(ValueError, match=problem) as raised:
        list(lines)
    assert "Hi." not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("a.log", {}, "the name of a.log does not tell what is in it"),
        ("a.txt", {"format": "yaml"}, "format must be 'text', 'csv'"),
        ("a.txt", {"format": "transcript"}, "the format 'transcript' needs a speaker"),
        ("a.txt", {"format": "log"}, "the format 'log' needs a pattern"),
        ("a.txt", {"speaker": ""}, "speaker must not be empty"),
        ("a.txt", {"speaker": "Bot", "pattern": "(?P<text>.*)"}, "pattern makes no sense"),
        ("a.txt", {"field": "say"}, "field makes no sense for the format 'text'"),
        ("a.json", {"options": ["voice"]}, "options makes no sense for the format 'messages'"),
        ("a.csv", {"options": "voice"}, "options must be a collection of strings, not str"),
        ("a.csv", {"field": 5}, "field must be a string, not int"),
        ("a.log", {"pattern": "(?P<text>"}, "the pattern is no regular expression"),
        ("a.log", {"pattern": "(.*)"}, "the pattern has no group"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    name: str, options: dict[str, Any], problem: str
) -> None:
    """At once, before any file is read."""
    with pytest.raises((TypeError, ValueError), match=problem):
        read_phrases(name, **options)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By the error of the system."""
    with pytest.raises(FileNotFoundError):
        list(read_phrases(tmp_path / "a.txt"))


def test_a_document_has_bounds(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be read only as a whole must not be larger than memory allows."""
    monkeypatch.setattr("pipecat_tts_cache.preparation.numbered._MAX_REST", 1000)
    path = write("a.json", json.dumps(10 * MESSAGES, indent=1))
    with pytest.raises(ValueError, match="write one message a line"):
        texts(path)
    assert 10 * SAID == texts(write("a.json", "\n".join(map(json.dumps, 10 * MESSAGES))))


def test_a_file_is_read_as_it_is_asked_for(write: Write) -> None:
    """What is wrong further down does not matter before."""
    lines = read_phrases(write("a.jsonl", '"Hello."\nnonsense'))
    assert Line("Hello.") == next(lines)
    assert 2 == rank_phrases(read_phrases(write("b.txt", "Hello.\nHello.")))[0].count
