"""A real Valkey accepts our configuration and ACL file, and each identity can do its work and nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import valkey
from valkey import exceptions

from reconciler.apply import passwords
from reconciler.credentials.identities import (
    BACKUP,
    CONSUMER,
    EXPORTER,
    IDENTITIES,
    OPERATOR,
    PROBE,
    REPLICATION,
    Identity,
)
from reconciler.credentials.login import Login
from reconciler.valkey import users
from shared.errors import StoreRefused, StoreUnreachable
from shared.session_storage.sizes import PRESETS, Size
from tests.integration.instances import ADMIN, NOBODY, PASSWORDS, connect, running


@pytest.fixture(name="instance", scope="module")
def instance_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("valkey"), Size.SMALL) as address:
        yield address


@pytest.fixture(name="admin")
def admin_fixture(instance: str) -> Iterator[valkey.Valkey]:
    with connect(ADMIN, instance) as client:
        yield client


def may(admin: valkey.Valkey, identity: Identity, command: str) -> bool:
    execute: Callable[..., bytes] = admin.execute_command  # carries no annotations
    answer = execute("ACL", "DRYRUN", identity.user, *command.split())
    if answer == b"OK":
        return True
    assert b"no permissions" in answer
    return False


SESSIONS = """
HELLO 3
AUTH x
SELECT 0
PING
CLIENT SETINFO LIB-NAME go-redis
GET k
GETEX k EX 60
SET k v NX EX 60
SET k v XX EX 60
SET k v KEEPTTL
DEL k
EXISTS k
EXPIRE k 60
PEXPIRE k 60
TTL k
EVAL return 1 k
EVALSHA 0123456789012345678901234567890123456789 1 k
SCRIPT LOAD x
SCRIPT EXISTS x
"""
RATE_LIMITS = """
TIME
HMGET k f
HSET k f v
HSETNX k f v
HGETALL k
"""
AUTH_SERVER = """
MULTI
EXEC
DISCARD
WATCH k
UNWATCH
ZADD k 1 m
ZCARD k
ZCOUNT k 0 1
ZRANGE k 0 1
ZREM k m
ZREMRANGEBYSCORE k 0 1
TYPE k
SCAN 0
SADD k m
SREM k m
SMEMBERS k
INFO
"""
DENIED = """
FLUSHALL
FLUSHDB
KEYS *
CONFIG GET maxmemory
CONFIG SET maxmemory 0
ACL LIST
ACL WHOAMI
ACL SETUSER x
DEBUG SLEEP 0
SHUTDOWN
REPLICAOF no one
SLAVEOF no one
FAILOVER
SCRIPT FLUSH
SCRIPT KILL
FUNCTION KILL
FUNCTION LOAD x
FUNCTION FLUSH
CLIENT KILL ID 1
CLIENT LIST
CLIENT PAUSE 1
MONITOR
SAVE
BGSAVE
BGREWRITEAOF
PSYNC ? -1
SYNC
REPLCONF x y
MODULE LIST
LATENCY RESET
SLOWLOG GET
SWAPDB 0 1
MIGRATE h 1 k 0 1
RESTORE k 0 x
SORT k
CLUSTER INFO
PUBLISH c m
SUBSCRIBE c
PSUBSCRIBE *
SPUBLISH c m
ROLE
LASTSAVE
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("command", lines(SESSIONS + RATE_LIMITS.lstrip() + AUTH_SERVER.lstrip()))
def test_consumers_may_do_all_that_toolhive_does(admin: valkey.Valkey, command: str) -> None:
    assert may(admin, CONSUMER, command)


@pytest.mark.parametrize("command", lines(DENIED))
def test_consumers_may_do_nothing_that_harms_others(admin: valkey.Valkey, command: str) -> None:
    assert not may(admin, CONSUMER, command)


ALLOWED = {
    OPERATOR: [
        "PING",
        "ROLE",
        "INFO",
        "WAIT 0 0",
        "REPLICAOF no one",
        "CONFIG GET maxmemory",
        "CONFIG SET maxmemory 0",
        "ACL SETUSER x",
        "ACL GETUSER x",
        "ACL SAVE",
        "CLIENT ID",
        "CLIENT SETINFO LIB-NAME go-redis",
        "CLIENT LIST",
        "CLIENT KILL ID 1",
        "CLIENT PAUSE 1",
        "CLIENT UNPAUSE",
        "SCRIPT KILL",
        "SHUTDOWN",
        "FUNCTION KILL",
        "MULTI",
        "EXEC",
    ],
    REPLICATION: ["PING", "PSYNC ? -1", "REPLCONF x y"],
    EXPORTER: ["PING", "INFO"],
    PROBE: ["PING", "ROLE"],
    BACKUP: ["PING", "INFO", "SYNC", "PSYNC ? -1", "REPLCONF x y"],
}


