#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What people do to a folder of recordings is taken for what it is; nonsense is told of."""

import asyncio
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipecat_tts_cache import MemoryCacheBackend, Utterance, Word
from pipecat_tts_cache.export_edits import _TEXT_EDITED
from pipecat_tts_cache.exports import Imported, export_store, import_store
from pipecat_tts_cache.testing.store_contract import make_key
from tests.exported import (
    NOW,
    TEXT,
    Failing,
    clock,
    content,
    edit,
    edit_json,
    files,
    filled,
    put,
    rows,
    said,
    the_file,
)
from tests.sounds import sine, write_with_libav

KEY = make_key(TEXT, "bot")
LATER = NOW + 1000


async def exported(folder: Path, **changes: Any) -> MemoryCacheBackend:
    """Export a sentence, and return the store that it came from."""
    store = await filled(**changes)
    await export_store(store, folder, wall_clock=clock)
    return store


async def take(folder: Path, store: MemoryCacheBackend, **how: Any) -> tuple[str, str]:
    """Import a folder of one line; return what came of it, and why."""
    done = await import_store(folder, store, wall_clock=lambda: LATER, **how)
    assert 1 == done.lines
    counted = [name for name in vars_of(done) if getattr(done, name)]
    assert 1 == len(counted), done
    return counted[0], done.notes[0].reason if done.notes else ""


def vars_of(done: Imported) -> list[str]:
    return [name for name in done.__dataclass_fields__ if name not in ("lines", "notes")]


async def held(store: MemoryCacheBackend) -> Utterance:
    utterance = await store.peek(KEY)
    assert utterance is not None
    return utterance


async def record(path: Path, seconds: float = 0.5, rate: int = 24000, channels: int = 1) -> None:
    """Put another recording in the place of one."""
    tone = sine(rate, seconds=seconds, hertz=1000)
    await asyncio.to_thread(soundfile.write, path, np.stack([tone] * channels, axis=1), rate)


def pitch(utterance: Utterance) -> float:
    samples = np.frombuffer(utterance.audio, np.int16)[:: utterance.num_channels]
    strengths = np.abs(np.fft.rfft(samples))
    return float(np.argmax(strengths)) / utterance.duration


# What was edited


async def test_what_was_not_edited_only_fills_gaps(tmp_path: Path) -> None:
    """A line nobody touched is new to an empty store, and no matter where there is something."""
    store = await exported(tmp_path)
    assert ("unchanged", "") == await take(tmp_path, store)
    assert ("imported", "") == await take(tmp_path, empty := MemoryCacheBackend())
    assert await content(store) == await content(empty)
    newer = await filled(audio=bytes(9600))
    assert ("unchanged", "") == await take(tmp_path, newer)
    assert ("replaced", "") == await take(tmp_path, newer, overwrite=True)
    assert await content(store) == await content(newer)
    assert ("unchanged", "") == await take(tmp_path, newer, overwrite=True)


async def test_another_sound_replaces_the_recording(tmp_path: Path) -> None:
    """An edited file is taken under the same key, with all that was known of it, once."""
    store = await exported(tmp_path)
    await record(await the_file(tmp_path))
    reason = "its sound was edited: 0.50 s instead of 0.50 s"
    assert ("replaced", reason) == await take(tmp_path, store)
    now = await held(store)
    assert 1000 == pitch(now)
    assert replace(said(key=KEY), audio=now.audio, created_at=LATER) == now
    assert ("unchanged", "") == await take(tmp_path, store)


