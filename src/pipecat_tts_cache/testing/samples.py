#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Keys and utterances for tests of stores."""

import hashlib
import random

from pipecat_tts_cache.backends.base import CacheKey
from pipecat_tts_cache.utterance import Utterance

NAMESPACES = (
    "",
    " ",
    "a",
    "A",
    "a:b",
    "a:b:c",
    "a*",
    "a?",
    "[a]",
    "{a}",
    "a%3Ab",
    "a%253Ab",
    "a/b",
    "../a",
    "a\\b",
    "a'b\"c",
    "a\x00",
    "\x00",
    "a\r\nb",
    "%",
    "_",
    "é",  # one code point, and below it the same letter as two
    "e\N{COMBINING ACUTE ACCENT}",
    "客户",
    "\N{PARROT}",
    "\ud800",
    "None",
    "a" * 10_000,
    "a" * 10_001,
)
"""Namespaces that a careless store mixes up."""


def make_key(name: str = "", namespace: str = "") -> CacheKey:
    """Make a key.

    Args:
        name: What tells it from others.
        namespace: Its namespace.

    Returns:
        The key.
    """
    return CacheKey(namespace, hashlib.sha256(name.encode()).hexdigest())


def make_utterance(seed: int = 0, *, num_bytes: int = 4800) -> Utterance:
    """Make an utterance of noise.

    Args:
        seed: What tells it from others.
        num_bytes: The size of the audio in bytes, an even number.

    Returns:
        The utterance.
    """
    audio = random.Random(seed).randbytes(num_bytes)  # noqa: S311
    return Utterance(audio=audio, sample_rate=24000, text=f"Sentence {seed}.")
