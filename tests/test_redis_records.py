#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the Redis store keeps of an utterance, and what it tells of it."""

import math
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.servers import Server, server, shared_server

__all__ = ["server", "shared_server"]


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisCacheBackend]:
    async with RedisCacheBackend(server.url, timeout=5, write_timeout=5) as store:
        yield store


def entry_of(name: str) -> str:
    """The key on the server of an entry in the namespace without a name."""
    return f"pipecat:tts:e::{make_key(name).digest}"


def voice(seconds: float = 1.0) -> Utterance:
    """An utterance that a lossless codec makes smaller."""
    samples = [round(9000 * math.sin(i / 20) * math.sin(i / 3000)) for i in range(24000)]
    audio = struct.pack("<24000h", *samples)
    return replace(make_utterance(), audio=audio[: round(48_000 * seconds)])


# Codecs


@pytest.mark.parametrize(
    ("codec", "kind", "most"), [("flac", 1, 0.7), ("raw", 0, 1.1), ("opus", 2, 0.5)]
)
async def test_audio_is_kept_in_the_codec(
    server: Server, codec: Codec, kind: int, most: float
) -> None:
    """What is on the server is as large as the codec makes it, and lossless is to the sample."""
    async with RedisCacheBackend(server.url, codec=codec, timeout=5, write_timeout=5) as store:
        await store.set(make_key("x"), voice())
        record = await server.ask("GET", entry_of("x"))
        assert kind == record[5]
        assert len(record) < most * 48_000
        found = await store.get(make_key("x"))
        assert found is not None
        assert (codec != "opus") == (found == voice())
        (entry,) = [entry async for entry in store.entries()]
        assert (codec, len(record), 1.0) == (entry.codec, entry.size, entry.duration)


async def test_flac_is_the_default(store: RedisCacheBackend, server: Server) -> None:
    """Audio is made smaller without loss unless one says otherwise."""
    await store.set(make_key("x"), voice())
    assert 1 == (await server.ask("GET", entry_of("x")))[5]


async def test_stores_read_each_others_codecs(store: RedisCacheBackend, server: Server) -> None:
    """Which codec a store writes makes no difference to what it reads."""
    async with RedisCacheBackend(server.url, codec="raw", timeout=5, write_timeout=5) as raw:
        await store.set(make_key("x"), voice())
        await raw.set(make_key("y"), voice())
        assert voice() == await raw.get(make_key("x")) == await store.get(make_key("y"))


@pytest.mark.parametrize("codec", ["mp3", None, 1])
def test_no_other_codec(codec: Codec) -> None:
    """A codec that there is not is refused in words."""
    with pytest.raises(ValueError, match="codec must be 'raw', 'flac' or 'opus'"):
        RedisCacheBackend(codec=codec)


# Listing


async def test_what_cannot_be_described_is_passed_over(
    store: RedisCacheBackend, server: Server
) -> None:
    """Damaged, newer, evicted, expired and foreign records do not end a listing."""
    for name in ("damaged", "empty", "newer", "evicted", "foreign", "good"):
        await store.set(make_key(name), voice(0.1))
    await store.set(make_key("expired"), voice(0.1), ttl=0.001)
    await server.ask("SET", entry_of("damaged"), "PTTS?")
    await server.ask("SET", entry_of("empty"), "")
    await server.ask("SETRANGE", entry_of("newer"), 4, b"\xff")
    await server.ask("DEL", entry_of("evicted"), entry_of("foreign"))
    await server.ask("RPUSH", entry_of("foreign"), "x")
    assert [make_key("good")] == [entry.key async for entry in store.entries()]


async def test_expiry_is_told_in_wall_time(server: Server) -> None:
    """What expires is listed with when it does, by the wall clock; what does not, without."""
    async with RedisCacheBackend(server.url, timeout=5, wall_clock=lambda: 1000.0) as store:
        await store.set(make_key("x"), voice(0.1), ttl=500)
        await store.set(make_key("y"), voice(0.1))
        told = {entry.key: entry.expires_at async for entry in store.entries()}
    assert told[make_key("x")] == pytest.approx(1500, abs=60)
    assert told[make_key("y")] is None


async def test_a_listing_transfers_no_audio(store: RedisCacheBackend, server: Server) -> None:
    """Of each record only the beginning crosses the network."""
    for i in range(20):
        await store.set(make_key(str(i)), make_utterance(i, num_bytes=500_000))
    before = (await server.ask("INFO", "stats"))["total_net_output_bytes"]
    assert 20 == len([entry async for entry in store.entries()])
    after = (await server.ask("INFO", "stats"))["total_net_output_bytes"]
    assert after - before < 500_000


async def test_a_namespace_that_shrinks_is_listed_without_repetition(
    store: RedisCacheBackend,
) -> None:
    """Redis may go over the same ground twice when an index shrinks: what stays is listed once."""
    keys = [make_key(str(i)) for i in range(3000)]
    for key in keys:
        await store.set(key, make_utterance(num_bytes=2))
    seen = []
    async for entry in store.entries():
        seen.append(entry.key)
        if len(seen) == 1000:
            gone = [key for key in keys[:2900] if key not in set(seen)]
            for start in range(0, len(gone), 256):
                await store.delete_many(gone[start : start + 256])
    assert len(seen) == len(set(seen))
    assert set(keys[2900:]) <= set(seen)


# Peeking and deleting


async def test_a_peek_is_not_counted(store: RedisCacheBackend, server: Server) -> None:
    """Peeking is neither a hit nor a miss; a damaged record heals all the same."""
    await store.set(make_key("x"), voice())
    assert voice() == await store.peek(make_key("x"))
    assert await store.peek(make_key("y")) is None
    await server.ask("SETRANGE", entry_of("x"), 100, b"????")
    assert await store.peek(make_key("x")) is None
    stats = await store.get_stats()
    assert (0, 0, 1, 0) == tuple(stats[name] for name in ("hits", "misses", "corrupt", "entries"))


async def test_many_are_deleted_in_a_few_commands(store: RedisCacheBackend, server: Server) -> None:
    """A thousand keys of two namespaces take a few commands, however often each is named."""
    keys = [make_key(str(i), f"n{i % 2}") for i in range(1000)]
    for key in keys:
        await store.set(key, make_utterance(num_bytes=2))
    await server.ask("CONFIG", "RESETSTAT")
    assert 1000 == await store.delete_many([*keys, *keys])
    stats = await server.ask("INFO", "commandstats")
    assert 2 * 4 == stats["cmdstat_unlink"]["calls"]
    assert 0 == (await store.get_stats())["entries"]


# One round trip


async def test_a_write_is_all_or_nothing(store: RedisCacheBackend, server: Server) -> None:
    """Entry and index are written in one transaction, along with the word of it."""
    await server.ask("CONFIG", "RESETSTAT")
    await store.set(make_key("x"), make_utterance(), ttl=60)
    stats = await server.ask("INFO", "commandstats")
    used = {name: stats[f"cmdstat_{name}"]["calls"] for name in ("multi", "exec", "set", "publish")}
    assert {"multi": 1, "exec": 1, "set": 1, "publish": 1} == used
    assert 2 == stats["cmdstat_zadd"]["calls"]
    before = time.time()
    assert before + 50 < float(await server.ask("ZSCORE", "pipecat:tts:i:", make_key("x").digest))
