"""A real Valkey counts sessions exactly, in slices that nobody notices, for the one identity that may.

The large count takes about 10 s: most of them to write the keys.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from reconciler.credentials.identities import CONSUMER, IDENTITIES, Identity
from reconciler.credentials.login import Login
from reconciler.metrics.session_prefixes import SessionPrefixes
from reconciler.metrics.storage_lines import UNKNOWN
from reconciler.valkey.session_scan import SLICE_KEYS, count_sessions
from shared import errors, names
from shared.consumers.identity import Consumer, Usage
from shared.session_storage.sizes import Size
from tests.integration.instances import ADMIN, PASSWORDS, connect, running

KEYS = 100_000
CONSUMERS = 40
SLICE_MICROS = 2113
"""What a slice may add to the time that another client waits: 2 ms, up to the bound of Valkey's histogram above it."""
SHORT_SHARE = 0.9
"""Share of slices that keep to it. One takes 0.5 ms, and longer if something else on the machine interrupts it."""


@pytest.fixture(name="instance", scope="module")
def instance_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("valkey"), Size.LARGE) as address:
        yield address


@pytest.fixture(autouse=True)
def _empty(instance: str) -> None:
    with connect(ADMIN, instance) as admin:
        admin.flushall()
        admin.config_resetstat()


def prefixes() -> SessionPrefixes:
    usages = (Consumer("MCPServer", "team", f"srv-{number}") for number in range(CONSUMERS))
    return SessionPrefixes.of(Usage(consumer, ("team", "mine")) for consumer in usages)


def login(identity: Identity) -> Login:
    return Login(identity.user, PASSWORDS[identity.key])


async def counted(address: str, identity: Identity = CONSUMER) -> dict[tuple[str, str], int]:
    wanted = prefixes()
    counts = await count_sessions(address, names.VALKEY_PORT, login(identity), len(wanted.own), wanted.texts)
    return {consumer: count for consumer, count in wanted.by_consumer(counts).items() if count}


def write(address: str, keys: list[str]) -> None:
    with connect(CONSUMER, address) as client:
        for first in range(0, len(keys), 5000):
            with client.pipeline(transaction=False) as pipeline:
                for key in keys[first : first + 5000]:
                    pipeline.set(key, "v", ex=3600)
                pipeline.execute()


def by_bound(histogram: list[int]) -> list[tuple[int, int]]:
    return list(zip(histogram[::2], histogram[1::2], strict=True))


async def test_a_hundred_thousand_sessions_of_forty_consumers_are_counted(instance: str) -> None:
    chance, wanted = random.Random(19), prefixes()
    owners = chance.choices(wanted.own, range(1, CONSUMERS + 1), k=KEYS)
    write(instance, [f"{prefix}{number:08x}" for number, (prefix, _) in enumerate(owners)])
    write(instance, [f"thv:proxy:session:{number}" for number in range(50)] + ["thv:rl:{team:srv-1}:shared", "other"])
    truth = Counter((consumer.namespace, consumer.name) for _, consumer in owners)
    found = await counted(instance)
    assert found.pop(("", UNKNOWN)) == pytest.approx(50, rel=0.05)
    assert found.keys() == truth.keys()
    for consumer, count in truth.items():
        assert found[consumer] == pytest.approx(count, rel=0.01)
    with connect(ADMIN, instance) as admin:
        _, (_, calls, _, counts) = admin.execute_command("LATENCY", "HISTOGRAM", "eval_ro")
    assert calls >= KEYS / SLICE_KEYS / 4
    within = max(count for micros, count in by_bound(counts) if micros <= SLICE_MICROS)
    assert within >= SHORT_SHARE * calls, counts


async def test_sessions_that_come_and_go_meanwhile_disturb_the_count_of_the_others_by_a_percent(instance: str) -> None:
    wanted = prefixes()
    write(instance, [f"{prefix}{number}" for prefix, _ in wanted.own[:10] for number in range(1000)])
    stop = asyncio.Event()

    async def churn() -> None:
        other = wanted.own[20][0]
        while not stop.is_set():
            await asyncio.to_thread(write, instance, [f"{other}{number}" for number in range(1000)])

    churning = asyncio.ensure_future(churn())
    found = await counted(instance)
    stop.set()
    await churning
    for _, consumer in wanted.own[:10]:
        assert found[consumer.namespace, consumer.name] == pytest.approx(1000, rel=0.01)


async def test_sessions_whose_time_is_over_do_not_count(instance: str) -> None:
    prefix, consumer = prefixes().own[0]
    with connect(ADMIN, instance) as admin, connect(CONSUMER, instance) as client:
        admin.execute_command("CONFIG", "SET", "hz", "1")
        client.set(f"{prefix}stays", "v", ex=3600)
        client.set(f"{prefix}goes", "v", px=1)
        await asyncio.sleep(0.01)  # the time of a key, which no condition tells
        assert await counted(instance) == {(consumer.namespace, consumer.name): 1}


@pytest.mark.parametrize("identity", [each for each in IDENTITIES if each is not CONSUMER], ids=lambda each: each.user)
async def test_no_identity_of_the_system_may_list_or_count_sessions(instance: str, identity: Identity) -> None:
    with pytest.raises(errors.StoreRefused):
        await counted(instance, identity)


async def test_a_count_reads_and_writes_nothing_of_a_session(instance: str) -> None:
    prefix, _ = prefixes().own[0]
    write(instance, [f"{prefix}{number}" for number in range(100)])
    with connect(ADMIN, instance) as admin:
        idle = admin.execute_command("OBJECT", "IDLETIME", f"{prefix}7")
        before = admin.info("stats")
        await counted(instance)
        after = admin.info("stats")
        assert admin.execute_command("OBJECT", "IDLETIME", f"{prefix}7") >= idle
    same = ("keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys")
    assert [after[name] for name in same] == [before[name] for name in same]
