#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What docs/store-object.md says holds: its snippets on a real server, its rule, its tables."""

import json
import re
from typing import Any, get_args

import pytest

from pipecat_tts_cache.backends import ObjectStoreCacheBackend
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests import test_docs as docs
from tests.object_servers import KEYS, Bucket, bucket, s3_server

__all__ = ["bucket", "s3_server"]

PAGE = docs.OBJECT_PAGE


async def test_the_snippets_run(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every snippet runs, and the one that reads without this library finds all there is."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for name, value in KEYS.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    url = f"s3://{bucket.name}/speech"
    for codec in get_args(Codec):
        store = ObjectStoreCacheBackend(url, codec=codec, timeout=20, write_timeout=20)
        assert await store.set(make_key(codec, "user/1"), make_utterance(num_bytes=48_000))
    names: dict[str, Any] = {"__name__": "snippet"}
    for line, code in docs.RUNNABLE[PAGE]:
        await docs.run(code.replace("my-bucket", bucket.name), PAGE, line, names)
    assert ["user/1 Sentence 0. None 1.0"] * 3 == capsys.readouterr().out.splitlines()


async def test_arguments_and_statistics_are_listed() -> None:
    """The arguments of the store and the fields of its statistics are those there are."""
    listed = {name: cells[0].strip("`") for name, cells in docs.table(PAGE, "Arguments").items()}
    there = docs.defaults(ObjectStoreCacheBackend.__init__)
    clocks = {"clock": "time.monotonic", "wall_clock": "time.time"}
    assert there | clocks == listed
    async with ObjectStoreCacheBackend("memory:///") as backend:
        assert list(await backend.get_stats()) == list(docs.table(PAGE, "Statistics"))


def test_every_place_is_taken() -> None:
    """The URLs of the table are such as a store takes."""
    places = docs.table(PAGE, "Where it is")
    urls = [name for name in places if "://" in name]
    assert 8 == len(urls)
    for url in urls:
        options = {"skip_signature": True} if url.startswith("gs:") else {}
        assert url.partition("?")[0] in repr(ObjectStoreCacheBackend(url, **options))


def test_the_lifecycle_rule_is_one() -> None:
    """The rule is JSON, and about the prefix that the page uses."""
    (code,) = (code for _, code in docs.snippets(PAGE, "json"))
    (rule,) = json.loads(code)["Rules"]
    assert ("Enabled", {"Prefix": "speech/"}) == (rule["Status"], rule["Filter"])
    days = re.search(r"more than (\d+) days ago", docs.words_of_page(PAGE))
    assert days is not None
    assert int(days[1]) == rule["Expiration"]["Days"]
