#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A recording is kept where live speech looks for the line, until it is taken away."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import (
    BackendError,
    CacheKey,
    MemoryCacheBackend,
    Selection,
    UncacheableError,
    Utterance,
    Word,
    list_entries,
)
from pipecat_tts_cache.preparation.lines import Line
from pipecat_tts_cache.preparation.pinning import pin, unpin
from pipecat_tts_cache.preparation.warming import warm
from pipecat_tts_cache.sound.samples import from_pcm, loudness
from pipecat_tts_cache.testing.driver import running
from pipecat_tts_cache.testing.provider import Provider
from tests.cached_scripted import CACHED_SCRIPTED
from tests.company import no_time
from tests.scripted import SCRIPTED
from tests.sounds import sine, write
from tests.stored import entries

__all__ = ["no_time"]

RATE = 24_000
LINE = "One moment, please."
TONE = sine(RATE, seconds=1.5).tobytes()
KINDS = ["inline", "inline words", "overlapping", "shared clock", "in order"]
TELL_WORDS = ["inline words", "overlapping", "shared clock"]


class Company:
    """Makes services of one kind, all on one provider and one store."""

    def __init__(self, kind: str = "inline words", **options: Any) -> None:
        self.provider = Provider()
        self.store = MemoryCacheBackend()
        self.made = 0
        self._kind, self._options = kind, options

    def __call__(self, voice: str = "anna", **options: Any) -> Any:
        self.made += 1
        settings = TTSSettings(model="scripted", voice=voice, language=None)
        given = {"cache_backend": self.store, "settings": settings, **self._options, **options}
        return CACHED_SCRIPTED[self._kind](self.provider, **given)


async def put(make: Any, line: str | Line = LINE, audio: Any = TONE, **options: Any) -> Any:
    """Pin a recording, usually a tone of 1.5 s."""
    if isinstance(audio, bytes):
        options = {"audio_rate": RATE, **options}
    return await pin(make, line, audio, sample_rate=RATE, **options)


async def said_live(make: Any, line: str = LINE, **options: Any) -> bytes:
    """Have a new service say a line, and return the audio."""
    async with running(make(**options), sample_rate=RATE) as bot:
        await bot.speak(line)
        said = await bot.until_quiet()
    return said.contexts[0].audio


# Where it is kept


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_heard_in_place_of_synthesis(kind: str) -> None:
    """The provider is asked for nothing, neither for pinning nor in the call."""
    make = Company(kind)
    pinned = await put(make)
    assert TONE == pinned.utterance.audio == await said_live(make)
    assert [] == make.provider.requests
    assert [pinned.utterance] == entries(make.store)


async def test_it_takes_the_place_of_what_was_synthesized() -> None:
    """Under the same key."""
    make = Company()
    live = await said_live(make)
    await put(make)
    assert live != TONE == await said_live(make)
    assert 1 == len(entries(make.store))


async def test_a_line_tells_its_voice() -> None:
    """Options of a `Line` go to the function that makes the service."""
    make = Company()
    pinned = await put(make, Line(LINE, {"voice": "ben"}))
    assert "ben" == pinned.utterance.voice
    assert TONE == await said_live(make, voice="ben")
    assert TONE != await said_live(make, voice="anna")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sentence_of_a_turn_is_pinned_as_such(kind: str) -> None:
    """It is found in the middle of what a language model writes."""
    make = Company(kind)
    await put(make, as_turn=True)
    async with running(make(), sample_rate=RATE) as bot:
        await bot.llm_turn(f"Hello there. {LINE} Thank you.")
        said = await bot.until_quiet()
    assert TONE in said.contexts[0].audio
    assert ["Hello there.", "Thank you."] == [text.strip() for text in make.provider.texts]


async def test_the_rate_of_the_bot_is_part_of_the_key() -> None:
    """A recording for a telephone line is heard there."""
    make = Company()
    pinned = await pin(make, LINE, TONE, audio_rate=RATE, sample_rate=8_000)
    assert 8_000 == pinned.utterance.sample_rate
    assert TONE != await said_live(make)
    async with running(make(), sample_rate=8_000) as bot:
        await bot.speak(LINE)
        said = await bot.until_quiet()
    assert pinned.utterance.audio == said.contexts[0].audio
    assert not await unpin(make, LINE, sample_rate=RATE)
    assert await unpin(make, LINE, sample_rate=8_000)


async def test_the_record_says_what_a_live_one_says() -> None:
    """All but the speech, and that it is pinned and kept for ever."""
    make = Company(cache_ttl=60.0, cache_namespace="acme")
    await said_live(make)
    (live,) = entries(make.store)
    await put(make)
    (pinned,) = entries(make.store)
    for name in ("seal", "text", "text_digest", "service", "voice", "model", "sample_rate"):
        assert getattr(live, name) == getattr(pinned, name), name
    assert (False, True) == (live.pinned, pinned.pinned)
    assert None is pinned.expires_at
    assert ["acme"] == [each.key.namespace async for each in make.store.entries()]


