#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services of one kind by the dozen, for what makes its own."""

from typing import Any

from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.provider import Provider
from tests.cached_scripted import CACHED_SCRIPTED


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
