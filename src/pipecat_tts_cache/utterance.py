#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The record: one utterance, and its bytes at rest.

Layout of a record, all numbers little-endian::

    offset  size  field
    0       4     magic, b"PTTS"
    4       1     format version
    5       1     how the payload is written: 0 raw, 1 FLAC, 2 Ogg Opus
    6       4     length of the header in bytes
    10      4     length of the payload in bytes
    14      4     CRC-32 of everything but these four bytes
    18      …     header: a msgpack map of every field but the audio, and how long that is
    …       …     payload: the samples, PCM s16le, interleaved; or a FLAC or Ogg Opus file of them

The header of what is pinned begins with "pinned", which that of all else does not hold.
"""

import dataclasses
import math
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, cast

import msgpack

from pipecat_tts_cache.codec import Codec, Payload, decode, encode
from pipecat_tts_cache.errors import CorruptRecordError, NewerRecordError, RecordError

FORMAT_VERSION = 1
_MAGIC = b"PTTS"
_HEAD = struct.Struct("<4sBBIII")
_CRC_OFFSET = _HEAD.size - 4
_BYTES_PER_SAMPLE = 2
_MAX_CHANNELS = 32
_MAX_HEADER = 1 << 20
"""Bytes; a header takes a hundredth of that, and one of gigabytes would be an attack."""
_MIN_WORD = 4
"""Bytes that a word takes at least in a header."""
_PAYLOADS = tuple(Payload)
_PINNED = "pinned"
PINNED_MARK = b"\xa6pinned\xc3"
"""What the header of something pinned begins with, behind the number of its fields."""
PINNED_START = _HEAD.size
PINNED_STOP = PINNED_START + 3 + len(PINNED_MARK)
"""Where it is in a record, or nowhere: that number takes one byte or three."""
HEAD_SIZE = 4096
"""Bytes of a record's beginning that nearly always hold all of its header."""


