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
    5       1     flags (none defined yet, 0)
    6       4     length of the header in bytes
    10      4     length of the payload in bytes
    14      4     CRC-32 of everything but these four bytes
    18      …     header: a msgpack map of every field but the audio
    …       …     payload: the samples, PCM s16le, interleaved
"""

import dataclasses
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

import msgpack

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
        text: The text that was spoken, or None where the user chose not to keep it.
        service: The name of the TTS service class.
        voice: The voice, where the service has one.
        model: The model, where the service has one.
    """

    audio: bytes
    sample_rate: int
    num_channels: int = 1
    words: tuple[Word, ...] = ()
    seal: str = ""
    created_at: float = 0.0
    text: str | None = None
    service: str = ""
    voice: str | None = None
    model: str | None = None

    @property
    def duration(self) -> float:
        """Length of the audio in seconds."""
        return len(self.audio) / (_BYTES_PER_SAMPLE * self.num_channels * self.sample_rate)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory: the samples, and an allowance for the rest."""
        return len(self.audio) + 512 + 128 * len(self.words) + 2 * len(self.text or "")

    def to_bytes(self) -> bytes:
        """Write the record.

        Returns:
            The bytes that `from_bytes` reads.

        Raises:
            RecordError: If text and words take more than a megabyte.
        """
        fields: dict[str, Any] = {
            "sample_rate": self.sample_rate,
            "num_channels": self.num_channels,
            "words": self.words,
            "seal": self.seal,
            "created_at": self.created_at,
            "text": self.text,
            "service": self.service,
            "voice": self.voice,
            "model": self.model,
        }
        header = bytes(msgpack.packb(fields, unicode_errors="surrogatepass") or b"")
        if len(header) > _MAX_HEADER:
            raise RecordError(f"a header of {len(header)} bytes is too large for a record")
        head = _HEAD.pack(_MAGIC, FORMAT_VERSION, 0, len(header), len(self.audio), 0)
        crc = _checksum(head[:_CRC_OFFSET], header, self.audio)
        return b"".join((head[:_CRC_OFFSET], struct.pack("<I", crc), header, self.audio))

    @classmethod
    def from_bytes(cls, record: bytes) -> Self:
        """Read a record.

        Args:
            record: What `to_bytes` wrote.

        Returns:
            The utterance.

        Raises:
            CorruptRecordError: If anything about the record does not check out.
            NewerRecordError: If it was written in a format this version does not know.
        """
        if len(record) < _HEAD.size:
            raise CorruptRecordError(f"{len(record)} bytes are too few for a record")
        magic, version, flags, header_size, audio_size, crc = _HEAD.unpack_from(record)
        if magic != _MAGIC:
            raise CorruptRecordError("not a record: the magic number is wrong")
        if version > FORMAT_VERSION:
            raise NewerRecordError(f"format {version} is newer than {FORMAT_VERSION}")
        if len(record) != _HEAD.size + header_size + audio_size:
            raise CorruptRecordError("the lengths do not add up: cut off or padded")
        if header_size > _MAX_HEADER:
            raise CorruptRecordError(f"a header of {header_size} bytes is none")
        view = memoryview(record)
        header = view[_HEAD.size : _HEAD.size + header_size]
        audio = view[_HEAD.size + header_size :]
        if crc != _checksum(view[:_CRC_OFFSET], header, audio):
            raise CorruptRecordError("the checksum is wrong")
        if version < 1 or flags:
            raise CorruptRecordError(f"no such format: version {version}, flags {flags}")
        return cls._from_fields(_unpack_header(header), bytes(audio))

    @classmethod
    def _from_fields(cls, fields: dict[str, Any], audio: bytes) -> Self:
        if fields.keys() != _HEADER_FIELDS:
            raise CorruptRecordError("the header has other fields than it should")
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
            isinstance(self.seal, str)
            and _is_time(self.created_at)
            and isinstance(self.service, str)
            and all(isinstance(name, str | None) for name in (self.text, self.voice, self.model))
        )


_HEADER_FIELDS = {field.name for field in dataclasses.fields(Utterance)} - {"audio"}


def _is_word(word: object) -> bool:
    return (
        isinstance(word, Word)
        and isinstance(word.text, str)
        and _is_time(word.start)
        and word.start >= 0
        and isinstance(word.carries_spaces, bool)
    )


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
