#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Stores by their URLs, for configuration files and the command line."""

import inspect
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from pipecat_tts_cache import backends
from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.backends.url_options import (
    alike,
    options_of,
    read_options,
    split_query,
)

_STORES = {
    "memory": "MemoryCacheBackend",
    "disk": "DiskCacheBackend",
    "redis": "RedisCacheBackend",
    "rediss": "RedisCacheBackend",
    "unix": "RedisCacheBackend",
    "postgresql": "PostgresCacheBackend",
    "postgres": "PostgresCacheBackend",
    "s3": "ObjectStoreCacheBackend",
    "gs": "ObjectStoreCacheBackend",
    "az": "ObjectStoreCacheBackend",
    "file": "ObjectStoreCacheBackend",
    "tiered": "TieredCacheBackend",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_BETWEEN_LEVELS = re.compile(r",(?=[a-z][a-z0-9+.-]*://|memory:|disk:|tiered:)", re.IGNORECASE)
_DRIVE = re.compile(r"/[a-z]:", re.IGNORECASE)
_EXAMPLES = (
    "memory://, disk:///folder, redis://host:6379/0, postgresql://host/database, "
    "s3://bucket/prefix or tiered:memory://,redis://host:6379/0"
)

_T = TypeVar("_T")


class _Address(NamedTuple):
    """A URL in parts. What is in front of the options may hold a password."""

    scheme: str
    place: str
    options: dict[str, str]


def open_backend(url: str) -> CacheBackend:
    """Open a store by its URL.

    ::

        open_backend("memory://?max_size=1000&max_bytes=100MB")
        open_backend("disk:///var/cache/tts?max_bytes=2GB")
        open_backend("tiered:memory://?ttl=1h,redis://localhost:6379/0?key_prefix=bot:")

    The options behind the question mark are the constructor's arguments: bytes with B, KB, MB, GB,
    KiB, MiB or GiB, times with ms, s, m, h or d, switches as true or false. See docs/store-urls.md.

    Args:
        url: Where the store is, and how to make it.

    Returns:
        The store, which connects when it is first used. Close it when you are done.

    Raises:
        MissingExtraError: If what the store needs is not installed.
        TypeError: If the URL is no string.
        ValueError: If it makes no sense. Neither user nor password is in any message.
    """
    if not isinstance(url, str):
        raise TypeError(f"a store's URL must be a str, not {type(url).__name__}")
    return _open(url.strip())


def _open(url: str) -> CacheBackend:
    scheme = _scheme(url)
    if scheme == "tiered":
        return _open_levels(url.partition(":")[2])
    address = _split(scheme, url)
    return _in_words(scheme, lambda: _make(address))


def _open_levels(levels: str) -> CacheBackend:
    """Open what stands behind ``tiered:``: options of the whole, if any, and levels."""
    parts = _BETWEEN_LEVELS.split(levels)
    query = parts.pop(0)[1:] if levels.startswith("?") else ""
    make = _class("tiered")
    known = options_of(make, leave_out=("levels", "close_levels"))

    def read() -> dict[str, Any]:
        return read_options(split_query(query), known)[0]

    options = _in_words("tiered", read)
    opened = [_open_level(part) for part in parts if part]
    store: CacheBackend = _in_words("tiered", lambda: make(opened, **options))
    return store


def _open_level(url: str) -> Any:
    scheme = _scheme(url)
    if scheme == "tiered":
        raise ValueError("tiered: the levels stand side by side, so there is no tiered: in it")
    address = _split(scheme, url)

    def make() -> Any:
        level = import_module("pipecat_tts_cache.backends.tiered.level").CacheLevel
        known = options_of(level)
        its = {name: text for name, text in address.options.items() if name in known}
        limits, _ = read_options(its, known)
        for name in its.keys() - _options_of(scheme).keys():
            del address.options[name]  # what the store has as well, as a time limit, is for both
        return level(_make(address), **limits)

    return _in_words(scheme, make)


def _make(address: _Address) -> CacheBackend:
    known = _options_of(address.scheme)
    options, rest = read_options(
        address.options,
        known,
        is_foreign=lambda name: _is_foreign(address.scheme, name),
    )
    target = _TARGETS.get(address.scheme, _url)
    store: CacheBackend = _class(address.scheme)(*target(address._replace(options=rest)), **options)
    return store


def _in_words(scheme: str, make: Callable[[], _T]) -> _T:
    """Say where something was wrong, and nothing of what it was caused by."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{scheme}: {error}") from None


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if found and scheme in _STORES:
        return scheme
    if found and url.startswith("//", found.end()):  # else it may be a user's name
        meant = alike(scheme, _STORES)
        hint = f": did you mean {meant}?" if meant else f"; a URL is {_EXAMPLES}"
        raise ValueError(f"there is no store {scheme}{hint}")
    raise ValueError(f"a store's URL is {_EXAMPLES}")


def _split(scheme: str, url: str) -> _Address:
    place, _, query = url[len(scheme) + 1 :].partition("?")
    return _Address(scheme, place, _in_words(scheme, lambda: split_query(query)))


def _class(scheme: str) -> Any:
    return getattr(backends, _STORES[scheme])


def _options_of(scheme: str) -> dict[str, Any]:
    first = next(iter(inspect.signature(_class(scheme)).parameters))
    return options_of(_class(scheme), leave_out=() if scheme == "memory" else (first,))


def _is_foreign(scheme: str, name: str) -> bool:
    """Tell whether an option that is not the constructor's is for the client below."""
    store = _STORES[scheme]
    if store == "RedisCacheBackend":
        with suppress(ImportError):  # the store says so itself
            return name in _options_of_redis()
    if store in ("MemoryCacheBackend", "DiskCacheBackend"):
        return False
    return alike(name, _options_of(scheme)) is None  # the client knows best what it takes


@cache
def _options_of_redis() -> frozenset[str]:
    """Find what redis-py takes as options of a URL: arguments of its connections and its pool."""
    asyncio = import_module("redis.asyncio")
    kinds = [asyncio.SSLConnection, asyncio.UnixDomainSocketConnection]
    kinds += [asyncio.BlockingConnectionPool]
    return frozenset(
        name
        for kind in kinds
        for each in kind.__mro__
        if "__init__" in vars(each) and each is not object
        for name in inspect.signature(each.__init__).parameters
        if name not in ("self", "kwargs")
    )


def _nowhere(address: _Address) -> tuple[()]:
    if address.place.strip("/"):
        raise ValueError("memory is nowhere: there is nothing between memory:// and the options")
    return ()


def _folder(address: _Address) -> tuple[str]:
    """Take the folder out of ``disk:///folder``, ``disk:folder`` or ``disk:///C:/folder``."""
    path = address.place
    if path.startswith("//"):
        path = path[2:]
        if path and not path.startswith("/"):
            raise ValueError("write disk:///var/cache/tts, or disk:cache/tts for a relative path")
    path = unquote(path, errors="surrogateescape")
    if _DRIVE.match(path):
        path = path[1:]
    if not path:
        raise ValueError("there is no folder: write disk:///var/cache/tts")
    return (os.path.expanduser(path),)  # noqa: PTH111 - what it is not for is left as it is


def _url(address: _Address) -> tuple[str]:
    query = "&".join(f"{name}={text}" for name, text in address.options.items())
    return (f"{address.scheme}:{address.place}{'?' if query else ''}{query}",)


_TARGETS: dict[str, Callable[[_Address], tuple[str, ...]]] = {
    "memory": _nowhere,
    "disk": _folder,
}
