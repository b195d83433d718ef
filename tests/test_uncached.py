#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""On a Pipecat that the mixin cannot even be imported on, bot code that uses it goes on working."""

import pytest

from pipecat_tts_cache import Line, MemoryCacheBackend, UncacheableError
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.uncached import _Uncached


class Tts(_Uncached):
    """A service behind what stands in for the mixin."""


def test_it_has_all_that_a_bot_may_ask_of_the_cache() -> None:
    """Whatever the mixin offers is there, or a bot would fail in the middle of a call."""
    offered = {name for name in vars(CacheControls) if not name.startswith("_")}
    assert set() == {name for name in offered if name != "cache_enabled" and not hasattr(Tts, name)}


async def test_it_does_nothing_and_says_so() -> None:
    """Nothing is prepared, kept back or pinned; what is asked for is checked nevertheless."""
    tts = Tts(cache_backend=MemoryCacheBackend())
    assert tts.cache_enabled is False
    for done in (await tts.warm(["Hello.", Line("Hi.")]), await tts.is_warm(["Hello.", "Hi."])):
        assert {"Hello.": ("pipecat_changed",), "Hi.": ("pipecat_changed",)} == done.failed
    tts.prefetch(["Hello."])
    tts.guard_values("Ada")
    tts.forget_guarded_values()
    with tts.cache_control(bypass=True):
        assert [] == tts.get_top_misses()
    assert 1 == (await tts.get_cache_stats())["prefetch_dropped"]
    for asked in (tts.pin("Hello.", b""), tts.unpin("Hello.")):
        with pytest.raises(UncacheableError, match="nothing is cached on this Pipecat"):
            await asked
    with pytest.raises(TypeError):
        tts.cache_control(bypass="yes")
    with pytest.raises(TypeError):
        tts.guard_values(5)  # type: ignore[arg-type]
