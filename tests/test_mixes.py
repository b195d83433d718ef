#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Every mix of hits and misses leaves the service as the uncached turn would."""

from dataclasses import replace
from itertools import product

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.view import View, differences
from tests.cached import KINDS, Kind

SENTENCES = ["One is here. ", "Two is over there. ", "Three is everywhere."]
MISTIMED = [kind for kind in KINDS.values() if kind.mistimed]
MIXES = list(product([False, True], repeat=3))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    return KINDS[request.param]


async def uncached_turn(kind: Kind) -> tuple[View, list[str]]:
    async with kind.server() as server, running(kind.without_cache(server)) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
        return (timed_as_heard(said) if kind in MISTIMED else said), bot.messages


def timed_as_heard(view: View) -> View:
    """Give every word the time at which it is heard.

    For services whose own times are not always right; see `Kind.mistimed`. From the cache they are.
    """
    for said in view.contexts:
        starts = {"word": iter(said.heard.starts), "progress": iter(said.heard.starts)}
        said.texts = [
            replace(text, at=next(starts[text.kind])) if text.kind in starts else text
            for text in said.texts
        ]
    return view


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: "".join("MH"[hit] for hit in mix))
async def test_a_mixed_turn_is_like_the_uncached_one(kind: Kind, mix: tuple[bool, ...]) -> None:
    """In each of the eight mixes nobody can tell, and the provider is asked for misses only."""
    expected, messages = await uncached_turn(kind)
    backend = MemoryCacheBackend()
    known = [text for text, hit in zip(SENTENCES, mix, strict=True) if hit]
    async with kind.server() as server:
        async with running(kind.with_cache(server, cache_backend=backend)) as bot:
            for text in known:
                await bot.llm_turn([text])
                await bot.until_quiet()
        asked = len(server.requests)
        assert len(known) == asked
        tts = kind.with_cache(server, cache_backend=backend)
        async with running(tts) as bot:
            await bot.llm_turn(SENTENCES)
            actual = await bot.until_quiet()
            stats = await tts.get_cache_stats()
            assert messages == bot.messages
    assert [] == differences(expected, actual)
    misses = [text.strip() for text, hit in zip(SENTENCES, mix, strict=True) if not hit]
    assert misses == [request.text.strip() for request in server.requests[asked:]]
    assert (sum(mix), 3 - sum(mix)) == (stats["hits"], stats["misses"])
    assert {} == stats["not_stored"]
