#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The bot of nodes: what it says next is ready when it is needed."""

import asyncio
import re
from pathlib import Path
from typing import Any, cast

import pytest
from pipecat.flows import FlowManager, NodeConfig
from pipecat.flows.actions import ActionManager

from flows_bot import CALL, NODES, Flow, words_of
from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from tests.cached_scripted import CACHED_SCRIPTED
from tests.espeak import espeak
from tests.example import EXAMPLES, run
from tests.pipecat_versions import needs_data

__all__ = ["espeak"]

PAGE = (EXAMPLES.parent / "docs" / "warming.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("kind", ["inline", "overlapping", "in order"])
async def test_all_but_the_first_words_are_ready(kind: str) -> None:
    """Whichever way the caller goes, what is said on entering a node is replayed."""
    tts: Any = CACHED_SCRIPTED[kind](Provider(), cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:

        async def say(words: str) -> None:
            await bot.speak(words)
            await bot.until_quiet()

        flow = Flow(tts, say)
        await flow.enter("welcome")
        for _, function in CALL:
            await asyncio.sleep(1)
            await flow.call(function)
        said = bot.said()
    assert len(CALL) + 1 == len(said.contexts)
    stats = await tts.get_cache_stats()
    assert (len(CALL), 1) == (stats["hits"], stats["misses"])


async def test_the_action_in_the_documentation_prefetches() -> None:
    """Pipecat Flows calls it when a node is entered, and the words of the nodes behind come."""
    (code,) = (each for each in SNIPPETS if "pipecat.flows" in each)
    tts: Any = CACHED_SCRIPTED["inline"](Provider(), cache_backend=MemoryCacheBackend())
    names: dict[str, Any] = {"tts": tts}
    exec(code, names)
    async with running(tts) as bot:
        actions = ActionManager(bot.worker, cast(FlowManager, None))
        actions._register_action("prefetch_next", names["prefetch_next"])
        await actions.execute_actions(names["node"]("greeting", "Greet.").get("pre_actions"))
        await tts.provider.asked(2)
        await bot.until_quiet()
    assert [names["FIRST_WORDS"][each] for each in ("day", "people")] == tts.provider.texts


def test_the_nodes_are_those_of_pipecat_flows() -> None:
    """But for the functions, which name where they lead: to nodes that there are."""
    for name, node in NODES.items():
        assert name == node["name"]
        assert node.keys() <= NodeConfig.__annotations__.keys()
        assert set(node["functions"].values()) <= NODES.keys()
        assert 1 == len(words_of(name))


@needs_data
@pytest.mark.usefixtures("espeak")
def test_the_example_runs(tmp_path: Path) -> None:
    """As a user runs it: without keys, in real speech, and with the next words ready."""
    done = run(str(EXAMPLES / "flows_bot.py"), "--speed", "20", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    spoken = re.findall(r"^  (live|cached) ", done.stdout, re.MULTILINE)
    assert ("live", len(CALL) + 1) == (spoken[0], len(spoken))
    assert "cached" in spoken
