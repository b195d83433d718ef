#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Reading from a service everything that shapes the audio of its next sentence."""

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from pipecat_tts_cache import key
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.services import NEUTRAL_ARGUMENTS, ServiceProfile

_BASE_MODULES = frozenset(
    {
        "pipecat.processors.frame_processor",
        "pipecat.services.ai_service",
        "pipecat.services.tts_service",
        "pipecat.services.websocket_service",
        "pipecat.utils.base_object",
    }
)
_UNCHANGING = (str, int, float, bool, type(None), Enum)
_NOT_ARGUMENTS = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


class RequestReader:
    """Turns the state of a service into requests that can be digested."""

    def __init__(
        self,
        *,
        service_class: type,
        profile: ServiceProfile,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        between: Sequence[type] = (),
    ) -> None:
        """Take down how a service was constructed.

        Args:
            service_class: The class of the service, without the mixin.
            profile: What is known of it.
            args: The positional arguments of its constructor.
            kwargs: The keyword arguments of its constructor.
            between: Classes between the mixin and the service; they may change the audio, too.
        """
        self.service_name = service_class.__name__
        self.watermarked = profile.watermarked
        classes = [f"{cls.__module__}.{cls.__qualname__}" for cls in (*between, service_class)]
        self._written_classes = key.written(classes, "classes")
        self._profile = profile
        self._arguments = _telling_arguments(service_class, profile, args, kwargs)
        self._first_settings: dict[str, Any] | None = None
        self._written_arguments: key.Written | None = None
        self._last_settings: tuple[Any, Any] | None = None
        self._written_settings = key.Written()
        self._files: dict[str, tuple[Any, Any]] = {}
        self._unsettled: set[str] = set()

    def reads_files(self, settings: Mapping[str, Any]) -> bool:
        """Tell whether the next request may read a file, so that it should run in a thread.

        Args:
            settings: The settings of the service at this moment.

        Returns:
            Whether it may.
        """
        if _exactly(settings) == self._last_settings:
            return False
        arguments = self._arguments if self._written_arguments is None else {}
        files = self._profile.file_settings & settings.keys()
        return any(self._is_new(name, settings[name]) for name in files) or any(
            map(_names_file, (*arguments.values(), *settings.values()))
        )

    def note_settings(self, settings: Mapping[str, Any]) -> None:
        """Note the settings in force: called before each change, and before each sentence.

        Args:
            settings: The settings of the service at this moment.
        """
        if self._first_settings is None:
            self._first_settings = dict(settings)
        for name in self._profile.connection_settings:
            if settings.get(name) != self._first_settings.get(name):
                self._unsettled.add(name)

    def request(
        self, *, text: str, settings: Mapping[str, Any], sample_rate: int, extra: key.Written
    ) -> dict[str, Any]:
        """Gather what shapes the audio of a sentence.

        Args:
            text: The text as prepared for the provider.
            settings: The settings of the service at this moment.
            sample_rate: Its sample rate at this moment, in Hz.
            extra: What the user adds.

        Returns:
            The request, for `key.digest`.

        Raises:
            UncacheableError: If something in it has no canonical form.
        """
        if self._written_arguments is None:
            self._written_arguments = key.written(self._arguments, "constructor arguments")
        return {
            "service": self._written_classes,
            "arguments": self._written_arguments,
            "settings": self._write_settings(settings),
            "sample_rate": key.Written(sample_rate),
            "text": key.written_text(text),
            "extra": extra,
        }

    def _write_settings(self, settings: Mapping[str, Any]) -> key.Written:
        """Write the settings down, anew if they are not exactly those of the sentence before."""
        self.note_settings(settings)
        if self._unsettled:
            names = "', '".join(sorted(self._unsettled))
            raise UncacheableError(f"nobody knows when the new '{names}' takes effect")
        exactly = _exactly(settings)
        if exactly != self._last_settings:
            self._last_settings = None
            self._written_settings = key.written(self._effective(settings), "settings")
            if _is_unchanging(settings):
                self._last_settings = exactly
        return self._written_settings

    def in_force(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Tell with which settings the service speaks: some of them no update changes.

        Args:
            settings: The settings of the service at this moment.

        Returns:
            Those that were in force first, where no update changes them.
        """
        first = self._first_settings or {}
        return {
            name: value if self._is_updated(name) else first.get(name)
            for name, value in settings.items()
        }

    def _effective(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        effective = self.in_force(settings)
        for name in self._profile.neutral_settings & effective.keys():
            del effective[name]
        for name in self._profile.file_settings & effective.keys():
            effective[name] = self._file_or_name(name, effective[name])
        return effective

    def _file_or_name(self, name: str, value: Any) -> Any:
        """Read a file when a setting names it anew, as the service does."""
        if self._is_new(name, value):
            self._files[name] = value, key.canonical(_file_or_name(value), name)
        return self._files[name][1]

    def _is_new(self, name: str, value: Any) -> bool:
        return name not in self._files or self._files[name][0] != value

    def _is_updated(self, name: str) -> bool:
        updated = self._profile.updated_settings
        return name not in self._profile.fixed_settings and (updated is None or name in updated)


def _telling_arguments(
    service_class: type, profile: ServiceProfile, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Name the constructor's arguments, defaults included, and leave out what is not heard."""
    signature = _signature(service_class)
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError:
        return dict(kwargs)  # the constructor itself will say what is wrong
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    neutral = NEUTRAL_ARGUMENTS | profile.neutral_arguments | _base_arguments(service_class)
    return {
        name: _file_or_name(value) if name in profile.file_arguments else value
        for name, value in named.items()
        if name not in neutral and not key.is_secret_name(name) and value is not None
    }


def _base_arguments(service_class: type) -> frozenset[str]:
    """Name the arguments that Pipecat's base classes take: none of them is heard.

    What of them is heard enters a request otherwise: the sample rate by its value in force, text
    filters and trailing spaces by the text that they leave.
    """
    bases = (base for base in service_class.__mro__ if base.__module__ in _BASE_MODULES)
    return frozenset(
        name
        for base in bases
        if "__init__" in base.__dict__
        for name, parameter in _signature(base).parameters.items()
        if parameter.kind not in _NOT_ARGUMENTS
    )


def _signature(cls: type) -> inspect.Signature:
    """Read the signature of a constructor; that of a deprecated class itself says nothing."""
    signature = inspect.signature(inspect.getattr_static(cls, "__init__"))
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _exactly(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Settings for a comparison that tells 1 from True. Their types are compared first."""
    return tuple(map(type, settings.values())), tuple(settings.items())


def _is_unchanging(settings: Mapping[str, Any]) -> bool:
    """Whether no value can change without being replaced by another."""
    return all(type(value) in _UNCHANGING or isinstance(value, Enum) for value in settings.values())


def _names_file(value: Any) -> bool:
    """Whether a value is a file, or holds one where a file may be expected."""
    held: Iterable[Any] = ()
    if isinstance(value, Mapping):
        held = value.values()
    elif isinstance(value, list | tuple):
        held = value
    return any(isinstance(item, os.PathLike | key.FileOrName) for item in (value, *held))


def _file_or_name(value: Any) -> Any:
    return key.FileOrName(value) if isinstance(value, str) else value
