#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The key: what a request comes down to, and its digest.

Two requests share a key exactly if a provider asked twice would be asked for the same audio. The
request is written in a canonical form, independent of dictionary order, hash seed, process and
platform, and the digest of that form is the key. Nothing secret goes in: the caller leaves out
what its `services` profile calls neutral, and this module leaves out what is named like a secret.
"""

import dataclasses
import hashlib
import hmac
import json
import math
import os
import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pipecat_tts_cache.errors import UncacheableError

FORM_VERSION = 1
_SECRET = re.compile(
    r"(api|access|private|subscription|license)[-_ ]?key|token(?!s|iz)|secret|pass(w|phrase)|pwd"
    r"|credential|authori[sz]ation|^auth$|bearer|cookie|jwt|signature|session",
    re.IGNORECASE,
)
_SECRET_IN_QUERY = re.compile(r"^(key|sig)$", re.IGNORECASE)
_ADDRESS = re.compile(r"ur[il]$|endpoint$|server$", re.IGNORECASE)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Written(str):
    """A value in its canonical form, written as JSON: `digest` takes it as it is."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True)
class FileOrName:
    """A string that stands for a file's content if there is such a file, else for itself.

    Parameters:
        value: The path, or the name.
    """

    value: str


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is to be kept out of keys.

    Args:
        name: The name of an argument, a field or a query parameter.

    Returns:
        True for what is named like a credential or a session.
    """
    return _SECRET.search(name) is not None


def prepare_text(text: str) -> str:
    """Fold what does not change the audio: Unicode to NFC, and runs of white space.

    Case and punctuation are kept, because they are heard.

    Args:
        text: The text as prepared for the provider.

    Returns:
        The text as it enters the key.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def digest(request: Mapping[str, Any], *, secret: bytes | None = None) -> str:
    """Digest a request.

    Args:
        request: Everything that shapes the audio, by name. Values may be nested, or `Written`.
        secret: If given, the digest is keyed with it, so that a stolen store cannot be searched
            for guessed sentences.

    Returns:
        64 hexadecimal digits.

    Raises:
        UncacheableError: If a value has no canonical form.
    """
    entries = [
        f'["{name}",{value}]' for name, value in request.items() if isinstance(value, Written)
    ]
    if len(entries) < len(request):
        unwritten = {n: value for n, value in request.items() if not isinstance(value, Written)}
        entries += map(_write, canonical(unwritten)[1])
    written = f'[{FORM_VERSION},["map",[{",".join(sorted(entries))}]]]'
    form = written.encode("utf-8", errors="surrogatepass")
    if secret is not None:
        return hmac.digest(secret, form, "sha256").hex()
    return hashlib.sha256(form).hexdigest()


def digest_text(text: str, *, secret: bytes | None = None) -> str:
    """Digest a text alone, so that what was made of it can be found without holding it.

    Args:
        text: The text as prepared for the provider.
        secret: If given, the digest is keyed with it.

    Returns:
        64 hexadecimal digits.
    """
    form = b"text\0" + prepare_text(text).encode("utf-8", errors="surrogatepass")
    if secret is not None:
        return hmac.digest(secret, form, "sha256").hex()
    return hashlib.sha256(form).hexdigest()


def written(value: Any, name: str) -> Written:
    """Write a value in its canonical form, for a `digest` of requests that share it.

    Args:
        value: The value.
        name: What to call it in an error.

    Returns:
        The form as JSON.

    Raises:
        UncacheableError: If it, or something in it, has no canonical form.
    """
    return Written(_write(canonical(value, name)))


def written_text(text: str) -> Written:
    """Write a text down, as `prepare_text` folds it.

    Args:
        text: The text as prepared for the provider.

    Returns:
        What `written` gives for it, sooner.
    """
    return Written(_write(prepare_text(text)))


def _write(form: Any) -> str:
    try:
        return _encode(form)
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number too long
        raise UncacheableError(f"a request cannot be written ({type(error).__name__})") from error


def canonical(value: Any, name: str = "request") -> Any:
    """Write a value in a form that is equal exactly where the value is.

    Mappings lose entries that are None or named like secrets, and their order; sets lose their
    order; a whole float is its integer; bytes and files become digests of their content, a folder
    its path; URLs lose user, password and secret-looking query parameters.

    Args:
        value: The value.
        name: What to call it in an error.

    Returns:
        Lists, strings, numbers, booleans and None, ready for JSON.

    Raises:
        UncacheableError: If it, or something in it, has no canonical form.
    """
    try:
        return _canonical(value, name)
    except UncacheableError:
        raise
    except Exception as error:  # whatever users' own objects raise, or values that hold themselves
        raise UncacheableError(f"'{name}' cannot be read ({type(error).__name__})") from error


def _canonical(value: Any, name: str) -> Any:
    form: Any
    match value:
        case Enum():
            form = _canonical(value.value, name)
        case None | bool() | int():
            form = value
        case float():
            form = _canonical_float(value, name)
        case str():
            form = _canonical_str(value, name)
        case bytes() | bytearray() | memoryview():
            form = ["bytes", hashlib.sha256(value).hexdigest()]
        case os.PathLike() | FileOrName():
            form = _canonical_file(value, name)
        case Mapping():
            form = _canonical_mapping(value, name)
        case list() | tuple():
            form = ["list", [_canonical(item, name) for item in value]]
        case set() | frozenset():
            form = ["set", sorted((_canonical(item, name) for item in value), key=json.dumps)]
        case _:
            form = _canonical_object(value, name)
    return form


def _canonical_file(value: os.PathLike[Any] | FileOrName, name: str) -> Any:
    if isinstance(value, FileOrName) and not _is_file(value.value):
        return _canonical_str(value.value, name)
    path = Path(value.value if isinstance(value, FileOrName) else os.fsdecode(value))
    if path.is_dir():
        return ["folder", _canonical_str(str(path.absolute()), name)]
    try:
        with path.open("rb") as file:
            return ["file", hashlib.file_digest(file, "sha256").hexdigest()]
    except OSError as error:
        raise UncacheableError(
            f"'{name}' names a file that cannot be read ({type(error).__name__})"
        ) from error


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a path, or with a NUL: a name then
        return False


def _canonical_float(value: float, name: str) -> Any:
    if not math.isfinite(value):
        raise UncacheableError(f"'{name}' is not a finite number")
    return int(value) if value.is_integer() else value


def _canonical_str(value: str, name: str) -> str:
    value = unicodedata.normalize("NFC", str(value))
    return _without_secrets(value) if _ADDRESS.search(name) else value


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return url
    kept = [
        (name, value)
        for name, value in query
        if not (is_secret_name(name) or _SECRET_IN_QUERY.search(name))
    ]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=urlencode(kept)))


def _canonical_mapping(value: Mapping[Any, Any], name: str) -> Any:
    entries: list[list[Any]] = []
    for key, item in value.items():
        key_name = key.value if isinstance(key, Enum) else key
        if not isinstance(key_name, str | int | float | bool | None):
            raise UncacheableError(f"'{name}' is a mapping with keys that are not strings")
        if item is not None and not (isinstance(key_name, str) and is_secret_name(key_name)):
            form = _canonical(item, f"{name}.{key_name}")
            entries.append([_canonical(key_name, "key"), form])
    return ["map", sorted(entries, key=json.dumps)]


def _canonical_object(value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _canonical_mapping(fields, name)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _canonical(dump(), name)
    raise UncacheableError(f"'{name}' holds a {type(value).__name__}, which has no canonical form")
