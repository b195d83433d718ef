#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

r"""An utterance as a sound file that any player opens and that still holds everything.

The file is WAV, FLAC or Ogg Opus. Besides the samples it has the text as its title, and a
description: one line of JSON in ASCII, in the comment of the file, or in WAV in a chunk ``ptts``::

    {"pipecat_tts_cache":1,"crc32":"0f9a4c11","namespace":"…","num_frames":48000,
     "sample_rate":24000,"num_channels":1,"words":[["Hello",0.0,false],…],"text":"Hello","seal":…}

It begins with the version of this format and the CRC-32 of the file, in eight hexadecimal digits:
of all its bytes, with zeros ("0", as a character) in place of the digits, and in an Ogg file with
NUL bytes in place of the checksum of the page around them. So damage anywhere is found without
decoding anything, and it makes no difference which decoder reads the file. Then come the namespace,
the number of samples of each channel, and all fields of the `Utterance` but its audio; "pinned" is
there only where it is true.

A file is read with nothing but `json`, `zlib` and libsndfile; nothing in it is ever executed.
"""

import json
import re
import zlib
from dataclasses import replace
from typing import Any, NamedTuple, cast

from pipecat_tts_cache.codec import Codec, Payload, decode, takes, write_sound
from pipecat_tts_cache.errors import CorruptRecordError, NewerRecordError, RecordError
from pipecat_tts_cache.sound.containers import (
    Place,
    ShortHeadError,
    checksum_of_page,
    find_description,
    page_checksum,
    read_wav,
    write_wav,
)
from pipecat_tts_cache.utterance import Utterance

FORMAT_VERSION = 1
HEAD_SIZE = 16384
"""Bytes of a file's beginning that nearly always hold all of its description."""
MAX_SIZE = (1 << 30) + (1 << 21)
"""Bytes; see `codec`: nobody speaks for six hours."""
SUFFIXES = {Payload.RAW: ".wav", Payload.FLAC: ".flac", Payload.OPUS: ".opus"}
CONTENT_TYPES = {Payload.RAW: "audio/wav", Payload.FLAC: "audio/flac", Payload.OPUS: "audio/ogg"}

