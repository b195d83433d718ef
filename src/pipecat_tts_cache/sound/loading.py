#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Any audio file as the samples that a service speaks in.

::

    import asyncio

    from pipecat_tts_cache import load_audio_file

    async def load():
        return await asyncio.to_thread(load_audio_file, "greeting.m4a", sample_rate=16000)

It reads with libav, which the extra `audio` brings; that is imported on first use.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pipecat_tts_cache.checks import check_positive_int, check_seconds
from pipecat_tts_cache.errors import MissingExtraError
from pipecat_tts_cache.sound.ends import count_mp3_frames, ends_early

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler, AudioStream, Packet
    from av.container import InputContainer

MAX_SECONDS = 600.0
MIN_RATE, MAX_RATE = 1_000, 384_000
"""In Hz, of files and of what is made of them."""
_BYTES_PER_SAMPLE = 2
_STEREO = 2
_MAX_GAP = 0.05
"""Seconds by which time stamps may be off."""
_MAX_SHORTFALL = 0.1
"""Seconds by which a file may be shorter than it says."""
_SAYS_ITS_LENGTH = {"flac", "ogg", "wav"}
"""Formats whose length is read, not estimated."""
_NO_OTHER_FILES = {"protocol_whitelist": "none"}
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


def load_audio_file(
    path: str | os.PathLike[str],
    sample_rate: int = 24000,
    num_channels: int = 1,
    *,
    max_seconds: float = MAX_SECONDS,
) -> bytes:
    """Read the sound of a file: WAV, FLAC, MP3, Ogg Vorbis, Opus, M4A and all that libav reads.

    Of a file with several sounds, or a video, it is the first. Samples that a codec adds at the
    beginning and the end are left out where the file tells of them. It blocks: not for an event
    loop, but for `asyncio.to_thread`.

    Args:
        path: The file.
        sample_rate: The rate to resample to, in Hz.
        num_channels: 1 to mix to mono, 2 for stereo. Mono in stereo is as loud on both sides.
        max_seconds: The length above which a file is refused, so that memory is bounded.

    Returns:
        PCM s16le, channels interleaved.

    Raises:
        MissingExtraError: If the extra `audio` is not installed.
        OSError: If there is no such file, or it cannot be read.
        TypeError: If an argument is of another type.
        ValueError: If the file holds no sound, is damaged or too long, or the rate or the number of
            channels is not possible.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"path must be a string or a path, not {type(path).__name__}")
    if not MIN_RATE <= check_positive_int("sample_rate", sample_rate) <= MAX_RATE:
        raise ValueError(f"sample_rate must be {MIN_RATE} to {MAX_RATE} Hz, not {sample_rate}")
    if check_positive_int("num_channels", num_channels) > _STEREO:
        raise ValueError(f"num_channels must be 1 or 2, not {num_channels}")
    longest = check_seconds("max_seconds", max_seconds)
    _import_av()
    with _named_errors(path), _open(path) as file:
        if ends_early(file):
            raise ValueError("it ends early")
        frames = count_mp3_frames(file)
        with _open_container(file, Path(path).suffix) as container:
            is_mp3 = container.format.name == "mp3"
            samples = _Samples(sample_rate, num_channels, longest)
            return _read(container, samples, frames if is_mp3 and frames else 0)


class _Samples:
    """Samples in the form asked for, of frames in any form."""

    def __init__(self, sample_rate: int, num_channels: int, max_seconds: float) -> None:
        self._rate, self._channels = sample_rate, num_channels
        self._max_seconds = max_seconds
        self._form: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._copies = 1
        self._samples = bytearray()
        self.seconds = 0.0

    def add(self, frame: "AudioFrame") -> None:
        """Add a frame; one in another form than the last is what some streams change to."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            self._drain()
            self._start(frame)
            self._form = form
        self._take(cast("AudioResampler", self._resampler).resample(frame))
        self.seconds += frame.samples / frame.sample_rate
        if self.seconds > self._max_seconds:
            raise ValueError(f"it is longer than {self._max_seconds:g} s")

    def finish(self, excess: float) -> bytes:
        """End it, without the last so many seconds."""
        self._drain()
        size = _BYTES_PER_SAMPLE * self._channels
        frames = len(self._samples) // size - round(excess * self._rate)
        return bytes(self._samples[: max(0, frames) * size])

    def _start(self, frame: "AudioFrame") -> None:
        if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
            raise ValueError(f"its sample rate of {frame.sample_rate} Hz is none")
        # libav would make mono in stereo 3 dB less loud
        self._copies = self._channels if len(frame.layout.channels) == 1 else 1
        layout = "mono" if self._channels == 1 or self._copies > 1 else "stereo"
        self._resampler = _import_av().AudioResampler("s16", layout, self._rate)

    def _drain(self) -> None:
        if self._resampler is not None:
            self._take(self._resampler.resample(None))

    def _take(self, frames: list["AudioFrame"]) -> None:
        for frame in frames:
            channels = self._channels // self._copies
            size = frame.samples * channels * _BYTES_PER_SAMPLE
            samples = memoryview(frame.planes[0])[:size]
            self._samples += _doubled(samples) if self._copies > 1 else samples


