#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What can go wrong, as a tree.

::

    CacheError
    ├── RecordError                 the bytes of a record cannot be used
    │   ├── CorruptRecordError      damaged, cut off, or not a record at all
    │   └── NewerRecordError        written by a newer version of this library
    ├── BackendError                a store failed to do what it was asked
    │   └── BackendUnavailableError not asked: it failed before and is left alone for a while
    ├── UncacheableError            a request that has no key, so it is spoken live
    ├── SpeechError                 a line could not be had, outside of a call
    └── MissingExtraError           an optional dependency is not installed (also an ImportError)

Misuse of a constructor raises `TypeError` or `ValueError` where it happens. At run time none of
these reach the call: the mixin counts them and the sentence is spoken live.
"""

from collections.abc import Sequence


class CacheError(Exception):
    """Base class of everything this library raises on its own account."""


class RecordError(CacheError):
    """The bytes of a stored record cannot be turned into an utterance."""


class CorruptRecordError(RecordError):
    """A record is damaged, cut off, or was never one."""


class NewerRecordError(RecordError):
    """A record was written in a format that this version does not know."""


class BackendError(CacheError):
    """A store failed: it could not be reached, refused, or took too long."""


class BackendUnavailableError(BackendError):
    """A store was not asked because it failed before; it is tried again by itself."""


class UncacheableError(CacheError):
    """A request has no key, as a value in it has no canonical form; or is not for the cache."""


class SpeechError(CacheError):
    """A line of a `SpeechCache` could not be had.

    Attributes:
        reasons: Why, as in `NotStored` and `Bypass`; or "timeout", "pipeline ended", "nothing to
            say", "several sentences", "not there", "not stored", "closed".
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        """Say why, and not what: that may be nobody's business.

        Args:
            reasons: Why.
        """
        super().__init__(f"the line could not be had: {', '.join(reasons)}")
        self.reasons = tuple(reasons)


class MissingExtraError(CacheError, ImportError):
    """A class needs a package that is installed with an extra of this library."""

    def __init__(self, feature: str, extra: str) -> None:
        """Say what is missing and how to install it.

        Args:
            feature: The class or function that was asked for.
            extra: The extra of this library that brings what it needs.
        """
        super().__init__(
            f"{feature} needs the '{extra}' extra: pip install 'pipecat-tts-cache[{extra}]'"
        )
