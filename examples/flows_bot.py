#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A bot of nodes, as in Pipecat Flows, that has its next words ready before they are needed.

    python examples/flows_bot.py
    python examples/flows_bot.py --speed 20

Each node says something when it is entered, and its functions lead on to others. So while the
caller thinks, it is known what may be said next: `tts.prefetch` has it prepared. No keys, no
servers: espeak-ng speaks, after the time that a hosted provider would take; the caller, and the
model that chooses a function, are a script.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger
from pipecat.frames.frames import BotStoppedSpeakingFrame, EndFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from demo.espeak import EspeakError
from demo.espeak_tts import SAMPLE_RATE
from demo.metered import MeteredTTSService, Take
from demo.phone_line import FastClock, PhoneLine
from pipecat_tts_cache import MemoryCacheBackend, TTSCacheMixin

Node = dict[str, Any]
Say = Callable[[str], Awaitable[None]]


def node(name: str, task: str, words: str, **functions: str) -> Node:
    """Make a node as Pipecat Flows has it, but for the functions: each names where it leads."""
    return {
        "name": name,
        "task_messages": [{"role": "developer", "content": task}],
        "pre_actions": [{"type": "tts_say", "text": words}],
        "functions": functions,
    }


NODES = {
    each["name"]: each
    for each in (
        node(
            "welcome",
            "Find out what the caller wants.",
            "Hello, this is the harbor grill. Would you like a table, or our opening hours?",
            book="day",
            ask_hours="hours",
        ),
        node(
            "day",
            "Ask for the day.",
            "With pleasure. Which day suits you?",
            choose_day="people",
            say_closed="closed",
        ),
        node(
            "people",
            "Ask for the number of people.",
            "How many of you will there be?",
            count="done",
        ),
        node("hours", "Tell them.", "We are open every day but Monday, from noon.", end="done"),
        node("closed", "Regret.", "I am sorry, on that day we are closed.", choose_day="people"),
        node("done", "End the call.", "Thank you, and see you soon."),
    )
}
CALL = [("A table, please.", "book"), ("On Sunday.", "choose_day"), ("Three of us.", "count")]
"""What the caller says, and the function that the model chooses."""


def words_of(name: str) -> list[str]:
    """Find what a node says when it is entered."""
    actions = NODES[name]["pre_actions"]
    return [action["text"] for action in actions if action["type"] == "tts_say"]


class Flow:
    """Goes from node to node, and has the next words prepared."""

    def __init__(self, tts: TTSCacheMixin, say: Say) -> None:
        """Stand before the first node.

        Args:
            tts: The bot's voice.
            say: Says something, and returns when it has been heard.
        """
        self._tts = tts
        self._say = say
        self._node: Node = {}

    async def enter(self, name: str) -> None:
        """Enter a node: what it says is said, and what may follow is prepared meanwhile."""
        self._node = NODES[name]
        leads_to = self._node["functions"].values()
        self._tts.prefetch(words for each in leads_to for words in words_of(each))
        for words in words_of(name):
            await self._say(words)

    async def call(self, function: str) -> None:
        """Do what the model has chosen."""
        await self.enter(self._node["functions"][function])


class Show:
    """Shows what is heard, and how long it took to begin."""

    def word_heard(self, take: Take) -> None:
        """Wait for the end of the sentence."""

    def sentence_heard(self, take: Take) -> None:
        """Show a sentence."""
        source = "live" if take.live else "cached"
        print(f"  {source:<7}{(take.wait or 0) * 1000:5.0f} ms  {take.text}")


async def hold_call(*, speed: float, latency: float, pause: float) -> dict[str, Any]:
    """Hold the call.

    Args:
        speed: How much faster than real time the bot is heard.
        latency: Seconds that the provider takes to begin.
        pause: Seconds that the caller takes to answer.

    Returns:
        The statistics of the cache.
    """
    tts = MeteredTTSService(provider_latency=latency, cache_backend=MemoryCacheBackend())
    line = PhoneLine(sample_rate=SAMPLE_RATE, speed=speed, listener=Show())
    worker = PipelineWorker(
        Pipeline([tts, line]),
        clock=FastClock(speed),
        params=PipelineParams(audio_out_sample_rate=SAMPLE_RATE),
        enable_rtvi=False,
    )
    worker.set_reached_downstream_filter((BotStoppedSpeakingFrame,))
    heard = asyncio.Event()

    @worker.event_handler("on_frame_reached_downstream")
    async def on_heard(*_: object) -> None:
        heard.set()

    async def say(words: str) -> None:
        heard.clear()
        await worker.queue_frame(TTSSpeakFrame(words))
        await heard.wait()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    flow = Flow(tts, say)
    await flow.enter("welcome")
    for words, function in CALL:
        await asyncio.sleep(pause)
        print(f"  caller             {words}")
        await flow.call(function)
    await worker.queue_frame(EndFrame())
    await running
    return await tts.get_cache_stats()


def main() -> int:
    """Run the example.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description="A bot of nodes that has its next words ready.")
    parser.add_argument("--speed", type=float, default=4.0, help="pace (default: %(default)g)")
    arguments = parser.parse_args()
    logger.remove()
    try:
        stats = asyncio.run(hold_call(speed=arguments.speed, latency=0.25, pause=1.0))
    except EspeakError as error:
        print(f"flows_bot.py: {error}", file=sys.stderr)
        return 2
    print(f"\n  {stats['prefetched']} lines prefetched, {stats['hits']} of them used")
    return 0


if __name__ == "__main__":
    sys.exit(main())
