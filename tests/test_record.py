#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A record comes back to the bit, and whatever is not one is told apart and does no harm."""

import pickle
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipecat_tts_cache import CorruptRecordError, NewerRecordError, RecordError, Utterance, Word
from pipecat_tts_cache.utterance import FORMAT_VERSION, PINNED_STOP, is_pinned

HEAD = struct.Struct("<4sBBIII")
AUDIO = bytes(range(256)) * 4
WORDS = (Word("Hello", 0.0), Word("thère", 0.25), Word("你", 0.5, carries_spaces=True))
UTTERANCE = Utterance(
    audio=AUDIO,
    sample_rate=24000,
    words=WORDS,
    seal="ab" * 32,
    created_at=1_767_225_600.125,
    text="Hello thère 你",
    service="SomeTTSService",
    voice="anna",
)
FIELDS: dict[str, Any] = {
    "sample_rate": 24000,
    "num_channels": 1,
    "words": [["Hello", 0.0, False]],
    "seal": "ab" * 32,
    "created_at": 1.0,
    "expires_at": None,
    "text": "Hello",
    "text_digest": "",
    "service": "SomeTTSService",
    "voice": None,
    "model": "big",
    "watermarked": False,
    "num_frames": len(AUDIO) // 2,
}

HEADER: bytes = msgpack.packb(FIELDS)

