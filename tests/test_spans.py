#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Pipecat's traces tell of what is replayed, for services of either kind."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pipecat.services.tts_service import TTSService
from pipecat.utils.tracing.service_decorators import traced_tts

from pipecat_tts_cache import MemoryCacheBackend, TTSCacheMixin
from pipecat_tts_cache.testing import driver
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.simulation import simulated_time
from tests.cached import KINDS
from tests.cached_scripted import CACHED_SCRIPTED

ONE, TWO = "One is here.", "Two is there."
BY_TURN = [kind for kind in CACHED_SCRIPTED if kind not in ("endless", "shared clock")]
"""Services for which Pipecat opens the context of a turn, and a span with it."""
BY_SENTENCE = "shared clock"
"""A service that opens contexts itself, when it is asked for a sentence."""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What was traced, with tracing switched on in the pipeline."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    make = driver.PipelineWorker

    def tracing(*args: Any, **kwargs: Any) -> Any:
        return make(*args, **{"enable_tracing": True, **kwargs, "enable_turn_tracking": True})

    monkeypatch.setattr(driver, "PipelineWorker", tracing)
    yield exporter
    provider.shutdown()


@cache
def traced(kind: str) -> type[TTSCacheMixin]:
    """Make a cached service that Pipecat traces, as it does its own."""
    cached = CACHED_SCRIPTED[kind]
    bare: Any = next(cls for cls in cached.__mro__ if cls.__module__ == "tests.scripted")
    base = type(bare.__name__, (bare,), {"run_tts": traced_tts(bare.run_tts)})
    profile = cached.__dict__["tts_cache_profile"]
    return type(f"Traced{bare.__name__}", (TTSCacheMixin, base), {"tts_cache_profile": profile})


async def say(tts: TTSService, *sentences: str) -> None:
    async with running(tts) as bot:
        await bot.llm_turn(" ".join(sentences))
        await bot.until_quiet()


