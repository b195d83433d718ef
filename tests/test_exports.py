#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store becomes a folder of files that people listen to, and comes back as it was."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import soundfile

from pipecat_tts_cache import BackendError, CacheKey, MemoryCacheBackend, Selection, Word
from pipecat_tts_cache.exports.store import Exported, Imported, Note, export_store, import_store
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
from tests.exported import NOW, TEXT, Failing, clock, content, edit, files, filled, put, rows, said

FILE = "bot/anna/one-moment--{}.flac".format(make_key(TEXT, "bot").seal[:12])
ODD_TEXTS = [
    "",
    " ",
    "=1+1",
    "+1 800",
    "-5",
    "@SUM(A1)",
    "'quoted",
    '"quoted"',
    '"half',
    "007",
    "1-2",
    "3.5",
    "MAR1",
    "TRUE",
    "a,b;c\td",
    "two\nlines\r\n",
    "a\0b",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    ".hidden",
    "con",
    "NUL",
    "\ud800",
    "客户\uff0c请稍等\u3000。",
    "Grüße, naïve café",
    "\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "\N{PARROT}",
    "x" * 10_000,
    "ﷺ" * 1000,
    "%s {} $HOME `id`",
]


async def test_there_is_a_file_for_a_line(tmp_path: Path) -> None:
    """A line is a playable file with a name to read, and a line of the index says all about it."""
    done = await export_store(await filled(), tmp_path)
    assert Exported(written=1) == done
    assert [FILE, "index.csv"] == await files(tmp_path)
    audio, rate = await asyncio.to_thread(soundfile.read, tmp_path / FILE, dtype="int16")
    assert (said().audio, 24000) == (audio.tobytes(), rate)
    (row,) = await rows(tmp_path)
    assert {
        "text": TEXT,
        "file": FILE,
        "duration": "0.5",
        "voice": "anna",
        "model": '"sonic-2"',
        "service": "CartesiaTTSService",
        "words": '[["One", 0.0], ["moment.", 0.25]]',
        "namespace": "bot",
    }.items() <= row.items()


@pytest.mark.parametrize("index", ["csv", "jsonl"])
@pytest.mark.parametrize("form", ["flac", "wav"])
async def test_a_store_comes_back_as_it_was(
    index: Literal["csv", "jsonl"], form: Literal["flac", "wav"], tmp_path: Path
) -> None:
    """Every sample, word and field comes back, for any text, voice and namespace."""
    store = MemoryCacheBackend(wall_clock=clock)
    for number, namespace in enumerate(NAMESPACES):
        key = make_key(str(number), namespace)
        await store.set(key, said(f"Line {number}.", key, voice=namespace or None))
    for text in ODD_TEXTS:
        key = make_key(repr(text))
        words = (Word(text[:100], 0.0), Word("你", 0.1 + 0.2, carries_spaces=True))
        await store.set(key, said(text, key, words=words, voice=None, model=text[:100]))
    key = make_key("stereo")
    noise = replace(make_utterance(num_bytes=4000), seal=key.seal, num_channels=2, watermarked=True)
    await store.set(key, noise, ttl=6000)
    await store.set(make_key("pinned"), said("Hi.", make_key("pinned"), pinned=True))
    before = await content(store)
    done = await export_store(store, tmp_path, format=form, index=index, wall_clock=clock)
    assert Exported(written=len(before)) == done
    again = MemoryCacheBackend(wall_clock=clock)
    taken = await import_store(tmp_path, again, wall_clock=clock)
    assert Imported(imported=len(before), lines=len(before)) == taken
    assert before == await content(again)
    left = {entry.key: entry.expires_at async for entry in again.entries()}
    assert [key] == [each for each, at in left.items() if at is not None]
    assert left[key] == pytest.approx(NOW + 6000, abs=600)


