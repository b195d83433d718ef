#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Calls `examples/voice_bot.py` from a browser, and checks what is heard.

    python -m tests.browser_call

All but the keys is real: Pipecat's runner, its WebRTC transport and its page, and a headless
Chromium on that page. It connects, hears the greeting, and types the same sentence twice, which the
bot then speaks: live, and from its cache.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from demo.espeak import EspeakError, Manner
from demo.espeak_tts import PITCH, RATE, VOICE
from tests.browser_call.bot import Bot, CallError, Patience, running_bot
from tests.browser_call.caller import Heard, calling
from tests.browser_call.likeness import LIKE, likeness, spoken

TEXT = "Your parcel leaves our warehouse on Tuesday morning."
OTHERS = (
    "Your parcel leaves our warehouse on Friday morning.",
    "The refund will reach your account in nine working days.",
)
_PATIENCE = 100.0
_ATTEMPTS = 3
_SLACK = 0.5
_AUDIBLE = 0.05
_FAILED, _UNUSABLE = 1, 2


class Report:
    """Says what was checked.

    A machine with too much to do drops sound on its way to the browser, which no cache can mend: so
    what is wrong with the sound only is tried again, and what is wrong with the cache is not.
    """

    def __init__(self) -> None:
        self._failed: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self._failed)

    @property
    def again(self) -> bool:
        """Whether only the sound was wrong."""
        return self._failed == {"sound"}

    def check(self, claim: str, holds: object, *, of: str = "sound") -> None:
        """Say whether a claim holds, and whether it is one on the sound or on the cache."""
        if not holds:
            self._failed.add(of)
        print(f"  {'ok' if holds else 'FAILED':<8}{claim}", flush=True)


def check_sound(report: Report, when: str, heard: Heard, expected: str) -> None:
    """Check that what was heard is a sentence, all of it, and no other."""
    manner = Manner(VOICE, RATE, PITCH)
    reference = spoken(expected, manner)
    seconds, due = heard.sound.trimmed().seconds, reference.trimmed().seconds
    report.check(f"{when}: not silence (peak {heard.sound.peak:.2f})", heard.sound.peak > _AUDIBLE)
    report.check(
        f"{when}: {seconds:.2f} s long, as the sentence is ({due:.2f} s)",
        abs(seconds - due) < _SLACK,
    )
    alike = likeness(heard.sound, reference)
    others = [likeness(heard.sound, spoken(other, manner)) for other in OTHERS]
    report.check(f"{when}: it is the sentence (likeness {alike:.2f})", alike > LIKE)
    report.check(
        f"{when}: it is no other ({', '.join(f'{other:.2f}' for other in others)})",
        max(others) < LIKE,
    )


def hold(report: Report, bot: Bot, folder: Path, patience: Patience, expected: str) -> None:
    """Hold the call."""
    with calling(bot, folder, patience) as caller:
        greeting = caller.connect(bot.url)
        report.check(f"connected, and greeted ({greeting.sound.peak:.2f})", greeting.sound.peak)
        first = caller.type(TEXT)
        check_sound(report, "the first time", first, expected)
        second = caller.type(TEXT)
        check_sound(report, "the second time", second, expected)
        caller.hang_up()
        statistics = bot.statistics(patience)
    syntheses = first.synthesized, second.synthesized
    claim = f"synthesized when new, and then no more {syntheses}"
    report.check(claim, syntheses == (1, 0), of="cache")
    counted = statistics["hits"], statistics["total_requests"]
    claim = f"the cache gave {counted[0]} of {counted[1]} sentences"
    report.check(claim, counted == (1, 3), of="cache")
    report.check(
        f"it came sooner: after {1000 * second.wait:.0f} ms, and not {1000 * first.wait:.0f} ms",
        second.wait < first.wait,
    )
    for url in sorted(caller.refused):
        print(f"  note    the page asked for {url}, and did without")


def call(report: Report, expected: str) -> None:
    """Start the bot, hold the call, and end all that was started.

    Raises:
        CallError: If there was no call; it tells what the bot has printed last.
    """
    patience = Patience(_PATIENCE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            with running_bot(folder, patience) as bot:
                print(f"examples/voice_bot.py, without keys, at {bot.url}", flush=True)
                hold(report, bot, folder, patience, expected)
        except CallError as error:
            log = (folder / "bot.log").read_text(encoding="utf-8", errors="replace")
            raise CallError(f"{error}\n\nThe bot:\n{log[-5000:]}") from error


def main() -> int:
    """Hold the call and say what was heard.

    Returns:
        The exit code: 0 if all is as it should be, 1 if a check failed, 2 if there was no call.
    """
    parser = argparse.ArgumentParser(description="Call examples/voice_bot.py from a browser.")
    parser.add_argument(
        "--expect", metavar="TEXT", default=TEXT,
        help="the sentence to be heard; with any but the default the checks have to fail",
    )  # fmt: skip
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # not without the bot
    for _ in range(_ATTEMPTS):
        report = Report()
        try:
            call(report, arguments.expect)
        except (CallError, EspeakError) as error:
            print(f"No call: {error}", file=sys.stderr)
            return _UNUSABLE
        if not report.again:
            break
    return _FAILED if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