@pytest.mark.parametrize("identity", ALLOWED, ids=lambda identity: identity.user)
def test_each_system_identity_may_do_its_work_and_nothing_else(admin: valkey.Valkey, identity: Identity) -> None:
    allowed = ALLOWED[identity]
    tried = {*lines(DENIED), *lines(SESSIONS), *lines(AUTH_SERVER), *(c for cs in ALLOWED.values() for c in cs)}
    # HELLO and AUTH are open to everybody, because clients log in with them.
    assert {command for command in tried if may(admin, identity, command)} - {"HELLO 3", "AUTH x"} == set(allowed)


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.user)
def test_each_identity_logs_in_with_its_own_password_only(instance: str, identity: Identity) -> None:
    with connect(identity, instance) as client:
        assert client.ping()
    for other in IDENTITIES:
        if other is not identity:
            stranger = Identity(identity.user, other.key, "")
            with connect(stranger, instance) as client, pytest.raises(exceptions.AuthenticationError):
                client.ping()


def test_nobody_logs_in_without_a_password(instance: str) -> None:
    with valkey.Valkey(host=instance) as client, pytest.raises(exceptions.AuthenticationError):
        client.ping()


def test_toolhives_scripts_run(instance: str) -> None:
    """Run the sliding session look-up and a token bucket, with the commands that ToolHive's scripts use."""
    touch = "local v = redis.call('GET', KEYS[1]) if v then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return v"
    bucket = (
        "local t = redis.call('TIME') redis.call('HSET', KEYS[1], 'at', t[1])"
        " redis.call('EXPIRE', KEYS[1], 60) return redis.call('HMGET', KEYS[1], 'at')"
    )
    with connect(CONSUMER, instance) as client:
        client.set("session", "here", ex=5)
        assert client.eval(touch, 1, "session", 60_000) == b"here"
        assert client.ttl("session") > 5
        assert client.register_script(touch)(keys=["absent"], args=[1]) is None
        (seen,) = client.eval(bucket, 1, "limit")
        assert abs(int(seen) - time.time()) < 5
        client.delete("session", "limit")


def test_a_script_cannot_do_what_its_caller_may_not(instance: str) -> None:
    with connect(CONSUMER, instance) as client, pytest.raises(exceptions.ResponseError):
        client.eval("return redis.call('FLUSHALL')", 0)


@pytest.mark.parametrize("size", Size)
def test_an_instance_of_each_size_starts_with_its_share_of_memory(tmp_path: Path, instance: str, size: Size) -> None:
    running_already = contextlib.nullcontext(instance)
    with (
        running_already if size is Size.SMALL else running(tmp_path, size) as address,
        connect(ADMIN, address) as client,
    ):
        config = client.config_get("*")
        preset = PRESETS[size]
        assert int(config["maxmemory"]) == preset.memory_mib * 1024 * 1024 * preset.maxmemory_percent // 100
        assert config["maxmemory-policy"] == "allkeys-lru"
        assert (config["appendonly"], config["appendfsync"], config["save"]) == ("yes", "everysec", "")
        assert config["protected-mode"] == "no"
        assert client.info("persistence")["aof_enabled"] == 1


def test_an_acknowledged_write_survives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, Size.MEDIUM) as address:
        with connect(CONSUMER, address) as client:
            client.set("session", "kept", ex=600)
        with connect(ADMIN, address) as client, contextlib.suppress(exceptions.ConnectionError):
            client.shutdown()
    with running(tmp_path, Size.MEDIUM) as address, connect(CONSUMER, address) as client:
        assert client.get("session") == b"kept"
        assert client.ttl("session") > 500


async def test_the_edge_module_reports_the_role_and_a_refused_login(instance: str) -> None:
    login = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
    facts = await users.observe(instance, 6379, login)
    assert (facts.role, facts.is_loading) == ("master", False)
    await users.ping(instance, 6379, Login(CONSUMER.user, PASSWORDS[CONSUMER.key]))
    wrong = passwords.generate()
    with pytest.raises(StoreRefused) as caught:
        await users.ping(instance, 6379, Login(CONSUMER.user, wrong))
    assert wrong not in str(caught.value)
    with pytest.raises(StoreRefused):
        await users.observe(instance, 6379, Login(PROBE.user, PASSWORDS[PROBE.key]))
    with pytest.raises(StoreUnreachable):
        await users.ping(NOBODY, 6379, login)
