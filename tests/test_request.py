#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What of a real service enters the key: all that is heard, and nothing else."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from pipecat.frames.frames import Frame
from pipecat.services.cartesia.tts import CartesiaTTSService, GenerationConfig
from pipecat.services.deepgram.tts import DeepgramTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.services.websocket_service import WebsocketService
from pipecat.transcriptions.language import Language
from pydantic import BaseModel

from pipecat_tts_cache import Bypass, MemoryCacheBackend, ServiceProfile, TTSCacheMixin
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.key import digest
from pipecat_tts_cache.request import RequestReader
from pipecat_tts_cache.services import profile_of
from pipecat_tts_cache.testing.driver import running
from tests.cached import KINDS
from tests.pipecat_services import importable, required_arguments, sources
from tests.pipecat_versions import TO_COME
from tests.scripted import InlineService

SERVICES = sorted(importable())
ANNA = {"voice": "anna", "model": "big", "language": "en"}
NEUTRAL = {
    "aggregate_sentences",
    "aiohttp_session",
    "api_key",
    "append_trailing_space",
    "aws_access_key_id",
    "aws_session_token",
    "credentials",
    "credentials_path",
    "enable_logging",
    "force_redownload",
    "group_id",
    "http_client",
    "mip_opt_out",
    "sample_rate",
    "settings",
    "tag",
    "text_aggregation_mode",
    "timeout",
    "use_ssl",
}
"""Arguments of constructors that nobody hears, or that enter the key otherwise."""

UNHEARD = {
    "SonioxTTSService": {"client_reference_id"},
    "SpeechifyHttpTTSService": {"safety_identifier"},
    "SpeechmaticsTTSService": {"max_retries"},
}
"""Settings that nobody hears."""
FIXED = {
    "GradiumTTSService": {"model", "language"},
    "PiperTTSService": {"model", "language", "voice"},
    "RimeV1TTSService": {"model"},
}
"""Settings that stay as they were, whatever a service is told."""
UNCERTAIN = {"ElevenLabsTTSService": {"apply_text_normalization"}}
"""Settings of which nobody knows when they take effect."""


class Reader:
    """Reads keys of one service, as the mixin does."""

    def __init__(
        self, service: type, *args: Any, between: Sequence[type] = (), **kwargs: Any
    ) -> None:
        self.profile = profile_of(service, websocket=issubclass(service, WebsocketService))
        self.reader = RequestReader(
            service_class=service, profile=self.profile, args=args, kwargs=kwargs, between=between
        )

    def key(
        self,
        text: str = "Hello there.",
        *,
        settings: dict[str, Any] | None = None,
        sample_rate: int = 24000,
        extra: Any = None,
    ) -> str:
        return digest(
            self.reader.request(
                text=text,
                settings=ANNA if settings is None else settings,
                sample_rate=sample_rate,
                extra=extra,
            )
        )


def key_of(service: type, *args: Any, **kwargs: Any) -> str:
    return Reader(service, *args, **kwargs).key()


async def settings_of(service: type[TTSService]) -> dict[str, Any]:
    """Construct a service, and read its settings as the mixin does."""
    kind = next(kind for kind in KINDS.values() if kind.service == service.__name__)
    async with kind.server() as server:
        return kind.without_cache(server)._settings.given_fields()


# Settings


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> type[TTSService]:
    """Each of Pipecat's services that can be imported here."""
    return importable()[request.param]


def setting_names(service: type[TTSService]) -> list[str]:
    settings: Any = service.Settings  # type: ignore[attr-defined]
    return [field.name for field in fields(settings) if field.name != "extra"]


async def test_every_setting_is_in_the_key(service: type[TTSService]) -> None:
    """Two bots that differ in one setting do not share a key, unless nobody can hear it."""
    settings = await settings_of(service)
    before = Reader(service).key(settings=settings)
    unheard = {
        name
        for name in setting_names(service)
        if before == Reader(service).key(settings=settings | {name: "something else"})
    }
    assert UNHEARD.get(service.__name__, set()) - TO_COME == unheard


