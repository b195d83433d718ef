#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Someone who hears what leaves a TTS service, in real time, and notices every silence."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter

from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStoppedFrame

from pipeline import PATIENCE

_SLACK = 0.001
"""Seconds by which lengths may be rounded."""


@dataclass
class Heard:
    """What was heard of one turn.

    Parameters:
        began: When the LLM began to write it, by the loop's clock.
            until: When all that has come so far will have been heard.
        seconds: How much audio has come.
        played: Where each piece of audio starts, in seconds of audio, and when it is heard.
        gaps: Where silence was heard, in seconds of audio before it, and how long.
    """

    began: float
    until: float = 0.0
    seconds: float = 0.0
    played: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def hear(self, now: float, seconds: float) -> None:
        """Take more audio."""
        if self.played and now > self.until:
            self.gaps.append((self.seconds, now - self.until))
        self.until = max(self.until, now)
        self.played.append((self.seconds, self.until))
        self.until += seconds
        self.seconds += seconds

    def onsets(self, lengths: Sequence[float]) -> list[float]:
        """Tell when each sentence begins to be heard, in seconds after the turn began.

        Args:
            lengths: The length of each sentence, in seconds.
        """
        found = []
        for start in accumulate(lengths[:-1], initial=0.0):
            at = bisect_right(self.played, start + _SLACK, key=itemgetter(0)) - 1
            position, when = self.played[at]
            found.append(when + start - position - self.began)
        return found

    def silences(self, lengths: Sequence[float]) -> tuple[list[float], list[float]]:
        """Sort the gaps by where they were heard.

        Args:
            lengths: The length of each sentence, in seconds.

        Returns:
            The silence in front of each sentence but the first, and each one within a sentence.
        """
        starts = list(accumulate(lengths))[:-1]
        between, within = [0.0] * len(starts), []
        for position, seconds in self.gaps:
            near = [abs(position - start) < _SLACK for start in starts]
            if any(near):
                between[near.index(True)] += seconds
            else:
                within.append(seconds)
        return between, within


@dataclass
class Listener:
    """Hears turn after turn.

    Parameters:
        turns: What was heard of each.
    """

    turns: list[Heard] = field(default_factory=list)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def begin_turn(self) -> None:
        """Expect a turn, of which the first token is written now."""
        self._stopped.clear()
        self.turns.append(Heard(asyncio.get_running_loop().time()))

    async def stopped(self) -> None:
        """Wait until all of the turn has left the service."""
        async with asyncio.timeout(PATIENCE):
            await self._stopped.wait()

    async def end_turn(self) -> None:
        """Wait until all of the turn has been heard."""
        await self.stopped()
        await asyncio.sleep(max(0.0, self.turns[-1].until - asyncio.get_running_loop().time()))

    def note(self, frame: Frame) -> None:
        """Note what leaves the service."""
        if isinstance(frame, TTSAudioRawFrame):
            seconds = frame.num_frames / frame.sample_rate
            self.turns[-1].hear(asyncio.get_running_loop().time(), seconds)
        elif isinstance(frame, TTSStoppedFrame):
            self._stopped.set()
