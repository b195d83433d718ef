#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How the cache treats some speech, otherwise than its options say.

On a frame by `CacheControl.on`, and for a block of code by `TTSCacheMixin.cache_control`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

from pipecat_tts_cache.checks import check_ttl

METADATA = "pipecat_tts_cache"
"""The name under which a frame's metadata hold a `CacheControl`."""


class _HasMetadata(Protocol):
    metadata: dict[str, Any]


_Frame = TypeVar("_Frame", bound=_HasMetadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControl:
    """How the cache treats some speech.

    Parameters:
        bypass: Speak live, and store nothing.
        refresh: Speak live, and store that in place of what was there.
        no_store: Replay what is there, but store nothing.
        ttl: Seconds for which it is kept if it is stored; None is as the service's options say.
        tag: What to count it under in `get_cache_stats()["tags"]`.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If `ttl` is not above zero, or a refresh is not to be stored.
    """

    bypass: bool = False
    refresh: bool = False
    no_store: bool = False
    ttl: float | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        for name in ("bypass", "refresh", "no_store"):
            if not isinstance(value := getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
        check_ttl(self.ttl)
        if not isinstance(self.tag, str | None):
            raise TypeError(f"tag must be a string, not {type(self.tag).__name__}")
        if self.refresh and (self.bypass or self.no_store):
            raise ValueError("a refresh is stored: it goes with neither bypass nor no_store")

    def on(self, frame: _Frame) -> _Frame:
        """Say it of a frame.

        Args:
            frame: A `TTSSpeakFrame`.

        Returns:
            The same frame.

        Raises:
            TypeError: If it is another frame. For what that has spoken there is `cache_control`.
        """
        # By name, so that a script that only looks at stores need not import Pipecat.
        if not any(each.__name__ == "TTSSpeakFrame" for each in type(frame).__mro__):
            raise TypeError(
                f"say it of a TTSSpeakFrame, not a {type(frame).__name__}: for all other speech "
                f"there is cache_control()"
            )
        frame.metadata[METADATA] = self
        return frame


AS_USUAL = CacheControl()


class Controls:
    """What holds at the moment: blocks of code, and the frame that is spoken."""

    def __init__(self, always: CacheControl | None = None) -> None:
        """Start.

        Args:
            always: What holds for good; None for nothing out of the usual.
        """
        self._open: list[CacheControl] = [] if always is None else [always]

    @property
    def now(self) -> CacheControl:
        """What holds now: of each field, what was said last."""
        match self._open:
            case []:
                return AS_USUAL
            case [only]:
                return only
            case several:
                return _merged(several)

    @contextmanager
    def within(self, control: CacheControl | None) -> Generator[None]:
        """Let something hold for a while.

        Args:
            control: What is to hold, or None for nothing out of the usual.
        """
        if control is None:
            yield
            return
        self._open.append(control)
        try:
            yield
        finally:
            # By identity and from the end: blocks of several tasks may end in any order.
            place = max(i for i, each in enumerate(self._open) if each is control)
            del self._open[place]


def control_of(frame: _HasMetadata) -> CacheControl | None:
    """Find what is said of a frame.

    Args:
        frame: The frame.

    Returns:
        The control, or None if there is none.
    """
    control = frame.metadata.get(METADATA)
    return control if isinstance(control, CacheControl) else None


def _merged(controls: list[CacheControl]) -> CacheControl:
    """Put controls together: of each field what is said last counts, also against others."""
    said: dict[str, Any] = {}
    for control in controls:
        new = {
            each.name: value
            for each in fields(control)
            if (value := getattr(control, each.name)) not in (False, None)
        }
        if new.get("refresh"):
            said.pop("bypass", None)
            said.pop("no_store", None)
        if new.get("bypass") or new.get("no_store"):
            said.pop("refresh", None)
        said |= new
    return CacheControl(**said)