async def test_every_change_of_a_setting_is_heard_in_the_key(service: type[TTSService]) -> None:
    """A setting that changes in mid-call changes the key, if it changes the audio."""
    settings = await settings_of(service)
    kept, uncertain = set(), set()
    for name in setting_names(service):
        reader = Reader(service)
        before = reader.key(settings=settings)
        try:
            after = reader.key(settings=settings | {name: "something else"})
        except UncacheableError:
            uncertain.add(name)
            continue
        assert before == reader.key(settings=settings)
        if before == after:
            kept.add(name)
    name = service.__name__
    assert UNHEARD.get(name, set()) - TO_COME | FIXED.get(name, set()) == kept
    assert UNCERTAIN.get(name, set()) == uncertain


async def test_a_setting_that_waits_for_a_connection_is_never_sure_again() -> None:
    """ElevenLabs normalizes text as its connection was told, which may be replaced any time."""
    reader = Reader(ElevenLabsTTSService)
    settings = ANNA | {"apply_text_normalization": "auto"}
    reader.key(settings=settings)
    reader.reader.note_settings(settings | {"apply_text_normalization": "on"})
    with pytest.raises(UncacheableError, match="apply_text_normalization"):
        reader.key(settings=settings)


async def test_a_change_before_the_first_sentence_is_noticed() -> None:
    """What was in force when the service started is known, even if it changed before it spoke."""
    kind = KINDS["ElevenLabsTTSService"]
    async with kind.server() as server:
        tts = kind.with_cache(server, cache_backend=MemoryCacheBackend())
        async with running(tts) as bot:
            await bot.update_settings(apply_text_normalization="on")
            await bot.until_quiet()
            assert await key_in(tts) is None


def test_a_setting_that_is_fixed_stays_as_it_was() -> None:
    """A setting that a service stores but does not apply is keyed as it was at first."""

    class Fixed(OwnService):
        tts_cache_profile = ServiceProfile(fixed_settings=frozenset({"model"}))

    reader = Reader(Fixed)
    before = reader.key()
    assert before == reader.key(settings=ANNA | {"model": "small"})
    assert before != reader.key(settings=ANNA | {"voice": "bert"})
    assert before != Reader(Fixed).key(settings=ANNA | {"model": "small"})


# Constructors


def test_every_argument_is_in_the_key(service: type[TTSService]) -> None:
    """Two bots that differ in one argument do not share a key, unless nobody can hear it."""
    required = required_arguments(service)
    before = key_of(service, **required)
    parameters = inspect.signature(inspect.getattr_static(service, "__init__")).parameters
    for name, parameter in list(parameters.items())[1:]:
        if parameter.kind is not parameter.VAR_KEYWORD:
            changed = key_of(service, **required | {name: "something else"})
            assert (name, name in NEUTRAL) == (name, before == changed)


def test_defaults_may_be_given(service: type[TTSService]) -> None:
    """An argument left out and its default given are the same."""
    required = required_arguments(service)
    parameters = inspect.signature(inspect.getattr_static(service, "__init__")).parameters
    given = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }
    assert key_of(service, **required) == key_of(service, **given | required)


@pytest.mark.parametrize(
    "argument",
    [
        {"name": "Anna"},
        {"stop_frame_timeout_s": 1.0},
        {"pause_frame_processing": True},
        {"reconnect_on_error": False},
        {"text_aggregation_mode": TextAggregationMode.SENTENCE},
        {"text_filters": [object()]},
        {"text_transforms": [("*", print)]},
        {"skip_aggregator_types": ["code"]},
        {"transport_destination": "phone"},
        {"sample_rate": 8000},
        {"push_silence_after_stop": True},
        {"max_retries": 3},
        {"timeout": 3.0},
        {"metrics": object()},
    ],
    ids=lambda argument: next(iter(argument)),
)
def test_how_a_bot_is_built_is_not_heard(argument: dict[str, Any]) -> None:
    """Names, timeouts, and what shapes the text before it is spoken, are not in the key."""
    assert key_of(CartesiaTTSService, api_key="k") == key_of(
        CartesiaTTSService, api_key="k", **argument
    )


class Params(BaseModel):
    """What a service takes in place of settings, as they did before there were any."""

    pronunciation: str | None = None


