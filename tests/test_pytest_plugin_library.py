#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Recordings as files: what is written comes back, and what is no recording is left alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import CorruptRecordError, Utterance, Word
from pipecat_tts_cache.pytest_plugin.library import Library
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
from tests.sounds import sine

KEY = make_key("x", "booking-bot")
LINE = Utterance(
    audio=sine(24_000).tobytes(),
    sample_rate=24_000,
    words=(Word("One", 0.0), Word("moment.", 0.25), Word("你", 0.1 + 0.2, carries_spaces=True)),
    seal=KEY.seal,
    created_at=1_767_225_600.25,
    expires_at=1_867_225_600.25,
    text="One moment. 你",
    text_digest="ab" * 32,
    service="SomeTTSService",
    voice="anna",
    model="model-2",
    watermarked=True,
)


def page_of(root: Path) -> Path:
    (page,) = root.glob("*.json")
    return page


def edit(root: Path, **fields: Any) -> None:
    page = page_of(root)
    told = json.loads(page.read_text("utf-8"))
    page.write_text(json.dumps({**told, **fields}), encoding="utf-8")


def as_kept(utterance: Utterance) -> Utterance:
    """What is to come back: all but times that would change from run to run."""
    return replace(utterance, created_at=0.0, expires_at=None)


def test_a_recording_comes_back(tmp_path: Path) -> None:
    """To the sample and in every field, without the time at which it was made."""
    assert Library(tmp_path).add(KEY, LINE)
    read = Library(tmp_path).recordings
    assert [KEY] == list(read)
    assert as_kept(LINE) == read[KEY].utterance()


def test_the_files_are_named_after_the_line(tmp_path: Path) -> None:
    """By its text, and digits that stand for its key: the same in any run."""
    Library(tmp_path).add(KEY, LINE)
    Library(tmp_path).add(make_key("y"), replace(LINE, text=None))
    tags = KEY.seal[:12], make_key("y").seal[:12]
    stems = [f"one-moment-你--{tags[0]}", tags[1]]
    assert sorted(f"{stem}{end}" for stem in stems for end in (".flac", ".json")) == sorted(
        path.name for path in tmp_path.iterdir()
    )


