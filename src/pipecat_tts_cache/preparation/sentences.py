#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Sentences as a service with a cache looks them up: cut as Pipecat cuts what a model writes."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from functools import partial
from inspect import signature
from typing import Any, TypeVar

from pipecat.utils.text.base_text_aggregator import BaseTextAggregator
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from pipecat_tts_cache.preparation.lines import Line, as_lines

_T = TypeVar("_T")
_KNOWS_LANGUAGES = "language" in signature(BaseTextAggregator.__init__).parameters
"""Whether Pipecat cuts every language by its own rules, as it does from 1.13 on."""


def split_sentences(
    turns: Iterable[str | Line],
    *,
    language: str | None = None,
    aggregator: BaseTextAggregator | None = None,
) -> Iterator[Line]:
    """Cut what a language model wrote into the sentences that are looked up one by one.

    Args:
        turns: What it wrote, a turn each.
        language: The language of turns that have no `language` among their options, as services
            have it in their settings; None for English.
        aggregator: What cuts, if the bot's service has one of its own; it must wait for nothing.

    Yields:
        The sentences, with the options of their turn. Each is a line of its own: for `warm` without
        `as_turns`.

    Raises:
        TypeError: If a turn is neither a string nor a `Line`, or an argument has the wrong type.
    """
    if not isinstance(language, str | None):
        raise TypeError(f"language must be a string, not {type(language).__name__}")
    if not isinstance(aggregator, BaseTextAggregator | None):
        raise TypeError(f"aggregator must be one of Pipecat's, not {type(aggregator).__name__}")
    return _split(as_lines(turns), partial(_make, default=language, given=aggregator))


def _make(
    turn: Line, *, default: str | None, given: BaseTextAggregator | None
) -> BaseTextAggregator:
    if given is not None:
        return given
    own = turn.options.get("language")
    options: dict[str, Any] = {"language": str(own) if isinstance(own, str) else default}
    return SimpleTextAggregator(**(options if _KNOWS_LANGUAGES else {}))


def _split(turns: Iterable[Line], make: Callable[[Line], BaseTextAggregator]) -> Iterator[Line]:
    for turn in turns:
        for sentence in _at_once(_cut(turn.text, make(turn))):
            if text := sentence.strip():
                yield Line(text, turn.options)


async def _cut(text: str, aggregator: BaseTextAggregator) -> list[str]:
    pieces: AsyncIterator[Any] = aggregator.aggregate(text)
    sentences = [piece.text async for piece in pieces]
    if rest := await aggregator.flush():
        sentences.append(rest.text)
    return sentences


def _at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Run what waits for nothing, on an event loop or without one."""
    try:
        work.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    work.close()
    raise TypeError("the aggregator waits for something")
