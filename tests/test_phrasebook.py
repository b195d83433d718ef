#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a service has said is judged once, kept as it was said, and let go when it is not kept."""

import asyncio
import gc
import time
from typing import Any
from weakref import ref

import pytest
from pipecat.services.openai.tts import OpenAITTSService

from pipecat_tts_cache import Bypass, CacheKey, MemoryCacheBackend, NotStored, Utterance, Word
from pipecat_tts_cache.key import digest_text, written
from pipecat_tts_cache.options import CacheOptions
from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.request import RequestReader
from pipecat_tts_cache.services import UNLISTED, ServiceProfile
from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.speaking.turn import Item, Mark, Turn
from tests.stored import entries

SETTINGS = {"voice": "anna", "model": 3, "language": "en"}


class Slow(MemoryCacheBackend):
    """Takes its time to write."""

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        await asyncio.sleep(60)
        return await super().set(key, utterance, ttl=ttl)


async def nowhere(turn: Turn, item: Item | Mark) -> None:
    """Take what a turn passes on."""


def a_book(
    backend: MemoryCacheBackend | None, *, profile: ServiceProfile = UNLISTED, **options: Any
) -> Phrasebook:
    reader = RequestReader(service_class=OpenAITTSService, profile=profile, args=(), kwargs={})
    options = {"namespace": "tenant", "key_extra": written({}, "extra"), **options}
    return Phrasebook(CacheOptions(backend=backend, **options), reader)


async def a_sentence(book: Phrasebook, text: str = "Hello.") -> LiveSentence:
    key = await book.key(text, settings=SETTINGS, sample_rate=8000)
    turn = Turn("outer", nowhere)
    sentence = LiveSentence(turn=turn, text=text, key=key, settings=SETTINGS)
    sentence.recording.hear(bytes(16000), sample_rate=8000, num_channels=1)
    sentence.recording.tell(Word("Hello.", 0.1))
    return sentence


async def test_what_is_kept_is_what_was_said() -> None:
    """An utterance holds the audio, the words, and what describes it."""
    backend = MemoryCacheBackend()
    book = a_book(backend)
    before = time.time()
    sentence = await a_sentence(book)
    book.keep(sentence)
    await book.close()
    (utterance,) = entries(backend)
    assert sentence.key
    expected = Utterance(
        audio=bytes(16000),
        sample_rate=8000,
        words=(Word("Hello.", 0.1),),
        seal=sentence.key.seal,
        created_at=utterance.created_at,
        text="Hello.",
        text_digest=digest_text("Hello."),
        service="OpenAITTSService",
        voice="anna",
        model="3",
    )
    assert expected == utterance
    assert before <= utterance.created_at <= time.time()
    assert utterance == Utterance.from_bytes(utterance.to_bytes())
    assert utterance == await book.find(sentence.key, "Hello.")
    assert (1, 6, 1.0) == (
        book.stats.hits,
        book.stats.characters_from_cache,
        book.stats.seconds_from_cache,
    )
    assert 1.0 == book.stats.seconds_synthesized


async def test_what_is_kept_is_forgotten_in_time() -> None:
    """After its time to live a sentence is a miss again, and counted as one."""
    now = [0.0]
    backend = MemoryCacheBackend(clock=lambda: now[0])
    book = a_book(backend, ttl=60.0)
    sentence = await a_sentence(book)
    before = time.time()
    book.keep(sentence)
    await book.close()
    (utterance,) = entries(backend)
    assert utterance.expires_at is not None
    assert before + 60 <= utterance.expires_at <= time.time() + 60
    assert sentence.key
    now[0] = 61.0
    assert None is await book.find(sentence.key, "Hello.")
    book.missed(sentence)
    assert (0, 1, 6) == (book.stats.hits, book.stats.misses, book.stats.characters_synthesized)


async def test_the_text_need_not_be_kept() -> None:
    """With `cache_store_text` off the text is nowhere in the record."""
    backend = MemoryCacheBackend()
    book = a_book(backend, store_text=False)
    book.keep(await a_sentence(book, "My name is Ada."))
    await book.close()
    assert None is entries(backend)[0].text
    assert b"Ada" not in entries(backend)[0].to_bytes()
    assert digest_text("My name is Ada.") == entries(backend)[0].text_digest


async def test_with_a_secret_the_text_cannot_be_guessed() -> None:
    """The digest of the text is keyed, as the digest in the key is."""
    backend = MemoryCacheBackend()
    book = a_book(backend, store_text=False, secret=b"Xyzzy")
    book.keep(await a_sentence(book, "My name is Ada."))
    await book.close()
    (utterance,) = entries(backend)
    assert digest_text("My name is Ada.", secret=b"Xyzzy") == utterance.text_digest
    assert digest_text("My name is Ada.") != utterance.text_digest


async def test_a_mark_of_the_provider_is_noted() -> None:
    """Whether the provider marks its audio is in its profile, and in the record."""
    for watermarked in (False, True):
        backend = MemoryCacheBackend()
        book = a_book(backend, profile=ServiceProfile(inline=True, watermarked=watermarked))
        book.keep(await a_sentence(book))
        await book.close()
        assert watermarked is entries(backend)[0].watermarked