any_text = st.text(st.characters(), max_size=20)  # lone surrogates, too
times = st.floats(min_value=0, allow_infinity=False, allow_nan=False) | st.integers(0, 2**63)
any_words = st.lists(st.builds(Word, any_text, times, st.booleans()), max_size=5).map(tuple)
utterances = st.builds(
    Utterance,
    audio=st.binary(min_size=8, max_size=64).map(lambda audio: audio[: len(audio) // 8 * 8]),
    sample_rate=st.integers(1, 2**64 - 1),
    num_channels=st.sampled_from([1, 2, 4]),
    words=any_words,
    seal=any_text,
    created_at=st.floats(allow_infinity=False, allow_nan=False),
    text=st.none() | any_text,
    service=any_text,
    voice=st.none() | any_text,
    model=st.none() | any_text,
    expires_at=st.none() | st.floats(allow_infinity=False, allow_nan=False),
    text_digest=any_text,
    watermarked=st.booleans(),
    pinned=st.booleans(),
)


def record(
    header: bytes,
    audio: bytes = AUDIO,
    *,
    magic: bytes = b"PTTS",
    version: int = FORMAT_VERSION,
    flags: int = 0,
    missing: int = 0,
) -> bytes:
    """Put a record together whose checksum is right, whatever is in it."""
    head = HEAD.pack(magic, version, flags, len(header), len(audio) + missing, 0)[:-4]
    crc = zlib.crc32(audio, zlib.crc32(header, zlib.crc32(head)))
    return head + struct.pack("<I", crc) + header + audio


def headed(audio: bytes = AUDIO, **changes: Any) -> bytes:
    """Put a record together with changed fields in its header; `...` leaves one out."""
    channels = changes.get("num_channels", 1)
    if isinstance(channels, int) and channels > 0:
        changes = {"num_frames": len(audio) // (2 * channels), **changes}
    fields = {name: value for name, value in (FIELDS | changes).items() if value is not ...}
    return record(msgpack.packb(fields, unicode_errors="surrogatepass"), audio)


def is_refused(data: bytes) -> bool:
    try:
        Utterance.from_bytes(data)
    except RecordError:
        return True
    return False


# What was written


@given(utterances)
def test_an_utterance_comes_back(utterance: Utterance) -> None:
    """Every field of an utterance survives, whatever is in it."""
    found = Utterance.from_bytes(utterance.to_bytes())
    assert utterance == found
    assert utterance.expires_at == found.expires_at
    assert [type(word) for word in utterance.words] == [type(word) for word in found.words]
    assert found.to_bytes() == utterance.to_bytes()
    assert found.is_sound()


@pytest.mark.parametrize(
    "utterance",
    [
        UTTERANCE,
        replace(UTTERANCE, audio=random.Random(1).randbytes(10_000_000)),
        replace(UTTERANCE, words=tuple(Word(f"word {n}", n / 10) for n in range(10_000))),
        replace(UTTERANCE, words=tuple(Word("", 0) for _ in range(50_000))),
        replace(UTTERANCE, text="\ud800 \udfff \x00 \U0001f99c" * 1000),
        replace(UTTERANCE, text=None, voice=None, model=None),
        replace(UTTERANCE, num_channels=32, audio=bytes(64)),
        replace(UTTERANCE, words=(Word("late", 1e300), Word("early", 0.0))),
    ],
    ids=["plain", "long", "words", "smallest words", "odd text", "nothing", "channels", "times"],
)
def test_large_and_odd_ones_come_back(utterance: Utterance) -> None:
    """Neither size nor oddity harms."""
    assert utterance == Utterance.from_bytes(utterance.to_bytes())


def test_a_record_reads_from_any_kind_of_bytes() -> None:
    """What a store gives back may be bytes of another type; the samples are plain bytes."""
    data = UTTERANCE.to_bytes()
    for kind in (bytes, bytearray, memoryview):
        found = Utterance.from_bytes(kind(data))  # type: ignore[arg-type]
        assert UTTERANCE == found
        assert bytes is type(found.audio)


def test_the_layout_is_the_one_that_is_documented() -> None:
    """Magic, version, flags, lengths, checksum, header, samples."""
    data = UTTERANCE.to_bytes()
    magic, version, flags, header_size, audio_size, crc = HEAD.unpack_from(data)
    assert (b"PTTS", 1, 0, len(AUDIO)) == (magic, version, flags, audio_size)
    assert AUDIO == data[HEAD.size + header_size :]
    fields = msgpack.unpackb(data[HEAD.size : HEAD.size + header_size])
    assert FIELDS.keys() == fields.keys()
    assert crc == zlib.crc32(data[:14] + data[18:])


def test_records_of_this_version_are_read_for_ever() -> None:
    """A record that was written when this was written is still read."""
    data = bytes.fromhex(
        "50545453010057010000080000004bdb9d488dab73616d706c655f72617465cd1f40ac6e756d5f63"
        "68616e6e656c7302a5776f7264739293a64772c3bcc39fcb0000000000000000c293a4476f7474cb"
        "3fd0000000000000c3a47365616cd940616261626162616261626162616261626162616261626162"
        "61626162616261626162616261626162616261626162616261626162616261626162616261626162"
        "aa637265617465645f6174cb3ff8000000000000aa657870697265735f6174cb40f5181800000000"
        "a474657874ab4772c3bcc39f20476f7474ab746578745f646967657374d940636463646364636463"
        "64636463646364636463646364636463646364636463646364636463646364636463646364636463"
        "646364636463646364636463646364a773657276696365ae536f6d6554545353657276696365a576"
        "6f696365a4616e6e61a56d6f64656cc0ab77617465726d61726b6564c3aa6e756d5f6672616d6573"
        "020001020304050607"
    )
    assert Utterance.from_bytes(data) == Utterance(
        audio=bytes(range(8)),
        sample_rate=8000,
        num_channels=2,
        words=(Word("Grüß", 0.0), Word("Gott", 0.25, carries_spaces=True)),
        seal="ab" * 32,
        created_at=1.5,
        text="Grüß Gott",
        text_digest="cd" * 32,
        service="SomeTTSService",
        voice="anna",
        watermarked=True,
    )
    assert 86401.5 == Utterance.from_bytes(data).expires_at


def test_only_what_is_pinned_says_so() -> None:
    """The header begins with it, so that a few bytes tell; other records are as they were."""
    plain, pinned = UTTERANCE.to_bytes(), replace(UTTERANCE, pinned=True).to_bytes()
    header_size = HEAD.unpack_from(pinned)[3]
    fields = msgpack.unpackb(pinned[HEAD.size : HEAD.size + header_size])
    assert ("pinned", FIELDS.keys()) == (next(iter(fields)), fields.keys() - {"pinned"})
    assert (False, True) == (is_pinned(plain), is_pinned(pinned[:PINNED_STOP]))
    assert (False, True) == tuple(Utterance.from_bytes(one).pinned for one in (plain, pinned))
    assert [False, False] == [is_pinned(b""), is_pinned(b"pinned" * 4)]


def test_what_says_pinned_elsewhere_is_not() -> None:
    """Neither a text that looks like the mark makes a pin, nor a mark in another place."""
    text = "\xe6pinned\xc3" * 3
    assert not is_pinned(replace(UTTERANCE, text=text, seal=text, service=text).to_bytes())
    assert is_refused(record(msgpack.packb(FIELDS | {"pinned": True})))
    for value in (False, 1, None, "yes"):
        assert is_refused(record(msgpack.packb({"pinned": value} | FIELDS)))
    assert not is_refused(record(msgpack.packb({"pinned": True} | FIELDS)))


def test_too_much_text_is_not_written() -> None:
    """A header of more than a megabyte is refused when it is written, not when it is read."""
    with pytest.raises(RecordError, match="too large"):
        replace(UTTERANCE, text="a" * 2**20).to_bytes()
    assert not is_refused(replace(UTTERANCE, text="a" * (2**20 - 1000)).to_bytes())


def test_duration_and_size() -> None:
    """An utterance knows its length in seconds, and about what it takes in memory."""
    utterance = Utterance(audio=bytes(96000), sample_rate=24000, num_channels=2)
    assert 1.0 == utterance.duration
    assert 96000 < utterance.size < 97000
    assert replace(utterance, words=WORDS, text="Hello").size > utterance.size


# What was damaged


def test_every_truncation_is_noticed() -> None:
    """A record that lacks its end, or its beginning, by any number of bytes is refused."""
    data = UTTERANCE.to_bytes()
    assert [] == [size for size in range(len(data)) if not is_refused(data[:size])]
    assert [] == [size for size in range(1, len(data)) if not is_refused(data[size:])]


def test_every_flipped_bit_is_noticed() -> None:
    """A single flipped bit anywhere in a record is noticed, and so is any other single byte."""
    data = replace(UTTERANCE, audio=AUDIO[:64]).to_bytes()
    missed = []
    for place in range(len(data)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            damaged = bytearray(data)
            damaged[place] ^= flip
            if not is_refused(bytes(damaged)):
                missed.append((place, flip))
    assert [] == missed


@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8))
def test_bytes_too_many_are_noticed(place: int, more: bytes) -> None:
    """Bytes that were put in anywhere, before and behind too, are noticed."""
    data = UTTERANCE.to_bytes()
    place %= len(data) + 1
    assert is_refused(data[:place] + more + data[place:])


@given(st.data())
def test_swapped_and_overwritten_parts_are_noticed(data: st.DataObject) -> None:
    """A stretch of a record that holds something else is noticed."""
    whole = UTTERANCE.to_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    stretch = data.draw(st.binary(min_size=1, max_size=64))[: len(whole) - start]
    damaged = whole[:start] + stretch + whole[start + len(stretch) :]
    assert is_refused(damaged) is (damaged != whole)


@pytest.mark.parametrize("version", [2, 3, 255])
def test_a_newer_version_is_told_apart(version: int) -> None:
    """A record of a newer format is not damaged, only unknown."""
    with pytest.raises(NewerRecordError, match=str(version)):
        Utterance.from_bytes(record(b"whatever comes", version=version))


def test_versions_and_flags_that_never_were() -> None:
    """There was no version 0, and there is no fourth kind of payload."""
    with pytest.raises(CorruptRecordError, match="version 0"):
        Utterance.from_bytes(record(b"", version=0))
    with pytest.raises(CorruptRecordError, match="flags 3"):
        Utterance.from_bytes(record(HEADER, flags=3))


def test_a_right_checksum_is_not_enough() -> None:
    """Magic and lengths have to be right, too, and text and words of a possible size."""
    assert not is_refused(record(HEADER))
    assert is_refused(record(HEADER, magic=b"PTTX"))
    assert is_refused(record(HEADER, missing=2))
    assert is_refused(headed(text="a" * 2**20))


# What was never a record


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_garbage_is_refused(garbage: bytes) -> None:
    """Anything else is refused, also behind a magic number, and also in a header."""
    assert is_refused(garbage)
    assert is_refused(b"PTTS" + garbage)
    assert is_refused(UTTERANCE.to_bytes()[:18] + garbage)
    assert is_refused(record(garbage))


class Attack:
    """What runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_never_executed(protocol: int) -> None:
    """A pickle is garbage, wherever it stands."""
    attack = pickle.dumps(Attack(), protocol)
    assert is_refused(attack)
    assert is_refused(record(attack))
    assert is_refused(headed(text=attack))
    assert is_refused(headed(voice=msgpack.ExtType(1, attack)))


def array(size: int) -> bytes:
    return b"\xdd" + struct.pack(">I", size)


BOMBS = {
    "nested arrays": b"\x91" * 500_000,
    "nested maps": b"\x81\xa1a" * 300_000,
    "endless nesting": b"\x91" * 1000 + b"\xc0",
    "nesting in a map": b"\x81\xa5words" + b"\x91" * 400 + b"\xc0",
    "a huge array": array(2**32 - 1),
    "huge arrays": array(2**20) * 200_000,
    "large arrays": array(80_000) * 200_000,
    "a huge map": b"\xdf\xff\xff\xff\xff",
    "a huge text": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "a huge extension": b"\xc9\xff\xff\xff\xff\x01",
    "more than a megabyte": b"\xc0" * (2**20 + 1),
    "equal keys": b"\xde\xff\xff" + b"\xa1a\xc0" * 65535,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_do_not_go_off(bomb: str) -> None:
    """A header that claims to be huge, or deep, is refused at no cost."""
    assert is_refused(record(BOMBS[bomb]))


STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    2**63,
    "",
    "text",
    b"bytes",
    [],
    [1],
    {},
    {"a": 1},
    msgpack.ExtType(5, b"x"),
    msgpack.Timestamp(1, 1),
]


FITTING: dict[str, list[Any]] = {
    "sample_rate": [2**63],
    "created_at": [-1, 0, 1.5, 2**63],
    "expires_at": [None, -1, 0, 1.5, 2**63],
    "watermarked": [True],
    "seal": ["", "text"],
    "service": ["", "text"],
    "text_digest": ["", "text"],
    "text": [None, "", "text"],
    "voice": [None, "", "text"],
    "model": [None, "", "text"],
    "words": ["", [], {}],
}
"""What of the strange values is a value of a field."""


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_its_type(name: str) -> None:
    """A header with a field missing, or of another type, is refused, checksum or not."""
    assert is_refused(headed(**{name: ...}))
    for value in STRANGE:
        fitting = FITTING.get(name, [])
        fits = any(value is one for one in fitting) or (
            type(value) in (str, int, float, list, dict) and value in fitting
        )
        assert (value, fits) == (value, not is_refused(headed(**{name: value})))


def test_no_field_is_added() -> None:
    """A header with a field too many is refused, also one that an utterance has besides."""
    for name in ("extra", "audio", "self", "cls"):
        assert is_refused(record(msgpack.packb(FIELDS | {name: b"1234"})))


@pytest.mark.parametrize(
    "word",
    [
        [],
        ["Hello"],
        ["Hello", 0.0],
        ["Hello", 0.0, False, 1],
        [None, 0.0, False],
        [b"Hello", 0.0, False],
        ["Hello", "0.0", False],
        ["Hello", None, False],
        ["Hello", -0.1, False],
        ["Hello", float("nan"), False],
        ["Hello", float("inf"), False],
        ["Hello", True, False],
        ["Hello", 0.0, 0],
        ["Hello", 0.0, None],
        [["Hello"], 0.0, False],
        "abc",
        1,
        None,
        {"a": 1, "b": 2, "c": 3},
    ],
)
def test_every_word_is_one(word: Any) -> None:
    """A word is a text, a time that can be, and whether it carries its spaces."""
    assert is_refused(headed(words=[["Hello", 0.0, False], word]))


@pytest.mark.parametrize("header", [b"\xc0", b"\x90", b"\xa5words", b"\x80", b"\xc2", b""])
def test_a_header_is_a_map(header: bytes) -> None:
    """A header that is something else, or nothing, is refused."""
    assert is_refused(record(header))


@pytest.mark.parametrize(
    ("audio", "channels"), [(b"", 1), (b"1", 1), (b"123", 1), (b"12", 2), (b"123456", 2)]
)
def test_audio_is_in_whole_samples(audio: bytes, channels: int) -> None:
    """Audio that is empty, or ends within a sample, is refused."""
    assert is_refused(headed(audio, num_channels=channels))


def test_what_is_said_does_not_quote_the_text() -> None:
    """The message of an error may be logged; what was said, and by whom, is not in it."""
    broken: list[dict[str, Any]] = [
        {"words": [["hunter2", "hunter2", False]]},
        {"words": ["hunter2"]},
        {"words": "hunter2"},
        {"sample_rate": "hunter2"},
        {"hunter2": "hunter2"},
        {"text": b"hunter2"},
    ]
    for changes in broken:
        with pytest.raises(CorruptRecordError) as caught:
            Utterance.from_bytes(headed(**changes))
        assert "hunter2" not in str(caught.value)
    with pytest.raises(CorruptRecordError) as caught:
        Utterance.from_bytes(record(b"\x81\xa4text\xa7hunter\xff"))
    assert "hunter" not in str(caught.value)


# Soundness


@pytest.mark.parametrize(
    "changes",
    [
        {"audio": b""},
        {"audio": b"123"},
        {"audio": bytearray(480)},
        {"audio": memoryview(bytes(480))},
        {"audio": "text"},
        {"sample_rate": 0},
        {"sample_rate": -24000},
        {"sample_rate": 24000.0},
        {"sample_rate": True},
        {"sample_rate": None},
        {"num_channels": 0},
        {"num_channels": 33, "audio": bytes(66)},
        {"num_channels": 1.0},
        {"num_channels": 3},
        {"words": None},
        {"words": []},
        {"words": (("Hello", 0.0, False),)},
        {"words": (Word("Hello", -1.0),)},
        {"words": (Word("Hello", float("nan")),)},
        {"words": (Word("Hello", "0"),)},  # type: ignore[arg-type]
        {"words": (Word(None, 0.0),)},  # type: ignore[arg-type]
        {"words": (Word("Hello", 0.0, 1),)},  # type: ignore[arg-type]
        {"seal": None},
        {"seal": b"ab"},
        {"created_at": None},
        {"created_at": float("inf")},
        {"service": None},
        {"text": 1},
        {"voice": b"anna"},
        {"model": ["big"]},
        {"expires_at": "1"},
        {"expires_at": float("nan")},
        {"text_digest": None},
        {"watermarked": 1},
        {"pinned": 1},
    ],
    ids="-".join,
)
def test_what_cannot_be_replayed_is_not_sound(changes: dict[str, Any]) -> None:
    """An utterance with one impossible value is not sound, and says so without raising."""
    assert UTTERANCE.is_sound()
    assert not replace(UTTERANCE, **changes).is_sound()
