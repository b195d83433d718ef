#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What one service speaks for others to follow, and whom it may follow: see `single_flight`."""

from pipecat_tts_cache.options import CacheOptions
from pipecat_tts_cache.speaking.flight import LiveSentence
from pipecat_tts_cache.speaking.single_flight import Lead, Leads, leads_of


class Leading:
    """What a service takes the lead of, and whom it may follow."""

    def __init__(self, options: CacheOptions, service: str) -> None:
        """Start with nothing.

        Args:
            options: What the user set.
            service: The name of the service class.
        """
        self._options = options
        self._service = service

    @property
    def _leads(self) -> Leads:
        backend = self._options.backend
        return Leads() if backend is None else leads_of(backend)

    def find(self, sentence: LiveSentence) -> Lead | None:
        """Find who speaks a sentence live now, on the same store.

        Args:
            sentence: The sentence.

        Returns:
            The lead, or None if there is none that it may follow.
        """
        if sentence.key is None or sentence.control.refresh:
            return None
        return self._leads.find(sentence.key)

    def take(self, sentence: LiveSentence, *, ahead: int, anew: bool) -> None:
        """Let others follow a sentence that is to be spoken, unless they follow another.

        Args:
            sentence: The sentence.
            ahead: How many sentences the provider speaks before it.
            anew: Whether it is spoken although it may be stored.
        """
        if sentence.key is None or sentence.leading is not None or sentence.control.no_store:
            return
        sentence.leading = self._leads.take(
            sentence.key, sentence.recording, service=self._service, ahead=ahead, anew=anew
        )

    def close(self, sentence: LiveSentence) -> None:
        """Let nobody follow a sentence any more, because it is stored, or will not be.

        Args:
            sentence: The sentence.
        """
        if sentence.key is not None and sentence.leading is not None:
            self._leads.close(sentence.key, sentence.leading)

    def patience(self, usual: float) -> float:
        """Tell how long to wait for a leader that is silent.

        Args:
            usual: Seconds that Pipecat waits for a provider.

        Returns:
            Seconds.
        """
        return self._leads.patience(self._service, usual)