_MARK = "pipecat_tts_cache"
_NO_CRC = "0" * 8
_START = f'{{"{_MARK}":{FORMAT_VERSION},"crc32":"'.encode()
_VERSION = re.compile(rb'\{"pipecat_tts_cache":([1-9][0-9]{0,8}),')
_MAX_DESCRIPTION = 1 << 20
_MAX_IN_OPUS = 48_000
"""Bytes: libsndfile writes the comments of an Opus file on one page of 65 025."""
_MAX_TITLE = 200
_MIXED_UP = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Two lone surrogates in a row: JSON gives back one character for them."""
_DAMAGED = (TypeError, ValueError, OverflowError, RecursionError)


class SoundFile(NamedTuple):
    """A sound file that was written.

    Parameters:
        suffix: How its name should end: ".wav", ".flac" or ".opus".
        content: Its bytes.
        content_type: Its media type.
    """

    suffix: str
    content: bytes
    content_type: str


class SoundHead(NamedTuple):
    """What a sound file says of its utterance.

    Parameters:
        namespace: Whose it is.
        utterance: The utterance, but with a single frame of silence for its audio.
        num_frames: How many samples of each channel the file holds.
        codec: How they are kept.
    """

    namespace: str
    utterance: Utterance
    num_frames: int
    codec: Payload

    @property
    def duration(self) -> float:
        """Length of the audio in seconds."""
        return self.num_frames / self.utterance.sample_rate


def to_sound_file(utterance: Utterance, *, namespace: str, codec: Codec) -> SoundFile:
    """Write an utterance as a sound file.

    FLAC and Opus take 0.3 ms and more for each second of speech: not on an event loop.

    Args:
        utterance: The utterance.
        namespace: Whose it is.
        codec: How to write the samples: "raw" is WAV. Opus loses some of the sound. What Opus
            cannot take, or must not, becomes FLAC; what FLAC does not make smaller becomes WAV.

    Returns:
        The file.

    Raises:
        RecordError: If it cannot be replayed, its text and words take more than a megabyte, a
            text would come back as another, or the sound is more than a WAV file can hold.
    """
    if not utterance.is_sound():
        raise RecordError("an utterance that cannot be replayed")
    description = _describe(utterance, namespace)
    kind, file = _write(utterance, codec, description)
    return SoundFile(SUFFIXES[kind], _seal(file), CONTENT_TYPES[kind])


def from_sound_file(file: bytes) -> tuple[str, Utterance]:
    """Read an utterance from a sound file. If it `is_encoded`, not on an event loop.

    Args:
        file: What `to_sound_file` wrote.

    Returns:
        The namespace and the utterance, the same in every field; from Opus, with other samples.

    Raises:
        CorruptRecordError: If anything about the file does not check out.
        NewerRecordError: If it was written in a format this version does not know.
    """
    place = find_description(file)
    head = _read_head(file, place)
    if _crc(file, place) != _stated_crc(file, place):
        raise CorruptRecordError("the checksum is wrong")
    fields = head.utterance
    shape = {"num_channels": fields.num_channels}
    try:
        if place.kind is Payload.RAW:
            audio = read_wav(file, sample_rate=fields.sample_rate, **shape)
        else:
            audio = decode(file, num_frames=head.num_frames, **shape)
    except ValueError as error:
        raise CorruptRecordError(str(error)) from None
    utterance = replace(fields, audio=audio)
    if not utterance.is_sound() or utterance.num_frames != head.num_frames:
        raise CorruptRecordError("there are more samples than the file says, or fewer")
    return head.namespace, utterance


def read_sound_head(head: bytes) -> SoundHead:
    """Read what a sound file says of its utterance, without the audio and unchecked.

    Args:
        head: The beginning of a file, at least `sound_head_size` bytes.

    Returns:
        What it says.

    Raises:
        CorruptRecordError: If that is no such file, or ends too early.
        NewerRecordError: If it was written in a format this version does not know.
    """
    return _read_head(head, find_description(head))


def sound_head_size(head: bytes) -> int:
    """Tell how much of a sound file is needed to read what it says.

    Args:
        head: The beginning of a file.

    Returns:
        Bytes. If that is more than there are, ask again with as many: it may still be too few.

    Raises:
        CorruptRecordError: If that is no such file.
    """
    try:
        return find_description(head).stop
    except ShortHeadError as error:
        return error.needed


def is_encoded(file: bytes) -> bool:
    """Whether reading a file takes time, so that it is for a thread.

    Args:
        file: Its bytes, or the first four.

    Returns:
        Whether its samples are written in FLAC or Opus.
    """
    return not file.startswith(b"RIFF")


def _describe(utterance: Utterance, namespace: str) -> bytes:
    fields: dict[str, Any] = {
        _MARK: FORMAT_VERSION,
        "crc32": _NO_CRC,
        "namespace": namespace,
        "num_frames": utterance.num_frames,
        **utterance._to_fields(),
    }
    texts = (each for each in fields.values() if isinstance(each, str))
    if any(map(_MIXED_UP.search, (*texts, *(word.text for word in utterance.words)))):
        raise RecordError("two lone surrogates in a row are no text that a file can hold")
    description = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    if len(description) > _MAX_DESCRIPTION:
        raise RecordError(f"a description of {len(description)} bytes is too large for a file")
    return description


def _write(utterance: Utterance, codec: Codec, description: bytes) -> tuple[Payload, bytes]:
    audio, rate, channels = utterance.audio, utterance.sample_rate, utterance.num_channels
    shape: dict[str, Any] = {"samplerate": rate, "channels": channels}
    title = _title(utterance.text)
    tags = {"comment": description.decode()} | ({"title": title} if title else {})
    lossy = codec == "opus" and not utterance.watermarked and len(description) <= _MAX_IN_OPUS
    if lossy and takes("opus", rate, channels):
        return Payload.OPUS, write_sound(audio, tags=tags, format="OGG", subtype="OPUS", **shape)
    if codec != "raw" and takes("flac", rate, channels):
        file = write_sound(audio, tags=tags, format="FLAC", subtype="PCM_16", **shape)
        if len(file) < len(audio) + len(description):
            return Payload.FLAC, file
    try:
        file = write_wav(
            audio,
            sample_rate=rate,
            num_channels=channels,
            description=description,
            title=title.encode(),
        )
    except ValueError as error:
        raise RecordError(str(error)) from None
    return Payload.RAW, file


def _title(text: str | None) -> str:
    """Make of a text what players show: one line, of a bounded length."""
    printable = "".join(each if each.isprintable() else " " for each in (text or "")[:_MAX_TITLE])
    return " ".join(printable.split())


def _seal(file: bytes) -> bytes:
    """Write a file's checksum into it."""
    place = find_description(file)
    digits = _digits(place)
    crc = f"{_crc(file, place):08x}".encode()
    sealed = b"".join((memoryview(file)[: digits.start], crc, memoryview(file)[digits.stop :]))
    if place.page is None:
        return sealed
    own = checksum_of_page(place.page)
    return sealed[: own.start] + page_checksum(sealed[place.page]) + sealed[own.stop :]


