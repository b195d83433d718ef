#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The demo from its first line to its last: a store, two calls, the figures, the files."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from demo.call import Call, CallRecord
from demo.captions import Caption, write_vtt, write_wav
from demo.espeak import EspeakError, engine, worker
from demo.espeak_tts import SAMPLE_RATE
from demo.figures import checks, figures, store_failures
from demo.script import ORDERS
from demo.show import Show
from pipecat_tts_cache import CacheBackend, MemoryCacheBackend
from pipecat_tts_cache.backends import DiskCacheBackend, RedisCacheBackend
from pipecat_tts_cache.errors import BackendError, MissingExtraError

_NAMESPACE = "demo"
_PAUSE_BETWEEN_CALLS = 1.5
_CALLS = ("First call", "Second call")
_REMARKS = (
    "the cache is empty; what is said twice is synthesised once",
    "another caller, the same questions; only what is new is synthesised",
)
_REMARKS_KEPT = ("the cache holds what earlier runs have said",) * 2


class DemoError(Exception):
    """The demo cannot go on, and the message says why in a line."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose.

    Parameters:
        output: The folder for the WAV and the captions.
        speed: How much faster than real time the calls go.
        provider_latency: Seconds before each live synthesis.
        voice: A voice of espeak-ng.
        disk: The folder of a disk store, or None.
        redis: The URL of a Redis server, or None. With neither, speech is in memory.
        keep: Whether to start with what the store holds from earlier runs.
    """

    output: Path
    speed: float
    provider_latency: float
    voice: str
    disk: Path | None
    redis: str | None
    keep: bool


async def run(options: Options) -> bool:
    """Run the demo.

    Args:
        options: What the user chose.

    Returns:
        Whether everything went as it should.

    Raises:
        DemoError: If it cannot.
    """
    show = Show()
    await _prepare(options)
    backend = _open_store(options)
    async with backend:
        show.title(
            {
                "voice": f"espeak-ng, {options.voice}",
                "store": _name_store(options),
                "pace": f"{options.speed:g}x real time",
                "provider latency": f"{options.provider_latency * 1000:g} ms, simulated",
            }
        )
        remarks = _REMARKS if await _begin(backend, options, show) else _REMARKS_KEPT
        calls = [
            await _hold(number, backend, options, show, remarks) for number in range(len(ORDERS))
        ]
    show.heading("What it comes to")
    show.figures(_CALLS, figures(calls, provider_latency=options.provider_latency))
    results = checks(calls, was_empty=remarks is _REMARKS)
    show.heading("Checked")
    show.checks(results)
    show.heading("What was said")
    show.facts(_write(options.output, calls))
    return not any(check.failures for check in results)


async def _prepare(options: Options) -> None:
    """Fail now, if it has to be, and not in the middle of a call."""
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(worker(), lambda: engine().require_voice(options.voice))
        options.output.mkdir(parents=True, exist_ok=True)
    except EspeakError as error:
        raise DemoError(str(error)) from error
    except OSError as error:
        raise DemoError(f"{options.output} cannot be written to: {error.strerror}") from error


def _name_store(options: Options) -> str:
    if options.disk is not None:
        return f"disk, {options.disk}"
    return "memory" if options.redis is None else "Redis"


def _open_store(options: Options) -> CacheBackend:
    if options.disk is not None:
        return DiskCacheBackend(options.disk)
    if options.redis is None:
        return MemoryCacheBackend()
    try:
        return RedisCacheBackend(redis_url=options.redis)
    except (ValueError, MissingExtraError) as error:
        raise DemoError(f"--redis: {error}") from error


async def _begin(backend: CacheBackend, options: Options, show: Show) -> bool:
    """Start cold, unless the user wants it warm; and find out whether the store is there.

    Returns:
        Whether the cache is empty.
    """
    try:
        if options.disk is not None:
            return not [entry async for entry in backend.entries(_NAMESPACE)]
        if options.keep:
            await backend.get_stats()
        else:
            await backend.clear(_NAMESPACE)
    except BackendError as error:
        show.notice(f"The store does not answer ({error}). The bot speaks all the same, live.")
    return not options.keep


async def _hold(
    number: int,
    backend: CacheBackend,
    options: Options,
    show: Show,
    remarks: tuple[str, ...],
) -> CallRecord:
    show.call(_CALLS[number], remarks[number])
    call = Call(
        ORDERS[number],
        backend=backend,
        namespace=_NAMESPACE,
        voice=options.voice,
        provider_latency=options.provider_latency,
        speed=options.speed,
        audience=show,
    )
    try:
        record = await call.hold()
    except TimeoutError as error:
        raise DemoError("the bot did not finish its turn; --verbose shows Pipecat's log") from error
    if failures := store_failures(record):
        show.notice(f"The store failed {failures} times; the caller heard nothing of it.")
    return record


def _write(folder: Path, calls: list[CallRecord]) -> dict[str, str]:
    recording = bytearray()
    captions: list[Caption] = []
    for call in calls:
        if recording:
            recording.extend(bytes(2 * int(SAMPLE_RATE * _PAUSE_BETWEEN_CALLS)))
        start = len(recording) / (2 * SAMPLE_RATE)
        captions.extend(caption.shifted(start) for caption in call.captions)
        recording.extend(call.recording)
    wav, vtt = folder / "call.wav", folder / "call.vtt"
    write_wav(wav, bytes(recording), SAMPLE_RATE)
    write_vtt(vtt, captions)
    return {
        "audio": f"{wav} ({len(recording) / (2 * SAMPLE_RATE):.0f} s)",
        "captions": f"{vtt} ({len(captions)} captions, every word with its time)",
    }
