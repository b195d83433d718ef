#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tiered store brings nothing back: copies beside removals, and removals by others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pipecat_tts_cache.backends import MemoryCacheBackend, TieredCacheBackend
from pipecat_tts_cache.backends.tiered import copies
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from pipecat_tts_cache.utterance import Utterance
from tests.levels import Obedient, idle

KEY = make_key("x", "n")
OLD = make_utterance(1)
NEW = make_utterance(2)


@pytest.fixture
def front() -> Obedient:
    return Obedient()


@pytest.fixture
def shared() -> Obedient:
    return Obedient()


@pytest.fixture
async def store(front: Obedient, shared: Obedient) -> AsyncIterator[TieredCacheBackend]:
    async with TieredCacheBackend([front, shared], timeout=60) as store:
        yield store


Change = Callable[[TieredCacheBackend], Awaitable[object]]

CHANGES: dict[str, tuple[Change, Utterance | None]] = {
    "delete": (lambda store: store.delete(KEY), None),
    "delete_many": (lambda store: store.delete_many([make_key(), KEY]), None),
    "clear": (lambda store: store.clear(), None),
    "clear the namespace": (lambda store: store.clear("n"), None),
    "set": (lambda store: store.set(KEY, NEW), NEW),
}


# What is changed here while it is copied


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_read_before_a_change_is_not_copied_after_it(
    store: TieredCacheBackend, front: Obedient, shared: Obedient, change: str
) -> None:
    """A look-up that is answered only after a change brings nothing old to the front."""
    act, expected = CHANGES[change]
    await shared.set(KEY, OLD)
    shared.behind["get"] = asyncio.Event()
    look_up = asyncio.create_task(store.get(KEY))
    await idle()
    await act(store)
    shared.behind["get"].set()
    assert OLD == await look_up
    await idle()
    assert expected == await front.peek(KEY)
    assert expected == await store.get(KEY)


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_read_during_a_change_is_not_copied_after_it(
    store: TieredCacheBackend, front: Obedient, shared: Obedient, change: str
) -> None:
    """A look-up that is answered while the change is under way brings nothing old either."""
    act, expected = CHANGES[change]
    await shared.set(KEY, OLD)
    gate = asyncio.Event()
    shared.before.update(dict.fromkeys(["delete", "clear", "set"], gate))
    changing = asyncio.create_task(act(store))
    await idle()
    front.before["set"] = asyncio.Event()
    found = await store.get(KEY)
    gate.set()
    await changing
    front.before["set"].set()
    await idle()
    assert found == (OLD if expected is None else NEW)
    assert expected == await front.peek(KEY)
    assert expected == await store.get(KEY)


