#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Live speech: what the provider is asked for, and what comes of it.

A sentence that is not in the store is spoken in a *small turn*: an inner context that the service
below opens, fills and ends as it would for a `TTSSpeakFrame`. Everything that the service does to
that context comes here. Inline and streaming services go the same way; an inline one has ended
its sentence by the time the small turn is over.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.pipecat_compat import ErrorCategory, WordTimestamp
from pipecat_tts_cache.services import ServiceProfile
from pipecat_tts_cache.speaking.flight import Flight, LiveSentence
from pipecat_tts_cache.speaking.turn import Turn
from pipecat_tts_cache.speaking.whole_body import read_along
from pipecat_tts_cache.speaking.word_clock import WordClock
from pipecat_tts_cache.statistics.stats import NotStored
from pipecat_tts_cache.utterance import Word

_LOOKS_PER_PATIENCE = 4
_RECONNECT_LOOK_SECONDS = 0.02


class LiveSpeech:
    """The sentences of one service that the provider speaks now."""

    def __init__(
        self,
        *,
        host: TTSService,
        below: TTSService,
        profile: ServiceProfile,
        book: Phrasebook,
        clock: Callable[[], float],
    ) -> None:
        """Start with none.

        Args:
            host: The service, with the mixin.
            below: The same service as it would be without the mixin: `super()` of the mixin.
            profile: What is known of the service.
            book: Where sentences are kept.
            clock: Gives the time in seconds.
        """
        self.sentences: dict[str, LiveSentence] = {}
        self.flight = Flight(profile, clock)
        self.never_ends = not profile.certain_end
        self._host = host
        self._below = below
        self._profile = profile
        self._book = book
        self._passed_errors: set[int] = set()
        self._word_clock = WordClock(runs_on=profile.running_clock)
        self._watch: asyncio.Task[None] | None = None

    async def make_room(self, sentence: LiveSentence) -> None:
        """Wait until a sentence may be sent.

        Args:
            sentence: The sentence.
        """
        if self._to_join(sentence):
            return
        await self.close_all()
        try:
            await self.flight.room(sentence.turn)
            await self._reconnected()
        except asyncio.CancelledError:
            self._book.missed(sentence)
            self._book.give_up(sentence, NotStored.INTERRUPTED)
            raise

    async def speak(self, sentence: LiveSentence) -> None:
        """Have a sentence spoken, for which room was made.

        Args:
            sentence: The sentence.
        """
        if open_one := self._to_join(sentence):
            open_one.recording.fail(NotStored.JOINED)
            sentence.recording.fail(NotStored.JOINED)
            self._book.leading.close(sentence)
            self._book.give_up(sentence, NotStored.JOINED)
            await self._send(open_one, sentence.text)
            return
        for name, value in self._profile.fresh_state.items():
            setattr(self._host, name, value)
        if self._profile.tells_every_word:
            sentence.recording.must_tell = sentence.text
        self._depart(sentence)
        if sentence.placed:
            self._host._refresh_audio_context(sentence.turn.context_id)
            sentence.hear_from(sentence.recording)
        else:
            await sentence.place()
        await self._send(sentence, sentence.text)

    async def close_last(self, turn: Turn) -> None:
        """Close the sentence that others were to join, because none will.

        Args:
            turn: The turn that ends, or goes on with something else.
        """
        if open_one := self._unclosed(turn):
            self.flight.may_close(at_last=True)
            open_one.unclosed = False
            try:
                async with self._small_turn(open_one):
                    await self._below.on_turn_context_completed()
            except Exception as error:  # nobody asked for this but us
                logger.debug(f"{self._host} closing failed: {type(error).__name__}")
                open_one.recording.fail(NotStored.ERROR)
                await self.end(open_one)

    async def close_all(self) -> None:
        """Close the sentences that others were to join, of whatever turn."""
        for turn in {each.turn for each in self.flight if each.unclosed}:
            await self.close_last(turn)

    def _unclosed(self, turn: Turn) -> LiveSentence | None:
        return next((each for each in self.flight if each.unclosed and each.turn is turn), None)

    def _to_join(self, sentence: LiveSentence) -> LiveSentence | None:
        """Find the sentence that another is to be spoken together with."""
        return None if sentence.placed else self._unclosed(sentence.turn)

    async def _send(self, sentence: LiveSentence, text: str) -> None:
        """Take the service through a small turn, and end the sentence if that was all of it."""
        sentence.sending = True
        try:
            await self._confirm(sentence)
            async with self._small_turn(sentence):
                await self._say(sentence, text)
            await self._confirm(sentence)
        except asyncio.CancelledError:
            sentence.recording.fail(NotStored.INTERRUPTED)
            if not self._more_is_to_come(sentence):
                await self.end(sentence)
            raise
        except Exception:
            sentence.recording.fail(NotStored.ERROR)
            await self.end(sentence)
            raise
        finally:
            sentence.sending = False
        if not self._more_is_to_come(sentence):
            await self.end(sentence)

    async def _confirm(self, sentence: LiveSentence) -> None:
        settings = {**sentence.settings, **self._host._settings.given_fields()}
        await self._book.confirm(sentence, settings=settings, sample_rate=self._host.sample_rate)

    async def _reconnected(self) -> None:
        """Wait for a connection that is being replaced: what is sent meanwhile gets lost."""
        looks = int(self._host._stop_frame_timeout_s / _RECONNECT_LOOK_SECONDS)
        while looks > 0 and getattr(self._host, "_reconnect_in_progress", False):
            await asyncio.sleep(_RECONNECT_LOOK_SECONDS)
            looks -= 1

    def _depart(self, sentence: LiveSentence) -> None:
        sentence.turn.live_sentences += 1
        if sentence.turn.live_sentences == 1:
            sentence.asked_at = time.time()
        self._adopt(sentence)
        self.flight.depart(sentence)
        if self._watch is None or self._watch.done():
            self._watch = self._host.create_task(self._watch_flight(), "tts_cache_watch")

    def _adopt(self, sentence: LiveSentence) -> None:
        """Let Pipecat and the service treat an inner context as they would the outer one."""
        self.sentences[sentence.context_id] = sentence
        contexts = self._host._tts_contexts
        if outer := contexts.get(sentence.turn.context_id):
            contexts[sentence.context_id] = outer

    def _release(self, sentence: LiveSentence) -> None:
        """Leave nothing of an inner context with Pipecat, nor with its tracing."""
        self.sentences.pop(sentence.context_id, None)
        self._host._tts_contexts.pop(sentence.context_id, None)
        getattr(self._host, "_tts_texts", {}).pop(sentence.context_id, None)
        if entry := getattr(self._host, "_tts_spans", {}).pop(sentence.context_id, None):
            entry["span"].end()

    def _more_is_to_come(self, sentence: LiveSentence) -> bool:
        """Whether audio may still come for a sentence whose small turn is over."""
        if self._profile.inline is None:
            recording = sentence.recording
            return sentence.handed_over or not (recording.has_audio or recording.failure)
        not_sent = sentence.recording.failure is NotStored.ERROR and not sentence.handed_over
        return not self._profile.inline and not not_sent

    @asynccontextmanager
    async def _small_turn(self, sentence: LiveSentence) -> AsyncGenerator[None, None]:
        """Make a sentence the service's turn for a while, as Pipecat does a `TTSSpeakFrame`."""
        host, inner = self._host, sentence.context_id
        outer, host._turn_context_id = host._turn_context_id, inner
        inline, host._is_yielding_frames_synchronously = (
            host._is_yielding_frames_synchronously,
            False,
        )
        try:
            yield
        finally:
            # If the connection was replaced meanwhile, Pipecat has moved the turn to a new context.
            has_moved = host._turn_context_id not in (inner, None)
            if not (has_moved and sentence.turn.ending):
                host._turn_context_id = outer
            host._is_yielding_frames_synchronously = inline

    async def _say(self, sentence: LiveSentence, text: str) -> None:
        below, context_id = self._below, sentence.context_id
        if not sentence.unclosed:
            await below.on_turn_context_created(context_id)
            sentence.opened = self._host._push_start_frame
        with read_along(self._host, self._profile.whole_body) as body:
            frames = self._observed(sentence, below.run_tts(text, context_id))
            await below.tts_process_generator(context_id, frames)
        if not body.whole:
            sentence.recording.fail(NotStored.NO_END)
        sentence.unclosed = not (
            sentence.ended or self.flight.may_close(at_last=sentence.feed is not None)
        )
        if sentence.unclosed and sentence.leading:
            sentence.leading.close()
        if not (sentence.ended or sentence.unclosed or self._profile.closes_itself):
            await below.on_turn_context_completed()

    async def _observed(
        self, sentence: LiveSentence, frames: AsyncGenerator[Frame | None, None]
    ) -> AsyncGenerator[Frame | None, None]:
        """Note whether the service hands the sentence over, to answer later."""
        async for frame in frames:
            sentence.handed_over = sentence.handed_over or frame is None
            yield frame
            if frame is not None:
                await sentence.turn.let_first_leave()

    # What the service does to an inner context

    async def hear(self, sentence: LiveSentence, item: Frame | WordTimestamp) -> None:
        """Take what the service puts into an inner context.

        Args:
            sentence: The sentence that the context is for.
            item: What it puts there.
        """
        self.flight.hear(sentence)
        sentence.opened = True
        if isinstance(item, WordTimestamp):
            start = self._word_clock.from_start(sentence, item.timestamp)
            self._hear_word(sentence, Word(item.word, start, item.includes_inter_frame_spaces))
        elif isinstance(item, TTSAudioRawFrame):
            await self._hear_audio(sentence, item)
        elif isinstance(item, ErrorFrame):
            sentence.recording.fail(NotStored.ERROR)
            self._passed_errors.add(item.id)
            sentence.add(item)
        elif not isinstance(item, TTSStoppedFrame):
            if not isinstance(item, TTSStartedFrame):
                sentence.recording.fail(NotStored.OTHER_FRAMES)
            if hasattr(item, "context_id"):
                item.context_id = sentence.turn.context_id  # pyright: ignore[reportAttributeAccessIssue]
            sentence.add(item)
        await sentence.turn.advance()

    def _hear_word(self, sentence: LiveSentence, word: Word) -> None:
        sentence.recording.tell(word)
        sentence.add_heard(word._replace(start=max(word.start, 0.0)))

    async def _hear_audio(self, sentence: LiveSentence, frame: TTSAudioRawFrame) -> None:
        if sentence.asked_at is not None and frame.audio:
            await self._below.start_ttfb_metrics(start_time=sentence.asked_at)
            await self._below.stop_ttfb_metrics()
            sentence.asked_at = None
        audio = sentence.recording.hear(
            frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels
        )
        if audio:
            if audio is not frame.audio:
                frame.audio = audio
                frame.num_frames = len(audio) // (2 * max(frame.num_channels, 1))
            frame.context_id = sentence.turn.context_id
            sentence.add_heard(frame)

    def reset_clock(self) -> None:
        """Note that a word clock that runs on is set back, as services do when speech stops."""
        self._word_clock.reset(self.flight)

    async def ended_by_service(self, sentence: LiveSentence) -> None:
        """Note that the service has ended an inner context.

        Args:
            sentence: The sentence that the context is for.
        """
        stale = not (self._profile.names_context or self.flight.settled)
        if stale and not sentence.recording.has_audio:
            return  # the late end of a sentence that was abandoned before this one
        await self.end(sentence)

    async def end(self, sentence: LiveSentence) -> None:
        """End a sentence, and have it kept if it may be.

        Args:
            sentence: The sentence.
        """
        if sentence.ended:
            return
        sentence.ended = True
        sentence.turn.silent = not sentence.recording.has_audio
        self._hear_the_rest(sentence)
        self._word_clock.keep(sentence)
        await self._tell_service(self._below.on_audio_context_completed, sentence)
        self._land(sentence)
        await sentence.turn.finish(sentence)

    def _hear_the_rest(self, sentence: LiveSentence) -> None:
        """Take what the service does not report by itself when a sentence ends."""
        recording = sentence.recording
        if names := self._profile.unreported_word:
            text, start = (getattr(self._host, name, None) for name in names)
            if text and recording.failure is None:
                self._hear_word(sentence, Word(text, float(start or 0.0)))
        if name := self._profile.last_word_end:
            recording.last_word_end = float(getattr(self._host, name, None) or 0.0)
        if sample := recording.last_sample():
            rate, channels = recording.sample_rate, recording.num_channels
            context_id = sentence.turn.context_id
            sentence.add_heard(TTSAudioRawFrame(sample, rate, channels, context_id=context_id))

    # What goes wrong

    def fail_all(self, reason: NotStored) -> None:
        """Rule out that anything under way is stored.

        Args:
            reason: Why.
        """
        for sentence in self.flight:
            sentence.recording.fail(reason)
        self._book.doubt(reason)

    def notice_error(self, error: ErrorFrame) -> None:
        """Take note of an error that the service reports.

        Args:
            error: The error. One that came through an inner context has been noted before.
        """
        if error.id in self._passed_errors:
            self._passed_errors.discard(error.id)
        elif getattr(error, "category", None) is not ErrorCategory.APPLICATION:
            self.fail_all(NotStored.ERROR)

    async def notice_stop(self, sentence: LiveSentence) -> None:
        """Take note of a stop frame that the service pushes past the context, as some do on errors.

        Args:
            sentence: The sentence it is for.
        """
        sentence.recording.fail(NotStored.ERROR)
        await self.end(sentence)

    async def lose_connection(self) -> None:
        """End everything under way: what is still due on a replaced connection never comes."""
        for sentence in self.flight:
            sentence.recording.fail(NotStored.RECONNECTED)
            await self.end(sentence)

    async def interrupt(self, turn: Turn) -> None:
        """Cancel the sentences of a turn, at the provider too.

        Args:
            turn: The turn.
        """
        self._passed_errors.clear()
        for sentence in [each for each in self.flight if each.turn is turn]:
            await self._tell_service(self._below.on_audio_context_interrupted, sentence)
            sentence.recording.fail(NotStored.INTERRUPTED)
            if not sentence.ended:
                sentence.ended = True
                self._land(sentence)

    async def close(self) -> None:
        """Forget everything under way, and stop watching."""
        if self._watch is not None and not self._watch.done():
            await self._host.cancel_task(self._watch)
        for sentence in self.flight:
            sentence.recording.fail(NotStored.INTERRUPTED)
            sentence.ended = True
            self._land(sentence)

    def _land(self, sentence: LiveSentence) -> None:
        self._release(sentence)
        sentence.over()
        for landed in self.flight.land(sentence):
            self._book.keep(landed)

    async def _tell_service(self, hook: Callable[[str], Any], sentence: LiveSentence) -> None:
        try:
            await hook(sentence.context_id)
        except Exception as error:
            logger.debug(f"{self._host} {hook.__name__} failed: {type(error).__name__}")

    async def _watch_flight(self) -> None:
        """Keep outer contexts open while a sentence is due, and give up on one that never comes."""
        patience = self._host._stop_frame_timeout_s
        pause = patience / _LOOKS_PER_PATIENCE
        while self.flight:
            await asyncio.sleep(pause)
            for turn in {*self.flight.waiting, *(sentence.turn for sentence in self.flight)}:
                if self.flight.is_lively(turn, 1.5 * pause):
                    self._host._refresh_audio_context(turn.context_id)
            oldest = self.flight.oldest
            if oldest and self.flight.is_overdue(oldest, patience):
                await self._give_up(oldest)

    async def _give_up(self, oldest: LiveSentence) -> None:
        """End a sentence that nothing comes for; without ids, what waits behind it is stuck too."""
        if self._profile.inline is None and oldest.recording.has_audio:
            self.never_ends = True
        stuck = [oldest] if self._profile.names_context else list(self.flight)
        for sentence in stuck:
            sentence.recording.fail(NotStored.NO_END)
        await self._tell_service(self._below.on_audio_context_interrupted, oldest)
        for sentence in stuck:
            await self.end(sentence)
