#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The conductor: who speaks when, of the sentences of a turn.

It stands between the mixin, which tells it what Pipecat and the service do to audio contexts, and
the service below the mixin. A sentence found in the store becomes a segment of its turn; one that
is not is spoken live, and its segment grows as the provider answers::

    run_tts(text, outer) ── found ──────► Segment ───────┐
                        └── not found ──► LiveSentence ──┴─► Turn ──► outer audio context
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from itertools import islice
from typing import Any

from pipecat.frames.frames import Frame, TTSTextFrame
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.clock import monotonic
from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.pipecat_compat import survives_interruption
from pipecat_tts_cache.services import ServiceProfile
from pipecat_tts_cache.speaking.feed import cut_up
from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.speaking.following import Following
from pipecat_tts_cache.speaking.live import LiveSpeech
from pipecat_tts_cache.speaking.outlet import Outlet
from pipecat_tts_cache.speaking.turn import Segment, Turn
from pipecat_tts_cache.statistics.stats import Bypass, NotStored
from pipecat_tts_cache.utterance import Utterance

_LONGEST_WAIT = 30.0
"""Seconds to wait for what follows others, where nothing else would end that."""


class Conductor:
    """The turns of one service."""

    def __init__(
        self,
        *,
        host: TTSService,
        below: TTSService,
        profile: ServiceProfile,
        book: Phrasebook,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take up the baton.

        Args:
            host: The service, with the mixin.
            below: The same service as it would be without the mixin: `super()` of the mixin.
            profile: What is known of the service.
            book: What it has said before.
            clock: Gives the time in seconds.
        """
        self.turns: dict[str, Turn] = {}
        self.live = LiveSpeech(host=host, below=below, profile=profile, book=book, clock=clock)
        self.following = Following(host=host, book=book)
        self.replaying = False
        self._outlet = Outlet(below, self.turns)
        self._host = host
        self._below = below
        self._profile = profile
        self._book = book
        self._left_alone: dict[str, Bypass] = {}
        self.opened: str | None = None
        """The audio context that was opened last, besides the inner ones."""
        self._interrupted: set[str] = set()
        self.removed: set[str] = set()
        """The contexts left alone that the service has ended, until they are played."""

    # Which contexts are managed

    def begin(self, context_id: str, *, speak: bool) -> bool:
        """Begin a turn, or decide to leave it alone.

        Args:
            context_id: Its audio context.
            speak: Whether it is a `TTSSpeakFrame`, not an LLM turn.

        Returns:
            Whether it is managed.
        """
        if (turn := self.turns.get(context_id)) and not turn.ended:
            return True  # an LLM response that begins within another one goes on in its context
        reason = self._reason_to_leave_alone(context_id, speak=speak)
        if reason is None:
            # Without a turn around it, a sentence is a turn by itself.
            single = context_id != self._host._turn_context_id
            turn = self.turns[context_id] = Turn(context_id, self._outlet.pass_on, single=single)
            turn.started = self._below.audio_context_available(context_id)
        else:
            self._left_alone[context_id] = reason
            self._book.explain(reason)
        return reason is None

    def turn_of(self, context_id: str) -> Turn | None:
        """Find the turn that a sentence belongs to, or begin it.

        Args:
            context_id: The audio context that the sentence is for.

        Returns:
            The turn, or None if its context is left alone. That is counted.
        """
        turn = self.turns.get(context_id)
        if turn is not None and not turn.ended:
            return turn
        if context_id not in self._left_alone and self.begin(context_id, speak=False):
            return self.turns[context_id]
        self._book.stats.bypassed[self._left_alone[context_id]] += 1
        if context_id != self._host._turn_context_id:
            del self._left_alone[context_id]
        return None

    async def end_turn(self, context_id: str | None) -> bool:
        """Note that no more sentences follow in a turn.

        Args:
            context_id: Its audio context.

        Returns:
            Whether the turn is managed.
        """
        if context_id is None or self._left_alone.pop(context_id, None) is not None:
            return False
        if turn := self.turns.get(context_id):
            await self.end(turn)
        return True

    async def end(self, turn: Turn) -> None:
        """Declare that a turn has all its sentences.

        Args:
            turn: The turn.
        """
        await self.live.close_last(turn)
        await turn.end()
        if self._host._pause_frame_processing:  # from here on it sees no frame until it has spoken
            await self.end_following(turn)

    async def end_turns_but(self, context_id: str) -> None:
        """End the turns that a new LLM turn leaves behind, whatever became of them.

        Args:
            context_id: The audio context of the new turn.
        """
        for turn in list(self.turns.values()):
            if turn.context_id != context_id:
                await self.end(turn)

    def _reason_to_leave_alone(self, context_id: str, *, speak: bool) -> Bypass | None:
        options = self._book.options
        reason = None
        if not options.active:
            reason = Bypass.DISABLED
        elif self._host._is_streaming_tokens:
            reason = Bypass.TOKENS
        elif self.live.never_ends:
            reason = Bypass.END_UNKNOWN
        elif options.scope == "speak" and not speak:
            reason = Bypass.SCOPE
        elif self._is_busy_but_with(context_id):
            reason = Bypass.UNSUITABLE_MOMENT
        return reason

    def measures_itself(self) -> bool:
        """Whether the time to first byte that is to be measured now is measured here."""
        current, opened = self._host._turn_context_id, self.opened
        if current in self.turns or current in self.live.sentences or opened in self.turns:
            return True
        if opened is None or opened in self._left_alone:
            return False
        # A sentence without a turn has its context before anybody has heard of it.
        return self._reason_to_leave_alone(opened, speak=False) is None

    def _is_busy_but_with(self, context_id: str) -> bool:
        """Whether speech that is left alone is open on a service that could mix it up with ours."""
        return self._mixes_up and any(other != context_id for other in self._contexts_left_alone())

    @property
    def _mixes_up(self) -> bool:
        """Whether the service could take speech of one context for that of another."""
        profile = self._profile
        return not profile.inline and not (profile.names_context and profile.in_flight > 1)

    def _contexts_left_alone(self) -> list[str]:
        return [each for each in self._below.get_audio_contexts() if each not in self.turns]

    def active_context(self) -> str | None:
        """Tell which context audio without an id belongs to.

        Returns:
            The inner context of the oldest sentence under way; else one that is left alone.
        """
        if oldest := self.live.flight.oldest:
            return oldest.context_id
        active = self._below.get_active_audio_context_id()
        return next(iter(self._contexts_left_alone()), None) if active in self.turns else active

    # Speaking

    async def speak(self, turn: Turn, text: str) -> None:
        """Have a sentence spoken in its turn, from the store or live.

        Args:
            turn: The turn.
            text: The text as prepared for the provider.
        """
        turn.expect(self.live.flight.now())
        try:
            await self._speak(turn, text)
        except BaseException:
            await turn.settle()
            raise
        if not self._host._push_text_frames:
            await turn.settle()

    async def _speak(self, turn: Turn, text: str) -> None:
        await self.go_on(turn)
        settings = self._host._settings.given_fields() | self._sentence_state()
        rate, control = self._host.sample_rate, self._book.controls.now
        key = await self._book.key(text, settings=settings, sample_rate=rate, control=control)
        if await self._book.skips(key):
            return
        sentence = LiveSentence(turn=turn, text=text, key=key, settings=settings, control=control)
        utterance, lead = None, self.following.lead_for(sentence)
        if key is not None and (lead is None or lead.anew):
            utterance = await self._book.find(key, text, control)
        if utterance is None:
            await self._speak_live(sentence)
        else:
            await self._tell("on_tts_cache_hit", sentence)
            await self._replay(turn, utterance)

    async def _speak_live(self, sentence: LiveSentence) -> None:
        """Have a sentence spoken, unless another service is at it, whom to follow."""
        try:
            if await self._follows(sentence):
                return
            if self.live.flight.has_room:
                self._lead_with(sentence)
            await self.live.make_room(sentence)
            if sentence.leading is None and await self._follows(sentence):
                return  # another has begun with it meanwhile
            self._lead_with(sentence)
            self._book.missed(sentence)
            await self._tell("on_tts_cache_miss", sentence)
            await self.live.speak(sentence)
        except BaseException:
            sentence.recording.fail(NotStored.INTERRUPTED)
            self._book.leading.close(sentence)
            raise

    def _lead_with(self, sentence: LiveSentence) -> None:
        """Let others follow a sentence."""
        anew = sentence.control.refresh or self._book.rehearsal is not None
        self._book.leading.take(sentence, ahead=self.live.flight.ahead, anew=anew)

    async def _follows(self, sentence: LiveSentence) -> bool:
        """Have a sentence heard from who speaks it now, if anybody does."""
        lead = self.following.lead_for(sentence)
        if lead is None:
            return False
        if not sentence.placed:
            await self._tell("on_tts_cache_hit", sentence)
            await self._instead_of_asking()
            sentence.waits_for_text = self._text_comes_first
            await sentence.place()
        self.following.start(sentence, lead)
        return True

    async def end_following(self, turn: Turn | None = None) -> None:
        """Wait until nothing follows any more, and speak what has broken off.

        Args:
            turn: The turn of which nothing is to follow, or None for all.
        """
        with suppress(TimeoutError):  # who waits cannot be interrupted
            async with asyncio.timeout(_LONGEST_WAIT):
                await self.go_on(turn)
                while await self.following.goes_on(turn):
                    await self.go_on(turn)

    async def go_on(self, turn: Turn | None = None) -> None:
        """Speak sentences that were heard in part. What goes wrong with one takes no other with it.

        Args:
            turn: The turn they belong to, or None for all.
        """
        while sentence := self.following.take_broken_off(turn):
            for name in self._profile.sentence_state:
                setattr(self._host, name, copy(sentence.settings[name]))
            try:
                await self._speak_live(sentence)
            except Exception as error:
                await self._host.push_error(f"Error processing frame: {error}", exception=error)
                await sentence.turn.finish(sentence)

    async def _tell(self, event: str, sentence: LiveSentence) -> None:
        self.replaying = event == "on_tts_cache_hit"
        if sentence.key is not None:
            await self._host._call_event_handler(event, sentence.turn.context_id, sentence.text)

    async def _instead_of_asking(self) -> None:
        """Leave the service as it would be if it had been asked for a sentence."""
        for name, value in self._profile.sentence_state.items():
            setattr(self._host, name, copy(value))
        await self.live.close_all()

    @property
    def _text_comes_first(self) -> bool:
        """Whether Pipecat puts a sentence's text in front of its audio."""
        return self._profile.inline is False and self._host._push_text_frames

    def _sentence_state(self) -> dict[str, Any]:
        names = self._profile.sentence_state
        return {name: getattr(self._host, name, None) for name in names}

    async def speak_alone(self) -> None:
        """Wait until speech that is left alone cannot be taken for a sentence under way."""
        self.replaying = False
        if self._mixes_up:
            await self.live.close_all()
            await self.live.flight.empty()

    async def _replay(self, turn: Turn, utterance: Utterance) -> None:
        await self._instead_of_asking()
        seconds = self._host.chunk_size / (2 * max(self._host.sample_rate, 1))
        items = cut_up(utterance, turn.context_id, seconds=seconds)
        segment = Segment(islice(items, 1), complete=False)
        segment.waits_for_text = self._text_comes_first
        await turn.open(segment)
        try:
            await turn.let_first_leave()
        finally:
            segment.go_on_with(items)
            await turn.finish(segment)

    # What happens to outer contexts

    async def append(self, turn: Turn, frame: Frame) -> None:
        """Put a frame that Pipecat appends to an outer context in its place.

        Args:
            turn: The turn of the context.
            frame: The frame.
        """
        is_text = isinstance(frame, TTSTextFrame)
        if is_text and self._profile.inline is False:
            await turn.lead_with(frame)
        else:
            await turn.append(frame)
        if is_text:
            await turn.settle()

    async def lose_connection(self, turn: Turn) -> None:
        """End a turn whose context is closed because the connection is replaced.

        Args:
            turn: The turn.
        """
        await self.live.lose_connection()
        await turn.end()

    def played(self, turn: Turn) -> None:
        """Note that an outer context has played all it had.

        Args:
            turn: The turn of the context.
        """
        if turn.ended:
            self.turns.pop(turn.context_id, None)
        else:
            turn.rewind()  # it went quiet, and is opened anew if more comes

    def left_alone_ended(self, context_id: str, *, interrupted: bool) -> None:
        """Note that speech that is left alone is over, or what was played of it.

        Args:
            context_id: Its audio context.
            interrupted: Whether it was cut off. If not, and if the service had not ended it, it
                went quiet.
        """
        if interrupted or context_id not in self.removed:
            self.live.flight.doubt()
        self.removed.discard(context_id)

    async def interrupt(self, turn: Turn) -> None:
        """Throw away what a turn still has to say.

        Args:
            turn: The turn.
        """
        self._interrupted.add(turn.context_id)
        await self.following.drop(turn)
        await self.live.interrupt(turn)
        turn.drop()
        self._book.cancel(turn)
        self.turns.pop(turn.context_id, None)

    async def around_speak_frame(self, process: Callable[[], Awaitable[None]]) -> None:
        """Process a speak frame, and leave the turn around it as it is by then.

        Args:
            process: Processes the frame.
        """
        self._interrupted.clear()
        try:
            await process()
        except Exception:
            await self.end_turn(self._host._turn_context_id)
            raise
        if self._host._turn_context_id in self._interrupted:
            self._host._turn_context_id = None  # it was interrupted while the frame was spoken

    async def after_interruption(self) -> None:
        """Throw away the turns that had no audio context yet when an interruption came."""
        self.replaying = False
        self.removed.clear()
        for turn in list(self.turns.values()):
            context = self._host._tts_contexts.get(turn.context_id)
            spared = survives_interruption(context)
            if not spared and not self._below.audio_context_available(turn.context_id):
                await self.interrupt(turn)
                self._host._tts_contexts.pop(turn.context_id, None)  # as Pipecat does for others
        current = self._host._turn_context_id
        self._left_alone = {
            context_id: reason
            for context_id, reason in self._left_alone.items()
            if context_id == current
        }

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.following.drop()
        await self.live.close()
        for turn in self.turns.values():
            turn.drop()
        self.turns.clear()
