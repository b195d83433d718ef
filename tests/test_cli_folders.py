#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A folder of sound files with the command line: `export` and `import`."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache import BackendUnavailableError, CacheKey, Entry, MemoryCacheBackend
from tests.command_line import Said, Shop, disk
from tests.exported import edit, record, rows

SAID = [Said("One moment."), Said("Good bye.", voice="ben", ttl=1000), Said("Hello.")]
ALL = ["Good bye.", "Hello.", "One moment."]
NOTHING: dict[str, Any] = {"skipped": 0, "failed": 0, "notes": []}
EXPORTED = {"written": 0, "gone": 0} | NOTHING
IMPORTED = {"imported": 0, "replaced": 0, "unchanged": 0, "removed": 0, "refused": 0} | NOTHING


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A store with three lines."""
    made = disk(tmp_path / "store")
    made.fill(*SAID)
    return made


@pytest.fixture
def folder(shop: Shop, tmp_path: Path) -> Path:
    """The folder that this store was exported to."""
    made = tmp_path / "recordings"
    assert 0 == shop("export", str(made)).code
    return made


@pytest.fixture
def other(tmp_path: Path) -> Shop:
    """A store that is not there."""
    return disk(tmp_path / "other")


def sound(folder: Path, name: str) -> Path:
    """Find the sound file of a line."""
    (found,) = folder.rglob(f"{name}--*")
    return found


def imported(**counts: int) -> dict[str, Any]:
    """What an import prints."""
    return IMPORTED | {"lines": 3, "dry_run": False} | counts


# export


def test_a_store_is_exported_and_the_export_goes_on(shop: Shop, tmp_path: Path) -> None:
    """The folder is made, what is there is left alone, and written anew only when asked to."""
    folder = tmp_path / "new" / "recordings"
    done = shop("export", str(folder), "--json")
    assert (0, "") == (done.code, done.err)
    assert [EXPORTED | {"written": 3}] == done.documents
    assert ALL == sorted(row["text"] for row in asyncio.run(rows(folder)))
    record_path = sound(folder, "hello")
    before = record_path.read_bytes()
    asyncio.run(record(record_path))
    assert [EXPORTED | {"skipped": 3}] == shop("export", str(folder), "--json").documents
    assert before != record_path.read_bytes()
    done = shop("export", str(folder), "--overwrite", "--json")
    assert [EXPORTED | {"written": 3}] == done.documents
    assert before == sound(folder, "hello").read_bytes()


def test_what_is_exported_and_how(shop: Shop, tmp_path: Path) -> None:
    """The filters are those of a list, and formats those of the library."""
    options = ["--voice", "anna", "--index", "jsonl", "--concurrency", "1"]
    done = shop("export", str(tmp_path / "r"), *options)
    assert (0, "") == (done.code, done.err)
    assert ["written", "2"] == done.out.splitlines()[0].split()
    assert "notes" not in done.out
    lines = (tmp_path / "r" / "index.jsonl").read_text("utf-8").splitlines()
    assert ["Hello.", "One moment."] == sorted(json.loads(line)["text"] for line in lines)


def test_the_format_is_chosen(shop: Shop, folder: Path, tmp_path: Path) -> None:
    """FLAC, unless it is WAV. A tone is what FLAC makes smaller; noise is written as WAV."""
    asyncio.run(record(sound(folder, "hello")))
    assert 0 == shop("import", str(folder)).code
    for form in ("flac", "wav"):
        assert 0 == shop("export", str(tmp_path / form), "--format", form).code
        assert f".{form}" == sound(tmp_path / form, "hello").suffix


def test_what_could_not_be_exported_is_told(shop: Shop, tmp_path: Path) -> None:
    """Each is named with the reason, and a script sees it by the exit code."""
    shop.fill(Said("x" * 140_000, namespace="long"))
    done = shop("export", str(tmp_path / "r"))
    assert 1 == done.code
    reason, summary = done.err.splitlines()
    assert reason.startswith("long/anna/xxx")
    assert reason.endswith("its text or words are too long for a table: use --index jsonl")
    assert "pipecat-tts-cache: 1 utterance could not be exported" == summary
    (again,) = shop("export", str(tmp_path / "r"), "--json").documents
    assert (1, 3) == (again["failed"], again["skipped"])
    assert ["failed"] == [each["outcome"] for each in again["notes"]]


def test_a_bar_on_a_terminal(shop: Shop, other: Shop, tmp_path: Path) -> None:
    """Whoever watches sees how far it is, in both directions."""
    folder = str(tmp_path / "r")
    done = shop.on_terminal("export", folder)
    assert (0, True) == (done.code, "3/3" in done.out)
    done = other.on_terminal("import", folder)
    assert (0, True) == (done.code, "3/3" in done.out)
    assert ALL == other.texts()


# import


def test_what_was_exported_is_imported_into_another_store(folder: Path, other: Shop) -> None:
    """That store is made, and what is left of a line's time goes along."""
    done = other("import", str(folder), "--json")
    assert (0, "") == (done.code, done.err)
    assert [imported(imported=3)] == done.documents
    assert ALL == other.texts()
    assert [True, False, False] == [entry.expires_at is not None for entry in other.entries()]
    done = other("import", str(folder))
    assert (0, "") == (done.code, done.err)
    assert ["unchanged", "3"] == done.out.splitlines()[2].split()


