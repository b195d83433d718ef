#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a memory store holds, listened to."""

import pytest

from pipecat_tts_cache import MemoryCacheBackend, Utterance
from pipecat_tts_cache.testing.voice import listen


def entries(backend: MemoryCacheBackend) -> list[Utterance]:
    """Return everything that is stored."""
    return [entry.utterance for entry in backend._kept.values()]


def check_store(backend: MemoryCacheBackend) -> list[str]:
    """Check that everything stored is a whole sentence, and return the texts."""
    texts = []
    for utterance in entries(backend):
        heard = listen(utterance.audio, sample_rate=utterance.sample_rate)
        assert (utterance.text or "").split() == heard.words
        assert [] == heard.flaws
        assert 1 == len(set(heard.takes))
        if utterance.words:
            assert heard.words == [word.text for word in utterance.words]
            assert heard.starts == pytest.approx([word.start for word in utterance.words], abs=0.02)
        texts.append((utterance.text or "").strip())
    return texts
