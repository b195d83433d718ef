#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A call to `examples/voice_bot.py` from a browser: `python -m tests.browser_call`."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
if str(EXAMPLES) not in sys.path:  # the tests have it there; a call that is run by itself has not
    sys.path.insert(0, str(EXAMPLES))
