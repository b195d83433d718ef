#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The Redis store on servers as they are deployed: users, TLS, sockets, Sentinel, Cluster."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from pipecat_tts_cache.backends import RedisCacheBackend
from pipecat_tts_cache.errors import BackendError
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.servers import (
    Server,
    cluster_ports,
    free_port,
    lets_redis_introduce_itself,
    need,
    running,
    wait_for,
)

__all__ = ["cluster_ports", "lets_redis_introduce_itself"]

PASSWORD = "p@ss/w:rd#1%"
QUOTED = "p%40ss%2Fw%3Ard%231%25"

pytestmark = pytest.mark.usefixtures("lets_redis_introduce_itself")


async def keeps_speech(store: RedisCacheBackend) -> None:
    """Use every method once."""
    async with store:
        assert await store.set(make_key("x", "n"), make_utterance(1), ttl=60)
        assert await store.set(make_key("y", "n"), make_utterance(2))
        assert await store.get(make_key("x", "n")) == make_utterance(1)
        assert await store.exists(make_key("y", "n"))
        assert 2 == len([entry async for entry in store.entries()])
        assert await store.delete(make_key("y", "n"))
        stats = await store.get_stats()
        assert (1, True, 0) == (stats["entries"], stats["available"], stats["errors"])
        assert 1 == await store.clear("n")
        assert 0 == await store.clear()


# Users and passwords


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password, and a user who may do what the store needs and no more."""
    commands = (
        "multi exec eval get set exists unlink pttl getrange zadd zrem zrange zscan zrangebyscore "
        "zrandmember zcount zcard"
    )
    rules = f"on >{PASSWORD} ~pipecat:tts:* resetchannels -@all"
    allowed = " ".join(f"+{command}" for command in commands.split())
    directory = tmp_path_factory.mktemp("guarded")
    acl = directory / "users.acl"
    acl.write_text(f"user default on >{PASSWORD} ~* &* +@all\nuser bot {rules} {allowed}\n")
    server = Server("redis-server", directory, "--aclfile", str(acl))
    with running(server):
        yield server


@pytest.mark.parametrize("who", ["", "default", "bot"])
async def test_password_and_user(guarded: Server, who: str) -> None:
    """User and password go in the URL, and the user needs a dozen commands, no channel."""
    url = f"redis://{who}:{QUOTED}@127.0.0.1:{guarded.port}/0"
    await keeps_speech(RedisCacheBackend(url, timeout=5, write_timeout=5))


@pytest.mark.parametrize("who", ["", ":wrong-Xyzzy@", "nobody:wrong-Xyzzy@"])
async def test_a_wrong_password_is_an_error(guarded: Server, who: str) -> None:
    """Who is not let in is told so, without the password."""
    async with RedisCacheBackend(f"redis://{who}127.0.0.1:{guarded.port}/0") as store:
        with pytest.raises(BackendError, match=r"Authentication|invalid|WRONGPASS") as raised:
            await store.get(make_key())
        assert "Xyzzy" not in f"{raised.value} {raised.value.__cause__}"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate for loopback, signed by itself."""
    directory = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    command = [need("openssl"), "req", "-x509", *curve, *names, "-days", "2", *files]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def tls_server(certificate: Path) -> Iterator[Server]:
    """A server that speaks TLS only."""
    build = subprocess.run(
        [need("redis-server"), "--tls-port", "0", "-"],
        input=b"bad option",
        capture_output=True,
        check=False,
    )
    if b"tls-port" in build.stdout + build.stderr:
        pytest.skip("this redis-server is built without TLS")
    port = free_port()
    options = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    files = [
        "--tls-cert-file",
        str(certificate / "certificate.pem"),
        "--tls-key-file",
        str(certificate / "key.pem"),
    ]
    server = Server("redis-server", certificate, *options, *files, port=port)
    with running(server):
        yield server


async def test_tls(tls_server: Server, certificate: Path) -> None:
    """With rediss:// and the authority's certificate the store speaks TLS."""
    url = f"rediss://127.0.0.1:{tls_server.port}/0?ssl_ca_certs={certificate / 'certificate.pem'}"
    store = RedisCacheBackend(url, timeout=5, write_timeout=5)
    assert f"RedisCacheBackend('rediss://127.0.0.1:{tls_server.port}/0'" in repr(store)
    await keeps_speech(store)


async def test_tls_is_checked(tls_server: Server) -> None:
    """A certificate that nobody vouches for is an error, not a connection."""
    async with RedisCacheBackend(f"rediss://127.0.0.1:{tls_server.port}/0", timeout=5) as store:
        with pytest.raises(BackendError, match="CERTIFICATE_VERIFY_FAILED"):
            await store.get(make_key())


# A socket in the file system


@pytest.fixture
def socket_path(tmp_path: Path) -> Iterator[Path]:
    """Where a server listens."""
    path = tmp_path / "redis.sock"
    with running(Server("redis-server", tmp_path, "--unixsocket", str(path))):
        yield path


