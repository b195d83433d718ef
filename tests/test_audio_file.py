#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Any audio file becomes the samples that a service speaks in, or a clear error."""

import asyncio
import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipecat_tts_cache import MissingExtraError
from pipecat_tts_cache.sound.loading import MAX_SECONDS, load_audio_file
from tests.sounds import (
    FORMATS,
    LOSSLESS,
    SPEECH_RATE,
    Samples,
    espeak,
    shift,
    sine,
    speech,
    write,
    write_with_libav,
)

__all__ = ["espeak", "speech"]

FEW_MILLISECONDS = 0.008
OPUS_RATE = 48000


def load(path: Path, rate: int = 24000, channels: int = 1) -> Samples:
    samples = np.frombuffer(load_audio_file(path, rate, channels), np.int16)
    return samples if channels == 1 else samples.reshape(-1, channels)


def rate_for(kind: str) -> int:
    """Return the rate to write a format in, where it takes few."""
    return OPUS_RATE if kind.endswith(("opus", "webm")) else SPEECH_RATE


def resampled(samples: Samples, source: int, target: int) -> Samples:
    """Resample with something else than libav."""
    soxr = importlib.import_module("soxr")
    return samples if source == target else soxr.resample(samples, source, target)  # type: ignore[no-any-return]


def level(samples: Samples) -> float:
    """Return the level in the middle of a sound, where no codec fades."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    return float(np.sqrt(np.mean(middle**2)))


def pitch(samples: Samples, rate: int) -> float:
    """Return the strongest frequency, in Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples, rate))))


# What comes out


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("rate", [8000, 24000])
def test_speech_comes_back_in_every_format(
    kind: str, rate: int, speech: Samples, tmp_path: Path
) -> None:
    """A sentence has its length and its place in time to a few ms, and sounds as it did."""
    source = rate_for(kind)
    said = resampled(speech, SPEECH_RATE, source)
    heard = load(write(tmp_path, kind, said, source), rate)
    expected = resampled(speech, SPEECH_RATE, rate)
    late = 0.0
    if kind == "aac":  # a bare stream does not tell what its encoder added
        late, heard = shift(expected, heard) / rate, heard[: len(expected)]
    assert abs(len(heard) - len(expected)) <= FEW_MILLISECONDS * rate
    assert abs(shift(expected, heard) / rate - late) <= FEW_MILLISECONDS
    assert 0 <= late < 0.06
    assert level(expected) == pytest.approx(level(heard), rel=0.06)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_what_needs_no_change_is_not_changed(kind: str, speech: Samples, tmp_path: Path) -> None:
    """Without a loss in the file and at its own rate every sample comes back."""
    assert speech.tolist() == load(write(tmp_path, kind, speech, SPEECH_RATE), 22050).tolist()


