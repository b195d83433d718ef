#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Imports a service without its library, where that cannot be installed."""

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any
from unittest.mock import patch

from pipecat.services.tts_service import TTSService

from tests.pipecat_services import importable, sources

StandIns = Mapping[str, Mapping[str, Any]]
"""What Pipecat imports from each module of a library."""

_imported: dict[str, type[TTSService]] = {}


def import_service(name: str, stand_ins: StandIns) -> type[TTSService]:
    """Import a service, with stand-ins for its library if that is not installed.

    The stand-ins are there as long as the import takes; what Pipecat took of them stays with
    Pipecat's modules. They change nothing in `importable()`.

    Args:
        name: The name of Pipecat's class.
        stand_ins: Where there are none, the library has to be installed.

    Returns:
        The class.

    Raises:
        KeyError: The library is neither installed nor has it stand-ins.
    """
    installed = importable()
    if name in installed or not stand_ins:
        return installed[name]
    if name not in _imported:
        missing = {module: _module(module, names) for module, names in stand_ins.items()}
        with patch.dict(sys.modules):
            sys.modules.update(missing)
            module = importlib.import_module(sources()[name].module)
            loaded = {each: sys.modules[each] for each in sys.modules.keys() - missing.keys()}
        sys.modules.update(loaded)
        _imported[name] = getattr(module, name)
    return _imported[name]


def _module(name: str, names: Mapping[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = []
    vars(module).update(names)
    return module
