#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the disk store does beyond the contract."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.backends import CacheKey, DiskCacheBackend
from pipecat_tts_cache.backends.disk.worker import MAX_WAITING
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.disk import check, contents, looks_at_files, modes, query, sizes

__all__ = ["looks_at_files"]

pytestmark = pytest.mark.usefixtures("looks_at_files")


def open_store(folder: Path, **options: Any) -> DiskCacheBackend:
    """A store that has time: the machine may be busy."""
    options = {"codec": "raw", "timeout": 20, "write_timeout": 20} | options
    return DiskCacheBackend(folder, **options)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskCacheBackend]:
    async with open_store(tmp_path) as store:
        yield store


def threads() -> int:
    return sum(thread.name == "tts-cache-disk" for thread in threading.enumerate())


# What outlives the process


async def test_a_store_is_found_again(tmp_path: Path) -> None:
    """What was kept is there when the folder is opened again, with its uses and its end."""
    key, other = make_key("x", "a"), make_key("y", "b")
    async with open_store(tmp_path) as store:
        await store.set(key, make_utterance(1), ttl=1000)
        await store.set(other, make_utterance(2))
        for _ in range(3):
            await store.get(key)
        (before,) = [entry async for entry in store.entries("a")]
    async with open_store(tmp_path) as store:
        assert make_utterance(1) == await store.get(key)
        assert make_utterance(2) == await store.get(other)
        stats = await store.get_stats()
        assert (2, 2) == (stats["entries"], stats["namespaces"])
        (after,) = [entry async for entry in store.entries("a")]
    assert (3, 4) == (before.uses, after.uses)
    assert before.expires_at == after.expires_at


async def test_uses_are_written_behind_the_look_up(tmp_path: Path) -> None:
    """Uses that nobody waited for are there after the store was closed."""
    async with open_store(tmp_path) as store:
        await store.set(make_key(), make_utterance())
        for _ in range(5):
            await store.get(make_key())
    assert [(5,)] == query(tmp_path, "SELECT uses FROM entries")


async def test_two_stores_on_one_folder(tmp_path: Path) -> None:
    """What one writes, removes and clears, the other sees at once."""
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        await one.set(make_key(), make_utterance())
        assert make_utterance() == await other.get(make_key())
        assert await other.delete(make_key())
        assert await one.get(make_key()) is None
        await other.set(make_key("x", "n"), make_utterance())
        assert 1 == await one.clear("n")
        assert 0 == (await other.get_stats())["entries"]


# Files


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
async def test_files_are_the_owners_alone(tmp_path: Path, umask: int) -> None:
    """The folder and all files in it are for the owner only, whatever the umask."""
    before = os.umask(umask)
    try:
        async with open_store(tmp_path / "new") as store:
            await store.set(make_key(), make_utterance())
            found = modes(tmp_path / "new")
    finally:
        os.umask(before)
    names = {f"speech-1.sqlite3{end}" for end in ("", "-wal", "-shm")} | {"speech.lock"}
    assert dict.fromkeys(names, 0o600) | {"new": 0o700} == found


@pytest.fixture
def entered_by_a_group(tmp_path: Path) -> Path:
    tmp_path.chmod(0o750)
    return tmp_path


async def test_a_folder_that_is_there_keeps_its_permissions(entered_by_a_group: Path) -> None:
    """Whoever made the folder has decided who may enter it."""
    folder = entered_by_a_group
    async with open_store(folder) as store:
        await store.set(make_key(), make_utterance())
    assert 0o750 == modes(folder)[folder.name]


async def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """To construct a store, and to close it, touches neither the disk nor threads."""
    async with open_store(tmp_path / "new"):
        pass
    assert {} == sizes(tmp_path)
    assert 0 == threads()


@pytest.mark.parametrize("most", [3_000, 40_000, 400_000])
async def test_the_file_stays_near_its_bound(tmp_path: Path, most: int) -> None:
    """However much comes and goes, in whatever sizes, the database takes what it may."""
    bound = 10 * most
    async with open_store(tmp_path, max_bytes=bound) as store:
        for seed in range(150):
            size = most * (seed * 7919 % 97 + 3) // 100 & ~1
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=size))
            if seed % 5 == 0:
                await store.get(make_key(str(seed)))
        stats = await store.get_stats()
        assert 0.5 * bound < stats["bytes"] <= bound
        assert stats["evictions"] > 50
        spare = 128 * 8192 + 20 * 8192
        assert len(contents(tmp_path)) < 1.15 * bound + spare
        await store.clear()
    assert len(contents(tmp_path)) <= spare
    assert 0 == check(tmp_path)


