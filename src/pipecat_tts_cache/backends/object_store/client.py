#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Clients for the object store: made of a URL to fail fast, or taken from the caller and checked.

The `obstore` package is imported inside the functions, so that it is needed only by who uses it.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pipecat_tts_cache.errors import MissingExtraError

_CLASSES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
_EXPECTED = (
    "url must be one of s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, "
    "file:///folder and memory:///"
)
_IN_URL = {
    "s3": {
        *("endpoint", "region", "virtual_hosted_style_request", "skip_signature"),
        *("disable_bulk_delete", "request_payer", "server_side_encryption", "sse_kms_key_id"),
        *("sse_bucket_key_enabled", "role_arn", "s3_express", "unsigned_payload"),
    },
    "gs": {"base_url", "application_credentials", "skip_signature"},
    "az": {
        *("account_name", "endpoint", "client_id", "tenant_id", "authority_host"),
        *("use_emulator", "use_fabric_endpoint", "use_azure_cli", "skip_signature"),
    },
    "file": set[str](),
    "memory": set[str](),
}
"""Options that a URL may hold: none of them is a secret."""
_OF_THE_CLIENT = {
    *("allow_http", "allow_invalid_certificates", "proxy_url", "proxy_ca_certificate"),
    *("proxy_excludes", "root_certificate", "user_agent", "default_headers", "http1_only"),
}
"""Options that obstore wants in ``client_options``; elsewhere it panics at some of them."""
_OWNER_ONLY = 0o700


class Connection(NamedTuple):
    """How to come by a store of obstore.

    Parameters:
        name: Where it is, without credentials.
        connect: Makes one. That may take some 10 ms, or touch the disk.
        keeps: Whether one that was made holds connections that may die, so that a fresh one is
            better after a failure.
        is_folder: Whether it is a folder, whose files have no media type and the like.
    """

    name: str
    connect: Callable[[], Any]
    keeps: bool
    is_folder: bool


def require_obstore() -> None:
    """Make sure that obstore is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import_module("obstore.store")
    except ImportError as error:
        raise MissingExtraError("ObjectStoreCacheBackend", "object-store") from error


def open_url(url: object, options: Mapping[str, Any]) -> Connection:
    """Make of a URL a way to open a store that fails fast: without retries.

    By default obstore retries ten times.

    Args:
        url: Where it is, with options that are no secrets as a query.
        options: Further options of obstore's store.

    Returns:
        How to open it. The options have been tried out.

    Raises:
        TypeError: If the URL is no string, or `client_options` no map.
        ValueError: If it is none of those that are known, or an option is unknown or wrong. The
            message holds no value of any option.
    """
    parts = _split(url)
    options = {**_query(parts), **options}
    if parts.scheme == "memory":
        _refuse_options(parts, options)
        store = _class("MemoryStore")()
        return Connection("memory:///", lambda: store, keeps=False, is_folder=False)
    if parts.scheme == "file":
        _refuse_options(parts, options)
        folder = unquote(parts.path)
        return Connection(
            f"file://{folder}", partial(_open_folder, folder), keeps=False, is_folder=True
        )
    connect = partial(_open_bucket, parts, options)
    name = describe(connect())
    return Connection(name, connect, keeps=True, is_folder=False)


def open_callers(store: Any) -> Connection:
    """Check a caller's own store.

    Args:
        store: What the caller passed.

    Returns:
        What is known of it.

    Raises:
        TypeError: If it is no store of obstore that can list and delete.
    """
    kinds = (*_CLASSES.values(), "LocalStore", "MemoryStore")
    if not isinstance(store, tuple(map(_class, kinds))):
        raise TypeError(
            f"store must be one of obstore's {', '.join(kinds)}, not {type(store).__name__}"
        )
    is_folder = isinstance(store, _class("LocalStore"))
    if is_folder and getattr(store, "prefix", None) is None:
        raise ValueError("a LocalStore without a prefix would be all of the disk: name a folder")
    return Connection(describe(store), lambda: store, keeps=False, is_folder=is_folder)


def describe(store: Any) -> str:
    """Name a store, without its credentials.

    Args:
        store: A store of obstore.

    Returns:
        For instance "s3://bucket/prefix".
    """
    kind = type(store).__name__
    prefix = getattr(store, "prefix", None) or ""
    if kind == "LocalStore":
        return f"file://{prefix}"
    for scheme, each in _CLASSES.items():
        if each == kind:
            bucket = store.config.get("container_name" if scheme == "az" else "bucket", "")
            return f"{scheme}://{bucket}/{prefix}".rstrip("/")
    return "memory:///"


def _class(name: str) -> Any:
    return getattr(import_module("obstore.store"), name)


def _split(url: object) -> SplitResult:
    if not isinstance(url, str):
        raise TypeError(f"url must be a str, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{_EXPECTED}, and this is no URL") from None
    if parts.scheme not in _IN_URL or not url[len(parts.scheme) :].startswith("://"):
        raise ValueError(_EXPECTED)
    if "@" in parts.netloc:
        raise ValueError(
            "credentials do not belong into the URL, where logs may show them: set them in the "
            "environment, or pass them as options"
        )
    has_bucket = bool(parts.netloc) and parts.port is None
    if parts.fragment or (parts.scheme in _CLASSES) != has_bucket:
        raise ValueError(_EXPECTED)
    if parts.scheme == "file" and not parts.path.strip("/"):
        raise ValueError("a store in file:/// would be all of the disk: name a folder")
    return parts


def _query(parts: SplitResult) -> dict[str, Any]:
    try:
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("the options behind '?' must be name=value, with & between them") from None
    known = _IN_URL[parts.scheme]
    for name, _ in query:
        if name not in known:
            raise ValueError(
                f"a {parts.scheme}:// URL takes {_listed(known)} as options, nothing else. What is "
                "secret belongs into the environment; other options into the constructor"
            )
    return dict(query)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _refuse_options(parts: SplitResult, options: Mapping[str, Any]) -> None:
    if options:
        raise ValueError(f"a {parts.scheme}:// store takes no options: {', '.join(options)}")


def _open_folder(folder: str) -> Any:
    os.makedirs(folder, mode=_OWNER_ONLY, exist_ok=True)  # noqa: PTH103 - not the parents' mode
    return _class("LocalStore")(folder, automatic_cleanup=True)


def _open_bucket(parts: SplitResult, options: Mapping[str, Any]) -> Any:
    client: dict[str, Any] = {**(options.get("client_options") or {})}
    client |= {name: value for name, value in options.items() if name in _OF_THE_CLIENT}
    rest = {name: value for name, value in options.items() if name not in _OF_THE_CLIENT}
    if any(str(options.get(name)).startswith("http://") for name in ("endpoint", "base_url")):
        client.setdefault("allow_http", True)
    rest["client_options"] = client or None
    rest.setdefault("retry_config", {"max_retries": 0})
    try:
        return _class(_CLASSES[parts.scheme])(
            parts.netloc, prefix=unquote(parts.path).strip("/") or None, **rest
        )
    except Exception as error:
        # From None: the cause may quote an option, and that may be a secret.
        raise ValueError(_what_is_wrong(parts, options, error)) from None


def _what_is_wrong(parts: SplitResult, options: Mapping[str, Any], error: Exception) -> str:
    if "Account must be specified" in str(error):
        return "az:// needs the name of the account: account_name, or AZURE_STORAGE_ACCOUNT_NAME"
    return (
        f"obstore's {_CLASSES[parts.scheme]} does not take this ({type(error).__name__}): an "
        f"option is unknown or wrong, here ({_listed(set(options))}) or in the environment"
    )
