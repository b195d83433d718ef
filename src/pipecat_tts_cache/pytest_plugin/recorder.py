#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a test is given: services that speak from recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.pytest_plugin.tape import Mode, Run, Tape

if TYPE_CHECKING:
    from pipecat.services.tts_service import TTSService

_Service = TypeVar("_Service", bound="TTSService")


class SpeechRecorder:
    """The fixture `tts_cache`: services of a test that speak from recordings.

    ::

        async def test_greeting(tts_cache):
            tts = tts_cache(CartesiaTTSService, api_key="...")

    """

    def __init__(self, run: Run) -> None:
        """Begin a test. The fixture does that.

        Args:
            run: What it has in common with the others.
        """
        self._run = run
        self._classes: dict[type, type] = {}
        self.tape = Tape(run)

    @property
    def mode(self) -> str:
        """What becomes of lines: "off", "use", "record" or "replay"."""
        return self._run.mode.value

    @property
    def directory(self) -> Path:
        """The folder of the recordings."""
        return self._run.library.root

    @property
    def backend(self) -> CacheBackend | None:
        """The recordings as a store, for a service that is made otherwise; None in mode "off".

        Such a service connects to its provider when its pipeline starts, also in a replay.
        """
        return None if self._run.mode is Mode.OFF else self.tape

    def __call__(self, service_class: type[_Service], /, *args: Any, **kwargs: Any) -> _Service:
        """Make a service.

        Args:
            service_class: A class of a Pipecat TTS service, with `TTSCacheMixin` or without.
            *args: What its constructor takes.
            **kwargs: What its constructor takes, and the mixin's.

        Returns:
            A service of a subclass of it.

        Raises:
            TypeError: If it is no such class, or an argument has the wrong type.
            ValueError: If an argument has an impossible value.
        """
        return self.cached(service_class)(*args, **kwargs)

    def cached(self, service_class: type[_Service]) -> type[_Service]:
        """Make a class of services, to be put in the place of the one that a bot names.

        Args:
            service_class: A class of a Pipecat TTS service, with `TTSCacheMixin` or without.

        Returns:
            A subclass of it; in a test always the same.

        Raises:
            TypeError: If it is no such class.
        """
        from pipecat_tts_cache.pytest_plugin.taped import taped_class  # noqa: PLC0415 - heavy

        tape = None if self._run.mode is Mode.OFF else self.tape
        if service_class not in self._classes:
            self._classes[service_class] = taped_class(service_class, tape, self._run.mode)
        return self._classes[service_class]
