#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is known of each Pipecat TTS service, as data.

Services differ in how audio comes, how its end is known, how many sentences they can have under
way, and what of their state runs on from one sentence to the next. A service that is not listed is
taken for an inline one if it holds no WebSocket, and is left alone if it does. The author of a
service can say better with a class attribute::

    class MyTTSService(WebsocketTTSService):
        tts_cache_profile = ServiceProfile(inline=False, in_flight=3)

Read from the sources of pipecat-ai 1.14.0; the limits are those of the providers' documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipecat_tts_cache.checks import check_positive_int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProfile:
    """How a TTS service behaves.

    Parameters:
        inline: Whether `run_tts` itself yields the audio, so that its end is the sentence's end.
            None where that is to be seen from what it yields.
        in_flight: How many sentences may be with the provider at once.
        names_context: Whether incoming audio says which context it belongs to. If not, audio and
            end signals are taken to come in the order in which the sentences were sent.
        shared_clock: Whether what comes late for one sentence moves the word clock of another, for
            all that it names its context.
        closes_itself: Whether `run_tts` closes the sentence, so that nothing else may.
        certain_end: Whether it is known when all audio of a sentence has arrived. If not, the
            service is left alone: nothing could be recorded, and nothing replayed in order.
        closes_per_minute: How many sentences a minute the provider lets us close, or None.
        fresh_state: Attributes that run on over the sentences of a turn, with the values that
            make a sentence stand by itself. They are set before every live sentence.
        sentence_state: Attributes that shape the next sentence only, where a text transform sets
            them, with the values that they have when there is nothing to shape.
        unreported_word: The attributes that hold the last word of a sentence and its time (in
            seconds), for services that keep it to themselves.
        tells_every_word: Whether every word of a text is told with its time, so that a sentence
            with words missing was not spoken to its end.
        last_word_end: The attribute that holds, when a sentence is over, where its last word ends
            (in seconds), for services that may tell words before they are spoken. Less audio was
            not spoken to its end.
        whole_body: The attribute that holds the session of aiohttp, and what only a whole answer
            contains, for services that take no notice of an error in an answer.
        watermarked: Whether the provider marks its audio, so that no lossy codec may touch it.
        running_clock: Whether word times may run on over sentences without `fresh_state` saying
            how to stop it, as may be the case in a service nobody has listed.
        fixed_settings: Settings that no update changes while running, whatever the service says.
        updated_settings: The only settings that an update changes while running, or None for all.
        connection_settings: Settings that an update changes with the next connection, whenever
            that is. Once one of them has changed, nothing more is cached.
        neutral_settings: Settings that do not change the audio.
        neutral_arguments: Constructor arguments that do not change the audio.
        file_arguments: Constructor arguments that name a file whose content changes the audio.
        file_settings: Settings that may name such a file.
    """

    inline: bool | None = None
    in_flight: int = 1
    names_context: bool = True
    shared_clock: bool = False
    certain_end: bool = True
    closes_itself: bool = False
    closes_per_minute: int | None = None
    fresh_state: Mapping[str, Any] = field(default_factory=dict)
    sentence_state: Mapping[str, Any] = field(default_factory=dict)
    unreported_word: tuple[str, str] | None = None
    tells_every_word: bool = False
    last_word_end: str | None = None
    whole_body: tuple[str, bytes] | None = None
    watermarked: bool = False
    running_clock: bool = False
    fixed_settings: frozenset[str] = frozenset()
    updated_settings: frozenset[str] | None = None
    connection_settings: frozenset[str] = frozenset()
    neutral_settings: frozenset[str] = frozenset()
    neutral_arguments: frozenset[str] = frozenset()
    file_arguments: frozenset[str] = frozenset()
    file_settings: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse nonsense, with which a bot would be mute or its recordings wrong.

        Raises:
            TypeError: If something has the wrong type.
            ValueError: If something has an impossible value.
        """
        check_positive_int("in_flight", self.in_flight)
        if self.closes_per_minute is not None:
            check_positive_int("closes_per_minute", self.closes_per_minute)
        for name in _FLAGS:
            _check(name, getattr(self, name), bool, "a bool")
        _check("inline", self.inline, bool | None, "a bool or None")
        _check("last_word_end", self.last_word_end, str | None, "a string or None")
        for name in ("fresh_state", "sentence_state"):
            _check(name, getattr(self, name), Mapping, "a mapping")
        for name in _SETS:
            _check(name, names := getattr(self, name), (set, frozenset), "a set")
            for each in names:
                _check(f"what is in {name}", each, str, "a string")
        if self.updated_settings is not None:
            _check("updated_settings", self.updated_settings, (set, frozenset), "a set or None")
        for name, second in (("unreported_word", str), ("whole_body", bytes)):
            if (pair := getattr(self, name)) is not None:
                _check_pair(name, pair, second)


_FLAGS = (
    "names_context",
    "shared_clock",
    "certain_end",
    "closes_itself",
    "tells_every_word",
    "watermarked",
    "running_clock",
)
_SETS = (
    "fixed_settings",
    "connection_settings",
    "neutral_settings",
    "neutral_arguments",
    "file_arguments",
    "file_settings",
)


def _check(name: str, value: object, expected: Any, called: str) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be {called}, not {type(value).__name__}")


def _check_pair(name: str, pair: Any, second: type) -> None:
    _check(name, pair, tuple, "a tuple or None")
    if [str, second] != [type(each) for each in pair]:
        raise TypeError(f"{name} must be a string and {second.__name__}, not {pair!r}")
    if not all(pair):
        raise ValueError(f"{name} must hold nothing empty, not {pair!r}")


PROFILE_ATTRIBUTE = "tts_cache_profile"

NEUTRAL_ARGUMENTS = frozenset(
    {
        "aiohttp_session",
        "client",
        "connect_timeout",
        "enable_logging",
        "http_client",
        "max_retries",
        "mip_opt_out",
        "settings",
        "timeout",
    }
)
"""Arguments that change the audio of no service: `settings` become its settings."""

UNLISTED = ServiceProfile(running_clock=True)
"""A service nobody has listed: what `run_tts` yields shows whether it is inline."""

UNLISTED_STREAMING = ServiceProfile(inline=False, certain_end=False)
"""A service nobody has listed that holds a WebSocket: its ends are not known."""

_INLINE = ServiceProfile(inline=True)
_CLOCK = {"_cumulative_time": 0.0}
_INLINE_WITH_CLOCK = ServiceProfile(inline=True, fresh_state=_CLOCK)
_NO_CERTAIN_END = ServiceProfile(inline=False, certain_end=False)
_IN_ORDER = ServiceProfile(inline=False, in_flight=3, names_context=False)
_FLUX = ServiceProfile(
    inline=False, in_flight=3, names_context=False, neutral_arguments=frozenset({"tag"})
)
_LAST_WORD = ("_partial_word", "_partial_word_start_time")

_PROFILES: Mapping[str, ServiceProfile] = {
    # Inline, no words.
    "AWSPollyTTSService": _INLINE,
    "AsyncAIHttpTTSService": _INLINE,
    "AzureHttpTTSService": _INLINE,
    "BlandHttpTTSService": _INLINE,
    "CambTTSService": _INLINE,
    "CartesiaHttpTTSService": _INLINE,
    "DeepgramHttpTTSService": _INLINE,
    "GeminiTTSService": ServiceProfile(inline=True, watermarked=True),  # SynthID
    "GoogleHttpTTSService": _INLINE,
    "GoogleTTSService": _INLINE,
    "GroqTTSService": _INLINE,
    "KokoroTTSService": ServiceProfile(
        inline=True, file_arguments=frozenset({"model_path", "voices_path"})
    ),
    "MiniMaxHttpTTSService": ServiceProfile(
        inline=True,
        neutral_arguments=frozenset({"group_id"}),
        # It takes no notice of errors in a body. The last event of a whole one says how long it is.
        whole_body=("_session", b'"extra_info"'),
    ),
    "MistralTTSService": _INLINE,
    "NeuphonicHttpTTSService": _INLINE,
    "NvidiaSageMakerHTTPTTSService": _INLINE,
    # Inline by default; with synthesis_mode="stitched" it shows itself as streaming.
    "NvidiaTTSService": ServiceProfile(
        file_arguments=frozenset({"zero_shot_audio_prompt_file"}),
        neutral_arguments=frozenset({"use_ssl"}),
    ),
    "OpenAITTSService": _INLINE,
    "PiperHttpTTSService": _INLINE,
    "PiperTTSService": ServiceProfile(
        inline=True,
        updated_settings=frozenset(),
        neutral_arguments=frozenset({"force_redownload"}),
    ),
    "PocketTTSService": ServiceProfile(
        inline=True,
        fixed_settings=frozenset({"language", "model"}),
        file_settings=frozenset({"voice"}),
    ),
    "RimeHttpTTSService": _INLINE,
    "SarvamHttpTTSService": _INLINE,
    "SpeechmaticsTTSService": ServiceProfile(
        inline=True, neutral_settings=frozenset({"max_retries"})
    ),
    "XAIHttpTTSService": _INLINE,
    "XTTSService": _INLINE,
    # Inline, with words on a clock that runs on over the sentences of a turn.
    "AzureTTSService": ServiceProfile(inline=True, fresh_state={"_cumulative_audio_offset": 0.0}),
    "ElevenLabsHttpTTSService": ServiceProfile(
        inline=True,
        fresh_state={
            **_CLOCK,
            "_partial_word": "",
            "_partial_word_start_time": 0.0,
            # Earlier sentences of the turn would shape this one's prosody.
            "_previous_text": "",
        },
    ),
    "HumeTTSService": _INLINE_WITH_CLOCK,
    # It takes no notice of errors in a body, which then ends before the words do; or before the
    # audio does, with timestamp_transport_strategy="SYNC".
    "InworldHttpTTSService": replace(
        _INLINE_WITH_CLOCK, tells_every_word=True, last_word_end="_cumulative_time"
    ),
    "SpeechifyHttpTTSService": ServiceProfile(
        inline=True, fresh_state=_CLOCK, neutral_settings=frozenset({"safety_identifier"})
    ),
    # Streaming, the audio names its context, sentences may overlap.
    "CartesiaTTSService": ServiceProfile(inline=False, in_flight=2),
    "ResembleAITTSService": ServiceProfile(inline=False, in_flight=3, watermarked=True),  # PerTh
    "RimeV1TTSService": ServiceProfile(
        inline=False, in_flight=3, fixed_settings=frozenset({"model"})
    ),
    "SonioxTTSService": ServiceProfile(
        inline=False, in_flight=3, neutral_settings=frozenset({"client_reference_id"})
    ),
    # Streaming, the audio names its context, one sentence at a time.
    "ElevenLabsDialogueTTSService": ServiceProfile(inline=False, unreported_word=_LAST_WORD),
    "ElevenLabsTTSService": ServiceProfile(
        inline=False,
        shared_clock=True,
        unreported_word=_LAST_WORD,
        # Part of the address that is connected to, but no reason to connect anew.
        connection_settings=frozenset({"apply_text_normalization"}),
    ),
    # An error ends the connection, and what else is under way on it.
    "GradiumTTSService": ServiceProfile(inline=False, updated_settings=frozenset({"voice"})),
    "InworldTTSService": ServiceProfile(inline=False, shared_clock=True),
    "RimeTTSService": ServiceProfile(inline=False, sentence_state={"_extra_msg_fields": {}}),
    # Streaming, no ids: one end signal a sentence, in order.
    "BlandTTSService": ServiceProfile(inline=False, names_context=False),
    "DeepgramFluxSageMakerTTSService": _FLUX,
    "DeepgramFluxTTSService": _FLUX,
    "DeepgramSageMakerTTSService": ServiceProfile(
        inline=False, in_flight=3, names_context=False, updated_settings=frozenset()
    ),
    "DeepgramTTSService": ServiceProfile(
        inline=False, in_flight=3, names_context=False, closes_per_minute=20
    ),
    "SarvamTTSService": _IN_ORDER,
    "XAITTSService": _IN_ORDER,
    # Streaming, no end signal.
    "AsyncAITTSService": _NO_CERTAIN_END,
    "FishAudioTTSService": _NO_CERTAIN_END,
    "NeuphonicTTSService": _NO_CERTAIN_END,
    "NvidiaSageMakerTTSService": _NO_CERTAIN_END,
    "RimeNonJsonTTSService": _NO_CERTAIN_END,
    "SmallestTTSService": _NO_CERTAIN_END,
    # One end signal for each sentence that the provider finds in a text, however many these are.
    "TogetherTTSService": replace(_IN_ORDER, closes_itself=True, certain_end=False),
}


def profile_of(service_class: type, *, websocket: bool) -> ServiceProfile:
    """Find the profile of a service: its own, its nearest listed ancestor's, or a safe guess.

    Args:
        service_class: The class of the service.
        websocket: Whether it holds a WebSocket.

    Returns:
        The profile.
    """
    for ancestor in service_class.__mro__:
        own = ancestor.__dict__.get(PROFILE_ATTRIBUTE)
        if isinstance(own, ServiceProfile):
            return own
        if ancestor.__module__.startswith("pipecat.") and ancestor.__name__ in _PROFILES:
            return _PROFILES[ancestor.__name__]
    return UNLISTED_STREAMING if websocket else UNLISTED
