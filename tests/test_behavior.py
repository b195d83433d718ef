#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The options of the mixin, and Pipecat's own, in a running bot."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    ManuallySwitchServiceFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyManual
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TextAggregationMode

from pipecat_tts_cache import CacheKey, MemoryCacheBackend, Utterance
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Fault, Provider
from pipecat_tts_cache.testing.view import differences
from tests.cached_scripted import CACHED_SCRIPTED
from tests.scripted import SCRIPTED
from tests.stored import check_store, entries

SENTENCES = ["One is here. ", "Two is over there. ", "Three is everywhere."]
ALL = [kind for kind in CACHED_SCRIPTED if kind not in ("endless", "unlisted words")]


@pytest.fixture(params=ALL)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of service."""
    return request.param


async def say(tts: Any, *texts: str) -> Any:
    async with running(tts, sample_rate=8000) as bot:
        for text in texts:
            await bot.llm_turn([text])
            await bot.until_quiet()
        return bot.said()


async def test_scope_speak_leaves_turns_alone(kind: str) -> None:
    """With `cache_scope="speak"` an LLM turn is untouched, and speak frames are cached."""
    backend = MemoryCacheBackend()

    async def play(tts: Any) -> Any:
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(SENTENCES)
            await bot.until_quiet()
            await bot.speak("Hello you.")
            return await bot.until_quiet()

    expected = await play(SCRIPTED[kind](Provider()))
    for hits in (0, 1):
        tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, cache_scope="speak")
        actual = await play(tts)
        contexts = {request.context_id for request in tts.provider.requests[:3]}
        stats = await tts.get_cache_stats()
        assert 1 == len(contexts)
        assert (hits, 1 - hits) == (stats["hits"], stats["misses"])
        assert {"scope": 3} == stats["bypassed"]
        assert expected.heard.words == actual.heard.words
        assert [] == actual.heard.flaws
        assert expected.order == actual.order
    assert ["Hello you."] == check_store(backend)


async def test_switched_off_nothing_is_read_or_written(kind: str) -> None:
    """The switch takes effect at once, in the middle of a call, both ways."""
    backend = MemoryCacheBackend()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, cache_enabled=False)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(["One is here."])
        await bot.until_quiet()
        assert [] == entries(backend)
        tts.cache_enabled = True
        await bot.llm_turn(["One is here."])
        await bot.until_quiet()
        assert ["One is here."] == check_store(backend)
        tts.cache_enabled = False
        await bot.llm_turn(["One is here. ", "Two is there."])
        await bot.until_quiet()
    assert ["One is here."] == check_store(backend)
    assert 4 == len(tts.provider.requests)
    stats = await tts.get_cache_stats()
    assert not stats["enabled"]
    assert 0 == stats["hits"]


async def test_should_cache_refuses(kind: str) -> None:
    """A text that the predicate refuses is neither looked up nor stored, sync or async."""

    async def refuse_async(text: str) -> bool:
        await asyncio.sleep(0)
        return "Two" not in text

    for predicate in (lambda text: "Two" not in text, refuse_async):
        backend = MemoryCacheBackend()
        for _ in range(2):
            tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, should_cache=predicate)
            async with running(tts, sample_rate=8000) as bot:
                await bot.llm_turn(SENTENCES)
                said = await bot.until_quiet()
            assert "".join(SENTENCES) == said.heard.text
        assert ["Two is over there."] == tts.provider.texts
        assert {"One is here.", "Three is everywhere."} == set(check_store(backend))
        stats = await tts.get_cache_stats()
        assert {"should_cache": 1} == stats["bypassed"]
        assert (2, 0) == (stats["hits"], stats["misses"])


async def test_a_change_of_voice_is_heard_at_once(kind: str) -> None:
    """After a settings update in mid-turn, sentences come in the new voice, live or replayed."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        provider = Provider()
        tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(["Yes indeed. "], end=False)
            await bot.tokens("No ")
            await bot.update_settings(voice="ben")
            await bot.tokens("way. ")
            await bot.tokens("Yes indeed. ")
            await bot.end_turn()
            said = await bot.until_quiet()
        assert "Yes indeed. No way. Yes indeed." == said.heard.text
        for request in provider.requests:
            expected = "anna" if request.take == 1 and request.text.startswith("Yes") else "ben"
            assert expected == request.settings["voice"]
    assert {"ben"} <= {utterance.voice for utterance in entries(backend)}
    check_store(backend)


