#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The tests that docs/testing.md shows are recorded and replayed, and its tables are complete."""

import socket
from contextlib import closing

import pytest

from pipecat_tts_cache.pytest_plugin.tape import Mode
from tests.recorded import INI, run
from tests.test_docs import PAGES, snippets, table, words_of_page

pytest_plugins = ["pytester"]

PAGE = "docs/testing.md"
BOT = """
from pipecat.services.cartesia.tts import CartesiaTTSService

def make_tts():
    return CartesiaTTSService(api_key="", settings=CartesiaTTSService.Settings(voice="anna"))
"""
PROVIDER = """
import pytest_asyncio
from pipecat.services.cartesia.tts import CartesiaTTSService
from tests.providers.cartesia import CartesiaServer

@pytest_asyncio.fixture(autouse=True)
async def provider(monkeypatch, tts_cache):
    defaults = CartesiaTTSService.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "url", "ws://127.0.0.1:{port}")
    if tts_cache.mode == "replay":
        yield
        return
    server = CartesiaServer()
    server._port = {port}
    async with server:
        yield
"""


def shown() -> list[str]:
    """Find the tests that use the fixture."""
    return [code for _, code in snippets(PAGE, "python") if "(tts_cache" in code]


def test_the_tests_that_are_shown_pass(pytester: pytest.Pytester) -> None:
    """They are recorded with a provider, and replayed without one."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert 2 == len(shown())
    pytester.makeini(INI)
    pytester.makeconftest(PROVIDER.format(port=port))
    pytester.makepyfile(my_bot=BOT, test_bot="\n\n".join(shown()))
    pytester.syspathinsert()
    run(pytester).assert_outcomes(failed=2)
    run(pytester, "--tts-cache=record").assert_outcomes(passed=2)
    run(pytester).assert_outcomes(passed=2)


def test_every_mode_is_listed() -> None:
    """The table of modes names those that there are, and the default."""
    modes = table(PAGE, "Tests of a bot, without keys")
    assert {"--tts-cache=", *(mode.value for mode in Mode)} == modes.keys()
    assert "| `replay`, the default |" in PAGES[PAGE]


def test_the_message_that_is_shown_is_the_one_that_is_given(pytester: pytest.Pytester) -> None:
    """What the page shows of a failure has the words of one."""
    pytester.makeini(INI)
    pytester.makepyfile(
        test_bot="from tests.recorded import say\n\n"
        "async def test_it(tts_cache):\n    await say(tts_cache, 'I am looking!')\n"
        "    await say(tts_cache, 'One moment, please.', voice='a0e99841')\n"
    )
    run(pytester, "--tts-cache=record").assert_outcomes(passed=1)
    pytester.makepyfile(
        test_bot="from tests.recorded import say\n\n"
        "async def test_it(tts_cache):\n"
        "    await say(tts_cache, 'One moment, please.', 'I am looking.', voice='71a7ad14')\n"
    )
    (console,) = (code for _, code in snippets(PAGE, "console"))
    expected = [line for line in console.splitlines()[1:] if line.strip()]
    for name, ours in [
        ("CartesiaTTSService", "OverlappingService"),
        ("sonic-3", "scripted"),
        ("/srv/bot", str(pytester.path)),
        ("test_bot.py::test_the_bot_asks_for_patience", "test_bot.py::test_it"),
    ]:
        expected = [line.replace(name, ours) for line in expected]
    outcome = run(pytester)
    said = [line.strip() for line in outcome.outlines]
    assert [] == [line for line in expected if line.strip() not in said]


def test_every_option_is_named() -> None:
    """The page names the options of the command line and of the configuration."""
    for option in ("--tts-cache=", "--tts-cache-dir", "--tts-cache-clear", "tts_cache_dir"):
        assert option in words_of_page(PAGE)
