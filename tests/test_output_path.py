#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A whole call is the same with a cache: what is played, who is muted, what is remembered."""

from array import array
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from pipecat.turns.user_mute import (
    AlwaysUserMuteStrategy,
    BaseUserMuteStrategy,
    FirstSpeechUserMuteStrategy,
    MuteUntilFirstBotCompleteUserMuteStrategy,
)

from pipecat_tts_cache import MemoryCacheBackend
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED
from tests.output_path import IDLE_SECONDS, Call, Course, calling, differences
from tests.pipecat_versions import keeps_time
from tests.scripted import SCRIPTED

pytestmark = keeps_time

FIRST = ["One is here.", "Two is over there.", "Three is everywhere."]
SECOND = ["Four is gone.", "Two is over there."]
ANSWERS = [" ".join(FIRST), " ".join(SECOND)]
PACE = {"first_audio": 0.15, "speed": 4}
PAGES = (
    "CartesiaTTSService",
    "DeepgramTTSService",
    "ElevenLabsTTSService",
    "ElevenLabsHttpTTSService",
    "OpenAITTSService",
)
MIXES = {
    "cold": [],
    "warm": [*FIRST, *SECOND],
    "hit, miss, hit": [FIRST[0], FIRST[2], SECOND[1]],
    "miss, hit, miss": [FIRST[1]],
}
"""The sentences that are in the store when the call begins."""

MISTIMED = ("shared clock", "ElevenLabsTTSService")
"""Without a cache, the last word of a turn gets the time of the one before it."""

EARLY = ("in order", "DeepgramTTSService")
"""Without a cache, sentences are remembered when they are sent, whether they were heard or not."""

DITHER = 2
"""How far samples are apart that were resampled twice."""


@dataclass(frozen=True)
class ScriptedKind:
    """A scripted service, to be used as a page's `Kind` is."""

    title: str

    def server(self, **pacing: Any) -> AbstractAsyncContextManager[Provider]:
        return nullcontext(Provider(**pacing))

    def without_cache(self, provider: Provider) -> Any:
        return SCRIPTED[self.title](provider)

    def with_cache(self, provider: Provider, **options: Any) -> Any:
        return CACHED_SCRIPTED[self.title](provider, **options)


EVERY_KIND: dict[str, Any] = {
    title: ScriptedKind(title) for title in SCRIPTED if title != "endless"
} | {title: KINDS[title] for title in PAGES}
Scenario = Callable[[Call], Awaitable[None]]


@pytest.fixture(params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Any:
    """Each kind of service, and each provider."""
    return EVERY_KIND[request.param]


@pytest.fixture(params=MIXES)
def known(request: pytest.FixtureRequest) -> list[str]:
    """What is in the store."""
    return MIXES[request.param]


async def hold(service: Any, scenario: Scenario, **options: Any) -> Course:
    async with calling(service, ANSWERS, **options) as call:
        await scenario(call)
        return call.course()


async def both(
    kind: Any, known: list[str], scenario: Scenario, **options: Any
) -> tuple[Course, Course]:
    """Hold a call without a cache and one with what is known in the store."""
    async with kind.server(**PACE) as server:
        expected = await hold(kind.without_cache(server), scenario, **options)
    backend = MemoryCacheBackend()
    async with kind.server(**PACE) as server:
        async with running(kind.with_cache(server, cache_backend=backend)) as bot:
            for text in known:
                await bot.llm_turn([text])
                await bot.until_quiet(patience=60)
        asked = len(server.requests)
        tts = kind.with_cache(server, cache_backend=backend)
        actual = await hold(tts, scenario, **options)
        stats = await tts.get_cache_stats()
    assert len(server.requests) - asked <= stats["misses"]
    assert not known or stats["hits"]
    return expected, actual


def unlike(kind: Any, expected: Course, actual: Course) -> list[str]:
    """Say what differs, but for what Pipecat's service itself gets wrong."""
    if kind.title in MISTIMED:
        for course in (expected, actual):
            course.events = [
                (what, None if what.startswith("committed") else at) for what, at in course.events
            ]
    return differences(expected, actual)


async def two_turns(call: Call) -> None:
    """Two answers, and a user who says nothing after the second."""
    await call.open()
    await call.until("bot stopped", 1)
    await call.say("And now?")
    await call.until("idle", 1)


async def test_a_complete_call_is_the_same(kind: Any, known: list[str]) -> None:
    """Audio, starts and stops, committed messages and the idle timer are as without a cache."""
    expected, actual = await both(kind, known, two_turns)
    assert [] == unlike(kind, expected, actual)
    assert ANSWERS == [turn.heard.text for turn in actual.turns]
    assert [[], []] == [turn.heard.flaws for turn in actual.turns]
    assert 2 == actual.order.count("bot started") == actual.order.count("bot stopped")
    assert [
        ("assistant", ANSWERS[0]),
        ("user", "And now?"),
        ("assistant", ANSWERS[1]),
    ] == actual.messages
    times = [at or 0.0 for what, at in actual.events if what in ("bot stopped", "idle")]
    assert IDLE_SECONDS == pytest.approx(times[-1] - times[-2], abs=0.01)


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ("cold", 5),
        ("warm", 2),
        ("warm", 8),
        ("hit, miss, hit", 5),
        ("hit, miss, hit", 8),
        ("miss, hit, miss", 2),
    ],
)
async def test_an_interrupted_call_is_the_same(kind: Any, mix: str, words: int) -> None:
    """Interrupted after the same word, the same is played, and the same is remembered."""

    async def interrupted(call: Call) -> None:
        await call.open()
        await call.until_heard(words)
        await call.say("Wait a moment.")
        await call.until("idle", 1)

    expected, actual = await both(kind, MIXES[mix], interrupted)
    if kind.title in EARLY:
        forget(expected, begun(words))
    assert [] == unlike(kind, expected, actual)
    assert ANSWERS[0].split()[:words] == actual.turns[0].heard.words
    assert ANSWERS[1] == actual.turns[1].heard.text
    assert [("user", "Wait a moment."), ("assistant", ANSWERS[1])] == actual.messages[-2:]


