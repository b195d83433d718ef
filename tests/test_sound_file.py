#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A sound file plays anywhere, holds everything, and tells when it is damaged."""

import json
import math
import random
import shutil
import struct
import subprocess
import wave
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipecat_tts_cache import CorruptRecordError, NewerRecordError, RecordError, Utterance, Word
from pipecat_tts_cache.codec import Codec, Payload
from pipecat_tts_cache.sound.containers import MAX_HEAD
from pipecat_tts_cache.sound.file import (
    HEAD_SIZE,
    from_sound_file,
    is_encoded,
    read_sound_head,
    sound_head_size,
    to_sound_file,
)

TONE = b"".join(
    struct.pack("<h", int(8000 * math.sin(n / 9) + 500 * math.sin(n / 2))) for n in range(4800)
)
UTTERANCE = Utterance(
    audio=TONE,
    sample_rate=24000,
    words=(Word("Hello", 0.0), Word("thère", 0.25), Word("你", 0.5, carries_spaces=True)),
    seal="ab" * 32,
    created_at=1_767_225_600.125,
    expires_at=1_767_312_000.5,
    text="Hello thère 你",
    text_digest="cd" * 32,
    service="SomeTTSService",
    voice="anna",
    model=None,
)
CODECS: list[Codec] = ["raw", "flac", "opus"]
SUFFIXES = {"raw": ".wav", "flac": ".flac", "opus": ".opus"}
FILES = {codec: to_sound_file(UTTERANCE, namespace="a/b", codec=codec).content for codec in CODECS}

