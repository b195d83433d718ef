#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What must be at rest while the process forks.

SQLite notes in the memory of a process which locks it holds. A child that inherits such notes takes
none of its own, and another process then changes what the child is reading. So nothing is open
when the memory is copied.
"""

import os
from abc import ABC, abstractmethod
from weakref import WeakSet


class AtFork(ABC):
    """Something that is told of forks."""

    def __init__(self) -> None:
        """Have it told."""
        _all.add(self)

    @abstractmethod
    def rest(self) -> None:
        """Let go of whatever must not be copied, and begin nothing until told."""

    @abstractmethod
    def go_on(self) -> None:
        """Go on, in the parent."""

    @abstractmethod
    def begin_anew(self) -> None:
        """Begin anew, in the child, where no other thread lives on."""


_all: WeakSet[AtFork] = WeakSet()
_resting: list[AtFork] = []


def _before() -> None:
    for each in list(_all):
        each.rest()
        _resting.append(each)


def _in_parent() -> None:
    while _resting:
        _resting.pop().go_on()


def _in_child() -> None:
    while _resting:
        _resting.pop().begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
