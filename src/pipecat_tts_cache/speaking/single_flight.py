#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Several bots of a process that lack the same sentence at once: one asks, the others follow.

Who speaks a sentence live leads all others on the same store that want it until it is stored: they
hear its recording as it grows. Nobody waits for a leader that is silent for longer than leaders of
the same service have been lately.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.speaking.recording import Recording

_TIMES_KEPT = 20
_SLACK = 2.0
"""How many times the slowest answer of late a leader may be silent for."""

_SHARE_OF_USUAL = 0.75
"""At most so much of what Pipecat waits: by then an audio context counts as quiet."""

_LEAST_PATIENCE = 0.5
"""Seconds, below which silence means nothing."""


class Lead:
    """A sentence that is spoken live now, for all that want to hear it."""

    def __init__(self, recording: Recording, note_first: Callable[[float], None]) -> None:
        """Take the lead.

        Args:
            recording: What comes of the sentence.
            note_first: Called once with the seconds that the first audio took.
        """
        self.recording = recording
        self.followers = 0
        """How many services hear it."""
        self.ahead = 0
        """How many sentences the provider speaks before it."""
        self.anew = False
        """Whether it is spoken anew, so that the store may have what it is to replace."""
        self.over = False
        """Whether all of it has come."""
        self.closed = asyncio.Event()
        """Set when nobody can join any more: it is stored, or never will be."""
        self._note_first: Callable[[float], None] | None = note_first
        self._began = self._last = monotonic()
        self._news = asyncio.Event()
        recording.listener = self._tell

    @property
    def news(self) -> asyncio.Event:
        """What is set when anything more comes of it. Ask before looking, and wait after."""
        return self._news

    @property
    def failed(self) -> bool:
        """Whether a follower has to go on by itself."""
        if self.recording.failure is not None:
            return True
        return (self.over and self.recording.judge() is not None) or (
            self.closed.is_set() and not self.over
        )

    @property
    def silent(self) -> float:
        """Seconds for which nothing has come."""
        return monotonic() - self._last

    def finish(self) -> None:
        """Note that all of it has come."""
        self.over = True
        self._tell()

    def close(self) -> None:
        """Let nobody join any more."""
        self.closed.set()
        self._tell()

    def _tell(self) -> None:
        self._last = monotonic()
        if self._note_first is not None and self.recording.has_audio:
            if not self.ahead:
                self._note_first(monotonic() - self._began)
            self._note_first = None
            self.ahead = 0
        if self.recording.failure is not None:
            self.closed.set()
        if self.followers:
            self._news.set()
            self._news = asyncio.Event()


class Leads:
    """The sentences that services on one store, in one event loop, speak live now."""

    def __init__(self) -> None:
        """Start with none."""
        self._leads: dict[CacheKey, Lead] = {}
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_TIMES_KEPT))

    def find(self, key: CacheKey) -> Lead | None:
        """Find out who speaks a sentence now.

        Args:
            key: Where it will be kept.

        Returns:
            The lead, or None if nobody does whom one could follow.
        """
        lead = self._leads.get(key)
        if lead is None or not (lead.closed.is_set() or lead.failed):
            return lead
        del self._leads[key]
        return None

    def take(
        self, key: CacheKey, recording: Recording, *, service: str, ahead: int, anew: bool
    ) -> Lead | None:
        """Take the lead, unless another has it who is not heard later.

        Args:
            key: Where the sentence will be kept.
            recording: What comes of it.
            service: The name of the service class.
            ahead: How many sentences the provider speaks before it.
            anew: Whether it is spoken although it may be stored.

        Returns:
            The lead, which is to be closed, or None.
        """
        known = self.find(key)
        if known is not None and known.ahead <= ahead:
            return None
        lead = self._leads[key] = Lead(recording, self._times[service].append)
        lead.ahead, lead.anew = ahead, anew
        return lead

    def close(self, key: CacheKey, lead: Lead) -> None:
        """Close a lead, and forget it.

        Args:
            key: Where its sentence is kept.
            lead: The lead.
        """
        lead.close()
        if self._leads.get(key) is lead:
            del self._leads[key]

    def patience(self, service: str, usual: float) -> float:
        """Tell how long to wait for a leader that is silent.

        Args:
            service: The name of the service class.
            usual: Seconds that Pipecat waits for a provider.

        Returns:
            Seconds.
        """
        times = self._times.get(service)
        longest = _SHARE_OF_USUAL * usual
        return min(longest, max(_SLACK * max(times), _LEAST_PATIENCE)) if times else longest


_all_leads: WeakKeyDictionary[CacheBackend, WeakKeyDictionary[asyncio.AbstractEventLoop, Leads]] = (
    WeakKeyDictionary()
)


def leads_of(backend: CacheBackend) -> Leads:
    """Find the leads of all services on a store, in the event loop that runs.

    Args:
        backend: The store.

    Returns:
        The leads; of a store that cannot be hashed or weakly referenced new ones each time.
    """
    try:
        loops = _all_leads.setdefault(backend, WeakKeyDictionary())
    except TypeError:
        return Leads()
    return loops.setdefault(asyncio.get_running_loop(), Leads())