def test_an_edit_is_taken(shop: Shop, folder: Path) -> None:
    """Another sound takes the place of the one in the store, and JSON says so."""
    asyncio.run(record(sound(folder, "hello"), seconds=1.5))
    (done,) = shop("import", str(folder), "--json").documents
    assert (1, 2) == (done["replaced"], done["unchanged"])
    (note,) = done["notes"]
    assert {"file", "outcome", "reason"} == note.keys()
    assert "replaced" == note["outcome"]
    assert 1.5 == next(each.duration for each in shop.entries() if each.text == "Hello.")


def test_what_was_not_edited_replaces_when_asked_to(shop: Shop, folder: Path) -> None:
    """So that a folder can bring a store back to what it was."""
    shop.fill(Said("One moment.", voice="ben"))
    assert 0 == shop("import", str(folder), "--concurrency", "2").code
    assert "ben" == shop.entries()[-1].voice
    assert 0 == shop("import", str(folder), "--overwrite").code
    assert "anna" == shop.entries()[-1].voice


def test_edits_that_were_not_taken_are_told(shop: Shop, folder: Path) -> None:
    """A line for each on stderr, or a list in JSON; the others are taken all the same."""
    number = [row["text"] for row in asyncio.run(rows(folder))].index("Hello.")
    asyncio.run(edit(folder, number, text="Hello \x1b[31mthere."))
    sound(folder, "one-moment").unlink()
    shutil.copy(sound(folder, "good-bye"), folder / "stray.wav")
    done = shop("import", str(folder))
    assert 1 == done.code
    *reasons, summary = done.err.splitlines()
    assert "pipecat-tts-cache: did not take 3 recordings" == summary
    assert 3 == len(reasons)
    assert "\x1b" not in done.err + done.out
    assert any("hello--" in each and ": its text was edited" in each for each in reasons)
    assert any(
        each.endswith("its file is gone: --delete-missing removes it from the store, too")
        for each in reasons
    )
    assert "stray.wav: no line of the index is about it" == reasons[-1]
    as_json = shop("import", str(folder), "--json")
    notes = as_json.documents[0]["notes"]
    assert reasons == [f"{each['file']}: {each['reason']}" for each in notes]
    assert ["skipped"] * 3 == [each["outcome"] for each in notes]
    assert "pipecat-tts-cache: did not take 3 recordings\n" == as_json.err
    assert ALL == shop.texts()