async def test_a_smaller_bound_is_reached(tmp_path: Path) -> None:
    """Opened with a smaller bound, the file becomes smaller with the next writes."""
    async with open_store(tmp_path) as store:
        for seed in range(40):
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=240_000))
    assert len(contents(tmp_path)) > 9_000_000
    async with open_store(tmp_path, max_bytes=1_000_000) as store:
        await store.set(make_key(), make_utterance(num_bytes=4_000))
        assert (await store.get_stats())["bytes"] <= 1_000_000
    assert len(contents(tmp_path)) < 3_000_000


async def test_the_log_is_bounded(store: DiskCacheBackend, tmp_path: Path) -> None:
    """What is written beside the database is put into it from time to time."""
    for seed in range(100):
        await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=240_000))
    size = sum(size for name, size in sizes(tmp_path).items() if not name.endswith(".sqlite3"))
    assert size < 10_000_000


async def test_deleted_speech_is_overwritten(store: DiskCacheBackend, tmp_path: Path) -> None:
    """Nothing of what was removed can be found in the database."""
    marked = b"\x12\x34\x56\x78" * 8
    await store.set(make_key(), replace(make_utterance(), audio=marked * 3000, text="A secret."))
    held = contents(tmp_path)
    assert marked in held
    assert b"A secret." in held
    await store.delete(make_key())
    held = contents(tmp_path)
    assert marked not in held
    assert b"A secret." not in held


async def test_speech_is_kept_without_loss_in_less_room(tmp_path: Path) -> None:
    """By default samples are FLAC, and come back as they were."""
    ramp = b"".join((i % 500).to_bytes(2, "little") for i in range(24_000))
    utterance = replace(make_utterance(), audio=ramp)
    async with DiskCacheBackend(tmp_path, timeout=20, write_timeout=20) as store:
        await store.set(make_key(), utterance)
        assert utterance == await store.get(make_key())
        (entry,) = [entry async for entry in store.entries()]
    assert "flac" == entry.codec
    assert entry.size < len(ramp) / 2


# What goes when it is full


async def test_what_repeats_stays(tmp_path: Path) -> None:
    """Long utterances that are said once do not push out the short one that is often said."""
    often = make_key("often")
    async with open_store(tmp_path, max_bytes=200_000) as store:
        await store.set(often, make_utterance(num_bytes=8_000))
        for seed in range(30):
            await store.get(often)
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=60_000))
        assert await store.exists(often)
        stats = await store.get_stats()
    assert stats["evictions"] + stats["refused"] == 27
    assert 3 == stats["entries"] - 1 == check(tmp_path) - 1


async def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    """With "lru" what was not said for longest goes, wherever the clock stands."""
    async with open_store(
        tmp_path, max_bytes=200_000, eviction="lru", wall_clock=lambda: 1.0
    ) as store:
        for seed in range(3):
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=60_000))
        await store.get(make_key("0"))
        await store.set(make_key("3"), make_utterance(3, num_bytes=60_000))
        there = [await store.exists(make_key(str(seed))) for seed in range(4)]
    assert [True, False, True, True] == there


async def test_a_newcomer_is_refused_at_the_cost_of_what_is_worth_more(tmp_path: Path) -> None:
    """Then nothing is dropped; but the floor rises, and stays risen for the next process."""
    often, new = make_key("often"), make_key("new")
    async with open_store(tmp_path, max_bytes=100_000) as store:
        await store.set(often, make_utterance(num_bytes=60_000))
        for _ in range(3):
            await store.get(often)
        assert await store.set(new, make_utterance(num_bytes=60_000)) is False
        assert 1 == (await store.get_stats())["refused"]
        assert await store.exists(often)
    ((risen,),) = query(tmp_path, "SELECT floor FROM state")
    assert risen > 0
    refusals = 0
    async with open_store(tmp_path, max_bytes=100_000) as store:
        while not await store.set(new, make_utterance(num_bytes=60_000)):
            refusals += 1
            assert refusals < 50
        assert not await store.exists(often)
    assert 0 < refusals < 16
    ((floor,),) = query(tmp_path, "SELECT floor FROM state")
    assert floor > risen