any_text = st.text(st.characters(), max_size=20)  # lone surrogates, too
times = st.floats(min_value=0, allow_infinity=False, allow_nan=False) | st.integers(0, 2**63)
utterances = st.builds(
    Utterance,
    audio=st.binary(min_size=8, max_size=64).map(lambda audio: audio[: len(audio) // 8 * 8]),
    sample_rate=st.integers(1, 400_000_000),
    num_channels=st.sampled_from([1, 2, 4]),
    words=st.lists(st.builds(Word, any_text, times, st.booleans()), max_size=5).map(tuple),
    seal=any_text,
    created_at=st.floats(allow_infinity=False, allow_nan=False),
    expires_at=st.none() | times,
    text=st.none() | any_text,
    text_digest=any_text,
    service=any_text,
    voice=st.none() | any_text,
    model=st.none() | any_text,
    watermarked=st.booleans(),
    pinned=st.booleans(),
)


def is_refused(data: bytes) -> bool:
    try:
        from_sound_file(data)
    except RecordError:
        return True
    return False


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def wav(description: bytes) -> bytes:
    """Put a WAV file together whose checksum is right, whatever its description says."""
    fmt = struct.pack("<HHIIHH", 1, 1, 24000, 48000, 2, 16)
    chunks = [(b"fmt ", fmt), (b"ptts", description), (b"data", TONE)]
    body = b"WAVE" + b"".join(
        name + struct.pack("<I", len(each)) + each + b"\0" * (len(each) % 2)
        for name, each in chunks
    )
    file = b"RIFF" + struct.pack("<I", len(body)) + body
    return file.replace(b'"crc32":"00000000"', b'"crc32":"%08x"' % zlib.crc32(file))


def described(**changes: Any) -> bytes:
    """Put a WAV file together with changed fields; `...` leaves one out."""
    found = FILES["raw"]
    fields = json.loads(found[found.index(b'{"pipecat') : found.index(b"LIST")].rstrip(b"\0"))
    fields |= {"crc32": "00000000"} | changes
    fields = {name: value for name, value in fields.items() if value is not ...}
    return wav(json.dumps(fields, separators=(",", ":")).encode())


def bits(data: bytes) -> Iterator[int]:
    """Bits to flip: all of the beginning, where the description is, and some of the rest."""
    yield from range(8 * 800)
    yield from range(8 * 800, 8 * len(data), 997)
    yield from range(8 * (len(data) - 16), 8 * len(data))


# What was written


@pytest.mark.parametrize("codec", CODECS)
def test_an_utterance_comes_back(codec: Codec) -> None:
    """Every field comes back, and without loss every sample."""
    file = to_sound_file(UTTERANCE, namespace="a/b", codec=codec)
    assert SUFFIXES[codec] == file.suffix
    namespace, found = from_sound_file(file.content)
    assert "a/b" == namespace
    assert UTTERANCE.expires_at == found.expires_at
    assert UTTERANCE.num_frames == found.num_frames
    assert (codec != "raw") == is_encoded(file.content)
    if codec == "opus":
        assert found.audio != UTTERANCE.audio
        found = replace(found, audio=UTTERANCE.audio)
    assert found == UTTERANCE


@settings(max_examples=200)
@given(utterances, any_text, st.sampled_from(["raw", "flac"]))
@example(replace(UTTERANCE, text="\ud800\udc00"), "", "flac")
@example(UTTERANCE, "\ud800\udc00", "raw")
@example(replace(UTTERANCE, words=(Word("\ud800\udc00", 0),)), "", "flac")
def test_whatever_is_in_it_comes_back(utterance: Utterance, namespace: str, codec: Codec) -> None:
    """All that can be replayed comes back, or is refused when it is written."""
    try:
        file = to_sound_file(utterance, namespace=namespace, codec=codec)
    except RecordError:
        texts = json.dumps([utterance.words, utterance.text, namespace, utterance.service])
        assert "\\ud" in texts or "\\ud" in repr(utterance)
        return
    found_namespace, found = from_sound_file(file.content)
    assert (namespace, utterance) == (found_namespace, found)
    assert utterance.expires_at == found.expires_at
    assert [type(word.start) for word in utterance.words] == [
        type(word.start) for word in found.words
    ]


@pytest.mark.parametrize(
    "utterance",
    [
        replace(UTTERANCE, audio=random.Random(1).randbytes(10_000_000)),
        replace(UTTERANCE, audio=TONE * 200),
        replace(UTTERANCE, words=tuple(Word(f"word {n}", n / 10) for n in range(10_000))),
        replace(UTTERANCE, text="\ud800 \udfff \x00 \U0001f99c" * 1000),
        replace(UTTERANCE, text=None, voice=None, expires_at=None),
        replace(UTTERANCE, num_channels=32, audio=bytes(64)),
        replace(UTTERANCE, sample_rate=11_025),
        replace(UTTERANCE, audio=b"ab"),
    ],
    ids=["noise", "long", "words", "odd text", "nothing", "channels", "rate", "one sample"],
)
@pytest.mark.parametrize("codec", ["raw", "flac"])
def test_large_and_odd_ones_come_back(utterance: Utterance, codec: Codec) -> None:
    """Neither size nor oddity harms."""
    file = to_sound_file(utterance, namespace="", codec=codec)
    assert ("", utterance) == from_sound_file(file.content)


@pytest.mark.parametrize(
    ("codec", "changes", "suffix"),
    [
        ("opus", {"watermarked": True}, ".flac"),
        ("opus", {"sample_rate": 22_050}, ".flac"),
        ("opus", {"sample_rate": 44_100}, ".flac"),
        ("opus", {"num_channels": 4}, ".flac"),
        ("opus", {"words": tuple(Word("word", 0.5) for _ in range(3000))}, ".flac"),
        ("opus", {"words": tuple(Word("word", 0.5) for _ in range(2200))}, ".opus"),
        ("flac", {"audio": random.Random(1).randbytes(9600)}, ".wav"),
        ("flac", {"num_channels": 16}, ".wav"),
        ("flac", {"sample_rate": 700_000}, ".wav"),
        ("flac", {"sample_rate": 65_537}, ".wav"),
    ],
)
def test_what_a_codec_does_not_suit(codec: Codec, changes: dict[str, Any], suffix: str) -> None:
    """Opus is never used where it may not or cannot, nor FLAC where it saves nothing."""
    utterance = replace(UTTERANCE, **changes)
    file = to_sound_file(utterance, namespace="", codec=codec)
    assert suffix == file.suffix
    _, found = from_sound_file(file.content)
    assert found == (replace(utterance, audio=found.audio) if suffix == ".opus" else utterance)


@pytest.mark.parametrize(
    "changes",
    [
        {"audio": b""},
        {"audio": b"123"},
        {"words": tuple(Word("word" * 10, 0.5) for _ in range(20_000))},
        {"text": "x" * 1_100_000},
        {"sample_rate": 2**32},
        {"text": "\ud83d\ude00"},
    ],
)
def test_what_a_file_cannot_hold_is_refused(changes: dict[str, Any]) -> None:
    """What would not come back is not written."""
    for codec in CODECS:
        with pytest.raises(RecordError):
            to_sound_file(replace(UTTERANCE, **changes), namespace="", codec=codec)


# What others make of it


def test_a_wav_file_opens_with_python() -> None:
    """Python's own reader finds the same samples."""
    with wave.open(BytesIO(FILES["raw"])) as file:
        assert (1, 2, 24000, 4800) == file.getparams()[:4]
        assert file.readframes(10_000) == TONE


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_opens_with_libsndfile(codec: Codec) -> None:
    """An independent reader finds the sound, and the text as its title."""
    with soundfile.SoundFile(BytesIO(FILES[codec])) as file:
        assert (4800, 24000, 1) == (file.frames, file.samplerate, file.channels)
        assert "Hello thère 你" == file.title
        audio = file.buffer_read(dtype="int16")[:]
    assert (codec != "opus") == (audio == TONE)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("two\r\nlines\x00 and \ud800 more\t", "two lines and more"),
        ("x" * 1000, "x" * 200),
        (None, ""),
        ("\x00", ""),
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_a_title_is_one_short_line(codec: Codec, text: str | None, title: str) -> None:
    """Players get a printable line of a bounded length; the text itself is in the description."""
    file = to_sound_file(replace(UTTERANCE, text=text), namespace="", codec=codec).content
    with soundfile.SoundFile(BytesIO(file)) as opened:
        assert title == opened.title
    assert text == from_sound_file(file)[1].text


@pytest.mark.parametrize("codec", CODECS)
def test_the_description_reads_without_this_library(codec: Codec) -> None:
    """The JSON, the checksum, and the samples are where the documentation says."""
    data = FILES[codec]
    start = data.index(b'{"pipecat_tts_cache":1,')
    fields, _ = json.JSONDecoder().raw_decode(data[start:].decode("latin-1"))
    assert "Hello thère 你" == fields["text"]
    assert [["Hello", 0.0, False], ["thère", 0.25, False], ["你", 0.5, True]] == fields["words"]
    if codec != "opus":
        stated = fields["crc32"].encode()
        assert int(stated, 16) == zlib.crc32(data.replace(stated, b"00000000"))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("program", ["flac", "ffprobe"])
def test_a_file_opens_with_other_programs(tmp_path: Path, codec: Codec, program: str) -> None:
    """Where they are installed, other programs find nothing wrong."""
    if shutil.which(program) is None or (program == "flac" and codec != "flac"):
        pytest.skip(f"{program} is not installed, or not for this")
    path = tmp_path / f"sound{SUFFIXES[codec]}"
    path.write_bytes(FILES[codec])
    arguments = ["-t", "-s"] if program == "flac" else ["-v", "error"]
    done = subprocess.run([program, *arguments, path], capture_output=True, check=True)
    assert b"" == done.stderr


# Its beginning


@pytest.mark.parametrize("codec", CODECS)
def test_the_beginning_tells_all_but_the_audio(codec: Codec) -> None:
    """From its first bytes a file can be described."""
    head = read_sound_head(FILES[codec][:HEAD_SIZE])
    assert ("a/b", 4800, 0.2, Payload(codec)) == (
        head.namespace,
        head.num_frames,
        head.duration,
        head.codec,
    )
    assert head.utterance == replace(UTTERANCE, audio=b"\0\0")
    assert UTTERANCE.expires_at == head.utterance.expires_at


@pytest.mark.parametrize("codec", CODECS)
def test_how_much_of_it_is_needed(codec: Codec) -> None:
    """From any beginning it can be told how much more is needed, in few steps."""
    words = tuple(Word(f"word {n}", n / 10) for n in range(1000))
    file = to_sound_file(replace(UTTERANCE, words=words), namespace="", codec=codec).content
    for size in (0, 1, 4, 12, 27, 100, HEAD_SIZE):
        head, steps = file[:size], 0
        while (needed := sound_head_size(head)) > len(head):
            with pytest.raises(CorruptRecordError):
                read_sound_head(head)
            head, steps = file[:needed], steps + 1
        assert words == read_sound_head(head).utterance.words
        assert steps < 8
        assert len(head) < len(file)


# Damage


@pytest.mark.parametrize("codec", CODECS)
def test_no_flipped_bit_is_accepted(codec: Codec) -> None:
    """A single wrong bit anywhere, in sound, title, lengths or checksum, is told apart."""
    data = FILES[codec]
    assert not is_refused(data)
    assert [bit for bit in bits(data) if not is_refused(flipped(data, bit))] == []


def test_damage_to_the_checksum_of_a_page_is_found_without_decoding() -> None:
    """In an Ogg file the page around the description has a checksum of its own, which counts."""
    data = FILES["opus"]
    start = data.index(b"OggS", 4) + 22
    for bit in range(8 * start, 8 * start + 32):
        with pytest.raises(CorruptRecordError, match="the checksum is wrong"):
            from_sound_file(flipped(data, bit))


@pytest.mark.parametrize("codec", CODECS)
def test_no_part_of_a_file_is_accepted(codec: Codec) -> None:
    """Cut off anywhere, or with something behind it, a file is refused."""
    data = FILES[codec]
    cuts = [*range(1000), *range(1000, len(data), 53), len(data) - 1]
    assert [cut for cut in cuts if not is_refused(data[:cut])] == []
    for more in (b"\0", b"x" * 1000, data):
        assert is_refused(data + more)


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_no_changed_stretch_is_accepted(codec: Codec, data: st.DataObject) -> None:
    """Whatever is written over a part of a file, it is refused."""
    file = FILES[codec]
    start = data.draw(st.integers(0, len(file) - 1))
    other = data.draw(st.binary(min_size=1, max_size=64))
    changed = (file[:start] + other + file[start + len(other) :])[: len(file)]
    assert changed == file or is_refused(changed)


@given(st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"RIFF\0\0\0\0WAVE"]), st.binary())
@example(b"RIFF", b"\0\0\0\0WAVEfmt \x10\0\0\0" + bytes(16) + b"ptts\xff\xff\xff\xff")
@example(b"fLaC", b"\x84\xff\xff\xff" + b"\xff" * 8)
@example(b"OggS", bytes(22) + b"\0OggS" + bytes(22) + b"\xff" + b"\xff" * 255)
def test_garbage_is_refused(start: bytes, rest: bytes) -> None:
    """Bytes that were never such a file are refused, and nothing else happens."""
    assert is_refused(start + rest)
    assert sound_head_size_or_none(start + rest) in (None, *range(MAX_HEAD + 1))


