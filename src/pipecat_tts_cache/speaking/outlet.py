#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where turns flow out: into the outer audio contexts that Pipecat plays."""

from pipecat.frames.frames import TTSStartedFrame, TTSStoppedFrame
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.pipecat_compat import WordTimestamp
from pipecat_tts_cache.speaking.turn import Item, Mark, Turn
from pipecat_tts_cache.utterance import Word


class Outlet:
    """Fills the outer contexts, and opens and ends them at the right moment."""

    def __init__(self, below: TTSService, turns: dict[str, Turn]) -> None:
        """Start with none.

        Args:
            below: The service as it would be without the mixin.
            turns: The turns by their contexts. One that is over and has no context is forgotten.
        """
        self._below = below
        self._turns = turns

    async def pass_on(self, turn: Turn, item: Item | Mark) -> None:
        """Put what is due into the context of its turn.

        Args:
            turn: The turn.
            item: What is due.
        """
        context_id = turn.context_id
        if isinstance(item, Mark):
            await self._end(turn)
            return
        if not self._below.audio_context_available(context_id):
            await self._below.create_audio_context(context_id)
        starts = isinstance(item, TTSStartedFrame)
        if turn.started and starts:
            return
        if not turn.started:
            turn.started = True
            if not starts:
                await self._below.append_to_audio_context(
                    context_id, TTSStartedFrame(context_id=context_id)
                )
        if isinstance(item, Word):
            word = WordTimestamp(item.text, item.start, context_id, item.carries_spaces)
            await self._below.append_to_audio_context(context_id, word)
        else:
            await self._below.append_to_audio_context(context_id, item)

    async def _end(self, turn: Turn) -> None:
        context_id = turn.context_id
        if not self._below.audio_context_available(context_id):
            self._turns.pop(context_id, None)
            return
        if turn.started:
            await self._below.append_to_audio_context(
                context_id, TTSStoppedFrame(context_id=context_id)
            )
        await self._below.remove_audio_context(context_id)