async def test_uses_of_what_went_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was often said and comes back need not begin anew, unless it was to leave no trace."""
    monkeypatch.setattr("pipecat_tts_cache.backends.disk.room.REMEMBERED", 3)
    often, other = make_key("often", "n"), make_key("other", "n")

    async def uses(store: DiskCacheBackend) -> int | None:
        await store.set(often, make_utterance(num_bytes=60_000))
        (entry,) = [entry async for entry in store.entries() if entry.key == often]
        return entry.uses

    async with open_store(tmp_path, max_bytes=100_000, eviction="lru") as store:
        assert 0 == await uses(store)
        for _ in range(3):
            await store.get(often)
        for name in ("1", "2", "3"):
            await store.set(make_key(name), make_utterance(num_bytes=60_000))
        assert 4 == await uses(store)
        await store.set(other, make_utterance(num_bytes=60_000))
        await store.delete(often)
        assert 0 == await uses(store)
        await store.set(other, make_utterance(num_bytes=60_000))
        await store.clear("n")
        assert 0 == await uses(store)
        for name in ("1", "2", "3", "4", "5"):
            await store.set(make_key(name), make_utterance(num_bytes=60_000))
        assert 0 == await uses(store)


async def test_an_expired_one_may_be_stored_anew_in_a_full_store(tmp_path: Path) -> None:
    """However many have expired with it, it is there, once, and the totals are right."""
    now = 1000.0
    async with open_store(tmp_path, max_bytes=300_000, wall_clock=lambda: now) as store:
        for seed in range(70):
            now += 0.001
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=2_000), ttl=10)
        now += 11
        last = make_utterance(7, num_bytes=250_000)
        assert await store.set(make_key("40"), last)
        assert last == await store.get(make_key("40"))
        stats = await store.get_stats()
    assert 1 == stats["entries"]
    assert 1 == check(tmp_path)


async def test_an_expired_one_makes_room_first(tmp_path: Path) -> None:
    """What has expired goes before what could still be said."""
    now = 1000.0
    async with open_store(tmp_path, max_bytes=200_000, wall_clock=lambda: now) as store:
        await store.set(make_key("old"), make_utterance(num_bytes=60_000), ttl=10)
        for _ in range(9):
            await store.get(make_key("old"))
        for seed in range(2):
            await store.set(make_key(str(seed)), make_utterance(seed, num_bytes=60_000))
        now += 10
        await store.set(make_key("2"), make_utterance(num_bytes=60_000))
        assert [True] * 3 == [await store.exists(make_key(str(seed))) for seed in range(3)]
        stats = await store.get_stats()
    assert (0, 1, 3) == (stats["evictions"], stats["expirations"], stats["entries"])


async def test_what_is_larger_than_the_store_is_refused(tmp_path: Path) -> None:
    """Neither the bound nor a record's limits can be exceeded, and it is counted."""
    async with open_store(tmp_path, max_bytes=50_000) as store:
        assert await store.set(make_key(), make_utterance(num_bytes=50_000)) is False
        wordy = replace(make_utterance(), text="x" * 2_000_000)
        assert await store.set(make_key(), wordy) is False
        assert 2 == (await store.get_stats())["refused"]


@pytest.mark.parametrize("codec", ["raw", "flac"])
@pytest.mark.parametrize(
    "changes", [{"audio": b""}, {"audio": b"odd"}, {"sample_rate": 0}, {"num_channels": 0}]
)
async def test_what_could_not_be_replayed_is_refused(
    tmp_path: Path, codec: str, changes: dict[str, Any]
) -> None:
    """It is not kept to be a damaged record later, and takes nothing's place."""
    async with open_store(tmp_path, codec=codec) as store:
        await store.set(make_key(), make_utterance())
        assert await store.set(make_key(), replace(make_utterance(), **changes)) is False
        assert make_utterance() == await store.get(make_key())
        stats = await store.get_stats()
        assert (1, 0) == (stats["refused"], stats["corrupt"])


# Records that cannot be used


async def damage(folder: Path, *, version: int = 1) -> None:
    ((record,),) = query(folder, "SELECT record FROM records")
    changed = record[:4] + bytes([version]) + record[5:-1] + bytes([record[-1] ^ 1])
    query(folder, "UPDATE records SET record = ?", changed)


async def test_a_damaged_record_is_deleted(store: DiskCacheBackend, tmp_path: Path) -> None:
    """It is a miss, it is counted, and it is gone."""
    await store.set(make_key(), make_utterance())
    await damage(tmp_path)
    assert await store.get(make_key()) is None
    stats = await store.get_stats()
    assert (0, 1, 1) == (stats["entries"], stats["corrupt"], stats["misses"])
    assert 0 == check(tmp_path)


