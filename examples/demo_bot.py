#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A bot that remembers what it has said: no keys, no servers, no microphone.

    python examples/demo_bot.py
    python examples/demo_bot.py --disk
    python examples/demo_bot.py --redis redis://localhost:6379/0

Two callers ask the same things. What the bot said to the first it does not have to synthesise for
the second, nor what it has already said to the first; nor, with --disk, what it has said in an
earlier run. Everything but the people and the model is real: Pipecat's pipeline and its context,
the cache, and the speech, by espeak-ng. What was said is written to a WAV file, with captions.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from loguru import logger

_FAST = 40.0
_BESIDE_THE_OUTPUT = Path()
_FAILED, _UNUSABLE, _INTERRUPTED = 1, 2, 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A bot that remembers what it has said: no keys, no servers, no microphone.",
    )
    store = parser.add_mutually_exclusive_group()
    store.add_argument(
        "--disk", metavar="DIR", type=Path, nargs="?", const=_BESIDE_THE_OUTPUT,
        help="keep speech on disk, in this folder or else in a folder 'speech' where the output "
        "goes: the second run starts with what the first has said. Delete the folder to start anew",
    )  # fmt: skip
    store.add_argument("--redis", metavar="URL", help="keep speech in Redis, not in memory")
    parser.add_argument(
        "--keep", action="store_true", help="with --redis: start with what earlier runs have said"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("demo-output"),
        help="where call.wav and call.vtt go (default: %(default)s)",
    )  # fmt: skip
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--speed", metavar="FACTOR", type=_positive, default=4.0,
        help="play the calls so much faster than real time (default: %(default)g)",
    )  # fmt: skip
    pace.add_argument(
        "--fast", dest="speed", action="store_const", const=_FAST, help=f"--speed {_FAST:g}"
    )
    parser.add_argument(
        "--provider-latency", metavar="MS", type=_not_negative, default=250.0,
        help="espeak-ng answers at once; a hosted provider does not. Wait so many milliseconds "
        "before each live synthesis, in its place (default: %(default)g, 0 to turn it off)",
    )  # fmt: skip
    parser.add_argument(
        "--voice", default="en-us", help="a voice of espeak-ng (default: %(default)s)"
    )
    parser.add_argument("--verbose", action="store_true", help="show Pipecat's log")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def main() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 if all went as it should, 1 if a check failed, 2 if it could not run.
    """
    arguments = _arguments()
    logger.remove()
    if arguments.verbose:
        logger.add(sys.stderr, level="DEBUG")
    # Pipecat is imported here: --help need not wait for it, nor show its banner.
    from demo.session import DemoError, Options, run  # noqa: PLC0415

    beside = arguments.output / "speech"
    options = Options(
        output=arguments.output,
        speed=arguments.speed,
        provider_latency=arguments.provider_latency / 1000,
        voice=arguments.voice,
        disk=beside if arguments.disk is _BESIDE_THE_OUTPUT else arguments.disk,
        redis=arguments.redis,
        keep=arguments.keep,
    )
    try:
        return 0 if asyncio.run(run(options)) else _FAILED
    except DemoError as error:
        print(f"demo_bot.py: {error}", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
