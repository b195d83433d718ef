#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where WAV, FLAC and Ogg Opus files hold a description, found without decoding anything.

- WAV: a chunk ``ptts`` in front of the samples.
- FLAC: the comment named ``COMMENT`` of the block VORBIS_COMMENT.
- Ogg Opus: the same of the second page, OpusTags.
"""

import struct
import zlib
from dataclasses import dataclass

from pipecat_tts_cache.codec import Payload
from pipecat_tts_cache.errors import CorruptRecordError

WAV_CHUNK = b"ptts"
MAX_HEAD = (1 << 20) + (1 << 16)
"""Bytes in front of the end of a description; more would be an attack."""
_COMMENT = b"COMMENT="
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PCM = 1
_BYTES_PER_SAMPLE = 2
_MAX_32_BIT = (1 << 32) - 1
_FLAC_COMMENTS = 4
_FLAC_LAST = 0x80
_OGG_PAGE = 27
_OGG_CRC = slice(22, 26)
_OGG_SEGMENTS = 26
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class ShortHeadError(CorruptRecordError):
    """A beginning of a file ends before its description does.

    Parameters:
        needed: Bytes from the beginning of the file that tell more.
    """

    def __init__(self, needed: int) -> None:
        """Say how much is needed.

        Args:
            needed: Bytes.
        """
        super().__init__("the file is cut off")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file holds its description.

    Parameters:
        kind: What the file is.
        start: Offset of its first byte.
        stop: Offset behind its last byte.
        page: The page around it, in an Ogg file.
    """

    kind: Payload
    start: int
    stop: int
    page: slice | None = None


def find_description(head: bytes) -> Place:
    """Find the description of a sound file.

    Args:
        head: The file, or its beginning.

    Returns:
        Where it is.

    Raises:
        CorruptRecordError: If that is no such file, or it has no description.
        ShortHeadError: If more of the file is needed to tell.
    """
    if len(head) < len(b"RIFF"):
        raise ShortHeadError(_OGG_PAGE)
    if head.startswith(b"fLaC"):
        return _find_in_flac(head)
    if head.startswith(b"OggS"):
        return _find_in_ogg(head)
    if head.startswith(b"RIFF"):
        start, stop = _find_chunk(head, WAV_CHUNK)
        _need(head, stop)
        return Place(Payload.RAW, start, stop)
    raise CorruptRecordError("not a sound file: neither WAV nor FLAC nor Ogg")


def write_wav(
    audio: bytes, *, sample_rate: int, num_channels: int, description: bytes, title: bytes
) -> bytes:
    """Write a WAV file.

    Args:
        audio: PCM s16le, channels interleaved.
        sample_rate: In Hz.
        num_channels: Number of channels.
        description: What to hold besides.
        title: What a player shows, in UTF-8, or nothing.

    Returns:
        The file.

    Raises:
        ValueError: If the rate or the size is more than the format can say.
    """
    parts = [
        b"WAVE",
        *_chunk(b"fmt ", _wav_format(sample_rate, num_channels)),
        *_chunk(WAV_CHUNK, description),
        *(_chunk(b"LIST", b"".join((b"INFO", *_chunk(b"INAM", title + b"\0")))) if title else ()),
        *_chunk(b"data", audio),
    ]
    size = sum(map(len, parts))
    if size > _MAX_32_BIT:
        raise ValueError("more than a WAV file can hold")
    return b"".join((_CHUNK.pack(b"RIFF", size), *parts))


def read_wav(file: bytes, *, sample_rate: int, num_channels: int) -> bytes:
    """Read the samples of a WAV file.

    Args:
        file: What `write_wav` wrote.
        sample_rate: In Hz.
        num_channels: Number of channels.

    Returns:
        PCM s16le, channels interleaved.

    Raises:
        ValueError: If it holds something else than that, or ends early.
    """
    start, stop = _find_chunk(file, b"fmt ")
    if file[start:stop] != _wav_format(sample_rate, num_channels):
        raise ValueError("samples of another form than it says")
    start, stop = _find_chunk(file, b"data")
    if stop > len(file):
        raise ValueError("a file that ends early")
    return file[start:stop]


