#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Utterances on the local disk: SQLite for what is where, and files for the rest."""
