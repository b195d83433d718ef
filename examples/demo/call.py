#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""One call: a Pipecat pipeline as a bot has it, and a caller who follows the script."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipecat.frames.frames import EndFrame, InterruptionFrame, LLMMessagesAppendFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from demo.captions import Caption
from demo.espeak_tts import SAMPLE_RATE
from demo.metered import MeteredTTSService, Take
from demo.phone_line import FastClock, Listener, PhoneLine
from demo.script import GREETING, TURNS, Order, ScriptedModel, Turn
from pipecat_tts_cache import CacheBackend

_PATIENCE = 30.0
_LONGEST_TURN = 30.0
_PAUSE = 0.4
_SECONDS_PER_CHARACTER = 0.05


class Audience(Listener, Protocol):
    """Somebody who follows the call."""

    def caller_speaks(self, text: str) -> None:
        """The caller says something."""

    def sentences_dropped(self, count: int) -> None:
        """The caller talked over the bot; so many more sentences had been asked for."""


@dataclass
class CallRecord:
    """What was said in a call, and what it took.

    Parameters:
        takes: The sentences that the bot was asked to speak, in order.
        recording: What was heard, PCM s16le, mono, at `SAMPLE_RATE`.
        captions: The sentences of both sides, where they are in the recording.
        heard: What was heard of each of the bot's turns, joined from its words.
        context: What Pipecat committed to the model's context for each of them.
        errors: What the pipeline reported to have gone wrong.
        stats: What `get_cache_stats()` says after the call.
    """

    takes: list[Take] = field(default_factory=list)
    recording: bytes = b""
    captions: list[Caption] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    context: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


class Call:
    """A bot, its caller, and the line between them."""

    def __init__(
        self,
        order: Order,
        *,
        backend: CacheBackend,
        namespace: str,
        voice: str,
        provider_latency: float,
        speed: float,
        audience: Audience,
    ) -> None:
        """Put the bot together.

        Args:
            order: The order this caller asks about.
            backend: The store of the cache. It outlives the call, and other calls share it.
            namespace: Where in the store this bot keeps its speech.
            voice: The bot's voice.
            provider_latency: Seconds that a hosted provider would take to begin.
            speed: How much faster than real time the call goes.
            audience: Follows the call.
        """
        self._audience = audience
        self._patience = _PATIENCE + _LONGEST_TURN / speed
        self._record = CallRecord()
        self._tts = MeteredTTSService(
            settings=MeteredTTSService.Settings(voice=voice),
            provider_latency=provider_latency,
            cache_backend=backend,
            cache_namespace=namespace,
        )
        self._line = PhoneLine(sample_rate=SAMPLE_RATE, speed=speed, listener=audience)
        # The caller types, so to speak: no voice activity, no end-of-turn model.
        user, assistant = LLMContextAggregatorPair(
            LLMContext(),
            user_params=LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies()),
        )
        self._turn_over = asyncio.Event()
        assistant.add_event_handler("on_assistant_turn_stopped", self._on_turn_stopped)
        pipeline = Pipeline(
            [user, ScriptedModel(order, speed=speed), self._tts, self._line, assistant]
        )
        self._worker = PipelineWorker(
            pipeline,
            clock=FastClock(speed),
            params=PipelineParams(
                audio_out_sample_rate=SAMPLE_RATE, enable_metrics=True, enable_usage_metrics=True
            ),
            enable_rtvi=False,
        )
        self._worker.add_event_handler("on_pipeline_error", self._on_error)

    async def hold(self) -> CallRecord:
        """Hold the call.

        Returns:
            What was said.

        Raises:
            TimeoutError: If the bot does not finish a turn.
        """
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        running = asyncio.create_task(runner.run())
        try:
            await self._talk()
            await self._worker.queue_frame(EndFrame())
        except BaseException:
            await runner.cancel()
            raise
        finally:
            await running
        self._record.takes = self._tts.takes
        self._record.recording = bytes(self._line.recording)
        self._record.stats = await self._tts.get_cache_stats()
        return self._record

    async def _talk(self) -> None:
        await self._worker.queue_frame(TTSSpeakFrame(GREETING))
        await self._bot_turn()
        for turn in TURNS:
            self._caller_turn(turn)
            question: Any = {"role": "user", "content": turn.caller}
            await self._worker.queue_frame(LLMMessagesAppendFrame([question], run_llm=True))
            await self._bot_turn(interrupted_after=turn.interrupted_after)

    def _caller_turn(self, turn: Turn) -> None:
        """Let the caller speak: silence in the recording, but in the captions one can read it."""
        self._audience.caller_speaks(turn.caller)
        self._line.rest(_PAUSE)
        start = self._line.position
        self._line.rest(len(turn.caller) * _SECONDS_PER_CHARACTER)
        caption = Caption("Caller", start, self._line.position, ((turn.caller, start),))
        self._record.captions.append(caption)
        self._line.rest(_PAUSE)

    async def _bot_turn(self, *, interrupted_after: float | None = None) -> None:
        words_before = len(self._line.words)
        takes_before = len(self._tts.takes)
        async with asyncio.timeout(self._patience):
            if interrupted_after is not None:
                await self._line.halt_after(interrupted_after).wait()
                await self._worker.queue_frame(InterruptionFrame())
            await self._turn_over.wait()
        self._turn_over.clear()
        words = self._line.words[words_before:]
        self._record.heard.append(" ".join(word.text for word in words))
        takes = self._tts.takes[takes_before:]
        self._audience.sentences_dropped(sum(not take.audio for take in takes))
        for take in takes:
            spoken = tuple((w.text, w.start) for w in words if w.segment == take.segment)
            if spoken:
                end = take.start + len(take.audio) / (2 * SAMPLE_RATE)
                self._record.captions.append(Caption("Bot", take.start, end, spoken))

    async def _on_turn_stopped(
        self, _aggregator: LLMAssistantAggregator, message: AssistantTurnStoppedMessage
    ) -> None:
        self._record.context.append(message.content)
        self._turn_over.set()

    async def _on_error(self, _worker: PipelineWorker, frame: Any) -> None:
        self._record.errors.append(frame.error)
