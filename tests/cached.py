#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Every service for which there is a provider on loopback: the pages of `tests/providers/`."""

import importlib
import pkgutil

from tests import providers
from tests.providers.kind import Kind

ALL_KINDS: dict[str, Kind] = {
    kind.title: kind
    for page in pkgutil.iter_modules(providers.__path__)
    for kind in getattr(importlib.import_module(f"tests.providers.{page.name}"), "KINDS", ())
}
"""Each kind by its title."""

KINDS: dict[str, Kind] = {title: kind for title, kind in ALL_KINDS.items() if kind.available}
"""Those whose class can be imported here."""
