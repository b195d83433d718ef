#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Pipecat's TTS services: their sources, and those that can be imported here."""

import ast
import importlib
import inspect
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pipecat
from loguru import logger
from pipecat.services.tts_service import TTSService

ROOT = Path(pipecat.__file__).parent
BASE = "services/tts_service.py"
REQUIRED: dict[str, Any] = {
    "aiohttp_session": object(),
    "api_key": "hunter2",
    "base_url": "https://voice.example.com",
    "endpoint_name": "voice",
    "group_id": "group",
    "region": "eu-west-1",
}
"""Arguments that a constructor may ask for."""


@dataclass(frozen=True)
class Source:
    """The source of a class.

    Parameters:
        module: The dotted name of its module.
        node: Its syntax tree.
        text: The source of its module.
    """

    module: str
    node: ast.ClassDef
    text: str

    @property
    def bases(self) -> list[str]:
        """The names of its base classes."""
        return [ast.unparse(base).split(".")[-1] for base in self.node.bases]

    def method(self, name: str) -> ast.AsyncFunctionDef | ast.FunctionDef | None:
        """Find a method of its own."""
        for node in self.node.body:
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name == name:
                return node
        return None


@cache
def sources() -> dict[str, Source]:
    """Read all classes of Pipecat's services, without importing any of them."""
    found: dict[str, Source] = {}
    for path in sorted((ROOT / "services").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(("pipecat", *path.relative_to(ROOT).with_suffix("").parts))
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = Source(name, node, text)
    return found


def lineage(name: str) -> list[Source]:
    """Find a class and its ancestors among Pipecat's services, nearest first."""
    source = sources().get(name)
    if source is None:
        return []
    return [source, *(each for base in source.bases if base != name for each in lineage(base))]


@cache
def concrete_names() -> list[str]:
    """Name the TTS services that speak: those that say how, by themselves or by inheritance."""
    return [
        name
        for name, source in sources().items()
        if name.endswith("TTSService")
        and source.module != "pipecat.services.tts_service"
        and any(each.node.name == "TTSService" for each in lineage(name))
        and any(each.method("run_tts") and each.node.name != "TTSService" for each in lineage(name))
    ]


@cache
def importable() -> dict[str, type[TTSService]]:
    """Import the TTS services that can be imported with what is installed."""
    found: dict[str, type[TTSService]] = {}
    logger.disable("pipecat")  # it says at length what is not installed
    try:
        for name in concrete_names():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    module = importlib.import_module(sources()[name].module)
                except Exception:
                    continue
            found[name] = getattr(module, name)
    finally:
        logger.enable("pipecat")
    return found


def required_arguments(service: type[TTSService]) -> dict[str, Any]:
    """Give the arguments without which a service cannot be constructed."""
    parameters = inspect.signature(inspect.getattr_static(service, "__init__")).parameters
    return {
        name: REQUIRED[name]
        for name, parameter in parameters.items()
        if name == "api_key"
        or (parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY)
    }
