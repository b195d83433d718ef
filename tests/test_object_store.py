#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the object store leaves in a bucket, and what it makes of what it finds there."""

import asyncio
import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
import soundfile
from obstore.store import MemoryStore

from pipecat_tts_cache.backends import CacheKey, ObjectStoreCacheBackend
from pipecat_tts_cache.backends.object_store.listing import folder_name
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import delete_text
from pipecat_tts_cache.sound.file import to_sound_file
from pipecat_tts_cache.testing.store_contract import NAMESPACES, make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance, Word
from tests.clock import Clock
from tests.object_servers import KEYS, Bucket, bucket, s3_server

__all__ = ["bucket", "s3_server"]

PATIENT: dict[str, Any] = {"timeout": 20, "write_timeout": 20}
TONE = b"".join(struct.pack("<h", int(8000 * math.sin(n / 9))) for n in range(24_000))
SPOKEN = replace(make_utterance(), audio=TONE, text="Good morning!", voice="anna")
KEY = make_key("x", "user/1")
PATH = f"user!2f1/{KEY.digest}.speech"
TYPES = {"raw": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg"}
SUFFIXES = {"raw": "wav", "flac": "flac", "opus": "opus"}
CODECS: list[Codec] = ["raw", "flac", "opus"]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def objects() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def store(objects: MemoryStore, clock: Clock) -> AsyncIterator[ObjectStoreCacheBackend]:
    async with ObjectStoreCacheBackend(
        store=objects, clock=clock, wall_clock=clock, **PATIENT
    ) as store:
        yield store


async def read(objects: Any, path: str = PATH) -> bytes:
    return bytes(await (await objects.get_async(path)).bytes_async())


async def names(objects: Any) -> list[str]:
    return sorted([each["path"] async for page in objects.list() for each in page])


def newer(file: bytes) -> bytes:
    return file.replace(b'{"pipecat_tts_cache":1,', b'{"pipecat_tts_cache":2,')


# What is pinned


async def test_an_object_that_is_pinned_says_so(objects: MemoryStore) -> None:
    """It names no time to live, and one that another program gave it does not count."""
    store = ObjectStoreCacheBackend(store=objects, codec="raw", **PATIENT)
    pin = replace(SPOKEN, pinned=True)
    await store.set(KEY, pin, ttl=60)
    assert b'"pinned":true' in await read(objects)
    assert b'"expires_at":null' in await read(objects)
    old = to_sound_file(replace(pin, expires_at=1.0), namespace=KEY.namespace, codec="raw")
    await objects.put_async(PATH, old.content)
    assert await store.sweep() == 0
    assert pin == await store.get(KEY)
    assert await store.set(KEY, SPOKEN) is False
    assert 1 == (await store.get_stats())["refused"]
    assert 1 == await store.delete_many([KEY])


async def test_what_cannot_be_read_is_no_pin(objects: MemoryStore) -> None:
    """A damaged object is replaced, and so is one that is not ours."""
    store = ObjectStoreCacheBackend(store=objects, codec="raw", **PATIENT)
    for content in (b"", b"not ours"):
        await objects.put_async(PATH, content)
        assert await store.set(KEY, SPOKEN)
        assert SPOKEN == await store.get(KEY)


# What is in the bucket


@pytest.mark.parametrize("codec", CODECS)
async def test_an_object_plays_without_this_library(bucket: Bucket, codec: Codec) -> None:
    """It is a sound file, and what is said of it lets players and CDNs serve it."""
    async with ObjectStoreCacheBackend(bucket.url("a/b"), codec=codec, **PATIENT, **KEYS) as store:
        assert await store.set(KEY, SPOKEN)
    found = await bucket.client(prefix=None).get_async(f"a/b/{PATH}")
    assert {
        "Content-Type": TYPES[codec],
        "Cache-Control": "no-cache",
        "Content-Disposition": f'inline; filename="{KEY.digest}.{SUFFIXES[codec]}"',
    } == found.attributes
    with soundfile.SoundFile(BytesIO(bytes(await found.bytes_async()))) as file:
        assert (24_000, 24_000, "Good morning!") == (file.frames, file.samplerate, file.title)


@pytest.mark.parametrize("cache_control", ["public, max-age=86400", None])
async def test_what_caches_are_told(objects: MemoryStore, cache_control: str | None) -> None:
    """What browsers and CDNs may keep is up to the user."""
    store = ObjectStoreCacheBackend(store=objects, cache_control=cache_control, **PATIENT)
    await store.set(KEY, SPOKEN)
    attributes = (await objects.get_async(PATH)).attributes
    assert cache_control == attributes.get("Cache-Control")


@pytest.mark.parametrize("before", CODECS)
@pytest.mark.parametrize("after", CODECS)
async def test_a_key_has_one_object_whatever_the_codec(
    objects: MemoryStore, before: Codec, after: Codec
) -> None:
    """What one bot wrote another finds, and replaces, with any other codec."""
    old = ObjectStoreCacheBackend(store=objects, codec=before, **PATIENT)
    new = ObjectStoreCacheBackend(store=objects, codec=after, **PATIENT)
    await old.set(KEY, SPOKEN)
    found = await new.get(KEY)
    assert found is not None
    assert (before == "opus") == (found.audio != SPOKEN.audio)
    await new.set(KEY, replace(SPOKEN, text="Good evening!"))
    assert [PATH] == await names(objects)
    found = await old.get(KEY)
    assert found is not None
    assert "Good evening!" == found.text
    assert await new.delete(KEY)
    assert [] == await names(objects)


@pytest.mark.parametrize("changes", [{"watermarked": True}, {"sample_rate": 22_050}])
async def test_opus_is_not_for_all(objects: MemoryStore, changes: dict[str, Any]) -> None:
    """Audio that Opus may not touch, or cannot, comes back to the bit."""
    utterance = replace(SPOKEN, **changes)
    store = ObjectStoreCacheBackend(store=objects, codec="opus", **PATIENT)
    await store.set(KEY, utterance)
    assert utterance == await store.get(KEY)
    (entry,) = [entry async for entry in store.entries()]
    assert "flac" == entry.codec


async def test_the_object_holds_all_that_is_known(
    objects: MemoryStore, store: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """The description is JSON, with a checksum that anybody can check."""
    words = (Word("Good", 0.0), Word("morning!", 0.25))
    await store.set(KEY, replace(SPOKEN, words=words), ttl=60)
    data = await read(objects)
    start = data.index(b'{"pipecat_tts_cache":1,')
    fields, _ = json.JSONDecoder().raw_decode(data[start : start + 2000].decode("latin-1"))
    assert ("user/1", 24_000, "anna") == (
        fields["namespace"],
        fields["num_frames"],
        fields["voice"],
    )
    assert [["Good", 0.0, False], ["morning!", 0.25, False]] == fields["words"]
    assert clock.now + 60 == fields["expires_at"]
    stated = fields["crc32"].encode()
    assert int(stated, 16) == zlib.crc32(data.replace(stated, b"00000000"))


async def test_an_entry_tells_how_it_is_kept(
    objects: MemoryStore, store: ObjectStoreCacheBackend
) -> None:
    """A listing tells the size of the object and its codec, and counts no uses."""
    await store.set(KEY, SPOKEN)
    await store.set(make_key("noise"), make_utterance(num_bytes=100_000))
    entries = {entry.key: entry async for entry in store.entries()}
    assert len(await read(objects)) == entries[KEY].size
    assert ("flac", 1.0) == (entries[KEY].codec, entries[KEY].duration)
    assert "raw" == entries[make_key("noise")].codec
    assert {(None, None)} == {(each.uses, each.last_used_at) for each in entries.values()}


async def test_a_long_description_is_read_in_full(store: ObjectStoreCacheBackend) -> None:
    """What takes more than the first look at an object is listed all the same."""
    words = tuple(Word(f"word {n}", n / 10) for n in range(20_000))
    await store.set(KEY, replace(SPOKEN, words=words))
    assert await store.exists(KEY)
    assert [KEY] == [entry.key async for entry in store.entries()]
    assert await store.delete_many([KEY]) == 1


async def test_a_prefix_is_all_that_is_touched(bucket: Bucket) -> None:
    """Two stores in one bucket know nothing of one another."""
    one = ObjectStoreCacheBackend(bucket.url("a"), **PATIENT, **KEYS)
    other = ObjectStoreCacheBackend(bucket.url("a/b"), **PATIENT, **KEYS)
    await one.set(KEY, SPOKEN)
    await other.set(make_key("y", "user/1"), make_utterance(1))
    assert 1 == (await one.get_stats())["entries"]
    assert [KEY] == [entry.key async for entry in one.entries()]
    assert await one.clear() == 1
    assert make_utterance(1) == await other.get(make_key("y", "user/1"))


async def test_two_bots_race_to_write(bucket: Bucket) -> None:
    """Of two that write the same key at once one wins, whole, and both find it."""
    one, other = (ObjectStoreCacheBackend(bucket.url(), **PATIENT, **KEYS) for _ in range(2))
    async with one, other:
        for i in range(8):
            mine, theirs = make_utterance(i, num_bytes=20_000), make_utterance(100 + i)
            await asyncio.gather(one.set(KEY, mine), other.set(KEY, theirs))
            found = await one.get(KEY)
            assert found in (mine, theirs)
            assert found == await other.get(KEY)
        assert 1 == (await other.get_stats())["entries"]


# What is not there any more, and what was never ours


async def test_what_has_expired_is_removed_when_it_is_looked_up(
    objects: MemoryStore, store: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """It is a miss for every method at its second, and its object goes with the first look-up."""
    await store.set(KEY, SPOKEN, ttl=60)
    found = await store.get(KEY)
    assert found is not None
    assert clock.now + 60 == found.expires_at
    clock.now += 60
    assert await store.exists(KEY) is False
    assert [] == [entry async for entry in store.entries()]
    assert [PATH] == await names(objects)
    assert await store.get(KEY) is None
    assert [] == await names(objects)
    stats = await store.get_stats()
    assert (1, 1, 1, 0) == (
        stats["hits"],
        stats["misses"],
        stats["expirations"],
        stats["entries"],
    )


async def test_who_erases_a_text_erases_what_has_expired(
    objects: MemoryStore, store: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """What nobody looks up any more does not stay in the bucket, text, audio and all."""
    await store.set(KEY, SPOKEN, ttl=60)
    await store.set(make_key("kept"), SPOKEN, ttl=600)
    clock.now += 60
    assert SPOKEN.text is not None
    assert 1 == (await delete_text(store, SPOKEN.text, dry_run=True)).entries
    assert 2 == len(await names(objects))
    assert 1 == (await delete_text(store, SPOKEN.text)).entries
    assert [] == await names(objects)
    assert 1 == (await store.get_stats())["expirations"]
    await store.set(KEY, SPOKEN, ttl=60)
    clock.now += 61
    assert await store.delete(KEY) is False
    assert [] == await names(objects)


async def test_an_expiry_of_the_utterance_itself_does_not_count(
    store: ObjectStoreCacheBackend, clock: Clock
) -> None:
    """What is kept is forgotten as the store was told, not as a copy says."""
    await store.set(KEY, replace(SPOKEN, expires_at=clock.now - 1))
    found = await store.get(KEY)
    assert found is not None
    assert found.expires_at is None


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other", "moved"])
async def test_a_damaged_object_is_a_miss_and_goes(
    objects: MemoryStore, store: ObjectStoreCacheBackend, damage: str
) -> None:
    """What cannot be used is deleted, so that it is spoken and stored anew."""
    await store.set(KEY, SPOKEN)
    file = await read(objects)
    broken = {
        "cut": file[:-10],
        "changed": file[:-10] + bytes(10),
        "empty": b"",
        "other": b"something else",
        "moved": to_sound_file(SPOKEN, namespace="user/2", codec="flac").content,
    }[damage]
    await objects.put_async(PATH, broken)
    assert await store.get(KEY) is None
    assert [] == await names(objects)
    stats = await store.get_stats()
    assert (1, 1) == (stats["corrupt"], stats["misses"])


async def test_an_object_of_another_namespace_is_not_listed(
    objects: MemoryStore, store: ObjectStoreCacheBackend
) -> None:
    """Copied to another's folder, an utterance is neither the one's nor the other's."""
    await objects.put_async(PATH, to_sound_file(SPOKEN, namespace="user/2", codec="flac").content)
    assert [] == [entry async for entry in store.entries()]
    assert [] == [entry async for entry in store.entries("user/2")]


async def test_an_object_that_would_fill_the_memory_is_not_read(
    objects: MemoryStore, store: ObjectStoreCacheBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is larger than any utterance is damaged, whatever is in it."""
    await store.set(KEY, SPOKEN)
    size = len(await read(objects))
    monkeypatch.setattr("pipecat_tts_cache.backends.object_store.server.MAX_SIZE", size)
    assert SPOKEN == await store.get(KEY)
    monkeypatch.setattr("pipecat_tts_cache.backends.object_store.server.MAX_SIZE", size - 1)
    assert await store.get(KEY) is None
    assert 1 == (await store.get_stats())["corrupt"]


@pytest.mark.parametrize("damage", [b"", b"junk", b"RIFF\0\0\0\0WAVE"])
async def test_a_damaged_object_is_not_listed(
    objects: MemoryStore, store: ObjectStoreCacheBackend, damage: bytes
) -> None:
    """It does not exist, is no entry and no loss, and can be cleared away."""
    await objects.put_async(PATH, damage)
    assert await store.exists(KEY) is False
    assert [] == [entry async for entry in store.entries()]
    assert await store.delete(KEY) is False
    assert [] == await names(objects)
    await objects.put_async(PATH, damage)
    assert await store.clear() == 1


async def test_an_empty_object_on_s3_does_not_exist(bucket: Bucket) -> None:
    """A server refuses to give the beginning of nothing, and that is no failure."""
    store = ObjectStoreCacheBackend(bucket.url(), **PATIENT, **KEYS)
    await bucket.client().put_async(PATH, b"")
    assert await store.exists(KEY) is False
    assert await store.get(KEY) is None
    stats = await store.get_stats()
    assert (0, 1, 0) == (stats["errors"], stats["corrupt"], stats["entries"])


async def test_a_newer_object_is_left_alone(
    objects: MemoryStore, store: ObjectStoreCacheBackend
) -> None:
    """What a newer version wrote is a miss, stays, and can be deleted on request."""
    await objects.put_async(PATH, newer(to_sound_file(SPOKEN, namespace="", codec="raw").content))
    assert await store.get(KEY) is None
    assert await store.exists(KEY) is False
    assert [] == [entry async for entry in store.entries()]
    assert [PATH] == await names(objects)
    assert (1, 0) == ((stats := await store.get_stats())["newer"], stats["corrupt"])
    assert await store.delete(KEY) is True


OTHERS = [
    "readme.txt",
    f"{'a' * 64}.speech",
    f"!!/{'a' * 64}",
    f"!!/{'a' * 64}.flac",
    f"!!/{'A' * 64}.speech",
    f"!!/{'a' * 63}.speech",
    f"!!/sub/{'a' * 64}.speech",
    f"~/{'a' * 64}.speech",
    f"Upper/{'a' * 64}.speech",
    f"a.b/{'a' * 64}.speech",
    f"!!/{'a' * 64}.speech.bak",
]


async def test_what_is_not_ours_is_left_alone(bucket: Bucket) -> None:
    """Other objects beside ours are neither listed nor counted nor cleared."""
    objects = bucket.client()
    for name in OTHERS:
        await objects.put_async(name, b"something else")
    store = ObjectStoreCacheBackend(bucket.url(), **PATIENT, **KEYS)
    keys = [make_key("x", namespace) for namespace in ("", "Upper", "a.b")]
    for key in keys:
        await store.set(key, SPOKEN)
    assert (3, 3) == ((stats := await store.get_stats())["entries"], stats["namespaces"])
    assert sorted(keys) == sorted([entry.key async for entry in store.entries()])
    assert await store.clear("") == 1
    assert await store.clear() == 2
    assert sorted(OTHERS) == await names(objects)


async def test_an_object_with_an_impossible_name_is_said(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    """obstore cannot list some names; that is told, and look-ups go on."""
    store = ObjectStoreCacheBackend(bucket.url("tts"), **PATIENT, **KEYS)
    await store.set(KEY, SPOKEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", bucket.port)
    head = f"PUT /{bucket.name}/tts/a//b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: 1\r\n\r\nx".encode())
    assert b" 200 " in await reader.read()
    writer.close()
    for _ in range(4):
        with pytest.raises(BackendError, match="give the store a prefix of its own"):
            await store.clear()
    assert SPOKEN == await store.get(KEY)
    assert "closed" == (await store.get_stats())["breaker"]


@pytest.mark.parametrize(
    "digest", ["", "x", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"]
)
async def test_a_digest_that_is_none_is_refused(
    store: ObjectStoreCacheBackend, digest: str
) -> None:
    """No key leads out of its folder."""
    for call in (store.get, store.exists, store.delete):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            await call(CacheKey("", digest))
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        await store.set(CacheKey("", digest), SPOKEN)


async def test_folders_of_namespaces_can_be_told_from_others() -> None:
    """Whatever a namespace is, its folder is found when the bucket is listed."""
    store = ObjectStoreCacheBackend("memory:///", **PATIENT)
    namespaces = [*NAMESPACES, *map(chr, range(256)), "~", "~a", "-", "." * 200]
    for namespace in namespaces:
        await store.set(make_key("x", namespace), make_utterance(num_bytes=2))
    folders = {folder_name(namespace) for namespace in namespaces}
    assert len(folders) == len(set(namespaces)) == await store.clear()
    assert all(re.fullmatch("[a-z0-9_!-]+", each) for each in folders)  # all that Supabase takes


def test_the_folder_of_a_long_namespace_is_nobody_elses() -> None:
    """No namespace can be chosen so that it shares the folder of one that is too long to spell."""
    for length in range(10_000, 10_050):
        digest = hashlib.sha256(b"a" * length).hexdigest()
        chosen = chr(int(digest[:2], 16)) + digest[2:]
        assert folder_name("a" * length) != folder_name(chosen)
        assert folder_name("a" * length) == f"!!{digest}"


# How it counts


async def test_statistics_do_not_list_a_million(
    objects: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound objects are not counted, and that is said."""
    monkeypatch.setattr("pipecat_tts_cache.backends.object_store.listing.PAGE", 5)
    monkeypatch.setattr("pipecat_tts_cache.backends.object_store.listing.MAX_COUNTED", 20)
    store = ObjectStoreCacheBackend(store=objects, **PATIENT)
    for i in range(20):
        await store.set(make_key(str(i)), SPOKEN)
    stats = await store.get_stats()
    size = sum([len(await read(objects, name)) for name in await names(objects)])
    assert (20, True, size) == (stats["entries"], stats["entries_complete"], stats["bytes"])
    for i in range(20, 50):
        await store.set(make_key(str(i)), SPOKEN)
    stats = await store.get_stats()
    assert (20, False, True) == (stats["entries"], stats["entries_complete"], stats["available"])
    assert 50 == len([entry async for entry in store.entries()])
    assert await store.clear() == 50


async def test_what_cannot_be_written_is_refused(store: ObjectStoreCacheBackend) -> None:
    """An utterance that no file can hold is not kept, and what was there stays."""
    await store.set(KEY, SPOKEN)
    for changes in ({"text": "x" * 1_100_000}, {"audio": b""}, {"text": "\ud83d\ude00"}):
        assert await store.set(KEY, replace(SPOKEN, **changes)) is False
    assert SPOKEN == await store.get(KEY)
    assert 3 == (await store.get_stats())["refused"]


async def test_samples_come_back_to_the_bit(store: ObjectStoreCacheBackend) -> None:
    """A hit replays the provider's own samples, whatever the rate."""
    for rate in (8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000):
        utterance: Utterance = replace(SPOKEN, sample_rate=rate)
        await store.set(KEY, utterance)
        assert utterance == await store.get(KEY)
