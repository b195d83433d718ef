#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Whether there is a speech engine to test with."""

import os

import pytest

from demo.espeak import EspeakError, engine, worker


@pytest.fixture(scope="session")
def espeak() -> None:
    """Make sure that espeak-ng can be had; without it skip the test, or in CI fail it."""
    try:
        worker().submit(engine).result()
    except EspeakError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
