#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The scripted services behave as the services they stand for."""

import pytest

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from tests.scripted import SCRIPTED

SENTENCES = ["One is here. ", "Two is there. ", "Three is everywhere."]
STUCK = (Fault.SILENT, Fault.STALLED, Fault.UNENDED, Fault.LATE)
HEARD_WHOLE = (Fault.UNENDED, Fault.SLOW, Fault.ERROR_AFTER_END)


@pytest.mark.parametrize("kind", SCRIPTED)
async def test_turns_and_speak_frames_are_heard_whole(kind: str) -> None:
    """A turn of three sentences and two speak frames are three contexts, heard in order."""
    service = SCRIPTED[kind]()
    async with running(service, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.speak("Hello you.", append_to_context=False)
        await bot.speak("Good bye.")
        said = await bot.until_quiet()
    assert ["One is here.", "Two is there.", "Three is everywhere.", "Hello you.", "Good bye."] == (
        service.provider.texts
    )
    assert " ".join(service.provider.texts) == said.heard.text
    assert [] == said.heard.flaws
    assert [(1, 1, [])] * 3 == [(one.started, one.stopped, one.stray) for one in said.contexts]
    assert [True, False, True] == [one.append_to_context for one in said.contexts]
    assert ["".join(SENTENCES), "Good bye."] == bot.messages


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_faults_spoil_one_request(kind: str, fault: Fault) -> None:
    """A fault spoils the request that it is meant for; what comes after it is heard whole."""
    service = SCRIPTED[kind](stop_frame_timeout_s=0.1)
    service.provider.fail(fault, text="Hello you there.", seconds=0.02)
    async with running(service, sample_rate=8000) as bot:
        await bot.speak("Hello you there.")
        await service.provider.asked(1)
        spoiled = service.provider.requests[0]
        if fault in STUCK:
            await spoiled.stuck.wait()
            await bot.interrupt()
        await bot.until_quiet()
        await bot.speak("Good bye.")
        after = (await bot.until_quiet()).contexts[-1].heard
    if fault is not Fault.LATE:
        assert (fault in HEARD_WHOLE) == spoiled.whole
    if fault is not Fault.LATE or getattr(service, "names_context", True):
        assert (["Good", "bye."], []) == (after.words, after.flaws)


@pytest.mark.parametrize("kind", SCRIPTED)
async def test_order_does_not_depend_on_timing(kind: str) -> None:
    """However often the event loop turns between two chunks, the turn is heard in order."""
    service = SCRIPTED[kind](Provider(turns=(1, 7, 2, 30, 3)))
    async with running(service, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        said = await bot.until_quiet()
    assert "".join(SENTENCES) == said.heard.text
    assert [] == said.heard.flaws
