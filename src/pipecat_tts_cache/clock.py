#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The clock that everything here goes by unless it is given another."""

import time


def monotonic() -> float:
    """Return the seconds of `time.monotonic`, looked up anew: a test may simulate time."""
    return time.monotonic()
