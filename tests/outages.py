#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What every store on a server does when that is silent, refuses, or cuts an answer off."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from pipecat_tts_cache.errors import BackendError, BackendUnavailableError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.clock import Clock
from tests.fault_proxy import FaultProxy

LARGE = make_utterance(num_bytes=500_000)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library has logged."""
    return [each.getMessage() for each in caplog.records if "TTS cache" in each.getMessage()]


async def fail(store: Any, times: int = 3) -> list[str]:
    """Have look-ups fail, each of them as one that was made, and return what they say."""
    said = []
    for _ in range(times):
        with pytest.raises(BackendError) as raised:
            await store.get(make_key())
        assert type(raised.value) is BackendError
        said.append(str(raised.value))
    return said


class Outages:
    """Subclasses give fixtures named ``proxy`` and, behind it with `LARGE` in it, ``far_store``."""

    connections_of_a_probe: tuple[int, ...] = (1,)
    """How many a probe may make."""

    def in_haste(self, store: Any) -> AbstractContextManager[None]:
        """Give the calls of a store little time, where it is patient otherwise."""
        return nullcontext()

    async def fail(self, store: Any, times: int = 3) -> None:
        """Have look-ups fail, in haste."""
        with self.in_haste(store):
            await fail(store, times)

    async def test_many_calls_to_a_silent_server_all_end(
        self, proxy: FaultProxy, far_store: Any, clock: Clock
    ) -> None:
        """Calls under way when the server falls silent fail together and count as one outage."""
        proxy.stall()
        with self.in_haste(far_store):
            calls = [far_store.get(make_key()) for _ in range(100)]
            found = await asyncio.gather(*calls, return_exceptions=True)
        assert {BackendError} == {type(each) for each in found}
        assert 1.0 == (await far_store.get_stats())["retry_in"]
        proxy.resume()
        clock.now += 1
        assert await far_store.get(make_key()) is not None

    async def test_while_it_is_left_alone_nothing_is_sent(
        self, proxy: FaultProxy, far_store: Any, clock: Clock
    ) -> None:
        """No connection is tried while the breaker is open, and one per probe after that."""
        proxy.refusing = True
        proxy.drop()
        await self.fail(far_store)
        tried = proxy.connections
        calls = [far_store.get(make_key()) for _ in range(50)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {BackendUnavailableError} == {type(each) for each in found}
        assert tried == proxy.connections
        clock.now += 1
        calls = [far_store.get(make_key()) for _ in range(50)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert 49 == sum(type(each) is BackendUnavailableError for each in found)
        assert proxy.connections - tried in self.connections_of_a_probe

    @pytest.mark.parametrize("cut_after", [0, 1, 5, 100, 600, 700, 70_000, 499_999])
    async def test_a_value_that_is_cut_off(
        self, proxy: FaultProxy, far_store: Any, cut_after: int
    ) -> None:
        """A part of a value is an error, never an utterance, and takes nothing from the store."""
        proxy.drop()
        await asyncio.sleep(0.01)
        proxy.cut_after = cut_after
        await self.fail(far_store, times=1)
        proxy.cut_after = None
        assert LARGE == await far_store.get(make_key())
        stats = await far_store.get_stats()
        assert ("closed", 0, 1) == (stats["breaker"], stats["corrupt"], stats["entries"])

    @pytest.mark.parametrize("cancel", [False, True])
    async def test_a_late_answer_is_nobody_elses(
        self, proxy: FaultProxy, far_store: Any, cancel: bool
    ) -> None:
        """An answer to a call that timed out or was cancelled is not given to the next."""
        await far_store.set(make_key("other"), make_utterance(2))
        for _ in range(2):
            proxy.stall()
            with self.in_haste(far_store):
                late = asyncio.ensure_future(far_store.get(make_key()))
                await asyncio.sleep(0.05)
                if cancel:
                    late.cancel()
                await asyncio.wait([late])
            proxy.resume()
            assert await far_store.get(make_key("other")) == make_utterance(2)
            assert await far_store.get(make_key("none")) is None

    async def test_a_cancelled_call_is_no_failure(self, proxy: FaultProxy, far_store: Any) -> None:
        """Whoever loses interest says nothing about the server, and leaves nothing waiting."""
        proxy.stall()
        for _ in range(40):
            call = asyncio.ensure_future(far_store.get(make_key()))
            await asyncio.sleep(0.001)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
        proxy.resume()
        assert LARGE == await far_store.get(make_key())
        stats = await far_store.get_stats()
        assert (0, "closed") == (stats["errors"], stats["breaker"])