class Word(NamedTuple):
    """A spoken word.

    Parameters:
        text: The word as the service reported it.
        start: When it begins, in seconds from the start of the utterance.
        carries_spaces: Whether the text holds its own spacing, as in Chinese and Japanese.
    """

    text: str
    start: float
    carries_spaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A sentence as a TTS service spoke it.

    Parameters:
        audio: The samples as the service emitted them: PCM s16le, channels interleaved.
        sample_rate: Samples per second of one channel, in Hz.
        num_channels: Number of interleaved channels.
        words: The words in spoken order, empty where the service reports none.
        seal: The `CacheKey.seal` of the key it was recorded for, so that a store cannot pass off
            one utterance as another, nor one namespace's as another's.
        created_at: When it was recorded, in seconds since the Unix epoch.
        expires_at: When its time is over, in seconds since the Unix epoch, or None if it has none
            or nobody said. For copies: what is kept is forgotten as the store was told. It makes
            no difference between two utterances.
        text: The text that was spoken, or None where the user chose not to keep it.
        text_digest: What tells that it is some text, without holding it: `key.digest_text`.
        service: The name of the TTS service class.
        voice: The voice, where the service has one.
        model: The model, where the service has one.
        watermarked: Whether the provider marks its audio, so that no lossy codec may touch it.
        pinned: Whether it stands in for synthesis until it is taken away: no store of this library
            evicts it, lets it expire or replaces it by what is not pinned.
    """

    audio: bytes
    sample_rate: int
    num_channels: int = 1
    words: tuple[Word, ...] = ()
    seal: str = ""
    created_at: float = 0.0
    expires_at: float | None = field(default=None, compare=False)
    text: str | None = None
    text_digest: str = ""
    service: str = ""
    voice: str | None = None
    model: str | None = None
    watermarked: bool = False
    pinned: bool = False

    @property
    def num_frames(self) -> int:
        """How many samples each channel has."""
        return len(self.audio) // (_BYTES_PER_SAMPLE * self.num_channels)

    @property
    def duration(self) -> float:
        """Length of the audio in seconds."""
        return len(self.audio) / (_BYTES_PER_SAMPLE * self.num_channels * self.sample_rate)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory: the samples, and an allowance for the rest."""
        return len(self.audio) + 512 + 128 * len(self.words) + 2 * len(self.text or "")

    def to_bytes(self, *, codec: Codec = "raw") -> bytes:
        """Write the record.

        FLAC and Opus take 0.3 ms and more for each second of speech: not on an event loop.

        Args:
            codec: How to write the samples. What Opus cannot take, or must not, becomes FLAC; what
                FLAC does not make smaller stays as it is.

        Returns:
            The bytes that `from_bytes` reads.

        Raises:
            RecordError: If text and words take more than a megabyte.
        """
        lossless = "flac" if codec == "opus" and self.watermarked else codec
        kind, payload = encode(
            self.audio,
            sample_rate=self.sample_rate,
            num_channels=self.num_channels,
            codec=lossless,
        )
        fields = self._to_fields() | {"num_frames": self.num_frames}
        header = bytes(msgpack.packb(fields, unicode_errors="surrogatepass") or b"")
        if len(header) > _MAX_HEADER:
            raise RecordError(f"a header of {len(header)} bytes is too large for a record")
        flags = _PAYLOADS.index(kind)
        head = _HEAD.pack(_MAGIC, FORMAT_VERSION, flags, len(header), len(payload), 0)
        crc = _checksum(head[:_CRC_OFFSET], header, payload)
        return b"".join((head[:_CRC_OFFSET], struct.pack("<I", crc), header, payload))

    @classmethod
    def from_bytes(cls, record: bytes) -> Self:
        """Read a record. If it `is_encoded`, not on an event loop.

        Args:
            record: What `to_bytes` wrote.

        Returns:
            The utterance.

        Raises:
            CorruptRecordError: If anything about the record does not check out.
            NewerRecordError: If it was written in a format this version does not know.
        """
        version, flags, header_size, payload_size, crc = _unpack_head(record)
        if len(record) != _HEAD.size + header_size + payload_size:
            raise CorruptRecordError("the lengths do not add up: cut off or padded")
        view = memoryview(record)
        header = view[_HEAD.size : _HEAD.size + header_size]
        payload = view[_HEAD.size + header_size :]
        if crc != _checksum(view[:_CRC_OFFSET], header, payload):
            raise CorruptRecordError("the checksum is wrong")
        if version < 1 or flags >= len(_PAYLOADS):
            raise CorruptRecordError(f"no such format: version {version}, flags {flags}")
        fields = _unpack_header(header)
        num_frames = fields.pop("num_frames", None)
        audio = _unpack_audio(payload, _PAYLOADS[flags], num_frames, fields.get("num_channels"))
        utterance = cls._from_fields(fields, audio)
        if utterance.num_frames != num_frames:
            raise CorruptRecordError("there are more samples than the header says, or fewer")
        return utterance

    def _to_fields(self) -> dict[str, Any]:
        """Every field but the audio; first whether it is pinned, and only if it is."""
        pinned = {_PINNED: True} if self.pinned else {}
        return pinned | {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], audio: bytes) -> Self:
        _check_names(fields, _FIELDS)
        try:
            words = tuple(Word(text, start, spaces) for text, start, spaces in fields.pop("words"))
        except (TypeError, ValueError):
            raise CorruptRecordError("the header's words are none") from None
        utterance = cls(audio=audio, words=words, **fields)
        if not utterance.is_sound():
            raise CorruptRecordError("the header's values make no sense")
        return utterance

    def is_sound(self) -> bool:
        """Whether it can be replayed.

        Returns:
            True if every field is of its type and has a possible value, and the audio is in whole
            samples.
        """
        return (
            self._describes_itself()
            and type(self.sample_rate) is int
            and self.sample_rate > 0
            and type(self.num_channels) is int
            and 0 < self.num_channels <= _MAX_CHANNELS
            and isinstance(self.audio, bytes)
            and len(self.audio) > 0
            and len(self.audio) % (_BYTES_PER_SAMPLE * self.num_channels) == 0
            and isinstance(self.words, tuple)
            and all(map(_is_word, self.words))
        )

    def _describes_itself(self) -> bool:
        return (
            all(isinstance(name, str) for name in (self.seal, self.text_digest, self.service))
            and all(isinstance(name, str | None) for name in (self.text, self.voice, self.model))
            and _is_time(self.created_at)
            and (self.expires_at is None or _is_time(self.expires_at))
            and isinstance(self.watermarked, bool)
            and isinstance(self.pinned, bool)
        )


