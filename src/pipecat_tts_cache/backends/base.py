#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The seam between the cache and its stores.

A store keeps utterances under keys. It knows nothing of Pipecat, and the cache knows nothing of
what is behind the seam: it gives every look-up a budget, keeps writes off the speech path, and
takes whatever a store raises for a miss. So a store is free to be simple::

    class DictBackend(CacheBackend):
        def __init__(self):
            self._utterances = {}

        async def get(self, key):
            return self._utterances.get(key)

        async def set(self, key, utterance, *, ttl=None):
            self._utterances[key] = utterance
            return True

        async def delete(self, key):
            return self._utterances.pop(key, None) is not None

        async def exists(self, key):
            return key in self._utterances

        async def clear(self, namespace=None):
            mine = [key for key in self._utterances if namespace in (None, key.namespace)]
            for key in mine:
                del self._utterances[key]
            return len(mine)

        async def get_stats(self):
            return {"entries": len(self._utterances)}

        async def close(self):
            pass

A store that keeps bytes writes `utterance.to_bytes()` and reads `Utterance.from_bytes(record)`.

What is more is optional, and has a default: `entries` lists what is kept, for tools that inspect,
purge and copy; `peek` looks without using; `delete_many`, `sweep` and `on_removal`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.utterance import Utterance

__all__ = ["CacheBackend", "CacheKey", "Entry"]


class CacheBackend(ABC):
    """A store of utterances.

    Every method may raise `BackendError`; anything else that it raises is treated the same.
    """

    heeds_cancellation: ClassVar[bool] = False
    """Whether a look-up ends at once when it is cancelled.

    The cache gives up on a look-up that takes too long. It cancels that of a store that says this
    of itself; from any other it turns away, which takes a task and some 0.1 ms for each look-up.
    A store that waits with time limits of its own had better not say it: two limits that run out
    at once can leave a cancellation behind, which a task of its own keeps from the call.
    The word counts for the very class that gives it: a subclass has to give it for itself.
    """

    keeps_pins: bool = False
    """Whether this store spares what is pinned, as told at `set`.

    One that does not know of pins keeps them like anything else.
    """

    @abstractmethod
    async def get(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none, it has expired, or its record is damaged.
        """

    @abstractmethod
    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        """Keep an utterance, in place of what was there.

        A store that says `keeps_pins` keeps an utterance that is `pinned` until it is deleted or
        cleared: it does not evict it, lets no time to live end it, and refuses what would replace
        it and is not pinned.

        Args:
            key: Where to keep it.
            utterance: What to keep.
            ttl: Seconds after which it is forgotten, or None to keep it. What is pinned is kept.

        Returns:
            Whether it was kept. A store may refuse, for instance what is larger than its bound.
        """

    @abstractmethod
    async def delete(self, key: CacheKey) -> bool:
        """Forget one utterance.

        Args:
            key: Where it is kept.

        Returns:
            Whether there was one.
        """

    @abstractmethod
    async def exists(self, key: CacheKey) -> bool:
        """Tell whether an utterance is kept, without counting as a use of it.

        Args:
            key: Where it would be kept.

        Returns:
            Whether there is one.
        """

    @abstractmethod
    async def clear(self, namespace: str | None = None) -> int:
        """Forget all utterances, or all of one namespace.

        Args:
            namespace: The namespace, or None for everything in this store.

        Returns:
            How many were removed.
        """

    @abstractmethod
    async def get_stats(self) -> dict[str, Any]:
        """Describe the store.

        Returns:
            A plain dict, with at least "entries": how many utterances it holds.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release what the store itself opened. Calling it twice does no harm."""

    # What a store may do besides

    def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        """List what is kept, without the audio and without counting as a use.

        What is stored or removed meanwhile may be listed or not; all else is listed once, in no
        order. The store is not loaded: a bounded number of entries is held at a time.

        Args:
            namespace: The namespace, or None for everything in this store.

        Returns:
            The entries, as an async iterator.

        Raises:
            BackendError: If this store does not list what it keeps.
        """
        del namespace
        raise BackendError(f"{type(self).__name__} does not list what it keeps")

    async def peek(self, key: CacheKey) -> Utterance | None:
        """Look an utterance up without counting as a use of it, as tools do.

        Args:
            key: Where it is kept.

        Returns:
            The utterance, or None if there is none.
        """
        return await self.get(key)

    async def delete_many(self, keys: Sequence[CacheKey]) -> int:
        """Forget some utterances.

        Args:
            keys: Where they are kept; a few hundred at most.

        Returns:
            How many there were.
        """
        return sum([await self.delete(key) for key in keys])

    async def sweep(self, namespace: str | None = None) -> int:
        """Remove all that has expired and is still there, though it is neither found nor listed.

        Who erases something wants that gone, too.

        Args:
            namespace: The namespace that matters, or None for all. That of others may go as well.

        Returns:
            How many there were.
        """
        del namespace
        return 0

    def on_removal(self, listener: Callable[[str | None, str | None], None]) -> bool:
        """Call somebody when another process removes or replaces what it may have a copy of.

        Args:
            listener: Called on the event loop with a namespace and a digest. Without a digest,
                all of the namespace is gone; without either, everything is, or may be.

        Returns:
            Whether this store can tell.
        """
        del listener
        return False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
