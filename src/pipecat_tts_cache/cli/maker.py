#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The services of a bot for a command, with their stores."""

import inspect
from typing import Any

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.backends.memory import MemoryCacheBackend
from pipecat_tts_cache.cli.ending import ExitCode, Stop
from pipecat_tts_cache.cli.factory import factory, last_line


class Maker:
    """Makes the services of a bot as its own function does, and knows their stores."""

    def __init__(self, name: str) -> None:
        """Import the function.

        Args:
            name: The module and the function in it, as `my_bot:make_tts`.

        Raises:
            Stop: If there is none.
        """
        self._name = name
        self._stores: dict[int, CacheBackend] = {}
        self._make = factory(name)

    def __call__(self, **options: Any) -> Any:
        """Make a service.

        Args:
            **options: Those of a line.

        Returns:
            The service.

        Raises:
            Stop: If the function does not take them, or fails; or if the store is in memory.
        """
        try:
            inspect.signature(self._make).bind(**options)
        except TypeError as error:
            raise Stop(
                f"{self._name} does not take a line's options: {error}", ExitCode.USAGE
            ) from None
        try:
            service = self._make(**options)
        except Exception as error:  # whatever its code does; its words may hold anything
            where = f"{type(error).__name__}{last_line(error)}"
            raise Stop(f"{self._name} made no service: {where}") from None
        self._note_store(service)
        return service

    def _note_store(self, service: object) -> None:
        from pipecat_tts_cache.controls import CacheControls  # noqa: PLC0415 - not at load

        if not isinstance(service, CacheControls):
            return
        backend = service._tts_cache_book.options.backend
        if isinstance(backend, MemoryCacheBackend):
            raise Stop(
                f"{self._name} has its store in memory, which ends with this command: give it one "
                f"that stays",
                ExitCode.USAGE,
            )
        if backend is not None:
            self._stores[id(backend)] = backend

    async def close(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            await store.close()
