#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What tests have to do differently from one release of Pipecat to the next."""

from typing import Any

from pipecat.frames.frames import Frame, LLMAssistantPushAggregationFrame
from pipecat.services import tts_service

SPARES_SPEECH = hasattr(tts_service.TTSContext, "interruptible")
"""Whether speech can survive an interruption: from 1.13 on."""

DEPENDS_ON_SPEED: tuple[type[Frame], ...] = (
    () if SPARES_SPEECH else (LLMAssistantPushAggregationFrame,)
)
"""Frames that come or not, depending on how quick the provider is: before 1.13.

There a speak frame is committed on its own unless an LLM turn is under way, and the end of any
audio is taken for the end of that turn. A bare service commits the last of turn, turn, speak frame
on its own or not, as its provider takes more or fewer turns of the event loop.
"""


def is_interruptible(frame: Frame) -> bool:
    """Tell whether an interruption may drop a frame."""
    return getattr(frame, "interruptible", True)


def word_baseline(service: Any) -> int | None:
    """Tell what a service adds to word times at this moment, in nanoseconds, if known."""
    tracker = getattr(service, "_word_timestamp_tracker", None)
    if tracker is not None:
        return getattr(tracker, "_baseline", None)
    baseline = getattr(service, "_initial_word_timestamp", -1)  # before 1.13
    return None if baseline == -1 else baseline
