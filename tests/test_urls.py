#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Stores by their URLs: what each part means, and what is said of one that makes no sense."""

import inspect
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipecat_tts_cache
from pipecat_tts_cache import backends
from pipecat_tts_cache.backends import (
    CacheBackend,
    CacheLevel,
    DiskCacheBackend,
    MemoryCacheBackend,
    ObjectStoreCacheBackend,
    PostgresCacheBackend,
    RedisCacheBackend,
    TieredCacheBackend,
    open_backend,
    urls,
)
from pipecat_tts_cache.backends.tiered.level import FRONT_TTL
from pipecat_tts_cache.backends.url_options import options_of
from pipecat_tts_cache.errors import MissingExtraError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.servers import Server, server, shared_server

__all__ = ["server", "shared_server"]

CLASSES = [
    MemoryCacheBackend,
    DiskCacheBackend,
    RedisCacheBackend,
    PostgresCacheBackend,
    ObjectStoreCacheBackend,
    TieredCacheBackend,
]
USER, SECRET = "Xyzzyuser", "Plughpassword"


class Made:
    """Stands for the classes of stores, and takes note of how they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for kind in CLASSES:
            monkeypatch.setattr(backends, kind.__name__, self._noting(kind), raising=False)

    def _noting(self, kind: type[CacheBackend]) -> type[CacheBackend]:
        def make(*args: Any, **options: Any) -> CacheBackend:
            self.calls.append((kind.__name__, args, options))
            return MemoryCacheBackend()

        make.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
        return make  # type: ignore[return-value]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


# What a URL means


@pytest.mark.parametrize(
    ("url", "name", "args", "options"),
    [
        ("memory://", "Memory", (), {}),
        ("memory:", "Memory", (), {}),
        ("  MEMORY:// \n", "Memory", (), {}),
        (
            "memory://?max_size=7&max_bytes=1.5MB&eviction=lru",
            "Memory",
            (),
            {"max_size": 7, "max_bytes": 1_500_000, "eviction": "lru"},
        ),
        ("disk:///var/cache/tts", "Disk", ("/var/cache/tts",), {}),
        ("disk:/var/cache/tts", "Disk", ("/var/cache/tts",), {}),
        ("disk:cache/tts", "Disk", ("cache/tts",), {}),
        ("disk:///with%20space/%3F%2C", "Disk", ("/with space/?,",), {}),
        ("disk:///C:/cache/tts", "Disk", ("C:/cache/tts",), {}),
        ("disk:C:\\cache\\tts", "Disk", ("C:\\cache\\tts",), {}),
        ("disk:~/tts", "Disk", (str(Path("~/tts").expanduser()),), {}),
        (
            "disk:///x?max_bytes=2GiB&codec=raw&timeout=250ms",
            "Disk",
            ("/x",),
            {"max_bytes": 2 * 1024**3, "codec": "raw", "timeout": 0.25},
        ),
        ("redis://", "Redis", ("redis://",), {}),
        (
            "redis://u:p%40@h:1/2?key_prefix=a%26b:&health_check_interval=3&watch=on&client_name=x+y",
            "Redis",
            ("redis://u:p%40@h:1/2?health_check_interval=3&client_name=x+y",),
            {"key_prefix": "a&b:", "watch": True},
        ),
        ("rediss://h?sliding_ttl=30d", "Redis", ("rediss://h",), {"sliding_ttl": 2_592_000.0}),
        ("rediss://h?sliding_ttl=", "Redis", ("rediss://h",), {"sliding_ttl": None}),
        ("unix:///run/redis.sock?db=3", "Redis", ("unix:///run/redis.sock?db=3",), {}),
        (
            "redis://near?replica=redis://near2",
            "Redis",
            ("redis://near",),
            {"replica": "redis://near2"},
        ),
        ("postgresql://u:p@h/d", "Postgres", ("postgresql://u:p@h/d",), {}),
        (
            "postgres://h,i:5433/d?sslmode=require&application_name=bot&table=speech",
            "Postgres",
            ("postgres://h,i:5433/d?sslmode=require&application_name=bot",),
            {"table": "speech"},
        ),
        (
            "s3://bucket/a/b?endpoint=http://minio:9000&codec=opus&max_connections=4",
            "ObjectStore",
            ("s3://bucket/a/b?endpoint=http://minio:9000",),
            {"codec": "opus", "max_connections": 4},
        ),
        ("gs://bucket", "ObjectStore", ("gs://bucket",), {}),
        ("az://box?account_name=me", "ObjectStore", ("az://box?account_name=me",), {}),
        (
            "file:///srv/tts?cache_control=",
            "ObjectStore",
            ("file:///srv/tts",),
            {"cache_control": None},
        ),
    ],
)
def test_a_url_is_a_call_of_a_constructor(
    made: Made, url: str, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Our own options become arguments, and what is left is the client's URL to the letter."""
    open_backend(url)
    assert [(f"{name}CacheBackend", args, options)] == made.calls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("1", 1), ("1000B", 1000), ("2kb", 2000), ("1 KiB", 1024), ("3MB", 3_000_000)],
        *[("0.5MiB", 524_288), ("2GB", 2 * 10**9), ("1GiB", 2**30), ("1TB", 10**12)],
    ],
)
def test_bytes_have_units(made: Made, text: str, expected: int) -> None:
    """Decimal units are decimal, binary ones binary."""
    open_backend(f"memory://?max_bytes={text}")
    assert expected == made.calls[0][2]["max_bytes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("1", 1.0), ("0.25", 0.25), ("250ms", 0.25), ("2s", 2.0), ("1.5m", 90.0)],
        *[("12h", 43_200.0), ("30d", 2_592_000.0), ("1H", 3600.0)],
    ],
)
def test_times_have_units(made: Made, text: str, expected: float) -> None:
    """Without a unit, a time is in seconds."""
    open_backend(f"redis://?timeout={text}")
    assert expected == made.calls[0][2]["timeout"]


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1", "false", "no", "OFF", "0"])
def test_switches_are_words(made: Made, text: str) -> None:
    """Every usual word for on and off is known."""
    open_backend(f"redis://?watch={text}")
    assert (text.lower() in ("true", "yes", "on", "1")) is made.calls[0][2]["watch"]


