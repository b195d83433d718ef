#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Cached variants of real services, each with its provider on loopback."""

from dataclasses import dataclass
from typing import Any

from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.tts import DeepgramTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService, ElevenLabsTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService

from pipecat_tts_cache import TTSCacheMixin
from tests.providers.cartesia import CartesiaServer
from tests.providers.deepgram import DeepgramServer
from tests.providers.elevenlabs import ElevenLabsHttpServer, ElevenLabsServer
from tests.providers.openai import OpenAIServer
from tests.providers.server import Server


class CachedCartesia(TTSCacheMixin, CartesiaTTSService):
    pass


class CachedDeepgram(TTSCacheMixin, DeepgramTTSService):
    pass


class CachedElevenLabs(TTSCacheMixin, ElevenLabsTTSService):
    pass


class CachedElevenLabsHttp(TTSCacheMixin, ElevenLabsHttpTTSService):
    pass


class CachedOpenAI(TTSCacheMixin, OpenAITTSService):
    pass


@dataclass(frozen=True)
class Kind:
    """A provider and the service that speaks to it.

    Parameters:
        server: The provider.
        bare: Pipecat's service.
        cached: The same behind the mixin.
    """

    server: type[Server]
    bare: type[TTSService]
    cached: type[TTSCacheMixin]

    def without_cache(self, server: Server, **options: Any) -> TTSService:
        """Create the service as Pipecat ships it."""
        return self.bare(**server.options(), **options)

    def with_cache(self, server: Server, **options: Any) -> TTSCacheMixin:
        """Create the service behind the mixin."""
        return self.cached(**server.options(), **options)


KINDS: dict[str, Kind] = {
    "cartesia": Kind(CartesiaServer, CartesiaTTSService, CachedCartesia),
    "deepgram": Kind(DeepgramServer, DeepgramTTSService, CachedDeepgram),
    "elevenlabs": Kind(ElevenLabsServer, ElevenLabsTTSService, CachedElevenLabs),
    "elevenlabs_http": Kind(ElevenLabsHttpServer, ElevenLabsHttpTTSService, CachedElevenLabsHttp),
    "openai": Kind(OpenAIServer, OpenAITTSService, CachedOpenAI),
}
