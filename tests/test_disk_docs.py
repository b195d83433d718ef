#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The page of the disk store holds: its tables are complete, its queries answer."""

from pathlib import Path

import pytest

from pipecat_tts_cache.backends import DiskCacheBackend
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.disk import looks_at_files, query, sizes
from tests.test_docs import PAGES, snippets, table

__all__ = ["looks_at_files"]

PAGE = "docs/store-disk.md"

pytestmark = pytest.mark.usefixtures("looks_at_files")


async def test_arguments_and_statistics_are_listed(tmp_path: Path) -> None:
    """The arguments of the disk store and the fields of its statistics are those there are."""
    names = list(DiskCacheBackend.__init__.__kwdefaults__)
    assert ["path", *names] == list(table(PAGE, "Arguments"))
    async with DiskCacheBackend(tmp_path) as backend:
        assert list(await backend.get_stats()) == list(table(PAGE, "Statistics"))


async def test_files_and_columns_are_listed(tmp_path: Path) -> None:
    """The files are those that there are, and so are the columns of the table."""
    async with DiskCacheBackend(tmp_path, timeout=20, write_timeout=20) as backend:
        await backend.set(make_key(), make_utterance())
        listed = table(PAGE, "Files").keys() - {"speech-1.damaged.sqlite3"}
        assert sizes(tmp_path).keys() == listed
    section = PAGES[PAGE].split("Columns: ")[1].split("\n\n")[0]
    columns = [name for _, name, *_ in query(tmp_path, "PRAGMA table_info(entries)")]
    assert [] == [name for name in columns if name != "id" and f"`{name}`" not in section]


async def test_queries_answer(tmp_path: Path) -> None:
    """The queries run, and find what they are for."""
    now = 1_000.0
    async with DiskCacheBackend(tmp_path, wall_clock=lambda: now, write_timeout=20) as backend:
        await backend.set(make_key("", "n"), make_utterance(7))
    (code,) = (code for _, code in snippets(PAGE, "sql"))
    often, sizes_of, unused = (query(tmp_path, sql) for sql in code.split(";")[:3])
    assert [("Sentence 7.", None, 0, 0.1)] == often
    assert [("n", 1, 0)] == sizes_of
    assert [("Sentence 7.",)] == unused
