#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services that speak from recordings.

Of a service a class is made for each test, with a layer on either side of the mixin's methods::

    CachedTTS           the class the test names, if it has the mixin
    _Taped              the store is the tape, and the tape knows what is said
    TTSCacheMixin
    CartesiaTTSService  a class of this name that reaches no network, where lines are only replayed
    CartesiaTTSService  the service itself

Both layers leave the keys as they are: those of the service.
"""

import warnings
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast

from pipecat.frames.frames import Frame, TTSAudioRawFrame
from pipecat.services.tts_service import TTSService, WebsocketTTSService

from pipecat_tts_cache.control import CacheControl, Controls
from pipecat_tts_cache.controls import CacheControls
from pipecat_tts_cache.guard import Guard
from pipecat_tts_cache.mixin import TTSCacheMixin
from pipecat_tts_cache.needs import classes_below
from pipecat_tts_cache.pytest_plugin.tape import Mode, Said, Tape

_make: Any = type  # in a way that does not have a type checker order the bases
_SILENCE_SECONDS = 0.1
_LOOKUP_SECONDS = 60.0


def taped_class(service_class: type, tape: Tape | None, mode: Mode) -> type[TTSService]:
    """Make a class of a service that speaks from recordings.

    Args:
        service_class: A class of a Pipecat TTS service, with `TTSCacheMixin` or without.
        tape: The recordings; None for no cache at all.
        mode: What becomes of lines.

    Returns:
        A subclass of it.

    Raises:
        TypeError: If it is no such class.
    """
    if not isinstance(service_class, type) or not issubclass(service_class, TTSService):
        name = getattr(service_class, "__name__", type(service_class).__name__)
        raise TypeError(f"name the class of a Pipecat TTS service, not {name}")
    own: list[type] = []
    service: type = service_class
    if issubclass(service_class, TTSCacheMixin):
        own, service = [service_class], classes_below(service_class, CacheControls)[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever names the class was told
        if mode is Mode.REPLAY:
            service = _offline(service)
        made: Any = _make(service_class.__name__, (*own, _Taped, service), {"_tape": tape})
        return cast("type[TTSService]", made)


class _NothingPersonal(Guard):
    """Takes the values that a bot names, and holds nothing back."""

    def holds_back(self, text: str) -> bool:
        del text
        return False


class _NothingOffTape(Controls):
    """Takes what a bot says of its speech, and keeps its tag."""

    @property
    def now(self) -> CacheControl:
        return CacheControl(tag=super().now.tag)


class _Taped(TTSCacheMixin):
    """Has a tape for its store, and tells it what is said."""

    _tape: Tape | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own: dict[str, Any] = {"cache_backend": self._tape, "cache_lookup_timeout": _LOOKUP_SECONDS}
        super().__init__(*args, **{**kwargs, **own})
        book = self._tts_cache_book
        options = book.options
        self._tape_enabled = options.enabled
        if self._tape is not None:  # there may be no provider to fall back on: all is recorded
            options.enabled, options.scope, options.should_cache = True, "all", None
            options.store_text, options.ttl = True, None
            book.guard, book.controls = _NothingPersonal(), _NothingOffTape()

    @property
    def cache_enabled(self) -> bool:
        """What the bot has set it to; it is recorded and replayed either way."""
        return self._tape_enabled

    @cache_enabled.setter
    def cache_enabled(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"cache_enabled must be a bool, not {type(enabled).__name__}")
        self._tape_enabled = enabled

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        if self._tape is not None:
            self._tape.note(self._said(text))
        async for frame in super().run_tts(text, context_id):
            yield frame

    def _said(self, text: str) -> Said:
        book = self._tts_cache_book
        settings = book._reader.in_force(self._settings.given_fields())
        voice, model = settings.get("voice"), settings.get("model")
        return Said(
            text=text,
            service=book._reader.service_name,
            voice=None if voice is None else str(voice),
            model=None if model is None else str(model),
            namespace=book.options.namespace,
            sample_rate=self.sample_rate,
            bypassed=lambda: set(map(str, +book.stats.bypassed)),
            not_stored=lambda: set(map(str, +book.stats.not_stored)),
        )


# A service that reaches no network


def _offline(service: type) -> type:
    """Make a class of a service that never connects, under its very name: it is in the key."""
    body: dict[str, Any] = {
        name: _inherited(service, name) for name in _OF_PIPECAT if hasattr(service, name)
    }
    body |= {name: act for name, act in _QUIET.items() if hasattr(service, name)}
    body |= {"__module__": service.__module__, "__qualname__": service.__qualname__}
    return type(service.__name__, (service,), {**body, "run_tts": _run_silently})


_OF_PIPECAT = (
    *("start", "_disconnect", "flush_audio", "on_turn_context_created"),
    *("on_turn_context_completed", "on_audio_context_interrupted", "on_audio_context_completed"),
)
"""Methods with which a service reaches its provider, beside what Pipecat does in them."""


def _inherited(service: type, name: str) -> Callable[..., Any]:
    """Find what Pipecat's base class does in a method."""
    base = WebsocketTTSService if issubclass(service, WebsocketTTSService) else TTSService
    return getattr(base, name, _do_nothing)


async def _do_nothing(*_: Any, **__: Any) -> None:
    """Stand in for sending something."""


def _answer_nothing(*_: Any) -> None:
    """Stand in for asking something."""


async def _connect(self: Any) -> None:
    """Be connected to nobody."""
    self._disconnecting = False
    await self._call_event_handler("on_connected")


async def _run_silently(self: Any, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
    """Stand in for speaking, so that a test goes on: what is missing is told at its end."""
    del text
    self._tape.note_missing()
    silence = bytes(2 * max(1, round(self.sample_rate * _SILENCE_SECONDS)))
    yield TTSAudioRawFrame(silence, self.sample_rate, 1, context_id=context_id)


_QUIET: Mapping[str, Callable[..., Any]] = {
    "_close_context": _do_nothing,
    "_connect": _connect,
    "_create_synthesis_config": _answer_nothing,
    "_send_config": _do_nothing,
    "_send_configure": _do_nothing,
}
"""What some services do when they start, and when settings change."""
