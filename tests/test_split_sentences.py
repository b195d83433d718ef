#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a model wrote is cut into the sentences that a service with a cache looks up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pipecat.utils.text.base_text_aggregator import Aggregation
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from pipecat_tts_cache import Line, MemoryCacheBackend, rank_phrases, split_sentences
from pipecat_tts_cache.pipecat_compat import INSTALLED
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached_scripted import CACHED_SCRIPTED

TURNS = [
    "Hello! How can I help you today?",
    "Dr. Smith is in at 10.30 a.m. on Monday. It costs $29.90, or less. OK?",
    "One moment ... I'll look.\n\nHere it is:\n- A table\n- A chair\n\nIs that all",
    "Ja!Nein.",
    " \n",
    "你好。再见。",
]


def texts(turns: list[Any], **options: Any) -> list[str]:
    return [line.text for line in split_sentences(turns, **options)]


@pytest.mark.parametrize("tokens", [1, 3, 1000])
async def test_sentences_are_those_that_are_asked_for(tokens: int) -> None:
    """Whatever pieces a turn is streamed in, a service is asked for the same sentences."""
    provider = Provider()
    async with simulated_time():
        tts = CACHED_SCRIPTED["inline"](provider, cache_backend=MemoryCacheBackend())
        async with running(tts, sample_rate=24_000) as bot:
            for turn in TURNS:
                await bot.llm_turn([turn[i : i + tokens] for i in range(0, len(turn), tokens)])
                await bot.until_quiet()
    assert [request.text.strip() for request in provider.requests] == texts(TURNS)


async def test_it_runs_on_an_event_loop_and_without() -> None:
    """Nothing is waited for."""
    expected = ["Hello!", "How can I help you today?"]
    assert expected == texts(TURNS[:1])
    assert expected == await asyncio.to_thread(texts, TURNS[:1])


def test_options_stay_with_the_sentences() -> None:
    """Each sentence of a line has its voice."""
    lines = split_sentences([Line("Yes. No.", {"voice": "anna"}), "Maybe."])
    expected = [Line("Yes.", {"voice": "anna"}), Line("No.", {"voice": "anna"}), Line("Maybe.")]
    assert expected == list(lines)


@pytest.mark.skipif(INSTALLED < (1, 13), reason="Pipecat cuts all languages as English")
def test_each_language_has_its_rules() -> None:
    """The language of a line counts more than the one of all."""
    line = "Herr bzw. Frau. Gut."
    english = texts([line])
    assert ["Herr bzw. Frau.", "Gut."] == texts([line], language="de-DE")
    assert english != texts([line], language="de")
    assert english == texts([Line(line, {"language": "en"})], language="de")


class ByLine(SimpleTextAggregator):
    """Cuts at line breaks only."""

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        for line in text.splitlines():
            yield Aggregation(line, "line")


def test_an_aggregator_of_the_bot_can_cut() -> None:
    """Some services have one of their own, that reads tags for instance."""
    assert ["One. Two.", "Three."] == texts(["One. Two.\nThree."], aggregator=ByLine())


def test_an_aggregator_that_waits_is_refused() -> None:
    """It would need an event loop."""

    class Slow(ByLine):
        async def flush(self) -> Any:
            await asyncio.sleep(0)

    with pytest.raises(TypeError, match="the aggregator waits"):
        texts(["Hello."], aggregator=Slow())


@pytest.mark.parametrize(
    ("turns", "options", "problem"),
    [
        ("Hello.", {}, "one by one"),
        ([5], {}, "a string or a Line, not int"),
        ([], {"language": 5}, "language must be a string, not int"),
        ([], {"aggregator": 5}, "aggregator must be one of Pipecat's, not int"),
    ],
)
def test_nonsense_is_refused(turns: Any, options: Any, problem: str) -> None:
    """In words."""
    with pytest.raises(TypeError, match=problem):
        list(split_sentences(turns, **options))


def test_sentences_are_counted_over_turns() -> None:
    """However a turn goes on."""
    turns = ["One moment. I will look.", "One moment.\nIs that all?", "Good. One  moment."]
    assert [("One moment.", 3)] == [
        (line.text, line.count) for line in rank_phrases(split_sentences(turns))
    ]