def test_a_dry_run_changes_nothing(shop: Shop, folder: Path, other: Shop, tmp_path: Path) -> None:
    """It tells what would come of it, asks nobody, and makes no store."""
    sound(folder, "hello").unlink()
    options = ["--dry-run", "--delete-missing", "--yes"]
    (would,) = shop("import", str(folder), *options, "--json").documents
    assert (1, 2, True) == (would["removed"], would["unchanged"], would["dry_run"])
    done = shop("import", str(folder), "--dry-run")
    assert 1 == done.code
    assert "nothing was changed; this would come of it:\n" in done.err
    assert done.err.endswith("pipecat-tts-cache: would not take 1 recording\n")
    assert ALL == shop.texts()
    assert 1 == other("import", str(folder), "--dry-run").code
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("ttl", "expected"), [("never", [None, None, None]), ("12h", [43_200.0] * 3)]
)
def test_a_time_to_live_of_its_own(
    folder: Path, other: Shop, ttl: str, expected: list[float | None]
) -> None:
    """It holds for all that is imported."""
    assert 0 == other("import", str(folder), "--ttl", ttl).code
    ends = [entry.expires_at for entry in other.entries()]
    left = [None if end is None else pytest.approx(end - time.time(), abs=600) for end in ends]
    assert expected == left


# import --delete-missing


def test_nothing_is_removed_unasked(shop: Shop, folder: Path) -> None:
    """Where nobody can be asked it is refused unless there is --yes."""
    sound(folder, "hello").unlink()
    done = shop("import", str(folder), "--delete-missing", stdin="y\n")
    assert (2, "") == (done.code, done.out)
    assert "pass --yes" in done.err
    assert ALL == shop.texts()
    (done,) = shop("import", str(folder), "--delete-missing", "--yes", "--json").documents
    assert (1, 2) == (done["removed"], done["unchanged"])
    assert ["Good bye.", "One moment."] == shop.texts()


def test_whoever_is_asked_is_told_how_much_goes(shop: Shop, folder: Path) -> None:
    """Any answer but yes leaves store and edits as they are."""
    sound(folder, "hello").unlink()
    asyncio.run(record(sound(folder, "one-moment"), seconds=1.5))
    done = shop.on_terminal("import", str(folder), "--delete-missing", typed="n\n")
    assert 1 == done.code
    assert "Remove 1 utterance whose file is gone? [y/N] " in done.out
    assert "nothing was removed" in done.out
    assert [0.1] * 3 == [pytest.approx(entry.duration) for entry in shop.entries()]
    done = shop.on_terminal("import", str(folder), "--delete-missing", typed="y\n")
    assert 0 == done.code
    assert ["Good bye.", "One moment."] == shop.texts()
    assert 1.5 == shop.entries()[-1].duration


def test_nobody_is_asked_when_nothing_goes(shop: Shop, folder: Path) -> None:
    """A question that means nothing teaches people to say yes."""
    done = shop.on_terminal("import", str(folder), "--delete-missing")
    assert (0, False) == (done.code, "[y/N]" in done.out)


class Down(MemoryCacheBackend):
    """Fails at whatever it is asked."""

    error: BaseException = BackendUnavailableError("the store is down")

    async def exists(self, key: CacheKey) -> bool:
        raise self.error

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        raise self.error
        yield


@pytest.fixture
def down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Down:
    """A store that fails, which commands get whatever they ask for, once all is there."""
    assert folder.is_dir()
    made = Down()

    def open_backend(_: str) -> Down:
        return made

    monkeypatch.setattr("pipecat_tts_cache.backends.urls.open_backend", open_backend)
    return made


