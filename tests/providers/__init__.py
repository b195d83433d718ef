#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Test support: servers that speak the providers' protocols, and a voice that can be read back."""
