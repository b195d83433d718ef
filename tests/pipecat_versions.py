#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the tests do differently on some releases of Pipecat."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from pipecat.frames.frames import Frame, TTSTextFrame
from pipecat.utils import string
from pipecat.utils.context.aggregated_frame_sequencer import AggregatedFrameSequencer
from pipecat.utils.context.word_completion_tracker import WordCompletionTracker

from pipecat_tts_cache.pipecat_compat import INSTALLED
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH

_SINCE = {
    "NvidiaSageMakerTTSService.append_to_audio_context": (1, 13),  # it pushed audio directly
    "RimeV1TTSService": (1, 14),
    "client_reference_id": (1, 11),  # a setting of SonioxTTSService
    "safety_identifier": (1, 13),  # a setting of SpeechifyHttpTTSService
}

TO_COME = frozenset(name for name, since in _SINCE.items() if INSTALLED < since)
"""Services, settings and calls that later releases have, and the one that is installed has not."""

SPEAK_FRAMES_RACE = INSTALLED < (1, 13)
"""Whether the end of an earlier turn's audio decides if a speak frame is committed on its own.

Pipecat takes every end of audio for the end of the LLM turn that is under way. How a speak frame
inside or right behind a turn is committed depends on the provider's speed, also without a cache.
"""


as_now = pytest.mark.skipif(
    not SPARES_SPEECH, reason="Pipecat, or the service, does this otherwise before 1.13"
)
"""Marks tests of what bare services do, where they did otherwise."""

keeps_time = pytest.mark.skipif(
    not SPARES_SPEECH, reason="before Pipecat 1.13 the idle timer runs while the bot speaks"
)
"""Marks tests of when somebody is idle, and of what follows from that."""

needs_data = pytest.mark.skipif(
    "nltk.download(" in Path(string.__file__).read_text("utf-8"),
    reason="before 1.12 Pipecat downloads data when a program of its own begins to speak",
)
"""Marks tests that start a bot as a program of its own."""


def even_out() -> None:
    """Make older releases do what the newest does, where the cache has no part in it."""
    if find_spec("nltk"):
        _split_sentences_without_data()
    if not hasattr(WordCompletionTracker, "take_remaining_as_spoken"):
        _tell_all_progress()


def _split_sentences_without_data() -> None:
    """Do without the data that Pipecat downloads before 1.12: untrained is enough for tests."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    tokenizer = PunktSentenceTokenizer()
    string._sent_tokenizer = lambda: tokenizer.tokenize


def _tell_all_progress() -> None:
    """Have words that the provider keeps to itself told as progress, too, as 1.11 does."""
    force_complete = AggregatedFrameSequencer.force_complete

    def with_progress(
        self: AggregatedFrameSequencer, context_id: str, last_word_pts: int
    ) -> list[Frame]:
        forced = [
            slot
            for slot in self._slots
            if slot.context_id == context_id
            and slot.tracker
            and not slot.complete
            and slot.tracker.get_remaining_tts_text()
        ]
        frames: list[Frame] = []
        for frame in force_complete(self, context_id, last_word_pts):
            frames.append(frame)
            if isinstance(frame, TTSTextFrame):
                progress = self._build_progress_frame(forced.pop(0), last_word_pts)
                progress.accumulated_text, progress.remaining_text = progress.text, ""
                frames.append(progress)
        return frames

    AggregatedFrameSequencer.force_complete = with_progress
