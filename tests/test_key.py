#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The same request has the same key everywhere; a request that sounds otherwise has another."""

import asyncio
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.key import (
    FileOrName,
    canonical,
    digest,
    is_secret_name,
    prepare_text,
    written,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
names = st.text().filter(lambda name: not is_secret_name(name))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4)
        | st.frozensets(scalars, max_size=4)
    ),
    max_leaves=12,
)


class Speed(Enum):
    FAST = "fast"


class Accent(StrEnum):
    NORTH = "north"


class Level(IntEnum):
    LOUD = 3


@dataclass
class Prosody:
    speed: float = 1.0
    pitch: float | None = None


class Voice(BaseModel):
    speed: float = 1.0
    pitch: float | None = None


def key(value: Any) -> str:
    return digest({"value": value})


def shuffled(value: Any, reverse: bool) -> Any:
    """Build an equal value, with its mappings and sets filled in another order."""
    match value:
        case Mapping():
            entries = sorted(value.items(), key=repr, reverse=reverse)
            return {name: shuffled(item, not reverse) for name, item in entries}
        case frozenset():
            return frozenset(sorted(value, key=repr, reverse=reverse))
        case list():
            return [shuffled(item, reverse) for item in value]
        case _:
            return value


# The same


@given(values)
def test_order_does_not_matter(value: Any) -> None:
    """Dictionaries and sets have the same key however they were filled."""
    assert key(shuffled(value, False)) == key(shuffled(value, True))


