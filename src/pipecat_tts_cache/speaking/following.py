#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sentences that a service hears from another one of the process, which speaks them now.

Its listener hears the leader's recording as it grows. If the leader fails, is interrupted or falls
silent, the sentence has *broken off*: the service asks for it itself, and passes on what was not
heard yet. It does so where it speaks all else, between two frames that it processes: a `GoOnFrame`
says that it is time. What could not be asked for any more, or not in the same voice, waits for it:
the end of the pipeline, new settings, and the end of a turn that frames are held back behind.
"""

import asyncio
from dataclasses import dataclass

from pipecat.frames.frames import ControlFrame
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.pipecat_compat import survives_interruption
from pipecat_tts_cache.speaking.feed import Feed
from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.speaking.single_flight import Lead
from pipecat_tts_cache.speaking.turn import Turn

_MOST_LEADS = 2
"""From how many others a sentence is heard before it is asked for: each may fail after a while."""


@dataclass
class GoOnFrame(ControlFrame):
    """Tells the service itself, in its place among the frames, that a sentence has broken off.

    Parameters:
        turn: The turn of the sentence.
    """

    turn: Turn


class Following:
    """The sentences of one service that follow others."""

    def __init__(self, *, host: TTSService, book: Phrasebook) -> None:
        """Start with none.

        Args:
            host: The service, with the mixin.
            book: Where sentences are kept.
        """
        self._host = host
        self._book = book
        self._tasks: dict[LiveSentence, asyncio.Task[None]] = {}
        self._broken_off: list[LiveSentence] = []

    def lead_for(self, sentence: LiveSentence) -> Lead | None:
        """Find whom a sentence may follow, without being heard later than by itself.

        Args:
            sentence: The sentence.

        Returns:
            The lead, or None if there is none.
        """
        if sentence.turn.single or self._book.rehearsal is not None:
            return None
        if sentence.leads_followed >= _MOST_LEADS:
            return None
        lead = self._book.leading.find(sentence)
        return None if lead is None or lead.ahead > sentence.turn.before(sentence) else lead

    def start(self, sentence: LiveSentence, lead: Lead) -> None:
        """Have a sentence follow a lead. It has its place in its turn.

        Args:
            sentence: The sentence.
            lead: Who speaks it.
        """
        lead.followers += 1
        sentence.leads_followed += 1
        feed = sentence.hear_from(lead.recording)
        self._host._refresh_audio_context(sentence.turn.context_id)
        work = self._follow(sentence, feed, lead)
        self._tasks[sentence] = self._host.create_task(work, "tts_cache_follow")

    async def goes_on(self, turn: Turn | None = None) -> bool:
        """Wait until a sentence follows no more.

        Args:
            turn: The turn it belongs to, or None for any.

        Returns:
            Whether there was any.
        """
        if tasks := self._under_way(turn):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return bool(tasks)

    def take_broken_off(self, turn: Turn | None = None) -> LiveSentence | None:
        """Take the first sentence that has broken off.

        Args:
            turn: The turn it belongs to, or None for any.

        Returns:
            The sentence, to be spoken, or None if there is none.
        """
        taken = next((each for each in self._broken_off if turn in (None, each.turn)), None)
        if taken is not None:
            self._broken_off.remove(taken)
        return taken

    async def break_off(self, sentence: LiveSentence) -> None:
        """Note that a sentence has broken off, and have it spoken as soon as can be.

        Args:
            sentence: The sentence.
        """
        self._broken_off.append(sentence)
        frame = GoOnFrame(sentence.turn)
        context = self._host._tts_contexts.get(sentence.turn.context_id)
        frame.interruptible = not survives_interruption(context)
        await self._host.queue_frame(frame)

    async def drop(self, turn: Turn | None = None) -> None:
        """Follow no more, because nobody listens.

        Args:
            turn: The turn of which nothing is to follow, or None for all.
        """
        for sentence in [each for each in self._tasks if turn in (None, each.turn)]:
            if task := self._tasks.pop(sentence, None):
                await self._host.cancel_task(task)
                self._count(sentence)
        while dropped := self.take_broken_off(turn):
            self._count(dropped)

    def _count(self, sentence: LiveSentence) -> None:
        """Count a sentence to which nobody listens any more."""
        self._book.followed(sentence, sentence.feed.heard if sentence.feed else 0.0)

    def _under_way(self, turn: Turn | None) -> list[asyncio.Task[None]]:
        return [task for each, task in self._tasks.items() if turn in (None, each.turn)]

    async def _follow(self, sentence: LiveSentence, feed: Feed, lead: Lead) -> None:
        try:
            whole = await self._hear_all(sentence, feed, lead)
        finally:
            lead.followers -= 1
            self._tasks.pop(sentence, None)
        if whole:
            self._book.followed(sentence, lead.recording.seconds)
            await sentence.turn.finish(sentence)
        else:
            await self.break_off(sentence)

    async def _hear_all(self, sentence: LiveSentence, feed: Feed, lead: Lead) -> bool:
        """Hear a lead to its end, unless it fails."""
        patience = self._book.leading.patience(self._host._stop_frame_timeout_s)
        while not lead.failed:
            news, feed.over = lead.news, lead.over
            await sentence.turn.advance()
            if feed.over:
                return True
            try:
                since = 0.0 if sentence.turn.before(sentence) else lead.silent
                async with asyncio.timeout(patience - since):
                    await news.wait()
            except TimeoutError:
                if not sentence.turn.before(sentence):
                    lead.close()  # all who follow go on, one of them as the new leader
        return False
