#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What makes no sense in a folder of recordings is told of, and stops nothing else."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.exports.store import Imported, export_store, import_store
from tests.exported import (
    KEY,
    TEXT,
    Failing,
    edit,
    edit_json,
    exported,
    extra,
    filled,
    held,
    put,
    record,
    said,
    take,
    the_file,
)

__all__ = ["extra"]


@pytest.mark.parametrize(
    "file", ["../x.wav", "a/../../x.wav", "/etc/passwd", "C:\\x.wav", "..\\x.wav", "\\\\host\\x"]
)
async def test_no_path_leads_out_of_the_folder(file: str, tmp_path: Path) -> None:
    """A path out of the folder is refused, even if there is a sound file there."""
    store = await exported(tmp_path / "here")
    await record(tmp_path / "x.wav")
    await edit(tmp_path / "here", file=file)
    assert ("skipped", "the path of its file leads out of the folder") == await take(
        tmp_path / "here", store
    )


@pytest.mark.parametrize(
    "file", ["CON", "nul.wav", "a\0b", "x" * 10_000, "index.csv", ".", "", "\ud800"]
)
async def test_odd_paths_are_just_not_there(file: str, tmp_path: Path) -> None:
    """A path that is no file's does no harm: the line is found by its digits."""
    store = await filled()
    await export_store(store, tmp_path, index="jsonl")
    await edit_json(tmp_path, file=file)
    outcome, _ = await take(tmp_path, store)
    assert outcome in ("unchanged", "skipped")
    assert said(key=KEY) == await held(store)


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link, and a folder that is one, are not read: they may lead anywhere."""
    store = await exported(tmp_path / "here")
    path = await the_file(tmp_path / "here")
    await record(tmp_path / "outside.wav")
    await asyncio.to_thread(path.unlink)
    await asyncio.to_thread(path.symlink_to, tmp_path / "outside.wav")
    outcome, reason = await take(tmp_path / "here", store)
    assert ("skipped", True) == (outcome, "its file is gone" in reason)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"Hello", bytes(1000), b"fLaC" + bytes(99)])
async def test_what_is_no_sound_is_told(data: bytes, tmp_path: Path) -> None:
    """A file that is no sound file is skipped with its name, and the recording stays."""
    store = await exported(tmp_path)
    path = await the_file(tmp_path)
    await put(path, data)
    outcome, reason = await take(tmp_path, store)
    assert "skipped" == outcome
    assert path.name in reason
    assert said(key=KEY) == await held(store)


@pytest.mark.parametrize("form", ["flac", "wav"])
@pytest.mark.parametrize("extra", [True, False])
async def test_half_a_file_is_told(
    form: Any, extra: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    """A file that was cut off is not a recording that was made shorter."""
    if not extra:
        monkeypatch.setitem(sys.modules, "av", None)
    store = await filled()
    await export_store(store, tmp_path, format=form)
    path = await the_file(tmp_path)
    data = await asyncio.to_thread(path.read_bytes)
    await put(path, data[: len(data) // 2])
    assert "skipped" == (await take(tmp_path, store))[0]


async def test_absurdly_large_files_are_told(tmp_path: Path) -> None:
    """A file of gigabytes is not read, nor one that would become one, nor such an index."""
    store = await exported(tmp_path)
    path = await the_file(tmp_path)
    await asyncio.to_thread(os.truncate, path, 1 << 40)
    assert ("skipped", "its file is larger than 256 MiB") == await take(tmp_path, store)
    await asyncio.to_thread(soundfile.write, path, np.zeros(8000 * 601, np.int16), 8000)
    assert "longer than 600 s" in (await take(tmp_path, store))[1]
    await asyncio.to_thread(os.truncate, tmp_path / "index.csv", 1 << 40)
    with pytest.raises(ValueError, match="larger than 256 MiB"):
        await import_store(tmp_path, store)


async def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    """A file of a later version is not taken for an edited one."""
    store = await filled()
    await export_store(store, tmp_path, format="wav")
    path = await the_file(tmp_path)
    data = await asyncio.to_thread(path.read_bytes)
    await put(path, data.replace(b'{"pipecat_tts_cache":1,', b'{"pipecat_tts_cache":9,'))
    outcome, reason = await take(tmp_path, store)
    assert ("skipped", True) == (outcome, "newer version" in reason)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"digest": "../x"}, "'digest' is not 64 hexadecimal digits"),
        ({"digest": None}, "'digest' is missing"),
        ({"digest": "A" * 64}, "'digest' is not 64 hexadecimal digits"),
        ({"namespace": 5}, "'namespace' is missing, or not of the type str"),
        ({"original": "x"}, "'original' was changed"),
        ({"sample_rate": "24000"}, "'sample_rate' is missing, or not of the type int"),
        ({"created_at": float("nan")}, "'created_at' is missing, or no number"),
        ({"created_at": 10**400}, "'created_at' is missing, or no number"),
        ({"watermarked": 1}, "'watermarked' is missing, or not of the type bool"),
        ({"pinned": "no"}, "'pinned' is missing, or not of the type bool"),
        ({"duration": None}, "'duration' is missing, or no number"),
        ({"file": ["x"]}, "'file' is missing, or not of the type str"),
        ({"voice": {}}, "'voice' is missing, or not of the type str"),
    ],
)
async def test_a_line_that_makes_no_sense_is_told(
    values: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    """A value that cannot be is skipped with the name of its column."""
    store = await filled()
    await export_store(store, tmp_path, index="jsonl")
    await edit_json(tmp_path, **values)
    done = await import_store(tmp_path, store)
    assert 0 == done.imported + done.replaced
    assert problem in done.notes[0].reason
    assert (2 if "file" in values else 1) == done.skipped  # then nobody knows whose file it is


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"sample_rate": 10**12}, "sample_rate must be 1000 to 384000 Hz"),
        ({"sample_rate": -1}, "sample_rate must be above 0"),
        ({"num_channels": 10**6}, "num_channels must be 1 or 2"),
        ({"duration": 0}, "'duration' is not above 0"),
    ],
)
async def test_an_impossible_form_is_told(
    values: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    """A recording that was replaced is not made into what no service speaks in."""
    store = await filled()
    await export_store(store, tmp_path, index="jsonl")
    await record(await the_file(tmp_path), 1.0)
    await edit_json(tmp_path, **values)
    outcome, reason = await take(tmp_path, store)
    assert "skipped" == outcome
    assert problem in reason


async def test_lines_that_are_no_lines_are_told(tmp_path: Path) -> None:
    """Every line of an index stands for itself: a broken one stops no other."""
    store = await filled()
    await export_store(store, tmp_path, index="jsonl")
    data = await asyncio.to_thread((tmp_path / "index.jsonl").read_bytes)
    await put(tmp_path / "index.jsonl", b"nonsense\n[1]\n" + b"[" * 99_999 + b"\n\n" + data + data)
    done = await import_store(tmp_path, empty := MemoryCacheBackend())
    assert (1, 4, 5) == (done.imported, done.skipped, done.lines)
    assert [
        "line 1 of the index is no object of JSON",
        "line 2 of the index is no object of JSON",
        "line 3 of the index is no object of JSON",
        "another line of the index is about the same recording",
    ] == [note.reason for note in done.notes]
    assert said(key=KEY) == await held(empty)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "lacks the column"),
        (b"text,file\n", "lacks the column 'digest'"),
        ("text,file,digest,original\nGr\xfc\xdfe".encode("latin-1"), "not in UTF-8"),
        (b'file,digest,original\n"' + b"x" * 200_000, "cannot be read"),
    ],
)
async def test_an_index_that_is_none_is_an_error(data: bytes, problem: str, tmp_path: Path) -> None:
    """A table that cannot be read is an error that says what is wrong with it."""
    await put(tmp_path / "index.csv", data)
    with pytest.raises(ValueError, match=problem):
        await import_store(tmp_path, MemoryCacheBackend())


async def test_a_folder_without_an_index_is_an_error(tmp_path: Path) -> None:
    """A folder that is not there, or was never exported to, is one; two indexes are too many."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=r"neither index\.csv nor index\.jsonl"):
            await import_store(folder, MemoryCacheBackend())
    for kind in ("csv", "jsonl"):
        await put(tmp_path / f"index.{kind}", b"")
    with pytest.raises(ValueError, match="two indexes"):
        await import_store(tmp_path, MemoryCacheBackend())
    with pytest.raises(ValueError, match="two indexes"):
        await export_store(MemoryCacheBackend(), tmp_path)


