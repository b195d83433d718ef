#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The scripted services behind the mixin, each with its profile."""

from dataclasses import replace

from pipecat_tts_cache import ServiceProfile, TTSCacheMixin
from pipecat_tts_cache.services import UNLISTED
from tests.scripted import (
    EndlessService,
    InlineService,
    InlineWordsService,
    InOrderService,
    OverlappingService,
    SharedClockService,
)

PROVIDER = frozenset({"provider"})
"""The scripted services are given an object that stands for the network."""


class CachedInline(TTSCacheMixin, InlineService):
    tts_cache_profile = replace(UNLISTED, neutral_arguments=PROVIDER)


class CachedInlineWords(TTSCacheMixin, InlineWordsService):
    tts_cache_profile = ServiceProfile(
        inline=True, fresh_state={"_cumulative_time": 0.0}, neutral_arguments=PROVIDER
    )


class CachedUnlistedWords(TTSCacheMixin, InlineWordsService):
    tts_cache_profile = replace(UNLISTED, neutral_arguments=PROVIDER)


class CachedOverlapping(TTSCacheMixin, OverlappingService):
    tts_cache_profile = ServiceProfile(inline=False, in_flight=2, neutral_arguments=PROVIDER)


class CachedSharedClock(TTSCacheMixin, SharedClockService):
    tts_cache_profile = ServiceProfile(
        inline=False,
        unreported_word=("_partial_word", "_partial_word_start_time"),
        neutral_arguments=PROVIDER,
    )


class CachedInOrder(TTSCacheMixin, InOrderService):
    tts_cache_profile = ServiceProfile(
        inline=False, in_flight=3, names_context=False, neutral_arguments=PROVIDER
    )


class CachedEndless(TTSCacheMixin, EndlessService):
    """Needs no profile: an unlisted service with a WebSocket is left alone."""


CACHED_SCRIPTED: dict[str, type[TTSCacheMixin]] = {
    "inline": CachedInline,
    "inline words": CachedInlineWords,
    "overlapping": CachedOverlapping,
    "shared clock": CachedSharedClock,
    "in order": CachedInOrder,
    "endless": CachedEndless,
    "unlisted words": CachedUnlistedWords,
}
"""A cached service of every kind, by the name of the kind."""

SCRIPTED_KINDS = [kind for kind in CACHED_SCRIPTED if kind not in ("endless", "unlisted words")]
"""Those that are not left alone, and have a profile of their own."""
