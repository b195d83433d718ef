#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The live sentences that are with the provider now.

How many may be there at once, and whether audio can be told apart by an id, is a matter of the
service. Without ids, audio and end signals belong to the oldest sentence under way; so one that
goes wrong casts doubt on its neighbours, and their recordings are judged together when the last
of them has landed.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.control import AS_USUAL, CacheControl
from pipecat_tts_cache.services import ServiceProfile
from pipecat_tts_cache.speaking.feed import Feed
from pipecat_tts_cache.speaking.recording import Recording
from pipecat_tts_cache.speaking.single_flight import Lead
from pipecat_tts_cache.speaking.turn import Item, Segment, Turn
from pipecat_tts_cache.statistics.stats import NotStored

_DOUBTFUL = frozenset(
    {
        NotStored.EMPTY,
        NotStored.ERROR,
        NotStored.INTERRUPTED,
        NotStored.NO_END,
        NotStored.RECONNECTED,
        NotStored.UNCERTAIN,
    }
)
"""What makes it uncertain whose the audio of the neighbours is, on a service without ids."""

_MINUTE = 60.0
_SHARE_IN_TURNS = 0.75
"""The share of a provider's limit that is used up by sentences that do not end their turn."""

_IF_SILENT = 0.25
"""The share of the usual patience with a provider that left the sentence before unanswered."""

_SETTLING_SECONDS = 10.0
"""How long stray audio of an abandoned sentence may come in on a service without ids."""


class LiveSentence(Segment):
    """A sentence that the provider speaks now: a segment, a recording, and an inner context."""

    def __init__(
        self,
        *,
        turn: Turn,
        text: str,
        key: CacheKey | None,
        settings: Mapping[str, Any],
        control: CacheControl = AS_USUAL,
    ) -> None:
        """Prepare a sentence.

        Args:
            turn: The turn it belongs to.
            text: The text as prepared for the provider.
            key: Where to store it, or None not to.
            settings: The settings of the service that it is spoken with.
            control: How the cache is to treat it.
        """
        super().__init__(complete=False)
        self.context_id = str(uuid.uuid4())
        self.turn = turn
        self.text = text
        self.key = key
        self.settings = settings
        self.control = control
        self.recording = Recording()
        self.opened = False
        """Whether the service has an open inner context for it."""
        self.sending = True
        """Whether its small turn is still going on."""
        self.handed_over = False
        """Whether the service said that it will answer later."""
        self.unclosed = False
        """Whether more sentences are to join it, to stay within the provider's limit."""
        self.ended = False
        self.asked_at: float | None = None
        """When it was sent, in seconds since the epoch, if the time to first byte is measured."""
        self.clock_start: float | None = None
        """Where the service's word clock stood when it began, in seconds, once known."""
        self.last_heard = 0.0
        self.placed = False
        """Whether it has its place in the turn."""
        self.leading: Lead | None = None
        """The lead that it has, if others may follow."""
        self.leads_followed = 0
        """How many other services it was heard from."""
        self.feed: Feed | None = None
        """What is heard of it, if that is not what the service gives it, frame by frame."""

    async def place(self) -> None:
        """Take its place in the turn."""
        self.placed = True
        await self.turn.open(self)

    def add_heard(self, item: Item) -> None:
        """Add audio or a word that the service gave, unless its recording is heard.

        Args:
            item: What to pass on.
        """
        if self.feed is None:
            self.add(item)

    def over(self) -> None:
        """Note that the service gives no more."""
        if self.leading is not None:
            self.leading.finish()
        if self.feed is not None:
            self.feed.over = True

    def hear_from(self, recording: Recording) -> Feed:
        """Have a recording heard in its place, behind what has been heard of another.

        Args:
            recording: The recording, which may still grow.

        Returns:
            What is heard of it.
        """
        self.feed = Feed(recording, self.turn.context_id, after=self.feed)
        self.go_on_with(self.feed)
        return self.feed