async def test_a_store_that_fails_is_told(tmp_path: Path) -> None:
    """What a store refuses or fails at is noted without its secrets, and stops no other line."""
    await export_store(await filled([TEXT, "Hello."]), tmp_path)
    done = await import_store(tmp_path, broken := Failing(KEY))
    assert (1, 1) == (done.imported, done.failed)
    assert "the store failed (ConnectionError)" == done.notes[0].reason
    broken.broken.clear()
    done = await import_store(tmp_path, broken)
    assert (1, 1) == (done.imported, done.unchanged)
    done = await import_store(tmp_path, MemoryCacheBackend(max_bytes=100))
    assert (2, "the store did not take it") == (done.refused, done.notes[0].reason)


async def test_hidden_files_are_no_matter(tmp_path: Path) -> None:
    """What systems leave in folders is not told of."""
    store = await exported(tmp_path)
    for name in (".DS_Store", "._one.flac", "Thumbs.db", "notes.txt"):
        await put(tmp_path / name, b"x")
    assert Imported(unchanged=1, lines=1) == await import_store(tmp_path, store)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"ttl": 0}, ValueError, "ttl must be above 0"),
        ({"ttl": "keep"}, TypeError, "ttl must be a number of seconds"),
        ({"concurrency": 0}, ValueError, "concurrency must be above 0"),
        ({"folder": b"x"}, TypeError, "folder must be a string or a path"),
    ],
)
async def test_nonsense_is_refused(
    how: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    """Arguments that make no sense are refused with words that say what does."""
    with pytest.raises(error, match=words):
        await import_store(**({"folder": tmp_path, "store": MemoryCacheBackend()} | how))