HEARD: list[tuple[type[TTSService], dict[str, Any], dict[str, Any]]] = [
    (CartesiaTTSService, {}, {"encoding": "pcm_mulaw"}),
    (CartesiaTTSService, {}, {"url": "wss://cartesia.example.com"}),
    (CartesiaTTSService, {}, {"cartesia_version": "2026-01-01"}),
    (CartesiaTTSService, {}, {"extra_headers": {"X-Region": "eu"}}),
    (ElevenLabsTTSService, {}, {"auto_mode": False}),
    (ElevenLabsTTSService, {}, {"enable_ssml_parsing": True}),
    (ElevenLabsTTSService, {}, {"params": Params(pronunciation="a")}),
    (ElevenLabsTTSService, {"params": Params()}, {"params": Params(pronunciation="a")}),
    (
        ElevenLabsTTSService,
        {"pronunciation_dictionary_locators": [Params(pronunciation="a")]},
        {"pronunciation_dictionary_locators": [Params(pronunciation="b")]},
    ),
    (DeepgramTTSService, {}, {"base_url": "wss://deepgram.example.com"}),
    (DeepgramTTSService, {}, {"encoding": "mulaw"}),
    (OpenAITTSService, {}, {"base_url": "https://kokoro.example.com"}),
    (OpenAITTSService, {}, {"instructions": "Whisper."}),
]


@pytest.mark.parametrize(("service_class", "one", "other"), HEARD)
def test_what_a_constructor_says_is_heard(
    service_class: type[TTSService], one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Encodings, self-hosted servers, pronunciations and the like change the key."""
    assert key_of(service_class, **one) != key_of(service_class, **other)
    assert key_of(service_class, **other) == key_of(service_class, **other)


@pytest.mark.parametrize(
    ("service_class", "one", "other"),
    [
        (CartesiaTTSService, {"api_key": "one"}, {"api_key": "other"}),
        (OpenAITTSService, {"http_client": object()}, {}),
        (
            CartesiaTTSService,
            {"extra_headers": {"X-API-Key": "one", "Authorization": "Bearer one"}},
            {"extra_headers": {"X-API-Key": "other"}},
        ),
        (
            DeepgramTTSService,
            {"base_url": "wss://ada:one@deepgram.example.com/?token=one"},
            {"base_url": "wss://deepgram.example.com/?token=other"},
        ),
    ],
)
def test_secrets_and_sessions_are_not_heard(
    service_class: type[TTSService], one: dict[str, Any], other: dict[str, Any]
) -> None:
    """A new API key, token or session finds what the old one stored."""
    assert key_of(service_class, **one) == key_of(service_class, **other)


# A service of one's own


class Engine:
    """Something without a canonical form."""


class OwnService(TTSService):
    def __init__(
        self, *styles: str, volume: int = 5, engine: Engine | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)


class Louder(OwnService):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Shouting:
    """Stands between the mixin and a service, and changes what is said."""


def test_positional_arguments_are_heard() -> None:
    """Arguments without a name are in the key, too."""
    assert key_of(OwnService, "calm") != key_of(OwnService, "angry")
    assert key_of(OwnService) != key_of(OwnService, "calm")
    assert key_of(Louder, "calm") != key_of(Louder, "angry")


def test_arguments_that_are_passed_on_are_heard() -> None:
    """Arguments that a subclass only passes on are in the key, those of Pipecat's base are not."""
    assert key_of(Louder, volume=6) != key_of(Louder, volume=7)
    assert key_of(Louder, name="one") == key_of(Louder, name="other")


def test_wrong_arguments_are_left_to_the_constructor() -> None:
    """What does not fit the constructor is no matter of the cache."""
    Reader(CartesiaTTSService, "positional", api_key="k")


def test_an_object_of_ones_own_has_no_key() -> None:
    """What cannot be written down cannot be part of a key; the message names the argument."""
    with pytest.raises(UncacheableError, match=r"'constructor arguments\.engine' holds a Engine"):
        key_of(OwnService, engine=Engine())


def test_what_is_known_not_to_be_heard_may_be_anything() -> None:
    """The author of a service can say which arguments are not heard."""

    class Described(OwnService):
        tts_cache_profile = ServiceProfile(neutral_arguments=frozenset({"engine"}))

    assert key_of(Described, engine=Engine()) == key_of(Described)


def test_services_never_share() -> None:
    """Two classes have different keys for the same request, a subclass too."""
    chains: list[tuple[type, Sequence[type]]] = [
        (OwnService, ()),
        (Louder, ()),
        (OwnService, (Shouting,)),
        (CartesiaTTSService, ()),
        (OpenAITTSService, ()),
    ]
    keys = {key_of(service, between=between) for service, between in chains}
    assert len(chains) == len(keys)


def test_sample_rates_never_share() -> None:
    """Audio for the phone is not audio for the browser."""
    reader = Reader(CartesiaTTSService)
    assert reader.key(sample_rate=8000) != reader.key(sample_rate=16000)


def test_what_the_user_adds_is_in_the_key() -> None:
    """`cache_key_extra` sets keys apart."""
    reader = Reader(CartesiaTTSService)
    assert reader.key(extra={"accent": "north"}) != reader.key(extra={"accent": "south"})
    assert reader.key(extra={"accent": "north"}) != reader.key()


def test_settings_that_change_inside_are_seen() -> None:
    """A setting that is an object is read anew for each sentence."""
    reader, config = Reader(CartesiaTTSService), GenerationConfig(speed=1.0)
    before = reader.key(settings=ANNA | {"generation_config": config})
    config.speed = 1.5
    assert before != reader.key(settings=ANNA | {"generation_config": config})


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, "1"), (0, False), (Language.EN, Language.DE), ("a", "b")]
)
def test_settings_are_told_apart_by_type(one: Any, other: Any) -> None:
    """A value that only looks equal to the one before is another."""
    reader = Reader(CartesiaTTSService)
    assert reader.key(settings=ANNA | {"style": one}) != reader.key(
        settings=ANNA | {"style": other}
    )


