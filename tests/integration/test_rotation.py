"""Passwords change under load, on a real API server and a real Valkey; a stand-in plays ToolHive's operator."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest

from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, IDENTITIES, OPERATOR
from reconciler.credentials.login import Login
from reconciler.valkey import users
from shared import names
from shared.errors import StoreRefused
from shared.kubernetes.client import Cluster
from shared.objects.field_path import put
from shared.objects.resources import (
    CONFIG_MAPS,
    EVENTS,
    MCP_SERVERS,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
)
from tests.integration import loopback
from tests.integration.auth_servers import connected_by_hand
from tests.integration.control_plane import Kubectl
from tests.integration.mcpservers import await_injection, server
from tests.integration.processes import Process
from tests.integration.storages import await_ready, condition, read, secret_value, status, storage
from tests.integration.toolhive import Connection, ToolHive

SERVERS = 4
BY_HAND = "by-hand"
"""The last of them: it refers to no storage, and runs an auth server that somebody connected by hand."""
REST_SECONDS = 12.0
"""Seconds; more than the interval between passes over a healthy storage."""


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubelet: None, kubectl: Kubectl) -> None:
    processes["reconciler"].await_ready()
    await_injection(kubectl)


def annotate(kubectl: Kubectl, namespace: str, name: str, value: str) -> None:
    kubectl("annotate", "sessionstorage", "mine", f"{name}={value}", "--overwrite", "-n", namespace)


def passwords(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    data = read(kubectl, "secret", "mine-auth", namespace)["data"]
    return {key: base64.b64decode(data[key]).decode() for key in identities.PASSWORD_KEYS}


def valkey_address(kubectl: Kubectl, namespace: str) -> str:
    ip: str = read(kubectl, "pod", "mine-valkey-0-0", namespace)["status"]["podIP"]
    return ip


def rotation(kubectl: Kubectl, namespace: str) -> dict[str, object]:
    found: dict[str, object] = status(kubectl, namespace, "mine").get("rotation", {})
    return found


def has_handled(kubectl: Kubectl, namespace: str, word: str) -> bool:
    auth = read(kubectl, "secret", "mine-auth", namespace)["metadata"]["annotations"]
    record = json.loads(auth[names.ANNOTATION_ROTATION])
    return record.get("handled") == word and "ended" in record


async def until(is_so: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait without blocking the event loop of the clients."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(tolerant(is_so)):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


def tolerant(is_so: Callable[[], bool]) -> Callable[[], bool]:
    def asked() -> bool:
        with contextlib.suppress(KeyError, AssertionError):
            return is_so()
        return False

    return asked


@pytest.fixture
async def toolhive(kubectl: Kubectl, cluster: Cluster, namespace: str) -> AsyncIterator[ToolHive]:
    """Create a storage and servers, and wait until their clients are busy."""
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await asyncio.to_thread(await_ready, kubectl, namespace, "mine")
    wanted = {f"server-{number}": server(namespace, sessionStorageRef="mine") for number in range(SERVERS - 1)}
    kubectl.api.create(connected_by_hand(namespace))
    wanted[BY_HAND] = server(namespace, externalAuthConfigRef={"name": "login"})
    for name, each in wanted.items():
        kubectl.api.create(put(each, ("metadata", "name"), name))
    address = valkey_address(kubectl, namespace)
    stand_in = ToolHive(cluster, namespace, lambda: address)
    task = asyncio.ensure_future(stand_in.run())
    await until(lambda: stand_in.tally.commands > 500, "clients are busy")
    yield stand_in
    task.cancel()
    for pod in stand_in._pods.values():
        pod.cancel()
    await asyncio.wait([task, *stand_in._pods.values()])


async def test_nobody_notices_that_passwords_change_even_if_the_reconciler_dies_again_and_again(
    kubectl: Kubectl, namespace: str, toolhive: ToolHive, processes: dict[str, Process]
) -> None:
    seed = time.time_ns()
    chance = random.Random(seed)
    reconciler = processes["reconciler"]
    old, address = passwords(kubectl, namespace), valkey_address(kubectl, namespace)
    stranger = await Connection.open(address, loopback.address(loopback.STRANGERS, 0))
    assert await stranger.ask(f"AUTH {old['password']}") == "+OK"
    busy = toolhive.tally.commands, toolhive.tally.logins
    annotate(kubectl, namespace, names.ANNOTATION_ROTATE, "one")
    kills = 0
    while not (kills and await asyncio.to_thread(tolerant(lambda: has_handled(kubectl, namespace, "one")))):
        await asyncio.sleep(chance.uniform(0.5, 4))  # the fault under test: a kill at a random moment
        await asyncio.to_thread(reconciler.kill)
        reconciler.start()
        kills += 1
        assert kills < 60, f"the rotation did not end: {rotation(kubectl, namespace)}, seed {seed}"
    await until(lambda: rotation(kubectl, namespace).get("phase") == "Discarded", "the status says so")
    assert toolhive.tally.failures == [], seed
    assert toolhive.tally.commands > busy[0] + 1000
    assert toolhive.tally.logins > busy[1] + 50
    assert rotation(kubectl, namespace)["consumersTotal"] == SERVERS
    stamp = kubectl.api.get(MCP_SERVERS, namespace, BY_HAND)["metadata"]["annotations"][names.ANNOTATION_AUTH_REVISION]
    assert stamp.startswith(f"{rotation(kubectl, namespace)['revision']}@")
    assert await stranger.ask("PING") in {"", "ConnectionResetError"}
    stranger.close()
    new = passwords(kubectl, namespace)
    assert not set(old.values()) & set(new.values())
    for identity in IDENTITIES:
        await users.ping(address, names.VALKEY_PORT, Login(identity.user, new[identity.key]))
        with pytest.raises(StoreRefused):
            await users.ping(address, names.VALKEY_PORT, Login(identity.user, old[identity.key]))
    assert sum(value in everything(kubectl) for value in old.values()) == 0


def everything(kubectl: Kubectl) -> str:
    """Return the values of all Secrets, decoded."""
    return str([identities.decoded(secret.get("data")) for secret in kubectl.api.list(SECRETS)])


async def test_a_consumer_that_never_restarts_is_named_and_can_be_left_behind(
    kubectl: Kubectl, namespace: str, toolhive: ToolHive, processes: dict[str, Process]
) -> None:
    reconciler = processes["reconciler"]
    reconciler.kill()
    reconciler.environ["ROTATION_PATIENCE_SECONDS"] = "2"
    reconciler.start()
    try:
        old, address = passwords(kubectl, namespace), valkey_address(kubectl, namespace)
        toolhive.stuck.add("server-0")
        annotate(kubectl, namespace, names.ANNOTATION_ROTATE, "one")

        def complaint() -> str:
            found = condition(kubectl, namespace, "mine", "CredentialRotated")
            return found["message"] if found.get("reason") == "ConsumersWait" else ""

        await until(lambda: f"MCPServer {namespace}/server-0" in complaint(), "the condition names the consumer")
        await until(lambda: rotation(kubectl, namespace).get("consumersDone") == SERVERS - 1, "all others are done")
        assert status(kubectl, namespace, "mine")["phase"] == "Rotating"
        await users.ping(address, names.VALKEY_PORT, Login(CONSUMER.user, old["password"]))
        revision = rotation(kubectl, namespace)["revision"]
        assert f"{names.ANNOTATION_ROTATE_FORCE}={revision}" in complaint()
        assert toolhive.tally.failures == []
        annotate(kubectl, namespace, names.ANNOTATION_ROTATE_FORCE, str(revision))
        await until(lambda: rotation(kubectl, namespace).get("phase") == "Discarded", "the rotation is over")
        with pytest.raises(StoreRefused):
            await users.ping(address, names.VALKEY_PORT, Login(CONSUMER.user, old["password"]))
    finally:
        del reconciler.environ["ROTATION_PATIENCE_SECONDS"]
        await asyncio.to_thread(reconciler.kill)
        reconciler.start()


async def rotate(kubectl: Kubectl, namespace: str, word: str) -> None:
    annotate(kubectl, namespace, names.ANNOTATION_ROTATE, word)
    await until(lambda: has_handled(kubectl, namespace, word), f"rotation {word}")


@pytest.mark.parametrize("times", [8, pytest.param(100, marks=pytest.mark.drill)])
async def test_rotations_in_a_row_leave_nothing_behind(
    kubectl: Kubectl, namespace: str, times: int, figures: list[str]
) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await asyncio.to_thread(await_ready, kubectl, namespace, "mine")
    seen = {secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD")}
    for number in range(times):
        await rotate(kubectl, namespace, f"r{number}")
        seen.add(secret_value(kubectl, namespace, "mine-connection", "REDIS_PASSWORD"))
    assert len(seen) == times + 1
    await until(lambda: rotation(kubectl, namespace).get("phase") == "Discarded", "the status says so")
    auth = read(kubectl, "secret", "mine-auth", namespace)
    assert set(auth["data"]) == {*identities.PASSWORD_KEYS, "users.acl", "retired.acl"}
    current = passwords(kubectl, namespace)
    address = valkey_address(kubectl, namespace)
    facts = await users.observe(address, names.VALKEY_PORT, Login(OPERATOR.user, current[OPERATOR.key]))
    assert facts.hashes == identities.hashes(current)
    before = versions(kubectl, namespace)
    await asyncio.sleep(REST_SECONDS)  # what the test measures: a period without writes
    assert versions(kubectl, namespace) == before
    figures.append(f"{times} rotations in a row: as many new passwords, nothing of an old one left, then silence")


def versions(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    kinds = (SECRETS, SESSION_STORAGES, CONFIG_MAPS, SERVICES, STATEFUL_SETS, NETWORK_POLICIES, EVENTS)
    found = [obj for kind in kinds for obj in kubectl.api.list(kind, namespace)]
    ours = [each for each in found if each["kind"] != "Event" or each["regarding"]["kind"] == "SessionStorage"]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in ours}
