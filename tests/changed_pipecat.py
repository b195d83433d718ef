#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Runs a conversation, bare and behind the mixin, on a Pipecat whose source is changed.

A program: `python -m tests.changed_pipecat KIND PATTERN REPLACEMENT...`, with regular expressions.
With `del MODULE NAME` for a pattern and a replacement, a name is removed from a module before the
mixin is imported. It prints what came of it as JSON.
"""

import asyncio
import importlib
import json
import re
import sys
import types
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any


class _Loader(SourceFileLoader):
    """Compiles a module from its changed source."""

    changes: dict[str, str]

    def get_code(self, fullname: str) -> types.CodeType:
        text = self.get_data(self.path).decode()
        for pattern, replacement in self.changes.items():
            text = re.sub(pattern, replacement, text)
        return compile(text, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules of Pipecat, and has them changed."""

    def __init__(self, changes: dict[str, str]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name.startswith("pipecat.") else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
            spec.loader.changes = self._changes
        return spec


async def _converse(service: Any) -> tuple[Any, list[str], list[str]]:
    from pipecat_tts_cache.testing.driver import running

    async with running(service, sample_rate=8000) as bot:
        for _ in range(2):
            await bot.llm_turn(["One is here. ", "Two is there."])
            await bot.until_quiet()
        await bot.speak("Hello there.", append_to_context=False)
        await bot.until_quiet()
        await bot.update_settings(voice="bert")
        await bot.llm_turn(["One is here. ", "Three is everywhere."])
        await bot.until_quiet()
        await bot.interrupt()
        await bot.llm_turn(["Three is everywhere."])
        said = await bot.until_quiet()
        return said, [type(frame).__name__ for frame in bot.frames], bot.messages


async def _compare(kind: str, removed: list[tuple[str, str]]) -> dict[str, Any]:
    from loguru import logger

    from pipecat_tts_cache.testing.view import differences
    from tests.pipecat_versions import even_out
    from tests.scripted import SCRIPTED

    even_out()
    import pipecat_tts_cache.testing.driver  # noqa: F401 - before a name is removed

    for module, name in removed:
        delattr(importlib.import_module(module), name)
    from pipecat_tts_cache import MemoryCacheBackend, TTSCacheMixin

    warnings: list[str] = []
    logger.remove()
    logger.add(lambda message: warnings.append(message.record["message"]), level="WARNING")
    bare = SCRIPTED[kind]
    cached = type("Cached", (TTSCacheMixin, bare), {})
    backend = MemoryCacheBackend()
    tts = cached(cache_backend=backend, cache_ttl=60)
    expected, frames, messages = await _converse(bare())
    actual, actual_frames, actual_messages = await _converse(tts)
    return {
        "differences": differences(expected, actual, tolerance=0.0001),
        "audio": b"".join(one.audio for one in expected.contexts)
        == b"".join(one.audio for one in actual.contexts),
        "frames": frames == actual_frames,
        "messages": messages == actual_messages,
        "heard": expected.heard.text,
        "warnings": [warning for warning in warnings if "TTS cache" in warning],
        "stats": await tts.get_cache_stats(),
        "stored": (await backend.get_stats())["entries"],
    }


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    changes, removed = {}, []
    while words:
        if words[0] == "del":
            removed.append((words[1], words[2]))
        else:
            changes[words[0]] = words[1]
        del words[: 3 if words[0] == "del" else 2]
    sys.meta_path.insert(0, _Finder(changes))
    sys.stdout.write(json.dumps(asyncio.run(_compare(kind, removed))))
