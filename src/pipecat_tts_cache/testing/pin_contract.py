#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a store promises of pinned utterances, if it says that it `keeps_pins`."""

# ruff: noqa: S101 - these are tests

from dataclasses import replace
from typing import ClassVar

import pytest

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.inventory import Selection, copy_store, delete_text, purge
from pipecat_tts_cache.testing.samples import make_key, make_utterance

_KEY = make_key("line", "bot")
_PINNED = replace(make_utterance(1), pinned=True)
_SYNTHESIS = make_utterance(2)


@pytest.mark.asyncio
class PinContract:
    """The part of `StoreContract` that is about pins. A store that keeps none skips it."""

    short_ttl: ClassVar[float]

    async def advance(self, seconds: float) -> None:
        """Let time pass for the store.

        Args:
            seconds: How long.
        """
        raise NotImplementedError

    async def test_what_is_pinned_says_so(self, backend: CacheBackend) -> None:
        """A peek returns all of it, a look-up what is heard, and a listing tells it from others."""
        self._needs_pins(backend)
        assert await backend.set(_KEY, _PINNED) is True
        assert await backend.set(make_key("other"), _SYNTHESIS) is True
        assert await backend.peek(_KEY) == _PINNED
        await self._is_heard(backend)
        listed = {entry.key: entry.pinned async for entry in backend.entries()}
        assert listed == {_KEY: True, make_key("other"): False}

    async def test_what_is_pinned_never_expires(self, backend: CacheBackend) -> None:
        """A time to live does not count, nor do uses, sweeps and listings bring one about."""
        self._needs_pins(backend)
        await backend.set(_KEY, replace(_PINNED, expires_at=1.0), ttl=self.short_ttl)
        for _ in range(2):
            await self.advance(1.5 * self.short_ttl)
            await backend.sweep()
            await self._is_heard(backend)
        (entry,) = [entry async for entry in backend.entries()]
        assert (entry.pinned, entry.expires_at) == (True, None)
        assert (await backend.get_stats())["entries"] == 1

    async def test_synthesis_does_not_replace_what_is_pinned(self, backend: CacheBackend) -> None:
        """Speech that comes late, or anew, is refused, whatever its size or time to live."""
        self._needs_pins(backend)
        await backend.set(_KEY, _PINNED)
        assert await backend.set(_KEY, _SYNTHESIS) is False
        assert await backend.set(_KEY, make_utterance(num_bytes=2), ttl=self.short_ttl) is False
        await self._is_heard(backend)
        await self.advance(1.5 * self.short_ttl)
        await self._is_heard(backend)
        assert await backend.peek(_KEY) == _PINNED
        assert (await backend.get_stats())["entries"] == 1

    async def test_a_pin_replaces_anything(self, backend: CacheBackend) -> None:
        """It takes the place of synthesis, with its time to live, and of another pin."""
        self._needs_pins(backend)
        await backend.set(_KEY, _SYNTHESIS, ttl=self.short_ttl)
        assert await backend.set(_KEY, replace(make_utterance(3), pinned=True)) is True
        assert await backend.set(_KEY, _PINNED) is True
        await self.advance(1.5 * self.short_ttl)
        await self._is_heard(backend)
        assert (await backend.get_stats())["entries"] == 1

    async def test_what_is_pinned_is_removed_as_asked(self, backend: CacheBackend) -> None:
        """Whoever deletes it, clears the store or erases its text gets rid of it."""
        self._needs_pins(backend)
        await backend.set(_KEY, _PINNED)
        assert await backend.delete(_KEY) is True
        assert await backend.set(_KEY, _SYNTHESIS) is True
        assert await backend.get(_KEY) == _SYNTHESIS
        for namespace in ("bot", None):
            await backend.set(_KEY, _PINNED)
            assert await backend.clear(namespace) == 1
            assert await backend.exists(_KEY) is False
        await backend.set(_KEY, _PINNED)
        assert (await delete_text(backend, _PINNED.text or "")).entries == 1
        assert await backend.exists(_KEY) is False

    async def test_a_purge_passes_over_what_is_pinned(self, backend: CacheBackend) -> None:
        """It goes only where the selection says so; the rest goes as ever."""
        self._needs_pins(backend)
        await backend.set(_KEY, _PINNED)
        await backend.set(make_key("other", "bot"), _SYNTHESIS)
        done = await purge(backend, Selection(namespace="bot"))
        assert (done.entries, done.spared) == (1, 1)
        assert await backend.exists(_KEY) is True
        assert (await purge(backend, Selection(pinned=True))).entries == 1
        assert await backend.exists(_KEY) is False

    async def test_a_copy_of_a_store_keeps_its_pins(self, backend: CacheBackend) -> None:
        """What is copied out and back in is pinned as before."""
        from pipecat_tts_cache.backends.memory import MemoryCacheBackend  # noqa: PLC0415

        self._needs_pins(backend)
        await backend.set(_KEY, _PINNED)
        other = MemoryCacheBackend()
        assert (await copy_store(backend, other)).copied == 1
        await backend.clear()
        assert (await copy_store(other, backend)).copied == 1
        assert await backend.peek(_KEY) == _PINNED
        assert await backend.set(_KEY, _SYNTHESIS) is False

    async def _is_heard(self, backend: CacheBackend) -> None:
        found = await backend.get(_KEY)
        assert found is not None
        assert found.audio == _PINNED.audio

    def _needs_pins(self, backend: CacheBackend) -> None:
        if not backend.keeps_pins:
            pytest.skip("this store does not say that it keeps pins")
