#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a bot has said before: finding a sentence in the store, and keeping one."""

import asyncio
import inspect
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakSet

from loguru import logger

from pipecat_tts_cache import key as keys
from pipecat_tts_cache.backends.base import CacheBackend, CacheKey
from pipecat_tts_cache.control import AS_USUAL, CacheControl, Controls
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.guard import Guard
from pipecat_tts_cache.options import CacheOptions
from pipecat_tts_cache.pipecat_compat import TESTED, pipecat_version
from pipecat_tts_cache.preparation.lines import RankedLine
from pipecat_tts_cache.preparation.rehearsal import Asked, Rehearsal
from pipecat_tts_cache.request import RequestReader
from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.speaking.leading import Leading
from pipecat_tts_cache.statistics.stats import Bypass, CacheStats, NotStored
from pipecat_tts_cache.store import Store
from pipecat_tts_cache.utterance import Utterance

_EXPLAINED = {
    Bypass.TOKENS: "it is sent tokens, not sentences, so nothing is cached; aggregate sentences "
    "to cache them",
    Bypass.END_UNKNOWN: "it does not say when a sentence is complete, so nothing is cached; if it "
    "does, describe it with a ServiceProfile",
}


class Phrasebook:
    """The cache of one service: its keys, its store, its statistics."""

    def __init__(self, options: CacheOptions, reader: RequestReader) -> None:
        """Open the book.

        Args:
            options: What the user set.
            reader: Reads requests from the service.
        """
        self.options = options
        self.stats = CacheStats(reader.service_name, options.prices)
        self.controls = Controls()
        self.guard = Guard()
        self.leading = Leading(options, reader.service_name)
        self.rehearsal: Rehearsal | None = None
        self._reader = reader
        self._said: set[str] = set()
        self._unjudged: WeakSet[LiveSentence] = WeakSet()  # weak, as a write may be cancelled
        self._store: Store | None = None
        if options.backend is not None:
            self.use(options.backend)

    def use(self, backend: CacheBackend) -> None:
        """Use a store, for a service that was made without one.

        Args:
            backend: The store.

        Raises:
            ValueError: If there is another store already.
        """
        if self.options.backend is not None and self.options.backend is not backend:
            raise ValueError("the service has a store of its own, which is another one")
        self.options.backend = backend
        self._store = Store(backend, stats=self.stats, lookup_timeout=self.options.lookup_timeout)

    async def key(
        self,
        text: str,
        *,
        settings: Mapping[str, Any],
        sample_rate: int,
        control: CacheControl = AS_USUAL,
    ) -> CacheKey | None:
        """Find out where a sentence is kept, or would be.

        Args:
            text: The text as prepared for the provider.
            settings: The settings of the service at this moment.
            sample_rate: Its sample rate, in Hz.
            control: What holds for it.

        Returns:
            The key, or None if this sentence is not for the cache. That is counted.
        """
        if (reason := await self._reason_to_bypass(text, control)) is not None:
            self.stats.bypassed[reason] += 1
            return None
        try:
            digest = await self._digest(text, settings, sample_rate)
        except UncacheableError as error:
            self.stats.bypassed[Bypass.NO_KEY] += 1
            self._say("key", f"{error}; sentences are spoken live. Pass what it stands for instead")
            return None
        key = CacheKey(self.options.namespace, digest)
        if self.rehearsal is not None and self.rehearsal.asked is not None:
            self.rehearsal.asked.append(Asked(key, text, self._description(key, text, settings)))
        return key

    def share(self, other: "Phrasebook") -> None:
        """Use the store of another service, and heed what it is told, now and later.

        Args:
            other: The book of that service.
        """
        self.options, self.guard = other.options, other.guard
        self.leading = Leading(self.options, self._reader.service_name)
        if self.options.backend is not None:
            self.use(self.options.backend)

    async def fingerprint(self, settings: Mapping[str, Any], sample_rate: int) -> str | None:
        """Tell apart the states of services in which their sentences have different keys.

        Args:
            settings: The settings of the service at this moment.
            sample_rate: Its sample rate, in Hz.

        Returns:
            The same for the same keys; None if its sentences have none.
        """
        try:
            return await self._digest("", settings, sample_rate)
        except UncacheableError:
            return None

    def note_settings(self, settings: Mapping[str, Any]) -> None:
        """Note the settings in force, before they change.

        Args:
            settings: The settings of the service at this moment.
        """
        self._reader.note_settings(settings)

    async def find(
        self, key: CacheKey, text: str, control: CacheControl = AS_USUAL
    ) -> Utterance | None:
        """Look a sentence up, unless it is to be spoken anew, and count it if it is there.

        Args:
            key: Where it is kept.
            text: The text, for its length.
            control: What holds for it.

        Returns:
            The utterance, or None if it has to be spoken live.
        """
        utterance = None
        if self._store is not None and not (control.refresh or self.rehearsal):
            utterance = await self._store.look_up(key)
        if utterance is not None:
            self.stats.hit(len(text), utterance.duration, tag=control.tag, model=utterance.model)
        return utterance

    def missed(self, sentence: LiveSentence) -> None:
        """Count a sentence that has to be spoken live.

        Args:
            sentence: The sentence.
        """
        if sentence.key is not None:
            self.stats.miss(len(sentence.text), **self._about(sentence))
            self._note_miss(sentence.text, sentence.control)

    def followed(self, sentence: LiveSentence, seconds: float) -> None:
        """Count a sentence that was heard while another service spoke it.

        Args:
            sentence: The sentence.
            seconds: Length of what was heard.
        """
        self.stats.hit(len(sentence.text), seconds, **self._about(sentence))
        self.stats.followed += 1

    async def skips(self, key: CacheKey | None) -> bool:
        """Tell whether a sentence is not to be spoken, as this is a rehearsal and it need not be.

        Args:
            key: Where it is kept, or None if it is not for the cache.

        Returns:
            Whether not to speak it.
        """
        if self.rehearsal is None:
            return False
        if key is None or self._store is None:
            return True
        return self.rehearsal.skips(there=await self._store.holds(key))

    async def confirm(
        self, sentence: LiveSentence, *, settings: Mapping[str, Any], sample_rate: int
    ) -> None:
        """Rule out that a sentence is stored where it was looked up, but spoken otherwise.

        Settings may change in any way while it waits: for the store, for room, for a connection.

        Args:
            sentence: The sentence.
            settings: The settings of the service at this moment.
            sample_rate: Its sample rate, in Hz.
        """
        if sentence.key is None or sentence.recording.failure is not None:
            return
        digest = None
        with suppress(UncacheableError):
            digest = await self._digest(sentence.text, settings, sample_rate)
        if digest != sentence.key.digest:
            sentence.recording.fail(NotStored.SETTINGS_CHANGED)

    def keep(self, sentence: LiveSentence) -> None:
        """Store a sentence that has ended, if its recording is sound. Returns at once.

        It is judged a moment later, because some services report an error just after the end.

        Args:
            sentence: The sentence.
        """
        recording = sentence.recording
        key = sentence.key
        if key is None or self._store is None:
            return
        self.stats.seconds_synthesized += recording.seconds
        self._unjudged.add(sentence)
        ttl = self.options.ttl if sentence.control.ttl is None else sentence.control.ttl

        def make() -> Utterance | None:
            self._unjudged.discard(sentence)
            if self._refused(sentence):
                return None
            now = time.time()
            utterance = Utterance(
                audio=recording.audio,
                sample_rate=recording.sample_rate,
                num_channels=recording.num_channels,
                words=tuple(recording.words),
                created_at=now,
                expires_at=None if ttl is None else now + ttl,
                watermarked=self._reader.watermarked,
                **self._description(key, sentence.text, sentence.settings),
            )
            if self.rehearsal is not None and self.rehearsal.takes is not None:
                self.rehearsal.takes[key] = utterance
            return utterance

        def regret() -> NotStored | None:
            return NotStored.PERSONAL if self.guard.holds_back(sentence.text) else None

        done = partial(self.leading.close, sentence)
        self._store.write(key, make, ttl=ttl, of=sentence.turn, regret=regret, done=done)

    def give_up(self, sentence: LiveSentence, reason: NotStored) -> None:
        """Count a sentence that has no recording of its own.

        Args:
            sentence: The sentence.
            reason: Why.
        """
        if sentence.key is not None:
            self.stats.not_stored[reason] += 1

    def explain(self, reason: Bypass) -> None:
        """Say once why speech is left alone, where that is for good and may come as a surprise.

        Args:
            reason: Why.
        """
        if reason in _EXPLAINED and self.options.active:
            self._say(reason, _EXPLAINED[reason])

    def step_aside(self, unmet: Sequence[str]) -> None:
        """Use the cache no more, and say why.

        Args:
            unmet: What the cache needs and Pipecat, or the service, does not have.
        """
        if self.options.active:
            self._say(
                Bypass.PIPECAT_CHANGED,
                f"Pipecat {pipecat_version()} is not as the cache needs it: missing or changed "
                f"{'is' if len(unmet) == 1 else 'are'} {', '.join(unmet)}. Nothing is cached; the "
                f"bot speaks as it does without the cache. Pipecat {TESTED} is tested: install "
                f"such a release, or a newer pipecat-tts-cache",
            )
        self.options.usable = False

    def doubt(self, reason: NotStored) -> None:
        """Rule out the sentences that have ended but are not judged yet.

        Args:
            reason: Why.
        """
        for sentence in self._unjudged:
            sentence.recording.fail(reason)

    def cancel(self, turn: Hashable) -> None:
        """Cancel the writes of a turn that are still pending.

        Args:
            turn: The turn.
        """
        if self._store is not None:
            self._store.cancel(turn)

    async def clear(self, namespace: str | None) -> int:
        """Forget all utterances, or all of one namespace.

        Args:
            namespace: The namespace, or None for everything in the store.

        Returns:
            How many were removed.
        """
        return await self._store.clear(namespace) if self._store else 0

    async def delete_text(self, text: str) -> int:
        """Erase a sentence, in every namespace, voice and setting.

        Args:
            text: The text as prepared for the provider.

        Returns:
            How many utterances were removed.
        """
        if self._store is None:
            return 0
        return await self._store.delete_text(text, secret=self.options.secret)

    def top_misses(self) -> list[RankedLine]:
        """Tell what was spoken live more than once, by all services on the store.

        Returns:
            The sentences of this namespace that hold nothing personal, what costs most first.
        """
        found = self._store.misses.top(self.options.namespace) if self._store else []
        return [line for line in found if not self.guard.holds_back(line.text)]

    async def describe(self) -> dict[str, Any]:
        """Put the statistics together.

        Returns:
            See `TTSCacheMixin.get_cache_stats`.
        """
        backend = await self._store.describe() if self._store else None
        return self.stats.as_dict(enabled=self.options.active, backend=backend)

    async def written(self) -> None:
        """Wait until no write is pending."""
        if self._store is not None:
            await self._store.written()

    async def close(self) -> None:
        """Let pending writes end."""
        if self._store is not None:
            await self._store.drain()
        self.stats.tell()

    def _description(self, key: CacheKey, text: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a record says of a sentence besides the speech: fields of `Utterance`."""
        in_force = self._reader.in_force(settings)
        return {
            "seal": key.seal,
            "text": text if self.options.store_text else None,
            "text_digest": keys.digest_text(text, secret=self.options.secret),
            "service": self._reader.service_name,
            "voice": _as_text(in_force.get("voice")),
            "model": _as_text(in_force.get("model")),
        }

    def _about(self, sentence: LiveSentence) -> dict[str, str | None]:
        model = _as_text(self._reader.in_force(sentence.settings).get("model"))
        return {"tag": sentence.control.tag, "model": model, "context_id": sentence.turn.context_id}

    def _note_miss(self, text: str, control: CacheControl) -> None:
        """Count what is spoken live, unless that is wanted or its text is not to be kept."""
        wanted = control.refresh or control.no_store or self.rehearsal is not None
        if self._store is not None and self.options.store_text and not wanted:
            self._store.misses.note(self.options.namespace, text)

    def _refused(self, sentence: LiveSentence) -> bool:
        reason = sentence.recording.judge()
        if reason is None and not self.options.active:
            reason = NotStored.DISABLED
        if reason is None and sentence.control.no_store:
            reason = NotStored.CONTROL
        if reason is None and self.guard.holds_back(sentence.text):
            reason = NotStored.PERSONAL
        if reason is not None:
            self.stats.not_stored[reason] += 1
        return reason is not None

    async def _reason_to_bypass(self, text: str, control: CacheControl) -> Bypass | None:
        reason = None
        if not self.options.active:
            reason = Bypass.DISABLED
        elif control.bypass:
            reason = Bypass.CONTROL
        elif self.guard.holds_back(text):
            reason = Bypass.PERSONAL
        elif not await self._should_cache(text):
            reason = Bypass.SHOULD_CACHE
        return reason

    async def _should_cache(self, text: str) -> bool:
        predicate = self.options.should_cache
        if predicate is None:
            return True
        try:
            async with asyncio.timeout(self.options.lookup_timeout):
                verdict = predicate(text)
                return bool(await verdict if inspect.isawaitable(verdict) else verdict)
        except Exception as error:
            name = type(error).__name__
            self._say(
                "should_cache", f"should_cache failed ({name}); such sentences are not cached"
            )
            return False

    async def _digest(self, text: str, settings: Mapping[str, Any], sample_rate: int) -> str:
        def digest() -> str:
            request = self._reader.request(
                text=text,
                settings=settings,
                sample_rate=sample_rate,
                extra=self.options.key_extra,
            )
            return keys.digest(request, secret=self.options.secret)

        return await asyncio.to_thread(digest) if self._reader.reads_files(settings) else digest()

    def _say(self, topic: str, message: str) -> None:
        if topic not in self._said:
            self._said.add(topic)
            logger.warning(f"TTS cache of {self._reader.service_name}: {message}.")


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)