@pytest.mark.parametrize("moment", ["before", "behind"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_waits_for_a_copy_that_is_being_written(
    store: TieredCacheBackend, front: Obedient, shared: Obedient, change: str, moment: str
) -> None:
    """A copy that a level has begun to write is there, and removed, when the change is done."""
    act, expected = CHANGES[change]
    await shared.set(KEY, OLD)
    gates = {"before": front.before, "behind": front.behind}[moment]
    gates["set"] = asyncio.Event()
    assert OLD == await store.get(KEY)
    await idle()
    changing = asyncio.create_task(act(store))
    await idle()
    assert not changing.done()
    gates["set"].set()
    await changing
    assert expected == await front.peek(KEY)
    assert expected == await store.get(KEY)


async def test_a_copy_goes_no_further_once_it_is_spoilt() -> None:
    """Of several levels to be filled, those are left that were not yet when a change came."""
    levels = [Obedient(), Obedient(), Obedient()]
    async with TieredCacheBackend(levels, timeout=60) as store:
        await levels[2].set(KEY, OLD)
        levels[0].behind["set"] = asyncio.Event()
        assert OLD == await store.get(KEY)
        await idle()
        delete = asyncio.create_task(store.delete(KEY))
        await idle()
        levels[0].behind["set"].set()
        assert await delete
        assert [1, 0] == [level.calls["set"] for level in levels[:2]]


async def test_changes_of_others_spoil_nothing(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """What is changed under another key or namespace keeps no copy from being made."""
    await shared.set(KEY, OLD)
    shared.behind["get"] = asyncio.Event()
    look_up = asyncio.create_task(store.get(KEY))
    await idle()
    await store.clear("other")
    await store.delete(make_key("y", "n"))
    await store.set(make_key("x"), NEW)
    shared.behind["get"].set()
    assert OLD == await look_up
    await idle()
    assert OLD == await front.peek(KEY)


async def test_a_change_that_was_cancelled_leaves_nothing_behind(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """After a cancelled change copies are made as before."""
    await shared.set(KEY, OLD)
    shared.before["delete"] = asyncio.Event()
    delete = asyncio.create_task(store.delete(KEY))
    await idle()
    delete.cancel()
    await asyncio.wait({delete}, timeout=60)
    assert OLD == await store.get(KEY)
    await idle()
    assert OLD == await front.peek(KEY)


# What others removed


@pytest.mark.parametrize("scope", [("n", KEY.digest), ("n", None), (None, None)])
async def test_what_others_removed_is_gone_from_the_front(
    store: TieredCacheBackend,
    front: Obedient,
    shared: Obedient,
    scope: tuple[str | None, str | None],
) -> None:
    """An utterance, a namespace or everything is dropped, from now on, and nothing else."""
    kept = [key for key in (make_key("y", "n"), make_key("x")) if scope[0] and key[0] != scope[0]]
    if scope[1]:
        kept.append(make_key("y", "n"))
    for key in {KEY, *kept, make_key("x")}:
        await store.set(key, OLD)
    await shared.clear()
    shared.tell(*scope)
    assert await store.get(KEY) is None
    assert not await store.exists(KEY)
    assert await store.peek(KEY) is None
    await idle()
    assert KEY not in front.held
    assert set(kept) <= front.held
    assert 0 == (await store.get_stats())["levels"][0]["to_drop"]


async def test_what_others_replaced_comes_from_behind(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """The old one is not heard any more, and the new one is copied to the front."""
    await store.set(KEY, OLD)
    await shared.set(KEY, NEW)
    shared.tell(*KEY)
    assert NEW == await store.get(KEY)
    await idle()
    assert NEW == await store.get(KEY)
    await idle()
    assert NEW == await front.peek(KEY)


async def test_what_others_removed_while_it_was_read_is_not_copied(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """The news may be faster than the answer."""
    await shared.set(KEY, OLD)
    shared.behind["get"] = asyncio.Event()
    look_up = asyncio.create_task(store.get(KEY))
    await idle()
    await shared.delete(KEY)
    shared.tell(*KEY)
    await idle()
    shared.behind["get"].set()
    assert OLD == await look_up
    await idle()
    assert set() == front.held
    assert await store.get(KEY) is None


async def test_what_others_removed_while_it_was_copied_is_dropped(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """A copy that is being written when the news comes is dropped behind it."""
    await shared.set(KEY, OLD)
    front.before["set"] = asyncio.Event()
    assert OLD == await store.get(KEY)
    await idle()
    await shared.delete(KEY)
    shared.tell(*KEY)
    await idle()
    front.before["set"].set()
    await idle()
    assert set() == front.held
    assert await store.get(KEY) is None


async def test_only_levels_before_the_one_that_tells_drop_it() -> None:
    """A level is a copy of what is behind it, not the other way round."""
    levels = [MemoryCacheBackend(), Obedient(), Obedient()]
    async with TieredCacheBackend(levels, timeout=60) as store:
        await store.set(KEY, OLD)
        levels[1].tell(*KEY)
        await idle()
        assert [False, True, True] == [await level.exists(KEY) for level in levels]


async def test_a_drop_is_tried_until_it_succeeds(
    store: TieredCacheBackend, front: Obedient, shared: Obedient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a level has dropped what is gone, it is not asked for it."""
    monkeypatch.setattr(copies, "_RETRY_SECONDS", 0.01)
    await store.set(KEY, OLD)
    await store.set(make_key(), NEW)
    front.before["delete"] = asyncio.Event()
    fails = front._called

    async def fails_twice(name: str) -> None:
        await fails(name)
        if name == "delete" and front.calls["delete"] <= 2:
            raise OSError("gone")

    front._called = fails_twice  # type: ignore[method-assign]
    await shared.delete(KEY)
    shared.tell(*KEY)
    await idle()
    assert await store.get(KEY) is None
    assert NEW == await store.get(make_key())
    front.before["delete"].set()
    while (await store.get_stats())["levels"][0]["to_drop"]:
        assert await store.get(KEY) is None
        await asyncio.sleep(0.001)
    assert 3 == front.calls["delete"]
    assert {make_key()} == front.held


async def test_news_that_come_again_while_they_are_heeded_are_heeded_again(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """What was stored between two removals by others is dropped by the second."""
    front.behind["delete"] = asyncio.Event()
    shared.tell(*KEY)
    await idle()
    await store.set(KEY, OLD)
    await shared.delete(KEY)
    shared.tell(*KEY)
    front.behind["delete"].set()
    await idle()
    assert set() == front.held
    assert await store.get(KEY) is None


async def test_a_flood_of_news_is_heeded_at_once(
    store: TieredCacheBackend, front: Obedient, shared: Obedient
) -> None:
    """More removals than anybody could follow drop everything, in bounded memory."""
    await store.set(KEY, OLD)
    front.before["delete"] = asyncio.Event()
    for i in range(5000):
        shared.tell("n", f"{i}")
    assert 1000 >= (await store.get_stats())["levels"][0]["to_drop"]
    front.before["delete"].set()
    for _ in range(100):
        await idle()
    assert set() == front.held


async def test_a_nested_store_passes_the_news_on(shared: Obedient) -> None:
    """What a level of a level tells reaches the front."""
    front, middle = Obedient(), Obedient()
    inner = TieredCacheBackend([middle, shared], timeout=60)
    async with TieredCacheBackend([front, inner], timeout=60) as store:
        assert store.on_removal(lambda *_: None)
        await store.set(KEY, OLD)
        await shared.delete(KEY)
        shared.tell(*KEY)
        assert await store.get(KEY) is None
        await idle()
        assert [set(), set()] == [front.held, middle.held]
