#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Samples are made small without losing one, and what cannot be made small stays as it is."""

import array
import math
import random
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipecat_tts_cache import CorruptRecordError, Utterance, codec
from pipecat_tts_cache.checks import check_choice
from pipecat_tts_cache.codec import Codec, Payload, decode, encode
from pipecat_tts_cache.testing.store_contract import make_utterance
from pipecat_tts_cache.utterance import HEAD_SIZE, head_size, is_encoded, read_header

RATES = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]


def tone(seconds: float = 0.5, *, sample_rate: int = 24_000, num_channels: int = 1) -> bytes:
    """Make something that is easily made small."""
    count = round(seconds * sample_rate)
    samples = (
        round(9000 * math.sin(i / (7 + channel)))
        for i in range(count)
        for channel in range(num_channels)
    )
    return array.array("h", samples).tobytes()


def spoken(**changes: Any) -> Utterance:
    return replace(make_utterance(), audio=tone(), **changes)


@pytest.mark.parametrize("num_channels", [1, 2, 8])
@pytest.mark.parametrize("sample_rate", RATES)
def test_flac_gives_back_every_sample(sample_rate: int, num_channels: int) -> None:
    """Whatever the rate and the number of channels, the samples come back, from less room."""
    audio = tone(0.1, sample_rate=sample_rate, num_channels=num_channels)
    kind, payload = encode(audio, sample_rate=sample_rate, num_channels=num_channels, codec="flac")
    assert Payload.FLAC is kind
    assert len(payload) < len(audio)
    frames = len(audio) // (2 * num_channels)
    assert audio == decode(payload, num_frames=frames, num_channels=num_channels)


