#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A script fetches speech with `asyncio.run`, and leaves nothing behind."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
import soundfile
from blockbuster import BlockBuster

from pipecat_tts_cache import load_audio_file
from tests.espeak import espeak
from tests.pipecat_services import importable
from tests.pipecat_versions import needs_data
from tests.providers.cartesia import CartesiaServer
from tests.test_docs import ROOT, snippets

__all__ = ["espeak"]

PAGE = "docs/outside-a-pipeline.md"

SCRIPT = """
import asyncio, sys
from demo.espeak_tts import EspeakTTSService
from pipecat_tts_cache import Line, MemoryCacheBackend, SpeechCache, TTSCacheMixin

class CachedEspeak(TTSCacheMixin, EspeakTTSService):
    pass

def make(latency=0.0):
    tts = CachedEspeak(provider_latency=latency)

    @tts.event_handler("on_tts_request")
    async def on_request(*_):
        print("asked", flush=True)

    return tts

speech = SpeechCache(make, MemoryCacheBackend())

async def use():
    async with speech:
        await speech.fetch(Line("Hello.", {"latency": 60.0}))

async def forget():
    print(len((await speech.fetch("Hello.")).audio) > 10_000, flush=True)

if sys.argv[1] == "use":
    asyncio.run(use())
else:
    asyncio.run(forget())
    asyncio.run(forget())
    asyncio.run(speech.clear())
    asyncio.run(forget())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder."""
    importable()
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_documented_script_writes_its_files(
    folder: Path, no_blocking: BlockBuster
) -> None:
    """For a telephone line, and once for all."""
    no_blocking.deactivate()  # a script may import what it likes
    ((_, code),) = snippets(PAGE, "python")
    async with CartesiaServer(chunk_ms=100) as server:
        options = ", ".join(f"{name}={value!r}" for name, value in server.options().items())
        code = code.replace('api_key="your key"', options)
        for _ in range(2):
            names = {"__name__": "__main__"}
            await asyncio.to_thread(exec, compile(code, PAGE, "exec"), names)
        assert ["Welcome to the clinic.", "One moment. Please hold the line."] == server.texts
    for name in ("welcome.wav", "hold.wav"):
        with soundfile.SoundFile(folder / name) as file:
            assert (8000, "ULAW") == (file.samplerate, file.subtype)
        assert len(load_audio_file(folder / name, 8000)) > 8000


async def run_script(how: str, *, interrupt: bool = False) -> tuple[int | None, str, str]:
    """Run the script in a process of its own, and press Ctrl-C when the provider is asked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "dev",
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        SCRIPT,
        how,
        cwd=ROOT / "examples",
        env={"LOGURU_LEVEL": "WARNING", "PYTHONPATH": str(ROOT / "examples")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"asked\n" == await process.stdout.readline()
    if interrupt:
        process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


@pytest.mark.usefixtures("espeak")
async def test_ctrl_c_ends_a_script_at_once_and_in_order() -> None:
    """With nothing but the usual trace: no task was destroyed, nothing was left open."""
    code, out, errors = await run_script("use", interrupt=True)
    assert (-signal.SIGINT, "") == (code, out)
    assert "KeyboardInterrupt" == errors.splitlines()[-1]
    assert [] == [line for line in errors.splitlines() if "Warning" in line or "Task" in line]


@needs_data
@pytest.mark.usefixtures("espeak")
async def test_a_script_that_forgets_to_close_ends_in_order() -> None:
    """Event loops may follow one another; what was fetched in the first is there in the second."""
    code, out, errors = await run_script("forget")
    assert (0, "True\nTrue\nasked\nTrue\n", "") == (code, out, errors)