def _doubled(mono: memoryview) -> bytes:
    stereo = bytearray(2 * len(mono))
    low, high = mono[::2], mono[1::2]
    stereo[0::4], stereo[1::4], stereo[2::4], stereo[3::4] = low, high, low, high
    return bytes(stereo)


def _read(container: "InputContainer", samples: _Samples, num_packets: int) -> bytes:
    """Read all frames of the first sound, and check that none is missing."""
    if not container.streams.audio:
        raise ValueError("there is no sound in it")
    stream = container.streams.audio[0]
    context: Any = stream.codec_context
    if context is None:
        raise ValueError("its codec is not known")
    context.options = dict(_STRICT)
    expected, excess = _time(stream, stream.start_time), 0.0
    for packet, frame in _frames(container, stream, num_packets):
        if frame.time is not None and expected is not None:
            gap = frame.time - expected
            if gap > _MAX_GAP:
                raise ValueError(f"it is damaged: {gap:.2f} s are missing after {expected:.2f} s")
        samples.add(frame)
        if frame.time is not None:
            expected = frame.time + frame.samples / frame.sample_rate
        excess = _excess(packet, frame)
    if samples.seconds == 0:
        raise ValueError("there is no sound in it")
    return samples.finish(max(excess, _overlong(container, stream, samples.seconds)))


def _overlong(container: "InputContainer", stream: "AudioStream", seconds: float) -> float:
    """Tell how much more there is than the file says, where that is sure; less is an error."""
    length = _time(stream, stream.duration)
    if length is None or container.format.name not in _SAYS_ITS_LENGTH:
        return 0.0
    if length - seconds > _MAX_SHORTFALL:
        missing = length - seconds
        raise ValueError(f"it is damaged: {missing:.2f} s are missing of {length:.2f} s")
    over = seconds - length
    return over if over < _MAX_GAP else 0.0  # libav leaves Vorbis some padding


def _frames(
    container: "InputContainer", stream: "AudioStream", num_packets: int
) -> Iterator[tuple["Packet[AudioStream]", "AudioFrame"]]:
    """Decode; forgive what follows the sound of an MP3 file, where people put all sorts of tags."""
    failure: Exception | None = None
    decoded = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except _import_av().error.FFmpegError as error:
            if container.format.name != "mp3":
                raise
            failure = error
            continue
        if failure is not None and frames:
            raise failure
        decoded += 1
        for frame in frames:
            yield packet, frame
    if decoded < num_packets:
        raise ValueError(
            f"it is damaged: {num_packets - decoded} of {num_packets} parts are missing"
        )


def _excess(packet: "Packet[AudioStream]", frame: "AudioFrame") -> float:
    """Tell how many seconds at the end of a packet's only frame are padding."""
    if packet.pts is None or packet.pts != frame.pts or not packet.duration:
        return 0.0
    padding = frame.samples / frame.sample_rate - float(packet.duration * packet.time_base)
    return padding if padding > 2 * packet.time_base else 0.0  # else it is only rounded


def _time(stream: "AudioStream", ticks: int | None) -> float | None:
    return None if ticks is None or stream.time_base is None else float(ticks * stream.time_base)


class _File:
    """An open file for libav to read: with no name but how it ends, as libav guesses by that."""

    def __init__(self, file: BinaryIO, suffix: str) -> None:
        self.name = "file" + (suffix if suffix.isascii() and suffix.isprintable() else "")
        self.read, self.tell = file.read, file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere; -1 tells libav that there is nothing, for instance before the beginning."""
        try:
            return self._seek(offset, whence)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return -1
            raise


@contextmanager
def _open(path: str | os.PathLike[str]) -> Generator[BinaryIO]:
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would never end
        raise ValueError("it is no file but a device or a pipe")
    with Path(path).open("rb") as file:
        yield file


def _open_container(file: BinaryIO, suffix: str) -> "InputContainer":
    return cast(
        "InputContainer",
        _import_av().open(
            _File(file, suffix), options=dict(_NO_OTHER_FILES), metadata_errors="replace"
        ),
    )


@contextmanager
def _named_errors(path: str | os.PathLike[str]) -> Generator[None]:
    """Say which file it is that libav has something against."""
    name = os.fspath(path)
    try:
        yield
    except _import_av().error.FFmpegError as error:
        what = error.strerror or type(error).__name__
        raise ValueError(f"{name!r} cannot be read: no sound file, or damaged ({what})") from None
    except OSError as error:
        if error.filename is None:
            error.filename = name
        raise
    except ValueError as error:
        raise ValueError(f"{name!r} cannot be read: {error}") from None


def _import_av() -> Any:
    try:
        import av  # noqa: PLC0415 - 34 MB, and an extra
    except ImportError:
        raise MissingExtraError("load_audio_file", "audio") from None
    return av
