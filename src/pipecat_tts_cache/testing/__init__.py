#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What proves that a TTS service, or a store, works with the cache.

`check_cache` holds many conversations with a service and says what is not as it is without the
cache. A fake of the provider that builds on `Provider` answers it with a voice that can be read
back: `speak` and `listen`. `running` drives a service in a pipeline, and `simulated_time` lets
waiting take no time. `StoreContract` holds the tests for a store; it needs pytest.

Pipecat is imported when something that needs it is used.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipecat_tts_cache.testing.check import check_cache
    from pipecat_tts_cache.testing.driver import Bot, running
    from pipecat_tts_cache.testing.provider import (
        ConnectionLost,
        Fault,
        NothingMore,
        Piece,
        Provider,
        Refused,
        Request,
    )
    from pipecat_tts_cache.testing.report import Finding, Report
    from pipecat_tts_cache.testing.simulation import simulated_time
    from pipecat_tts_cache.testing.store_contract import StoreContract
    from pipecat_tts_cache.testing.view import View, differences
    from pipecat_tts_cache.testing.voice import Heard, Speech, listen, speak

__all__ = [
    "Bot",
    "ConnectionLost",
    "Fault",
    "Finding",
    "Heard",
    "NothingMore",
    "Piece",
    "Provider",
    "Refused",
    "Report",
    "Request",
    "Speech",
    "StoreContract",
    "View",
    "check_cache",
    "differences",
    "listen",
    "running",
    "simulated_time",
    "speak",
]

_MODULES = {
    "check": ("check_cache",),
    "driver": ("Bot", "running"),
    "provider": (
        "ConnectionLost",
        "Fault",
        "NothingMore",
        "Piece",
        "Provider",
        "Refused",
        "Request",
    ),
    "report": ("Finding", "Report"),
    "simulation": ("simulated_time",),
    "store_contract": ("StoreContract",),
    "view": ("View", "differences"),
    "voice": ("Heard", "Speech", "listen", "speak"),
}

if "pytest" in sys.modules:  # so that an assert that fails says what was compared
    for contract in ("store_contract", "pin_contract"):
        sys.modules["pytest"].register_assert_rewrite(f"{__name__}.{contract}")


def __getattr__(name: str) -> Any:
    """Import on first use what is heavy: Pipecat, and pytest."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