async def test_what_replaced_a_damaged_record_stays(store: DiskCacheBackend) -> None:
    """Only the very record that was found damaged is deleted, not what another has just stored."""
    await store.set(make_key(), make_utterance(1))
    await store._writer.ask(lambda c: store._tables.remove_row(c, 1, b"damaged"), within=20)
    assert make_utterance(1) == await store.get(make_key())


async def test_a_newer_record_is_left_alone(store: DiskCacheBackend, tmp_path: Path) -> None:
    """It is a miss, and stays for the version that can read it."""
    await store.set(make_key(), make_utterance())
    await damage(tmp_path, version=200)
    assert await store.get(make_key()) is None
    assert await store.peek(make_key()) is None
    stats = await store.get_stats()
    assert (1, 2, 1) == (stats["entries"], stats["newer"], stats["misses"])


# The database


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A database of a newer version is left as it is, and the error says what to do."""
    async with open_store(tmp_path) as store:
        await store.set(make_key(), make_utterance())
    query(tmp_path, "PRAGMA user_version = 2")
    before = contents(tmp_path)
    async with open_store(tmp_path) as store:
        for call in (store.get(make_key()), store.set(make_key(), make_utterance())):
            with pytest.raises(BackendError, match=r"newer version .* upgrade"):
                await call
        assert (await store.get_stats())["available"] is False
    assert before == contents(tmp_path)


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """What happens to have the name is not ours to write to, nor to set aside."""
    query(tmp_path, "CREATE TABLE recipes (name TEXT)", create="speech-7.sqlite3")
    before = contents(tmp_path)
    async with open_store(tmp_path) as store:
        with pytest.raises(BackendError, match="database of another program"):
            await store.set(make_key(), make_utterance())
    assert before == contents(tmp_path)
    assert ["speech-7.sqlite3"] == list(sizes(tmp_path))


async def test_columns_can_be_queried(store: DiskCacheBackend, tmp_path: Path) -> None:
    """Whoever opens the database with SQLite finds what is known of an utterance, and its uses."""
    utterance = replace(make_utterance(), service="SomeTTS", voice="anna", model="m", text="Hi.")
    await store.set(CacheKey("user 1", make_key().digest), utterance)
    sql = "SELECT name, text, service, voice, model, duration, codec, uses FROM entries JOIN "
    found = query(tmp_path, sql + "namespaces ON namespaces.id = namespace")
    assert [("user%201", "Hi.", "SomeTTS", "anna", "m", 0.1, "raw", 0)] == found


async def steps(store: DiskCacheBackend, others: int) -> list[int]:
    """Count what SQLite does for statistics and to clear a small namespace."""
    for i in range(others):
        await store.set(make_key(str(i), f"other {i % 5}"), make_utterance(num_bytes=2))
    await store.set(make_key("x", "mine"), make_utterance(num_bytes=2))
    counted: list[int] = []

    async def count(work: Any) -> None:
        done = [0]

        def step() -> int:
            done[0] += 1
            return 0

        for worker in (store._reader, store._writer):
            await worker.ask(lambda c: c.set_progress_handler(step, 1), within=20)
        await work
        for worker in (store._reader, store._writer):
            await worker.ask(lambda c: c.set_progress_handler(None, 1), within=20)
        counted.append(done[0])

    await count(store.get_stats())
    await count(store.exists(make_key("x", "mine")))
    await count(store.clear("mine"))
    await count(store.set(make_key("x", "mine"), make_utterance(num_bytes=2)))
    return counted


async def test_costs_do_not_depend_on_the_rest(tmp_path: Path) -> None:
    """SQLite takes as many steps with 20 other utterances as with 1000."""
    async with open_store(tmp_path / "few") as few, open_store(tmp_path / "many") as many:
        assert await steps(few, 20) == await steps(many, 1000)


# Threads, event loops, processes


async def test_two_threads_end_with_the_store(tmp_path: Path) -> None:
    """One looks up and one writes, however much is asked at once; close ends both."""
    store = open_store(tmp_path)
    for seed in range(5):
        await store.set(make_key(str(seed)), make_utterance(seed))
    await asyncio.gather(*(store.get(make_key(str(i % 5))) for i in range(50)))
    assert 2 == threads()
    await store.close()
    assert 0 == threads()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Whatever is asked of it then fails, and statistics tell that it is not there."""
    store = open_store(tmp_path)
    await store.set(make_key(), make_utterance())
    await store.close()
    for call in (store.get(make_key()), store.set(make_key(), make_utterance()), store.clear()):
        with pytest.raises(BackendError, match="is closed"):
            await call
    assert (await store.get_stats())["available"] is False