def begun(words: int) -> str:
    """Return the sentences of the first answer that have begun when so many words are heard."""
    sentences: list[str] = []
    for sentence in FIRST:
        if len(" ".join(sentences).split()) < words:
            sentences.append(sentence)
    return " ".join(sentences)


def forget(course: Course, but: str) -> None:
    """Take out of what was remembered of the first answer what was not heard."""
    course.events = [(what.replace(ANSWERS[0], but), at) for what, at in course.events]
    course.messages = [(role, text.replace(ANSWERS[0], but)) for role, text in course.messages]


@pytest.mark.parametrize(
    "strategy",
    [
        AlwaysUserMuteStrategy,
        FirstSpeechUserMuteStrategy,
        MuteUntilFirstBotCompleteUserMuteStrategy,
    ],
)
@pytest.mark.parametrize("mix", ["hit, miss, hit"])
async def test_the_user_is_muted_at_the_same_points(
    kind: Any, mix: str, strategy: type[BaseUserMuteStrategy]
) -> None:
    """Who speaks between two sentences of the bot is not listened to; who waits for it is."""

    async def talkative(call: Call) -> None:
        await call.open()
        await call.until_heard(3)
        await call.say("Not now.")
        await call.until("bot stopped", 1)
        await call.say("And now?")
        await call.until("idle", 1)

    expected, actual = await both(kind, MIXES[mix], talkative, mute=[strategy])
    assert [] == unlike(kind, expected, actual)
    muted = 2 if strategy is AlwaysUserMuteStrategy else 1
    assert muted == actual.order.count("muted") == actual.order.count("unmuted")
    assert ["And now?"] == [text for role, text in actual.messages if role == "user"]
    assert ANSWERS == [turn.heard.text for turn in actual.turns]


@pytest.mark.parametrize("mix", ["cold", "warm"])
async def test_what_may_not_be_interrupted_is_played_whole(kind: Any, mix: str) -> None:
    """A greeting that is not interruptible is played to its end, and remembered."""
    backend = MemoryCacheBackend()
    greeting = "One is here."

    async def greeted(call: Call) -> None:
        await call.bot.speak(greeting, interruptible=False, append_to_context=True)
        await call.until_heard(1)
        await call.say("Wait a moment.")
        await call.until("idle", 1)

    async with kind.server(**PACE) as server:
        expected = await hold(kind.without_cache(server), greeted)
    async with kind.server(**PACE) as server:
        for _ in range(1 if mix == "cold" else 2):
            tts = kind.with_cache(server, cache_backend=backend)
            actual = await hold(tts, greeted)
    assert [] == unlike(kind, expected, actual)
    assert greeting == actual.turns[0].heard.text


@pytest.mark.parametrize("mix", ["cold", "warm"])
async def test_what_is_resampled_is_the_same_to_the_sample(kind: Any, mix: str) -> None:
    """A loudspeaker with another sample rate plays the same, with nothing lost in between."""
    async with kind.server(**PACE) as server:
        expected = await hold(kind.without_cache(server), two_turns, speaker_rate=16_000)
    backend = MemoryCacheBackend()
    for _ in range(1 if mix == "cold" else 2):
        async with kind.server(**PACE) as server:
            tts = kind.with_cache(server, cache_backend=backend)
            actual = await hold(tts, two_turns, speaker_rate=16_000)
    ones, others = [[turn.audio for turn in course.turns] for course in (expected, actual)]
    assert [len(audio) for audio in ones] == [len(audio) for audio in others]
    first, same = (array("h", turns[0]) for turns in (ones, others))  # in which no take differs
    assert DITHER >= max(abs(one - other) for one, other in zip(first, same, strict=True))