def test_the_files_depend_on_nothing_but_the_line(tmp_path: Path) -> None:
    """Made at another time, they are the same to the byte; and the same is not written again."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert Library(first).add(KEY, LINE)
    assert Library(second).add(KEY, replace(LINE, created_at=1.0, expires_at=None))
    contents = [{p.name: p.read_bytes() for p in root.iterdir()} for root in (first, second)]
    assert contents[0] == contents[1]
    assert not Library(first).add(KEY, replace(LINE, created_at=2.0))


def test_another_take_replaces_the_first(tmp_path: Path) -> None:
    """Also where the text, and so the name, is another; no file of the first is left."""
    library = Library(tmp_path)
    library.add(KEY, LINE)
    other = replace(LINE, audio=LINE.audio[:9600], text="Just a moment.", words=())
    assert library.add(KEY, other)
    assert 2 == len(list(tmp_path.iterdir()))
    assert as_kept(other) == Library(tmp_path).recordings[KEY].utterance()


@pytest.mark.parametrize(
    ("sample_rate", "num_channels", "suffix"),
    [
        (8_000, 1, ".flac"),
        (44_100, 2, ".flac"),
        (655_350, 8, ".flac"),
        (700_000, 1, ".wav"),
        (24_000, 9, ".wav"),
    ],
)
def test_every_form_of_sound(
    tmp_path: Path, sample_rate: int, num_channels: int, suffix: str
) -> None:
    """FLAC for every form that it can write, WAV for the others."""
    audio = LINE.audio[: 2 * 720 * num_channels]
    line = replace(LINE, audio=audio, sample_rate=sample_rate, num_channels=num_channels)
    Library(tmp_path).add(KEY, line)
    assert {".json", suffix} == {path.suffix for path in tmp_path.iterdir()}
    assert as_kept(line) == Library(tmp_path).recordings[KEY].utterance()


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_any_namespace(tmp_path: Path, namespace: str) -> None:
    """Whatever characters it holds, it comes back."""
    Library(tmp_path).add(make_key("x", namespace), make_utterance())
    Library(tmp_path).add(make_key("x", "other"), make_utterance())
    assert {make_key("x", namespace), make_key("x", "other")} == set(Library(tmp_path).recordings)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    """Makes a folder for each example."""
    return tmp_path_factory


@given(text=st.text(), word=st.text(), start=st.floats(0, 1e6))
def test_any_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, word: str, start: float
) -> None:
    """Every text comes back, or is refused before anything is written."""
    root = tmp_path_factory.mktemp("library")
    line = replace(LINE, audio=bytes(48), text=text, words=(Word(word, start),))
    Library(root).add(KEY, line)
    assert as_kept(line) == Library(root).recordings[KEY].utterance()
    assert page_of(root).read_bytes().decode("utf-8")


def test_a_text_that_no_file_can_hold(tmp_path: Path) -> None:
    """Two lone surrogates in a row would come back as one letter; nothing is written."""
    with pytest.raises(CorruptRecordError, match="would come back as others"):
        Library(tmp_path).add(KEY, replace(LINE, text="\ud83d" + "\ude00"))
    assert [] == list(tmp_path.iterdir())


# What is no recording


@pytest.mark.parametrize(
    "fields",
    [
        {"num_frames": 0},
        {"num_frames": True},
        {"num_channels": 0},
        {"num_channels": 10**15},
        {"sample_rate": "24000"},
        {"words": [["One", -1.0]]},
        {"words": 7},
        {"words": [[]]},
        {"text": 7},
        {"namespace": None},
        {"pipecat_tts_cache": 2},
    ],
    ids=str,
)
def test_nonsense_is_no_recording(tmp_path: Path, fields: dict[str, Any]) -> None:
    """A page that makes no sense is named, with the reason, and the others are read."""
    Library(tmp_path).add(make_key("y"), LINE)
    other = page_of(tmp_path)
    content = other.read_bytes()
    other.unlink()
    Library(tmp_path).add(KEY, LINE)
    edit(tmp_path, **fields)
    other.write_bytes(content)
    library = Library(tmp_path)
    assert [make_key("y")] == list(library.recordings)
    assert 1 == len(library.damaged)


@pytest.mark.parametrize("length", [0, 1, 60])
def test_a_page_that_was_cut_off_is_named(tmp_path: Path, length: int) -> None:
    """Also one of which so little is left that only its name tells what it was."""
    Library(tmp_path).add(KEY, LINE)
    page = page_of(tmp_path)
    page.write_bytes(page.read_bytes()[:length])
    library = Library(tmp_path)
    assert {} == library.recordings
    assert [page.name] == list(library.damaged)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"7", b'{"text": "Hi."}', b'{"a": "\xff"}', b"[" * 100_000]
)
def test_other_files_are_none_of_ours(tmp_path: Path, content: bytes) -> None:
    """They are not read for recordings, never removed, and mostly not even spoken of."""
    (tmp_path / "settings.json").write_bytes(content)
    (tmp_path / "hello.flac").write_bytes(b"fLaC")
    (tmp_path / "folder.json").mkdir()
    library = Library(tmp_path)
    assert {} == library.recordings
    library.add(KEY, LINE)
    library.remove([KEY, make_key("nothing")])
    assert ["folder.json", "hello.flac", "settings.json"] == sorted(
        path.name for path in tmp_path.iterdir()
    )


def test_a_copy_of_a_recording_is_named(tmp_path: Path) -> None:
    """Of two files of the same line, the first counts."""
    library = Library(tmp_path)
    library.add(KEY, LINE)
    for path in list(tmp_path.iterdir()):
        path.with_stem(f"zz-{path.stem}").write_bytes(path.read_bytes())
    read = Library(tmp_path)
    assert page_of_key(read) == page_of_key(library)
    assert 1 == len(read.damaged)


def page_of_key(library: Library) -> Path:
    return library.recordings[KEY].page


def test_a_recording_may_be_renamed(tmp_path: Path) -> None:
    """What counts is what is in the files, if both have the same name."""
    Library(tmp_path).add(KEY, LINE)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_stem("greeting.2"))
    assert as_kept(LINE) == Library(tmp_path).recordings[KEY].utterance()


def test_sound_of_another_take_is_found_out(tmp_path: Path) -> None:
    """Sound that is longer or shorter than the page says is no recording of it."""
    library = Library(tmp_path)
    library.add(KEY, LINE)
    sound = page_of(tmp_path).with_suffix(".flac")
    before = sound.read_bytes()
    library.add(KEY, replace(LINE, audio=LINE.audio[:9600], words=()))
    sound.write_bytes(before)
    with pytest.raises(CorruptRecordError):
        Library(tmp_path).recordings[KEY].utterance()


def test_there_need_not_be_a_folder(tmp_path: Path) -> None:
    """Nothing is recorded then, and looking makes none."""
    assert {} == Library(tmp_path / "none").recordings
    assert not (tmp_path / "none").exists()
