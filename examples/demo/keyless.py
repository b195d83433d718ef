#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What `voice_bot.py` hears, thinks and speaks with when it has no keys.

It hears nothing, it says what the caller types, and it speaks with espeak-ng on this machine.
"""

from typing import Any

from pipecat.processors.filters.identity_filter import IdentityFilter

from demo.metered import CachedEspeakTTSService
from demo.script import StandInModel

PROVIDER_LATENCY = 1.0


def keyless_services(
    **memory: Any,
) -> tuple[IdentityFilter, StandInModel, CachedEspeakTTSService]:
    """Make the three.

    Args:
        **memory: What the cache is told: its store, and for how long and whose it keeps.

    Returns:
        What stands where the ears, the model and the voice stand.
    """
    parrot = StandInModel(lambda typed: typed)
    return (
        IdentityFilter(),
        parrot,
        CachedEspeakTTSService(provider_latency=PROVIDER_LATENCY, **memory),
    )
