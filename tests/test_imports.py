#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What people do to a folder of recordings is taken for what it is; nonsense is told of."""

import asyncio
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipecat_tts_cache import MemoryCacheBackend, Utterance, Word
from pipecat_tts_cache.exports.edits import _TEXT_EDITED
from pipecat_tts_cache.exports.store import export_store, import_store
from tests.exported import (
    KEY,
    LATER,
    TEXT,
    content,
    edit,
    exported,
    extra,
    files,
    filled,
    held,
    put,
    record,
    rows,
    said,
    take,
    the_file,
)
from tests.sounds import sine, write_with_libav

__all__ = ["extra"]


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


async def test_the_index_can_pin(tmp_path: Path) -> None:
    """A recording is pinned by a TRUE in the index, which one from before pins does not have."""
    store = await exported(tmp_path)
    await edit(tmp_path, pinned="")
    assert "unchanged" == (await take(tmp_path, store))[0]
    await edit(tmp_path, pinned="TRUE")
    assert ("replaced", "edited: pinned") == await take(tmp_path, store)
    assert (await held(store)).pinned
    await edit(tmp_path, pinned="FALSE")
    assert "refused" == (await take(tmp_path, store, overwrite=True))[0]
    assert (await held(store)).pinned
