#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The espeak-ng library, driven through ctypes: text in, chunks of samples and words out.

espeak-ng is free software under the GPL, version 3 or later. It is a tool of this demo and of the
tests only: the library `pipecat-tts-cache` neither contains, imports nor depends on it, and
`espeakng-loader`, the package that brings the binary, stands in a development group and in none
of the library's extras.
"""

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, nothing is played
_BUFFER_MILLISECONDS = 20
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: without its data it reports, and does not exit
_CHARACTERS = 1  # POS_CHARACTER
_UTF8 = 1  # espeakCHARS_UTF8
_RATE, _PITCH = 1, 3  # espeakRATE, espeakPITCH
_LIST_ENDS, _WORD = 0, 1  # espeakEVENT_LIST_TERMINATED, espeakEVENT_WORD
_GO_ON, _ABORT = 0, 1  # what the callback answers

INSTALL_HINT = (
    "install it with `pip install espeakng-loader`, or from your system "
    "(`apt install libespeak-ng1`, `brew install espeak-ng`)"
)


class EspeakError(Exception):
    """espeak-ng is missing, or could not do what it was asked."""


class WordEvent(NamedTuple):
    """A word espeak-ng begins to speak.

    Parameters:
        position: Where it begins in the text, in characters from 0.
        start: When it begins, in seconds from the start of the synthesis.
    """

    position: int
    start: float


class Speech(NamedTuple):
    """About 60 ms of a synthesis.

    Parameters:
        audio: Samples, PCM s16le, mono.
        words: The words that begin in these samples.
    """

    audio: bytes
    words: tuple[WordEvent, ...]


class Manner(NamedTuple):
    """How a text is to be spoken.

    Parameters:
        voice: A voice of espeak-ng, as `espeak-ng --voices` lists them: "en-us", "de", "en-gb+f3".
        rate: Words per minute, 80 to 450.
        pitch: 0 to 100.
    """

    voice: str
    rate: int
    pitch: int


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The library, loaded and set up. Its state is global, so there is one, used by one thread."""

    def __init__(self) -> None:
        """Load and set up the library.

        Raises:
            EspeakError: If no library can be found, or it comes without its data.
        """
        self._library, data_path = _load()
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MILLISECONDS, data_path, _DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise EspeakError(f"espeak-ng was found, but not its data: {INSTALL_HINT}")

    def speak(self, text: str, manner: Manner, hear: Callable[[Speech], bool]) -> None:
        """Synthesise a text. Blocks until all is spoken, and lets go of the GIL meanwhile.

        Args:
            text: What to say.
            manner: How to say it.
            hear: Gets the speech as it is made, and says whether to go on.

        Raises:
            EspeakError: If the voice is unknown or the synthesis failed.
        """
        failures: list[BaseException] = []

        def on_samples(
            samples: "ctypes._Pointer[ctypes.c_short]",
            count: int,
            events: "ctypes._Pointer[_Event]",
        ) -> int:
            try:
                audio = ctypes.string_at(samples, count * 2) if samples else b""
                speech = Speech(audio, tuple(_words(events)))
                return _GO_ON if hear(speech) else _ABORT
            except BaseException as failure:  # must not pass through C
                failures.append(failure)
                return _ABORT

        callback = _Callback(on_samples)
        self._library.espeak_SetSynthCallback(callback)
        self._set(manner)
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _UTF8, None, None
        )
        if failures:
            raise failures[0]
        if status != 0:
            raise EspeakError(f"espeak-ng could not speak (status {status})")

    def require_voice(self, voice: str) -> None:
        """Make sure that there is such a voice, and use it.

        Raises:
            EspeakError: If there is none.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice!r}")

    def _set(self, manner: Manner) -> None:
        self.require_voice(manner.voice)
        self._library.espeak_SetParameter(_RATE, manner.rate, 0)
        self._library.espeak_SetParameter(_PITCH, manner.pitch, 0)


def _words(events: "ctypes._Pointer[_Event]") -> Iterator[WordEvent]:
    number = 0
    while events and events[number].type != _LIST_ENDS:
        event = events[number]
        if event.type == _WORD:
            yield WordEvent(event.text_position - 1, event.audio_position / 1000)
        number += 1


def _load() -> tuple[ctypes.CDLL, bytes | None]:
    try:
        import espeakng_loader  # noqa: PLC0415 (optional: a system library does as well)
    except ImportError:
        path, data_path = ctypes.util.find_library("espeak-ng"), None
    else:
        path, data_path = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if path is None:
        raise EspeakError(f"espeak-ng is not installed: {INSTALL_HINT}")
    try:
        return ctypes.CDLL(path), data_path.encode() if data_path else None
    except OSError as error:
        raise EspeakError(f"espeak-ng could not be loaded ({error}): {INSTALL_HINT}") from error


@cache
def engine() -> Espeak:
    """The one engine of this process, loaded by the first who asks. Only for the worker thread."""
    return Espeak()


@cache
def worker() -> ThreadPoolExecutor:
    """The one thread that may touch the engine."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
