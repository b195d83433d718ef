#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The mixin: the only face towards Pipecat's `TTSService`.

Pipecat puts the sentences of a turn into one audio context. The mixin keeps that *outer* context
for everything downstream, and gives every sentence that has to be spoken live an *inner* context
of its own. The overrides below tell the conductor what Pipecat and the service do to either;
contexts that are not managed are passed on untouched.
"""

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any, Self, cast

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    StopFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.control import control_of
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.needs import check_order, classes_below, steps_aside, unmet_needs
from pipecat_tts_cache.options import Scope, ShouldCache, check_spelling, checked_options
from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.pipecat_compat import (
    WebsocketService,
    WordTimestamp,
    end_what_is_due,
)
from pipecat_tts_cache.preparation.arguments import Arguments
from pipecat_tts_cache.preparation.running import Preparation
from pipecat_tts_cache.request import RequestReader
from pipecat_tts_cache.services import profile_of
from pipecat_tts_cache.speaking.conductor import Conductor
from pipecat_tts_cache.speaking.following import GoOnFrame
from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import SavingsLedger
from pipecat_tts_cache.statistics.stats import NotStored
from pipecat_tts_cache.statistics.telemetry import Telemetry
from pipecat_tts_cache.statistics.telling import Teller


@steps_aside
class TTSCacheMixin(CacheControls, TTSService):
    """Gives a Pipecat TTS service a memory for its own speech.

    Put it in front of the service::

        class CachedTTS(TTSCacheMixin, CartesiaTTSService):
            pass

        tts = CachedTTS(api_key=..., cache_backend=MemoryCacheBackend())

    Event handlers:
        on_tts_cache_hit: Called with (service, context_id, text) when a sentence is replayed.
        on_tts_cache_miss: Called with (service, context_id, text) when it is spoken live.
    """

    _tts_cache_made_with: Arguments
    _tts_cache_works = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check that the mixin stands in front of the service.

        Raises:
            TypeError: If it does not.
        """
        super().__init_subclass__(**kwargs)
        check_order(cls, TTSCacheMixin)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments, so that a service like this one can be made.

        Args:
            *args: Of the whole class, whatever stands in front of the mixin.
            **kwargs: Likewise.

        Returns:
            The service, which is not initialized yet.
        """
        new = super().__new__
        self: Self = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        self._tts_cache_made_with = Arguments(args, kwargs)
        return self

    def __init__(
        self,
        *args: Any,
        cache_backend: CacheBackend | None = None,
        cache_ttl: float | None = None,
        cache_namespace: str | None = None,
        cache_enabled: bool = True,
        cache_key_extra: Mapping[str, Any] | None = None,
        cache_secret: str | bytes | None = None,
        cache_lookup_timeout: float = 0.25,
        cache_store_text: bool = True,
        should_cache: ShouldCache | None = None,
        cache_scope: Scope = "all",
        cache_prices: PriceTable | None = None,
        cache_ledger: SavingsLedger | None = None,
        cache_telemetry: Telemetry = "on",
        **kwargs: Any,
    ) -> None:
        """Create the service.

        Args:
            *args: Passed on to the service.
            cache_backend: The store. Without one, the service is as if the mixin were not there.
            cache_ttl: Seconds for which an utterance is kept; None keeps it for ever.
            cache_namespace: Whose utterances these are: a tenant, a user, a bot. Any string;
                namespaces never see one another's speech. None is the same as "".
            cache_enabled: Whether anything is read or written; see the property of that name.
            cache_key_extra: More that shapes the audio and that the settings do not tell, folded
                into every key.
            cache_secret: If given, digests are keyed with it, so that a stolen store cannot be
                searched for guessed sentences. Services that are to share need the same one.
            cache_lookup_timeout: Seconds that a look-up may take before the sentence is spoken
                live.
            cache_store_text: Whether records hold the text that was spoken. The key never does.
            should_cache: Called with the text as prepared for the provider; a text that it
                refuses is neither looked up nor stored. May be async, within the look-up's time.
            cache_scope: "all", or "speak" to cache `TTSSpeakFrame`s only and leave LLM turns as
                they are, with the provider's prosody across sentences.
            cache_prices: What characters cost, for `get_cache_stats()["savings"]`.
            cache_ledger: Where what is saved is added up for many services, besides.
            cache_telemetry: "on", "off", or "namespace" to name the namespace in OpenTelemetry's
                metrics, too, where it may be a person's.
            **kwargs: Passed on to the service.

        Raises:
            TypeError: If an argument has the wrong type or nearly the name of one of these, or the
                mixin stands before no service.
            ValueError: If an argument has an impossible value.
        """
        options = checked_options(
            cache_backend=cache_backend,
            cache_ttl=cache_ttl,
            cache_namespace=cache_namespace,
            cache_enabled=cache_enabled,
            cache_key_extra=cache_key_extra,
            cache_secret=cache_secret,
            cache_lookup_timeout=cache_lookup_timeout,
            cache_store_text=cache_store_text,
            should_cache=should_cache,
            cache_scope=cache_scope,
            cache_prices=cache_prices,
            cache_ledger=cache_ledger,
            cache_telemetry=cache_telemetry,
        )
        *between, service = classes_below(type(self), CacheControls)
        check_spelling(kwargs, type(self))
        profile = profile_of(type(self), websocket=isinstance(self, WebsocketService))
        reader = RequestReader(
            service_class=service, profile=profile, args=args, kwargs=kwargs, between=between
        )
        self._tts_cache_book = Phrasebook(options, reader)
        self._tts_cache = Conductor(
            host=self, below=cast(TTSService, super()), profile=profile, book=self._tts_cache_book
        )
        self._tts_cache_preparation = Preparation(self)
        self._tts_cache.live.flight.before_asking = self._tts_cache_preparation.give_way
        self._tts_cache_in_speak_frame = False
        self._tts_cache_teller = Teller(self, self._tts_cache_book)
        super().__init__(*args, **kwargs)
        if unmet := unmet_needs(self, TTSCacheMixin, profile):
            self._tts_cache_book.step_aside(unmet)
            return
        self._tts_cache_works = True
        self._register_event_handler("on_tts_cache_hit")
        self._register_event_handler("on_tts_cache_miss")

    # What Pipecat asks of the service

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a sentence, from the store or live.

        Args:
            text: The text as prepared for the provider.
            context_id: The audio context it is for.

        Yields:
            Nothing where the context is managed: its frames go through the turn.
        """
        turn = self._tts_cache.turn_of(context_id)
        if turn is not None:
            self._tts_cache_teller.spans.context_id = context_id
            await self._tts_cache.speak(turn, text)
            return
        if self._tts_cache_book.rehearsal is not None:
            return  # speech that is left alone could not be stored
        self._tts_cache_preparation.give_way()
        await self._tts_cache.speak_alone()
        async for frame in super().run_tts(text, context_id):  # pyright: ignore[reportAbstractUsage]
            yield frame

    async def tts_process_generator(
        self, context_id: str, generator: AsyncGenerator[Frame | None, None]
    ) -> None:
        """Process what `run_tts` yields; for a managed context that is nothing.

        Args:
            context_id: The audio context it is for.
            generator: Yields the frames.
        """
        inline = self._is_yielding_frames_synchronously
        await super().tts_process_generator(context_id, generator)
        if context_id in self._tts_cache.turns:
            self._is_yielding_frames_synchronously = inline

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Process a frame, and see what it means for the turns.

        Args:
            frame: The frame.
            direction: Where it is going.
        """
        if isinstance(frame, GoOnFrame):
            await self._tts_cache.go_on(frame.turn)
            return
        if isinstance(frame, (EndFrame, StopFrame, TTSUpdateSettingsFrame)):
            await self._tts_cache.end_following()
        if isinstance(frame, TTSUpdateSettingsFrame) and frame.service in (None, self):
            self._tts_cache_book.note_settings(self._settings.given_fields())
            self._tts_cache.live.fail_all(NotStored.SETTINGS_CHANGED)
        if not isinstance(frame, TTSSpeakFrame):
            await super().process_frame(frame, direction)
        else:
            self._tts_cache_in_speak_frame = True
            process = partial(super().process_frame, frame, direction)
            try:
                with self._tts_cache_book.controls.within(control_of(frame)):
                    await self._tts_cache.around_speak_frame(process)
            finally:
                self._tts_cache_in_speak_frame = False
        if isinstance(frame, InterruptionFrame):
            await self._tts_cache.after_interruption()
        elif isinstance(frame, StartFrame):
            self._tts_cache_preparation.begin()

    async def on_turn_context_created(self, context_id: str) -> None:
        """Decide whether a turn is managed; the service sees the inner contexts of one that is.

        Args:
            context_id: The audio context of the turn.
        """
        speak = self._tts_cache_in_speak_frame
        if not self._tts_cache.begin(context_id, speak=speak):
            await super().on_turn_context_created(context_id)
        if not speak:
            await self._tts_cache.end_turns_but(context_id)

    async def on_turn_context_completed(self) -> None:
        """Note that a turn has all its sentences."""
        if await self._tts_cache.end_turn(self._turn_context_id):
            self._turn_context_id = None
        else:
            await super().on_turn_context_completed()

    async def flush_audio(self, context_id: str | None = None) -> None:
        """Flush a context; for a managed turn that means that it has all its sentences.

        Args:
            context_id: The context, or None for the active one.
        """
        if turn := self._tts_cache.turns.get(context_id or ""):
            await self._tts_cache.end(turn)
        else:
            await super().flush_audio(context_id)

    async def cleanup(self) -> None:
        """Leave nothing behind: no task, no pending write."""
        await self._tts_cache_preparation.close()
        await super().cleanup()
        await self._tts_cache.close()
        await self._tts_cache_book.close()
        await self._tts_cache_teller.close()

    # What Pipecat and the service do to audio contexts

    async def create_audio_context(self, context_id: str) -> None:
        """Open an audio context.

        Args:
            context_id: An inner or an outer context.
        """
        if sentence := self._tts_cache.live.sentences.get(context_id):
            sentence.opened = True
            if sentence.key is not None:
                self._tts_cache_teller.spans.opened(context_id, len(sentence.text))
        else:
            self._tts_cache.opened = context_id
            await super().create_audio_context(context_id)

    async def append_to_audio_context(
        self, context_id: str | None, frame: Frame | WordTimestamp | None
    ) -> None:
        """Put something into an audio context.

        Args:
            context_id: An inner or an outer context.
            frame: A frame, a word, or None to end the context.
        """
        conductor = self._tts_cache
        if not context_id:
            conductor.live.flight.stray()
        elif sentence := conductor.live.sentences.get(context_id):
            if frame is None:
                await conductor.live.ended_by_service(sentence)
            else:
                await conductor.live.hear(sentence, frame)
            return
        elif isinstance(frame, Frame) and (turn := conductor.turns.get(context_id)):
            await conductor.append(turn, frame)
            return
        await super().append_to_audio_context(context_id, frame)

    async def remove_audio_context(self, context_id: str | None) -> None:
        """End an audio context.

        Args:
            context_id: An inner context that the service ends, or an outer one that is closed
                because the connection is replaced.
        """
        conductor = self._tts_cache
        if sentence := conductor.live.sentences.get(context_id or ""):
            await conductor.live.ended_by_service(sentence)
        elif turn := conductor.turns.get(context_id or ""):
            await conductor.lose_connection(turn)
        else:
            if super().audio_context_available(context_id or ""):
                conductor.removed.add(context_id or "")
            await super().remove_audio_context(context_id)

    async def _disconnect_websocket(self) -> None:
        await end_what_is_due(self._tts_cache.live.lose_connection)
        await super()._disconnect_websocket()  # type: ignore[misc]  # only where there is one

    def audio_context_available(self, context_id: str) -> bool:
        """Tell whether an audio context is open.

        Args:
            context_id: An inner or an outer context.

        Returns:
            Whether it is.
        """
        if sentence := self._tts_cache.live.sentences.get(context_id):
            return sentence.opened
        return super().audio_context_available(context_id)

    def get_active_audio_context_id(self) -> str | None:
        """Tell which context audio without an id belongs to.

        Returns:
            The inner context of the oldest sentence under way, or one that is left alone.
        """
        return self._tts_cache.active_context()

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Cancel what is under way for a context that is interrupted.

        Args:
            context_id: An outer context.
        """
        if turn := self._tts_cache.turns.get(context_id):
            await self._tts_cache.interrupt(turn)
        else:
            self._tts_cache.left_alone_ended(context_id, interrupted=True)
            await super().on_audio_context_interrupted(context_id)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Note that a context has played all it had.

        Args:
            context_id: An outer context.
        """
        if turn := self._tts_cache.turns.get(context_id):
            self._tts_cache.played(turn)
        else:
            self._tts_cache.left_alone_ended(context_id, interrupted=False)
            await super().on_audio_context_completed(context_id)

    # What the service reports

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Push a frame; one that names an inner context is made to name the outer one.

        Args:
            frame: The frame.
            direction: Where to push it.
        """
        live = self._tts_cache.live
        if isinstance(frame, (TTSStoppedFrame, InterruptionFrame)):
            live.reset_clock()
        inner = getattr(frame, "context_id", None) if live.sentences else None
        sentence = live.sentences.get(inner) if inner else None
        if isinstance(frame, TTSStoppedFrame) and inner is None:
            sentence = live.flight.oldest
        if sentence is None:
            await super().push_frame(frame, direction)
        elif isinstance(frame, TTSStoppedFrame):
            await live.notice_stop(sentence)
        elif not isinstance(frame, TTSStartedFrame):
            frame.context_id = sentence.turn.context_id  # type: ignore[attr-defined]
            await super().push_frame(frame, direction)

    async def push_error_frame(self, error: ErrorFrame, *args: Any, **kwargs: Any) -> None:
        """Push an error; nothing that is under way now is stored.

        Args:
            error: The error.
            *args: Passed on.
            **kwargs: Passed on.
        """
        self._tts_cache.live.notice_error(error)
        await super().push_error_frame(error, *args, **kwargs)

    async def start_ttfb_metrics(self, *args: Any, **kwargs: Any) -> None:
        """Start measuring the time to first byte, except in a managed turn.

        There it is the time from the sending of the first live sentence to its first audio.
        """
        if not self._tts_cache.measures_itself():
            await super().start_ttfb_metrics(*args, **kwargs)

    async def stop_processing_metrics(self, *args: Any, **kwargs: Any) -> None:
        """Stop measuring the processing time, and report it unless a sentence was replayed."""
        if self._tts_cache.replaying:
            self._tts_cache.replaying = False
        else:
            await super().stop_processing_metrics(*args, **kwargs)