def test_every_option_can_be_written(made: Made) -> None:
    """Whatever a constructor takes is an option, but what no text can stand for."""
    objects = {
        *("breaker", "client", "clock", "levels", "options", "pool", "store", "wall_clock"),
        *("close_levels", "dsn", "path", "redis_url", "url"),
    }
    for kind in CLASSES:
        parameters = inspect.signature(kind).parameters
        assert parameters.keys() - objects == options_of(kind).keys() - objects
    assert {"ttl", "timeout", "write_timeout"} == options_of(CacheLevel).keys()


async def test_stores_are_really_opened(tmp_path: Path, server: Server) -> None:
    """What was named by a URL keeps speech."""
    urls = ["memory://?max_bytes=1MB", f"disk://{tmp_path}/disk", f"file://{tmp_path}/files"]
    urls += [f"{server.url}?timeout=5s&write_timeout=5s&key_prefix=x:&socket_keepalive=1"]
    urls += [f"tiered:{urls[0]},{urls[1]}2?timeout=5s,{urls[3]}"]
    for url in urls:
        async with open_backend(url) as backend:
            assert await backend.set(make_key(), make_utterance())
            assert make_utterance() == await backend.get(make_key())
            assert 1 == await backend.clear()


# Levels


def limits(store: CacheBackend) -> list[tuple[float | None, float | None, float | None]]:
    assert isinstance(store, TieredCacheBackend)
    return [
        (level.ttl, level._level.timeout, level._level.write_timeout) for level in store._levels
    ]


