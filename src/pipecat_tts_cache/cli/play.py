#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Listening to an utterance: `play`."""

import sys
import wave
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer

from pipecat_tts_cache.cli.choice import DigestPrefix
from pipecat_tts_cache.cli.ending import ExitCode, Stop, ending, with_store
from pipecat_tts_cache.cli.look import look_up
from pipecat_tts_cache.cli.options import Namespace, Store
from pipecat_tts_cache.cli.output import note
from pipecat_tts_cache.codec import takes, write_sound
from pipecat_tts_cache.utterance import Utterance

_STDOUT = "-"
_SUFFIXES = (".wav", ".flac")
_OR_FILE = "or write a file: --output line.wav"


def register(app: typer.Typer) -> None:
    """Add this command.

    Args:
        app: Where to.
    """
    app.command("play")(play)


def _check_output(output: str | None) -> str | None:
    if output not in (None, _STDOUT) and Path(output).suffix.lower() not in _SUFFIXES:
        raise typer.BadParameter("give a file that ends in .wav or .flac, or - for stdout")
    return output


Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        callback=_check_output,
        metavar="FILE",
        help="A file to write, .wav or .flac; - writes the bare samples to stdout.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")]


def play(
    digest: DigestPrefix,
    store: Store,
    output: Output = None,
    overwrite: Overwrite = False,
    namespace: Namespace = None,
) -> None:
    """Play an utterance, or write it to a file. That does not count as a use of it."""
    with ending(store):
        if output == _STDOUT and sys.stdout.isatty():
            raise Stop("samples are nothing for a terminal: redirect stdout", ExitCode.USAGE)
        device = _device() if output is None else None
        _, utterance = with_store(store, lambda backend: look_up(backend, digest, namespace))
        if output == _STDOUT:
            sys.stdout.buffer.write(utterance.audio)
            note(_shape(utterance))
        elif output is not None:
            _write(Path(output), utterance, overwrite=overwrite)
            note(f"{output}: {_shape(utterance)}")
        else:
            _play(utterance, device)


def _shape(utterance: Utterance) -> str:
    channels = "mono" if utterance.num_channels == 1 else f"{utterance.num_channels} channels"
    return f"{utterance.duration:.2f} s, {utterance.sample_rate} Hz, {channels}, 16 bits"


def _write(path: Path, utterance: Utterance, *, overwrite: bool) -> None:
    content = _as_flac(utterance) if path.suffix.lower() == ".flac" else _as_wav(utterance)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise Stop(f"{path} is there already: choose another, or pass --overwrite") from None


def _as_wav(utterance: Utterance) -> bytes:
    written = BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(utterance.num_channels)
        file.setsampwidth(2)
        file.setframerate(utterance.sample_rate)
        file.writeframes(utterance.audio)
    return written.getvalue()


def _as_flac(utterance: Utterance) -> bytes:
    rate, channels = utterance.sample_rate, utterance.num_channels
    if not takes("flac", rate, channels):
        raise Stop(f"FLAC does not hold {channels} channels at {rate} Hz: write .wav")
    form: dict[str, Any] = {"samplerate": rate, "channels": channels}
    return write_sound(utterance.audio, format="FLAC", subtype="PCM_16", **form)


def _device() -> Any:
    """Import what plays sound, before anything is looked for."""
    try:
        return import_module("sounddevice")
    except ImportError:
        raise Stop(
            f"playing takes the package sounddevice: pip install sounddevice; {_OR_FILE}"
        ) from None
    except OSError:
        raise Stop(
            "sounddevice does not find the PortAudio library: "
            f"apt install libportaudio2, brew install portaudio; {_OR_FILE}"
        ) from None


def _play(utterance: Utterance, device: Any) -> None:
    channels, rate = utterance.num_channels, utterance.sample_rate
    some = 2 * channels * max(1, rate // 10)
    try:
        with device.RawOutputStream(samplerate=rate, channels=channels, dtype="int16") as stream:
            for start in range(0, len(utterance.audio), some):  # so that it can be interrupted
                stream.write(utterance.audio[start : start + some])
    except device.PortAudioError as error:
        raise Stop(f"the sound device does not play this ({error}); {_OR_FILE}") from None