@pytest.mark.parametrize("source", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("target", [8000, 16000, 22050, 24000, 44100, 48000])
def test_a_tone_keeps_pitch_and_level(source: int, target: int, tmp_path: Path) -> None:
    """Between any two rates a tone has the same pitch, level and length."""
    heard = load(write(tmp_path, "wav", sine(source), source), target)
    assert 440 == pitch(heard, target)
    assert 8000 / np.sqrt(2) == pytest.approx(level(heard), rel=0.01)
    assert target == pytest.approx(len(heard), abs=FEW_MILLISECONDS * target)


@pytest.mark.parametrize("kind", FORMATS)
def test_stereo_stays_stereo(kind: str, tmp_path: Path) -> None:
    """What is left stays left, and what is right right."""
    rate = rate_for(kind)
    both = np.stack([sine(rate), sine(rate, hertz=1000, peak=4000)], axis=1)
    heard = load(write(tmp_path, kind, both, rate), 24000, 2)
    assert [440, 1000] == [pitch(heard[:24000, side], 24000) for side in (0, 1)]
    if not kind.endswith("mp3"):  # its encoder moves some of a tone from one side to the other
        assert 8000 / np.sqrt(2) == pytest.approx(level(heard[:, 0]), rel=0.05)
        assert 4000 / np.sqrt(2) == pytest.approx(level(heard[:, 1]), rel=0.05)


@pytest.mark.parametrize("kind", ["wav", "ogg"])
def test_stereo_is_mixed_to_mono(kind: str, tmp_path: Path) -> None:
    """Mono is the mean of both sides: as loud where they are the same, and never clipped."""
    loud = sine(24000, peak=32000)
    same = load(write(tmp_path, kind, np.stack([loud, loud], axis=1), 24000))
    assert 32000 / np.sqrt(2) == pytest.approx(level(same), rel=0.02)
    one = load(write(tmp_path, kind, np.stack([loud, 0 * loud], axis=1), 24000))
    assert 16000 / np.sqrt(2) == pytest.approx(level(one), rel=0.02)


@pytest.mark.parametrize("target", [22050, 24000])
def test_mono_is_as_loud_on_both_sides(target: int, speech: Samples, tmp_path: Path) -> None:
    """Mono in stereo is the same sound twice."""
    path = write(tmp_path, "wav", speech, SPEECH_RATE)
    mono, stereo = load(path, target), load(path, target, 2)
    assert mono.tolist() == stereo[:, 0].tolist() == stereo[:, 1].tolist()


def test_many_channels_are_mixed(tmp_path: Path) -> None:
    """Surround sound becomes mono and stereo."""
    six = np.stack([sine(24000, peak=2000)] * 6, axis=1)
    path = write(tmp_path, "flac", six, 24000)
    assert 24000 == len(load(path)) == len(load(path, 24000, 2))
    assert 440 == pitch(load(path), 24000)


def test_what_vorbis_adds_is_left_out(tmp_path: Path) -> None:
    """A Vorbis file that begins softly has its length and its place in time."""
    tone = sine(24000, seconds=3)
    tone[:600] = 0
    heard = load(write(tmp_path, "ogg", tone, 24000))
    assert (len(tone), 0) == (len(heard), shift(tone, heard))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_the_sound_of_a_video_is_taken(kind: str, tmp_path: Path) -> None:
    """Of a video it is the sound."""
    path = tmp_path / f"video.{kind}"
    write_with_libav(path, "aac", sine(24000), 24000, pictures=True)
    heard = load(path)
    assert 440 == pitch(heard[:24000], 24000)
    assert 24000 == pytest.approx(len(heard), abs=0.07 * 24000)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("milliseconds", [60, 100])
def test_a_single_syllable_is_a_sound(kind: str, milliseconds: int, tmp_path: Path) -> None:
    """Short sounds, which libav recognises less easily, are read as well."""
    rate = rate_for(kind)
    short = sine(rate, seconds=milliseconds / 1000)
    heard = load(write(tmp_path, kind, short, rate))
    slack = {"aac": 0.1, "ogg": 0.015}.get(kind, FEW_MILLISECONDS)  # libav ends Vorbis early
    assert milliseconds / 1000 == pytest.approx(len(heard) / 24000, abs=slack)


async def test_it_is_for_a_thread(tmp_path: Path) -> None:
    """Off the event loop it holds nobody up."""
    path = await asyncio.to_thread(write, tmp_path, "m4a", sine(24000), 24000)
    audio = await asyncio.to_thread(load_audio_file, path)
    assert 48000 == pytest.approx(len(audio), abs=240)


def test_names_may_be_anything(tmp_path: Path) -> None:
    """A path may be a string, hold any character, and end in what the file is not."""
    plain = write(tmp_path, "wav", sine(24000), 24000)
    for name in (
        "file:a b?.wav",
        "http:x",
        "\N{PARROT}",
        "x.mp3",
        "x.m3u8",
        os.fsdecode(b"\xff.w"),
    ):
        path = tmp_path / name
        path.write_bytes(plain.read_bytes())
        assert 48000 == len(load_audio_file(str(path)))


def test_tags_in_any_encoding_do_no_harm(tmp_path: Path) -> None:
    """A tag that is no UTF-8 is no reason to refuse a sound."""
    path = write(tmp_path, "wav", sine(24000), 24000)
    info = b"INFOINAM" + (6).to_bytes(4, "little") + b"Gr\xfc\xdfe\0"
    content = path.read_bytes() + b"LIST" + len(info).to_bytes(4, "little") + info
    path.write_bytes(content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:])
    assert 48000 == len(load_audio_file(path))


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_file_of_unknown_length_is_read_to_its_end(size: int, tmp_path: Path) -> None:
    """Providers stream WAV files before they know how long these are."""
    path = write(tmp_path, "wav", sine(24000), 24000)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert 48000 == len(load_audio_file(path)) or size == 0


