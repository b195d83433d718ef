#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Tries what is installed, as a user has it: run it with the Python of a clean environment.

python .ci/check_wheel.py                  without any extra
python .ci/check_wheel.py unix:///a.sock   with the extra `redis`, and a server to use
"""

import asyncio
import sys
from importlib import metadata, resources
from pathlib import Path

import pipecat_tts_cache
from pipecat_tts_cache import (
    CacheBackend,
    CacheKey,
    MemoryCacheBackend,
    MissingExtraError,
    RedisCacheBackend,
    TTSCacheMixin,
    Utterance,
    Word,
)

KEY = CacheKey("a wheel", "0" * 64)
UTTERANCE = Utterance(audio=bytes(4800), sample_rate=24000, words=(Word("Hello.", 0.0),))


def expect(holds: object, what: str) -> None:
    """Say what is so, or stop because it is not."""
    if not holds:
        sys.exit(f"not so: {what}")
    print(f"  {what}")


async def try_store(backend: CacheBackend) -> None:
    """Keep, find and clear an utterance."""
    async with backend:
        name = type(backend).__name__
        await backend.set(KEY, UTTERANCE, ttl=60)
        expect(await backend.get(KEY) == UTTERANCE, f"{name} keeps an utterance")
        expect(await backend.clear("a wheel") == 1, f"{name} forgets it")


def try_package() -> None:
    """Look at what is installed, and where."""
    folder = Path(pipecat_tts_cache.__file__).parent
    expect("site-packages" in folder.parts, "the package is the installed one")
    expect((resources.files("pipecat_tts_cache") / "py.typed").is_file(), "it has types")
    files = metadata.files("pipecat-tts-cache") or []
    tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
    others = tops - {"pipecat_tts_cache"}
    expect(len(others) == 1, f"it installs itself, {others}, and nothing else")
    expect(any(file.name == "LICENSE" for file in files), "its license comes with it")
    names = [getattr(pipecat_tts_cache, name) for name in pipecat_tts_cache.__all__]
    expect(all(names), f"all {len(names)} public names can be imported")
    expect(TTSCacheMixin.__mro__[1].__name__ == "TTSService", "the mixin finds Pipecat")


def try_without_redis() -> None:
    """Ask for a store whose extra is missing."""
    try:
        RedisCacheBackend()
    except MissingExtraError as error:
        expect("pip install 'pipecat-tts-cache[redis]'" in str(error), f"without redis: {error}")
    else:
        sys.exit("not so: RedisCacheBackend says what is missing")


if __name__ == "__main__":
    try_package()
    asyncio.run(try_store(MemoryCacheBackend()))
    if len(sys.argv) > 1:
        asyncio.run(try_store(RedisCacheBackend(sys.argv[1], timeout=5)))
    else:
        try_without_redis()
