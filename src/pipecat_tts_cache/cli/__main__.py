#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""``python -m pipecat_tts_cache.cli``."""

from pipecat_tts_cache.cli import run

if __name__ == "__main__":
    run()
