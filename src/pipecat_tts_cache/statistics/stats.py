#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Counters, and what they add up to."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import median, quantiles
from typing import Any

from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import OTHER, TAGS, SavingsLedger, known

_LOOKUPS_KEPT = 1000


class NotStored(StrEnum):
    """Why a sentence that was spoken live was not stored.

    Parameters:
        CONTROL: A `CacheControl` says so.
        DISABLED: The cache was switched off before the sentence ended.
        EMPTY: No audio came.
        ERROR: The service reported an error while the sentence was under way.
        FORMAT_CHANGED: The sample rate or the number of channels changed within the sentence, or
            made no sense.
        INTERRUPTED: An interruption, or the end of the pipeline, came first.
        JOINED: It was sent together with its neighbours, to stay within the provider's limits.
        NO_END: The service did not say that the sentence was complete.
        OTHER_FRAMES: The service put frames into the context that a replay would not have.
        PENDING_WRITES: Too many writes were waiting for the store.
        PERSONAL: It holds a value that the bot named as personal, a moment ago.
        RECONNECTED: The connection was replaced.
        REFUSED: The store refused it, for instance because it is larger than its bound.
        SETTINGS_CHANGED: Settings changed while it was under way.
        STORE_FAILED: The store failed or took too long.
        UNCERTAIN: On a service without ids, its audio cannot be told from a neighbour's that
            went wrong.
        WORDS: Its word times made no sense.
    """

    CONTROL = "control"
    DISABLED = "disabled"
    EMPTY = "empty"
    ERROR = "error"
    FORMAT_CHANGED = "format_changed"
    INTERRUPTED = "interrupted"
    JOINED = "joined"
    NO_END = "no_end"
    OTHER_FRAMES = "other_frames"
    PENDING_WRITES = "pending_writes"
    PERSONAL = "personal"
    RECONNECTED = "reconnected"
    REFUSED = "refused"
    SETTINGS_CHANGED = "settings_changed"
    STORE_FAILED = "store_failed"
    UNCERTAIN = "uncertain"
    WORDS = "words"


class Bypass(StrEnum):
    """Why a text was neither looked up nor stored.

    Parameters:
        CONTROL: A `CacheControl` says so.
        DISABLED: The cache is switched off.
        END_UNKNOWN: The service does not say when a sentence is complete.
        NO_KEY: Something that shapes the audio has no canonical form.
        PERSONAL: It holds a value that the bot has named as personal.
        PIPECAT_CHANGED: Pipecat, or the service, has changed so that the mixin steps aside.
        SCOPE: An LLM turn, with `cache_scope="speak"`.
        SHOULD_CACHE: The predicate refused it.
        TOKENS: The service is sent tokens, not sentences.
        UNSUITABLE_MOMENT: A service without ids is busy with speech that is not cached.
    """

    CONTROL = "control"
    DISABLED = "disabled"
    END_UNKNOWN = "end_unknown"
    NO_KEY = "no_key"
    PERSONAL = "personal"
    PIPECAT_CHANGED = "pipecat_changed"
    SCOPE = "scope"
    SHOULD_CACHE = "should_cache"
    TOKENS = "tokens"
    UNSUITABLE_MOMENT = "unsuitable_moment"