class Flight:
    """The sentences under way, oldest first."""

    def __init__(self, profile: ServiceProfile, clock: Callable[[], float]) -> None:
        """Start with none.

        Args:
            profile: What is known of the service.
            clock: Gives the time in seconds.
        """
        self._profile = profile
        self._clock = clock
        self._under_way: list[LiveSentence] = []
        self._landed: list[LiveSentence] = []
        self._landing = asyncio.Event()
        self._settled_at = 0.0
        self._closes: deque[float] = deque()
        self.waiting: list[Turn] = []
        """The turns with a sentence that waits until it may be sent."""
        self._wanted_empty = 0
        self.before_asking: Callable[[], None] = lambda: None
        """Called when live speech is about to ask the provider for something."""

    def __iter__(self) -> Iterator[LiveSentence]:
        return iter(list(self._under_way))

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def oldest(self) -> LiveSentence | None:
        """The sentence that audio without an id belongs to."""
        return self._under_way[0] if self._under_way else None

    @property
    def has_room(self) -> bool:
        """Whether one more sentence may be sent."""
        return len(self._under_way) < self._profile.in_flight

    @property
    def ahead(self) -> int:
        """How many sentences would be spoken before one more: those under way, if in order."""
        return 0 if self._profile.names_context else len(self._under_way)

    @property
    def settled(self) -> bool:
        """Whether nothing of an abandoned sentence can still come in without an id."""
        return self._tells_apart or self._clock() >= self._settled_at

    @property
    def _tells_apart(self) -> bool:
        """Whether what comes late for one sentence cannot spoil another."""
        return self._profile.names_context and not self._profile.shared_clock

    def now(self) -> float:
        """Tell the time in seconds."""
        return self._clock()

    async def room(self, turn: Turn) -> None:
        """Wait until one more sentence may be sent.

        Args:
            turn: The turn it is for.
        """
        self.before_asking()
        self.waiting.append(turn)
        try:
            await self._fewer_than(self._profile.in_flight)
        finally:
            self.waiting.remove(turn)

    async def empty(self) -> None:
        """Wait until no sentence is under way."""
        self._wanted_empty += 1
        try:
            await self._fewer_than(1)
        finally:
            self._wanted_empty -= 1

    async def _fewer_than(self, limit: int) -> None:
        while len(self._under_way) >= limit:
            self._landing.clear()
            await self._landing.wait()

    def depart(self, sentence: LiveSentence) -> None:
        """Note that a sentence is sent.

        Args:
            sentence: The sentence.
        """
        if not self.settled:
            sentence.recording.fail(NotStored.UNCERTAIN)
        sentence.last_heard = self._clock()
        self._under_way.append(sentence)

    def may_close(self, *, at_last: bool = False) -> bool:
        """Decide whether a sentence may be closed by itself, and count it if so.

        Args:
            at_last: Whether it ends its turn. Then it is closed whatever the provider's limit,
                part of which is kept for that.

        Returns:
            Whether to close it. If not, the next sentence joins it.
        """
        limit = self._profile.closes_per_minute
        now = self._clock()
        while self._closes and now - self._closes[0] >= _MINUTE:
            self._closes.popleft()
        if limit is not None and not at_last and len(self._closes) >= limit * _SHARE_IN_TURNS:
            return False
        self._closes.append(now)
        return True

    def hear(self, sentence: LiveSentence) -> None:
        """Note that something came for a sentence.

        Args:
            sentence: The sentence.
        """
        sentence.last_heard = self._clock()

    def stray(self) -> None:
        """Note that something came that belongs to no sentence under way."""
        if not self.settled:
            self.doubt()

    def doubt(self) -> None:
        """Note that what was asked for may still come in, without an id."""
        if not self._tells_apart:
            self._settled_at = self._clock() + _SETTLING_SECONDS

    def is_lively(self, turn: Turn, seconds: float) -> bool:
        """Tell whether anything was asked or heard in a turn lately, or is about to be.

        Args:
            turn: The turn.
            seconds: How long ago.

        Returns:
            Whether it was. If not, its context may go quiet as it would without the mixin.
        """
        quiet_since = self._clock() - seconds
        return turn in self.waiting or any(
            sentence.sending or max(sentence.last_heard, turn.last_asked) > quiet_since
            for sentence in self._under_way
            if sentence.turn is turn
        )

    def is_overdue(self, sentence: LiveSentence, patience: float) -> bool:
        """Tell whether to wait no longer for a sentence.

        The last sentence of a turn that goes on may take its time, if nothing waits for it.

        Args:
            sentence: The sentence.
            patience: Seconds for which nothing has to come.

        Returns:
            Whether it is overdue.
        """
        turn = sentence.turn
        if sentence.sending or sentence.unclosed:
            return False
        is_waited_for = turn.ending or self.waiting or self._wanted_empty
        if not (is_waited_for or turn.holds_back(sentence)):
            return False
        since = max(sentence.last_heard, 0.0 if turn.silent else turn.last_asked)
        return self._clock() - since >= (patience * _IF_SILENT if turn.silent else patience)

    def land(self, sentence: LiveSentence) -> list[LiveSentence]:
        """Note that a sentence has ended.

        Args:
            sentence: The sentence.

        Returns:
            The sentences that can be judged now.
        """
        self._under_way.remove(sentence)
        self._landing.set()
        if self._under_way and not self._profile.names_context:
            self.hear(self._under_way[0])
        if self._tells_apart:
            return [sentence]
        self._landed.append(sentence)
        if sentence.recording.judge() in _DOUBTFUL:
            self.doubt()
        if self._under_way:
            return []
        landed, self._landed = self._landed, []
        if any(other.recording.judge() in _DOUBTFUL for other in landed):
            for other in landed:
                other.recording.fail(NotStored.UNCERTAIN)
        return landed