@pytest.fixture(params=["extra", "plain"])
def extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra `audio`, and without."""
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "av", None)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (44100, 2), (8000, 2)])
@pytest.mark.parametrize("form", ["flac", "wav"])
@pytest.mark.usefixtures("extra")
async def test_it_gets_the_form_of_the_service(
    rate: int, channels: int, form: str, tmp_path: Path
) -> None:
    """Whatever a studio delivers is resampled and mixed, with the extra `audio` or without."""
    for target in (1, 2):
        folder = tmp_path / str(target)
        audio = np.repeat(sine(16000, seconds=0.5), target).tobytes()
        store = await exported(folder, sample_rate=16000, num_channels=target, audio=audio)
        path = await the_file(folder)
        await asyncio.to_thread(path.unlink)
        await record(path.with_suffix(f".{form}"), rate=rate, channels=channels)
        assert "replaced" == (await take(folder, store))[0]
        now = await held(store)
        assert (16000, target) == (now.sample_rate, now.num_channels)
        assert 0.5 == pytest.approx(now.duration, abs=0.005)
        assert 1000 == pytest.approx(pitch(now), abs=4)


@pytest.mark.parametrize("suffix", ["m4a", "mp3", "ogg"])
async def test_any_format_is_taken(suffix: str, tmp_path: Path, monkeypatch: Any) -> None:
    """With the extra any sound file may take the place of a line; without, it says what helps."""
    store = await exported(tmp_path)
    path = await the_file(tmp_path)
    codec = {"m4a": "aac", "mp3": "libmp3lame", "ogg": "libopus"}[suffix]
    await asyncio.to_thread(
        write_with_libav, path.with_suffix(f".{suffix}"), codec, sine(48000, seconds=0.5), 48000
    )
    await asyncio.to_thread(path.unlink)
    assert "replaced" == (await take(tmp_path, store))[0]
    monkeypatch.setitem(sys.modules, "av", None)
    outcome, reason = await take(tmp_path, store)
    assert "skipped" == outcome
    assert "pip install 'pipecat-tts-cache[audio]'" in reason


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.45, [0.0, 0.25]), (0.58, [0.0, 0.25]), (1.0, [0.0, 0.5])]
)
async def test_words_follow_a_recording(
    seconds: float, starts: list[float], tmp_path: Path
) -> None:
    """The words of a recording that is about as long stay, else they are scaled."""
    store = await exported(tmp_path)
    await record(await the_file(tmp_path), seconds)
    reason = (await take(tmp_path, store))[1]
    assert ("times to match" in reason) == (seconds == 1.0)
    assert starts == [word.start for word in (await held(store)).words]


async def test_edited_words_are_taken_as_they_are(tmp_path: Path) -> None:
    """Words that were edited are not scaled, with a new recording or without."""
    store = await exported(tmp_path)
    words = '[["One", 0.0], ["moment.", 0.375]]'
    await edit(tmp_path, words=words)
    assert ("replaced", "edited: words") == await take(tmp_path, store)
    expected = replace(said(key=KEY), words=(Word("One", 0.0), Word("moment.", 0.375)))
    assert replace(expected, created_at=LATER) == await held(store)
    await record(await the_file(tmp_path), 1.0)
    assert ("replaced", "its sound was edited, and its words") == await take(tmp_path, store)
    assert expected.words == (await held(store)).words


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ('[["One", 0.3], ["moment.", 0.1]]', "do not rise"),
        ('[["One", 0.0], ["moment.", 9]]', "after the end"),
        ('[["One", -1]]', "'words' holds something else"),
        ('[["One", 1e999]]', "'words' holds something else"),
        ('[["One", true]]', "'words' holds something else"),
        ('[["One"]]', "'words' holds something else"),
        ('[["One", 0.0, 1]]', "'words' holds something else"),
        (f'[["One", {"9" * 400}]]', "'words' holds something else"),
        ("[[1, 0.0]]", "'words' holds something else"),
        ("One moment.", "'words' is no list"),
        ("[" * 100_000, "'words' is no list"),
        ("", "'words' is no list"),
    ],
)
async def test_impossible_words_are_told(words: str, problem: str, tmp_path: Path) -> None:
    """Words that cannot be are skipped, with the reason, and nothing changes."""
    store = await exported(tmp_path)
    await edit(tmp_path, words=words)
    outcome, reason = await take(tmp_path, store)
    assert "skipped" == outcome
    assert problem in reason
    assert said(key=KEY) == await held(store)


async def test_an_edited_text_is_not_taken(tmp_path: Path) -> None:
    """A recording is kept under what the bot says: another text would never be asked for."""
    store = await exported(tmp_path)
    await record(await the_file(tmp_path))
    await edit(tmp_path, text="Just a moment.")
    assert ("skipped", _TEXT_EDITED) == await take(tmp_path, store)
    assert said(key=KEY) == await held(store)


async def test_white_space_is_no_edit(tmp_path: Path) -> None:
    """What a spreadsheet does to spaces and line ends does not matter."""
    store = await exported(tmp_path)
    await edit(tmp_path, text="One \n moment. ")
    assert ("unchanged", "") == await take(tmp_path, store)
    assert ("imported", "") == await take(tmp_path, empty := MemoryCacheBackend())
    assert said(key=KEY) == await held(empty)


async def test_a_line_without_a_file_stays_in_the_store(tmp_path: Path) -> None:
    """A file that was removed removes nothing from the store, unless told to."""
    store = await exported(tmp_path)
    await asyncio.to_thread((await the_file(tmp_path)).unlink)
    outcome, reason = await take(tmp_path, store)
    assert ("skipped", True) == (outcome, "delete_missing=True" in reason)
    assert "removed" == (await take(tmp_path, store, delete_missing=True, dry_run=True))[0]
    assert await store.exists(KEY)
    assert ("removed", "its file is gone") == await take(tmp_path, store, delete_missing=True)
    assert not await store.exists(KEY)
    assert ("unchanged", "") == await take(tmp_path, store, delete_missing=True)


async def test_a_line_that_was_removed_from_the_index_is_not_taken(tmp_path: Path) -> None:
    """A file that no line is about is told of, and removes nothing either."""
    store = await filled([TEXT, "Hello."])
    await export_store(store, tmp_path)
    data = await asyncio.to_thread((tmp_path / "index.csv").read_bytes)
    await put(tmp_path / "index.csv", b"\r\n".join(data.split(b"\r\n")[:2]))
    done = await import_store(tmp_path, store, delete_missing=True)
    assert (1, 1) == (done.unchanged, done.skipped)
    assert "no line of the index is about it" == done.notes[0].reason
    assert 2 == len(await content(store))


async def test_files_may_be_renamed_and_moved(tmp_path: Path) -> None:
    """A file is found by the digits in its name, wherever it is, or where the index says."""
    store = await exported(tmp_path)
    path = await the_file(tmp_path)
    moved = tmp_path / f"Studio take--{KEY.seal[:12]}.FLAC"
    await asyncio.to_thread(path.rename, moved)
    assert ("unchanged", "") == await take(tmp_path, store)
    assert ("imported", "") == await take(tmp_path, MemoryCacheBackend())
    await asyncio.to_thread(moved.rename, tmp_path / "take 3.flac")
    await edit(tmp_path, file="take 3.flac")
    assert ("imported", "") == await take(tmp_path, MemoryCacheBackend())


async def test_two_files_for_a_line_are_told(tmp_path: Path) -> None:
    """Nobody guesses which of two files is meant."""
    store = await exported(tmp_path)
    path = await the_file(tmp_path)
    await record(path.with_suffix(".wav"))
    outcome, reason = await take(tmp_path, store)
    assert "skipped" == outcome
    assert "there are several files of it" in reason
    assert path.name in reason


async def test_a_file_of_another_line_is_a_sound_like_any(tmp_path: Path) -> None:
    """One line's file in another's place gives it the sound, and nothing else."""
    store = await filled([TEXT, "Hello."])
    await export_store(store, tmp_path)
    one, two = [name for name in await files(tmp_path) if name != "index.csv"]
    await asyncio.to_thread(shutil.copy, tmp_path / one, tmp_path / two)
    done = await import_store(tmp_path, store)
    assert (1, 1) == (done.unchanged, done.replaced)
    first, second = (await content(store)).values()
    assert first is not None
    assert second is not None
    assert first.audio == second.audio
    assert first.text != second.text
    assert first.seal != second.seal


async def test_another_namespace_is_another_place(tmp_path: Path) -> None:
    """A namespace that was edited takes the recording there, sealed for its new place."""
    store = await exported(tmp_path)
    await edit(tmp_path, namespace="other")
    assert "imported" == (await take(tmp_path, store))[0]
    key = KEY._replace(namespace="other")
    now = await store.peek(key)
    assert now is not None
    assert (said().audio, key.seal) == (now.audio, key.seal and now.seal)


async def test_time_goes_on(tmp_path: Path) -> None:
    """What is over stays over, unless there is a new time to live."""
    store = await filled()
    await store.set(KEY, said(key=KEY), ttl=500)
    await export_store(store, tmp_path)
    empty = MemoryCacheBackend()
    outcome, reason = await take(tmp_path, empty)
    assert ("skipped", True) == (outcome, "its time is over" in reason)
    assert "imported" == (await take(tmp_path, empty, ttl=None))[0]
    assert [None] == [entry.expires_at async for entry in empty.entries()]


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """What would come of it is told, and nothing is stored."""
    store = await exported(tmp_path)
    await record(await the_file(tmp_path))
    assert "replaced" == (await take(tmp_path, store, dry_run=True))[0]
    assert "imported" == (await take(tmp_path, empty := MemoryCacheBackend(), dry_run=True))[0]
    assert said(key=KEY) == await held(store)
    assert {} == await content(empty)


async def test_a_spreadsheet_may_have_its_ways(tmp_path: Path) -> None:
    """Semicolons, TRUE, and quotation marks that a person typed are understood."""
    store = await exported(tmp_path, watermarked=True)
    (row,) = await rows(tmp_path)
    cells = {**row, "watermarked": "TRUE", "model": '"sonic'}
    quoted = (f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells.values())
    await put(tmp_path / "index.csv", f"{';'.join(cells)}\r\n{';'.join(quoted)}\r\n".encode())
    assert ("replaced", "edited: model") == await take(tmp_path, store)
    assert '"sonic' == (await held(store)).model


# What is refused


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
