#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Recordings that stand in for synthesis."""

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from pipecat_tts_cache.checks import check_positive_int
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.inventory import Selection, list_entries
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.outcomes import Pinned
from pipecat_tts_cache.preparation.place import Manner, Place, find_place
from pipecat_tts_cache.preparation.warming import ServiceFactory
from pipecat_tts_cache.preparation.word_times import (
    checked_times,
    checked_words,
    estimated_words,
    spell,
)
from pipecat_tts_cache.sound import samples as sound
from pipecat_tts_cache.sound.loading import MAX_RATE, MAX_SECONDS, MIN_RATE
from pipecat_tts_cache.sound.plain import load_audio
from pipecat_tts_cache.utterance import Utterance, Word

if TYPE_CHECKING:
    from pipecat_tts_cache.sound.samples import Samples

Audio = bytes | str | os.PathLike[str]
_STEREO = 2
_BYTES_PER_SAMPLE = 2
_QUIETEST = -70.0
"""LUFS; what is softer counts as silence."""
_LONG_ENOUGH = 0.4
_ENOUGH = 20
"""Of that many utterances of a voice, each of so many seconds, its loudness is known."""


async def pin(
    service_factory: ServiceFactory,
    line: str | Line,
    audio: Audio,
    *,
    words: Iterable[Word | tuple[str, float]] | None = None,
    loudness: float | Literal["voice"] | None = None,
    audio_rate: int | None = None,
    audio_channels: int = 1,
    as_turn: bool = False,
    sample_rate: int | None = None,
    line_timeout: float = 60.0,
) -> Pinned:
    """Let a recording stand in for a line, under exactly the key that live speech uses.

    It wins over synthesis until `unpin`: it has no time to live, no store of this library evicts
    it, and what is spoken live does not replace it. It is mixed to mono and resampled to the rate
    of the service.

    Args:
        service_factory: Makes a service behind `TTSCacheMixin`, with a store, as the bot makes it.
            It is called once, with the options of the line, and asks its provider for nothing.
        line: What the bot says; a `Line` where options tell the voice.
        audio: The path of a sound file, or samples: PCM s16le, channels interleaved.
        words: The words with the times when they begin, in seconds; they have to make up the line.
            None to guess the times. Where the service tells no words, none are kept.
        loudness: What to match, in LUFS, or "voice" for the loudness of what the store holds in
            that voice. The recording gets no louder than it can without clipping. None to leave it
            as it is.
        audio_rate: Sample rate of samples, in Hz; a file has its own.
        audio_channels: Number of channels of samples, 1 or 2.
        as_turn: Whether the line is a sentence that a language model writes; by default it is a
            `TTSSpeakFrame`.
        sample_rate: Of the bot's audio output, in Hz, if it sets `audio_out_sample_rate`; it is
            part of the key. None for Pipecat's default.
        line_timeout: Seconds that it may take to find the key.

    Returns:
        What is kept now.

    Raises:
        BackendError: If the store fails, or does not keep the recording.
        OSError: If the file cannot be read.
        RuntimeError: If the service cannot be started.
        TimeoutError: If it does not start within half a minute, or the line takes too long.
        TypeError: If the factory does not make such a service, or an argument has the wrong type.
        UncacheableError: If the line is not for the cache.
        ValueError: If the service has no store, the line is nothing to say or several sentences,
            the recording or its words make no sense, or there is nothing to match its loudness to.
    """
    recording = _Recording(audio, audio_rate, audio_channels)
    given = None if words is None else checked_words(words)
    wanted = _checked_loudness(loudness)
    await asyncio.to_thread(recording.check)
    manner = Manner(as_turn=as_turn, sample_rate=sample_rate, line_timeout=line_timeout)
    place = await find_place(service_factory, line, manner)
    level = await _loudness_of_voice(place) if wanted == "voice" else wanted
    text = line if isinstance(line, str) else line.text
    pinned = await asyncio.to_thread(_make, place, text, recording, given, level)
    await _keep(place, pinned.utterance)
    return pinned


async def unpin(
    service_factory: ServiceFactory,
    line: str | Line,
    *,
    as_turn: bool = False,
    sample_rate: int | None = None,
    line_timeout: float = 60.0,
) -> bool:
    """Take away the recording that stands in for a line, so that it is spoken live again.

    Args:
        service_factory: As for `pin`.
        line: As for `pin`.
        as_turn: As for `pin`.
        sample_rate: As for `pin`.
        line_timeout: As for `pin`.

    Returns:
        Whether there was one. What is there and not pinned stays.

    Raises:
        BackendError: If the store fails.
        RuntimeError: As for `pin`.
        TimeoutError: As for `pin`.
        TypeError: As for `pin`.
        UncacheableError: As for `pin`.
        ValueError: As for `pin`.
    """
    manner = Manner(as_turn=as_turn, sample_rate=sample_rate, line_timeout=line_timeout)
    place = await find_place(service_factory, line, manner)
    there = await place.backend.peek(place.key)
    return there is not None and there.pinned and await place.backend.delete(place.key)