@dataclass(slots=True)
class Tally:
    """What was replayed and what was spoken live, of all or under one tag.

    Parameters:
        hits: Sentences replayed.
        misses: Sentences spoken live.
        characters_from_cache: Length of the texts replayed.
        characters_synthesized: Length of the texts spoken live.
    """

    hits: int = 0
    misses: int = 0
    characters_from_cache: int = 0
    characters_synthesized: int = 0

    def count(self, characters: int, *, hit: bool) -> None:
        """Count a sentence.

        Args:
            characters: Length of its text.
            hit: Whether it is replayed.
        """
        if hit:
            self.hits += 1
            self.characters_from_cache += characters
        else:
            self.misses += 1
            self.characters_synthesized += characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A sentence that was counted.

    Parameters:
        hit: Whether it is replayed.
        characters: Length of its text.
        seconds: Length of the audio that is replayed, in seconds; None if it is spoken live.
        lookup_seconds: How long the look-up took that found it; None if none did.
        tag: What else it is counted under.
        model: The model in force.
        context_id: The audio context that it is heard in; None for the one that is spoken in now.
    """

    hit: bool
    characters: int
    seconds: float | None = None
    lookup_seconds: float | None = None
    tag: str | None = None
    model: str | None = None
    context_id: str | None = None


class CacheStats(Tally):
    """What one cached service has done so far."""

    def __init__(self, service: str = "", prices: PriceTable | None = None) -> None:
        """Start at zero.

        Args:
            service: The class of the service.
            prices: What characters cost, or None if nobody has said.
        """
        super().__init__()
        self.service = service
        self._prices = prices
        self._ledger = SavingsLedger()
        self.listeners: list[Callable[[Counted | None], None]] = []
        """Told of each sentence, and with None that something else may have been counted.

        They raise nothing.
        """
        self.lookups = 0
        self._found_in: float | None = None
        self.tags: dict[str, Tally] = {}
        self.bypassed: Counter[Bypass] = Counter()
        self.followed = 0
        self.seconds_from_cache = 0.0
        self.seconds_synthesized = 0.0
        self.stores = 0
        self.prefetched = 0
        self.prefetch_dropped = 0
        self.characters_prefetched = 0
        self.not_stored: Counter[NotStored] = Counter()
        self.store_errors = 0
        self.store_timeouts = 0
        self.lookups_skipped = 0
        self.lookup_seconds: deque[float] = deque(maxlen=_LOOKUPS_KEPT)

    def hit(
        self,
        characters: int,
        seconds: float,
        *,
        tag: str | None = None,
        model: str | None = None,
        context_id: str | None = None,
    ) -> None:
        """Count a sentence that is replayed.

        Args:
            characters: Length of its text.
            seconds: Length of its audio.
            tag: What else to count it under.
            model: The model in force, if there is one.
            context_id: The audio context that it is heard in, if not the one spoken in now.
        """
        self.seconds_from_cache += seconds
        found_in, self._found_in = self._found_in, None
        self._count(
            Counted(
                hit=True,
                characters=characters,
                seconds=seconds,
                lookup_seconds=found_in,
                tag=self._known(tag),
                model=model,
                context_id=context_id,
            )
        )

    def miss(
        self,
        characters: int,
        *,
        tag: str | None = None,
        model: str | None = None,
        context_id: str | None = None,
    ) -> None:
        """Count a sentence that is spoken live.

        Args:
            characters: Length of its text.
            tag: What else to count it under.
            model: The model in force, if there is one.
            context_id: The audio context that it is heard in, if not the one spoken in now.
        """
        self._count(
            Counted(
                hit=False,
                characters=characters,
                tag=self._known(tag),
                model=model,
                context_id=context_id,
            )
        )

    def looked_up(self, seconds: float, *, found: bool) -> None:
        """Note how long a look-up took.

        Args:
            seconds: The time in seconds.
            found: Whether something was found, which is counted next.
        """
        self.lookups += 1
        self.lookup_seconds.append(seconds)
        self._found_in = seconds if found else None

    def tell(self, counted: Counted | None = None) -> None:
        """Tell who listens that something was counted.

        Args:
            counted: The sentence, or None for anything else.
        """
        for listener in self.listeners:
            listener(counted)

    def _known(self, tag: str | None) -> str | None:
        return None if tag is None else known(tag, self.tags, TAGS, OTHER)

    def _count(self, counted: Counted) -> None:
        self.count(counted.characters, hit=counted.hit)
        if counted.tag is not None:
            tally = self.tags.setdefault(counted.tag, Tally())
            tally.count(counted.characters, hit=counted.hit)
        if counted.hit:
            self._ledger.add(
                counted.characters, service=self.service, model=counted.model, tag=counted.tag
            )
        self.tell(counted)

    def as_dict(self, *, enabled: bool, backend: Mapping[str, Any] | None) -> dict[str, Any]:
        """Add up; see `TTSCacheMixin.get_cache_stats` for the fields.

        Args:
            enabled: Whether the cache is in use.
            backend: The store's own statistics, or None if it has not told them.

        Returns:
            A plain dict.
        """
        times = list(self.lookup_seconds)
        characters = self.characters_from_cache + self.characters_synthesized
        return {
            "enabled": enabled,
            "hits": self.hits,
            "misses": self.misses,
            "followed": self.followed,
            "total_requests": self.hits + self.misses,
            "hit_rate": _ratio(self.hits, self.hits + self.misses),
            "characters_from_cache": self.characters_from_cache,
            "characters_synthesized": self.characters_synthesized,
            "character_hit_rate": _ratio(self.characters_from_cache, characters),
            "seconds_from_cache": self.seconds_from_cache,
            "seconds_synthesized": self.seconds_synthesized,
            "stores": self.stores,
            "prefetched": self.prefetched,
            "prefetch_dropped": self.prefetch_dropped,
            "characters_prefetched": self.characters_prefetched,
            "not_stored": {reason.value: count for reason, count in self.not_stored.items()},
            "bypassed": {reason.value: count for reason, count in self.bypassed.items()},
            "tags": {tag: asdict(tally) for tag, tally in self.tags.items()},
            "savings": self._savings(),
            "store_errors": self.store_errors,
            "store_timeouts": self.store_timeouts,
            "lookups_skipped": self.lookups_skipped,
            "lookup_median_seconds": median(times) if times else 0.0,
            "lookup_p95_seconds": _percentile_95(times),
            "backend": dict(backend) if backend is not None else None,
        }

    def _savings(self) -> dict[str, Any]:
        report = self._ledger.report(self._prices)
        tags = {tag: savings.as_dict() for tag, savings in report.tags.items()}
        return report.total.as_dict() | {"tags": tags}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percentile_95(values: list[float]) -> float:
    if len(values) < 2:  # noqa: PLR2004 - fewer have no quantiles
        return values[0] if values else 0.0
    return quantiles(values, n=20, method="inclusive")[-1]
