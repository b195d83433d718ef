#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A store to export, and the means to edit what came of it as people do."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipecat_tts_cache import CacheBackend, CacheKey, MemoryCacheBackend, Utterance, Word
from pipecat_tts_cache.exports.store import Imported, export_store, import_store
from pipecat_tts_cache.key import digest_text
from pipecat_tts_cache.testing.store_contract import make_key
from tests.sounds import sine

NOW = 1_800_000_000.0
WORDS = (Word("One", 0.0), Word("moment.", 0.25))
TEXT = "One moment."


def clock() -> float:
    return NOW


def said(text: str | None = TEXT, key: CacheKey | None = None, **changes: Any) -> Utterance:
    """Make an utterance of half a second that was recorded for a key."""
    usual: dict[str, Any] = {
        "audio": sine(24000, seconds=0.5, hertz=300 + 10 * len(text or "")).tobytes(),
        "sample_rate": 24000,
        "words": WORDS,
        "seal": (key or make_key(text or "")).seal,
        "created_at": NOW - 86400.5,
        "text": text,
        "text_digest": digest_text(text or "secret"),
        "service": "CartesiaTTSService",
        "voice": "anna",
        "model": "sonic-2",
    }
    return Utterance(**(usual | changes))


async def filled(
    texts: Iterable[str | None] = (TEXT,), *, namespace: str = "bot", **changes: Any
) -> MemoryCacheBackend:
    """Make a store that holds some sentences."""
    store = MemoryCacheBackend(wall_clock=clock)
    for text in texts:
        key = make_key(text or "", namespace)
        await store.set(key, said(text, key, **changes))
    return store


async def content(store: CacheBackend) -> dict[CacheKey, Utterance | None]:
    """Return all that a store holds."""
    keys = [entry.key async for entry in store.entries()]
    return {key: await store.peek(key) for key in keys}


async def files(folder: Path) -> list[str]:
    """List the files of a folder."""

    def find() -> list[str]:
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(folder).as_posix() for path in found)

    return await asyncio.to_thread(find)


async def the_file(folder: Path) -> Path:
    """Return the only sound file of a folder."""
    (name,) = (name for name in await files(folder) if not name.startswith("index."))
    return folder / name


async def rows(folder: Path) -> list[dict[str, str]]:
    """Read index.csv as a spreadsheet does."""
    text = await asyncio.to_thread((folder / "index.csv").read_text, "utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def edit(folder: Path, number: int = 0, **cells: str) -> None:
    """Change cells of index.csv as a spreadsheet does."""
    table = await rows(folder)
    table[number].update(cells)
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    await put(folder / "index.csv", written.getvalue().encode("utf-8-sig"))


async def edit_json(folder: Path, **values: Any) -> None:
    """Change values of the first line of index.jsonl."""
    path = folder / "index.jsonl"
    first, *others = (await asyncio.to_thread(path.read_text, "utf-8")).splitlines()
    lines = [json.dumps(json.loads(first) | values), *others]
    await put(path, "\n".join(lines).encode())


async def put(path: Path, data: bytes) -> None:
    await asyncio.to_thread(path.write_bytes, data)


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


@pytest.fixture(params=["extra", "plain"])
def extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra `audio`, and without."""
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "av", None)


class Failing(MemoryCacheBackend):
    """Fails at some of what it is asked."""

    def __init__(self, *keys: CacheKey) -> None:
        super().__init__(wall_clock=clock)
        self.broken = set(keys)
        self.listed: int | None = None

    async def entries(self, namespace: str | None = None) -> Any:
        number = 0
        async for entry in super().entries(namespace):
            if number == self.listed:
                raise ConnectionError("secret")
            number += 1
            yield entry

    async def peek(self, key: CacheKey) -> Utterance | None:
        if key in self.broken:
            raise ConnectionError("secret")
        return await super().peek(key)

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        if key in self.broken:
            raise ConnectionError("secret")
        return await super().set(key, utterance, ttl=ttl)
