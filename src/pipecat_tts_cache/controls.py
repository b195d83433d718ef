#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a bot may ask of the cache of a service, and tell it."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from pipecat_tts_cache.checks import check_positive_int
from pipecat_tts_cache.control import CacheControl
from pipecat_tts_cache.phrasebook import Phrasebook
from pipecat_tts_cache.preparation.lines import Line, RankedLine
from pipecat_tts_cache.preparation.outcomes import Outcome, Pinned, Warmed
from pipecat_tts_cache.utterance import Word

if TYPE_CHECKING:
    from pipecat_tts_cache.preparation.running import Preparation


class CacheControls:
    """The face of `TTSCacheMixin` towards its users."""

    _tts_cache_book: Phrasebook
    _tts_cache_preparation: "Preparation"

    @property
    def cache_enabled(self) -> bool:
        """Whether the cache is in use. Off, nothing is read or written; can be flipped any time."""
        return self._tts_cache_book.options.enabled

    @cache_enabled.setter
    def cache_enabled(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"cache_enabled must be a bool, not {type(enabled).__name__}")
        self._tts_cache_book.options.enabled = enabled

    async def get_cache_stats(self) -> dict[str, Any]:
        """Tell what the cache of this service has done so far.

        Returns:
            A plain dict:

            - enabled (bool): Whether there is a store and the cache is switched on.
            - hits, misses, total_requests (int): Sentences replayed, spoken live, and their sum.
            - followed (int): Of the hits, those heard while another service spoke them live.
            - hit_rate (float): hits / total_requests, 0.0 before the first.
            - characters_from_cache, characters_synthesized (int): Length of their texts.
            - character_hit_rate (float): Of all characters, the share that was replayed.
            - seconds_from_cache, seconds_synthesized (float): Length of their audio in seconds.
            - stores (int): Sentences stored.
            - prefetched, prefetch_dropped (int): Lines that `prefetch` has stored, and that it has
              let go or that could not be stored.
            - characters_prefetched (int): Length of the texts that `prefetch` had spoken.
            - not_stored (dict[str, int]): Sentences spoken live but not stored, by reason; the
              reasons are those of `NotStored`.
            - bypassed (dict[str, int]): Sentences that were neither looked up nor stored, by
              reason; the reasons are those of `Bypass`. They are not in total_requests.
            - store_errors, store_timeouts (int): What the store failed at, look-ups and writes.
            - lookups_skipped (int): Look-ups not made because the store failed before.
            - lookup_median_seconds, lookup_p95_seconds (float): Time of the latest look-ups.
            - savings (dict): characters that were not synthesized again; money, what they would
              have cost by `cache_prices`, as a string, or None if there is no price for any;
              currency; unpriced_characters, which money leaves out; and tags, the same by tag.
            - tags (dict[str, dict]): hits, misses, characters_from_cache and characters_synthesized
              by the tag of a `CacheControl`. Beyond a hundred tags the rest is "(other)".
            - backend (dict | None): The store's own statistics; None without a store, or if it
              does not answer.
        """
        return await self._tts_cache_book.describe()

    def get_top_misses(self, limit: int = 20) -> list[RankedLine]:
        """Tell which sentences were spoken live again and again, though they might be replayed.

        They were evicted, or expired, were interrupted or could not be stored. `warm` takes them as
        they are. All services of this process on this store and namespace are counted together,
        but nothing whose text is not to be kept: with `cache_store_text` off, by a `CacheControl`,
        or because it is personal.

        Args:
            limit: How many to return.

        Returns:
            The sentences, as prepared for the provider, what costs most characters first.

        Raises:
            TypeError: If the limit is no int.
            ValueError: If it is not above zero.
        """
        return self._tts_cache_book.top_misses()[: check_positive_int("limit", limit)]

    async def clear_cache(self, namespace: str | None = None) -> int:
        """Forget what was stored.

        Args:
            namespace: The namespace to clear; None clears everything under this backend.

        Returns:
            How many utterances were removed; 0 without a backend.

        Raises:
            TypeError: If the namespace is neither a string nor None.
            BackendError: If the store fails.
        """
        if namespace is not None and not isinstance(namespace, str):
            raise TypeError(f"namespace must be a string, not {type(namespace).__name__}")
        return await self._tts_cache_book.clear(namespace)

    async def delete_text(self, text: str) -> int:
        """Erase a sentence from the store: in every namespace, voice and setting.

        Args:
            text: The sentence, as it was prepared for the provider.

        Returns:
            How many utterances were removed; 0 without a backend.

        Raises:
            TypeError: If the text is no string.
            BackendError: If the store fails, or does not list what it keeps.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__name__}")
        return await self._tts_cache_book.delete_text(text)

    async def warm(
        self,
        lines: Iterable[str | Line],
        *,
        concurrency: int = 5,
        as_turns: bool = False,
        sample_rate: int | None = None,
        refresh: bool = False,
        line_timeout: float = 60.0,
        progress: Callable[[int, int, Outcome], None] | None = None,
    ) -> Warmed:
        """Fill the store with speech, under exactly the keys that this service uses at this moment.

        It is said to nobody, by services like this one: made with the same arguments, and told what
        has changed since. Live speech goes on meanwhile, and is not waited for.

        Args:
            lines: What to say. The options of a `Line` are settings, such as a voice, that are
                another than this service has.
            concurrency: How many to say at a time, each with a service of its own.
            as_turns: Whether the lines are what a language model writes, to be looked up sentence
                by sentence; by default each is one, as in a `TTSSpeakFrame`.
            sample_rate: Of the bot's audio output, in Hz, if the service is in no pipeline that
                runs yet; None for Pipecat's default.
            refresh: Whether to say what is there, too, and replace it.
            line_timeout: Seconds that a line may take.
            progress: Called after each line with how many are done, how many there are, and what
                came of this one.

        Returns:
            What came of each line.

        Raises:
            RuntimeError: If a second service like this one cannot be made or started. Then
                `pipecat_tts_cache.warm` remains, with a function that makes it.
            TimeoutError: If it does not start within half a minute.
            TypeError: If an argument has the wrong type, or the service has no such setting.
            ValueError: If an argument makes no sense.
        """
        return await self._tts_cache_preparation.warm(
            lines,
            concurrency=concurrency,
            as_turns=as_turns,
            sample_rate=sample_rate,
            refresh=refresh,
            line_timeout=line_timeout,
            progress=progress,
        )

    async def is_warm(
        self,
        lines: Iterable[str | Line],
        *,
        as_turns: bool = False,
        sample_rate: int | None = None,
        line_timeout: float = 60.0,
    ) -> Warmed:
        """Find out what is in the store; nothing is spoken, and nothing counts as used.

        Args:
            lines: As for `warm`, as everything else.
            as_turns: Whether the lines are what a language model writes.
            sample_rate: In Hz.
            line_timeout: Seconds that a line may take.

        Returns:
            What is there and what is not: it is true if everything is.

        Raises:
            RuntimeError: As for `warm`, as everything else.
            TimeoutError: If a service like this one does not start.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument makes no sense.
        """
        return await self._tts_cache_preparation.is_warm(
            lines, as_turns=as_turns, sample_rate=sample_rate, line_timeout=line_timeout
        )

    def prefetch(self, lines: Iterable[str | Line], *, as_turns: bool = False) -> None:
        """Have lines prepared in the background that the bot is likely to say next.

        It returns at once. The lines are said one at a time as by `warm`, and only while this
        service asks its provider for nothing: what is under way then is broken off, and comes back
        later. What is there, or asked for already, is not said again. If more than 32 wait, the
        oldest are let go; `cleanup` lets go of all.

        Args:
            lines: As for `warm`.
            as_turns: Whether the lines are what a language model writes.

        Raises:
            TypeError: If a line is neither a string nor a `Line`, or the service has no such
                setting.
        """
        self._tts_cache_preparation.prefetch(lines, as_turns=as_turns)

    async def pin(
        self,
        line: str | Line,
        audio: bytes | str | os.PathLike[str],
        *,
        words: Iterable[Word | tuple[str, float]] | None = None,
        loudness: float | Literal["voice"] | None = None,
        audio_rate: int | None = None,
        audio_channels: int = 1,
        as_turn: bool = False,
        sample_rate: int | None = None,
        line_timeout: float = 60.0,
    ) -> Pinned:
        """Let a recording stand in for a line, under exactly the key that this service uses now.

        Args:
            line: What the bot says. The options of a `Line` are settings, such as a voice, that are
                another than this service has.
            audio: The path of a sound file, or samples, as for `pipecat_tts_cache.pin`.
            words: The words with the times when they begin, in seconds; None to guess the times.
            loudness: What to match, in LUFS, or "voice" for what the store holds in that voice.
            audio_rate: Sample rate of samples, in Hz; a file has its own.
            audio_channels: Number of channels of samples, 1 or 2.
            as_turn: Whether the line is a sentence that a language model writes.
            sample_rate: Of the bot's audio output, in Hz, if the service is in no pipeline that
                runs yet; None for Pipecat's default.
            line_timeout: Seconds that it may take to find the key.

        Returns:
            What is kept now.

        Raises:
            BackendError: If the store fails, or does not keep the recording.
            OSError: If the file cannot be read.
            RuntimeError: If a second service like this one cannot be made or started.
            TimeoutError: If it does not start in time, or the line takes too long.
            TypeError: If an argument has the wrong type, or the service has no such setting.
            UncacheableError: If the line is not for the cache.
            ValueError: If there is no store, or an argument makes no sense.
        """
        return await self._tts_cache_preparation.pin(
            line,
            audio,
            words=words,
            loudness=loudness,
            audio_rate=audio_rate,
            audio_channels=audio_channels,
            as_turn=as_turn,
            sample_rate=sample_rate,
            line_timeout=line_timeout,
        )

    async def unpin(
        self,
        line: str | Line,
        *,
        as_turn: bool = False,
        sample_rate: int | None = None,
        line_timeout: float = 60.0,
    ) -> bool:
        """Take away the recording that stands in for a line, so that it is spoken live again.

        Args:
            line: As for `pin`, as everything else.
            as_turn: Whether the line is a sentence that a language model writes.
            sample_rate: In Hz.
            line_timeout: Seconds.

        Returns:
            Whether there was one. What is there and not pinned stays.

        Raises:
            BackendError: If the store fails.
            RuntimeError: As for `pin`, as everything else.
            TimeoutError: If a service like this one does not start.
            TypeError: If an argument has the wrong type.
            UncacheableError: If the line is not for the cache.
            ValueError: If there is no store, or an argument makes no sense.
        """
        return await self._tts_cache_preparation.unpin(
            line, as_turn=as_turn, sample_rate=sample_rate, line_timeout=line_timeout
        )

    def cache_control(
        self,
        *,
        bypass: bool = False,
        refresh: bool = False,
        no_store: bool = False,
        ttl: float | None = None,
        tag: str | None = None,
    ) -> AbstractContextManager[None]:
        """Have the cache treat all that is said within a block in another way than usual.

        It holds for the sentences that the service is asked for while the block is open, whoever
        asks: keep it open until they have been. For one frame there is `CacheControl.on`.

        Args:
            bypass: Speak live, and store nothing.
            refresh: Speak live, and store that in place of what was there.
            no_store: Replay what is there, but store nothing.
            ttl: Seconds for which it is kept if it is stored.
            tag: What to count it under.

        Returns:
            The block, for a `with` statement.

        Raises:
            TypeError: If a value has the wrong type.
            ValueError: If a value makes no sense.
        """
        control = CacheControl(bypass=bypass, refresh=refresh, no_store=no_store, ttl=ttl, tag=tag)
        return self._tts_cache_book.controls.within(control)

    def guard_values(self, *values: str) -> None:
        """Name values that are personal in this call: a name, an order number.

        From now on, sentences that hold one of them, in whatever case, spacing and Unicode form,
        are neither looked up nor stored. What is stored by now stays until `delete_text` erases it.

        Args:
            *values: The values, as they are in the text prepared for the provider. They stay with
                this service until `forget_guarded_values`.

        Raises:
            TypeError: If a value is no string.
            ValueError: If a value has neither letters nor digits.
        """
        self._tts_cache_book.guard.add(values)

    def forget_guarded_values(self) -> None:
        """Forget the values that were named as personal, as when another caller is served."""
        self._tts_cache_book.guard.clear()
