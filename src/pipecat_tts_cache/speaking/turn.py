#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The order of a turn.

A turn is one outer audio context: what Pipecat plays between one `TTSStartedFrame` and one
`TTSStoppedFrame`. Its sentences are segments in the order in which they were asked for. A segment
that is replayed knows all it has to say; a live one is told bit by bit, by a service that may be
busy with several. Only the segment at the head of the turn passes on what it has; the others keep
theirs until it is their turn::

    asked for     [ "Hello."  live ] [ "One moment."  replayed ] [ "So." live ]
    passed on       as it arrives      when "Hello." has ended     kept until then

Frames that Pipecat itself puts into the context (announcements, a sentence's text) stand in the
same line, so they keep their place behind the sentence that they follow.

Nothing here waits for anything but the passing on itself and, once, for a turn's first audio to
leave.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import Enum
from itertools import takewhile

from pipecat.frames.frames import Frame, TTSAudioRawFrame

from pipecat_tts_cache.utterance import Word

_HEAD_START = 0.001
"""Seconds in which the first audio of a turn leaves, before the rest of it is made up."""


class Mark(Enum):
    """What a turn passes on besides frames and words.

    Parameters:
        END: The turn is over, and everything in it has been passed on.
    """

    END = "end"


Item = Frame | Word
PassOn = Callable[["Turn", Item | Mark], Awaitable[None]]


class Segment:
    """A place in a turn, and what is to be passed on when it is at the head."""

    def __init__(
        self, items: Iterable[Item] = (), *, complete: bool, sentence: bool = True
    ) -> None:
        """Take a place.

        Args:
            items: What to pass on, taken one by one when they are due.
            complete: Whether that is all. If not, more is added until `Turn.finish`.
            sentence: Whether it is a sentence, which its text may lead.
        """
        self.sentence = sentence
        self.lead: deque[Item] = deque()
        self.complete = complete
        self.waits_for_text = False
        self.start: float | None = None
        self._items: Iterator[Item] = iter(items)
        self._added: deque[Item] = deque()

    def go_on_with(self, items: Iterable[Item]) -> None:
        """Say what to pass on next.

        Args:
            items: What to pass on, taken one by one when they are due.
        """
        self._items = iter(items)

    def add(self, item: Item) -> None:
        """Add something to pass on.

        Args:
            item: A frame, or a word with its time from the start of this segment.
        """
        self._added.append(item)

    def take(self) -> Item | None:
        """Take what is to be passed on next.

        Returns:
            A frame or a word, or None if there is nothing now.
        """
        if self.lead:
            return self.lead.popleft()
        if self.waits_for_text:
            return None
        item = next(self._items, None)
        if item is None and self._added:
            item = self._added.popleft()
        return item


class Turn:
    """The segments of one outer audio context, passed on in order."""

    def __init__(self, context_id: str, pass_on: PassOn, *, single: bool = False) -> None:
        """Start a turn.

        Args:
            context_id: The outer audio context.
            pass_on: Called with everything that is due, one at a time.
            single: Whether no sentences follow the first.
        """
        self.context_id = context_id
        self.started = False
        """Whether its `TTSStartedFrame` has been passed on."""
        self.single = single
        """Whether it is one sentence, without a turn around it."""
        self.ending = single
        """Whether no more sentences follow those that are expected."""
        self.expected = 0
        """Sentences that were asked for and are not in the turn yet, with their text."""
        self.last_asked = 0.0
        """When the last sentence was asked for, in seconds."""
        self.silent = False
        """Whether the provider gave no audio for the last sentence spoken live."""
        self.ended = False
        """Whether everything has been passed on, or thrown away."""
        self.position = 0.0
        """Seconds of audio passed on since the audio context began to play."""
        self.live_sentences = 0
        self._pass_on = pass_on
        self._segments: deque[Segment] = deque()
        self._passing_on = False
        self._dropped = False
        self._first_is_leaving = False

    async def append(self, frame: Frame) -> None:
        """Put a frame behind everything that is in the turn.

        Args:
            frame: The frame.
        """
        self.release_text()
        self._segments.append(Segment([frame], complete=True, sentence=False))
        await self.advance()

    async def lead_with(self, frame: Frame) -> None:
        """Put a frame in front of the last sentence, or as near to that as is still possible.

        Args:
            frame: The frame.
        """
        if self._segments and self._segments[-1].sentence:
            self._segments[-1].lead.append(frame)
        else:
            self._segments.append(Segment([frame], complete=True, sentence=False))
        self.release_text()
        await self.advance()

    async def open(self, segment: Segment) -> None:
        """Put a segment behind everything that is in the turn.

        Args:
            segment: The segment.
        """
        self.release_text()
        self._segments.append(segment)
        await self.advance()

    async def finish(self, segment: Segment) -> None:
        """Declare a segment complete, so that what follows it becomes due.

        Args:
            segment: The segment.
        """
        segment.complete = True
        await self.advance()

    def expect(self, now: float) -> None:
        """Note that a sentence is asked for.

        Args:
            now: The time in seconds.
        """
        self.expected += 1
        self.last_asked = now

    async def let_first_leave(self) -> None:
        """Give the first audio of the turn time to leave, if it was passed on just now.

        Passing on waits for nothing, so a frame leaves when there is nothing more to pass on; for
        a minute of audio that would be a while.
        """
        if self._first_is_leaving:
            self._first_is_leaving = False
            await asyncio.sleep(_HEAD_START)

    async def settle(self) -> None:
        """Note that a sentence that was expected is in the turn, or will not come."""
        self.expected = max(self.expected - 1, 0)
        await self.advance()

    async def end(self) -> None:
        """Declare that nothing more will be asked for in this turn."""
        self.release_text()
        self.ending = True
        await self.advance()

    def drop(self) -> None:
        """Throw away what has not been passed on; nothing more will be."""
        self._segments.clear()
        self._dropped = True
        self.ended = True

    def rewind(self) -> None:
        """Note that the audio context went quiet and ended, and will be opened anew."""
        self.started = False
        self.position = 0.0

    def holds_back(self, segment: Segment) -> bool:
        """Whether something waits behind a segment.

        Args:
            segment: The segment.
        """
        return bool(self._segments) and self._segments[-1] is not segment

    def before(self, segment: Segment) -> int:
        """Count the sentences that are still to come to their end before another.

        Args:
            segment: The other; it may not have been opened yet.
        """
        earlier = takewhile(lambda each: each is not segment, self._segments)
        return sum(each.sentence and not each.complete for each in earlier)

    async def advance(self) -> None:
        """Pass on everything that is due.

        Whoever adds to the turn calls this. If someone is at it already, they will see what was
        added, so order holds even if passing on has to wait.
        """
        if self._passing_on:
            return
        self._passing_on = True
        try:
            while (item := self._next()) is not None:
                await self._pass_on(self, item)
        finally:
            self._passing_on = False

    def release_text(self) -> None:
        """Stop the last segment from waiting for its text."""
        if self._segments:
            self._segments[-1].waits_for_text = False

    def _next(self) -> Item | Mark | None:
        while self._segments and not self._dropped:
            head = self._segments[0]
            if (item := head.take()) is not None:
                return self._placed(head, item)
            if head.waits_for_text or not head.complete:
                return None
            self._segments.popleft()
        if self.ending and not self.ended and not self.expected:
            self.ended = True
            return Mark.END
        return None

    def _placed(self, segment: Segment, item: Item) -> Item:
        """Set a word's time in the context's clock, and keep that clock by the audio."""
        if segment.start is None:
            segment.start = self.position
        if isinstance(item, Word):
            return item._replace(start=segment.start + item.start)
        if isinstance(item, TTSAudioRawFrame) and item.sample_rate > 0:
            self._first_is_leaving = not self.position
            self.position += item.num_frames / item.sample_rate
        return item
