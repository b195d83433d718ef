#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Tests that any store can run: `StoreContract`. Needs pytest and pytest-asyncio."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipecat_tts_cache.testing.store_contract import StoreContract

__all__ = ["StoreContract"]

if "pytest" in sys.modules:  # so that an assert that fails says what was compared
    sys.modules["pytest"].register_assert_rewrite("pipecat_tts_cache.testing.store_contract")


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from pipecat_tts_cache.testing.store_contract import StoreContract  # noqa: PLC0415

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