_FIELDS = tuple(
    each.name for each in dataclasses.fields(Utterance) if each.name not in ("audio", _PINNED)
)


def is_encoded(record: bytes) -> bool:
    """Whether reading a record takes time, so that it is for a thread.

    Args:
        record: Its bytes, or the first six.

    Returns:
        Whether its samples are written in FLAC or Opus.
    """
    return record[5:6] not in (b"\0", b"")


def head_size(head: bytes) -> int:
    """Tell how much of a record comes before its audio.

    Args:
        head: The beginning of a record.

    Returns:
        Bytes. `HEAD_SIZE` is nearly always enough.

    Raises:
        CorruptRecordError: If that is no record.
        NewerRecordError: If it was written in a format this version does not know.
    """
    return _HEAD.size + _unpack_head(head)[2]


def is_pinned(head: bytes) -> bool:
    """Tell whether a record is of something pinned.

    Args:
        head: The beginning of a record, or what else may be under a key.

    Returns:
        Whether it says so at its very beginning. All else about it is unchecked.
    """
    return PINNED_MARK in head[PINNED_START:PINNED_STOP]


def read_header(head: bytes) -> dict[str, Any]:
    """Read what a record says of its utterance, without the audio and unchecked.

    Args:
        head: The beginning of a record, at least `head_size` bytes.

    Returns:
        The fields of the `Utterance` but its audio, "pinned" only if it is, and: "num_frames",
        samples of each channel; "codec", how they are kept; "size", bytes of the whole record.

    Raises:
        CorruptRecordError: If that is no record.
        NewerRecordError: If it was written in a format this version does not know.
    """
    _, flags, header_size, payload_size, _ = _unpack_head(head)
    fields = _unpack_header(memoryview(head)[_HEAD.size : _HEAD.size + header_size])
    _check_names(fields, (*_FIELDS, "num_frames"))
    if flags >= len(_PAYLOADS):
        raise CorruptRecordError(f"no such format: flags {flags}")
    size = _HEAD.size + header_size + payload_size
    return fields | {"codec": _PAYLOADS[flags], "size": size}


def _check_names(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """Make sure that a header has its fields: these, and first whether it is pinned, if it is."""
    rest = list(fields)
    if rest[:1] == [_PINNED] and fields[_PINNED] is True:
        del rest[0]
    if set(rest) != set(names):
        raise CorruptRecordError("the header has other fields than it should")


def _is_word(word: object) -> bool:
    return (
        isinstance(word, Word)
        and isinstance(word.text, str)
        and _is_time(word.start)
        and word.start >= 0
        and isinstance(word.carries_spaces, bool)
    )


def _unpack_head(record: bytes) -> tuple[int, int, int, int, int]:
    if len(record) < _HEAD.size:
        raise CorruptRecordError(f"{len(record)} bytes are too few for a record")
    magic, version, flags, header_size, payload_size, crc = _HEAD.unpack_from(record)
    if magic != _MAGIC:
        raise CorruptRecordError("not a record: the magic number is wrong")
    if version > FORMAT_VERSION:
        raise NewerRecordError(f"format {version} is newer than {FORMAT_VERSION}")
    if header_size > _MAX_HEADER:
        raise CorruptRecordError(f"a header of {header_size} bytes is none")
    return version, flags, header_size, payload_size, crc


def _unpack_audio(
    payload: memoryview, kind: Payload, num_frames: object, num_channels: object
) -> bytes:
    if kind is Payload.RAW:
        return bytes(payload)
    if type(num_frames) is not int or type(num_channels) is not int:
        raise CorruptRecordError("the header does not say how long the audio is")
    try:
        return decode(payload, num_frames=num_frames, num_channels=num_channels)
    except ValueError as error:
        raise CorruptRecordError(str(error)) from None


def _is_time(seconds: object) -> bool:
    return (
        isinstance(seconds, float | int)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
    )


def _checksum(*parts: bytes | memoryview) -> int:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def _unpack_header(header: memoryview) -> dict[str, Any]:
    try:
        fields: object = msgpack.unpackb(
            header, unicode_errors="surrogatepass", max_array_len=len(header) // _MIN_WORD + 3
        )
    except Exception as error:  # what it says may quote the text
        raise CorruptRecordError(f"the header cannot be read: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise CorruptRecordError("the header is no map")
    return cast("dict[str, Any]", fields)