class _Recording:
    """A file, or samples, of which it is known what they are."""

    def __init__(self, audio: Audio, rate: int | None, channels: int) -> None:
        self._audio, self._rate, self._channels = audio, rate or 0, channels
        if isinstance(audio, bytes):
            _check_samples(audio, rate, channels)
        elif not isinstance(audio, str | os.PathLike):
            kind = type(audio).__name__
            raise TypeError(f"audio must be samples as bytes, or the path of a file, not {kind}")
        elif rate is not None or channels != 1:
            name = "audio_channels" if rate is None else "audio_rate"
            raise ValueError(f"{name} is for samples: a file tells it by itself")

    def check(self) -> None:
        """Make sure that a file is there. It blocks."""
        if not isinstance(self._audio, bytes):
            Path(self._audio).stat()

    def read(self, sample_rate: int) -> "Samples":
        """Read it in mono, at a rate in Hz. It blocks."""
        if not isinstance(self._audio, bytes):
            return sound.from_pcm(load_audio(self._audio, sample_rate, 1), 1)
        mono = sound.mixed(sound.from_pcm(self._audio, self._channels))
        return sound.resample(mono, self._rate, sample_rate)


def _check_samples(audio: bytes, rate: int | None, channels: int) -> None:
    if rate is None:
        raise ValueError("samples need a rate: give audio_rate, in Hz")
    if not MIN_RATE <= check_positive_int("audio_rate", rate) <= MAX_RATE:
        raise ValueError(f"audio_rate must be {MIN_RATE} to {MAX_RATE} Hz, not {rate}")
    if check_positive_int("audio_channels", channels) > _STEREO:
        raise ValueError(f"audio_channels must be 1 or 2, not {channels}")
    block = _BYTES_PER_SAMPLE * channels
    if not audio or len(audio) % block:
        raise ValueError(f"{len(audio)} bytes are no samples of {block} bytes each")
    if len(audio) > MAX_SECONDS * rate * block:
        raise ValueError(f"the recording is longer than {MAX_SECONDS:g} s")


def _checked_loudness(loudness: object) -> float | Literal["voice"] | None:
    if loudness is None:
        return None
    if loudness == "voice":
        return "voice"
    if isinstance(loudness, bool) or not isinstance(loudness, int | float):
        raise TypeError(f'loudness must be in LUFS, or "voice", not {loudness!r}')
    if not _QUIETEST < loudness <= 0:
        raise ValueError(f"loudness must be above {_QUIETEST:g} and at most 0 LUFS, not {loudness}")
    return float(loudness)


async def _loudness_of_voice(place: Place) -> float:
    """Measure what the store holds in a voice, in LUFS."""
    description = place.asked.description
    names = ("service", "voice", "model")
    chosen = Selection(namespace=place.key.namespace, **{name: description[name] for name in names})
    levels: list[float] = []
    async for entry in list_entries(place.backend, chosen):
        if entry.pinned or entry.duration < _LONG_ENOUGH:
            continue
        if (utterance := await place.backend.peek(entry.key)) is None:
            continue
        if (level := await asyncio.to_thread(_loudness, utterance)) is not None:
            levels.append(level)
        if len(levels) == _ENOUGH:
            break
    if not levels:
        raise ValueError(
            "the store holds nothing in that voice to match the loudness of the recording to: let "
            "it speak first, or give a loudness in LUFS"
        )
    return median(levels)


def _loudness(utterance: Utterance) -> float | None:
    samples = sound.from_pcm(utterance.audio, utterance.num_channels)
    return sound.loudness(samples, utterance.sample_rate)


def _make(
    place: Place,
    text: str,
    recording: _Recording,
    given: tuple[Word, ...] | None,
    level: float | None,
) -> Pinned:
    """Make what is to be kept. It blocks."""
    samples, gain = recording.read(place.sample_rate), 0.0
    if level is not None:
        now = sound.loudness(samples, place.sample_rate)
        if now is None:
            raise ValueError("the recording is silent: it has no loudness to match")
        samples, gain = sound.amplify(samples, level - now)
    utterance = Utterance(
        audio=sound.to_pcm(samples),
        sample_rate=place.sample_rate,
        created_at=time.time(),
        pinned=True,
        **place.asked.description,
    )
    words = _words(place, text, given, samples) if place.tells_words else ()
    return Pinned(key=place.key, utterance=replace(utterance, words=words), gain=gain)


def _words(
    place: Place, text: str, given: tuple[Word, ...] | None, samples: "Samples"
) -> tuple[Word, ...]:
    if given is None:
        return estimated_words(place.asked.text, samples, place.sample_rate)
    if not spell(given, text, place.asked.text):
        raise ValueError("the words do not make up the line")
    return checked_times(given, len(samples) / place.sample_rate)


async def _keep(place: Place, utterance: Utterance) -> None:
    if not await place.backend.set(place.key, utterance, ttl=None):
        raise BackendError("the store refuses the recording: it may be larger than what has room")
    kept = await place.backend.peek(place.key)
    if kept is None or not kept.pinned or kept.seal != utterance.seal:
        raise BackendError("the store took the recording, but does not hold it")