async def test_unix_socket(socket_path: Path) -> None:
    """With unix:// the store connects to a path, and takes the database from the query."""
    store = RedisCacheBackend(f"unix://{socket_path}?db=3", timeout=5, write_timeout=5)
    await keeps_speech(store)


# Sentinel


class Replicated:
    """A primary, a replica and a Sentinel that watches them."""

    def __init__(self, directory: Path) -> None:
        self.primary = Server("redis-server", directory, "--repl-diskless-sync-delay", "0")
        following = ("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replica = Server("redis-server", directory, *following)
        config = directory / "sentinel.conf"
        config.write_text(
            f"sentinel monitor speech 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds speech 200\n"
            "sentinel failover-timeout speech 1000\n"
        )
        self.sentinel = Server("redis-server", directory, str(config), "--sentinel")

    def is_ready(self) -> bool:
        with self.sentinel.client(decode_responses=True) as client:
            return client.sentinel_master("speech")["num-slaves"] == 1

    def is_in_step(self) -> bool:
        with self.replica.client() as client:
            return client.info("replication")["master_link_status"] == "up"

    def has_failed_over(self) -> bool:
        with self.sentinel.client(decode_responses=True) as client:
            return client.sentinel_master("speech")["port"] == self.replica.port


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    servers = Replicated(tmp_path)
    with running(servers.primary, servers.replica):
        wait_for(servers.is_in_step, "the replica")
        with running(servers.sentinel):
            wait_for(servers.is_ready, "Sentinel")
            yield servers


async def test_sentinel(replicated: Replicated) -> None:
    """A store on a Sentinel's client follows the primary when it moves."""
    sentinel = redis.asyncio.Sentinel([("127.0.0.1", replicated.sentinel.port)])
    client = sentinel.master_for("speech")
    store = RedisCacheBackend(client=client, timeout=5, write_timeout=5)
    assert "Redis Sentinel's speech" in repr(store)
    await store.set(make_key(), make_utterance())
    await replicated.primary.ask("WAIT", "1", "5000")
    await asyncio.to_thread(replicated.primary.stop)
    with pytest.raises(BackendError):
        await store.get(make_key())
    await asyncio.to_thread(wait_for, replicated.has_failed_over, "the failover")
    assert await found_again(store)
    await client.aclose()
    for each in sentinel.sentinels:
        await each.aclose()


async def found_again(store: RedisCacheBackend) -> bool:
    """Ask until the store has found the new primary."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await store.get(make_key()) == make_utterance()
            except BackendError:
                await asyncio.sleep(0.05)


# Cluster


@pytest.fixture
async def cluster(cluster_ports: list[int]) -> AsyncIterator[redis.asyncio.RedisCluster]:
    nodes = [ClusterNode("127.0.0.1", port) for port in cluster_ports]
    async with redis.asyncio.RedisCluster(startup_nodes=nodes) as client:
        await client.flushall()
        yield client


async def test_cluster(cluster: redis.asyncio.RedisCluster) -> None:
    """All methods work across the nodes of a cluster."""
    store = RedisCacheBackend(client=cluster, timeout=5, write_timeout=5)
    assert "RedisCacheBackend('Redis Cluster'" in repr(store)
    await keeps_speech(store)


async def test_a_cluster_shares_the_load(cluster: redis.asyncio.RedisCluster) -> None:
    """The entries of one namespace lie on all nodes, and clear finds them there."""
    store = RedisCacheBackend(client=cluster, timeout=5, write_timeout=5)
    for i in range(60):
        await store.set(make_key(str(i)), make_utterance(num_bytes=2))
    sizes = await cluster.dbsize(target_nodes=redis.asyncio.RedisCluster.PRIMARIES)
    assert 62 == sizes
    per_node = [await node.execute_command("DBSIZE") for node in cluster.get_primaries()]
    assert all(size > 5 for size in per_node)
    assert 60 == await store.clear()
    assert 0 == await cluster.dbsize(target_nodes=redis.asyncio.RedisCluster.PRIMARIES)


async def test_a_cluster_whose_user_may_not_publish(
    cluster_ports: list[int], cluster: redis.asyncio.RedisCluster
) -> None:
    """What cannot be told to others is stored and removed all the same, and counted."""
    for port in cluster_ports:
        async with redis.asyncio.Redis(port=port) as node:
            rules = ["on", ">x", "~*", "resetchannels", "+@all", "-publish"]
            await node.execute_command("ACL", "SETUSER", "quiet", *rules)
    async with redis.asyncio.RedisCluster(
        host="127.0.0.1", port=cluster_ports[0], username="quiet", password="x"
    ) as client:
        store = RedisCacheBackend(client=client, timeout=5, write_timeout=5)
        await keeps_speech(store)
        assert 6 == (await store.get_stats())["not_announced"]