async def test_names_are_safe_everywhere(tmp_path: Path) -> None:
    """Names hold letters, digits and hyphens, are short, in lower case, no devices, and differ."""
    store = MemoryCacheBackend(wall_clock=clock)
    for text in ODD_TEXTS:
        for voice in ("Con", "con", "CON", "../..", "a" * 500, "\0", "客户", None):
            key = make_key(f"{text!r}{voice}", f"{voice}")
            await store.set(key, said(text, key, voice=voice))
    await export_store(store, tmp_path / "here")
    assert ["here"] == [each.name for each in await asyncio.to_thread(_listed, tmp_path)]
    names = [name for name in await files(tmp_path / "here") if not name.startswith("index.")]
    assert len(ODD_TEXTS) * 8 == len({name.casefold() for name in names})
    for name in names:
        assert len(name.encode()) < 360
        for part in name.split("/"):
            stem = part.removesuffix(".flac").removesuffix(".wav")
            assert stem == stem.lower() == stem.strip("-") != ""
            assert stem not in ("con", "nul")
            assert all(each == "-" or each.isalnum() for each in stem), stem
            assert len(part.encode()) <= 143


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_names_stay(tmp_path: Path) -> None:
    """A line has the same name in every export, whatever else is in the store."""
    await export_store(await filled(), tmp_path / "a")
    await export_store(await filled([TEXT, "One moment!", "one MOMENT"]), tmp_path / "b")
    assert FILE in await files(tmp_path / "a")
    assert FILE in await files(tmp_path / "b")
    assert 4 == len(await files(tmp_path / "b"))


async def test_keys_that_begin_alike_do_not_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the digits of two keys are the same in the name, the second gets all of them."""
    monkeypatch.setattr("pipecat_tts_cache.exports.names._TAG", 1)
    monkeypatch.setattr("pipecat_tts_cache.exports.names.tag_of", lambda key: "a" * 12)
    store = MemoryCacheBackend(wall_clock=clock)
    for number in range(3):
        key = make_key(str(number), "bot")
        await store.set(key, said(TEXT, key, words=(Word(str(number), 0.0),)))
    assert Exported(written=3) == await export_store(store, tmp_path)
    assert Exported(skipped=3) == await export_store(store, tmp_path)
    assert 4 == len(await files(tmp_path))


async def test_a_text_that_was_not_kept_is_not_told(tmp_path: Path) -> None:
    """A line without its text has a name of digits, and comes back without it."""
    store = await filled([None], words=())
    await export_store(store, tmp_path)
    tag = make_key("", "bot").seal[:12]
    assert [f"bot/anna/{tag}.flac", "index.csv"] == await files(tmp_path)
    again = MemoryCacheBackend()
    await import_store(tmp_path, again)
    assert await content(store) == await content(again)


async def test_a_selection_is_exported(tmp_path: Path) -> None:
    """What is asked for is exported, and the next selection adds to it."""
    store = await filled([TEXT, "Hello."])
    assert Exported(written=1) == await export_store(
        store, tmp_path, selection=Selection(text="Hello.")
    )
    assert ["Hello."] == [row["text"] for row in await rows(tmp_path)]
    assert Exported(written=1, skipped=1) == await export_store(store, tmp_path)
    assert ["Hello.", TEXT] == [row["text"] for row in await rows(tmp_path)]


async def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """A second export touches neither files nor lines that are there, unless told to."""
    store = await filled()
    await export_store(store, tmp_path)
    await put(tmp_path / FILE, b"edited")
    assert Exported(skipped=1) == await export_store(store, tmp_path)
    assert b"edited" == await asyncio.to_thread((tmp_path / FILE).read_bytes)
    assert Exported(written=1) == await export_store(store, tmp_path, overwrite=True)
    assert Imported(unchanged=1, lines=1) == await import_store(tmp_path, store)
    assert 1 == len(await rows(tmp_path))


async def test_a_line_of_another_format_is_there_too(tmp_path: Path) -> None:
    """A FLAC file, or somebody's MP3 in its place, is not joined by a WAV file, but replaced."""
    store = await filled()
    await export_store(store, tmp_path)
    assert Exported(skipped=1) == await export_store(store, tmp_path, format="wav")
    await asyncio.to_thread((tmp_path / FILE).rename, (tmp_path / FILE).with_suffix(".mp3"))
    assert Exported(skipped=1) == await export_store(store, tmp_path)
    await export_store(store, tmp_path, format="wav", overwrite=True)
    assert [FILE.replace("flac", "wav"), "index.csv"] == await files(tmp_path)


