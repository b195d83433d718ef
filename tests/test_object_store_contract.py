#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The object store keeps the contract, on a folder, on S3 and in memory."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from pipecat_tts_cache.backends import CacheBackend, ObjectStoreCacheBackend
from pipecat_tts_cache.testing import StoreContract
from pipecat_tts_cache.testing.store_contract import make_utterance
from tests.object_servers import KEYS, Bucket, bucket, s3_server

__all__ = ["bucket", "s3_server"]

PATIENT = {"timeout": 20, "write_timeout": 20}
OVERSIZE = replace(make_utterance(), text="x" * 1_100_000)


class TestObjectStoreFolder(StoreContract):
    oversize = OVERSIZE

    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[CacheBackend]:
        async with ObjectStoreCacheBackend(f"{tmp_path.as_uri()}/speech", **PATIENT) as backend:
            yield backend


class TestObjectStoreS3(StoreContract):
    short_ttl = 1.0  # a request takes some milliseconds, and the machine may be busy
    oversize = OVERSIZE

    @pytest.fixture
    async def backend(self, bucket: Bucket) -> AsyncIterator[CacheBackend]:
        async with ObjectStoreCacheBackend(bucket.url(), **PATIENT, **KEYS) as backend:
            yield backend


class TestObjectStoreMemory(StoreContract):
    oversize = OVERSIZE

    @pytest.fixture
    async def backend(self) -> AsyncIterator[CacheBackend]:
        async with ObjectStoreCacheBackend(store=MemoryStore(), codec="raw", **PATIENT) as backend:
            yield backend
