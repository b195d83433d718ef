#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What holds for all tests: nothing blocks the event loop, and logs are seen where they matter."""

import logging
import signal
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings
from loguru import logger

from tests.pipecat_versions import even_out

settings.register_profile("tests", deadline=None)  # no timed test, on a machine shared with others
settings.load_profile("tests")


class _ToLogging(logging.Handler):
    """Hands what Pipecat logs on to `logging`, so that pytest shows it with a test that fails."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


even_out()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As for whatever a shell starts in the background. Processes that tests start inherit it, and
    # some of them are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

logger.remove()
logger.add(_ToLogging(), format="{message}", level="DEBUG")


ALLOWED = [
    # The first HTTP client that is made reads its version from a file.
    ("io.TextIOWrapper.read", "openai/_base_client.py", {"__init__"}),
    # It looks for the system's certificates, unless SSL_CERT_FILE says where they are.
    ("os.stat", "openai/_base_client.py", {"__init__"}),
    # It looks for the voice before it loads it.
    ("os.stat", "pipecat/services/piper/tts.py", {"__init__"}),
]
"""Functions that block, and the file and the functions in it that may call them."""


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[BlockBuster]:
    """Raise on every call that blocks the event loop."""
    with blockbuster_ctx() as blockbuster:
        for blocking, file, callers in ALLOWED:
            blockbuster.functions[blocking].can_block_in(file, callers)
        yield blockbuster