def page_checksum(page: bytes) -> bytes:
    """Sum up an Ogg page, with nothing for its own checksum.

    Ogg's CRC is that of zlib with all bits in the other order, and with other constants.

    Args:
        page: The page.

    Returns:
        The four bytes that belong into its header.
    """
    blank = page[: _OGG_CRC.start] + bytes(4) + page[_OGG_CRC.stop :]
    crc = zlib.crc32(blank.translate(_REVERSED), _MAX_32_BIT) ^ _MAX_32_BIT
    return crc.to_bytes(4, "big").translate(_REVERSED)


def checksum_of_page(page: slice) -> slice:
    """Tell where an Ogg page has its checksum.

    Args:
        page: Where the page is in its file.

    Returns:
        Where the checksum is in the file.
    """
    return slice(page.start + _OGG_CRC.start, page.start + _OGG_CRC.stop)


def _wav_format(sample_rate: int, num_channels: int) -> bytes:
    frame = _BYTES_PER_SAMPLE * num_channels
    if sample_rate * frame > _MAX_32_BIT:
        raise ValueError(f"{sample_rate} Hz are more than a WAV file can say")
    return _FORMAT.pack(
        _PCM, num_channels, sample_rate, sample_rate * frame, frame, 8 * _BYTES_PER_SAMPLE
    )


def _chunk(name: bytes, content: bytes) -> tuple[bytes, bytes, bytes]:
    if len(content) > _MAX_32_BIT:
        raise ValueError("more than a WAV file can hold")
    return _CHUNK.pack(name, len(content)), content, b"\0" * (len(content) % 2)


def _find_chunk(head: bytes, name: bytes) -> tuple[int, int]:
    _need(head, 12)
    if head[8:12] != b"WAVE":
        raise CorruptRecordError("a RIFF file that is no WAV file")
    start = 12
    while start <= MAX_HEAD:
        _need(head, start + _CHUNK.size)
        found, size = _CHUNK.unpack_from(head, start)
        start += _CHUNK.size
        if found == name:
            return start, start + size
        if found == b"data":
            break
        start += size + size % 2
    raise CorruptRecordError("a WAV file without a description of ours")


def _find_in_flac(head: bytes) -> Place:
    start, last = 4, 0
    while not last:
        _need(head, start + 4)
        last, kind = head[start] & _FLAC_LAST, head[start] & ~_FLAC_LAST
        stop = start + 4 + int.from_bytes(head[start + 1 : start + 4], "big")
        if kind == _FLAC_COMMENTS:
            return Place(Payload.FLAC, *_find_comment(head, start + 4, stop))
        start = stop
    raise CorruptRecordError("a FLAC file without comments")


def _find_in_ogg(head: bytes) -> Place:
    _, first = _read_page(head, 0)
    body, stop = _read_page(head, first)
    _need(head, stop)
    if head[body : body + 8] != b"OpusTags":
        raise CorruptRecordError("an Ogg file that is not Opus")
    return Place(Payload.OPUS, *_find_comment(head, body + 8, stop), page=slice(first, stop))


def _read_page(head: bytes, start: int) -> tuple[int, int]:
    """Tell where the content of an Ogg page begins, and where it ends."""
    _need(head, start + _OGG_PAGE)
    if head[start : start + 4] != b"OggS":
        raise CorruptRecordError("an Ogg file with something between its pages")
    body = start + _OGG_PAGE + head[start + _OGG_SEGMENTS]
    _need(head, body)
    return body, body + sum(head[start + _OGG_PAGE : body])


def _find_comment(head: bytes, start: int, stop: int) -> tuple[int, int]:
    """Find our comment among Vorbis comments: a vendor, a count, and as many texts."""
    _need(head, stop)
    start += 4 + _length(head, start, stop)
    count = _length(head, start, stop)
    start += 4
    for _ in range(count):
        size = _length(head, start, stop)
        start += 4
        if head[start : start + len(_COMMENT)].upper() == _COMMENT and start + size <= stop:
            return start + len(_COMMENT), start + size
        start += size
    raise CorruptRecordError("a sound file without a description of ours")


def _length(head: bytes, start: int, stop: int) -> int:
    if start + 4 > stop:
        raise CorruptRecordError("comments that are longer than they say")
    return int.from_bytes(head[start : start + 4], "little")


def _need(head: bytes, size: int) -> None:
    if size > MAX_HEAD:
        raise CorruptRecordError(f"a description behind {size} bytes is none")
    if size > len(head):
        raise ShortHeadError(size)