async def test_an_export_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    """A store that fails on the way leaves a folder that holds what came before, and its index."""
    whole = await filled([f"Line {number}." for number in range(20)])
    store = Failing()
    for key, utterance in (await content(whole)).items():
        assert utterance is not None
        await store.set(key, utterance)
    store.listed = 10
    with pytest.raises(ConnectionError):
        await export_store(store, tmp_path, concurrency=4)
    assert 8 == len(await rows(tmp_path))
    assert 9 == len(await files(tmp_path))
    store.listed = None
    assert Exported(written=12, skipped=8) == await export_store(store, tmp_path)
    again = MemoryCacheBackend()
    await import_store(tmp_path, again)
    assert await content(whole) == await content(again)


async def test_files_without_an_index_are_taken_up(tmp_path: Path) -> None:
    """After a crash, files that no index knows yet are not read from the store again."""
    store = await filled([TEXT, "Hello."])
    await export_store(store, tmp_path)
    expected = await rows(tmp_path)
    await asyncio.to_thread((tmp_path / "index.csv").unlink)
    assert Exported(skipped=2) == await export_store(store, tmp_path)
    assert expected == await rows(tmp_path)


async def test_a_damaged_index_is_not_written_over(tmp_path: Path) -> None:
    """An index that cannot be read is for its owner to mend."""
    store = await filled()
    await export_store(store, tmp_path, index="jsonl")
    await put(tmp_path / "index.jsonl", b"{")
    with pytest.raises(ValueError, match="line 1 of the index"):
        await export_store(store, tmp_path)
    assert b"{" == await asyncio.to_thread((tmp_path / "index.jsonl").read_bytes)


async def test_a_file_that_the_index_names_is_there(tmp_path: Path) -> None:
    """A file that was renamed, in the index, too, is not exported anew."""
    store = await filled()
    await export_store(store, tmp_path)
    await asyncio.to_thread((tmp_path / FILE).rename, tmp_path / "take 3.flac")
    await edit(tmp_path, file="take 3.flac")
    assert Exported(skipped=1) == await export_store(store, tmp_path)
    await edit(tmp_path, file="../take 3.flac")
    assert Exported(written=1) == await export_store(store, tmp_path)


async def test_a_row_whose_file_was_emptied_is_no_obstacle(tmp_path: Path) -> None:
    """The recording is found by its name, or written anew, and the index names it again."""
    store = await filled()
    await export_store(store, tmp_path)
    expected = await rows(tmp_path)
    await edit(tmp_path, file="")
    done = await export_store(store, tmp_path)
    assert 1 == done.written + done.skipped
    await asyncio.to_thread((tmp_path / FILE).unlink)
    await edit(tmp_path, file="")
    assert Exported(written=1) == await export_store(store, tmp_path)
    assert expected == await rows(tmp_path)


async def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    """Somebody else's file of the same name stays."""
    await asyncio.to_thread((tmp_path / FILE).parent.mkdir, parents=True)
    await put(tmp_path / FILE, b"mine")
    store = await filled()
    assert Exported(written=1) == await export_store(store, tmp_path)
    assert b"mine" == await asyncio.to_thread((tmp_path / FILE).read_bytes)
    assert Exported(skipped=1) == await export_store(store, tmp_path)


async def test_what_fails_is_counted_and_noted(tmp_path: Path) -> None:
    """One utterance that cannot be read, or is gone, or in the wrong place, stops no other."""
    broken, gone, moved = (make_key(name, "bot") for name in ("Broken.", "Gone.", "Moved."))

    class Store(Failing):
        async def peek(self, key: CacheKey) -> Any:
            return None if key == gone else await super().peek(key)

    store = Store()
    for key, text in ((broken, "Broken."), (gone, "Gone."), (make_key(TEXT, "bot"), TEXT)):
        await store.set(key, said(text, key))
    await store.set(moved, said("Moved.", gone))
    store.broken = {broken}
    done = await export_store(store, tmp_path)
    assert (1, 0, 1, 2) == (done.written, done.skipped, done.gone, done.failed)
    reasons = {note.file.split("--")[0]: note.reason for note in done.notes}
    assert {
        "broken": "the store failed (ConnectionError)",
        "bot/anna/moved": "the store holds it under another key than it was made for",
    } == reasons


async def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    """A link where a folder should be is no place to write to."""
    for name in ("elsewhere", "here"):
        await asyncio.to_thread((tmp_path / name).mkdir)
    await asyncio.to_thread((tmp_path / "here" / "bot").symlink_to, tmp_path / "elsewhere")
    done = await export_store(await filled(), tmp_path / "here")
    assert 1 == done.failed
    assert "link" in done.notes[0].reason
    assert [] == await files(tmp_path / "elsewhere")