def sound_head_size_or_none(data: bytes) -> int | None:
    try:
        return sound_head_size(data)
    except CorruptRecordError:
        return None


def test_other_peoples_sound_files_are_refused() -> None:
    """A sound file without a description is none of ours."""
    for form in ("WAV", "FLAC", "OGG", "AIFF"):
        written = BytesIO()
        soundfile.write(written, [0.1] * 100, 24000, format=form)
        assert is_refused(written.getvalue())


@pytest.mark.parametrize("version", [2, 99, 123_456_789])
def test_a_newer_file_is_told_apart(version: int) -> None:
    """A file of a newer format is not taken for a damaged one, whole or by its beginning."""
    data = wav(b'{"pipecat_tts_cache":%d,"something":"new"}' % version)
    for read in (from_sound_file, read_sound_head):
        with pytest.raises(NewerRecordError):
            read(data)


@pytest.mark.parametrize(
    "description",
    [
        b"",
        b"null",
        b"[]",
        b'{"pipecat_tts_cache":0,"crc32":"00000000"}',
        b'{"pipecat_tts_cache":1,"crc32":"00000000"}',
        b'{"pipecat_tts_cache":1,"crc32":"00000000"',
        b'{"pipecat_tts_cache":1,"crc32":"00000000","words":' + b"[" * 100_000,
        b'{"pipecat_tts_cache":1,"crc32":"00000000","words":' + b"9" * 5000 + b"}",
        b'{"pipecat_tts_cache":1, "crc32":"00000000"}',
        b'{"pipecat_tts_cache":1,"crc32":"00000000"}' + b" " * (1 << 20),
    ],
    ids=range(10),
)
def test_a_description_is_a_map_with_the_right_fields(description: bytes) -> None:
    """A description that is something else, deep, or huge, is refused."""
    assert is_refused(wav(description))


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": ...},
        {"namespace": None},
        {"num_frames": ...},
        {"num_frames": 4799},
        {"num_frames": 4801},
        {"num_frames": 4800.0},
        {"num_frames": -1},
        {"sample_rate": 0},
        {"sample_rate": 24001},
        {"sample_rate": 10**400},
        {"num_channels": 0},
        {"num_channels": 2},
        {"num_channels": 10**9},
        {"num_channels": True},
        {"num_channels": "1"},
        {"created_at": 10**400},
        {"created_at": math.nan},
        {"expires_at": math.inf},
        {"expires_at": "never"},
        {"words": None},
        {"words": [["Hello"]]},
        {"words": [["Hello", -1.0, False]]},
        {"words": [["Hello", 10**400, False]]},
        {"text": 1},
        {"seal": ...},
        {"extra": 1},
        {"audio": "1234"},
        {"self": 1},
        {"watermarked": 0},
        {"pinned": True},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    """A field that is missing, too many, of another type or impossible is refused."""
    assert not is_refused(described())
    assert is_refused(described(**changes))


def test_what_is_said_does_not_quote_the_text() -> None:
    """The message of an error may be logged; what was said is not in it."""
    for changes in ({"words": [["hunter2", "hunter2", 0]]}, {"hunter2": 1}, {"text": ["hunter2"]}):
        with pytest.raises(CorruptRecordError) as caught:
            from_sound_file(described(**changes))
        assert "hunter2" not in str(caught.value)
    with pytest.raises(CorruptRecordError) as caught:
        from_sound_file(wav(b'{"pipecat_tts_cache":1,"crc32":"00000000","text":hunter2}'))
    assert "hunter" not in str(caught.value)