def test_levels_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels are parted by commas, and each has its own options and limits."""
    store = open_backend(
        "tiered:memory://?ttl=60&max_size=5&timeout=10ms,disk:cache/a,b?timeout=1s,"
        "postgres://h,i/d?ttl=12h&write_timeout=9,redis://localhost:6379/0"
    )
    assert limits(store) == [
        (60.0, 0.01, None),
        (FRONT_TTL, 1.0, None),
        (43_200.0, None, 9.0),
        (None, None, None),
    ]
    assert isinstance(store, TieredCacheBackend)
    memory, disk, postgres, redis = (level.backend for level in store._levels)
    assert "MemoryCacheBackend(5, max_bytes=268435456)" == repr(memory)
    assert isinstance(disk, DiskCacheBackend)
    assert repr(str(Path("cache/a,b").absolute())) in repr(disk)
    assert 1.0 == disk._timeout
    assert isinstance(postgres, PostgresCacheBackend)
    assert 9.0 == postgres._write_timeout
    assert isinstance(redis, RedisCacheBackend)


def test_the_whole_has_options_too() -> None:
    """What stands before the first level is for all of them."""
    store = open_backend("tiered:?timeout=2s&max_copies=3,memory://,disk:a")
    assert isinstance(store, TieredCacheBackend)
    assert (2.0, 3) == (store._timeout, store._copies._most)
    assert [(FRONT_TTL, None, None), (None, None, None)] == limits(store)


def test_a_level_may_keep_what_it_has_for_ever() -> None:
    """Nothing behind ttl= means that the level does not forget by itself."""
    assert [(None, None, None)] * 2 == limits(open_backend("tiered:memory://?ttl=,disk:a"))


# What makes no sense


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "a store's URL is memory://, disk:///folder"),
        ("memory", "a store's URL is memory://"),
        ("/var/cache/tts", "a store's URL is memory://"),
        ("C:\\cache", "a store's URL is memory://"),
        ("reddis://localhost", "there is no store reddis: did you mean redis?"),
        ("http://localhost", "there is no store http; a URL is memory://"),
        ("memory://here", "memory: memory is nowhere"),
        ("memory://?max_sise=1", "memory: there is no option 'max_sise': did you mean 'max_size'?"),
        ("memory://?bound=1", "no option 'bound'; there are eviction, max_bytes, max_size"),
        ("memory://?clock=1", "there is no option 'clock'"),
        ("memory://?max_size", "memory: options must be name=value"),
        ("memory://?max_size=1&max_size=2", "memory: max_size is there twice"),
        ("memory://?max_size=", "memory: max_size must be a whole number, not ''"),
        ("memory://?max_size=1.5", "max_size must be a whole number, not '1.5'"),
        ("memory://?max_size=1MB", "max_size must be a whole number, not '1MB'"),
        ("memory://?max_size=-1", "max_size must be a whole number, not '-1'"),
        ("memory://?max_size=0", "memory: max_size must be above 0, not 0"),
        ("memory://?max_bytes=1X", "max_bytes must be a number of bytes, as 500MB or 2GiB"),
        ("memory://?max_bytes=many", "max_bytes must be a number of bytes"),
        (f"memory://?max_bytes={'9' * 400}", "max_bytes must be a number of bytes"),
        ("memory://?eviction=fifo", "eviction must be 'gdsf' or 'lru', not 'fifo'"),
        ("memory://?eviction=", "eviction must be 'gdsf' or 'lru', not ''"),
        ("disk:", "disk: there is no folder"),
        ("disk://", "disk: there is no folder"),
        ("disk://cache/tts", "disk: write disk:///var/cache/tts, or disk:cache/tts"),
        ("disk:///x?timeout=1w", "timeout must be a time, as 0.5, 250ms, 90s, 15m, 12h or 30d"),
        ("disk:///x?timeout=", "timeout must be a time"),
        ("disk:///x?timeout=0", "disk: timeout must be above 0 seconds"),
        ("disk:///x?codec=mp3", "disk: codec must be 'raw' or 'flac' or 'opus', not 'mp3'"),
        ("redis://h?key_prefx=x", "redis: there is no option 'key_prefx': did you mean 'key_pre"),
        ("redis://h?nonsense=x", "redis: there is no option 'nonsense'; there are codec, key_pre"),
        ("redis://h?watch=maybe", "redis: watch must be true or false, not 'maybe'"),
        ("redis://h?db=x", "redis: redis_url cannot be read"),
        ("postgresql://h/d?tiemout=1", "postgresql: there is no option 'tiemout': did you mean"),
        ("s3://bucket?codecs=raw", "s3: there is no option 'codecs': did you mean 'codec'?"),
        ("s3://bucket?nonsense=1", "s3: a s3:// URL takes"),
        ("tiered:", "tiered: levels must name a store at least"),
        ("tiered:?timeout=1", "tiered: levels must name a store at least"),
        ("tiered:?tiemout=1,memory://", "tiered: there is no option 'tiemout'"),
        ("tiered:?close_levels=no,memory://", "tiered: there is no option 'close_levels'"),
        ("tiered:memory://,tiered:memory://", "tiered: the levels stand side by side"),
        ("tiered:memory://,reddis://x", "there is no store reddis: did you mean redis?"),
        ("tiered:memory://?ttl=0", "memory: ttl must be above 0 seconds"),
        ("tiered:memory://?ttl=x", "memory: ttl must be a time"),
        ("memory://?ttl=60", "there is no option 'ttl'"),
    ],
)
def test_nonsense_is_named(url: str, message: str) -> None:
    """What is wrong is said at once, with what was meant, if that can be guessed."""
    with pytest.raises(ValueError) as raised:
        open_backend(url)
    assert message in str(raised.value)


@pytest.mark.parametrize("url", [None, b"memory://", Path("/var"), 6379])
def test_only_text_is_a_url(url: Any) -> None:
    """Anything else is said to be none."""
    with pytest.raises(TypeError, match=f"must be a str, not {type(url).__name__}"):
        open_backend(url)


@pytest.mark.parametrize("around", ["{}", "tiered:memory://,{}", "tiered:{},memory://?max=1"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "postgresql", "postgres", "s3", "disk"])
@pytest.mark.parametrize(
    "rest",
    [
        "//{user}:{secret}@h:port/0",
        "//{user}:{secret}@h/0?nonsense=1&timeout=x",
        "//{user}:{secret}@h/0?codec=x",
        "//{user}:{secret}/x@h/0?codec=x",
        "//{user}:{secret}?x@h/0",
        "//{user}:{secret}?{secret}=x@h/0",
        "//{user}:x?{secret}&{secret}@h/0",
        "//{user}:{secret}#x@h/0",
        "//{user}:{secret}@[h/0",
        "//{user}:{secret},x:{secret}@h/x?timeout=x",
        "{user}:{secret}@h/0?timeout=x",
        ":{user}:{secret}@h?timeout=x",
    ],
)
def test_nobody_hears_the_password(around: str, scheme: str, rest: str) -> None:
    """Neither user nor password is in a message, nor in what the error was caused by."""
    url = around.format(f"{scheme}:{rest.format(user=USER, secret=SECRET)}")
    with pytest.raises(ValueError) as raised:
        open_backend(url)
    told = "".join(traceback.format_exception_only(raised.value)) + str(raised.value.__cause__)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert USER not in told
    assert SECRET not in told


@pytest.mark.parametrize("url", [f"{USER}:{SECRET}@h:6379/0", f"{SECRET}://{USER}@h", SECRET])
def test_nobody_hears_what_is_no_url(url: str) -> None:
    """What may be a user's name in front of a colon is not repeated."""
    with pytest.raises(ValueError) as raised:
        open_backend(url)
    assert USER not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("redis://localhost", "redis", "redis"),
        ("redis://localhost?health_check_interval=3", "redis", "redis"),
        ("tiered:memory://,redis://localhost", "redis", "redis"),
        ("postgresql://localhost/d", "asyncpg", "postgres"),
        ("s3://bucket", "obstore", "object-store"),
    ],
)
def test_a_missing_extra_is_said(
    monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str
) -> None:
    """Without what a store needs, its URL says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    urls._options_of_redis.cache_clear()
    with pytest.raises(MissingExtraError, match=rf"pip install 'pipecat-tts-cache\[{extra}\]'"):
        open_backend(url)


def test_every_scheme_is_documented() -> None:
    """The page on URLs shows each one, and for each where to read on."""
    page = (Path(__file__).parent.parent / "docs" / "store-urls.md").read_text(encoding="utf-8")
    for scheme, store in urls._STORES.items():
        assert re.search(rf"`{scheme}:.*\| \[`{store}`\]\(", page), scheme


def test_it_is_public() -> None:
    """It is imported from the top."""
    assert open_backend is pipecat_tts_cache.open_backend


@given(
    scheme=st.sampled_from([*urls._STORES, "tiered:memory", "tiered:?timeout=1,memory"]),
    rest=st.text(st.sampled_from("/:?&=@,%[]#+. \\\0é\ud800ab1"), max_size=30),
    user=st.booleans(),
)
def test_whatever_it_is_it_is_a_store_or_refused(scheme: str, rest: str, user: bool) -> None:
    """No text makes anything but a store, or an error that says so and repeats no password."""
    said = ""
    try:
        open_backend(f"{scheme}:{f'//{USER}:{SECRET}' if user else ''}{rest}")
    except ValueError as error:
        said = str(error)
    assert USER not in said
    assert SECRET not in said
