#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whether an audio file was cut off, which decoders do not tell of every format."""

import os
import re
import struct
from typing import BinaryIO

_CHUNK = struct.Struct("<4sI")
_BOX = struct.Struct(">I4s")
_LONG_BOX = struct.Struct(">Q")
_UNKNOWN_SIZE = 0x7F000000
"""What is written as a stream has a size of that or more, as nobody knew it yet."""
_OGG_PAGE = 27
_MAX_OGG_PAGE = 65_307
_OGG_SEGMENTS = 26
_MAX_CHUNKS = 10_000
_ID3 = struct.Struct("<3s3s4s")
_MP3_FRAME = 256
"""Bytes of the first frame of an MP3 file that may hold what follows."""
_MP3_COUNT = re.compile(rb"(?:Xing|Info)\0\0\0[\x01\x03\x05\x07\x09\x0b\x0d\x0f](.{4})", re.DOTALL)


def ends_early(file: BinaryIO) -> bool:
    """Tell whether a file ends before it says.

    Args:
        file: The file; read from its beginning, and set back there.

    Returns:
        Whether a WAV, AIFF, M4A, MP4 or Ogg file is shorter than it says. False for others.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    try:
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return _wav_ends_early(file, size)
        if head[:4] == b"FORM":
            return _BOX.size + int.from_bytes(head[4:8], "big") > size
        if head[4:8] == b"ftyp":
            return _boxes_end_early(file, size)
        if head[:4] == b"OggS":
            return _ogg_ends_early(file, size)
        return False
    finally:
        file.seek(0)


def count_mp3_frames(file: BinaryIO) -> int | None:
    """Read how many frames an MP3 file should have.

    Args:
        file: The file; read from its beginning, and set back there.

    Returns:
        What its encoder wrote into the first frame, or None if it wrote nothing.
    """
    file.seek(0)
    head = file.read(_ID3.size)
    if head[:3] == b"ID3" and len(head) == _ID3.size:
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        file.seek(_ID3.size + size)
    else:
        file.seek(0)
    first = file.read(_MP3_FRAME)
    file.seek(0)
    found = _MP3_COUNT.search(first)
    return int.from_bytes(found[1], "big") if found else None


def _wav_ends_early(file: BinaryIO, size: int) -> bool:
    start = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(start)
        head = file.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            return False
        name, length = _CHUNK.unpack(head)
        start += _CHUNK.size + length + length % 2
        if name == b"data":
            return bool(length < _UNKNOWN_SIZE and start - length % 2 > size)
    return False


def _boxes_end_early(file: BinaryIO, size: int) -> bool:
    start = 0
    for _ in range(_MAX_CHUNKS):
        file.seek(start)
        head = file.read(_BOX.size + _LONG_BOX.size)
        if len(head) < _BOX.size:
            return False
        length = _BOX.unpack_from(head)[0]
        if length == 1 and len(head) == _BOX.size + _LONG_BOX.size:
            length = _LONG_BOX.unpack_from(head, _BOX.size)[0]
        if length < _BOX.size:  # 0: up to the end
            return False
        start += length
        if start > size:
            return True
    return False


def _ogg_ends_early(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _MAX_OGG_PAGE))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return False
    head = tail[page : page + _OGG_PAGE]
    if len(head) < _OGG_PAGE:
        return True
    body = page + _OGG_PAGE + head[_OGG_SEGMENTS]
    return body + sum(tail[page + _OGG_PAGE : body]) > len(tail)
