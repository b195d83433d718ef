#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A voice bot as one would deploy it, with a memory for its speech.

Deepgram hears, an OpenAI model answers, Cartesia speaks what the cache does not hold. Install and
run it, then open http://localhost:7860::

    pip install "pipecat-tts-cache[redis]" "pipecat-ai[runner,webrtc,deepgram,openai,cartesia]"
    python voice_bot.py

It needs three keys, in the environment or in a file `.env` beside it: DEEPGRAM_API_KEY,
OPENAI_API_KEY and CARTESIA_API_KEY. With REDIS_URL (redis://localhost:6379/0) what it has said
outlives the process and is shared by all processes; without, it is kept in memory.

To try it without keys, in a clone of the repository: `make voice-bot WITHOUT_KEYS=1`. The bot then
says what you type into the page, with a voice of this machine.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import load_dotenv
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.workers.runner import WorkerRunner

from pipecat_tts_cache import CacheBackend, MemoryCacheBackend, RedisCacheBackend, TTSCacheMixin

load_dotenv(override=True)

KEYS = {
    "DEEPGRAM_API_KEY": "speech to text, from https://console.deepgram.com",
    "OPENAI_API_KEY": "language model, from https://platform.openai.com/api-keys",
    "CARTESIA_API_KEY": "text to speech, from https://play.cartesia.ai/keys",
}
WITHOUT_KEYS = bool(os.getenv("WITHOUT_KEYS"))
VOICE = "86e30c1d-714b-4074-a1f2-1cb6b552fb49"
DAYS_TO_REMEMBER = 30

GREETING = "Hello, and thank you for calling. How can I help you today?"
INSTRUCTIONS = (
    "You answer the phone of an online shop. Your words are spoken: no lists, no symbols, one to "
    "three short sentences. Where one of these sentences fits, say exactly that: "
    "'Let me look it up.' 'One moment, please.' 'Could you say that again?' "
    "'Is there anything else I can help you with?' 'Thank you for calling, and goodbye.'"
)


class CachedCartesiaTTSService(TTSCacheMixin, CartesiaTTSService):
    """Cartesia, with a memory."""


@cache
def store() -> CacheBackend:
    """The store of this process: made once, so that every call finds what earlier ones said."""
    if url := os.getenv("REDIS_URL"):
        return RedisCacheBackend(redis_url=url)
    return MemoryCacheBackend()


# Made when they are needed: a transport's parameters may need packages that others do not.
transport_params = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
}


def services() -> tuple[FrameProcessor, FrameProcessor, TTSCacheMixin]:
    """Make what the bot hears, thinks and speaks with; the cache is about the last of them."""
    memory: dict[str, Any] = {
        "cache_backend": store(),
        "cache_ttl": DAYS_TO_REMEMBER * 86400,
        "cache_namespace": "voice-bot",
    }
    if WITHOUT_KEYS:
        from demo.keyless import keyless_services  # noqa: PLC0415 (only in a clone)

        return keyless_services(**memory)
    stt = DeepgramSTTService(api_key=os.environ["DEEPGRAM_API_KEY"])
    llm = OpenAILLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        settings=OpenAILLMService.Settings(system_instruction=INSTRUCTIONS),
    )
    tts = CachedCartesiaTTSService(
        api_key=os.environ["CARTESIA_API_KEY"],
        settings=CachedCartesiaTTSService.Settings(voice=VOICE),
        **memory,
    )
    return stt, llm, tts


async def run_bot(transport: BaseTransport, runner_args: RunnerArguments) -> None:
    """Hold a call.

    Args:
        transport: The line to the caller.
        runner_args: What Pipecat's runner says about the session.
    """
    stt, llm, tts = services()
    user, assistant = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    pipeline = Pipeline([transport.input(), stt, user, llm, tts, transport.output(), assistant])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
        idle_timeout_secs=runner_args.pipeline_idle_timeout_secs,
    )
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)

    @transport.event_handler("on_client_connected")
    async def on_client_connected(_transport: BaseTransport, _client: object) -> None:
        logger.info("Client connected")
        await worker.queue_frame(TTSSpeakFrame(GREETING))

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport: BaseTransport, _client: object) -> None:
        await log_savings(tts)
        await runner.cancel()

    await runner.run()


async def log_savings(tts: TTSCacheMixin) -> None:
    """Log what the cache was worth in this call, and all it counted."""
    stats = await tts.get_cache_stats()
    logger.info(
        f"Client disconnected. From the cache: {stats['hits']} of {stats['total_requests']} "
        f"sentences, {stats['characters_from_cache']} characters, "
        f"{stats['seconds_from_cache']:.1f} s of speech"
    )
    logger.info(f"Cache statistics: {stats}")


async def bot(runner_args: RunnerArguments) -> None:
    """Begin a session: what Pipecat's runner, and Pipecat Cloud, call.

    Args:
        runner_args: What the runner says about the session.
    """
    transport = await create_transport(runner_args, transport_params)
    await run_bot(transport, runner_args)


def require_keys() -> None:
    """Leave with exit code 1, and say what is missing, unless all keys are there."""
    missing = [key for key in KEYS if not os.getenv(key, "").strip()]
    if missing:
        lines = "\n".join(f"  {key:<18}{KEYS[key]}" for key in missing)
        sys.exit(
            f"voice_bot.py needs more keys. Set them in the environment, or in "
            f"{Path(__file__).with_name('.env')}:\n{lines}"
        )


def require_store() -> None:
    """Leave with exit code 1, and say why, if the store cannot be made."""
    try:
        store()
    except (ImportError, ValueError) as error:
        sys.exit(f"voice_bot.py cannot use REDIS_URL: {error}")


if __name__ == "__main__":
    if not WITHOUT_KEYS:
        require_keys()
    require_store()

    from pipecat.runner.run import main

    main()
