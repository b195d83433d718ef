#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Tests of a bot that speaks from recordings: a plugin for pytest.

The plugin itself is `plugin`; pytest finds it by its entry point. Nothing here loads Pipecat before
a test asks for a service.
"""

from pipecat_tts_cache.pytest_plugin.recorder import SpeechRecorder

__all__ = ["SpeechRecorder"]