@given(
    st.binary(min_size=2, max_size=3000).map(lambda some: some[: len(some) // 2 * 2]),
    st.integers(0, 5),
)
@settings(max_examples=50)
def test_whatever_the_samples_are_they_come_back(audio: bytes, repeat: int) -> None:
    """Extremes, noise and silence survive, alone or behind a second of something."""
    audio = bytes(2 * repeat * 1000) + audio + b"\x00\x80\xff\x7f"
    utterance = Utterance(audio=audio, sample_rate=24_000)
    assert utterance == Utterance.from_bytes(utterance.to_bytes(codec="flac"))


def test_what_flac_does_not_make_smaller_stays() -> None:
    """Noise is kept as it is, and so is a single sample."""
    for audio in (random.Random(1).randbytes(4800), b"\x01\x02"):
        asked = encode(audio, sample_rate=24_000, num_channels=1, codec="flac")
        assert (Payload.RAW, audio) == asked


def test_what_flac_cannot_take_stays() -> None:
    """A rate that it does not know, or too many channels, is no error."""
    for rate, channels in ((655_360, 1), (2**40, 1), (24_000, 9)):
        audio = bytes(2 * channels * 100)
        assert (Payload.RAW, audio) == encode(
            audio, sample_rate=rate, num_channels=channels, codec="flac"
        )


@pytest.mark.parametrize("sample_rate", RATES)
def test_opus_takes_its_own_rates_only(sample_rate: int) -> None:
    """At other rates, where it would have to resample, FLAC stands in for it."""
    audio = tone(sample_rate=sample_rate)
    kind, payload = encode(audio, sample_rate=sample_rate, num_channels=1, codec="opus")
    expected = (
        Payload.OPUS if sample_rate in (8_000, 12_000, 16_000, 24_000, 48_000) else Payload.FLAC
    )
    assert expected is kind
    assert len(audio) == len(decode(payload, num_frames=len(audio) // 2, num_channels=1))


def test_opus_is_small_and_as_long_and_much_the_same() -> None:
    """It loses samples' values, but neither length nor what is heard."""
    utterance = spoken()
    record = utterance.to_bytes(codec="opus")
    found = Utterance.from_bytes(record)
    assert len(record) < len(utterance.to_bytes(codec="raw")) / 4
    assert replace(utterance, audio=found.audio) == found
    assert utterance.audio != found.audio
    pairs = zip(array.array("h", utterance.audio), array.array("h", found.audio), strict=True)
    off = math.sqrt(sum((one - other) ** 2 for one, other in pairs) / utterance.num_frames)
    assert off < 2000


def test_watermarked_audio_is_never_lossy() -> None:
    """What a provider has marked keeps its mark."""
    utterance = spoken(watermarked=True)
    record = utterance.to_bytes(codec="opus")
    assert "flac" == read_header(record)["codec"]
    assert utterance == Utterance.from_bytes(record)


@pytest.mark.parametrize("name", get_args(Codec))
def test_a_record_says_how_it_is_kept(name: Codec) -> None:
    """The header tells the codec, the length and the size, without the audio being read."""
    utterance = spoken(text="Hello.", voice="anna")
    record = utterance.to_bytes(codec=name)
    header = read_header(record[:HEAD_SIZE])
    assert (name, len(record)) == (header["codec"], header["size"])
    assert (utterance.num_frames, "Hello.", "anna") == (
        header["num_frames"],
        header["text"],
        header["voice"],
    )
    assert (name != "raw") == is_encoded(record)
    assert head_size(record) < HEAD_SIZE


def test_a_long_header_says_how_long_it_is() -> None:
    """If the beginning of a record is not enough, it tells what is."""
    record = spoken(text="a" * 10_000).to_bytes()
    size = head_size(record[:HEAD_SIZE])
    assert size > HEAD_SIZE
    assert "a" * 10_000 == read_header(record[:size])["text"]
    with pytest.raises(CorruptRecordError):
        read_header(record[: size - 1])


@pytest.mark.parametrize("name", ["flac", "opus"])
def test_damage_to_small_audio_is_noticed(name: Codec) -> None:
    """A flipped bit anywhere, and an end cut off anywhere, is refused."""
    record = spoken().to_bytes(codec=name)
    for place in range(0, len(record), 97):
        damaged = bytearray(record)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(CorruptRecordError):
            Utterance.from_bytes(bytes(damaged))
        with pytest.raises(CorruptRecordError):
            Utterance.from_bytes(record[:place])


@pytest.mark.parametrize(
    "payload",
    [b"", b"fLaC", b"RIFF", b"OggS" * 50, tone(), b"\x1aE\xdf\xa3" + bytes(100)],
    ids=["nothing", "flac", "wav", "ogg", "samples", "matroska"],
)
def test_a_payload_that_is_none_is_refused(payload: bytes) -> None:
    """Whatever stands where FLAC should, is refused in words that hold none of it."""
    with pytest.raises(ValueError, match=r"cannot be read|another length"):
        decode(payload, num_frames=100, num_channels=1)


def test_a_payload_of_another_length_is_refused() -> None:
    """More samples, fewer, or other channels than the header says are refused."""
    _, payload = encode(tone(), sample_rate=24_000, num_channels=1, codec="flac")
    for frames, channels in ((11_999, 1), (12_001, 1), (6_000, 2), (0, 1), (-1, 1)):
        with pytest.raises(ValueError, match="another length"):
            decode(payload, num_frames=frames, num_channels=channels)


def test_a_payload_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that say that they are hours of silence are not believed."""
    monkeypatch.setattr(codec, "_MAX_AUDIO", 20_000)
    _, payload = encode(bytes(24_000), sample_rate=24_000, num_channels=1, codec="flac")
    with pytest.raises(ValueError, match="hours"):
        decode(payload, num_frames=12_000, num_channels=1)


@pytest.mark.parametrize("name", ["", "FLAC", "mp3", None, 1, ["flac"]])
def test_an_unknown_codec_is_refused(name: Any) -> None:
    """What there is, is named."""
    with pytest.raises(ValueError, match="'raw', 'flac' or 'opus'"):
        check_choice("codec", name, Codec)