async def test_a_text_that_is_not_to_be_kept_is_not() -> None:
    """As for what is spoken live."""
    pinned = await put(Company(cache_store_text=False))
    assert None is pinned.utterance.text


async def test_pins_can_be_listed() -> None:
    """By a selection."""
    make = Company()
    await said_live(make, "Hello.")
    pinned = await put(make)
    listed = [each async for each in list_entries(make.store, Selection(pinned=True))]
    assert [pinned.key] == [each.key for each in listed]
    assert [LINE] == [each.text for each in listed]


# How long it is kept


async def test_it_survives_expiry_and_eviction() -> None:
    """Whatever the service and the store have been told."""
    now = 0.0
    make = Company(cache_ttl=5.0)
    make.store = MemoryCacheBackend(max_size=2, clock=lambda: now)
    await put(make)
    now = 1e9
    for text in ("One.", "Two.", "Three.", "Four."):
        await said_live(make, text)
    assert 2 == len(entries(make.store))
    assert TONE == await said_live(make)


async def test_what_is_spoken_live_does_not_replace_it() -> None:
    """Neither a refresh nor a look-up that came too late."""

    class Slow(MemoryCacheBackend):
        slow = False

        async def get(self, key: CacheKey) -> Utterance | None:
            await asyncio.sleep(10 if self.slow else 0)
            return await super().get(key)

    make = Company()
    make.store = Slow()
    await put(make)
    tts = make()
    async with running(tts, sample_rate=RATE) as bot:
        with tts.cache_control(refresh=True):
            await bot.speak(LINE)
            await bot.until_quiet()
        make.store.slow = True
        await bot.speak(LINE)
        await bot.until_quiet(patience=60)
        make.store.slow = False
    assert {LINE: ("refused",)} == (await warm(make, [LINE], refresh=True, sample_rate=RATE)).failed
    assert [LINE] * 3 == make.provider.texts
    assert TONE == await said_live(make)


@pytest.mark.parametrize("kind", KINDS)
async def test_unpinning_gives_the_synthesis_back(kind: str) -> None:
    """Once: then there is nothing to take away."""
    make = Company(kind)
    await put(make)
    assert await unpin(make, LINE, sample_rate=RATE)
    assert not await unpin(make, LINE, sample_rate=RATE)
    assert TONE != await said_live(make)
    assert [LINE] == make.provider.texts


async def test_unpinning_leaves_what_is_not_pinned() -> None:
    """It was paid for."""
    make = Company()
    await said_live(make)
    assert not await unpin(make, LINE, sample_rate=RATE)
    assert 1 == len(entries(make.store))


# The recording


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a"])
async def test_a_file_is_resampled_and_mixed(kind: str, tmp_path: Path) -> None:
    """Of any format, rate and number of channels."""
    left = sine(48_000, hertz=1000)
    both = np.stack([left, 0 * left], axis=1)
    path = await asyncio.to_thread(write, tmp_path, kind, both, 48_000)
    pinned = await put(Company(), audio=path)
    assert (RATE, 1) == (pinned.utterance.sample_rate, pinned.utterance.num_channels)
    assert 1.0 == pytest.approx(pinned.utterance.duration, abs=0.03)
    assert 1000 == pytest.approx(pitch(pinned.utterance), abs=3)