def test_tags_behind_an_mp3_do_no_harm(tmp_path: Path) -> None:
    """What old programs wrote behind the sound is not taken for damage."""
    path = write(tmp_path, "mp3", sine(24000), 24000)
    for tag in (b"TAG" + bytes(125), b"APETAGEX" + bytes(200), b"garbage" * 30):
        other = tmp_path / "tagged.mp3"
        other.write_bytes(path.read_bytes() + tag)
        assert 48000 == pytest.approx(len(load_audio_file(other)), abs=0.05 * 24000)


# What is refused


def refused(path: Path, *words: str) -> None:
    """Make sure that a file is refused in words that hold its name."""
    with pytest.raises(ValueError, match=re.escape(path.name)) as error:
        load_audio_file(path)
    assert all(word in str(error.value) for word in words), error.value


def test_a_missing_file_is_one(tmp_path: Path) -> None:
    """A file that is not there, and a folder, are errors of the system, with their names."""
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        load_audio_file(tmp_path / "none.wav")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        load_audio_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, which may never end, is refused."""
    os.mkfifo(tmp_path / "pipe.wav")
    refused(tmp_path / "pipe.wav", "pipe")


@pytest.mark.parametrize("name", ["text.wav", "text.txt", "text.mp3", "text"])
@pytest.mark.parametrize(
    "content", [b"", b"Hello.\n" * 500, bytes(5000), b"RIFF", b"OggS", b"fLaC"]
)
def test_no_sound_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    """What is no sound file is refused, whatever it is called."""
    path = tmp_path / name
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {}\n",
        "ffconcat version 1.0\nfile file.wav\n",
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.wav"])
def test_no_other_file_is_opened(
    content: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that names other files, which libav could open, is refused."""
    monkeypatch.chdir(tmp_path)
    sound = write(tmp_path, "wav", sine(24000), 24000)
    (tmp_path / name).write_text(content.format(sound))
    refused(tmp_path / name)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    """A file without sound is refused as such, and a sound file without a sample, too."""
    import av

    with av.open(tmp_path / "silent.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    refused(tmp_path / "silent.mp4", "no sound in it")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.int16), 24000)
    refused(tmp_path / "empty.wav", "no sound in it")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("aac", "webm", "mka")])
def test_a_file_that_was_cut_off_is_refused(kind: str, speech: Samples, tmp_path: Path) -> None:
    """Half a sentence is not taken for one."""
    rate = rate_for(kind)
    path = write(tmp_path, kind, resampled(speech, SPEECH_RATE, rate), rate)
    content = path.read_bytes()
    for part in (0.3, 0.6, 0.9):
        path.write_bytes(content[: int(len(content) * part)])
        refused(path)


