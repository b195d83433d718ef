#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Tries what is installed, as a user has it: run it with the Python of a clean environment.

python .ci/check_wheel.py                  without any extra
python .ci/check_wheel.py unix:///a.sock   with the extra `all`, and a Redis server to use
"""

import asyncio
import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path

import pipecat_tts_cache
from pipecat_tts_cache import (
    CacheBackend,
    CacheKey,
    MissingExtraError,
    TTSCacheMixin,
    Utterance,
    Word,
    open_backend,
)

KEY = CacheKey("a wheel", "0" * 64)
UTTERANCE = Utterance(audio=bytes(4800), sample_rate=24000, words=(Word("Hello.", 0.0),))
EXTRAS = {
    "redis": "redis://localhost:6379/0",
    "postgres": "postgresql://localhost/tts",
    "object-store": "s3://bucket/prefix",
}
"""A store for each extra, by its URL."""


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
    expect(
        "TTSService" in [each.__name__ for each in TTSCacheMixin.__mro__], "the mixin finds Pipecat"
    )


def try_without(extra: str, url: str) -> None:
    """Ask for a store whose extra is missing."""
    try:
        open_backend(url)
    except MissingExtraError as error:
        expect(f"pip install 'pipecat-tts-cache[{extra}]'" in str(error), f"without: {error}")
    else:
        sys.exit(f"not so: a store says that the extra {extra} is missing")


async def try_stores(urls: list[str]) -> None:
    """Try stores by their URLs."""
    for url in urls:
        await try_store(open_backend(url))


if __name__ == "__main__":
    try_package()
    with tempfile.TemporaryDirectory() as folder:
        disk = f"disk://{folder}/disk"
        stores = ["memory://", disk, f"tiered:memory://,{disk}"]
        if len(sys.argv) > 1:
            stores += [f"{sys.argv[1]}?timeout=5s", f"file://{folder}"]
        else:
            for missing, its_url in EXTRAS.items():
                try_without(missing, its_url)
        asyncio.run(try_stores(stores))
