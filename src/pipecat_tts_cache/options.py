#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a user can set, checked where it is set."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import signature
from types import UnionType
from typing import Any, Literal, cast, get_args

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.checks import check_choice, check_seconds
from pipecat_tts_cache.errors import UncacheableError
from pipecat_tts_cache.key import Written, is_secret_name, written
from pipecat_tts_cache.statistics.prices import PriceTable
from pipecat_tts_cache.statistics.savings import SavingsLedger
from pipecat_tts_cache.statistics.telemetry import Telemetry

Scope = Literal["all", "speak"]
ShouldCache = Callable[[str], bool | Awaitable[bool]]
_NEARLY = 0.85
"""How alike a name must be to that of an option to be meant for it: a slip of the pen."""


@dataclass(slots=True, kw_only=True)
class CacheOptions:
    """The options of a cached service.

    Parameters:
        backend: The store, or None to pass everything through untouched.
        ttl: Seconds for which an utterance is kept, or None to keep it.
        namespace: Whose utterances these are.
        enabled: Whether anything is read or written. May be flipped while running.
        key_extra: More that shapes the audio, folded into every key.
        secret: If given, digests are keyed with it.
        lookup_timeout: Seconds that a look-up may take before the sentence is spoken live.
        store_text: Whether records hold the text that was spoken.
        should_cache: Which texts may be cached, or None for all.
        scope: "all", or "speak" for `TTSSpeakFrame` only.
        prices: What characters cost, or None if nobody has said.
        ledger: Where what is saved is added up, besides, or None.
        telemetry: Whether OpenTelemetry is told, and whether also of the namespace.
        usable: Whether Pipecat has what the cache needs. Not for users to set.
    """

    backend: CacheBackend | None = None
    ttl: float | None = None
    namespace: str = ""
    enabled: bool = True
    key_extra: Written
    secret: bytes | None = field(default=None, repr=False)
    lookup_timeout: float = 0.25
    store_text: bool = True
    should_cache: ShouldCache | None = None
    scope: Scope = "all"
    prices: PriceTable | None = None
    ledger: SavingsLedger | None = None
    telemetry: Telemetry = "on"
    usable: bool = True

    @property
    def active(self) -> bool:
        """Whether there is a store and it is to be used."""
        return self.usable and self.enabled and self.backend is not None


def checked_options(
    *,
    cache_backend: CacheBackend | None,
    cache_ttl: float | None,
    cache_namespace: str | None,
    cache_enabled: bool,
    cache_key_extra: Mapping[str, Any] | None,
    cache_secret: str | bytes | None,
    cache_lookup_timeout: float,
    cache_store_text: bool,
    should_cache: ShouldCache | None,
    cache_scope: Scope,
    cache_prices: PriceTable | None = None,
    cache_ledger: SavingsLedger | None = None,
    cache_telemetry: Telemetry = "on",
) -> CacheOptions:
    """Check the arguments of the mixin and gather them.

    Args:
        cache_backend: See `TTSCacheMixin`, as all others.
        cache_ttl: Seconds.
        cache_namespace: Any string.
        cache_enabled: A switch.
        cache_key_extra: Values with a canonical form.
        cache_secret: Not empty.
        cache_lookup_timeout: Seconds.
        cache_store_text: A switch.
        should_cache: A predicate on the prepared text.
        cache_scope: "all" or "speak".
        cache_prices: A price table.
        cache_ledger: A ledger.
        cache_telemetry: "on", "off" or "namespace".

    Returns:
        The options.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument has an impossible value.
    """
    _expect(
        "cache_backend",
        cache_backend,
        CacheBackend | None,
        "a CacheBackend such as MemoryCacheBackend()",
    )
    _expect("cache_namespace", cache_namespace, str | None, "a string")
    _expect("cache_enabled", cache_enabled, bool, "a bool")
    _expect("cache_store_text", cache_store_text, bool, "a bool")
    _expect("cache_scope", cache_scope, str, "'all' or 'speak'")
    if should_cache is not None and not callable(should_cache):
        raise _wrong("should_cache must be callable", should_cache)
    if cache_scope not in get_args(Scope):
        raise ValueError(f"cache_scope must be 'all' or 'speak', not {cache_scope!r}")
    _expect("cache_prices", cache_prices, PriceTable | None, "a PriceTable")
    _expect("cache_ledger", cache_ledger, SavingsLedger | None, "a SavingsLedger")
    _expect("cache_telemetry", cache_telemetry, str, "'on', 'off' or 'namespace'")
    return CacheOptions(
        backend=cache_backend,
        ttl=None if cache_ttl is None else check_seconds("cache_ttl", cache_ttl),
        namespace=cache_namespace or "",
        enabled=cache_enabled,
        key_extra=_checked_extra(cache_key_extra),
        secret=_checked_secret(cache_secret),
        lookup_timeout=check_seconds("cache_lookup_timeout", cache_lookup_timeout),
        store_text=cache_store_text,
        should_cache=should_cache,
        scope=cache_scope,
        prices=cache_prices,
        ledger=cache_ledger,
        telemetry=check_choice("cache_telemetry", cache_telemetry, Telemetry),
    )


def check_spelling(names: Iterable[str], service: type) -> None:
    """Refuse what is nearly the name of an option: most services let pass what they do not know.

    Args:
        names: The arguments that are left for the service.
        service: Its class.

    Raises:
        TypeError: If one of them is no argument of the service, and was meant for the cache.
    """
    options = signature(checked_options).parameters
    for name in names:
        near = get_close_matches(name, options, n=1, cutoff=_NEARLY)
        if near and not any(name in _arguments_of(each) for each in service.__mro__):
            raise TypeError(
                f"{service.__name__} has no argument {name!r}: did you mean {near[0]!r}?"
            )


def _arguments_of(one: type) -> Collection[str]:
    """Name the arguments of a class's own constructor."""
    own = vars(one).get("__init__")
    return () if own is None else signature(own).parameters


def _expect(name: str, value: object, kind: type | UnionType, description: str) -> None:
    if not isinstance(value, kind):
        raise _wrong(f"{name} must be {description}", value)


def _checked_extra(extra: object) -> Written:
    """Take down the canonical form at once, so that it cannot change behind the cache's back."""
    if not isinstance(extra, Mapping | None):
        raise _wrong("cache_key_extra must be a mapping", extra)
    entries = dict(cast("Mapping[object, object]", extra or {}))
    for name in entries:
        if not isinstance(name, str):
            raise _wrong("cache_key_extra must have string keys", name)
    try:
        form = written(entries, "cache_key_extra")
    except UncacheableError as error:
        raise TypeError(str(error)) from error
    for name in _secret_names(entries):
        raise ValueError(
            f"cache_key_extra must not hold {name!r}: what is named like a secret is kept out of "
            f"keys. Give it another name if it is none"
        )
    return form


def _secret_names(value: object) -> Iterator[str]:
    """Find what would be left out of a key, at any depth."""
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[object, object]", value).items():
            if isinstance(name, str) and is_secret_name(name):
                yield name
            yield from _secret_names(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in cast("Iterable[object]", value):
            yield from _secret_names(item)


def _checked_secret(secret: object) -> bytes | None:
    if secret is None:
        return None
    if not isinstance(secret, str | bytes):
        raise _wrong("cache_secret must be a string or bytes", secret)
    if not secret:
        raise ValueError("cache_secret must not be empty")
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret


def _wrong(message: str, value: object) -> TypeError:
    return TypeError(f"{message}, not {type(value).__name__}")
