#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is in a store can be listed, purged, erased and copied, by what people know of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from pipecat_tts_cache import BackendError, CacheBackend, CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.backends import Entry, TieredCacheBackend
from pipecat_tts_cache.inventory import (
    Copied,
    Purged,
    Selection,
    copy_store,
    delete_text,
    list_entries,
    purge,
)
from pipecat_tts_cache.key import digest_text
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance

NOW = 1_800_000_000.0
DAY = 86_400.0


def clock() -> float:
    return NOW


def said(text: str = "Hello.", **changes: Any) -> Utterance:
    """Make an utterance that was recorded ten days ago."""
    usual: dict[str, Any] = {
        "text_digest": digest_text(text),
        "created_at": NOW - 10 * DAY,
        "service": "CartesiaTTSService",
        "voice": "anna",
        "model": "sonic",
    }
    return replace(make_utterance(), text=text, **(usual | changes))


class Used(MemoryCacheBackend):
    """Says when each utterance was last used, by its voice."""

    def __init__(self, used: dict[str, float] | None = None) -> None:
        super().__init__()
        self._used = used

    async def entries(self, namespace: str | None = None) -> AsyncIterator[Entry]:
        async for entry in super().entries(namespace):
            last = None if self._used is None else self._used[entry.voice or ""]
            yield replace(entry, last_used_at=last)


class Unlisted(CacheBackend):
    """Does not list what it keeps."""

    get = set = delete = exists = clear = get_stats = close = None  # type: ignore[assignment]


async def filled(*utterances: Utterance, namespace: str = "") -> MemoryCacheBackend:
    """Make a store that holds some utterances."""
    store = MemoryCacheBackend()
    for number, utterance in enumerate(utterances):
        await store.set(make_key(str(number), namespace), utterance)
    return store


async def texts(store: CacheBackend, selection: Selection | None = None) -> list[str | None]:
    return sorted(
        [entry.text async for entry in list_entries(store, selection, wall_clock=clock)],
        key=str,
    )


# Selecting


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["a", "b", "c", "d"]),
        (Selection(service="OpenAITTSService"), ["b"]),
        (Selection(voice="ben"), ["c"]),
        (Selection(model="sonic"), ["a", "b", "c"]),
        (Selection(text="d"), ["d"]),
        (Selection(voice="anna", model="sonic"), ["a", "b"]),
        (Selection(voice="nobody"), []),
        (Selection(voice=""), []),
        (Selection(older_than=10 * DAY), ["a", "b", "c"]),
        (Selection(older_than=10 * DAY + 1), []),
        (Selection(older_than=5 * DAY, voice="ben"), ["c"]),
        (Selection(pinned=True), ["b", "d"]),
        (Selection(pinned=False), ["a", "c"]),
        (Selection(pinned=True, model="sonic"), ["b"]),
    ],
)
async def test_a_selection_is_what_fits_all_that_is_given(
    selection: Selection, expected: list[str]
) -> None:
    """Service, voice, model, text, age and pins narrow it down, alone and together."""
    store = await filled(
        said("a"),
        replace(said("b", service="OpenAITTSService"), pinned=True),
        said("c", voice="ben"),
        replace(said("d", model=None), created_at=NOW - DAY, pinned=True),
    )
    assert expected == await texts(store, selection)


async def test_a_namespace_is_exactly_that() -> None:
    """A selection of a namespace holds nothing of another, and "" is one like any other."""
    store = MemoryCacheBackend()
    for namespace in ("", "a", "a:b", "A"):
        await store.set(make_key("x", namespace), said(f"in {namespace}"))
    for namespace in ("", "a", "a:b", "A"):
        assert [f"in {namespace}"] == await texts(store, Selection(namespace=namespace))
    assert [] == await texts(store, Selection(namespace="nobody"))


async def test_a_selection_by_last_use() -> None:
    """What was used lately is not unused, however old it is."""
    store = Used({"anna": NOW - 90 * DAY, "ben": NOW - 89 * DAY})
    await store.set(make_key("x"), said("old"))
    await store.set(make_key("y"), said("new", voice="ben"))
    assert ["old"] == await texts(store, Selection(unused_for=90 * DAY))


async def test_a_store_that_does_not_note_uses_says_so() -> None:
    """Nothing is purged as unused where nobody knows whether it was."""
    store = Used()
    await store.set(make_key("x"), said())
    with pytest.raises(BackendError, match="does not note"):
        await purge(store, Selection(unused_for=DAY))
    assert ["Hello."] == await texts(store)


