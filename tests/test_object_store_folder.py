#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The object store on a folder: no room, no permission, removed underneath, odd neighbours."""

import asyncio
import errno
import os
import resource
import shutil
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from pipecat_tts_cache.backends import ObjectStoreCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

PATIENT: dict[str, Any] = {"timeout": 20, "write_timeout": 20}
LARGE = make_utterance(num_bytes=500_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "some folder" / "tts"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[ObjectStoreCacheBackend]:
    async with ObjectStoreCacheBackend(folder.as_uri(), **PATIENT) as store:
        yield store


async def files(folder: Path) -> list[str]:
    """List the files in a folder, and what else is there and no folder."""

    def walk() -> list[str]:
        found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        return sorted(str(path.relative_to(folder)) for path in found)

    return await asyncio.to_thread(walk)


def mess_up(folder: Path) -> None:
    """Put files and folders of all kinds of names beside ours."""
    for name in (b"a\nb", b"\xff\xfe", b"x y", b"#1", b".hidden", b"\x01", b"a%zz", b"Thumbs.db"):
        for place in (folder, folder / "!!"):
            Path(os.fsdecode(os.fsencode(place) + b"/" + name)).write_bytes(b"junk")
        odd = Path(os.fsdecode(os.fsencode(folder) + b"/d" + name))
        odd.mkdir()
        (odd / "file").write_bytes(b"junk")
    (folder / "UPPER").mkdir()
    (folder / "UPPER" / f"{make_key().digest}.speech").write_bytes(b"junk")
    (folder / "!!" / f"{'0' * 64}.speech").mkdir()
    (folder / "!!" / f"{'1' * 64}.speech").symlink_to("/nonexistent")
    (folder / "!!" / "loop").symlink_to(folder)


async def test_a_folder_is_made_for_the_owner_alone(
    folder: Path, store: ObjectStoreCacheBackend
) -> None:
    """Nothing is written before the store is used, and nobody else gets in then."""
    assert [] == await files(folder.parent.parent)
    await store.set(make_key(), LARGE)
    found = await asyncio.to_thread(folder.stat)
    assert 0o700 == stat.S_IMODE(found.st_mode)
    assert [f"!!/{make_key().digest}.speech"] == await files(folder)


async def test_other_neighbours_are_left_alone(
    folder: Path, store: ObjectStoreCacheBackend
) -> None:
    """Files and folders of any name are neither listed nor counted nor cleared."""
    await store.set(make_key(), LARGE)
    await asyncio.to_thread(mess_up, folder)
    before = await files(folder)
    assert 1 == (await store.get_stats())["entries"]
    assert [make_key()] == [entry.key async for entry in store.entries()]
    assert await store.clear() == 1
    before.remove(f"!!/{make_key().digest}.speech")
    assert before == await files(folder)


async def test_no_room(folder: Path, store: ObjectStoreCacheBackend) -> None:
    """A write without room fails, leaves the old one, and no rest of the new one."""
    await store.set(make_key(), make_utterance(1))
    before = await files(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(BackendError, match=os.strerror(errno.EFBIG)):
            await store.set(make_key(), LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await store.get(make_key()) == make_utterance(1)
    assert before == await files(folder)
    assert "closed" == (await store.get_stats())["breaker"]
    await store.set(make_key(), LARGE)
    assert await store.get(make_key()) == LARGE


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
async def test_no_permission(folder: Path, store: ObjectStoreCacheBackend) -> None:
    """What may not be written or read is an error that says so, and look-ups of the rest go on."""
    await store.set(make_key(), LARGE)
    own = folder / "!!"
    await asyncio.to_thread(own.chmod, 0o500)
    try:
        for call in (store.set(make_key(), make_utterance()), store.delete(make_key())):
            with pytest.raises(BackendError, match="Permission denied"):
                await call
        assert await store.get(make_key()) == LARGE
        await asyncio.to_thread(own.chmod, 0)
        with pytest.raises(BackendError, match="Permission denied"):
            await store.get(make_key())
        assert (await store.get_stats())["entries"] is None
    finally:
        await asyncio.to_thread(own.chmod, 0o700)
    assert await store.get(make_key()) == LARGE


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="a folder that even root cannot use")
async def test_a_folder_that_cannot_be_made() -> None:
    """It is an error of each call, not of the constructor, which touches no disk."""
    store = ObjectStoreCacheBackend("file:///sys/kernel/tts", **PATIENT)
    for _ in range(4):
        with pytest.raises(BackendError, match=r"[Pp]ermi|Read-only"):
            await store.set(make_key(), LARGE)
    stats = await store.get_stats()
    assert (False, "closed", 0) == (stats["available"], stats["breaker"], stats["unavailable"])


def test_a_file_where_the_folder_should_be(folder: Path) -> None:
    """That is an error, and the file stays."""
    folder.parent.mkdir()
    folder.write_text("precious")
    store = ObjectStoreCacheBackend(folder.as_uri(), **PATIENT)
    with pytest.raises(BackendError, match="File exists"):
        asyncio.run(store.set(make_key(), LARGE))
    assert "precious" == folder.read_text()


async def test_a_folder_that_is_removed_underneath(
    folder: Path, store: ObjectStoreCacheBackend
) -> None:
    """What is gone is a miss, and what is stored next makes the folder anew."""
    await store.set(make_key(), LARGE)
    await asyncio.to_thread(shutil.rmtree, folder)
    assert await store.get(make_key()) is None
    assert await store.exists(make_key()) is False
    assert await store.delete(make_key()) is False
    assert await store.clear() == 0
    assert [] == [entry async for entry in store.entries()]
    assert (0, True) == ((stats := await store.get_stats())["entries"], stats["available"])
    assert await store.set(make_key(), LARGE) is True
    assert await store.get(make_key()) == LARGE
    assert 1 == (await store.get_stats())["entries"]


async def test_folders_of_namespaces_go_with_their_last_file(
    folder: Path, store: ObjectStoreCacheBackend
) -> None:
    """A user who leaves leaves nothing behind, not even a name."""
    for user in "abc":
        await store.set(make_key("x", user), make_utterance())
    await store.clear("a")
    await store.delete(make_key("x", "b"))
    assert ["c"] == await asyncio.to_thread(os.listdir, folder)


async def test_a_reader_sees_whole_files_only(folder: Path, store: ObjectStoreCacheBackend) -> None:
    """While one utterance replaces another again and again, each look-up finds one of them."""
    old, new = LARGE, make_utterance(2, num_bytes=100_000)
    await store.set(make_key(), old)
    done = threading.Event()
    path = folder / "!!" / f"{make_key().digest}.speech"
    sizes: set[int] = set()

    def watch() -> None:
        while not done.is_set():
            sizes.add(len(path.read_bytes()))

    watcher = asyncio.create_task(asyncio.to_thread(watch))
    for _ in range(20):
        for each in (new, old):
            found = await asyncio.gather(
                store.set(make_key(), each), *(store.get(make_key()) for _ in range(4))
            )
            assert all(one in (old, new) for one in found[1:])
    done.set()
    await watcher
    assert 2 == len(sizes)
    assert [str(path.relative_to(folder))] == await files(folder)


async def test_two_stores_of_one_folder_see_the_same(
    folder: Path, store: ObjectStoreCacheBackend
) -> None:
    """A folder may be shared, also through a store of the caller's own."""
    await store.set(make_key(), LARGE)
    other = ObjectStoreCacheBackend(store=LocalStore(folder), codec="raw", **PATIENT)
    assert await other.get(make_key()) == LARGE
    await other.set(make_key(), replace(LARGE, text="new"))
    found = await store.get(make_key())
    assert found is not None
    assert "new" == found.text


def test_a_store_serves_one_event_loop_after_the_other(folder: Path) -> None:
    """Neither a folder nor memory belongs to an event loop."""
    for url in (folder.as_uri(), "memory:///"):
        store = ObjectStoreCacheBackend(url, max_connections=2, **PATIENT)

        async def put(store: ObjectStoreCacheBackend = store) -> None:
            await asyncio.gather(*(store.set(make_key(str(i)), LARGE) for i in range(6)))

        async def look(store: ObjectStoreCacheBackend = store) -> None:
            found = await asyncio.gather(*(store.get(make_key(str(i))) for i in range(6)))
            assert [LARGE] * 6 == found

        asyncio.run(put())
        asyncio.run(look())