async def test_a_disk_that_takes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be written is a failure with its reason, and leaves nothing behind."""

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    done = await export_store(await filled(), tmp_path)
    file = FILE.removesuffix(".flac")
    assert (Note(file, "failed", "it cannot be written: No space left on device"),) == done.notes
    assert ["index.csv"] == await files(tmp_path)


async def test_progress_is_told(tmp_path: Path) -> None:
    """After each line, what came of all so far is told, on the way out and back."""
    store = await filled([f"Line {number}." for number in range(5)])
    out: list[Exported] = []
    await export_store(store, tmp_path, concurrency=2, progress=out.append)
    assert [1, 2, 3, 4, 5] == [each.written for each in out]
    back: list[Imported] = []
    await import_store(tmp_path, MemoryCacheBackend(), concurrency=2, progress=back.append)
    assert [(n, 5) for n in (1, 2, 3, 4, 5)] == [(each.imported, each.lines) for each in back]


async def test_what_is_cancelled_leaves_an_index(tmp_path: Path) -> None:
    """An export that is stopped keeps what it has written."""
    store = await filled([f"Line {number}." for number in range(5)])

    def stop(done: Exported) -> None:
        if done.written == 2:
            raise KeyError

    with pytest.raises(KeyError):
        await export_store(store, tmp_path, concurrency=1, progress=stop)
    assert 2 == len(await rows(tmp_path))


async def test_columns_of_ones_own_stay(tmp_path: Path) -> None:
    """A column that people have added is kept by the next export, and no matter to an import."""
    store = await filled()
    await export_store(store, tmp_path)
    lines = (await asyncio.to_thread((tmp_path / "index.csv").read_text, "utf-8-sig")).splitlines()
    await put(tmp_path / "index.csv", f"{lines[0]},remark\n{lines[1]},too slow\n".encode())
    await store.set(make_key("Hello.", "bot"), said("Hello.", make_key("Hello.", "bot")))
    await export_store(store, tmp_path)
    assert ["too slow", ""] == [row["remark"] for row in await rows(tmp_path)]
    assert Imported(unchanged=2, lines=2) == await import_store(tmp_path, store)


async def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    """A text that a spreadsheet would run, or make a number or a date of, is in quotation marks."""
    texts = [text for text in ODD_TEXTS if text.isascii()]
    store = MemoryCacheBackend(wall_clock=clock)
    for text in texts:
        key = make_key(text)
        await store.set(key, said(text, key, voice=text, words=()))
    await export_store(store, tmp_path)
    for row in await rows(tmp_path):
        assert [] == [cell for cell in row.values() if cell[:1] in tuple("=+-@\t\r'")]
        assert row["text"] not in ("007", "1-2", "3.5", "MAR1", "TRUE")


async def test_jsonl_is_a_line_of_json_for_each(tmp_path: Path) -> None:
    """The other index is for programs, and readable, too."""
    await export_store(await filled(["Grüße, 客户.\u2028"]), tmp_path, index="jsonl")
    (line,) = (await asyncio.to_thread((tmp_path / "index.jsonl").read_text, "utf-8")).splitlines()
    assert "Grüße, 客户.\\u2028" in line
    assert [["One", 0.0], ["moment.", 0.25]] == json.loads(line)["words"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"format": "mp3"}, ValueError, "format must be 'flac' or 'wav', not 'mp3'"),
        ({"index": "xls"}, ValueError, "index must be 'csv' or 'jsonl', not 'xls'"),
        ({"concurrency": 0}, ValueError, "concurrency must be above 0"),
        ({"folder": None}, TypeError, "folder must be a string or a path, not NoneType"),
    ],
)
async def test_nonsense_is_refused(
    arguments: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    """Arguments that make no sense are refused before anything is written."""
    with pytest.raises(error, match=words):
        await export_store(await filled(), **({"folder": tmp_path / "new"} | arguments))
    assert [] == await files(tmp_path)


async def test_a_store_that_lists_nothing_says_so(tmp_path: Path) -> None:
    """A store that does not list what it keeps cannot be exported."""

    class Unlisted(MemoryCacheBackend):
        def entries(self, namespace: str | None = None) -> Any:
            return super(MemoryCacheBackend, self).entries(namespace)

    with pytest.raises(BackendError, match="does not list"):
        await export_store(Unlisted(), tmp_path)