async def test_a_store_that_does_not_list_says_so() -> None:
    """Nothing is taken for an empty store that cannot be listed."""
    with pytest.raises(BackendError, match="Unlisted does not list"):
        await purge(Unlisted(), Selection(voice="anna"))  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"voice": 1}, "voice must be a string, not int"),
        ({"namespace": b"a"}, "namespace must be a string, not bytes"),
        ({"text": "a", "secret": 1}, "secret must be"),
        ({"secret": "Xyzzy"}, "give the text, too"),
        ({"older_than": 0}, "older_than must be above 0"),
        ({"older_than": "1"}, "older_than must be a number"),
        ({"unused_for": float("nan")}, "unused_for must be above 0"),
        ({"pinned": 1}, "pinned must be a bool, not int"),
    ],
)
def test_a_selection_of_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once, and in words."""
    with pytest.raises((TypeError, ValueError), match=error):
        Selection(**arguments)


def test_a_selection_shows_what_is_given_but_no_secret() -> None:
    """It can be logged."""
    selection = Selection(text="Hi", secret="Xyzzy", older_than=5)
    assert "Selection(text='Hi', secret=..., older_than=5)" == repr(selection)
    assert Selection().is_everything
    assert not selection.is_everything


# Purging


async def test_a_dry_run_counts_what_a_purge_removes() -> None:
    """Both say the same: how many, how large, how long; only one removes."""
    store = await filled(*(said(str(i), voice="ben" if i % 3 else "anna") for i in range(600)))
    selection = Selection(voice="ben")
    dry = await purge(store, selection, dry_run=True)
    assert 600 == (await store.get_stats())["entries"]
    assert dry == await purge(store, selection)
    assert (400, pytest.approx(40.0)) == (dry.entries, dry.duration)
    assert 400 * said().size - 4000 < dry.size < 400 * said().size
    assert 200 == (await store.get_stats())["entries"]
    assert Purged() == await purge(store, selection)


async def test_a_purge_of_everything_is_refused() -> None:
    """An empty selection is a mistake: there is `clear` for that."""
    store = await filled(said())
    with pytest.raises(ValueError, match=r"clear\(\)"):
        await purge(store, Selection())
    assert ["Hello."] == await texts(store)


async def test_a_purge_spares_pins_unless_it_names_them() -> None:
    """What it spares it counts, in a dry run as well; a selection of no pins has none to spare."""
    store = await filled(said("a"), *(replace(said(text), pinned=True) for text in "bc"))
    for dry_run in (True, False):
        done = await purge(store, Selection(voice="anna"), dry_run=dry_run)
        assert (1, 2) == (done.entries, done.spared)
    assert ["b", "c"] == await texts(store)
    assert Purged() == await purge(store, Selection(pinned=False))
    assert Purged() == await purge(store, Selection(voice="ben", pinned=True))
    assert 1 == (await purge(store, Selection(text="b", pinned=True))).entries
    assert ["c"] == await texts(store)


# Erasing


async def test_a_text_is_erased_in_every_voice_setting_and_namespace() -> None:
    """Whoever spoke it, and whether or not the text was kept; nothing else goes."""
    secret = b"Xyzzy"
    store = MemoryCacheBackend()
    records = {
        "plain": said("Caf\u00e9, Ada?"),
        "other voice": said("Caf\u00e9, Ada?", voice="ben"),
        "other form": said("Cafe\u0301,  Ada? "),
        "not kept": replace(said("Caf\u00e9, Ada?"), text=None),
        "keyed": said("Caf\u00e9, Ada?", text_digest=digest_text("Caf\u00e9, Ada?", secret=secret)),
        "keyed, not kept": replace(
            said(), text=None, text_digest=digest_text("Caf\u00e9, Ada?", secret=secret)
        ),
        "no digest": said("Caf\u00e9, Ada?", text_digest=""),
        "another": said("Caf\u00e9, Ada."),
        "not kept, another": replace(said("Bye."), text=None),
    }
    for name, utterance in records.items():
        await store.set(make_key(name, f"of {name}"), utterance)
    found = await delete_text(store, "Caf\u00e9, Ada?", secret=secret, dry_run=True)
    assert 7 == found.entries
    assert 9 == (await store.get_stats())["entries"]
    assert found == await delete_text(store, "Caf\u00e9, Ada?", secret="Xyzzy")
    left = [name for name in records if await store.exists(make_key(name, f"of {name}"))]
    assert ["another", "not kept, another"] == left


async def test_without_the_secret_a_keyed_digest_is_not_found() -> None:
    """That is what the secret is for."""
    keyed = replace(said(), text=None, text_digest=digest_text("Hello.", secret=b"Xyzzy"))
    store = await filled(keyed)
    assert 0 == (await delete_text(store, "Hello.")).entries
    assert 0 == (await delete_text(store, "Hello.", secret="plugh")).entries
    assert 1 == (await delete_text(store, "Hello.", secret="Xyzzy")).entries


async def test_a_text_is_erased_pinned_or_not() -> None:
    """Who asks to be forgotten means recordings, too."""
    store = await filled(said("a"), replace(said("a"), pinned=True), replace(said(), pinned=True))
    assert 2 == (await delete_text(store, "a", dry_run=True)).entries
    done = await delete_text(store, "a")
    assert (2, 0) == (done.entries, done.spared)
    assert ["Hello."] == await texts(store)


class Swept(MemoryCacheBackend):
    """Remembers for whom it was swept."""

    def __init__(self) -> None:
        super().__init__()
        self.swept: list[str | None] = []

    async def sweep(self, namespace: str | None = None) -> int:
        self.swept.append(namespace)
        return await super().sweep(namespace)


async def test_what_has_expired_goes_too() -> None:
    """It is not listed, and would stay where it is; a dry run leaves it."""
    store = Swept()
    await delete_text(store, "Hello.", dry_run=True)
    assert [] == store.swept
    await delete_text(store, "Hello.")
    await purge(store, Selection(namespace="n"))
    assert [None, "n"] == store.swept
    tiered = TieredCacheBackend([MemoryCacheBackend(), store])
    await purge(tiered, Selection(namespace="m"))
    assert [None, "n", "m"] == store.swept


# Moving house


async def test_a_store_is_copied() -> None:
    """Every utterance is copied, under its key, to the bit, and the source stays as it was."""
    source = await filled(*(said(str(i)) for i in range(50)), namespace="n")
    target = MemoryCacheBackend()
    seen: list[Copied] = []
    assert Copied(copied=50) == await copy_store(source, target, progress=seen.append)
    assert [Copied(copied=i) for i in range(1, 51)] == seen
    for i in range(50):
        assert said(str(i)) == await target.peek(make_key(str(i), "n"))
    assert {0} == {entry.uses async for entry in source.entries()}
    assert 50 == (await source.get_stats())["entries"]


async def test_a_copy_goes_on_where_it_was_broken_off() -> None:
    """What is there is skipped and left as it is, unless it is to be replaced."""
    source = await filled(said("1"), said("2"), said("3"))
    target = await filled(said("mine"))
    assert Copied(copied=2, skipped=1) == await copy_store(source, target)
    assert ["2", "3", "mine"] == await texts(target)
    assert Copied(copied=3) == await copy_store(source, target, overwrite=True)
    assert ["1", "2", "3"] == await texts(target)


async def test_a_copy_of_a_selection() -> None:
    """Only what fits is copied."""
    source = await filled(said("1"), said("2", voice="ben"))
    target = MemoryCacheBackend()
    assert Copied(copied=1) == await copy_store(source, target, selection=Selection(voice="ben"))
    assert ["2"] == await texts(target)


async def test_a_copy_lives_no_longer_than_the_original() -> None:
    """What is left of an utterance's time goes with it."""
    now = 0.0
    source, target = (MemoryCacheBackend(clock=lambda: now) for _ in range(2))
    await source.set(make_key("x"), said("short"), ttl=100)
    await source.set(make_key("y"), said("long"))
    now = 60.0
    assert Copied(copied=2) == await copy_store(source, target)
    now = 99.0
    assert await target.exists(make_key("x"))
    now = 101.0
    assert ["long"] == await texts(target)


