#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whatever goes wrong at the provider: nothing broken is stored, and speech goes on."""

import pytest

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import Bot, running
from pipecat_tts_cache.testing.provider import Fault
from pipecat_tts_cache.testing.view import View
from tests.cached import KINDS, Kind
from tests.providers.http import HttpServer
from tests.providers.server import Server
from tests.stored import check_store

BEFORE, FAULTY, BEHIND = "One is here.", "Two is over there.", "Three is everywhere."
PATIENCE = 0.6
HTTP = tuple(kind for kind in KINDS.values() if issubclass(kind.server, HttpServer))
HANGING = (Fault.SILENT, Fault.STALLED, Fault.UNENDED, Fault.LATE)
HARMLESS = (Fault.SLOW, Fault.ERROR_AFTER_END)
"""Faults after which a sentence may be stored, because all of it certainly came.

Cartesia and ElevenLabs report an error after the end for a context that is over; their services
do not even look at it.
"""

CANNOT_BE_TOLD_APART = (KINDS["DeepgramTTSService"], Fault.LATE)
"""Audio without an id that comes after it was cancelled is heard, with a cache and without."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each provider."""
    return KINDS[request.param]


def check_order(said: View) -> None:
    """Check that nothing was heard twice or out of order."""
    everything = f"{BEFORE} {FAULTY} {BEHIND}".split()
    heard = [word for word in said.heard.words if word in everything and word != "is"]
    places = [everything.index(word) for word in heard]
    assert sorted(places) == places
    assert len(set(places)) == len(places)


async def play_faulty_turn(bot: Bot, server: Server, kind: Kind, fault: Fault) -> View:
    await bot.llm_turn([f"{BEFORE} ", f"{FAULTY} ", BEHIND])
    if kind in HTTP and fault in HANGING:
        await bot.until_heard(BEFORE)
        await server.asked(2)
        await bot.interrupt()
    return await bot.until_quiet()


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_a_fault_leaves_no_trace(kind: Kind, fault: Fault) -> None:
    """A sentence that fails is not stored; asked for again, it is live and whole, then cached."""
    backend = MemoryCacheBackend()
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=backend, stop_frame_timeout_s=PATIENCE)
        async with running(tts) as bot:
            server.fail(fault, text=FAULTY, seconds=0.2)
            check_order(await play_faulty_turn(bot, server, kind, fault))
            known = check_store(backend)
            if fault not in HARMLESS:
                assert FAULTY not in known
            asked = len(server.requests)
            await bot.speak(FAULTY)
            await bot.until_quiet()
            last = bot.said().contexts[-1]
            if (kind, fault) != CANNOT_BE_TOLD_APART:
                assert FAULTY.split() == last.heard.words
                assert [] == last.heard.flaws
            assert (1, 1) == (last.started, last.stopped)
            check_store(backend)
            if FAULTY not in known:
                assert [FAULTY] == [request.text.strip() for request in server.requests[asked:]]