def test_a_language_is_its_code() -> None:
    """It does not matter whether a language is Pipecat's or a string."""
    keys = {
        Reader(CartesiaTTSService).key(settings=ANNA | {"language": language})
        for language in (Language.EN, "en", StrEnum("Own", {"EN": "en"}).EN)  # type: ignore[attr-defined]
    }
    assert 1 == len(keys)


CODE = """
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat_tts_cache.key import digest
from pipecat_tts_cache.request import RequestReader
from pipecat_tts_cache.services import profile_of
arguments = {"api_key": "other", "extra_headers": {"b": "1", "a": "2"}}
reader = RequestReader(
    service_class=CartesiaTTSService,
    profile=profile_of(CartesiaTTSService, websocket=True),
    args=(),
    kwargs=arguments,
)
settings = {"language": "en", "model": "big", "voice": "anna"}
request = reader.request(text="Hello there.", settings=settings, sample_rate=24000, extra=None)
print(digest(request))
"""


def test_another_process_finds_what_this_one_stored() -> None:
    """A service in another process, with another seed of its hashes, has the same keys."""
    expected = key_of(CartesiaTTSService, api_key="k", extra_headers={"a": "2", "b": "1"})
    found = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert expected == found.stdout.strip().splitlines()[-1]


# Behind the mixin


class CachedOpenAI(TTSCacheMixin, OpenAITTSService):
    pass


class OtherName(TTSCacheMixin, OpenAITTSService):
    pass


class Quiet(OpenAITTSService):
    pass


class CachedQuiet(TTSCacheMixin, Quiet):
    pass


class CachedShouting(TTSCacheMixin, Shouting, OpenAITTSService):
    pass


class Speaking(TTSService):
    """A mixin that is a TTS service itself, as far as types go."""


class CachedSpeaking(TTSCacheMixin, Speaking, OpenAITTSService):
    pass


