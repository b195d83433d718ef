#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Services like one that runs: they say to nobody what it is to have in its store.

A twin is made with the arguments of the service, and then brought to what is in force by now: the
settings by an update of the kind that the service had, and what shapes its texts. Whether its keys
are those of the service is tried before it says anything.
"""

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.control import CacheControl, Controls
from pipecat_tts_cache.preparation.headless import TUNE, HeadlessVoice

if TYPE_CHECKING:
    from pipecat_tts_cache.mixin import TTSCacheMixin

_UPDATE_SECONDS = 30.0


class TwinError(RuntimeError):
    """There is no second service like the one that runs."""

    def __init__(self, service: object, why: str) -> None:
        """Say why.

        Args:
            service: The service.
            why: Why there is none.
        """
        name = type(service).__name__
        super().__init__(
            f"{name} cannot be made a second time as it is now: {why}. Prepare its speech with "
            f"warm() and a function that makes it"
        )


class Twins:
    """Makes services that speak as one does at this moment."""

    def __init__(
        self,
        service: "TTSCacheMixin",
        *,
        control: CacheControl | None = None,
        sample_rate: int | None = None,
    ) -> None:
        """Take down what is in force.

        Args:
            service: The service.
            control: How the cache treats what they say; None for what holds at this moment.
            sample_rate: Of the pipeline's output, in Hz, if the service is in none that runs.
        """
        self.control = control_in_force(service) if control is None else control
        self.sample_rate = service.sample_rate or sample_rate
        self._service = service
        self._settings = service._settings.given_fields()
        self._transforms = list(service._text_transforms)

    def __call__(self, **settings: Any) -> TTSService:
        """Make one, to be started by `headless`.

        Args:
            **settings: What it is to have in place of the settings in force.

        Returns:
            The service.

        Raises:
            TwinError: If that cannot be.
        """
        service = self._service
        try:
            args, kwargs = service._tts_cache_made_with.again()
            with warnings.catch_warnings(record=True):  # they were given for the first
                warnings.simplefilter("ignore")
                twin = type(service)(*args, **kwargs)
                twin._text_filters = deepcopy(service._text_filters)  # they have a state
        except Exception as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            raise TwinError(service, why) from error
        twin._text_transforms = list(self._transforms)
        twin._tts_cache_book.share(service._tts_cache_book)
        twin._tts_cache_book.controls = Controls(self.control)
        setattr(twin, TUNE, partial(self._tune, twin, settings))
        return twin

    async def _tune(
        self, twin: "TTSCacheMixin", settings: Mapping[str, Any], voice: HeadlessVoice
    ) -> None:
        """Bring a twin that has been started to the settings in force."""
        has = twin._settings.given_fields()
        wanted = {**self._settings, **settings}
        lacks = {n: v for n, v in wanted.items() if n not in has or has[n] != v}
        if lacks:
            delta = type(twin._settings).from_mapping(deepcopy(lacks))
            await voice.update(delta, patience=_UPDATE_SECONDS)
        for text_filter in twin._text_filters:
            await text_filter.handle_interruption()  # as at the end of a turn
        if not settings and not await self._agrees(twin):
            raise TwinError(self._service, "its sentences would have other keys")

    @property
    def hold(self) -> bool:
        """Whether what was taken down is in force still."""
        service = self._service
        return (
            self._settings == service._settings.given_fields()
            and self._transforms == service._text_transforms
            and self.sample_rate == (service.sample_rate or self.sample_rate)
        )

    async def _agrees(self, twin: "TTSCacheMixin") -> bool:
        """Whether a twin has the keys of the service, as far as that is running and has any."""
        service = self._service
        if not service.sample_rate:
            return True
        own = await service._tts_cache_book.fingerprint(self._settings, service.sample_rate)
        given = twin._settings.given_fields()
        return own in (None, await twin._tts_cache_book.fingerprint(given, twin.sample_rate))


def control_in_force(service: "TTSCacheMixin") -> CacheControl:
    """Tell how the cache treats what is said at this moment.

    Args:
        service: The service.

    Returns:
        What holds. What would not be stored is not to be spoken, either.
    """
    control = service._tts_cache_book.controls.now
    return replace(control, no_store=False, bypass=True) if control.no_store else control


def check_settings(service: TTSService, names: Mapping[str, Any]) -> None:
    """Check that a service has settings of these names.

    Args:
        service: The service.
        names: Mapping with the names.

    Raises:
        TypeError: If it has not.
    """
    known = {each.name for each in fields(service._settings)} | service._settings.extra.keys()
    for name in names:
        if name not in known or name == "extra":
            raise TypeError(f"{type(service).__name__} has no setting {name!r}")
