#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a Redis server is known to hold, so that nobody needs to ask for what it does not.

For each namespace it is a set of all digests that may be there. It may list too much, which costs a
question, but never too little. So a digest is added by whatever hints at it, and goes only when the
server said that it is not there, with no hint since the question was asked. That somebody removed
it is not enough: somebody else may have stored it again, and been heard before.
"""

from collections.abc import Iterable
from enum import Enum, auto


class _State(Enum):
    LOADING = auto()
    LOADED = auto()
    TOO_MANY = auto()


class _Namespace:
    __slots__ = ("digests", "state")

    def __init__(self) -> None:
        self.digests: set[bytes] = set()
        self.state = _State.LOADING


class KnownDigests:
    """The digests that a server may hold, of the namespaces that were asked for."""

    def __init__(self, max_known: int) -> None:
        """Know nothing yet.

        Args:
            max_known: The most digests and namespaces to keep in mind.
        """
        self._max_known = max_known
        self._namespaces: dict[bytes, _Namespace] = {}
        self.hints = 0
        """How many hints there were that something may be there."""
        self.size = 0
        """How many digests and namespaces are kept in mind."""

    def forget(self, name: bytes | None = None) -> None:
        """Know nothing any more, so that it is loaded anew. What is being loaded goes on.

        Args:
            name: The namespace to forget, or None for all.
        """
        for each in list(self._namespaces) if name is None else [name]:
            known = self._namespaces.get(each)
            if known is not None and known.state is not _State.LOADING:
                self._drop(each)

    def forget_all(self) -> None:
        """Know nothing any more, whatever is being loaded."""
        self._namespaces.clear()
        self.size = 0

    def must_load(self, name: bytes) -> bool:
        """Tell whether nothing is known of a namespace yet; after that it counts as being loaded.

        Args:
            name: Its encoded name.

        Returns:
            Whether the caller is to load it.
        """
        if name in self._namespaces or self.size >= self._max_known:
            return False
        self._namespaces[name] = _Namespace()
        self.size += 1
        return True

    def loaded(self, name: bytes, *, entirely: bool) -> None:
        """Take note that a namespace was loaded, or could not be.

        Args:
            name: Its encoded name.
            entirely: Whether all of its digests were added since `must_load`.
        """
        known = self._namespaces.get(name)
        if known is not None and known.state is _State.LOADING:
            known.state = _State.LOADED
            if not entirely:
                self._drop(name)

    def add(self, name: bytes, digests: Iterable[bytes]) -> bool:
        """Take a hint that something may be there.

        Args:
            name: The encoded name of the namespace.
            digests: What may be there.

        Returns:
            Whether it is kept in mind.
        """
        self.hints += 1
        known = self._namespaces.get(name)
        if known is None or known.state is _State.TOO_MANY:
            return False
        before = len(known.digests)
        known.digests.update(digests)
        self.size += len(known.digests) - before
        if self.size > self._max_known:
            self.size -= len(known.digests)
            known.digests = set()
            known.state = _State.TOO_MANY
        return known.state is not _State.TOO_MANY

    def missed(self, name: bytes, digest: bytes, *, hints: int) -> None:
        """Take note that the server said that something is not there.

        Args:
            name: The encoded name of the namespace.
            digest: What is not there.
            hints: What `hints` was before the server was asked.
        """
        known = self._namespaces.get(name)
        if known is not None and hints == self.hints and digest in known.digests:
            known.digests.remove(digest)
            self.size -= 1

    def is_absent(self, name: bytes, digest: bytes) -> bool:
        """Tell whether something is certainly not there.

        Args:
            name: The encoded name of the namespace.
            digest: What is asked for.

        Returns:
            Whether it is known not to be there.
        """
        known = self._namespaces.get(name)
        return known is not None and known.state is _State.LOADED and digest not in known.digests

    def _drop(self, name: bytes) -> None:
        self.size -= 1 + len(self._namespaces.pop(name).digests)
