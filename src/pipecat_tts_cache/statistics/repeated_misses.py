#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sentences that are spoken live again and again, though they might have been replayed.

They were evicted, or expired, or could never be stored; `warm` makes up for it. All services of a
process on one store are counted together, each namespace by itself.
"""

from hashlib import blake2b
from weakref import WeakKeyDictionary

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.key import prepare_text
from pipecat_tts_cache.preparation.lines import RankedLine, by_savings
from pipecat_tts_cache.statistics.frequent import Frequent

_CAPACITY = 2000
_MAX_TEXT = 2000


class RepeatedMisses:
    """What was missed on one store.

    A text is held from its second miss on: of what is said once, as most of what is personal is,
    there is a digest only.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._counts: Frequent[tuple[str, bytes], str | None] = Frequent(_CAPACITY)

    def note(self, namespace: str, text: str) -> None:
        """Count a sentence that is spoken live.

        Args:
            namespace: Whose it is.
            text: The text as prepared for the provider. A very long one is left out.
        """
        if len(text) <= _MAX_TEXT:
            counted = self._counts.add((namespace, _digest(text)), None)
            if counted.count > 1:
                counted.value = text.strip()

    def top(self, namespace: str) -> list[RankedLine]:
        """Tell what was missed more than once.

        Args:
            namespace: Whose sentences to tell.

        Returns:
            The sentences, what costs most first.
        """
        lines = [
            RankedLine(counted.value, count=counted.count)
            for (owner, _), counted in self._counts
            if owner == namespace and counted.value is not None
        ]
        return sorted(lines, key=by_savings)

    def forget(self, namespace: str | None) -> None:
        """Forget what was missed.

        Args:
            namespace: Whose sentences to forget, or None for everybody's.
        """
        self._counts.forget(lambda key: namespace is None or key[0] == namespace)

    def forget_text(self, text: str) -> None:
        """Forget a sentence, whoever missed it.

        Args:
            text: The text as prepared for the provider.
        """
        digest = _digest(text)
        self._counts.forget(lambda key: key[1] == digest)


_missed: WeakKeyDictionary[CacheBackend, RepeatedMisses] = WeakKeyDictionary()


def misses_on(backend: CacheBackend | None) -> RepeatedMisses:
    """Give all services on one store the same count.

    Args:
        backend: The store, or None without one.

    Returns:
        Where to count.
    """
    try:
        return (
            RepeatedMisses() if backend is None else _missed.setdefault(backend, RepeatedMisses())
        )
    except TypeError:  # a backend that cannot be hashed or weakly referenced
        return RepeatedMisses()


def _digest(text: str) -> bytes:
    return blake2b(prepare_text(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
