#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The command line lets recordings stand in for lines: `pin`, `pins` and `unpin`."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipecat_tts_cache.cli.factory import factory
from pipecat_tts_cache.testing.driver import running
from tests.command_line import Said, Shop, disk
from tests.pipecat_versions import needs_data
from tests.sounds import sine, write

RATE = 24_000
LINE = "One moment, please."
FACTORY = "studio_bot:make_tts"
MODULE = """
from pathlib import Path

from pipecat.services.settings import TTSSettings

from pipecat_tts_cache import DiskCacheBackend, MemoryCacheBackend
from tests.cached_scripted import CACHED_SCRIPTED

def make_tts(voice="anna"):
    store = DiskCacheBackend(Path(__file__).parent / "store", timeout=20, write_timeout=20)
    return CACHED_SCRIPTED["overlapping"](
        settings=TTSSettings(model="scripted", voice=voice, language=None),
        cache_backend=store,
        cache_lookup_timeout=20,
    )

def make_for_this_process():
    return CACHED_SCRIPTED["overlapping"](cache_backend=MemoryCacheBackend())

def break_off():
    raise LookupError("secret-key")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A folder with a bot, its store and a recording."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "studio_bot.py").write_text(MODULE)
    write(tmp_path, "wav", sine(RATE, seconds=1.5), RATE)
    yield disk(tmp_path / "store")
    sys.modules.pop("studio_bot", None)


def pin(shop: Shop, *more: str, line: str = LINE) -> dict[str, Any]:
    """Pin the recording, and return what is told in JSON."""
    done = shop("pin", FACTORY, line, "file.wav", "--sample-rate", str(RATE), "--json", *more)
    assert (0, "") == (done.code, done.err)
    (told,) = done.documents
    return told


def heard(voice: str = "anna") -> bytes:
    """Have the bot say the line, and return the audio."""

    make = factory(FACTORY)

    async def call() -> bytes:
        tts = make(voice=voice)
        bot_runs = running(tts, sample_rate=RATE, simulate_time=False)
        async with tts._tts_cache_book.options.backend, bot_runs as bot:
            await bot.speak(LINE)
            said = await bot.until_quiet()
        return said.contexts[0].audio

    return asyncio.run(call())


def test_a_pinned_recording_is_heard_until_it_is_unpinned(shop: Shop) -> None:
    """From the command line alone."""
    recording = sine(RATE, seconds=1.5).tobytes()
    digest = pin(shop)["digest"]
    assert recording == heard()
    (row,) = shop("pins").rows
    assert [digest, LINE] == [row[0], row[-1]]
    done = shop("unpin", "--text", LINE, "--yes")
    assert (0, "removed 1 utterance,") == (done.code, done.out[:20])
    assert recording != heard()
    assert (0, "", "nothing found\n") == shop("pins")


def test_what_was_pinned_is_told(shop: Shop) -> None:
    """To machines in JSON, to people in a line."""
    told = pin(shop)
    (entry,) = shop.entries()
    assert (entry.key.digest, entry.key.namespace) == (told["digest"], told["namespace"])
    assert LINE.split() == [word["text"] for word in told["words"]]
    assert (1.5, RATE, LINE, "anna", 0.0) == tuple(
        told[name] for name in ("duration", "sample_rate", "text", "voice", "gain")
    )
    done = shop("pin", FACTORY, LINE, "file.wav", "--sample-rate", str(RATE), "--loudness", "-30")
    assert done.out.startswith(f"pinned {told['digest']} in the voice anna: 1.50 s at 24000 Hz, -1")
    assert done.out.endswith(" dB\n")


def test_options_lead_to_another_key(shop: Shop) -> None:
    """Those of the function, and how the line is said."""
    told = [pin(shop), pin(shop, "--with", "voice=ben"), pin(shop, "--as-turn")]
    assert ["anna", "ben", "anna"] == [each["voice"] for each in told]
    assert sine(RATE, seconds=1.5).tobytes() == heard(voice="ben")
    assert {"anna", "ben"} == {entry.voice for entry in shop.entries()}


def test_words_come_from_a_file(shop: Shop, tmp_path: Path) -> None:
    """In the form that an index has."""
    words = [["One", 0.1], ["moment,", 0.5], ["please.", 0.9]]
    (tmp_path / "words.json").write_text(json.dumps(words), encoding="utf-8-sig")
    told = pin(shop, "--words", "words.json")
    assert words == [[word["text"], word["start"]] for word in told["words"]]


def test_pins_are_narrowed_down(shop: Shop) -> None:
    """As `list` is, of which they are a part."""
    pin(shop)
    pin(shop, "--with", "voice=ben")
    shop.fill(Said("Not pinned.", voice="ben"))
    assert 3 == len(shop("list").rows)
    assert 2 == len(shop("pins").rows)
    (told,) = shop("pins", "--voice", "ben", "--json").documents
    assert ("ben", True) == (told["voice"], told["pinned"])


def test_unpinning_asks(shop: Shop) -> None:
    """Or only counts."""
    pin(shop)
    assert 2 == shop("unpin", "--text", LINE).code
    done = shop("unpin", "--text", LINE, "--dry-run")
    assert (0, "would remove 1 utterance,") == (done.code, done.out[:25])
    done = shop.on_terminal("unpin", "--text", LINE, typed="no\n")
    assert "Remove 1 utterance," in done.out
    assert 1 == len(shop("pins").rows)


def test_unpinning_leaves_the_others(shop: Shop) -> None:
    """Those of other voices, and what is not pinned."""
    pin(shop)
    pin(shop, "--with", "voice=ben")
    shop.fill(Said("Not pinned."), Said(LINE, voice="carla"))
    done = shop("unpin", "--text", LINE, "--voice", "ben", "--yes", "--json")
    assert 1 == done.documents[0]["entries"]
    assert {"anna", "carla"} == {entry.voice for entry in shop.entries()}
    done = shop("unpin", "--voice", "carla", "--yes")
    assert (3, "pipecat-tts-cache: no recording is pinned there\n") == (done.code, done.err)
    done = shop("unpin", "--yes")
    assert (2, 3) == (done.code, len(shop.entries()))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no_bot:make", LINE, "file.wav"], 2, "there is no module no_bot here"),
        (["studio_bot:break_off", LINE, "file.wav"], 1, "LookupError in studio_bot.py, line 21"),
        (["studio_bot:make_for_this_process", LINE, "file.wav"], 2, "its store in memory"),
        ([FACTORY, " ", "file.wav"], 2, "nothing to say"),
        ([FACTORY, f"Hello. {LINE}", "file.wav", "--as-turn"], 2, "in several sentences"),
        ([FACTORY, LINE, "none.wav"], 1, "No such file"),
        ([FACTORY, LINE, "studio_bot.py"], 2, "no sound file, or damaged"),
        ([FACTORY, LINE, "file.wav", "--with", "ben"], 2, "'ben' is no NAME=VALUE"),
        ([FACTORY, LINE, "file.wav", "--with", "name=ben"], 2, "does not take a line's options"),
        ([FACTORY, LINE, "file.wav", "--loudness", "much"], 2, "neither a number of LUFS"),
        ([FACTORY, LINE, "file.wav", "--loudness", "3"], 2, "at most 0 LUFS"),
        ([FACTORY, LINE, "file.wav", "--loudness", "voice"], 2, "nothing in that voice"),
        ([FACTORY, LINE, "file.wav", "--words", "studio_bot.py"], 2, "no JSON"),
        ([FACTORY, LINE, "file.wav", "--words", "none.json"], 1, "No such file"),
        ([FACTORY, LINE, "file.wav", "--words", "wrong.json"], 2, "do not make up the line"),
    ],
)
def test_what_cannot_be_pinned_is_told(
    shop: Shop, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """In one line on stderr; nothing is stored."""
    (tmp_path / "wrong.json").write_text('[["Hello", 0]]')
    done = shop("pin", *arguments)
    assert (code, "") == (done.code, done.out)
    assert message in done.err
    assert "secret-key" not in done.err
    assert 1 == done.err.count("\n")
    assert [] == shop.entries()


@needs_data
def test_in_a_process_of_its_own(shop: Shop) -> None:
    """Pipecat's log stays away from the terminal, and nothing is left open."""
    root = Path(__file__).parent.parent
    path = f"{root}:{root / 'examples'}"
    done = shop.process("pin", FACTORY, LINE, "file.wav", PYTHONPATH=path)
    assert (0, "") == (done.code, done.err)
    assert done.out.startswith("pinned ")
