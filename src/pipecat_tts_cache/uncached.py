#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The mixin for a Pipecat that it cannot even be imported on: it takes the options, no more."""

import inspect
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import version
from typing import Any

from loguru import logger

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.checks import check_positive_int
from pipecat_tts_cache.control import CacheControl
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.guard import Guard
from pipecat_tts_cache.inventory import delete_text
from pipecat_tts_cache.options import checked_options
from pipecat_tts_cache.preparation.lines import Line, RankedLine, as_lines
from pipecat_tts_cache.preparation.outcomes import Outcome, Pinned, Warmed
from pipecat_tts_cache.statistics.stats import Bypass, CacheStats


@cache
def best_mixin() -> type:
    """Import the mixin, or make one that passes everything through.

    Returns:
        `TTSCacheMixin`, or a class with what users know of it.

    Raises:
        ImportError: If Pipecat is not installed.
    """
    try:
        from pipecat_tts_cache.mixin import TTSCacheMixin  # noqa: PLC0415
    except ImportError as error:
        if not (error.name or "").startswith("pipecat."):
            raise
        return type("TTSCacheMixin", (_Uncached,), _why(error))
    return TTSCacheMixin


def _why(error: ImportError) -> dict[str, str]:
    return {"_reason": str(error), "_version": version("pipecat-ai")}


class _Uncached:
    _reason = ""
    _version = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = inspect.signature(checked_options).parameters
        options = {name: kwargs.pop(name) for name in names if name in kwargs}
        self._tts_cache_backend: CacheBackend | None = options.get("cache_backend")
        self._tts_cache_stats = CacheStats()
        self.cache_enabled = False
        if self._tts_cache_backend is not None:
            logger.warning(
                f"TTS cache of {type(self).__name__}: Pipecat {self._version} is not as "
                f"the cache needs it: {self._reason}. Nothing is cached; the bot speaks as it does "
                f"without the cache. Install an older Pipecat, or a newer pipecat-tts-cache."
            )
        super().__init__(*args, **kwargs)

    def run_tts(self, *args: Any, **kwargs: Any) -> Any:
        self._tts_cache_stats.bypassed[Bypass.PIPECAT_CHANGED] += 1
        return super().run_tts(*args, **kwargs)  # type: ignore[misc]

    async def get_cache_stats(self) -> dict[str, Any]:
        return self._tts_cache_stats.as_dict(enabled=False, backend=None)

    async def clear_cache(self, namespace: str | None = None) -> int:
        backend = self._tts_cache_backend
        return await backend.clear(namespace) if backend is not None else 0

    async def delete_text(self, text: str) -> int:
        backend = self._tts_cache_backend
        return (await delete_text(backend, text)).entries if backend is not None else 0

    def get_top_misses(self, limit: int = 20) -> list[RankedLine]:
        check_positive_int("limit", limit)
        return []

    async def warm(self, lines: Iterable[str | Line], **_: Any) -> Warmed:
        reasons = (Bypass.PIPECAT_CHANGED.value,)
        outcomes = (Outcome(line=line, warm=False, reasons=reasons) for line in as_lines(lines))
        return Warmed(outcomes=tuple(outcomes))

    async def is_warm(self, lines: Iterable[str | Line], **_: Any) -> Warmed:
        return await self.warm(lines)

    def prefetch(self, lines: Iterable[str | Line], **_: Any) -> None:
        for _line in as_lines(lines):
            self._tts_cache_stats.prefetch_dropped += 1

    async def pin(self, *_: Any, **__: Any) -> Pinned:
        raise UncacheableError(f"nothing is cached on this Pipecat: {self._reason}")

    async def unpin(self, *_: Any, **__: Any) -> bool:
        raise UncacheableError(f"nothing is cached on this Pipecat: {self._reason}")

    def cache_control(self, **what: Any) -> AbstractContextManager[None]:
        CacheControl(**what)
        return nullcontext()

    def guard_values(self, *values: str) -> None:
        Guard().add(values)

    def forget_guarded_values(self) -> None:
        """There are none."""