class CachedOwnVoice(TTSCacheMixin, InlineService):
    """A service of one's own that has a voice in a file."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)


class VoiceFile(InlineService):
    def __init__(self, *, voice_file: Any, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)


class CachedVoiceFile(TTSCacheMixin, VoiceFile):
    pass


async def key_in(tts: TTSCacheMixin, text: str = "Hello there.") -> str | None:
    """Ask a service for the digest of a sentence, as it would do itself."""
    key = await tts._tts_cache_book.key(
        text, settings=tts._settings.given_fields(), sample_rate=24000
    )
    return key.digest if key else None


def cached_openai(kind: type[TTSCacheMixin] = CachedOpenAI, **kwargs: Any) -> TTSCacheMixin:
    return kind(api_key="hunter2", cache_backend=MemoryCacheBackend(), **kwargs)


async def test_the_name_of_the_cached_class_is_not_in_the_key() -> None:
    """Bots that call their cached service differently share what they said."""
    assert await key_in(cached_openai(CachedOpenAI)) == await key_in(cached_openai(OtherName))


async def test_what_stands_behind_the_mixin_is_in_the_key() -> None:
    """A subclass of a service, or a mixin before it, may change the audio."""
    kinds = (CachedOpenAI, CachedQuiet, CachedShouting, CachedSpeaking)
    assert len(kinds) == len({await key_in(cached_openai(kind)) for kind in kinds})


async def test_the_service_behind_another_mixin_is_found() -> None:
    """A mixin that is a TTS service without a voice does not hide the one behind it."""
    tts = cached_openai(CachedSpeaking)
    assert "OpenAITTSService" == tts._tts_cache_book._reader.service_name
    assert True is tts._tts_cache._profile.inline


async def test_a_profile_may_stand_on_the_cached_class() -> None:
    """Whoever has no say in a service describes it where it is cached."""

    class Described(TTSCacheMixin, VoiceFile):
        tts_cache_profile = ServiceProfile(neutral_arguments=frozenset({"voice_file"}))

    assert await key_in(Described(voice_file=Engine(), cache_backend=MemoryCacheBackend()))


async def test_a_secret_keys_the_digests() -> None:
    """With `cache_secret` keys differ, and a string is the same secret as its bytes."""
    keys = [
        await key_in(cached_openai(cache_secret=secret))
        for secret in (None, "sesame", b"sesame", "Sésame", "Sésame".encode())
    ]
    assert keys[1] == keys[2]
    assert keys[3] == keys[4]
    assert 3 == len(set(keys))


async def test_what_the_user_adds_is_taken_down_at_once() -> None:
    """`cache_key_extra` is in the key as it was given, whatever becomes of it."""
    extra = {"accents": ["north"]}
    tts = cached_openai(cache_key_extra=extra)
    before = await key_in(tts)
    extra["accents"].append("south")
    assert before == await key_in(tts)
    assert before != await key_in(cached_openai(cache_key_extra=extra))
    assert before != await key_in(cached_openai())
    assert await key_in(cached_openai(cache_key_extra={})) == await key_in(cached_openai())


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A file with a voice."""
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF anna")
    return path


async def test_a_file_is_read_in_a_thread(voice: Path, no_blocking: BlockBuster) -> None:
    """The content of a file is in the key, and reading it blocks nothing."""
    backend = MemoryCacheBackend()
    before = await key_in(CachedVoiceFile(voice_file=voice, cache_backend=backend))
    assert before is not None
    assert before == await key_in(CachedVoiceFile(voice_file=voice, cache_backend=backend))
    await asyncio.to_thread(voice.write_bytes, b"RIFF bert")
    after = await key_in(CachedVoiceFile(voice_file=voice, cache_backend=backend))
    assert after not in (None, before)


@pytest.mark.parametrize("wrap", [lambda path: path, lambda path: [path], lambda path: {"a": path}])
async def test_a_file_among_the_settings_is_read_in_a_thread(voice: Path, wrap: Any) -> None:
    """A setting may be a file; whoever exchanges it is heard in the next sentence."""
    tts = CachedOwnVoice(cache_backend=MemoryCacheBackend())
    tts._settings.extra["voice_file"] = wrap(voice)
    before = await key_in(tts)
    assert before is not None
    await asyncio.to_thread(voice.write_bytes, b"RIFF bert")
    assert await key_in(tts) not in (None, before)


async def test_a_file_in_the_extras_is_read_once(voice: Path) -> None:
    """A file in `cache_key_extra` is read when the service is constructed."""
    tts = await asyncio.to_thread(cached_openai, cache_key_extra={"reference": voice})
    before = await key_in(tts)
    await asyncio.to_thread(voice.write_bytes, b"RIFF bert")
    assert before == await key_in(tts)
    assert before not in (None, await key_in(cached_openai()))


async def test_a_voice_may_be_a_file(voice: Path) -> None:
    """Where a service takes a voice by name or by file, a file's content counts."""

    class NameOrFile(InlineService):
        tts_cache_profile = ServiceProfile(
            file_settings=frozenset({"voice"}), neutral_arguments=frozenset({"provider"})
        )

    class CachedNameOrFile(TTSCacheMixin, NameOrFile):
        pass

    def speaking(name: str) -> TTSCacheMixin:
        tts = CachedNameOrFile(cache_backend=MemoryCacheBackend())
        tts._settings.voice = name
        return tts

    copy = voice.with_name("copy.wav")
    await asyncio.to_thread(copy.write_bytes, b"RIFF anna")
    tts = speaking(str(voice))
    keys = [await key_in(tts), await key_in(speaking("anna")), await key_in(speaking("bert"))]
    assert keys[0] == await key_in(speaking(str(copy)))
    await asyncio.to_thread(voice.write_bytes, b"RIFF bert")
    assert keys[0] == await key_in(tts)  # the service has read it before, too
    tts._settings.language = "de"
    assert keys[0] != await key_in(tts)
    tts._settings.language = None
    assert keys[0] == await key_in(tts)
    keys.append(await key_in(speaking(str(voice))))
    tts._settings.voice = "anna"
    assert keys[1] == await key_in(tts)
    tts._settings.voice = str(voice)
    assert keys[3] == await key_in(tts)
    assert None not in keys
    assert 4 == len(set(keys))


