#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the object store takes for a place, and how it says that something is none."""

import sys
from typing import Any

import pytest
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from pipecat_tts_cache.backends import ObjectStoreCacheBackend
from pipecat_tts_cache.errors import BackendError, MissingExtraError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.object_servers import KEYS, Bucket, bucket, s3_server

__all__ = ["bucket", "s3_server"]

S3 = {**KEYS, "endpoint": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what the environment says of clouds, as tests must not depend on it."""
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "options", "name"),
    [
        ("s3://bucket", S3, "s3://bucket"),
        ("s3://bucket/", S3, "s3://bucket"),
        ("s3://bucket/a/b/", S3, "s3://bucket/a/b"),
        ("s3://bucket/a%20b?region=eu-west-1", {}, "s3://bucket/a b"),
        ("s3://bucket/x?endpoint=http://minio:9000&region=auto", {}, "s3://bucket/x"),
        ("s3://bucket/x?virtual_hosted_style_request=true", S3, "s3://bucket/x"),
        ("s3://bucket", S3 | {"allow_http": True}, "s3://bucket"),
        ("s3://bucket", S3 | {"client_options": {"allow_http": True}}, "s3://bucket"),
        ("s3://bucket", S3 | {"retry_config": {"max_retries": 2}}, "s3://bucket"),
        ("gs://bucket/x", {"skip_signature": True}, "gs://bucket/x"),
        ("gs://bucket/x?base_url=http://127.0.0.1:9", {}, "gs://bucket/x"),
        ("az://container/x?account_name=me", {"account_key": "aHVudGVyMg=="}, "az://container/x"),
        ("az://container/x?use_emulator=true", {}, "az://container/x"),
        ("file:///var/cache/tts", {}, "file:///var/cache/tts"),
        ("file:///var/cache/a%20b", {}, "file:///var/cache/a b"),
        ("memory:///", {}, "memory:///"),
        ("memory://", {}, "memory:///"),
    ],
)
async def test_a_url_is_enough(url: str, options: dict[str, Any], name: str) -> None:
    """A store is made without asking anybody, on the event loop, and says where it is."""
    async with ObjectStoreCacheBackend(url, codec="raw", **options) as store:
        assert f"ObjectStoreCacheBackend({name!r}, codec='raw')" == repr(store)
        assert name == store._server.describe()["server"]


@pytest.mark.parametrize(
    ("store", "name"),
    [
        (S3Store("bucket", prefix="x/y", **KEYS), "s3://bucket/x/y"),
        (GCSStore("bucket", skip_signature=True), "gs://bucket"),
        (AzureStore("box", account_name="me", account_key="aHVudGVyMg=="), "az://box"),
        (LocalStore("/tmp"), "file:///tmp"),
        (MemoryStore(), "memory:///"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_callers_own_store_is_taken(store: Any, name: str) -> None:
    """Whatever of obstore can list and delete is fine, and named without its credentials."""
    assert name in repr(ObjectStoreCacheBackend(store=store))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must be one of s3://"),
        ("bucket/x", "must be one of s3://"),
        ("s3:bucket", "must be one of s3://"),
        ("s3://", "must be one of s3://"),
        ("s3:///x", "must be one of s3://"),
        ("s3://bucket#x", "must be one of s3://"),
        ("s3://localhost:9000/bucket", "must be one of s3://"),
        ("https://hunter2.s3.amazonaws.com", "must be one of s3://"),
        ("ftp://hunter2/x", "must be one of s3://"),
        ("file://host/x", "must be one of s3://"),
        ("memory://x", "must be one of s3://"),
        ("s3://[hunter2/", "this is no URL"),
        ("s3://bucket:hunter2/", "this is no URL"),
        ("file:///", "all of the disk"),
        ("s3://key:hunter2@bucket/x", "credentials do not belong into the URL"),
        ("s3://bucket?secret_access_key=hunter2", "What is secret belongs into the environment"),
        ("s3://bucket?session_token=hunter2", "What is secret belongs into the environment"),
        ("az://box?sas_key=hunter2", "What is secret belongs into the environment"),
        ("s3://bucket?nonsense=hunter2", "takes .*endpoint, region.* as options, nothing else"),
        ("memory:///?x=hunter2", "takes nothing as options"),
        ("s3://bucket?region", "must be name=value"),
        ("s3://bucket?skip_signature=hunter2", "unknown or wrong, here .skip_signature."),
        ("s3://bucket/a//b", "does not take this"),
        ("az://box/x", "AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, words: str) -> None:
    """What is wrong is said, without anything of what was passed."""
    with pytest.raises(ValueError, match=words) as raised:
        ObjectStoreCacheBackend(url)
    assert "hunter2" not in f"{raised.value} {raised.value.__cause__}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "pass either url or store"),
        ({"url": "memory:///", "store": MemoryStore()}, "pass either url or store"),
        ({"url": "memory:///", "nonsense": 1}, "takes no options: nonsense"),
        ({"url": "file:///x", "region": "x"}, "takes no options: region"),
        ({"store": MemoryStore(), "region": "x"}, "has its options: region"),
        ({"store": LocalStore()}, "all of the disk"),
        ({"url": "s3://b", "nonsense": "hunter2"}, "unknown or wrong, here .nonsense."),
        ({"url": "s3://b", "client_options": {"hunter2": 1}}, "here .client_options."),
        ({"url": "gs://b", "service_account_key": "{hunter2"}, "here .service_account_key."),
        ({"url": "memory:///", "codec": "mp3"}, "codec must be 'raw', 'flac' or 'opus'"),
        ({"url": "memory:///", "timeout": 0}, "timeout must be above 0 seconds"),
        ({"url": "memory:///", "write_timeout": -1}, "write_timeout must be above 0 seconds"),
        ({"url": "memory:///", "max_connections": 0}, "max_connections must be above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], words: str) -> None:
    """An option that is unknown or wrong is refused at once, and no value of it is quoted."""
    with pytest.raises(ValueError, match=words) as raised:
        ObjectStoreCacheBackend(**arguments)
    assert "hunter2" not in f"{raised.value} {raised.value.__cause__}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": 5}, "url must be a str, not int"),
        ({"store": "s3://bucket"}, "store must be one of obstore's S3Store, .*, not str"),
        ({"store": HTTPStore.from_url("https://example.com")}, "not HTTPStore"),
        ({"url": "memory:///", "cache_control": 5}, "cache_control must be a str, not int"),
        ({"url": "memory:///", "timeout": "1"}, "timeout must be a number of seconds"),
        ({"url": "memory:///", "max_connections": 1.5}, "max_connections must be an int"),
        ({"url": "memory:///", "breaker": 5}, "breaker must be a CircuitBreaker, not int"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments: dict[str, Any], words: str) -> None:
    """What is no URL, no store or no number says so."""
    with pytest.raises(TypeError, match=words):
        ObjectStoreCacheBackend(**arguments)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class can be imported without obstore, and only making a store fails."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingExtraError, match=r"pipecat-tts-cache\[object-store\]"):
        ObjectStoreCacheBackend("memory:///")


async def test_credentials_come_from_the_environment(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL needs no secret; what is in the environment is used."""
    for name, value in KEYS.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    async with ObjectStoreCacheBackend(bucket.url(), timeout=20, write_timeout=20) as store:
        await store.set(make_key(), make_utterance())
        assert await store.get(make_key()) == make_utterance()


async def test_a_bucket_of_a_url_is_reached_by_its_name_and_prefix(bucket: Bucket) -> None:
    """What a URL calls bucket and prefix is where the objects are."""
    options: dict[str, Any] = {"timeout": 20, "write_timeout": 20, **KEYS}
    async with ObjectStoreCacheBackend(bucket.url("a%20b/c"), **options) as store:
        await store.set(make_key(), make_utterance())
    found = [each["path"] for page in bucket.client(prefix=None).list() for each in page]
    assert [f"a b/c/!!/{make_key().digest}.speech"] == found


async def test_no_secret_is_in_what_a_store_says() -> None:
    """Neither its repr nor its statistics nor an error hold a key."""
    store = ObjectStoreCacheBackend("s3://bucket/x", **S3)
    with pytest.raises(BackendError) as raised:
        await store.get(make_key())
    said = f"{store!r} {await store.get_stats()} {raised.value} {raised.value.__cause__!r}"
    assert "hunter2" not in said.lower()
