#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What differs between the releases of Pipecat; nothing else looks at which one it is.

The rest is written for the newest. What is gone, or has a name that is not known here, is
`MISSING`; with that, services are passed through untouched.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipecat.services import tts_service

__all__ = [
    "INSTALLED",
    "MISSING",
    "TESTED",
    "ErrorCategory",
    "WebsocketService",
    "WordTimestamp",
    "end_what_is_due",
    "pipecat_version",
    "survives_interruption",
    "tells_ends",
]

TESTED = "1.10 to 1.14"
"""The releases that the tests pass on."""

MISSING: list[str] = []
"""What could not be imported."""

if TYPE_CHECKING:
    from pipecat.services.websocket_service import WebsocketService
    from pipecat.utils.context.word_timestamp_tracker import WordTimestamp
    from pipecat.utils.errors import ErrorCategory
else:
    try:
        from pipecat.utils.context.word_timestamp_tracker import WordTimestamp
    except ImportError:
        # Before 1.13 it is private.
        WordTimestamp = getattr(tts_service, "_WordTimestampEntry", None)
    if WordTimestamp is None:
        MISSING.append("WordTimestamp")

        @dataclass
        class WordTimestamp:
            """Stands in: nothing is one."""

    try:
        from pipecat.services.websocket_service import WebsocketService
    except ImportError:
        MISSING.append("WebsocketService")

        class WebsocketService:
            """Stands in: nothing is one."""

    try:
        from pipecat.utils.errors import ErrorCategory
    except ImportError:
        MISSING.append("ErrorCategory")

        class ErrorCategory:
            """Stands in: no error has one."""

            APPLICATION = object()


_VERSION = version("pipecat-ai")
INSTALLED = tuple(int(part) for part in _VERSION.split(".")[:2])
"""The release that is installed, as in (1, 14)."""

_TELLS_ENDS_SINCE = {"DeepgramSageMakerTTSService": (1, 13)}
"""Services that did not tell the end of a sentence before some release."""


def tells_ends(service: object) -> bool:
    """Tell whether a service says when a sentence ends, if it is one that does in the newest."""
    return all(
        _TELLS_ENDS_SINCE.get(ancestor.__name__, INSTALLED) <= INSTALLED
        for ancestor in type(service).__mro__
    )


def pipecat_version() -> str:
    """Tell which release of Pipecat is installed."""
    return _VERSION


async def end_what_is_due(end: Callable[[], Awaitable[None]]) -> None:
    """End what is due on a connection that is given up, unless Pipecat does, as it does from 1.13.

    Args:
        end: Ends it.
    """
    if not hasattr(tts_service.WebsocketTTSService, "_close_connection_contexts"):
        await end()


def survives_interruption(context: Any) -> bool:
    """Tell whether speech is spared by interruptions, as it can be from 1.13 on.

    Args:
        context: What Pipecat knows of an audio context, or None.

    Returns:
        Whether it is.
    """
    return context is not None and not getattr(context, "interruptible", True)
