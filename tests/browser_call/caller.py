#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The caller: a headless Chromium on the bot's own page, with a silent microphone."""

import base64
import os
import re
import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Error, Page, Request, Route, sync_playwright

from tests.browser_call.bot import Bot, CallError, Patience
from tests.browser_call.likeness import Sound

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=WebRtcHideLocalIpsWithMdns",  # there may be nobody to ask for such names
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
_QUIET = 1000  # milliseconds of silence behind a sentence
_TRANSPORT = "SmallWebRTCTransport"


def find_browser() -> str | None:
    """Find a Chromium or a Chrome: the one that CHROMIUM names, or one on the path."""
    named = os.environ.get("CHROMIUM", "")
    return next(filter(None, map(shutil.which, (named, *_NAMES))), None)


class Heard(NamedTuple):
    """What came of a text.

    Parameters:
        sound: What the caller heard.
        wait: Seconds from when the text was sent to when the bot was first heard.
        synthesized: How many syntheses the bot reported meanwhile.
    """

    sound: Sound
    wait: float
    synthesized: int


class Caller:
    """Somebody on the bot's page."""

    def __init__(self, page: Page, patience: Patience) -> None:
        self._page = page
        self._patience = patience
        self.refused: set[str] = set()
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))

    def connect(self, url: str) -> Heard:
        """Open the page, call, and hear the greeting to its end."""
        self._page.route("**/*", self._route)
        self._page.add_init_script(path=_HERE / "ear.js")
        self._page.goto(url, timeout=self._timeout())
        # Before that there is a button, too, but what it begins the page may not end.
        initialized = self._page.get_by_text(re.compile("^initialized$", re.IGNORECASE))
        initialized.first.wait_for(timeout=self._timeout())
        self._page.get_by_role("button", name="Connect").click(timeout=self._timeout())
        return self._hear()

    def type(self, text: str) -> Heard:
        """Type a text into the page, and hear what the bot says to it."""
        field = self._page.get_by_label("Message", exact=True)
        field.fill(text, timeout=self._timeout())
        self._page.evaluate("call.since = null")
        field.press("Enter", timeout=self._timeout())
        return self._hear()

    def hang_up(self) -> None:
        """Leave the call."""
        self._page.get_by_role("button", name="Disconnect").click(timeout=self._timeout())

    def _timeout(self) -> float:
        return 1000 * self._patience.left

    def _hear(self) -> Heard:
        """Wait until the bot has spoken, and fetch from the page what was heard."""
        self._page.wait_for_function(
            f"call.hasSpoken({_QUIET})", polling=100, timeout=self._timeout()
        )
        heard: dict[str, Any] = self._page.evaluate("call.heard()")
        metrics = [m["data"] for m in heard["messages"] if m.get("type") == "metrics"]
        return Heard(
            Sound.of(base64.b64decode(heard["pcm"]), heard["sampleRate"]),
            heard["wait"] / 1000,
            sum(len(each.get("characters", ())) for each in metrics),
        )

    def _route(self, route: Route, request: Request) -> None:
        """Let the page reach the bot and nobody else, and give its transport our microphone."""
        if not re.match(r"(http://(localhost|127\.0\.0\.1):\d+/|data:|blob:)", request.url):
            self.refused.add(request.url)
            route.abort()
        elif re.search(r"/assets/[^?]+\.js$", request.url):
            response = route.fetch(timeout=self._timeout())
            if re.search(rf"export\s*\{{[^}}]*\bas {_TRANSPORT}\b", response.text()):
                script = (_HERE / "microphone.js").read_text(encoding="utf-8")
                script = script.replace("REAL", f"{request.url}?real")
                route.fulfill(body=script, content_type="text/javascript")
            else:
                route.fulfill(response=response)
        else:
            route.continue_()


@contextmanager
def calling(bot: Bot, folder: Path, patience: Patience) -> Iterator[Caller]:
    """Start a browser with a profile of its own, and end it whatever happens.

    Raises:
        CallError: If there is no browser, or the page does not do what it should.
    """
    browser = find_browser()
    if browser is None:
        raise CallError("There is no Chromium: apt install chromium, or set CHROMIUM to its path.")
    silence = folder / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 48000))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=browser,
            headless=True,
            args=[*_FLAGS, f"--use-file-for-fake-audio-capture={silence}"],
            permissions=["microphone"],
            chromium_sandbox=False,  # which root, in a container, does not get
            timeout=1000 * patience.left,
        )
        page = context.pages[0]
        caller = Caller(page, patience)
        try:
            yield caller
        except Error as error:
            shown = [*page.locator("body").all_inner_texts(), *caller.console[-20:]]
            raise CallError("\n".join([f"On the page {bot.url}: {error}", *shown])) from error
        finally:
            context.close()
