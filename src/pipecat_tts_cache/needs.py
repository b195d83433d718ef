#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the mixin needs of Pipecat and of a service, and stepping aside where it is not there.

Half of it is private to Pipecat, and may change with any release. A bot must not break by that:
where something is missing or other than it was, the service is as it would be without the mixin.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar

from pipecat.frames.frames import TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.pipecat_compat import MISSING, WebsocketService, WordTimestamp, tells_ends
from pipecat_tts_cache.services import ServiceProfile
from pipecat_tts_cache.statistics.stats import Bypass

_Mixin = TypeVar("_Mixin", bound=type)

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

_CALLED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "_call_event_handler": (3, ()),
    "_refresh_audio_context": (1, ()),
    "_register_event_handler": (1, ()),
    "cancel_task": (1, ()),
    "create_task": (2, ()),
    "get_audio_contexts": (0, ()),
    "push_error": (1, ("exception",)),
    "queue_frame": (1, ()),
    "start_ttfb_metrics": (0, ("start_time",)),
    "stop_ttfb_metrics": (0, ()),
}
"""Methods that are called: how many positional arguments they take, and which by name."""

_READ = (
    "_is_streaming_tokens",
    "_is_yielding_frames_synchronously",
    "_pause_frame_processing",
    "_push_start_frame",
    "_push_text_frames",
    "_settings",
    "_stop_frame_timeout_s",
    "_tts_contexts",
    "_turn_context_id",
    "chunk_size",
    "sample_rate",
)
"""Attributes and properties of every service."""

_MADE: Mapping[Callable[..., Any], tuple[int, tuple[str, ...]]] = {
    TTSAudioRawFrame: (3, ("context_id",)),
    TTSStartedFrame: (0, ("context_id",)),
    TTSStoppedFrame: (0, ("context_id",)),
}
"""What is constructed: with how many positional arguments, and which by name."""

_WORD_FIELDS = ("word", "timestamp", "context_id", "includes_inter_frame_spaces")


def check_order(cls: type, mixin: type) -> None:
    """Check that the mixin stands in front of the service.

    Args:
        cls: The class.
        mixin: The mixin.

    Raises:
        TypeError: If it does not.
    """
    for base in cls.__mro__[: cls.__mro__.index(mixin)]:
        if issubclass(base, TTSService) and not issubclass(base, mixin):
            raise TypeError(
                f"{cls.__name__}: {mixin.__name__} must stand before {base.__name__}: "
                f"class {cls.__name__}({mixin.__name__}, {base.__name__})"
            )


def classes_below(cls: type, mixin: type) -> tuple[type, ...]:
    """Find the service that a class caches, and what stands between it and the mixin.

    Args:
        cls: The class.
        mixin: The last class of the mixin.

    Returns:
        What stands between, and the service last.

    Raises:
        TypeError: If there is no service that speaks.
    """
    behind = cls.__mro__[cls.__mro__.index(mixin) + 1 :]
    place, service = next(
        (place, base)
        for place, base in enumerate(behind)
        if issubclass(base, TTSService) and set(behind[place:]) <= set(base.__mro__)
    )
    if getattr(getattr(service, "run_tts", None), "__isabstractmethod__", False):
        raise TypeError(
            f"{cls.__name__} caches nothing: name a concrete TTS service behind the mixin, as in "
            f"class CachedTTS(TTSCacheMixin, CartesiaTTSService)"
        )
    return behind[: place + 1]


def unmet_needs(service: TTSService, mixin: type, profile: ServiceProfile) -> list[str]:
    """List what the mixin needs and does not find.

    Args:
        service: The service, constructed.
        mixin: The mixin.
        profile: What is known of the service.

    Returns:
        What is missing, or other than it was; empty if all is well.
    """
    return [
        *MISSING,
        *(name for name, method in _overrides(mixin) if not _fits(name, method)),
        *(
            f"{name}()"
            for name, (count, names) in _CALLED.items()
            if not _takes(getattr(service, name, None), count, names)
        ),
        *(
            getattr(made, "__name__", "")
            for made, (count, names) in _MADE.items()
            if not _takes(made, count, names)
        ),
        *(name for name in (*_READ, *_told_by(profile, service)) if not hasattr(service, name)),
        *_unlike(service),
    ]


def steps_aside(mixin: _Mixin) -> _Mixin:
    """Make the overrides of a mixin pass everything through while `_tts_cache_works` is False.

    Args:
        mixin: The mixin.

    Returns:
        The mixin.
    """
    for name, method in _overrides(mixin):
        setattr(mixin, name, _stepping_aside(mixin, name, method))
    return mixin


def _stepping_aside(mixin: type, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def either(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._tts_cache_works:
            return method(self, *args, **kwargs)
        if name == "run_tts":
            self._tts_cache_book.stats.bypassed[Bypass.PIPECAT_CHANGED] += 1
        return getattr(super(mixin, self), name)(*args, **kwargs)

    return either


def _overrides(mixin: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in list(vars(mixin).items()):
        if inspect.isfunction(member) and not name.startswith("__"):
            yield name, member


def _fits(name: str, method: Callable[..., Any]) -> bool:
    """Whether Pipecat calls a method as the mixin's override expects it."""
    overridden = getattr(TTSService, name, None) or getattr(WebsocketService, name, None)
    if overridden is None:
        return False
    expected = inspect.signature(method).parameters.values()
    if any(parameter.kind in _VARIADIC for parameter in expected):
        return True
    actual = inspect.signature(overridden).parameters.values()
    return [(p.name, p.kind) for p in expected] == [(p.name, p.kind) for p in actual]


def _takes(called: Any, count: int, names: tuple[str, ...]) -> bool:
    try:
        inspect.signature(called).bind(*range(count), **dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def _told_by(profile: ServiceProfile, service: TTSService) -> Iterator[str]:
    """Name what only some services have."""
    yield from profile.fresh_state
    yield from profile.sentence_state
    yield from profile.unreported_word or ()
    if profile.last_word_end:
        yield profile.last_word_end
    if isinstance(service, WebsocketService):
        yield "_reconnect_in_progress"


def _unlike(service: TTSService) -> Iterator[str]:
    """Name what is there, but has another shape."""
    if tuple(getattr(WordTimestamp, "__dataclass_fields__", ())) != _WORD_FIELDS:
        yield "the fields of WordTimestamp"
    if not hasattr(getattr(service, "_settings", None), "given_fields"):
        yield "given_fields() of the settings"
    if not tells_ends(service):
        yield "the end of its sentences"
    if not isinstance(getattr(service, "_tts_contexts", None), dict):
        yield "_tts_contexts as a dict"