async def test_what_was_asked_before_close_is_done(tmp_path: Path) -> None:
    """Writes that wait for their turn are made."""
    store = open_store(tmp_path)
    writes = [
        asyncio.ensure_future(store.set(make_key(str(i)), make_utterance(num_bytes=2)))
        for i in range(50)
    ]
    await asyncio.sleep(0)
    await store.close()
    assert [True] * 50 == await asyncio.gather(*writes)
    assert 50 == check(tmp_path)


async def test_a_store_that_nobody_holds_ends_its_threads(tmp_path: Path) -> None:
    """Forgotten instead of closed, it leaves no thread behind."""
    store = open_store(tmp_path)
    await store.set(make_key(), make_utterance())
    await store.get(make_key())
    left = [thread for thread in threading.enumerate() if thread.name == "tts-cache-disk"]
    del store
    gc.collect()
    for thread in left:
        await asyncio.to_thread(thread.join, 20)
    assert 0 == threads()


async def test_event_loops_may_share_a_store(tmp_path: Path) -> None:
    """Several event loops at once, each in a thread, get each their own, and counts add up."""
    store = open_store(tmp_path)
    found: list[list[Utterance | None]] = []

    def work(seed: int) -> None:
        async def calls() -> None:
            for turn in range(20):
                await store.set(make_key(f"{seed} {turn}"), make_utterance(seed + turn))
                hits = [store.get(make_key(f"{seed} {turn}")) for _ in range(5)]
                assert [make_utterance(seed + turn)] * 5 == await asyncio.gather(*hits)
            found.append(await asyncio.gather(*(store.get(make_key(f"{seed} 3")),)))

        asyncio.run(calls())

    await asyncio.gather(*(asyncio.to_thread(work, 100 * seed) for seed in range(4)))
    assert 4 == len(found)
    stats = await store.get_stats()
    assert (80, 404, 0) == (stats["entries"], stats["hits"], stats["errors"])
    await store.close()


async def test_a_queue_that_is_full_fails_at_once(store: DiskCacheBackend) -> None:
    """Calls do not pile up for ever behind a disk that does not keep up."""
    go_on = threading.Event()
    await store.set(make_key(), make_utterance())
    held = asyncio.ensure_future(store._writer.ask(lambda _: go_on.wait(20), within=20))
    await asyncio.sleep(0.01)
    waiting = [asyncio.ensure_future(store.delete(make_key())) for _ in range(MAX_WAITING + 1)]
    outcomes = asyncio.gather(held, *waiting, return_exceptions=True)
    await asyncio.sleep(0.01)
    go_on.set()
    first, *others = await outcomes
    assert first is True
    refused = [each for each in others if isinstance(each, BackendError)]
    assert 1 == len(refused)
    assert f"{MAX_WAITING} calls are waiting" in str(refused[0])


# What users pass in


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"path": 7}, TypeError, "path must be a str or a Path, not int"),
        ({"path": ""}, ValueError, "name of a folder"),
        ({"path": "a\0b"}, ValueError, "name of a folder"),
        ({"max_bytes": 0}, ValueError, "max_bytes must be above 0"),
        ({"max_bytes": 1e9}, TypeError, "max_bytes must be an int"),
        ({"codec": "mp3"}, ValueError, "codec must be 'raw', 'flac' or 'opus'"),
        ({"eviction": "fifo"}, ValueError, "eviction must be 'gdsf' or 'lru'"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"write_timeout": "2"}, TypeError, "write_timeout must be a number"),
    ],
)
def test_nonsense_is_refused(wrong: Any, error: type[Exception], message: str) -> None:
    """What cannot be meant is refused when the store is made, in words."""
    with pytest.raises(error, match=message):
        DiskCacheBackend(**({"path": "x"} | wrong))


def test_repr(tmp_path: Path) -> None:
    """A store says where it is and how large it may become."""
    expected = f"DiskCacheBackend({str(tmp_path)!r}, max_bytes=5)"
    assert expected == repr(DiskCacheBackend(tmp_path, max_bytes=5))


@pytest.fixture
def relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCacheBackend:
    monkeypatch.chdir(tmp_path)
    store = open_store(Path("speech of #1?%20 é"))
    monkeypatch.chdir("/")
    return store


async def test_a_path_may_be_relative(relative: DiskCacheBackend, tmp_path: Path) -> None:
    """It is meant from where the store was made, and may hold any character."""
    async with relative as store:
        await store.set(make_key(), make_utterance())
        assert make_utterance() == await store.get(make_key())
    assert 1 == check(tmp_path / "speech of #1?%20 é")
