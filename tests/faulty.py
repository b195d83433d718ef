#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a fault does to one request, on any page."""

import asyncio

from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault
from tests.providers.kind import Kind

NOT_HEARD = (Fault.ERROR, Fault.SILENT, Fault.EMPTY)
HEARD_IN_PART = (Fault.BROKEN, Fault.LOST, Fault.STALLED, Fault.LATE)

TEXT = "Hello you there and everywhere."


async def check_fault(kind: Kind, fault: Fault, *, late: float = 0.0) -> None:
    """Check that a fault spoils its request, as far as it says, and none after it.

    Args:
        kind: The service, which is tried without a cache.
        fault: The fault.
        late: Seconds to wait for what comes late, where it could be taken for what is said next.
    """
    async with kind.server(chunk_ms=100) as server:
        tts = kind.without_cache(server, stop_frame_timeout_s=0.3)
        async with running(tts) as bot:
            server.fail(fault, text=TEXT, seconds=0.1)
            await bot.speak(TEXT)
            await server.asked(1)
            spoiled = server.requests[0]
            if fault is Fault.LATE:
                await spoiled.stuck.wait()
                await bot.interrupt()
            heard = (await bot.until_quiet()).heard
            await bot.until_connected()
            await asyncio.sleep(late)
            await bot.speak("Good bye.")
            after = (await bot.until_quiet()).contexts[-1].heard
    if fault is not Fault.LATE:
        assert (fault not in (*NOT_HEARD, *HEARD_IN_PART)) == spoiled.whole
    if fault in NOT_HEARD:
        assert ([], []) == (heard.words, heard.flaws)
    elif fault in HEARD_IN_PART:
        assert TEXT.split() != heard.words
    assert (["Good", "bye."], []) == (after.words, after.flaws)
