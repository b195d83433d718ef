#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A Pipecat TTS service and the provider that it is tried against."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache import TTSCacheMixin
from tests.providers.server import Server
from tests.providers.stand_ins import StandIns, import_service


@cache
def _cached(bare: type[TTSService]) -> type[TTSCacheMixin]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some services are deprecated
        return type(f"Cached{bare.__name__}", (TTSCacheMixin, bare), {})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A service, and who answers it.

    Parameters:
        service: The name of Pipecat's class.
        server: The provider. Without arguments it keeps the limits that are known of the real one.
        arguments: Further arguments for the constructor of the service.
        name: To tell apart several ways to use one class.
        voices: Two values of the setting `voice`, of which the first is in use to begin with.
        limits: The limits that the server keeps, in a few words for the documentation.
        prepare: What to do with a new service, where no argument says where the provider is.
        simulate_time: Whether the server lives on the event loop alone, without threads.
        sample_rate: Of the pipeline, in Hz: one at which the service does not resample.
        stand_ins: For the modules of a library that not everybody can install.
    """

    service: str
    server: type[Server]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    voices: tuple[Any, Any] = ("one", "another")
    limits: str = ""
    prepare: Callable[[Any, Any], None] | None = None
    simulate_time: bool = True
    sample_rate: int = 24_000
    stand_ins: StandIns = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The class, and the way it is used where there are several."""
        return f"{self.service} ({self.name})" if self.name else self.service

    @property
    def available(self) -> bool:
        """Whether the class can be imported here."""
        try:
            return bool(self.bare)
        except KeyError:
            return False

    @property
    def bare(self) -> type[TTSService]:
        """Pipecat's class."""
        return import_service(self.service, self.stand_ins)

    @property
    def cached(self) -> type[TTSCacheMixin]:
        """The same behind the mixin."""
        return _cached(self.bare)

    def without_cache(self, server: Server, **options: Any) -> TTSService:
        """Create the service as Pipecat ships it."""
        return self._create(self.bare, server, options)

    def with_cache(self, server: Server, **options: Any) -> TTSCacheMixin:
        """Create the service behind the mixin."""
        return self._create(self.cached, server, options)

    def maker(self, server: Server) -> Callable[..., TTSService]:
        """Return what `check_cache` takes: it creates the service, cached if there is a store."""

        def make(**cache: Any) -> TTSService:
            create = self.with_cache if cache else self.without_cache
            return create(server, **cache)

        return make

    def _create(self, service_class: Any, server: Server, options: Mapping[str, Any]) -> Any:
        arguments = {**server.options(), **self.arguments, **options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # some services are deprecated
            service = service_class(**arguments)
        if self.prepare:
            self.prepare(service, server)
        return service
