#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What is said of Pipecat's services is checked against the sources of the Pipecat installed."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from pipecat.services.tts_service import TTSService, WebsocketTTSService

from pipecat_tts_cache import ServiceProfile
from pipecat_tts_cache.services import (
    _PROFILES,
    UNLISTED,
    UNLISTED_STREAMING,
    profile_of,
)
from tests.pipecat_services import Source, concrete_names, importable, lineage, sources
from tests.pipecat_versions import TO_COME

LISTED = sorted(_PROFILES)
WARNS_IN_VAIN = {"ElevenLabsDialogueTTSService"}
"""Services that apply every setting they have, and would warn of others."""


@cache
def text_of(name: str) -> str:
    """The source of a service and its ancestors, as far as they are Pipecat's services."""
    return "\n".join(
        ast.get_source_segment(each.text, each.node) or ""
        for each in lineage(name)
        if each.node.name != "TTSService"
    )


def method_of(name: str, method: str) -> tuple[Source, ast.AST]:
    """Find a method where a service inherits it from."""
    return next((each, node) for each in lineage(name) if (node := each.method(method)))


@cache
def segment_of(name: str, method: str) -> str:
    source, node = method_of(name, method)
    return ast.get_source_segment(source.text, node) or ""


def ancestors(name: str) -> set[str]:
    return {base for each in lineage(name) for base in each.bases}


def arguments_of(name: str) -> set[str]:
    """All arguments that the constructors of a service and its ancestors name."""
    return {
        argument.arg
        for each in lineage(name)
        if (node := each.method("__init__"))
        for argument in (*node.args.args, *node.args.kwonlyargs)
    }


@cache
def settings_of(name: str) -> set[str]:
    """The fields of the settings of a service, and of those they inherit from."""
    found: set[str] = {"model", "voice", "language"}
    for each in lineage(name):
        for node in each.node.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "Settings":
                found |= set(fields_of(ast.unparse(node.value)))
    return found


def fields_of(settings: str) -> Iterator[str]:
    source = sources().get(settings)
    for node in source.node.body if source else ():
        if isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target)
    for base in source.bases if source else ():
        yield from fields_of(base)


def yields_audio(name: str) -> bool:
    """Whether `run_tts`, or what it hands its text to, yields what may be audio."""
    return "yield TTSAudioRawFrame" in text_of(name) or "yield frame" in segment_of(name, "run_tts")


@pytest.fixture(params=LISTED)
def listed(request: pytest.FixtureRequest) -> str:
    """The name of each service that has a profile, and is in the Pipecat that is installed."""
    if request.param in TO_COME:
        pytest.skip("A later release has it")
    return str(request.param)


@pytest.fixture
def profile(listed: str) -> ServiceProfile:
    """Its profile."""
    return _PROFILES[listed]


# Which services


def test_every_service_is_listed() -> None:
    """Each concrete TTS service of Pipecat has a profile, and there is no profile of another."""
    assert set(concrete_names()) == set(LISTED) - TO_COME


def test_every_service_that_can_be_imported_is_known() -> None:
    """The profile that a class gets is the one in the list."""
    for name, service in importable().items():
        assert _PROFILES[name] == profile_of(service, websocket=False)
        assert _PROFILES[name] == profile_of(service, websocket=True)


# What the profiles say


def test_who_holds_a_websocket_is_not_inline(listed: str, profile: ServiceProfile) -> None:
    """A service on a WebSocket answers later; one without any may be inline."""
    bases = ancestors(listed)
    if bases & {"WebsocketTTSService", "WebsocketService", "InterruptibleTTSService"}:
        assert False is profile.inline
    if profile.inline:
        assert yields_audio(listed)


def test_nobody_answers_later_out_of_the_blue(listed: str, profile: ServiceProfile) -> None:
    """A service whose audio comes later puts it into an audio context."""
    if profile.inline is False and f"{listed}.append_to_audio_context" not in TO_COME:
        assert "append_to_audio_context(" in text_of(listed)
    if profile.inline is True:
        assert "append_to_audio_context(" not in text_of(listed)


