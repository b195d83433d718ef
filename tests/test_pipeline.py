#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The driver: what a test can say to a bot, wait for, and read of what came of it."""

import asyncio
import time

import pytest
from blockbuster import BlockingError
from pipecat.frames.frames import TTSAudioRawFrame

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.pipecat_versions import SPARES_SPEECH
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.view import differences
from tests.scripted import InlineService, OverlappingService


async def test_an_interrupted_turn_is_committed_as_far_as_it_was_spoken() -> None:
    """What was said before an interruption is committed; what follows is a turn of its own."""
    service = OverlappingService()
    service.provider.fail(Fault.STALLED, text="Two is over there.")
    async with running(service) as bot:
        await bot.llm_turn("One is here. Two is over there.")
        await bot.until_told("over")
        await bot.interrupt()
        await bot.llm_turn("Three is next.")
        said = await bot.until_quiet()
    assert ["One is here. Two is over", "Three is next."] == bot.messages
    assert ["start", "started 0", "audio 0", "InterruptionFrame"] == said.order[:4]
    assert [(1, 0), (1, 1)] == [(one.started, one.stopped) for one in said.contexts]
    assert said.heard.flaws


@pytest.mark.skipif(not SPARES_SPEECH, reason="this Pipecat interrupts all speech")
async def test_what_may_not_be_interrupted_is_heard_whole() -> None:
    """A speak frame that is not interruptible survives an interruption."""
    service = OverlappingService(Provider(speed=20.0))
    async with running(service) as bot:
        await bot.speak("Please hold the line.", interruptible=False)
        await bot.until_audio()
        await bot.interrupt()
        said = await bot.until_quiet()
    assert "Please hold the line." == said.heard.text
    assert [] == said.heard.flaws
    assert [False] == [one.interruptible for one in said.contexts]


async def test_a_turn_can_be_sent_in_parts() -> None:
    """Speak frames, loose text and new settings can come in the middle of a turn."""
    service = InlineService(stop_frame_timeout_s=0.1)
    async with running(service) as bot:
        await bot.llm_turn("One is here. Two", end=False)
        await bot.speak("Hold on.")
        await bot.update_settings(voice="berta")
        await bot.tokens(" is there.")
        await bot.end_turn()
        await bot.until_stopped(2)
        await bot.text("Loose. ")
        await bot.text("More.")
        await bot.until_heard("Loose.")
    spoken = [
        (request.text.strip(), request.settings["voice"]) for request in service.provider.requests
    ]
    assert [
        ("One is here.", "anna"),
        ("Hold on.", "anna"),
        ("Two is there.", "berta"),
        ("Loose.", "berta"),
    ] == spoken[:4]


async def test_equal_runs_do_not_differ_and_others_do() -> None:
    """Two runs of the same turn do not differ; a missing or a damaged word does."""

    async def run(text: str, fault: Fault | None = None) -> object:
        service = OverlappingService(stop_frame_timeout_s=0.1)
        if fault:
            service.provider.fail(fault)
        async with running(service) as bot:
            await bot.llm_turn(text)
            return await bot.until_quiet()

    first, again = await run("One is here."), await run("One is here.")
    assert [] == differences(first, again)
    assert differences(first, await run("One is there."))
    assert differences(first, await run("One is here.", Fault.STALLED))


async def test_metrics_are_read() -> None:
    """Usage in characters and the time to the first byte are reported."""
    async with running(InlineService()) as bot:
        await bot.speak("Hello you.")
        said = await bot.until_quiet()
    assert [10] == said.usage
    assert 1 == len(said.ttfb)
    assert said.contexts[0].began is not None


@pytest.mark.parametrize("ending", ["end", "cancel"])
async def test_a_pipeline_can_be_ended_in_mid_sentence(ending: str) -> None:
    """Ended in order, what was sent is spoken first; cancelled, it is not."""
    service = OverlappingService(Provider(speed=20.0))
    async with running(service) as bot:
        await bot.speak("Please hold the line.")
        await bot.until_audio()
        await (bot.end() if ending == "end" else bot.cancel())
    assert (ending == "end") == ("Please hold the line." == bot.said().heard.text)


async def test_a_wait_that_is_in_vain_fails() -> None:
    """Nobody waits for ever for what does not come."""
    async with running(InlineService()) as bot:
        with pytest.raises(TimeoutError):
            await bot.until_audio(patience=0.05)
    assert 0 == bot.count(TTSAudioRawFrame)


async def test_blocking_the_event_loop_is_an_error() -> None:
    """No test passes that blocks the event loop."""
    await asyncio.sleep(0)
    with pytest.raises(BlockingError):
        time.sleep(0.001)  # noqa: ASYNC251
