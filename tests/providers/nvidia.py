#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""NVIDIA Riva, in place of its gRPC client: a stream of texts is answered by a stream of audio."""

import asyncio
import queue
from collections.abc import AsyncIterator, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from pipecat_tts_cache.testing.provider import Request
from tests.providers.kind import Kind
from tests.providers.sdk import LibraryServer, Replacement, Threads


class NvidiaServer(LibraryServer):
    """For `NvidiaTTSService(**server.options())`, in both of its modes.

    A stream ends when all of its texts are spoken and no more follow. What goes wrong with one of
    them ends it at once.
    """

    module = "nvidia.tts"

    def replacements(self, pipecat: Any) -> Iterable[Replacement]:
        """Put this server in place of Riva's client, and let Pipecat hand texts to its threads."""
        riva = pipecat.riva.client
        threads = Threads(self)
        stub = SimpleNamespace(
            GetRivaSynthesisConfig=lambda _: pipecat.rtts.RivaSynthesisConfigResponse(),
            SynthesizeOnline=lambda requests, metadata: Call(self, threads, requests),
        )
        yield riva, "Auth", lambda *_: SimpleNamespace(get_auth_metadata=list)
        yield riva, "SpeechSynthesisService", lambda auth: SimpleNamespace(auth=auth, stub=stub)
        hand_over = SimpleNamespace(Queue=lambda: HandOver(threads), Empty=queue.Empty)
        yield pipecat, "queue", hand_over

    def lost(self) -> Exception:
        """Return what gRPC makes of a connection that breaks."""
        return _error("UNAVAILABLE", "Connection reset by peer")

    def refused(self, request: Request) -> Exception:
        """Return what gRPC makes of an error."""
        return _error("INVALID_ARGUMENT", "Synthesis failed")


class HandOver:
    """A queue from the event loop to a thread, which waits on the event loop.

    Args:
        threads: How to wait.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def put(self, item: str | None) -> None:
        """Put something in, on the event loop."""
        self._queue.put_nowait(item)

    def empty(self) -> bool:
        """Whether nothing is in it."""
        return self._queue.empty()

    def get_nowait(self) -> str | None:
        """Take something out that is in it."""
        return self._queue.get_nowait()

    def get(self) -> str | None:
        """Wait in a thread for something, and take it out."""
        item: str | None = self._threads.wait_for(self._queue.get)
        return item


class Call:
    """A call of `SynthesizeOnline`, iterated over in a thread.

    Args:
        server: The provider.
        threads: How to wait in a thread.
        requests: The texts, as Riva's `SynthesizeSpeechRequest`s.
    """

    def __init__(self, server: NvidiaServer, threads: Threads, requests: Iterator[Any]) -> None:
        self._server, self._threads, self._requests = server, threads, requests
        self._over = False
        self._coming: asyncio.Future[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self._threads.iterate(self._until_cancelled())

    def cancel(self) -> None:
        """Answer no more; called on the event loop."""
        self._over = True
        if self._coming:
            self._coming.cancel()

    async def _until_cancelled(self) -> AsyncIterator[Any]:
        answers = self._answers()
        while not self._over:
            self._coming = asyncio.ensure_future(anext(answers, None))
            try:
                answer = await self._coming
            except asyncio.CancelledError:
                if self._over:
                    break
                raise
            if answer is None:
                return
            yield answer
        raise _error("CANCELLED", "Locally cancelled by application!")

    async def _answers(self) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        while request := await loop.run_in_executor(None, next, self._requests, None):
            pieces = self._server.answer(
                request.text,
                request.sample_rate_hz,
                voice=request.voice_name,
                language=request.language_code,
            )
            async for piece in pieces:
                yield SimpleNamespace(audio=piece.audio)


def _error(code: str, details: str) -> Exception:
    import grpc

    class Error(grpc.RpcError):
        def code(self) -> Any:
            return grpc.StatusCode[code]

        def details(self) -> str:
            return details

    return Error(f"{code}: {details}")


class StitchingServer(NvidiaServer):
    """For `NvidiaTTSService(**server.options())`, which sends all sentences of a turn at once."""

    def options(self) -> dict[str, Any]:
        """Return the constructor arguments, with the mode."""
        from pipecat.services.nvidia.tts import NvidiaTTSService, NvidiaTTSSynthesisMode

        stitched = NvidiaTTSService.Settings(synthesis_mode=NvidiaTTSSynthesisMode.STITCHED)
        return {**super().options(), "settings": stitched}


_VOICES = ("Magpie-Multilingual.EN-US.Aria", "Magpie-Multilingual.EN-US.Jason")

KINDS = (
    Kind(
        service="NvidiaTTSService",
        name="per sentence",
        server=NvidiaServer,
        voices=_VOICES,
    ),
    Kind(
        service="NvidiaTTSService",
        name="stitched",
        server=StitchingServer,
        voices=_VOICES,
    ),
)
