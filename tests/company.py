#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services by the dozen, for what makes its own, in no time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached_scripted import CACHED_SCRIPTED


@pytest.fixture(autouse=True)
async def no_time() -> AsyncIterator[None]:
    """Waiting takes no time."""
    async with simulated_time():
        yield


def make(kind: str = "overlapping", provider: Provider | None = None, **options: Any) -> Any:
    """Make a service with a store of its own."""
    settings = TTSSettings(model="scripted", voice="anna", language=None)
    options = {"cache_backend": MemoryCacheBackend(), "settings": settings, **options}
    return CACHED_SCRIPTED[kind](provider or Provider(), **options)


def stored_by(tts: Any) -> MemoryCacheBackend:
    """Return the store of a service."""
    backend: MemoryCacheBackend = tts._tts_cache_book.options.backend
    return backend


class Company:
    """Makes services of one kind, all on one provider and one store."""

    def __init__(self, kind: str = "overlapping", **provider: Any) -> None:
        self.provider = Provider(**provider)
        self.store = MemoryCacheBackend()
        self.made: list[Any] = []
        self._kind = kind

    def __call__(self, voice: str = "anna", **options: Any) -> Any:
        settings = TTSSettings(model="scripted", voice=voice, language=None)
        options = {"cache_backend": self.store, "settings": settings, **options}
        self.made.append(CACHED_SCRIPTED[self._kind](self.provider, **options))
        return self.made[-1]