def speech(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    """List the spans of speech, by when they began, and forget them."""
    found = [span for span in spans.get_finished_spans() if span.name == "tts"]
    spans.clear()
    return sorted(found, key=lambda span: span.start_time or 0)


def notes(span: ReadableSpan) -> tuple[Any, ...]:
    """Read what the cache noted: hit, hits, misses, characters of either, and Pipecat's count."""
    names = ("hit", "hits", "misses", "characters_from_cache", "characters_synthesized")
    attributes = span.attributes or {}
    noted = [attributes.get(f"tts_cache.{name}") for name in names]
    return (*noted, attributes.get("metrics.character_count"))


@pytest.mark.parametrize("kind", BY_TURN)
async def test_the_span_of_a_turn_counts_its_sentences(
    kind: str, spans: InMemorySpanExporter
) -> None:
    """What was replayed and what was spoken live, and whether it was all from the store."""
    store = MemoryCacheBackend()
    for sentences, noted in [
        ((ONE,), (False, 0, 1, 0, 12, 12)),
        ((ONE, TWO), (False, 1, 1, 12, 13, 13)),
        ((ONE, TWO), (True, 2, 0, 25, 0, None)),
    ]:
        await say(traced(kind)(cache_backend=store, append_trailing_space=False), *sentences)
        assert [noted] == [notes(span) for span in speech(spans)]


async def test_each_sentence_has_a_span_where_the_service_opens_contexts(
    spans: InMemorySpanExporter,
) -> None:
    """A live one has Pipecat's, with a note; a replayed one has one that looks like it."""
    store = MemoryCacheBackend()
    await say(traced(BY_SENTENCE)(cache_backend=store), ONE)
    (live,) = speech(spans)
    await say(traced(BY_SENTENCE)(cache_backend=store), ONE, TWO)
    replayed, other = speech(spans)
    assert (False, 0, 1, 0, 12, 12) == notes(live)
    assert (True, 1, 0, 12, 0, None) == notes(replayed)
    assert (False, 0, 1, 0, 13, 13) == notes(other)
    for name in ("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.operation.name",
                 "gen_ai.output.type", "voice_id"):  # fmt: skip
        assert (live.attributes or {})[name] == (replayed.attributes or {})[name]


async def test_the_span_of_a_hit_is_part_of_the_turn(spans: InMemorySpanExporter) -> None:
    """It stands in the trace where that of a live sentence would, and lasts as the look-up."""
    store = MemoryCacheBackend()
    for _ in range(2):
        spans.clear()
        await say(traced(BY_SENTENCE)(cache_backend=store), ONE)
    (turn,) = (span for span in spans.get_finished_spans() if span.name == "turn")
    (hit,) = speech(spans)
    assert hit.parent is not None
    assert turn.context is not None
    assert (turn.context.span_id, turn.context.trace_id) == (
        hit.parent.span_id,
        hit.parent.trace_id,
    )
    assert (hit.start_time or 0) < (hit.end_time or 0)


async def test_the_span_of_a_hit_begins_with_the_look_up(spans: InMemorySpanExporter) -> None:
    """As one that Pipecat makes begins when the provider is asked."""
    tts = traced(BY_SENTENCE)(cache_backend=MemoryCacheBackend())
    async with running(tts):
        tts._tts_cache_book.stats.looked_up(3.0, found=True)
        tts._tts_cache_book.stats.hit(5, 1.0)
    (hit,) = speech(spans)
    assert (hit.end_time or 0) - (hit.start_time or 0) >= 3e9


async def test_no_text_is_noted(spans: InMemorySpanExporter) -> None:
    """The span of a hit tells how much was said, not what."""
    store = MemoryCacheBackend()
    for _ in range(2):
        spans.clear()
        await say(traced(BY_SENTENCE)(cache_backend=store), ONE)
    (hit,) = speech(spans)
    assert "here" not in str(hit.attributes)


async def test_nothing_is_noted_where_pipecat_does_not_trace(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither without tracing in the pipeline, nor for a service that is not traced."""
    store = MemoryCacheBackend()
    untraced = CACHED_SCRIPTED[BY_SENTENCE]
    for _ in range(2):
        await say(untraced(cache_backend=store), ONE)
    assert [] == speech(spans)
    make = driver.PipelineWorker
    monkeypatch.setattr(
        driver, "PipelineWorker", lambda *args, **kw: make(*args, enable_tracing=False, **kw)
    )
    for _ in range(2):
        await say(traced(BY_SENTENCE)(cache_backend=store), ONE)
    assert [] == speech(spans)


@pytest.mark.parametrize(
    "title", ["CartesiaTTSService", "ElevenLabsTTSService", "OpenAITTSService"]
)
async def test_services_of_pipecat(title: str, spans: InMemorySpanExporter) -> None:
    """With Pipecat's own services, each sentence is noted once, cold and warm."""
    kind, store = KINDS[title], MemoryCacheBackend()
    async with kind.server() as server:
        for counts in ((0, 2), (2, 0)):
            async with running(
                kind.with_cache(server, cache_backend=store), sample_rate=kind.sample_rate
            ) as bot:
                await bot.llm_turn(f"{ONE} {TWO}")
                await bot.until_quiet()
            found = [notes(span) for span in speech(spans)]
            assert counts == (sum(n[1] or 0 for n in found), sum(n[2] or 0 for n in found))
            assert [] == [n for n in found if n[0] is None]


def test_only_the_api_is_needed_to_import() -> None:
    """The mixin is imported, and works, without OpenTelemetry."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from pipecat_tts_cache import TTSCacheMixin; print(TTSCacheMixin.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pipecat_tts_cache.mixin" == done.stdout.splitlines()[-1], done.stderr


async def test_what_is_heard_from_another_service_is_noted_on_its_turn(
    spans: InMemorySpanExporter,
) -> None:
    """Of two calls that lack a sentence at once, the one that asked nobody has a hit."""
    store = MemoryCacheBackend()
    async with simulated_time():
        first, second = (
            traced("overlapping")(Provider(first_audio=1.0), cache_backend=store) for _ in range(2)
        )
        async with running(first) as one, running(second) as other:
            await asyncio.gather(one.llm_turn(ONE), other.llm_turn(ONE))
            await asyncio.gather(one.until_quiet(), other.until_quiet())
    found = sorted(notes(span)[:3] for span in speech(spans))
    assert [(False, 0, 1), (True, 1, 0)] == found


async def test_a_sentence_is_noted_on_the_span_of_its_own_turn(
    spans: InMemorySpanExporter,
) -> None:
    """Also where it has been heard to its end only when another turn is spoken."""
    tts = traced("overlapping")(cache_backend=MemoryCacheBackend())
    async with running(tts):
        tracer = trace.get_tracer("test")
        for name in ("own", "other"):
            tts._tts_spans[name] = {"span": tracer.start_span("tts")}  # type: ignore[attr-defined]
        tts._tts_cache_teller.spans.context_id = "other"
        tts._tts_cache_book.stats.hit(5, 1.0, context_id="own")
        own, other = (tts._tts_spans.pop(name)["span"] for name in ("own", "other"))  # type: ignore[attr-defined]
    assert (True, 1, 0, 5, 0, None) == notes(own)
    assert (None,) * 6 == notes(other)
