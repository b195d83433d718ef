#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What people have edited in a folder of recordings is what callers hear."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import soundfile

from pipecat_tts_cache import MemoryCacheBackend, warm
from pipecat_tts_cache.exports.store import export_store, import_store
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached import KINDS
from tests.exported import files
from tests.sounds import SENTENCE, SPEECH_RATE, Samples, espeak, speech

__all__ = ["espeak", "speech"]


@pytest.mark.parametrize(
    "title", ["CartesiaTTSService", "ElevenLabsHttpTTSService", "OpenAITTSService"]
)
async def test_a_new_recording_is_heard(title: str, speech: Samples, tmp_path: Path) -> None:
    """Its transcript is the line, and the provider was asked only for what it takes the place of.

    The store it comes from and the one it goes to are two.
    """
    kind, before, after = KINDS[title], MemoryCacheBackend(), MemoryCacheBackend()
    async with simulated_time(), kind.server() as server:

        def make() -> Any:
            return kind.with_cache(server, cache_backend=before)

        await warm(make, [SENTENCE], sample_rate=kind.sample_rate)
        await export_store(before, tmp_path, format="wav")
        (recording,) = [name for name in await files(tmp_path) if name.endswith(".wav")]
        await asyncio.to_thread(soundfile.write, tmp_path / recording, speech, SPEECH_RATE)
        done = await import_store(tmp_path, after)
        assert (1, []) == (done.imported, [note for note in done.notes if note.outcome == "failed"])
        tts = kind.with_cache(server, cache_backend=after)
        async with running(tts, sample_rate=kind.sample_rate) as bot:
            await bot.speak(SENTENCE)
            (context,) = (await bot.until_quiet()).contexts
            assert [SENTENCE] == bot.messages
        assert 1 == len(server.requests)
    seconds = len(context.audio) / (2 * kind.sample_rate)
    assert len(speech) / SPEECH_RATE == pytest.approx(seconds, abs=0.01)
    assert (1, 1, []) == (context.started, context.stopped, context.stray)