async def test_a_namespace_keeps_to_itself() -> None:
    """The key names the namespace, and the digest does not depend on it."""
    one = await a_sentence(a_book(MemoryCacheBackend()))
    assert one.key
    other = await a_book(MemoryCacheBackend(), secret=b"sesame").key(
        "Hello.", settings=SETTINGS, sample_rate=8000
    )
    assert other
    assert ("tenant", "tenant") == (one.key.namespace, other.namespace)
    assert one.key.digest != other.digest


async def test_what_goes_wrong_just_after_the_end_is_not_too_late() -> None:
    """A sentence that has ended but is not judged yet can be ruled out."""
    backend = MemoryCacheBackend()
    book = a_book(backend)
    book.keep(await a_sentence(book))
    book.doubt(NotStored.ERROR)
    await book.close()
    book.keep(await a_sentence(book, "Hello again."))
    await book.close()
    book.doubt(NotStored.ERROR)
    assert {NotStored.ERROR: 1} == book.stats.not_stored
    assert ["Hello again."] == [utterance.text for utterance in entries(backend)]


async def test_switched_off_at_the_last_moment_nothing_is_written() -> None:
    """The switch counts when a sentence is judged, not only when it was asked for."""
    backend = MemoryCacheBackend()
    book = a_book(backend)
    book.keep(await a_sentence(book))
    book.options.enabled = False
    await book.close()
    assert {NotStored.DISABLED: 1} == book.stats.not_stored
    assert [] == entries(backend)
    assert None is (await a_sentence(book)).key
    assert {Bypass.DISABLED: 1} == book.stats.bypassed


async def test_a_sentence_without_a_key_is_not_kept() -> None:
    """What was never to be cached is neither stored nor counted as not stored."""
    backend = MemoryCacheBackend()
    book = a_book(backend, should_cache=lambda text: False)
    sentence = await a_sentence(book)
    book.keep(sentence)
    book.give_up(sentence, NotStored.JOINED)
    await book.close()
    assert ([], {}) == (entries(backend), book.stats.not_stored)
    assert 0.0 == book.stats.seconds_synthesized


@pytest.mark.parametrize("end", ["kept", "refused", "cancelled", "too many"])
async def test_what_is_done_with_is_let_go(end: str) -> None:
    """However a sentence ends, its recording does not stay in memory."""
    book = a_book(MemoryCacheBackend() if end in ("kept", "refused") else Slow())
    if end == "too many":
        for number in range(64):
            book.keep(await a_sentence(book, f"Number {number}."))
    sentence = await a_sentence(book)
    gone = ref(sentence)
    if end == "refused":
        sentence.recording.fail(NotStored.ERROR)
    book.keep(sentence)
    if end == "cancelled":
        book.cancel(sentence.turn)
    del sentence
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect(1)
    assert None is gone()
    expected = {
        "kept": {},
        "refused": {NotStored.ERROR: 1},
        "cancelled": {NotStored.INTERRUPTED: 1},
        "too many": {NotStored.PENDING_WRITES: 1},
    }
    assert expected[end] == book.stats.not_stored
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


# The predicate


@pytest.mark.parametrize(
    ("verdict", "cached"),
    [(True, True), (False, False), (None, False), (1, True), ("", False), ([0], True)],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_predicate_decides(verdict: object, cached: bool, is_async: bool) -> None:
    """What `should_cache` refuses, at once or after a while, is neither looked up nor stored."""

    async def later(text: str) -> Any:
        await asyncio.sleep(0)
        return verdict

    def at_once(text: str) -> Any:
        return verdict

    book = a_book(MemoryCacheBackend(), should_cache=later if is_async else at_once)
    assert cached is ((await a_sentence(book)).key is not None)
    assert ({} if cached else {Bypass.SHOULD_CACHE: 1}) == book.stats.bypassed


async def test_a_predicate_sees_the_text_as_it_is_spoken() -> None:
    """`should_cache` is called with the prepared text, white space and all."""
    seen: list[str] = []
    book = a_book(MemoryCacheBackend(), should_cache=seen.append)
    await a_sentence(book, " Hello  you. ")
    assert [" Hello  you. "] == seen


async def test_a_predicate_that_fails_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """A predicate that raises, or takes too long, costs the cache, and is complained about once."""

    def fail(text: str) -> bool:
        raise ValueError("hunter2")

    async def hang(text: str) -> bool:
        await asyncio.sleep(60)
        return True

    for predicate in (fail, hang):
        caplog.clear()
        book = a_book(MemoryCacheBackend(), should_cache=predicate, lookup_timeout=0.001)
        for _ in range(3):
            assert None is (await a_sentence(book, "My name is Ada.")).key
        assert {Bypass.SHOULD_CACHE: 3} == book.stats.bypassed
        (message,) = [record.message for record in caplog.records if "TTS cache" in record.message]
        assert "should_cache failed" in message
        assert not [word for word in ("hunter2", "Ada") if word in message]


# Without a store


async def test_without_a_store_there_is_nothing_to_do() -> None:
    """A book without a store finds nothing, keeps nothing, and has nothing to clear."""
    book = a_book(None)
    sentence = await a_sentence(book)
    assert None is sentence.key
    book.keep(sentence)
    book.cancel(sentence.turn)
    assert None is await book.find(CacheKey("", ""), "Hello.")
    assert 0 == await book.clear(None)
    assert None is (await book.describe())["backend"]
    await book.close()
