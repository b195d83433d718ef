#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Azure, in place of its synthesizer: events for each chunk and word, or a whole answer."""

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from pipecat_tts_cache.testing.provider import Request
from tests.providers.aws import plain_text
from tests.providers.kind import Kind
from tests.providers.plain_http import wav_header
from tests.providers.sdk import LibraryServer, Replacement, Threads

TICKS = 10_000_000  # in a second


class AzureServer(LibraryServer):
    """For `AzureTTSService` and `AzureHttpTTSService`, created with `server.options()`."""

    module = "azure.tts"

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().options(), "region": "westeurope"}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put a synthesizer that asks this server in place of the library's."""

        def synthesizer(speech_config: Any, audio_config: Any) -> Synthesizer:
            return Synthesizer(self, speech_config)

        yield pipecat, "SpeechSynthesizer", synthesizer

    def lost(self) -> Exception:
        """Return the details of the cancellation when a connection breaks."""
        return ConnectionError("Connection was closed by the remote host. Error code: 1006.")

    def refused(self, request: Request) -> Exception:
        """Return the details of the cancellation for what is refused."""
        return RuntimeError("Synthesis failed. Error code: 1007.")


class Event:
    """Who is told when something happens."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Any], None]] = []

    def connect(self, listener: Callable[[Any], None]) -> None:
        """Tell a listener from now on."""
        self._listeners.append(listener)

    def tell(self, **event: object) -> None:
        """Tell all listeners."""
        for listener in self._listeners:
            listener(SimpleNamespace(**event))


class Synthesizer:
    """What Pipecat uses of Azure's `SpeechSynthesizer`. One text is spoken after the other.

    The library calls listeners in threads of its own; here they are called on the event loop. They
    hand what they are told over to it in either case.

    Args:
        server: The provider.
        config: The library's `SpeechConfig`.
    """

    def __init__(self, server: AzureServer, config: Any) -> None:
        from azure.cognitiveservices.speech import PropertyId

        form = config.get_property(PropertyId.SpeechServiceConnection_SynthOutputFormat)
        number, unit = re.fullmatch(r"raw-(\d+)(khz|hz)-16bit-mono-pcm", form).groups()
        self._server, self._rate = server, int(number) * {"khz": 1000, "hz": 1}[unit]
        self._threads = Threads(server)
        self._speaking: asyncio.Task[None] | None = None
        self.synthesizing, self.synthesis_completed = Event(), Event()
        self.synthesis_canceled, self.synthesis_word_boundary = Event(), Event()

    def speak_ssml(self, ssml: str) -> Any:
        """Speak in a thread, and return when all of it has come, as a WAV file."""
        return self._threads.wait_for(self._speak_whole, ssml)

    async def _speak_whole(self, ssml: str) -> Any:
        from azure.cognitiveservices.speech import CancellationReason, ResultReason

        text, voice = _read(ssml)
        try:
            audio = await self._server.whole_answer(text, self._rate, voice=voice)
        except (ConnectionError, RuntimeError) as error:
            return _canceled(CancellationReason.Error, str(error))
        data = wav_header(len(audio), self._rate) + audio
        return SimpleNamespace(reason=ResultReason.SynthesizingAudioCompleted, audio_data=data)

    def speak_ssml_async(self, ssml: str) -> None:
        """Speak when what was asked before has been spoken, and tell the listeners."""
        self._speaking = asyncio.ensure_future(self._speak(ssml, before=self._speaking))

    def stop_speaking_async(self) -> Any:
        """Stop, and return something to wait for."""
        from azure.cognitiveservices.speech import CancellationReason

        if self._speaking and not self._speaking.done():
            self._speaking.cancel()
            result = _canceled(CancellationReason.CancelledByUser)
            self.synthesis_canceled.tell(result=result)
        return SimpleNamespace(get=lambda: None)

    async def _speak(self, ssml: str, *, before: asyncio.Task[None] | None) -> None:
        from azure.cognitiveservices.speech import CancellationReason

        if before:
            await asyncio.wait([before])
        text, voice = _read(ssml)
        try:
            await self._say(text, voice)
        except (ConnectionError, RuntimeError) as error:
            result = _canceled(CancellationReason.Error, str(error))
            self.synthesis_canceled.tell(result=result)

    async def _say(self, text: str, voice: str) -> None:
        duration = 0.0
        request = await self._server.take(text, self._rate, voice=voice)
        async for piece in self._server.speak(request):
            for word, start, end in piece.words(request.speech):
                self._tell_word(word, start, end)
            result = SimpleNamespace(audio_data=piece.audio)
            self.synthesizing.tell(result=result)
            duration = piece.end
        result = SimpleNamespace(audio_duration=timedelta(seconds=duration))
        self.synthesis_completed.tell(result=result)

    def _tell_word(self, word: str, start: float, end: float) -> None:
        """Tell about a word, and apart from it about the punctuation behind it."""
        bare, punctuation = re.fullmatch(r"(.*?)([.,!?;:]*)", word).groups()
        for part, at in ((bare, start), (punctuation, end)):
            if part:
                self.synthesis_word_boundary.tell(text=part, audio_offset=round(at * TICKS))


def _read(ssml: str) -> tuple[str, str]:
    """Return the text and the voice of SSML."""
    voice = re.search(r"<voice name='([^']*)'", ssml)
    if not voice:
        raise ValueError(f"No voice in {ssml}")
    return plain_text(ssml), voice[1]


def _canceled(reason: Any, details: str = "") -> Any:
    from azure.cognitiveservices.speech import ResultReason

    cancellation = SimpleNamespace(reason=reason, error_details=details)
    return SimpleNamespace(reason=ResultReason.Canceled, cancellation_details=cancellation)


_VOICES = ("en-US-SaraNeural", "en-US-GuyNeural")

KINDS = (
    Kind(service="AzureTTSService", server=AzureServer, voices=_VOICES),
    Kind(service="AzureHttpTTSService", server=AzureServer, voices=_VOICES),
)