@pytest.mark.parametrize("kind", ["flac", "ogg", "opus", "mp3", "m4a", "lib.opus", "lib.mp3"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_damage_in_the_middle_is_refused(
    kind: str, place: float, speech: Samples, tmp_path: Path
) -> None:
    """A sentence with a hole in it is not taken for one."""
    rate = rate_for(kind)
    path = write(tmp_path, kind, resampled(speech, SPEECH_RATE, rate), rate)
    content = bytearray(path.read_bytes())
    middle = int(len(content) * place)
    content[middle : middle + 1000] = bytes(1000)
    path.write_bytes(content)
    refused(path)


def test_missing_packets_are_found(speech: Samples, tmp_path: Path) -> None:
    """A gap in the time of a file that does not say how long it is does not close by itself."""
    import av

    whole = write(tmp_path, "webm", resampled(speech, SPEECH_RATE, OPUS_RATE), OPUS_RATE)
    with av.open(whole) as source, av.open(tmp_path / "gap.webm", "w") as target:
        stream = target.add_stream("libopus", rate=OPUS_RATE, layout="mono")
        for number, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.dts is not None and number not in range(20, 30):
                packet.stream = stream
                target.mux(packet)
    load(whole)
    refused(tmp_path / "gap.webm", "0.20 s are missing")


def test_a_flipped_bit_in_flac_is_found(speech: Samples, tmp_path: Path) -> None:
    """FLAC has checksums, and they are checked."""
    path = write(tmp_path, "flac", speech, SPEECH_RATE)
    content = path.read_bytes()
    for place in range(len(content) // 5, len(content), len(content) // 5):
        damaged = bytearray(content)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        refused(path, "damaged")


def test_too_long_a_file_is_refused(tmp_path: Path) -> None:
    """The bound holds for what a file holds, not for what it says, and can be moved."""
    path = tmp_path / "hours.flac"
    soundfile.write(path, np.zeros(int(8000 * (MAX_SECONDS + 1)), np.int16), 8000)
    assert path.stat().st_size < 100_000
    refused(path, "longer than 600 s")
    assert 2 * 8000 * 601 == len(load_audio_file(path, 8000, max_seconds=601))
    with pytest.raises(ValueError, match=r"longer than 0\.5 s"):
        load_audio_file(path, max_seconds=0.5)


def test_a_rate_that_would_make_much_of_little_is_refused(tmp_path: Path) -> None:
    """A file of 1 Hz, of which every sample would become thousands, is none."""
    path = write(tmp_path, "wav", sine(8000), 8000)
    content = bytearray(path.read_bytes())
    content[24:28] = (1).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, "1 Hz")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"num_channels": 3}, ValueError, "num_channels must be 1 or 2, not 3"),
        ({"num_channels": 0}, ValueError, "num_channels must be above 0, not 0"),
        ({"num_channels": True}, TypeError, "num_channels must be an int, not bool"),
        ({"num_channels": "2"}, TypeError, "num_channels must be an int, not str"),
        ({"sample_rate": 0}, ValueError, "sample_rate must be above 0, not 0"),
        ({"sample_rate": 999}, ValueError, "sample_rate must be 1000 to 384000 Hz, not 999"),
        ({"sample_rate": 10**9}, ValueError, "sample_rate must be 1000 to 384000 Hz"),
        ({"sample_rate": 24000.0}, TypeError, "sample_rate must be an int, not float"),
        ({"max_seconds": 0}, ValueError, "max_seconds must be above 0"),
        ({"path": b"file.wav"}, TypeError, "path must be a string or a path, not bytes"),
        ({"path": None}, TypeError, "path must be a string or a path, not NoneType"),
        ({"path": "a\0.wav"}, ValueError, r"'a\\x00.wav' cannot be read"),
    ],
)
def test_nonsense_is_refused(
    arguments: dict[str, object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    """Arguments that make no sense are refused with words that say what does."""
    usual: dict[str, object] = {"path": write(tmp_path, "wav", sine(24000), 24000)}
    with pytest.raises(error, match=words):
        load_audio_file(**(usual | arguments))  # type: ignore[arg-type]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV the error says how to install it, and importing the module does no harm."""
    monkeypatch.setitem(sys.modules, "av", None)
    module = importlib.reload(importlib.import_module("pipecat_tts_cache.sound.loading"))
    with pytest.raises(MissingExtraError, match=r"pip install 'pipecat-tts-cache\[audio\]'"):
        module.load_audio_file(tmp_path / "file.wav")
