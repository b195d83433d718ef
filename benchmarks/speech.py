#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is kept in a benchmark: real speech, as noise does not compress, and how long it is."""

import json
import random
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))  # for the demo's speech engine

from demo.espeak import EspeakError, Manner, Speech, engine, worker
from pipecat_tts_cache import Utterance

SAMPLE_RATE = 24_000
_LONGEST = 70
_CHARACTERS_A_SECOND = 15
_MANNER = Manner(voice="en-us", rate=160, pitch=50)
_DIALOGUES = Path(__file__).parent / "data" / "airline.jsonl"


@cache
def is_real() -> bool:
    """Whether there is an engine to speak with."""
    try:
        worker().submit(engine).result()
    except EspeakError:
        return False
    return True


def utterance_of(num_bytes: int) -> Utterance:
    """Make an utterance.

    Args:
        num_bytes: Bytes of its samples.

    Returns:
        The beginning of a long speech, or noise where there is no engine.
    """
    audio = _speech()[: num_bytes // 2 * 2]
    return Utterance(audio=audio, sample_rate=SAMPLE_RATE, text=f"{num_bytes} bytes.")


@cache
def _speech() -> bytes:
    """A minute of speech. The engine's 22 050 Hz are taken for 24 000: it speaks faster."""
    size = 2 * SAMPLE_RATE * _LONGEST
    if not is_real():
        return random.Random(0).randbytes(size)
    audio = bytearray()

    def hear(speech: Speech) -> bool:
        audio.extend(speech.audio)
        return len(audio) < size

    for sentence in _sentences():
        if len(audio) < size:
            worker().submit(lambda text=sentence: engine().speak(text, _MANNER, hear)).result()
    return bytes(audio[:size])


def _sentences() -> Iterator[str]:
    for line in _DIALOGUES.read_text(encoding="utf-8").splitlines():
        yield from json.loads(line)["agent"]