SAME: list[tuple[Any, Any]] = [
    (1, 1.0),
    (0.0, -0.0),
    (Speed.FAST, "fast"),
    (Accent.NORTH, "north"),
    (Level.LOUD, 3),
    ({Speed.FAST: 1}, {"fast": 1}),
    ([1, 2], (1, 2)),
    ({1, 2}, frozenset({2, 1})),
    (b"sound", bytearray(b"sound")),
    (b"sound", memoryview(b"sound")),
    ({"a": 1, "b": None}, {"a": 1}),
    ({"a": 1}, MappingProxyType({"a": 1})),
    ({"a": 1, "api_key": "x"}, {"a": 1, "api_key": "y"}),
    (Prosody(), {"speed": 1.0}),
    (Voice(), Prosody()),
    ("café", unicodedata.normalize("NFD", "café")),
    ({"café": 1}, {unicodedata.normalize("NFD", "café"): 1}),
    (FileOrName("no-such-file"), "no-such-file"),
    (FileOrName("a" * 100_000), "a" * 100_000),
    (FileOrName("nul\x00"), "nul\x00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_has_the_same_key(one: Any, other: Any) -> None:
    """How a value is represented does not matter."""
    assert key(one) == key(other)


CODE = """
from pipecat_tts_cache.key import digest, written
print(digest({
    **{name: written(name, name) for name in ("one", "two", "three", "four", "five")},
    "text": "Grüß Gott, 你好 \\ud800",
    "set": {"one", "two", "three", "four"},
    "map": {"b": 1, "a": [0.1, 1e300, -7, 2**70, True, None], 3: b"sound"},
}))
"""


FORM = "78a700dfbeb7fd3f955c8905376c48c4aa81ba1bc21720e35ce6a83bef50fc8d"


def test_a_key_is_the_same_in_any_process() -> None:
    """Neither the process nor the seed of its hashes is in the key, in this version or the next."""
    seeds = ("0", "1", "4711")
    keys = [
        subprocess.run(
            [sys.executable, "-c", CODE],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in seeds
    ]
    # If this changes, everything that is stored is lost: FORM_VERSION says so.
    assert [FORM] * 3 == keys


# Different

DIFFERENT: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    1.5,
    -1,
    2**64,
    "",
    "1",
    "1.5",
    "True",
    "None",
    "null",
    "a",
    "A",
    "a.",
    "a!",
    "b",
    "\ud800",
    "\udfff",
    [],
    [1],
    ["1"],
    [[1]],
    [1, 2],
    [2, 1],
    ["map", []],
    ["list", [1]],
    {},
    {"a": 1},
    {"a": "1"},
    {"a": {}},
    {"a": [1]},
    {"b": 1},
    {"a": 1, "b": 1},
    {1: "a"},
    {"1": "a"},
    {True: "a"},
    {None: "a"},
    {1: "a", "1": "b"},
    {1: "b", "1": "a"},
    set(),
    {1},
    {"1"},
    {1, 2},
    b"",
    b"1",
    b"sound",
    ["bytes", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    Prosody(speed=2.0),
    Prosody(pitch=1.0),
]


def test_what_differs_has_another_key() -> None:
    """No two values that mean something else share a key."""
    keys = [key(value) for value in DIFFERENT]
    shared = [
        (one, other)
        for (one, key_of_one), (other, key_of_other) in combinations(
            zip(DIFFERENT, keys, strict=True), 2
        )
        if key_of_one == key_of_other
    ]
    assert [] == shared


@given(values, st.sampled_from(["list", "map", "set", "twice"]))
def test_where_a_value_stands_matters(value: Any, place: str) -> None:
    """A value in a list, a mapping or a set is not the value itself."""
    changed = {
        "list": [value],
        "map": {"value": value, "more": 1},
        "set": [value, {1}],
        "twice": [value, value],
    }[place]
    assert key(value) != key(changed)


@given(st.dictionaries(names, scalars.filter(lambda value: value is not None), min_size=1))
def test_every_entry_matters(entries: dict[str, Any]) -> None:
    """An entry that is missing, or changed, makes another key."""
    for name in entries:
        without = {other: value for other, value in entries.items() if other != name}
        assert key(entries) != key(without)
        assert key(entries) != key(entries | {name: "something else entirely"})


@given(st.dictionaries(names, values, max_size=3), st.dictionaries(names, values, max_size=3))
@settings(max_examples=50)
def test_what_is_written_before_has_the_same_key(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """It does not matter which parts of a request were written down before."""
    parts = {f"{number}": value for number, value in enumerate([one, other])}
    ahead: dict[str, Any] = {name: written(value, name) for name, value in parts.items()}
    assert digest(parts) == digest(ahead)
    assert digest(parts) == digest({**parts, "0": ahead["0"]})


# Text


@given(st.text())
def test_composed_and_decomposed_text_agree(text: str) -> None:
    """Unicode has two forms for many letters; both are spoken alike."""
    forms = {prepare_text(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert 1 == len(forms)


@given(st.lists(st.text("abÄé.!", min_size=1), min_size=1), st.data())
def test_white_space_is_folded(words: list[str], data: st.DataObject) -> None:
    """How much white space there is, and of which kind, is not heard."""
    space = st.text(" \t\r\n\u00a0\u2003", min_size=1, max_size=3)
    text = "".join(word + data.draw(space) for word in words)
    assert prepare_text(" ".join(words)) == prepare_text(data.draw(space) + text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Polish", "polish"),
        ("It's -5 degrees.", "its 5 degrees"),
        ("Really?", "Really!"),
        ("US", "us"),
        ("1,000", "1.000"),
        ("re-sign", "resign"),
        ("now here", "nowhere"),
        ("ﬁne", "fine"),
        ("x²", "x2"),
    ],
)
def test_what_is_heard_is_kept(one: str, other: str) -> None:
    """Case, punctuation and compatibility characters are heard."""
    assert prepare_text(one) != prepare_text(other)


# Secrets

SECRETS = [
    "api_key",
    "apikey",
    "apiKey",
    "API-Key",
    "x-api-key",
    "xi-api-key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "subscription_key",
    "api-subscription-key",
    "private_key",
    "license_key",
    "token",
    "access_token",
    "accessToken",
    "token_provider",
    "client_secret",
    "password",
    "passwd",
    "passphrase",
    "db_pwd",
    "credentials",
    "credentials_path",
    "Authorization",
    "authorisation",
    "auth",
    "bearer",
    "Set-Cookie",
    "jwt",
    "X-Amz-Signature",
    "aiohttp_session",
    "session_id",
]
NO_SECRETS = [
    "text_lookahead_tokens",
    "max_tokens",
    "maxTokens",
    "max_new_tokens",
    "tokenizer",
    "tokenization",
    "ipa_key",
    "voice_cloning_key",
    "key",
    "keyword",
    "monkey",
    "voice",
    "author",
    "author_style",
    "passage",
    "reference_id",
    "encoding",
]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_known_by_their_names(name: str) -> None:
    """What is named like a credential or a session is not in the key, at any depth."""
    assert is_secret_name(name)
    assert key({"deep": [{name: "hunter2"}]}) == key({"deep": [{}]})


@pytest.mark.parametrize("name", NO_SECRETS)
def test_not_everything_is_a_secret(name: str) -> None:
    """What only resembles a secret stays in the key."""
    assert not is_secret_name(name)
    assert key({name: 1}) != key({name: 2})


@pytest.mark.parametrize("name", ["url", "base_url", "uri", "endpoint", "server", "deep.url"])
def test_an_address_keeps_its_secrets(name: str) -> None:
    """User, password, and keys and signatures in the query are not part of an address."""
    address = "https://{}voice.example.com:8443/v1?model=big&{}lang=en#part"
    clean = canonical(address.format("", ""), name)
    assert "https://voice.example.com:8443/v1?model=big&lang=en#part" == clean
    for user, secret in [
        ("ada:hunter2@", ""),
        ("hunter2@", ""),
        ("", "token=hunter2&"),
        ("", "api_key=hunter2&"),
        ("", "key=hunter2&"),
        ("", "sig=hunter2&"),
        ("ada:hunter2@", "X-Amz-Signature=hunter2&access_token=&"),
    ]:
        assert clean == canonical(address.format(user, secret), name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://one.example.com", "https://two.example.com"),
        ("https://example.com/v1", "https://example.com/v2"),
        ("https://example.com:1", "https://example.com:2"),
        ("http://example.com", "https://example.com"),
        ("https://example.com?model=a", "https://example.com?model=b"),
        ("https://example.com?model=", "https://example.com"),
        ("https://[broken", "https://[broken too"),
    ],
)
def test_addresses_differ(one: str, other: str) -> None:
    """Everything else in an address may lead to another voice."""
    assert canonical(one, "base_url") != canonical(other, "base_url")


def test_only_addresses_are_read_as_such() -> None:
    """A text that looks like an address is a text."""
    assert "https://ada@example.com" == canonical("https://ada@example.com", "prompt")


def test_keyed_digests() -> None:
    """A secret keys the digest, and another one keys it otherwise."""
    request = {"text": "Hello."}
    keys = {digest(request, secret=secret) for secret in (None, b"one", b"two")}
    assert 3 == len(keys)
    assert {64} == set(map(len, keys))
    assert digest(request, secret=b"one") == digest(request, secret=b"one")


# What has no key


class Raising(BaseModel):
    def model_dump(self, **kwargs: Any) -> dict[str, Any]:
        raise RuntimeError("hunter2")


class Endless(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return self

    def __iter__(self) -> Iterator[str]:
        return iter(["again"])

    def __len__(self) -> int:
        return 1


@dataclass
class Holder:
    held: Any = field(default_factory=object)


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Holder(),
        Holder,
        Prosody,
        Voice,
        len,
        lambda: 1,
        float("nan"),
        float("inf"),
        [float("-inf")],
        {(1, 2): 3},
        {b"name": 3},
        1j,
        10**5000,
        _circle(),
        _deep(),
        Endless(),
        Raising(),
        Path("no/such/file"),
        asyncio.Queue,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_written_has_no_key(value: Any) -> None:
    """A value without a canonical form is refused, in words that name it but do not quote it."""
    with pytest.raises(UncacheableError) as caught:
        digest({"prosody": {"style": value}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [10**5000, _deep(), object()], ids=["int", "list", "object"])
def test_what_cannot_be_written_ahead_has_no_key(value: Any) -> None:
    """The same goes for what is written down before it is needed."""
    with pytest.raises(UncacheableError):
        written(value, "setting")


def test_the_message_names_the_culprit() -> None:
    """Whoever passed something impossible can find it."""
    with pytest.raises(UncacheableError, match=r"'settings\.style' holds a object"):
        canonical({"style": object()}, "settings")


# Files


def test_a_file_stands_for_its_content(tmp_path: Path) -> None:
    """A file is known by what is in it, whatever its name."""
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    one.write_bytes(b"RIFF one")
    same.write_bytes(b"RIFF one")
    other.write_bytes(b"RIFF other")
    assert key(one) == key(same) == key(FileOrName(str(one)))
    assert key(one) != key(other)
    before = key(one)
    one.write_bytes(b"RIFF two")
    assert before != key(one)
    assert key(str(one)) != key(one)


def test_a_folder_stands_for_its_path(tmp_path: Path) -> None:
    """What is in a folder is not read; a service takes from it what its settings name."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    before = key(tmp_path / "one")
    (tmp_path / "one" / "voice.onnx").write_bytes(b"voice")
    assert before == key(tmp_path / "one")
    assert before != key(tmp_path / "two")


def test_a_name_that_is_a_folder_by_chance_is_a_name(tmp_path: Path) -> None:
    """A voice called like a folder that happens to be there is called so everywhere."""
    assert key(str(tmp_path)) == key(FileOrName(str(tmp_path)))


def test_a_path_is_anything_that_says_so(tmp_path: Path) -> None:
    """Any path-like object is a file."""

    class Somewhere:
        def __fspath__(self) -> str:
            return str(tmp_path / "voice.wav")

    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    assert key(tmp_path / "voice.wav") == key(Somewhere())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_has_no_key(tmp_path: Path) -> None:
    """A voice that cannot be read cannot be told from another."""
    path = tmp_path / "voice.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    with pytest.raises(UncacheableError, match="cannot be read"):
        key(path)


def test_a_form_is_plain(tmp_path: Path) -> None:
    """A canonical form is made of what JSON knows."""
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    form = canonical([*DIFFERENT, tmp_path, tmp_path / "voice.wav", Prosody(), Voice()])
    assert form == json.loads(json.dumps(form))
