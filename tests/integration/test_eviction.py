"""A full store removes sessions, and keeps what an auth server has stored without an end. Takes about ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from reconciler.credentials.identities import CONSUMER, OPERATOR
from reconciler.credentials.login import Login
from reconciler.manifests.eviction import Eviction
from reconciler.valkey import users
from reconciler.valkey.replication import replication_session
from shared.session_storage.sizes import Size
from tests.integration.instances import ADMIN, PASSWORDS, connect, running

USERS = {f"thv:auth:{{team:tools}}:user:{number}": b"u" * 512 for number in range(200)}
INDEX = "thv:auth:{team:tools}:client-idx"
SESSION = b"s" * 8192
"""Large for a session, so that 300 MB of them are written quickly."""
SESSIONS = 300_000_000 // len(SESSION)
TWO_HOURS = 7200
"""Time to live of sessions in ToolHive (`pkg/transport/session/proxy_session.go`)."""
OPERATOR_LOGIN = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])


@pytest.fixture(name="address")
def address_fixture(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path, Size.SMALL) as address:
        yield address


async def keep(address: str, eviction: Eviction) -> None:
    """Do as the reconciler does."""
    async with replication_session(address, 6379, OPERATOR_LOGIN) as session:
        await session.evict(eviction)


def log_in(client: valkey.Valkey) -> None:
    """Store what an auth server keeps without an end."""
    client.mset(USERS)
    client.zadd(INDEX, {f"client-{number}": number for number in range(100)})


def fill(client: valkey.Valkey, count: int = SESSIONS) -> None:
    """Write sessions, more than fit; an error of any write is an error here."""
    for first in range(0, count, 500):
        with client.pipeline(transaction=False) as batch:
            for number in range(first, min(first + 500, count)):
                batch.set(f"thv:proxy:session:{{team:srv}}:{number}", SESSION, ex=TWO_HOURS)
            execute: Callable[[], object] = batch.execute  # carries no annotations
            execute()


def left(client: valkey.Valkey) -> int:
    values: Any = client.mget(USERS)
    return sum(value is not None for value in values)


async def test_keys_without_an_end_survive_three_hundred_megabytes_of_sessions(address: str) -> None:
    await keep(address, Eviction.ENDING_KEYS)
    with connect(CONSUMER, address) as client, connect(ADMIN, address) as admin:
        log_in(client)
        fill(client)
        assert left(client) == len(USERS)
        assert client.zcard(INDEX) == 100
        stats = admin.info("stats")
        assert stats["evicted_keys"] > SESSIONS // 3
        # The newest sessions are there, and the next one finds room.
        assert client.get(f"thv:proxy:session:{{team:srv}}:{SESSIONS - 1}") == SESSION
        assert client.set("thv:proxy:session:{team:srv}:next", SESSION, ex=TWO_HOURS)
        assert admin.info("memory")["used_memory"] <= admin.info("memory")["maxmemory"] * 1.05


async def test_without_an_auth_server_any_key_may_go(address: str) -> None:
    with connect(CONSUMER, address) as client:
        log_in(client)
        fill(client)
        assert left(client) < len(USERS)


async def test_the_policy_changes_in_a_full_store_and_an_instance_reports_it(address: str) -> None:
    facts = await users.observe(address, 6379, OPERATOR_LOGIN)
    assert facts.eviction == Eviction.ANY_KEY
    with connect(CONSUMER, address) as client:
        fill(client, SESSIONS * 2 // 3)
        await keep(address, Eviction.ENDING_KEYS)
        log_in(client)
        fill(client, SESSIONS // 4)
        assert left(client) == len(USERS)
    facts = await users.observe(address, 6379, OPERATOR_LOGIN)
    assert facts.eviction == Eviction.ENDING_KEYS
