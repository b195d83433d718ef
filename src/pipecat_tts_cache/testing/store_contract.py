#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What every store promises, as tests that any store can run.

Subclass `StoreContract` in a test module and give it a fixture named ``backend``, an empty store::

    import pytest_asyncio
    from pipecat_tts_cache.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest_asyncio.fixture
        async def backend(self, tmp_path):
            async with MyStore(tmp_path) as store:
                yield store

A store with a clock of its own to turn overrides `advance`, so that nothing waits; one that counts
time in whole seconds sets `short_ttl` to 1; one that refuses what is too large sets `oversize`.
"""

# ruff: noqa: S101, PLR2004 - these are tests

import asyncio
import json
import time
from dataclasses import replace
from itertools import product
from typing import ClassVar

import pytest

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.testing.pin_contract import PinContract
from pipecat_tts_cache.testing.samples import NAMESPACES, make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance, Word

__all__ = ["NAMESPACES", "StoreContract", "make_key", "make_utterance"]


@pytest.mark.asyncio
class StoreContract(PinContract):
    """What every store promises. Subclasses give a fixture named ``backend``."""

    short_ttl: ClassVar[float] = 0.1
    """A time to live that the store tells from no time at all, in seconds."""

    oversize: ClassVar[Utterance | None] = None
    """An utterance that the store refuses, if there is one."""

    async def advance(self, seconds: float) -> None:
        """Let time pass for the store.

        Args:
            seconds: How long.
        """
        await asyncio.sleep(seconds)

    async def test_an_empty_store_holds_nothing(self, backend: CacheBackend) -> None:
        """What was never stored is a miss, does not exist and cannot be removed."""
        key = make_key()
        assert await backend.get(key) is None
        assert await backend.exists(key) is False
        assert await backend.delete(key) is False
        assert await backend.clear("nobody") == 0
        assert await backend.clear() == 0
        assert (await backend.get_stats())["entries"] == 0

    async def test_what_is_stored_comes_back(self, backend: CacheBackend) -> None:
        """An utterance comes back under its key, as often as it is asked for."""
        key, utterance = make_key(), make_utterance()
        assert await backend.set(key, utterance) is True
        assert await backend.get(key) == utterance
        assert await backend.get(key) == utterance
        assert await backend.exists(key) is True

    async def test_everything_survives_to_the_bit(self, backend: CacheBackend) -> None:
        """Every field comes back as it was, with its type, and every sample value."""
        utterance = Utterance(
            audio=b"".join(i.to_bytes(2, "little") for i in range(65536)),
            sample_rate=44100,
            num_channels=2,
            words=(
                Word("\N{PARROT} Hello", 0.0),
                Word("你", 0.1 + 0.2, carries_spaces=True),
                Word("", 1e-9),
                Word("lone \ud800", 2.5, carries_spaces=True),
            ),
            seal=make_key().seal,
            created_at=1_767_225_600.123_456,
            text="Zero \x00, lone \ud800, line\r\n, e\N{COMBINING ACUTE ACCENT}",
            service="SomeTTSService",
            voice="",
            model=None,
        )
        await backend.set(make_key(), utterance)
        found = await backend.get(make_key())
        assert found is not None
        assert found == utterance
        assert type(found.audio) is bytes
        assert all(type(word) is Word for word in found.words)
        assert [type(word.carries_spaces) for word in found.words] == [bool] * 4

    @pytest.mark.parametrize("num_bytes", [2, 5 * 1024 * 1024])
    async def test_any_length_is_kept(self, backend: CacheBackend, num_bytes: int) -> None:
        """One sample comes back, and so do 5 MB."""
        utterance = make_utterance(num_bytes=num_bytes)
        assert await backend.set(make_key(), utterance) is True
        assert await backend.get(make_key()) == utterance

    async def test_the_last_one_stored_counts(self, backend: CacheBackend) -> None:
        """A second utterance takes the place of the first, longer or shorter."""
        key = make_key()
        for seed, num_bytes in enumerate((4800, 9600, 2)):
            utterance = make_utterance(seed, num_bytes=num_bytes)
            await backend.set(key, utterance)
            assert await backend.get(key) == utterance
        assert (await backend.get_stats())["entries"] == 1

    async def test_keys_are_kept_apart(self, backend: CacheBackend) -> None:
        """Keys that differ in digest or namespace hold different utterances."""
        keys = [make_key(name, namespace) for name in "xyz" for namespace in ("", "a", "b")]
        for seed, key in enumerate(keys):
            await backend.set(key, make_utterance(seed))
        for seed, key in enumerate(keys):
            assert await backend.get(key) == make_utterance(seed)

    async def test_delete_removes_one(self, backend: CacheBackend) -> None:
        """Only what was deleted is gone, and it can be stored again."""
        key, other = make_key("x"), make_key("y")
        await backend.set(key, make_utterance(1))
        await backend.set(other, make_utterance(2))
        assert await backend.delete(key) is True
        assert await backend.get(key) is None
        assert await backend.exists(key) is False
        assert await backend.delete(key) is False
        assert await backend.get(other) == make_utterance(2)
        assert (await backend.get_stats())["entries"] == 1
        await backend.set(key, make_utterance(3))
        assert await backend.get(key) == make_utterance(3)

    async def test_time_to_live(self, backend: CacheBackend) -> None:
        """After its time an utterance is gone for every method, and others are not."""
        key, other = make_key("x"), make_key("y")
        await backend.set(key, make_utterance(), ttl=self.short_ttl)
        await backend.set(other, make_utterance())
        await self.advance(1.5 * self.short_ttl)
        assert await backend.get(key) is None
        assert await backend.exists(key) is False
        assert await backend.delete(key) is False
        assert (await backend.get_stats())["entries"] == 1
        assert await backend.clear() == 1

    async def test_before_its_time_nothing_expires(self, backend: CacheBackend) -> None:
        """A long time to live does not end early."""
        await backend.set(make_key(), make_utterance(), ttl=1e6)
        await self.advance(1.5 * self.short_ttl)
        assert await backend.get(make_key()) == make_utterance()
        assert await backend.exists(make_key()) is True

    async def test_use_does_not_lengthen_life(self, backend: CacheBackend) -> None:
        """Neither a look-up nor a probe extends the time to live."""
        key = make_key()
        await backend.set(key, make_utterance(), ttl=self.short_ttl)
        for _ in range(4):
            await backend.get(key)
            await backend.exists(key)
            await self.advance(0.4 * self.short_ttl)
        assert await backend.get(key) is None

    async def test_the_last_time_to_live_counts(self, backend: CacheBackend) -> None:
        """Storing again replaces the time to live: for ever lasts, a short one ends."""
        key, other = make_key("x"), make_key("y")
        await backend.set(key, make_utterance(1), ttl=self.short_ttl)
        await backend.set(key, make_utterance(2))
        await backend.set(other, make_utterance(3))
        await backend.set(other, make_utterance(4), ttl=self.short_ttl)
        await self.advance(1.5 * self.short_ttl)
        assert await backend.get(key) == make_utterance(2)
        assert await backend.get(other) is None

    async def test_namespaces_cannot_leak(self, backend: CacheBackend) -> None:
        """Whatever characters they hold, namespaces are read and cleared apart."""
        for seed, namespace in enumerate(NAMESPACES):
            await backend.set(make_key("x", namespace), make_utterance(seed))
        for seed, namespace in enumerate(NAMESPACES):
            assert await backend.get(make_key("x", namespace)) == make_utterance(seed)
        for cleared, namespace in enumerate(NAMESPACES, start=1):
            assert await backend.clear(namespace) == 1
            there = [await backend.exists(make_key("x", other)) for other in NAMESPACES]
            assert there == [False] * cleared + [True] * (len(NAMESPACES) - cleared)

    async def test_clear_counts(self, backend: CacheBackend) -> None:
        """Clearing returns how many went, of a namespace or of all, however many there are."""
        for i in range(600):
            await backend.set(make_key(str(i), "many"), make_utterance(num_bytes=2))
        for i in range(7):
            await backend.set(make_key(str(i), "few"), make_utterance(num_bytes=2))
        await backend.set(make_key("x"), make_utterance(num_bytes=2))
        assert (await backend.get_stats())["entries"] == 608
        assert await backend.clear("many") == 600
        assert await backend.clear("many") == 0
        assert (await backend.get_stats())["entries"] == 8
        assert await backend.clear() == 8
        assert (await backend.get_stats())["entries"] == 0
        assert await backend.exists(make_key("x")) is False

    async def test_statistics_are_plain(self, backend: CacheBackend) -> None:
        """Statistics can be written as JSON, and count the entries."""
        await backend.set(make_key(), make_utterance())
        stats = await backend.get_stats()
        assert json.loads(json.dumps(stats)) == stats
        assert stats["entries"] == 1

    async def test_many_at_once(self, backend: CacheBackend) -> None:
        """A hundred calls at a time get each their own."""
        keys = [make_key(str(i), f"namespace {i % 3}") for i in range(100)]
        utterances = [make_utterance(i) for i in range(100)]
        await asyncio.gather(*map(backend.set, keys, utterances))
        assert await asyncio.gather(*map(backend.get, keys)) == utterances
        assert sorted(await asyncio.gather(*map(backend.delete, keys))) == [True] * 100
        assert await backend.clear() == 0

    async def test_one_key_written_by_many_is_whole(self, backend: CacheBackend) -> None:
        """Of many that write one key at once, one wins, whole, and counts once."""
        utterances = [make_utterance(i, num_bytes=2000 * (i + 1)) for i in range(20)]
        await asyncio.gather(*(backend.set(make_key(), each) for each in utterances))
        assert await backend.get(make_key()) in utterances
        assert (await backend.get_stats())["entries"] == 1
        assert await backend.clear() == 1

    async def test_clear_misses_nothing_while_others_write(self, backend: CacheBackend) -> None:
        """What was written while the store was being cleared can be found, and cleared."""
        keys = [make_key(str(i), f"namespace {i % 3}") for i in range(60)]
        writes = [backend.set(key, make_utterance(num_bytes=2)) for key in keys]
        await asyncio.gather(*writes[:20], backend.clear("namespace 1"), *writes[20:40])
        await asyncio.gather(backend.clear(), *writes[40:], backend.clear())
        left = sum([await backend.exists(key) for key in keys])
        assert await backend.clear() == left
        assert [await backend.exists(key) for key in keys] == [False] * 60

    async def test_a_cancelled_call_harms_no_other(self, backend: CacheBackend) -> None:
        """After calls were cancelled at any moment, the next ones get what they ask for."""
        keys = [make_key(str(i)) for i in range(10)]
        for seed, key in enumerate(keys):
            await backend.set(key, make_utterance(seed, num_bytes=200_000))
        for turns in range(30):
            calls = [asyncio.ensure_future(backend.get(key)) for key in keys]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            found = await backend.get(keys[turns % 10])
            assert found == make_utterance(turns % 10, num_bytes=200_000)

    async def test_what_is_too_large_is_refused(self, backend: CacheBackend) -> None:
        """A refusal is told, and neither keeps the utterance nor drops others."""
        if self.oversize is None:
            pytest.skip("this store names nothing that it refuses")
        await backend.set(make_key("x"), make_utterance())
        assert await backend.set(make_key("y"), self.oversize) is False
        assert await backend.get(make_key("y")) is None
        assert await backend.get(make_key("x")) == make_utterance()

    async def test_entries_are_listed(self, backend: CacheBackend) -> None:
        """Everything is listed once, of a namespace or of all, as it was stored."""
        self._needs_entries(backend)
        there = {
            make_key(name, namespace): make_utterance(seed)
            for seed, (name, namespace) in enumerate(product("xy", NAMESPACES))
        }
        for key, utterance in there.items():
            await backend.set(key, utterance)
        listed = [entry async for entry in backend.entries()]
        assert sorted(there) == sorted(entry.key for entry in listed)
        for entry in listed:
            utterance = there[entry.key]
            assert (utterance.text, utterance.duration) == (entry.text, entry.duration)
            assert entry.size > 0
        for namespace in NAMESPACES:
            mine = [entry.key async for entry in backend.entries(namespace)]
            assert sorted(mine) == sorted(key for key in there if key.namespace == namespace)

    async def test_an_entry_describes_its_utterance(self, backend: CacheBackend) -> None:
        """Whatever is known of an utterance but its audio is told; what has expired is not."""
        self._needs_entries(backend)
        utterance = replace(
            make_utterance(num_bytes=48_000),
            created_at=1_767_225_600.25,
            words=tuple(Word(f"word {i}", 0.001 * i) for i in range(900)),
            text="Zero \x00, lone \ud800, 客户",
            text_digest="ab" * 32,
            service="SomeTTSService",
            voice="anna",
            model="",
        )
        await backend.set(make_key("x", "n"), utterance, ttl=1e6)
        await backend.set(make_key("y", "n"), make_utterance(), ttl=self.short_ttl)
        await self.advance(1.5 * self.short_ttl)
        (entry,) = [entry async for entry in backend.entries("n")]
        assert make_key("x", "n") == entry.key
        assert (entry.duration, entry.sample_rate, entry.num_channels) == (1.0, 24000, 1)
        assert utterance.created_at == entry.created_at
        assert (utterance.text, utterance.text_digest) == (entry.text, entry.text_digest)
        assert (entry.service, entry.voice, entry.model) == ("SomeTTSService", "anna", "")
        assert entry.expires_at is not None
        assert abs(entry.expires_at - time.time() - 1e6) < 600
        assert entry.size > 0

    async def test_listing_while_others_write_and_remove(self, backend: CacheBackend) -> None:
        """What stays is listed once, whatever comes and goes meanwhile."""
        self._needs_entries(backend)
        for i in range(300):
            await backend.set(make_key(str(i)), make_utterance(num_bytes=2))
        seen: list[CacheKey] = []
        async for entry in backend.entries():
            seen.append(entry.key)
            if len(seen) % 20 == 0:
                await backend.set(make_key(f"new {len(seen)}"), make_utterance(num_bytes=2))
                await backend.delete(make_key(str(len(seen))))
        stay = {make_key(str(i)) for i in range(300) if i % 20}
        assert stay <= set(seen)
        assert len(set(seen)) == len(seen)

    async def test_a_listing_can_be_left(self, backend: CacheBackend) -> None:
        """Whoever stops in the middle of a listing holds up nothing."""
        self._needs_entries(backend)
        for i in range(50):
            await backend.set(make_key(str(i)), make_utterance(num_bytes=2))
        listing = backend.entries()
        async for _ in listing:
            break
        assert await backend.clear() == 50
        await backend.set(make_key(), make_utterance())
        assert await backend.get(make_key()) == make_utterance()

    async def test_a_peek_is_no_use(self, backend: CacheBackend) -> None:
        """A peek returns what is there, and neither listing nor peeking counts as a use."""
        self._needs_entries(backend)
        assert await backend.peek(make_key()) is None
        await backend.set(make_key(), make_utterance())
        before = [entry async for entry in backend.entries()]
        await self.advance(1.5 * self.short_ttl)
        assert await backend.peek(make_key()) == make_utterance()
        after = [entry async for entry in backend.entries()]
        assert [(e.uses, e.last_used_at) for e in before] == [
            (e.uses, e.last_used_at) for e in after
        ]

    async def test_some_are_deleted_at_once(self, backend: CacheBackend) -> None:
        """Of many keys, those that hold something are removed and counted once."""
        keys = [make_key(str(i), f"namespace {i % 3}") for i in range(9)]
        for key in keys[:6]:
            await backend.set(key, make_utterance())
        assert await backend.delete_many(keys[3:] + keys[5:]) == 3
        assert await backend.delete_many([]) == 0
        assert [await backend.exists(key) for key in keys] == [True] * 3 + [False] * 6

    async def test_a_sweep_leaves_what_has_not_expired(self, backend: CacheBackend) -> None:
        """It counts no more than there were, and nothing is found that was not before."""
        for i in range(5):
            await backend.set(make_key(str(i)), make_utterance(), ttl=self.short_ttl)
        await backend.set(make_key("x", "n"), make_utterance(), ttl=1e6)
        await backend.set(make_key("y"), make_utterance())
        assert await backend.sweep() == 0
        await self.advance(1.5 * self.short_ttl)
        assert 0 <= await backend.sweep() <= 5
        assert await backend.sweep("n") == 0
        assert await backend.exists(make_key("x", "n"))
        assert await backend.exists(make_key("y"))
        assert not await backend.exists(make_key("1"))

    def _needs_entries(self, backend: CacheBackend) -> None:
        if type(backend).entries is CacheBackend.entries:
            pytest.skip("this store does not list what it keeps")

    async def test_close_twice(self, backend: CacheBackend) -> None:
        """Closing a store that is closed does no harm, used or not."""
        async with backend as entered:
            assert entered is backend
            await backend.set(make_key(), make_utterance())
        await backend.close()
        await backend.close()