def test_who_asks_for_the_active_context_names_none(listed: str, profile: ServiceProfile) -> None:
    """Audio without an id is audio of the active context, and the other way round."""
    if profile.inline is False and profile.certain_end:
        asks = "get_active_audio_context_id()" in segments(
            listed, "_process_", "_receive", "_read", "_handle"
        )
        assert profile.names_context is not asks


@cache
def segments(name: str, *prefixes: str) -> str:
    return "\n".join(
        ast.get_source_segment(each.text, node) or ""
        for each in lineage(name)
        if each.node.name != "TTSService"
        for node in each.node.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith(prefixes)
    )


def test_running_state_is_there(listed: str, profile: ServiceProfile) -> None:
    """What a profile resets or reads is an attribute of the service, set where it is created."""
    attributes = {*profile.fresh_state, *profile.sentence_state, *(profile.unreported_word or ())}
    attributes |= {profile.last_word_end} - {None}
    created = "\n".join(
        ast.get_source_segment(each.text, node) or ""
        for each in lineage(listed)
        for method in ("__init__", "_reset_alignment_state", "_reset_state")
        if (node := each.method(method))
    )
    assert set() == {name for name in attributes if f"self.{name}" not in created}


def test_no_running_clock_is_forgotten(listed: str, profile: ServiceProfile) -> None:
    """An inline service that adds up word times is told to begin anew for each sentence."""
    clock = re.search(r"self\.(_cumulative_\w+) *\+?= ", text_of(listed))
    if profile.inline is True and clock:
        assert clock[1] in profile.fresh_state


def test_what_is_reset_has_the_type_it_had(listed: str, profile: ServiceProfile) -> None:
    """A service finds its state as it left it itself: numbers are numbers, texts are texts."""
    for name, value in {**profile.fresh_state, **profile.sentence_state}.items():
        found = re.findall(rf"self\.{name}(?:: \w+)? = ([\d.]+|\"\"|\{{\}})", text_of(listed))
        assert {type(value)} == {
            float if isinstance(each, int) else type(each) for each in map(ast.literal_eval, found)
        }


def test_arguments_are_there(listed: str, profile: ServiceProfile) -> None:
    """Arguments that a profile names are arguments of the constructor."""
    named = profile.neutral_arguments | profile.file_arguments
    assert set() == named - arguments_of(listed)


def test_settings_are_there(listed: str, profile: ServiceProfile) -> None:
    """Settings that a profile names are settings of the service."""
    named = (
        profile.fixed_settings
        | (profile.updated_settings or frozenset())
        | profile.connection_settings
        | profile.neutral_settings
        | profile.file_settings
    )
    assert set() == named - TO_COME - settings_of(listed)


def test_what_is_fixed_is_not_read_when_a_sentence_is_spoken(
    listed: str, profile: ServiceProfile
) -> None:
    """A setting that is read for each sentence is not one that no update changes."""
    fixed = set(profile.fixed_settings)
    if profile.updated_settings is not None:
        fixed |= settings_of(listed) - profile.updated_settings
    spoken = segment_of(listed, "run_tts")
    assert set() == {name for name in fixed if f"_settings.{name}" in spoken}


def test_what_is_not_applied_is_known(listed: str, profile: ServiceProfile) -> None:
    """Where Pipecat warns that updates are not applied, the profile says which."""
    updates = [each.method("_update_settings") for each in lineage(listed)]
    warns = any(
        "self._warn_unhandled_updated_settings" in (ast.unparse(node)) for node in updates if node
    )
    says = (
        profile.updated_settings is not None
        or profile.fixed_settings
        or profile.connection_settings
    )
    if warns and profile.certain_end and listed not in WARNS_IN_VAIN:
        assert says


def test_limits_are_sane(profile: ServiceProfile) -> None:
    """At least one sentence is with the provider at a time, and few providers take many."""
    assert 1 <= profile.in_flight <= 3
    assert profile.closes_per_minute is None or profile.closes_per_minute > 0