async def test_tokens_are_passed_through(caplog: pytest.LogCaptureFixture) -> None:
    """With TOKEN aggregation the service is as without the mixin, which is said once."""
    for name in ("overlapping", "in order"):
        options = {"text_aggregation_mode": TextAggregationMode.TOKEN}
        async with running(SCRIPTED[name](Provider(), **options), sample_rate=8000) as bot:
            await bot.llm_turn(SENTENCES)
            expected = await bot.until_quiet()
        tts = CACHED_SCRIPTED[name](Provider(), cache_backend=MemoryCacheBackend(), **options)
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(SENTENCES)
            actual = await bot.until_quiet()
        assert [] == differences(expected, actual)
        assert expected.usage == actual.usage
        stats = await tts.get_cache_stats()
        assert ["tokens"] == list(stats["bypassed"])
    said = [record for record in caplog.messages if "tokens, not sentences" in record]
    assert 2 == len(said)  # once for each service


async def test_a_service_without_ends_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A service that never says when a sentence is complete works as before; stats say why."""
    backend = MemoryCacheBackend()
    async with running(SCRIPTED["endless"](Provider()), sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        expected = await bot.until_quiet()
    tts = CACHED_SCRIPTED["endless"](Provider(), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        actual = await bot.until_quiet()
    assert [] == differences(expected, actual)
    assert [] == entries(backend)
    assert {"end_unknown": 3} == (await tts.get_cache_stats())["bypassed"]
    assert 1 == sum("does not say when a sentence is complete" in text for text in caplog.messages)


async def test_skipped_text_keeps_its_place(kind: str) -> None:
    """Text of a type that is not spoken comes out where it would without a cache."""

    async def play(tts: Any) -> Any:
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(["One is here. "], end=False)
            await bot.send(AggregatedTextFrame("print(1)", "code"))
            await bot.tokens("Two is there. ")
            await bot.end_turn()
            said = await bot.until_quiet()
            return said, bot.messages

    expected, messages = await play(SCRIPTED[kind](Provider(), skip_text_types=["code"]))
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend, skip_text_types=["code"])
        actual, actual_messages = await play(tts)
        assert expected.heard.words == actual.heard.words
        assert messages == actual_messages


async def test_transforms_are_part_of_the_text(kind: str) -> None:
    """The key is of the text as transformed for the provider; the transcript is the bot's."""

    async def spell(text: str, text_type: str) -> str:
        return text.replace("two", "2")

    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED[kind](
            Provider(), cache_backend=backend, text_transforms=[("*", spell)]
        )
        async with running(tts, sample_rate=8000) as bot:
            await bot.llm_turn(["Here are two."])
            said = await bot.until_quiet()
            assert "Here are 2." == said.heard.text
            assert ["Here are two."] == bot.messages
    assert [] == tts.provider.texts
    assert ["Here are 2."] == check_store(backend)


async def test_two_services_behind_a_switcher_share_a_store_but_no_speech() -> None:
    """Two cached services on one store replay only what they themselves, or their like, said."""
    backend = MemoryCacheBackend()
    one = CACHED_SCRIPTED["inline"](Provider(), cache_backend=backend)
    other = CACHED_SCRIPTED["overlapping"](Provider(), cache_backend=backend)
    switcher = ServiceSwitcher([one, other], ServiceSwitcherStrategyManual)
    async with running(switcher, sample_rate=8000) as bot:
        for service in (one, other, one, other):
            await bot.send(ManuallySwitchServiceFrame(service=service))
            await bot.llm_turn(["One is here."])
            await bot.until_quiet()
        said = bot.said()
    assert "One is here. One is here. One is here. One is here." == said.heard.text
    assert (1, 1) == (len(one.provider.requests), len(other.provider.requests))
    assert 2 == len(entries(backend))


class SlowBackend(MemoryCacheBackend):
    """Never answers, neither look-ups nor writes."""

    async def get(self, key: CacheKey) -> Utterance | None:
        await asyncio.Event().wait()
        return None

    async def set(self, key: CacheKey, utterance: Utterance, *, ttl: float | None = None) -> bool:
        await asyncio.Event().wait()
        return True


async def test_a_store_that_hangs_delays_nothing(kind: str) -> None:
    """Look-ups are given up in time, writes are waited for by nobody, and all is heard."""
    async with running(SCRIPTED[kind](Provider()), sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        expected = await bot.until_quiet()
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=SlowBackend(), cache_lookup_timeout=0.02)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        actual = await bot.until_quiet()
        stats = await tts.get_cache_stats()
    assert expected.heard.words == actual.heard.words
    assert expected.order == actual.order
    assert 3 == stats["store_timeouts"]


