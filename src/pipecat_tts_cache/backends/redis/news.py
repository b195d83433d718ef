#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the stores on a Redis server tell one another.

Whoever stores or removes something says so on the channel ``{prefix}w``, in one line::

    origin + name digest            stored, or replaced
    origin - name digest,digest     removed
    origin c name                   some or all of a namespace removed by a clear
    origin c                        likewise of all namespaces

*origin* is the store that did it, *name* a namespace, percent-encoded. A message tells that
something happened, not what is there now: two messages may come in another order than what they
tell of.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipecat_tts_cache.backends.names import decode_namespace
from pipecat_tts_cache.backends.redis.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a message says.

    Parameters:
        kind: What happened.
        name: The encoded name of the namespace, or None for all of them.
        digests: Of what; none if it was cleared.
        is_own: Whether this store said it itself.
    """

    kind: Literal["stored", "removed", "cleared"]
    name: bytes | None
    digests: tuple[bytes, ...]
    is_own: bool

    @property
    def scopes(self) -> list[tuple[str | None, str | None]]:
        """What a listener of `on_removal` is called with."""
        namespace = None if self.name is None else decode_namespace(self.name.decode())
        return [(namespace, digest.decode()) for digest in self.digests] or [(namespace, None)]


class NewsChannel:
    """The channel of the stores under a prefix, and this one's voice on it."""

    def __init__(self, prefix: bytes) -> None:
        """Name the channel.

        Args:
            prefix: What all keys begin with.
        """
        self.name = prefix + b"w"
        self._origin = secrets.token_hex(8).encode()

    def stored(self, name: bytes, digest: bytes) -> Command:
        """Say that something was stored.

        Args:
            name: The encoded name of its namespace.
            digest: Its digest.

        Returns:
            The command that says it.
        """
        return self._publish(b"+", name, digest)

    def removed(self, name: bytes, digests: Sequence[bytes]) -> Command:
        """Say that something was removed.

        Args:
            name: The encoded name of its namespace.
            digests: The digests.

        Returns:
            The command that says it.
        """
        return self._publish(b"-", name, b",".join(digests))

    def cleared(self, name: bytes | None) -> Command:
        """Say that a namespace was cleared.

        Args:
            name: Its encoded name, or None for all.

        Returns:
            The command that says it.
        """
        return self._publish(b"c") if name is None else self._publish(b"c", name)

    def read(self, message: object) -> News | None:
        """Read a message.

        Args:
            message: What came.

        Returns:
            What it says, or None if it makes no sense.
        """
        if not isinstance(message, bytes) or not message.isascii():
            return None
        origin, *what = message.split(b" ")
        is_own = origin == self._origin
        match what:
            case [b"+", name, digest]:
                return News(kind="stored", name=name, digests=(digest,), is_own=is_own)
            case [b"-", name, digests]:
                gone = tuple(digests.split(b","))
                return News(kind="removed", name=name, digests=gone, is_own=is_own)
            case [b"c"]:
                return News(kind="cleared", name=None, digests=(), is_own=is_own)
            case [b"c", name]:
                return News(kind="cleared", name=name, digests=(), is_own=is_own)
            case _:
                return None

    def _publish(self, *words: bytes) -> Command:
        return ("PUBLISH", self.name, b" ".join((self._origin, *words)))