class Moody(MemoryCacheBackend):
    """Fails, or refuses, or forgets, by the name of what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.well = False

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        if utterance.text == "fails" and not self.well:
            raise BackendError("down")
        if utterance.text == "breaks" and not self.well:
            raise OSError
        return utterance.text != "refused" and await super().set(key, utterance, ttl=ttl)

    async def peek(self, key: CacheKey) -> Utterance | None:
        found = await super().peek(key)
        return None if found is None or found.text == "gone" else found


async def test_what_goes_wrong_is_counted_and_the_rest_is_copied() -> None:
    """A failure stops nothing, and another copy makes up for it."""
    source, target = Moody(), Moody()
    source.well = True
    for name in ("fails", "breaks", "gone", "fine"):
        await source.set(make_key(name), said(name))
    await MemoryCacheBackend.set(source, make_key("refused"), said("refused"))
    done = await copy_store(source, target, concurrency=2)
    assert ("OSError", "down") == tuple(sorted(done.reasons))
    assert Copied(copied=1, failed=2, gone=1, refused=1) == replace(done, reasons=())
    target.well = True
    done = await copy_store(source, target)
    assert Copied(copied=2, skipped=1, gone=1, refused=1) == done


async def test_a_target_that_is_too_small_is_told() -> None:
    """What it gave up meanwhile is no success."""
    source = await filled(*(said(str(i)) for i in range(50)))
    target = MemoryCacheBackend(max_size=7)
    assert Copied(copied=50, evicted=43) == await copy_store(source, target)


async def test_a_copy_makes_sense() -> None:
    """Not onto itself, and not with nobody at work."""
    store = MemoryCacheBackend()
    with pytest.raises(ValueError, match="the same store"):
        await copy_store(store, store)
    with pytest.raises(ValueError, match="concurrency"):
        await copy_store(store, MemoryCacheBackend(), concurrency=0)
    with pytest.raises(BackendError, match="does not list"):
        await copy_store(Unlisted(), store)  # type: ignore[abstract]