async def test_without_a_key_sentences_are_spoken_live(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be made canonical costs the cache, not the speech, and is said once."""
    backend = MemoryCacheBackend()
    tts = CachedVoiceFile(voice_file=Engine(), cache_backend=backend)
    async with running(tts) as bot:
        await bot.llm_turn(["One is here. ", "Two is there."])
        await bot.speak("One is here.")
        said = await bot.until_quiet()
        stats = await tts.get_cache_stats()
    assert "One is here. Two is there. One is here." == said.heard.text
    assert {Bypass.NO_KEY: 3} == stats["bypassed"]
    assert (0, 0, 0) == (stats["hits"], stats["misses"], stats["stores"])
    complaints = [each.message for each in caplog.records if "TTS cache" in each.message]
    assert 1 == len(complaints)
    assert "'constructor arguments.voice_file' holds a Engine" in complaints[0]


async def test_a_change_of_voice_in_mid_call_is_heard() -> None:
    """A sentence is found again in its own voice only."""
    tts = CachedOwnVoice(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        for voice, hits in [("anna", 0), ("bert", 0), ("anna", 1), ("bert", 2)]:
            await bot.update_settings(voice=voice)
            await bot.speak("One is here.")
            await bot.until_quiet()
            stats = await tts.get_cache_stats()
            assert (voice, hits) == (voice, stats["hits"])


async def test_secrets_appear_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither API keys nor the cache's secret get into records, statistics, logs or reprs."""
    backend = MemoryCacheBackend()
    secrets = {"api_key": "hunter2", "cache_secret": "hunter2", "base_url": "https://hunter2@x.y"}
    tts = CachedOpenAI(cache_backend=backend, **secrets)
    assert await key_in(tts) is not None
    request = tts._tts_cache_book._reader.request(
        text="Hello.", settings=tts._settings.given_fields(), sample_rate=24000, extra=None
    )
    told = [
        repr(tts),
        repr(tts._tts_cache_book.options),
        repr(vars(tts._tts_cache_book)),
        json.dumps(request),
        json.dumps(await tts.get_cache_stats()),
        caplog.text,
    ]
    assert [] == [each for each in told if "hunter2" in each]
    assert "api_key" not in tts._tts_cache_book._reader._arguments


def test_rime_shapes_a_sentence_on_the_side() -> None:
    """What a text transform tells the service beside the text is in the key."""
    assert "_extra_msg_fields" in sources()["RimeTTSService"].text
    reader = Reader(importable()["RimeTTSService"])
    keys = {
        reader.key(settings=ANNA | {"_extra_msg_fields": fields})
        for fields in ({}, {"inlineSpeedAlpha": "0.5"}, {"inlineSpeedAlpha": "2"})
    }
    assert 3 == len(keys)


class Sidelong(InlineService):
    """Is told beside the text how to speak it, for one sentence."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)
        self.side: dict[str, str] = {}
        self.heeded: list[dict[str, str]] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.heeded.append(self.side)
        self.side = {}
        async for frame in super().run_tts(text, context_id):
            yield frame


class CachedSidelong(TTSCacheMixin, Sidelong):
    tts_cache_profile = ServiceProfile(inline=True, sentence_state={"side": {}})


async def test_what_is_said_on_the_side_is_for_one_sentence() -> None:
    """What is told beside a text sets it apart, and is used up by a replay as by live speech."""
    tts = CachedSidelong(cache_backend=MemoryCacheBackend())
    async with running(tts) as bot:
        for side in ({"speed": "2"}, {"speed": "2"}, {"speed": "2"}, {}, {"speed": "3"}, {}):
            tts.side.update(side)
            await bot.speak("One is here.")
            await bot.until_quiet()
            assert {} == tts.side
        stats = await tts.get_cache_stats()
    assert [{"speed": "2"}, {}, {"speed": "3"}] == tts.heeded
    assert (3, 3) == (stats["hits"], stats["misses"])
