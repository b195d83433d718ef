#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""In a tiered store a recording is pinned in the last level, and heard from all of them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from pipecat_tts_cache.backends import MemoryCacheBackend, TieredCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.clock import Clock, clock
from tests.levels import Obedient, idle

__all__ = ["clock"]

DAY = 86_400.0
KEY = make_key()
PIN = replace(make_utterance(1), pinned=True)
COPY = replace(PIN, pinned=False)
SPEECH = make_utterance(2)


@pytest.fixture
def levels(clock: Clock) -> list[Obedient]:
    return [Obedient(max_size=2, clock=clock, wall_clock=clock.wall) for _ in range(3)]


@pytest.fixture
async def store(levels: list[Obedient], clock: Clock) -> AsyncIterator[TieredCacheBackend]:
    async with TieredCacheBackend(levels, timeout=60, wall_clock=clock.wall) as store:
        yield store


async def held(levels: list[Obedient]) -> list[Utterance | None]:
    """Return what each level holds and has not expired."""
    await idle()
    return [await MemoryCacheBackend.peek(level, KEY) for level in levels]


async def heard(store: TieredCacheBackend) -> bytes | None:
    found = await store.get(KEY)
    return found and found.audio


async def test_only_the_last_level_pins(store: TieredCacheBackend, levels: list[Obedient]) -> None:
    """The others have a copy like any other, written through or brought to the front."""
    assert await store.set(KEY, PIN, ttl=60)
    assert [COPY, COPY, PIN] == await held(levels)
    await levels[0].clear()
    assert PIN.audio == await heard(store)
    assert [COPY, COPY, PIN] == await held(levels)
    assert (PIN, True) == (await store.peek(KEY), store.keeps_pins)
    assert [(KEY, True)] == [(entry.key, entry.pinned) async for entry in store.entries()]
    stats = await store.get_stats()
    assert (1, [0, 0, 1]) == (
        stats["pinned"],
        [level["stats"]["pinned"] for level in stats["levels"]],
    )


async def test_it_is_seen_again_from_behind(
    store: TieredCacheBackend, levels: list[Obedient], clock: Clock
) -> None:
    """After the day of a front, and when a front needs the room, it comes from the last level."""
    await store.set(KEY, PIN, ttl=60)
    clock.now = 61
    assert [COPY, COPY, PIN] == await held(levels)
    clock.now = DAY + 1
    assert [None, None, PIN] == await held(levels)
    assert PIN.audio == await heard(store)
    for name in "abc":
        await levels[0].set(make_key(name), SPEECH)
        await levels[0].get(make_key(name))
    assert [None, COPY, PIN] == await held(levels)
    assert PIN.audio == await heard(store)


async def test_what_others_unpinned_is_not_heard_for_ever(
    store: TieredCacheBackend, levels: list[Obedient], clock: Clock
) -> None:
    """A front that hears nothing of others forgets its copy after its day."""
    await store.set(KEY, PIN)
    await levels[2].delete(KEY)
    assert PIN.audio == await heard(store)
    clock.now = DAY + 1
    assert await heard(store) is None
    assert await store.set(KEY, SPEECH)
    assert SPEECH.audio == await heard(store)


async def test_speech_does_not_hide_it(store: TieredCacheBackend, levels: list[Obedient]) -> None:
    """What the last level refuses for a pin, the others forget at once."""
    await store.set(KEY, PIN)
    assert await store.set(KEY, SPEECH) is False
    assert PIN.audio == await heard(store)
    assert [None, None, PIN] == await held(levels)
    assert PIN.audio == await heard(store)
    assert [COPY, COPY, PIN] == await held(levels)


async def test_a_front_that_cannot_forget_is_passed_over(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """While refused speech cannot be removed from a level, that level does not count."""
    await store.set(KEY, PIN)

    async def refuse(*_: Any) -> bool:
        raise OSError

    delete, levels[0].delete = levels[0].delete, refuse  # type: ignore[method-assign]
    assert await store.set(KEY, SPEECH) is False
    assert [SPEECH, None, PIN] == await held(levels)
    assert PIN.audio == await heard(store)
    levels[0].delete = delete  # type: ignore[method-assign]


async def test_a_pin_in_a_level_between_is_not_lost(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """What somebody pinned in a store that is a level here, too, stands against speech."""
    await levels[1].set(KEY, PIN)
    assert await store.set(KEY, SPEECH) is False
    assert [None, PIN, None] == await held(levels)
    assert PIN.audio == await heard(store)
    assert await store.set(KEY, replace(SPEECH, pinned=True)) is True
    assert SPEECH.audio == await heard(store)
    assert await store.delete(KEY)
    assert await heard(store) is None


async def test_the_last_level_decides_on_a_pin(
    levels: list[Obedient], store: TieredCacheBackend
) -> None:
    """If it refuses a pin, or fails, the pin is not kept, and no front pretends that it is."""
    for name in "ab":
        await levels[2].set(make_key(name), replace(SPEECH, pinned=True))
    assert await store.set(KEY, PIN) is False
    assert [None, None, None] == await held(levels)
    for name in "ab":
        await levels[0].set(make_key(name), replace(SPEECH, pinned=True))
    levels[2].fails = ConnectionError()
    with pytest.raises(BackendError, match="not kept"):
        await store.set(KEY, PIN)
    levels[2].fails = None
    assert [None, None, None] == await held(levels)
    assert await heard(store) is None


async def test_a_front_that_missed_a_pin_is_passed_over(
    store: TieredCacheBackend, levels: list[Obedient]
) -> None:
    """Old speech in a level that failed just then does not hide the new pin."""
    await store.set(KEY, SPEECH)
    levels[0].fails = ConnectionError()
    assert await store.set(KEY, PIN) is True
    levels[0].fails = None
    assert PIN.audio == await heard(store)


@pytest.mark.parametrize(
    "answer", [lambda: PIN, lambda: (_ for _ in ()).throw(OSError)], ids=["pin", "failure"]
)
async def test_in_doubt_nothing_is_removed(
    store: TieredCacheBackend, levels: list[Obedient], answer: Callable[[], Utterance]
) -> None:
    """A level that refuses, and does not say why, keeps what it has."""
    await store.set(KEY, PIN)

    async def peek(_: Any) -> Utterance:
        return answer()

    levels[2].peek = peek  # type: ignore[method-assign]
    assert await store.set(KEY, SPEECH) is False
    assert PIN == (await held(levels))[2]


async def test_what_is_too_large_for_a_level_is_still_forgotten_there(clock: Clock) -> None:
    """A refusal that has nothing to do with pins removes what would hide the new one."""
    levels = [Obedient(max_bytes=10_000), Obedient()]
    async with TieredCacheBackend(levels, timeout=60) as store:
        await store.set(KEY, SPEECH)
        assert await store.set(KEY, replace(make_utterance(3, num_bytes=20_000), pinned=True))
        await idle()
        assert [False, True] == [KEY in level.held for level in levels]
        await store.clear()
        await store.set(KEY, SPEECH)
        assert await store.set(KEY, make_utterance(3, num_bytes=20_000))
        assert [False, True] == [KEY in level.held for level in levels]


async def test_a_last_level_without_pins_says_so(clock: Clock) -> None:
    """Whether pins are kept is for the last level to say; one without is not asked for any."""

    class Plain(Obedient):
        keeps_pins = False

    last = Plain(max_bytes=10_000)
    async with TieredCacheBackend([Obedient(), last], timeout=60) as store:
        assert store.keeps_pins is False
        assert await store.set(KEY, make_utterance(num_bytes=20_000))
        assert 0 == last.calls["peek"]