def _crc(file: bytes, place: Place) -> int:
    """Sum a file up, as if its checksum were not yet in it."""
    view, digits, crc = memoryview(file), _digits(place), 0
    start = 0
    if place.page is not None:
        own = checksum_of_page(place.page)
        crc = zlib.crc32(bytes(4), zlib.crc32(view[: own.start]))
        start = own.stop
    crc = zlib.crc32(_NO_CRC.encode(), zlib.crc32(view[start : digits.start], crc))
    return zlib.crc32(view[digits.stop :], crc)


def _stated_crc(file: bytes, place: Place) -> int | None:
    """Read the checksum of a file, if it and that of the page around it are in order."""
    if place.page is not None:
        page = file[place.page]
        if page_checksum(page) != file[checksum_of_page(place.page)]:
            return None
    stated = file[_digits(place)]
    return int(stated, 16) if re.fullmatch(b"[0-9a-f]{8}", stated) else None


def _digits(place: Place) -> slice:
    start = place.start + len(_START)
    return slice(start, start + len(_NO_CRC))


def _read_head(head: bytes, place: Place) -> SoundHead:
    description = head[place.start : place.stop]
    version = _VERSION.match(description)
    if version is None:
        raise CorruptRecordError("a sound file without a description of ours")
    if int(version[1]) > FORMAT_VERSION:
        raise NewerRecordError(f"format {int(version[1])} is newer than {FORMAT_VERSION}")
    if not description.startswith(_START) or len(description) > _MAX_DESCRIPTION:
        raise CorruptRecordError("the description is none of ours")
    try:
        return _check(json.loads(description), place.kind)
    except _DAMAGED as error:  # what it says may quote the text
        raise CorruptRecordError(
            f"the description cannot be read: {type(error).__name__}"
        ) from None


def _check(fields: object, codec: Payload) -> SoundHead:
    if not isinstance(fields, dict):
        raise CorruptRecordError("the description is no map")
    rest = cast("dict[str, Any]", fields)
    namespace, num_frames = rest.pop("namespace", None), rest.pop("num_frames", None)
    channels: Any = rest.get("num_channels")
    if not isinstance(namespace, str) or type(num_frames) is not int or num_frames <= 0:
        raise CorruptRecordError("the description's values make no sense")
    del rest[_MARK], rest["crc32"]
    silence = bytes(2 * channels) if channels in range(1, 33) else b""
    return SoundHead(namespace, Utterance._from_fields(rest, silence), num_frames, codec)
