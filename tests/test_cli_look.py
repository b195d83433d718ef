#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the command line tells of a store: `stats`, `list`, `inspect`, `top` and `near-misses`."""

import asyncio
from dataclasses import fields, replace
from pathlib import Path

import pytest

from pipecat_tts_cache import Entry, Word
from pipecat_tts_cache.testing.store_contract import make_key
from tests.command_line import Said, Shop, disk, utterance_of

SAID = [
    Said("One moment.", uses=3, days=1),
    Said("Good bye.", namespace="bank", voice="ben", uses=1, days=100),
    Said("Hello.", namespace="bank", uses=5, days=10),
]
ENTRY = {"namespace", "digest"} | {each.name for each in fields(Entry)} - {"key"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store with three lines."""
    made = disk(tmp_path_factory.mktemp("store"))
    made.fill(*SAID)
    return made


# stats


def test_stats_as_json_are_those_of_the_store(shop: Shop) -> None:
    """A document holds what `get_stats` says."""
    done = shop("stats", "--json")
    (stats,) = done.documents
    assert (0, "") == (done.code, done.err)
    assert (3, 2, True) == (stats["entries"], stats["namespaces"], stats["available"])


def test_stats_for_people_leave_out_what_only_this_process_did(shop: Shop) -> None:
    """How much there is, in units; no counters that begin with every process."""
    done = shop("stats")
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert "3" == lines["entries"]
    assert lines["max_bytes"].startswith("2.15 GB (2,147,483,648)")
    assert "hits" not in lines


def test_stats_of_stores_behind_one_another(shop: Shop) -> None:
    """Each level is described."""
    done = shop("stats", "--store", f"tiered:memory://,{shop.url}")
    assert "level 1: store       MemoryCacheBackend\n" in done.out
    assert "level 2: entries     3\n" in done.out


# list


def test_a_list_as_json_is_a_document_a_line(shop: Shop) -> None:
    """Every entry is a line that holds all its fields, under names that do not change."""
    done = shop("list", "--json")
    assert 0 == done.code
    assert {each.text for each in SAID} == {each["text"] for each in done.documents}
    for each in done.documents:
        assert ENTRY == each.keys()


def test_a_list_in_a_pipe_has_columns_between_tabs(shop: Shop) -> None:
    """Nothing is cut off there, and the digest is whole."""
    done = shop("list", "--namespace", "bank", "--voice", "ben")
    assert "DIGEST\tAGE\tUSES\tSIZE\tLENGTH\tNAMESPACE\tVOICE\tTEXT" == done.out.splitlines()[0]
    ((digest, age, uses, _, length, *rest),) = done.rows
    assert make_key("1").digest == digest
    assert ["100d", "1", "0.10 s", "bank", "ben", "Good bye."] == [age, uses, length, *rest]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--namespace", ""], {"One moment."}),
        (["-n", "bank"], {"Good bye.", "Hello."}),
        (["--voice", "ben"], {"Good bye."}),
        (["--model", "sonic"], {"One moment.", "Good bye.", "Hello."}),
        (["--service", "OtherTTSService"], set()),
        (["--text", " Hello. "], {"Hello."}),
        (["--older-than", "9d"], {"Good bye.", "Hello."}),
        (["--older-than", "2W"], {"Good bye."}),
        (["--unused-for", "1h"], set()),
        (["--older-than", "240h", "--voice", "anna"], {"Hello."}),
    ],
)
def test_a_list_can_be_narrowed_down(shop: Shop, options: list[str], expected: set[str]) -> None:
    """The filters are those of `Selection`, and all that are given have to fit."""
    done = shop("list", "--json", *options)
    assert (0, expected) == (done.code, {each["text"] for each in done.documents})
    assert ("" if expected else "nothing found\n") == done.err


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("uses", ["Hello.", "One moment.", "Good bye."]),
        ("age", ["Good bye.", "Hello.", "One moment."]),
    ],
)
def test_a_list_can_be_sorted(shop: Shop, sort: str, expected: list[str]) -> None:
    """The most used or the oldest come first, up to a limit."""
    done = shop("list", "--json", "--sort", sort)
    assert expected == [each["text"] for each in done.documents]
    done = shop("list", "--json", "--sort", sort, "--limit", "2")
    assert expected[:2] == [each["text"] for each in done.documents]


def test_a_list_sorted_by_size(tmp_path: Path) -> None:
    """The largest come first."""
    shop = disk(tmp_path)
    shop.fill(Said("a"), Said("b" * 5000), Said("c" * 20_000))
    sizes = [each["size"] for each in shop("list", "--json", "--sort", "size").documents]
    assert sorted(sizes, reverse=True) == sizes
    assert sizes[0] > sizes[-1]


def test_a_list_can_be_cut_off(shop: Shop) -> None:
    """A limit holds without sorting, too."""
    assert 2 == len(shop("list", "--limit", "2").rows)


@pytest.mark.parametrize(
    "options",
    [["--older-than", "soon"], ["--older-than", "0d"], ["--limit", "0"], ["--sort", "beauty"]],
)
def test_nonsense_options_are_misuse(shop: Shop, options: list[str]) -> None:
    """What cannot be meant is told, and exits with 2."""
    done = shop("list", *options)
    assert (2, "") == (done.code, done.out)
    assert options[0] in done.err


def test_an_age_of_centuries_is_misuse(shop: Shop) -> None:
    """The bounds of `Selection` hold."""
    done = shop("list", "--older-than", "99999d")
    assert 2 == done.code
    assert done.err.startswith("pipecat-tts-cache: older_than must be")


def test_a_table_on_a_terminal_fits(shop: Shop) -> None:
    """On a terminal a line takes one line, and the digest is cut to what `inspect` takes."""
    done = shop.on_terminal("list", "--sort", "uses")
    assert 0 == done.code
    assert f"{make_key('2').digest[:8]} " in done.out
    assert make_key("2").digest not in done.out
    assert "Hello." in done.out


# inspect


def test_inspect_tells_all_but_the_sound(tmp_path: Path) -> None:
    """The entry, what only the utterance knows, and the words with their times."""
    shop = disk(tmp_path)
    words = (Word("One", 0.0), Word("moment.", 0.05, carries_spaces=True))

    async def fill() -> None:
        async with shop.open() as store:
            utterance = replace(utterance_of(SAID[0]), words=words, watermarked=True, seal="x")
            await store.set(make_key("a", "ns"), utterance, ttl=1000)

    asyncio.run(fill())
    digest = make_key("a").digest
    done = shop("inspect", digest[:10].upper(), "--json")
    (document,) = done.documents
    assert ENTRY | {"num_frames", "seal", "watermarked", "words"} == document.keys()
    assert (digest, "ns", 2400, True) == (
        document["digest"],
        document["namespace"],
        document["num_frames"],
        document["watermarked"],
    )
    assert [word._asdict() for word in words] == document["words"]
    people = shop("inspect", digest[:10]).out
    assert "word 2           0.050 s  moment.\n" in people
    assert "(in 16m)\n" in people or "(in 17m)\n" in people
    assert [0] == [entry.uses for entry in shop.entries()]


def test_inspecting_what_is_not_there(shop: Shop) -> None:
    """That exits with 3."""
    absent = next(f"{i:02x}" for i in range(256) if not starts(f"{i:02x}"))
    done = shop("inspect", absent, "--json")
    assert (3, "") == (done.code, done.out)
    assert f"pipecat-tts-cache: no utterance has a digest that begins with {absent}\n" == done.err
    assert 3 == shop("inspect", make_key("0").digest, "--namespace", "bank").code


def starts(prefix: str) -> bool:
    return any(make_key(str(i)).digest.startswith(prefix) for i in range(len(SAID)))


def test_an_ambiguous_prefix_is_misuse(tmp_path: Path) -> None:
    """Whose utterance it is may have to be told, too."""
    shop = disk(tmp_path)
    shop.fill(Said("Hello.", namespace="a"))
    shop.fill(Said("Hello.", namespace="b"))
    digest = make_key("0").digest
    done = shop("inspect", digest)
    assert (2, "") == (done.code, done.out)
    assert f"{digest} in 'a', {digest} in 'b'" in done.err
    assert 0 == shop("inspect", digest, "--namespace", "b").code


@pytest.mark.parametrize("digest", ["xyz", "", "a" * 65])
def test_what_is_no_digest_is_misuse(shop: Shop, digest: str) -> None:
    """A digest has hexadecimal digits."""
    done = shop("inspect", digest)
    assert 2 == done.code
    assert "hexadecimal" in done.err


# top, near-misses


def test_top_shows_what_is_used_most(shop: Shop) -> None:
    """The most used lines, with the characters that were not synthesized again."""
    done = shop("top", "--json", "--limit", "2")
    assert [("Hello.", 5, 30), ("One moment.", 3, 33)] == [
        (each["text"], each["uses"], each["characters_saved"]) for each in done.documents
    ]
    assert ENTRY | {"characters_saved"} == done.documents[0].keys()
    assert ["5", "30"] == shop("top").rows[0][:2]
    assert ["Good bye."] == [row[-1] for row in shop("top", "--voice", "ben").rows]


def test_what_a_line_without_text_saved_is_not_known(tmp_path: Path) -> None:
    """Uses are counted without the text, characters are not."""
    shop = disk(tmp_path)
    shop.fill(Said(None, uses=2))
    (document,) = shop("top", "--json").documents
    assert (2, None) == (document["uses"], document["characters_saved"])


def test_near_misses_tell_what_they_cost(tmp_path: Path) -> None:
    """Groups of lines, and the sum on stderr for people."""
    shop = disk(tmp_path)
    shop.fill(
        Said("Sure, one moment.", uses=2), Said("Sure! One moment."), Said("Bye."), Said(None)
    )
    (document,) = shop("near-misses", "--json").documents
    keep, other = document["groups"][0]["spellings"]
    assert {"groups", "num_groups", "characters", "unread"} == document.keys()
    assert (1, 17, 1) == (document["num_groups"], document["characters"], document["unread"])
    assert {"text": "Sure, one moment.", "entries": 1, "uses": 2, "characters": 17} == keep
    assert "Sure! One moment." == other["text"]
    done = shop("near-misses")
    assert [["17", "1", "2", "Sure, one moment."], ["", "1", "0", "Sure! One moment."]] == done.rows
    assert "1 group, 17 characters synthesized" in done.err
    assert "1 utterance without text could not be compared" in done.err
    assert "nothing found\n" == shop("near-misses", "--voice", "ben").err