def test_no_argument_that_names_a_file_is_forgotten(listed: str, profile: ServiceProfile) -> None:
    """Arguments that are called like files have their content in the key."""
    telling = {name for name in arguments_of(listed) if re.search(r"(_file|_path)$", name)}
    assert telling - {"credentials_path"} == profile.file_arguments


# Services that nobody has listed


class Streaming(WebsocketTTSService):
    """Holds a WebSocket."""


class Described(TTSService):
    tts_cache_profile = ServiceProfile(inline=True, in_flight=3)


class Further(Described):
    """Inherits what its author said."""


class CartesiaTTSService(TTSService):
    """Only called like one of Pipecat's."""


def test_a_service_without_a_websocket_is_watched() -> None:
    """An unlisted service is seen through by what it yields; its clock may run on."""
    assert UNLISTED == profile_of(TTSService, websocket=False)
    assert (None, True) == (UNLISTED.inline, UNLISTED.running_clock)


def test_a_service_with_a_websocket_is_left_alone() -> None:
    """Nobody knows when an unlisted streaming service has ended a sentence."""
    assert UNLISTED_STREAMING == profile_of(Streaming, websocket=True)
    assert (False, False) == (UNLISTED_STREAMING.inline, UNLISTED_STREAMING.certain_end)


def test_an_author_can_say_better() -> None:
    """A profile on the class counts, also on one that is derived from it."""
    assert Described.tts_cache_profile == profile_of(Described, websocket=False)
    assert Described.tts_cache_profile == profile_of(Further, websocket=True)


def test_a_listed_service_can_be_derived_from() -> None:
    """A subclass of one of Pipecat's services behaves like it, until it says otherwise."""
    openai: Any = importable()["OpenAITTSService"]
    own = type("Own", (openai,), {})
    better = type("Better", (openai,), {"tts_cache_profile": UNLISTED_STREAMING})
    assert _PROFILES["OpenAITTSService"] == profile_of(own, websocket=False)
    assert UNLISTED_STREAMING == profile_of(better, websocket=False)


def test_names_alone_do_not_count() -> None:
    """A service of somebody else's that is called like one of Pipecat's is not taken for it."""
    assert UNLISTED == profile_of(CartesiaTTSService, websocket=False)


def test_a_profile_of_another_kind_is_ignored() -> None:
    """What is no profile says nothing."""
    odd = type("Odd", (TTSService,), {"tts_cache_profile": {"inline": True}})
    assert UNLISTED == profile_of(odd, websocket=False)


# What the author of a service may say


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"in_flight": 0}, ValueError, "in_flight must be above 0, not 0"),
        ({"in_flight": True}, TypeError, "in_flight must be an int, not bool"),
        ({"closes_per_minute": 0}, ValueError, "closes_per_minute must be above 0"),
        ({"inline": "yes"}, TypeError, "inline must be a bool or None, not str"),
        ({"certain_end": None}, TypeError, "certain_end must be a bool, not NoneType"),
        ({"last_word_end": 1.0}, TypeError, "last_word_end must be a string or None"),
        ({"fresh_state": {"_clock"}}, TypeError, "fresh_state must be a mapping, not set"),
        ({"neutral_arguments": "url"}, TypeError, "neutral_arguments must be a set, not str"),
        ({"neutral_settings": {1}}, TypeError, "what is in neutral_settings must be a string"),
        ({"updated_settings": ["voice"]}, TypeError, "updated_settings must be a set or None"),
        ({"unreported_word": "_word"}, TypeError, "unreported_word must be a tuple or None"),
        ({"whole_body": ("_session", "end")}, TypeError, "whole_body must be a string and bytes"),
        ({"whole_body": ("_session", b"")}, ValueError, "whole_body must hold nothing empty"),
    ],
)
def test_nonsense_is_refused(said: dict[str, Any], error: type[Exception], message: str) -> None:
    """A profile with which a bot would be mute, or its recordings wrong, says so at once."""
    with pytest.raises(error, match=message):
        ServiceProfile(**said)
