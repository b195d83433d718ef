#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is said: a support call as a script, and a stand-in for the model that writes it.

Two callers ask the same questions about different orders. As in real calls, most of what the bot
says is said in every call, and some of it several times in one; the rest is new each time.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

TOKENS_PER_SECOND = 60
GREETING = "Hello, and thank you for calling. How can I help you today?"


class Turn(NamedTuple):
    """A question and its answer.

    Parameters:
        caller: What the caller says.
        bot: What the model answers, with the order's details in braces.
        interrupted_after: Seconds of speech after which the caller talks over the bot.
    """

    caller: str
    bot: str
    interrupted_after: float | None = None


@dataclass(frozen=True)
class Order:
    """What differs from call to call."""

    number: str
    day: str
    hour: str


ORDERS = (Order("48 15", "Tuesday", "six"), Order("16 23", "Friday", "eight"))

TURNS = (
    Turn(
        "Where is my order?",
        "I can help you with that. Let me look it up. "
        "Order {number} left our warehouse on {day}. "
        "Is there anything else I can help you with?",
    ),
    Turn(
        "Can it go to another address?",
        "Let me look it up. Yes, until {hour} this evening. "
        "I have sent you a link to change the address. "
        "Is there anything else I can help you with?",
    ),
    Turn(
        "How do I send things back?",
        "You can return anything within thirty days. "
        "Put it back in its box and print the label from our website. "
        "Then leave the box at any pickup point near you. "
        "The refund reaches you within five working days.",
        interrupted_after=4.0,
    ),
    Turn(
        "Sorry, I meant an exchange.",
        "No problem. Let me look it up. "
        "An exchange for order {number} is free of charge. "
        "Is there anything else I can help you with?",
    ),
    Turn("No, that is all.", "Thank you for calling, and goodbye."),
)


class StandInModel(FrameProcessor):
    """Stands where the LLM service stands: gets the context, streams its answer token by token."""

    def __init__(self, answer: Callable[[str], str], *, speed: float = 1.0) -> None:
        """Learn to answer.

        Args:
            answer: Finds the answer to what the caller has said.
            speed: How much faster than a real model it writes.
        """
        super().__init__()
        self._find_answer = answer
        self._pause = 1 / (TOKENS_PER_SECOND * speed)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            question: Any = frame.context.get_messages()[-1]
            await self._answer(self._find_answer(question["content"]))
        else:
            await self.push_frame(frame, direction)

    async def _answer(self, text: str) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        for token in text.replace(" ", "\0 ").split("\0"):
            await asyncio.sleep(self._pause)
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class ScriptedModel(StandInModel):
    """Answers the questions of the script."""

    def __init__(self, order: Order, *, speed: float) -> None:
        """Learn the answers.

        Args:
            order: The order this caller asks about.
            speed: How much faster than a real model it writes.
        """
        answers = {turn.caller: turn.bot.format(**vars(order)) for turn in TURNS}
        super().__init__(answers.__getitem__, speed=speed)
