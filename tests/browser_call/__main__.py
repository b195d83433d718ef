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
import sys
import tempfile
from pathlib import Path

from demo.espeak import EspeakError, Manner
from demo.espeak_tts import PITCH, RATE, VOICE
from tests.browser_call.bot import Bot, CallError, Patience, running_bot
from tests.browser_call.caller import Heard, calling
from tests.browser_call.likeness import likeness, spoken

TEXT = "Your parcel leaves our warehouse on Tuesday morning."
OTHERS = (
    "The refund will reach your account in nine working days.",
    "Could you please tell me where you have bought it?",
)
LIKE = 0.6
_PATIENCE = 120.0
_SLACK = 0.5
_AUDIBLE = 0.05
_FAILED, _UNUSABLE = 1, 2


class Report:
    """Says what was checked."""

    def __init__(self) -> None:
        self.failed = False

    def check(self, claim: str, holds: object) -> None:
        """Say whether a claim holds."""
        self.failed |= not holds
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
    report.check(f"synthesized when new, and then no more {syntheses}", syntheses == (1, 0))
    counted = statistics["hits"], statistics["total_requests"]
    report.check(f"the cache gave {counted[0]} of {counted[1]} sentences", counted == (1, 3))
    report.check(
        f"it came sooner: after {1000 * second.wait:.0f} ms, and not {1000 * first.wait:.0f} ms",
        second.wait < first.wait,
    )
    for url in sorted(caller.refused):
        print(f"  note    the page asked for {url}, and did without")


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
    report, patience = Report(), Patience(_PATIENCE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            with running_bot(Path(folder), patience) as bot:
                print(f"examples/voice_bot.py, without keys, at {bot.url}", flush=True)
                hold(report, bot, Path(folder), patience, arguments.expect)
        except (CallError, EspeakError) as error:
            print(f"No call: {error}", file=sys.stderr)
        else:
            return _FAILED if report.failed else 0
        if (log := Path(folder) / "bot.log").exists():
            print(log.read_text(encoding="utf-8", errors="replace")[-5000:], file=sys.stderr)
    return _UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