@pytest.mark.usefixtures("down")
def test_what_cannot_be_counted_is_not_removed(
    shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody agreed to a removal whose size a failing store did not tell."""
    monkeypatch.setattr("pipecat_tts_cache.cli.folders.check_somebody_is_there", lambda: None)
    done = shop("import", str(folder), "--delete-missing", url="memory://")
    expected = "pipecat-tts-cache: the store failed at 3 lines: nothing was changed\n"
    assert (1, "", expected) == done


# What goes wrong


@pytest.mark.usefixtures("down")
def test_a_store_that_is_down(shop: Shop, folder: Path) -> None:
    """An export fails in one line; an import tells of every recording."""
    done = shop("export", str(folder))
    assert (1, "", "pipecat-tts-cache: the store is down\n") == done
    done = shop("import", str(folder))
    assert 1 == done.code
    *reasons, summary = done.err.splitlines()
    expected = ["the store failed (BackendUnavailableError)"] * 3
    assert expected == [each.partition(": ")[2] for each in reasons]
    assert "pipecat-tts-cache: did not take 3 recordings" == summary


def test_an_interrupt_says_how_to_go_on(shop: Shop, folder: Path, down: Down) -> None:
    """What was written by then stays."""
    down.error = KeyboardInterrupt()
    done = shop("export", str(folder))
    assert (130, "", "interrupted; start it again to go on\n") == done


@pytest.mark.parametrize("error", [UnicodeError("hunter2"), RuntimeError("hunter2")])
def test_words_nobody_foresaw_are_not_shown(
    shop: Shop, folder: Path, down: Down, error: Exception
) -> None:
    """They may hold a secret."""
    down.error = error
    expected = f"pipecat-tts-cache: this failed: {type(error).__name__}\n"
    assert (1, "", expected) == shop("export", str(folder))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "holds neither index.csv nor index.jsonl: it was not exported"),
        (["index.csv", "index.jsonl"], "holds two indexes: remove index.csv or index.jsonl"),
        (["index.csv"], "index.csv lacks the column"),
    ],
)
def test_a_folder_that_was_not_exported(
    other: Shop, tmp_path: Path, files: list[str], expected: str
) -> None:
    """One line says what is wrong with it, and no store is made."""
    (tmp_path / "r").mkdir()
    for name in files:
        (tmp_path / "r" / name).write_text("a,b\n1,2\n")
    done = other("import", str(tmp_path / "r"))
    assert (1, "") == (done.code, done.out)
    (line,) = done.err.splitlines()
    assert line.startswith("pipecat-tts-cache: ")
    assert expected in line
    assert not (tmp_path / "other").exists()


def test_an_index_that_is_damaged_is_not_written_over(shop: Shop, tmp_path: Path) -> None:
    """Whatever it is, it is left as it was."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "index.jsonl").write_text("{")
    expected = "pipecat-tts-cache: line 1 of the index is no object of JSON\n"
    assert (1, "", expected) == shop("export", str(tmp_path / "r"))
    assert "{" == (tmp_path / "r" / "index.jsonl").read_text()


def test_a_folder_that_is_none(shop: Shop, other: Shop, tmp_path: Path) -> None:
    """A name that is mistyped makes no store, and a file is no folder."""
    missing = tmp_path / "typo"
    expected = f"pipecat-tts-cache: there is no folder {missing}\n"
    assert (1, "", expected) == other("import", str(missing))
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").touch()
    expected = f"pipecat-tts-cache: {tmp_path}/file: File exists\n"
    assert (1, "", expected) == shop("export", str(tmp_path / "file"))


def test_a_store_that_is_not_there_is_not_exported(other: Shop, tmp_path: Path) -> None:
    """Neither it nor the folder is made."""
    done = other("export", str(tmp_path / "r"))
    assert (1, "", f"pipecat-tts-cache: there is no store in {tmp_path}/other\n") == done
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["export", ""], "give the name of a folder"),
        (["import", ""], "give the name of a folder"),
        (["export", "r", "--format", "mp3"], "mp3"),
        (["export", "r", "--unused-for", "soon"], "no age"),
        (["import", "r", "--ttl", "soon"], "--ttl: 'soon' is no age such as 45s"),
        (["import", "r", "--ttl", "90"], "--ttl: '90' is no age such as 45s"),
        (["export", "r", "--unused-for", "90"], "'90' is no age such as 45s"),
        (["import", "r", "--ttl", "9999w"], "--ttl: ttl must"),
    ],
)
def test_misuse(shop: Shop, command: list[str], expected: str) -> None:
    """An empty name is most likely a variable that is not set."""
    done = shop(*command)
    assert (2, "") == (done.code, done.out)
    assert expected in done.err
