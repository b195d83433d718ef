#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Models that run on the same machine, in place of what loads them: Kokoro, Piper and Pocket TTS.

A model has no connection: whatever goes wrong in the middle is an exception.
"""

import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipecat_tts_cache.testing.provider import Request
from tests.providers.kind import Kind
from tests.providers.sdk import LibraryServer, Replacement, Threads, exact_floats

KOKORO_SAMPLE_RATE = 24_000
PIPER_SAMPLE_RATE = 22_050
POCKET_SAMPLE_RATE = 24_000
KOKORO_VOICES = ("af_heart", "am_adam")
POCKET_VOICES = ("alba", "marius")


class ModelServer(LibraryServer):
    """A model, which fails in one way."""

    def lost(self) -> Exception:
        """Return the exception of a model that fails in the middle."""
        return RuntimeError("Inference failed")

    def refused(self, request: Request) -> Exception:
        """Return the exception of a model that fails."""
        return RuntimeError("Inference failed")


class KokoroServer(ModelServer):
    """For `KokoroTTSService(**server.options())`."""

    module = "kokoro.tts"
    voices = KOKORO_VOICES

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice, for there is none by default."""
        from pipecat.services.kokoro.tts import KokoroTTSSettings

        return {"settings": KokoroTTSSettings(voice=self.voices[0])}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the model, and download nothing."""
        yield pipecat, "Kokoro", lambda *_: self
        yield pipecat, "_ensure_model_files", lambda *_: None

    async def create_stream(
        self, text: str, *, voice: str, lang: str, speed: float
    ) -> AsyncIterator[tuple[Any, int]]:
        """Speak a text in samples from -1 to 1."""
        settings = {"voice": voice, "lang": lang, "speed": speed}
        async for piece in self.answer(text, KOKORO_SAMPLE_RATE, **settings):
            yield exact_floats(piece.audio), KOKORO_SAMPLE_RATE


class PiperServer(ModelServer):
    """For `PiperTTSService(**server.options())`, which iterates in a thread."""

    module = "piper.tts"
    config = SimpleNamespace(sample_rate=PIPER_SAMPLE_RATE)

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with a voice and a folder for it."""
        from pipecat.services.piper.tts import PiperTTSSettings

        voice = PiperTTSSettings(voice="en_US-ryan-high")
        return {"settings": voice, "download_dir": Path(tempfile.gettempdir())}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the voice, and download nothing."""
        self._threads = Threads(self)
        yield pipecat, "PiperVoice", SimpleNamespace(load=self.load)
        yield pipecat, "download_voice", lambda *_, **__: None

    def load(self, path: Path, *, use_cuda: bool) -> "PiperServer":
        """Load a voice."""
        self._voice = path.stem
        return self

    def synthesize(self, text: str) -> Iterator[Any]:
        """Speak a text in chunks."""
        pieces = self.answer(text, PIPER_SAMPLE_RATE, voice=self._voice)
        for piece in self._threads.iterate(pieces):
            yield SimpleNamespace(audio_int16_bytes=piece.audio)


class PocketServer(ModelServer):
    """For `PocketTTSService(**server.options())`, which iterates in a thread."""

    module = "pocket_tts.tts"
    sample_rate = POCKET_SAMPLE_RATE

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments: none."""
        return {}

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of the model."""
        self._threads = Threads(self)
        yield pipecat, "TTSModel", SimpleNamespace(load_model=lambda **_: self)

    def get_state_for_audio_prompt(self, voice: str) -> str:
        """Derive what a voice is like; here, its name says it all."""
        return voice

    def generate_audio_stream(self, state: str, text: str, *, copy_state: bool) -> Iterator[Any]:
        """Speak a text in tensors of samples from -1 to 1."""
        pieces = self.answer(text, POCKET_SAMPLE_RATE, voice=state)
        for piece in self._threads.iterate(pieces):
            yield Tensor(exact_floats(piece.audio))


class Tensor:
    """What Pipecat uses of PyTorch's.

    Args:
        samples: An array of NumPy.
    """

    def __init__(self, samples: Any) -> None:
        self._samples = samples

    def clamp(self, low: float, high: float) -> "Tensor":
        """Keep the samples between two values."""
        return Tensor(self._samples.clip(low, high))

    def __mul__(self, factor: float) -> "Tensor":
        return Tensor(self._samples * factor)

    def to(self, _: object) -> "Tensor":
        """Leave off what is behind the point."""
        return Tensor(self._samples.astype("<i2"))

    def numpy(self) -> Any:
        """Return the array."""
        return self._samples


KINDS = (
    Kind(
        service="KokoroTTSService",
        server=KokoroServer,
        voices=KOKORO_VOICES,
        sample_rate=KOKORO_SAMPLE_RATE,
    ),
    Kind(
        # A new voice is noted down, but the model in use stays.
        service="PiperTTSService",
        server=PiperServer,
        voices=("en_US-ryan-high", "en_US-amy-low"),
        sample_rate=PIPER_SAMPLE_RATE,
    ),
    Kind(
        service="PocketTTSService",
        server=PocketServer,
        voices=POCKET_VOICES,
        sample_rate=POCKET_SAMPLE_RATE,
        stand_ins={"torch": {"int16": "int16"}, "pocket_tts": {"TTSModel": None}},
    ),
)