async def test_a_plain_file_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAV and FLAC are read without it; for others the message says how to install it."""
    monkeypatch.setitem(sys.modules, "av", None)
    for kind in ("wav", "flac"):
        path = await asyncio.to_thread(write, tmp_path, kind, sine(RATE), RATE)
        assert sine(RATE).tobytes() == (await put(Company(), audio=path)).utterance.audio
    path = await asyncio.to_thread(write, tmp_path, "mp3", sine(RATE), RATE)
    with pytest.raises(ValueError, match=r"pip install 'pipecat-tts-cache\[audio\]'"):
        await put(Company(), audio=path)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
async def test_samples_are_resampled_and_mixed(rate: int) -> None:
    """To the rate of the service, with the mean of both channels."""
    left = sine(rate, hertz=1000, peak=8000)
    audio = np.stack([left, 0 * left], axis=1).tobytes()
    pinned = await put(Company(), audio=audio, audio_rate=rate, audio_channels=2)
    samples = from_pcm(pinned.utterance.audio, 1)[:, 0]
    assert 1.0 == pytest.approx(pinned.utterance.duration, abs=0.001)
    assert 1000 == pytest.approx(pitch(pinned.utterance), abs=3)
    assert 4000 / 32768 == pytest.approx(np.abs(samples[1000:-1000]).max(), rel=0.02)


def pitch(utterance: Utterance) -> float:
    """Find the strongest frequency, in Hz."""
    samples = from_pcm(utterance.audio, 1)[:, 0]
    strongest = int(np.argmax(np.abs(np.fft.rfft(samples))))
    return strongest * utterance.sample_rate / len(samples)


async def test_it_is_as_loud_as_was_asked_for() -> None:
    """In LUFS; and else as it was."""
    for level in (-30.0, -20.0):
        pinned = await put(Company(), loudness=level)
        assert level == pytest.approx(loud(pinned.utterance.audio), abs=0.1)
        assert level - loud(TONE) == pytest.approx(pinned.gain, abs=0.1)
    pinned = await put(Company())
    assert (TONE, 0.0) == (pinned.utterance.audio, pinned.gain)


def loud(audio: bytes) -> float:
    """Measure samples at 24 kHz, in LUFS."""
    level = loudness(from_pcm(audio, 1), RATE)
    assert level is not None
    return level


async def test_it_never_clips() -> None:
    """What has no room gets as loud as it can."""
    peaks = np.frombuffer(TONE, np.int16).copy()
    peaks[100] = -20_000
    pinned = await put(Company(), audio=peaks.tobytes(), loudness=-1.0)
    samples = np.frombuffer(pinned.utterance.audio, np.int16)
    assert 32767 == np.abs(samples.astype(int)).max()
    assert 32767 / 20_000 == pytest.approx(10 ** (pinned.gain / 20), rel=1e-4)


async def test_it_can_be_as_loud_as_its_voice() -> None:
    """By the median of what the store holds in that voice, other pins left out."""
    make = Company()
    for number, peak in enumerate((500, 2000, 4000)):
        other = await put(make, f"Line {number}.", sine(RATE, peak=peak).tobytes())
        await make.store.delete(other.key)
        await make.store.set(other.key, replace(other.utterance, pinned=False))
    await put(make, "Line 4.", sine(RATE, peak=20_000).tobytes())
    await put(make, Line("Line 5.", {"voice": "ben"}), sine(RATE, peak=20_000).tobytes())
    pinned = await put(make, loudness="voice")
    expected = loud(sine(RATE, peak=2000).tobytes())
    assert expected == pytest.approx(loud(pinned.utterance.audio), abs=0.1)


# Its words


@pytest.mark.parametrize("kind", KINDS)
async def test_words_are_guessed_where_they_are_told(kind: str) -> None:
    """Where the service tells none, the text would be told twice."""
    pinned = await put(Company(kind))
    expected = LINE.split() if kind in TELL_WORDS else []
    assert expected == [word.text for word in pinned.utterance.words]
    given = await put(Company(kind), words=[("One", 0.1), ("moment,", 0.5), ("please.", 1.0)])
    assert len(expected) == len(given.utterance.words)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_transcript_is_that_of_live_speech(kind: str) -> None:
    """Of a `TTSSpeakFrame` and of a turn."""
    messages, told = [], []
    for make in (Company(kind), Company(kind)):
        if messages:
            await put(make)
        async with running(make(), sample_rate=RATE) as bot:
            await bot.speak(LINE)
            await bot.until_quiet()
            await bot.llm_turn(f"{LINE} So.")
            said = await bot.until_quiet()
        messages.append(bot.messages)
        told.append([[text.text for text in each.words] for each in said.contexts])
    assert messages[0] == messages[1]
    assert told[0] == told[1]


async def test_words_that_are_given_are_told() -> None:
    """At their times, in any of their forms."""
    times = [("one", 0.1), Word("moment", 0.5), ["PLEASE", 1]]
    pinned = await put(Company(), words=times)
    assert (Word("one", 0.1), Word("moment", 0.5), Word("PLEASE", 1.0)) == pinned.utterance.words


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("One moment, please.", "not one string"),
        ([("One", "0"), ("moment", 1.0), ("please", 1.0)], "a pair of its text and its time"),
        ([("One", True), ("moment", 1.0), ("please", 1.0)], "a pair of its text and its time"),
        ([("One moment please",)], "a pair of its text and its time"),
        ([("One moment please", 0.0), (" ", 0.0)], "a pair of its text and its time"),
        ([5], "not int"),
        ([], "do not make up the line"),
        ([("One", 0.0), ("moment", 0.5)], "do not make up the line"),
        ([("One", 0.0), ("moment", 0.8), ("please", 0.5)], "word 3 is said to begin at 0.5 s"),
        ([("One", -0.1), ("moment", 0.8), ("please", 0.9)], "word 1"),
        ([("One", 0.0), ("moment", 0.8), ("please", 1.6)], "end of the recording, 1.50 s"),
        ([("One", 0.0), ("moment", float("nan")), ("please", 1.0)], "word 2"),
        ([("One", 0.0), ("moment", 0.5), ("please", float("inf"))], "word 3"),
    ],
)
async def test_words_that_make_no_sense_are_refused(words: Any, error: str) -> None:
    """And nothing is kept."""
    make = Company()
    with pytest.raises((TypeError, ValueError), match=error):
        await put(make, words=words)
    assert [] == entries(make.store)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"audio": None}, "as bytes, or the path of a file, not NoneType"),
        ({"audio": b""}, "0 bytes are no samples"),
        ({"audio": b"abc"}, "3 bytes are no samples of 2 bytes each"),
        ({"audio": b"abcdef", "audio_channels": 2}, "6 bytes are no samples of 4 bytes each"),
        ({"audio_channels": 3}, "1 or 2, not 3"),
        ({"audio_channels": "1"}, "audio_channels must be an int"),
        ({"audio_rate": None}, "give audio_rate"),
        ({"audio_rate": 24e3}, "audio_rate must be an int"),
        ({"audio_rate": 10}, "1000 to 384000 Hz, not 10"),
        ({"audio": bytes(2 * 601_000), "audio_rate": 1000}, "longer than 600 s"),
        ({"audio": "line.wav", "audio_rate": RATE}, "audio_rate is for samples"),
        ({"audio": "line.wav", "audio_rate": None, "audio_channels": 2}, "audio_channels is for"),
        ({"audio": "line.wav"}, "No such file"),
        ({"loudness": "loud"}, 'in LUFS, or "voice"'),
        ({"loudness": True}, 'in LUFS, or "voice"'),
        ({"loudness": 3}, "at most 0 LUFS, not 3"),
        ({"loudness": float("nan")}, "at most 0 LUFS, not nan"),
        ({"line": 5}, "a string or a Line, not int"),
        ({"line_timeout": 0}, "line_timeout"),
        ({"as_turn": "no"}, "as_turn must be a bool, not str"),
    ],
)
async def test_nonsense_is_refused(arguments: dict[str, Any], error: str) -> None:
    """At once, and before any service is made."""
    make = Company()
    with pytest.raises((TypeError, ValueError, OSError), match=error):
        await put(make, **arguments)
    assert 0 == make.made


@pytest.mark.parametrize(
    ("line", "options", "error"),
    [
        (" ", {}, "nothing to say"),
        ("", {}, "nothing to say"),
        (f"Hello. {LINE}", {"as_turn": True}, "in several sentences"),
        (LINE, {"loudness": "voice"}, "nothing in that voice"),
        (LINE, {"loudness": -20.0, "audio": bytes(RATE)}, "silent"),
    ],
)
async def test_a_line_that_cannot_be_pinned_is_refused(
    line: str, options: dict[str, Any], error: str
) -> None:
    """And nothing is kept."""
    make = Company()
    with pytest.raises(ValueError, match=error):
        await put(make, line, **options)
    assert [] == entries(make.store)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cache_enabled": False}, "disabled"),
        ({"should_cache": lambda _: False}, "should_cache"),
        ({"cache_scope": "speak"}, "scope"),
    ],
)
async def test_what_is_not_for_the_cache_is_refused(options: dict[str, Any], reason: str) -> None:
    """It would never be heard; the reason is that of `Bypass`."""
    make = Company(**options)
    with pytest.raises(UncacheableError, match=f"not for the cache: {reason}"):
        await put(make, as_turn=True)


async def test_a_service_that_steps_aside_is_refused() -> None:
    """It would never look for the recording."""
    make = Company()

    def make_one_that_changed() -> Any:
        tts = make()
        tts._tts_cache_book.step_aside(["something"])
        return tts

    with pytest.raises(UncacheableError, match="pipecat_changed"):
        await put(make_one_that_changed)


async def test_the_factory_makes_what_has_a_cache() -> None:
    """A service without the mixin, or without a store, is refused in words."""
    with pytest.raises(TypeError, match="behind TTSCacheMixin, not "):
        await put(lambda: SCRIPTED["inline"](Provider()))
    with pytest.raises(ValueError, match="cache_backend"):
        await put(lambda: CACHED_SCRIPTED["inline"](Provider()))


async def test_a_store_that_does_not_keep_it_is_told() -> None:
    """Whether it says so or not."""

    class Forgetful(MemoryCacheBackend):
        async def set(self, *_: Any, **__: Any) -> bool:
            return True

    make = Company()
    make.store = MemoryCacheBackend(max_bytes=1000)
    with pytest.raises(BackendError, match="refuses"):
        await put(make)
    make.store = Forgetful()
    with pytest.raises(BackendError, match="does not hold it"):
        await put(make)
