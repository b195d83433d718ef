#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The arguments that an object was made with, kept so that another can be made like it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from copy import copy
from dataclasses import is_dataclass
from typing import Any

_CONTAINERS = (list, dict, set)


class Arguments:
    """The arguments of a constructor. What it makes of them does not change what is kept."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Keep arguments.

        Args:
            args: The positional ones.
            kwargs: Those with names.
        """
        self._args = tuple(map(_own, args))
        self._kwargs = {name: _own(value) for name, value in kwargs.items()}

    def __repr__(self) -> str:
        return f"Arguments({len(self._args) + len(self._kwargs)} values)"  # keys are among them

    def again(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments for another object.

        Returns:
            The positional ones, and those with names.

        Raises:
            ValueError: If one of them is used up.
        """
        named = {f"argument {i}": value for i, value in enumerate(self._args, 1)} | self._kwargs
        for name, value in named.items():
            if isinstance(value, Iterator | AsyncIterator):
                raise ValueError(  # noqa: TRY004 - it is what the constructor takes
                    f"{name} is an iterator, which gives what it has only once"
                )
        return tuple(map(_own, self._args)), {n: _own(v) for n, v in self._kwargs.items()}


def _own(value: Any) -> Any:
    """Copy what a constructor may keep and change: a container, or settings."""
    if type(value) in _CONTAINERS:
        return copy(value)
    if is_dataclass(value) and hasattr(value, "__dict__"):
        mine = copy(value)
        for name, held in vars(mine).items():
            if type(held) in _CONTAINERS:
                object.__setattr__(mine, name, copy(held))
        return mine
    return value