@pytest.mark.parametrize("how", ["end", "cancel"])
async def test_nothing_is_left_behind(kind: str, how: str) -> None:
    """A pipeline that ends or is cancelled in mid-sentence leaves no task and no fragment."""
    backend = MemoryCacheBackend()
    provider = Provider(speed=4)
    tts = CACHED_SCRIPTED[kind](provider, cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(SENTENCES)
        await bot.until_audio(1)
        await (bot.end() if how == "end" else bot.cancel())
    check_store(backend)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert [] == [task.get_name() for task in others if "tts" in task.get_name().lower()]
    assert not tts._tts_cache.live.sentences
    assert not tts._tts_cache.turns


async def test_hits_and_misses_are_told(kind: str) -> None:
    """Event handlers learn of every hit and miss, with its text."""
    backend = MemoryCacheBackend()
    told: list[tuple[str, str]] = []
    tts = CACHED_SCRIPTED[kind](Provider(), cache_backend=backend)

    @tts.event_handler("on_tts_cache_hit")
    async def on_hit(service: Any, context_id: str, text: str) -> None:
        told.append(("hit", text.strip()))

    @tts.event_handler("on_tts_cache_miss")
    async def on_miss(service: Any, context_id: str, text: str) -> None:
        told.append(("miss", text.strip()))

    await say(tts, "Yes.", "Yes.")
    assert [("miss", "Yes."), ("hit", "Yes.")] == told


async def test_instances_share_what_one_has_said(kind: str) -> None:
    """Ten bots on one store ask the provider once, after the first has spoken."""
    backend = MemoryCacheBackend()
    provider = Provider()
    await say(CACHED_SCRIPTED[kind](provider, cache_backend=backend), "Hello you.")
    views = await asyncio.gather(
        *(
            say(CACHED_SCRIPTED[kind](provider, cache_backend=backend), "Hello you.")
            for _ in range(10)
        )
    )
    assert ["Hello you."] * 10 == [view.heard.text for view in views]
    assert 1 == len(provider.requests)


async def test_namespaces_and_clearing() -> None:
    """What one namespace said is not heard in another, and clearing tells how much went."""
    backend = MemoryCacheBackend()
    provider = Provider()
    bots = {
        name: CACHED_SCRIPTED["inline"](provider, cache_backend=backend, cache_namespace=name)
        for name in ("a", "a*", "")
    }
    for tts in bots.values():
        await say(tts, "Hello you.", "Good bye.")
    assert 6 == len(provider.requests)
    assert 2 == await bots["a"].clear_cache(namespace="a*")
    assert 0 == await bots["a"].clear_cache(namespace="a*")
    assert 4 == await bots["a"].clear_cache()


@pytest.mark.parametrize("secret", [None, "Xyzzy"])
@pytest.mark.parametrize("store_text", [True, False])
async def test_a_sentence_is_erased(store_text: bool, secret: str | None) -> None:
    """Bot code erases a sentence in every voice and namespace, and nothing else."""
    backend = MemoryCacheBackend()
    provider = Provider()
    bots = [
        CACHED_SCRIPTED["inline"](
            provider,
            settings=TTSSettings(model="scripted", voice=voice, language=None),
            cache_backend=backend,
            cache_namespace=namespace,
            cache_store_text=store_text,
            cache_secret=secret,
        )
        for voice in ("anna", "ben")
        for namespace in ("a", "b")
    ]
    for tts in bots:
        await say(tts, "Your name is Ada.", "Good bye.")
    assert 8 == len(entries(backend))
    assert 4 == await bots[0].delete_text(" Your name  is Ada.")
    assert 0 == await bots[1].delete_text("Your name is Ada.")
    assert 4 == len(entries(backend))
    await say(bots[0], "Your name is Ada.", "Good bye.")
    assert 9 == len(provider.requests)


async def test_a_settings_frame_for_another_service_changes_nothing() -> None:
    """A settings frame that is not meant for this service does not spoil its recordings."""
    backend = MemoryCacheBackend()
    other = SCRIPTED["inline"](Provider())
    tts = CACHED_SCRIPTED["overlapping"](Provider(turns=[4]), cache_backend=backend)
    async with running(tts, sample_rate=8000) as bot:
        await bot.llm_turn(["One is here."])
        await bot.send(TTSUpdateSettingsFrame(delta=TTSSettings(voice="ben"), service=other))
        await bot.until_quiet()
    assert ["One is here."] == check_store(backend)


async def test_an_error_after_the_end_is_not_too_late() -> None:
    """A service that reports the failure right after the end has nothing stored."""
    backend = MemoryCacheBackend()
    provider = Provider()
    provider.fail(Fault.ERROR_AFTER_END)
    await say(CACHED_SCRIPTED["inline"](provider, cache_backend=backend), "One is here.")
    assert [] == entries(backend)


async def test_an_end_frame_follows_pending_speech() -> None:
    """A sentence asked for just before the end is heard whole, and stored."""
    backend = MemoryCacheBackend()
    for _ in range(2):
        tts = CACHED_SCRIPTED["overlapping"](Provider(turns=[3]), cache_backend=backend)
        async with running(tts, sample_rate=8000) as bot:
            await bot.speak("Good bye.")
            await bot.send(EndFrame())
            await bot.until(lambda: "Good bye." == bot.said().heard.text)
    assert ["Good bye."] == check_store(backend)
