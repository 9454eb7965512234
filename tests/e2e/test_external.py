"""A user's own Valkey keeps the sessions of ToolHive's proxies, under the same rules as a managed one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
import yaml

from deploy.demo import installation, storages
from deploy.demo.kube import Kube, until
from deploy.demo.mcp_session import McpSession
from deploy.demo.proxies import Proxies
from reconciler.apply import passwords
from reconciler.valkey.external_answers import PROBE_PREFIX
from shared import names
from tests.e2e import clients, own_store
from tests.e2e.conftest import Run
from tests.e2e.consumers import Consumer
from tests.e2e.namespaces import STRANGERS, THEIRS
from tests.e2e.own_store import BY_HAND, GATEWAY, HOST, MOVED, REMOTE, TWO_LABELS
from tests.e2e.storages import await_ready, read, secret, server, storage

DATABASE: Final = 3
STORAGE: Final = "theirs"
BESIDE: Final = "theirs-by-bare-name"
PAIR: Final = {"replicas": 2, "sessionAffinity": "None"}
ROTATION_SECONDS: Final = 180
SERVERS: Final = ("after", "before")
"""Servers: one is created once the storage is ready, the other before, so that its proxies must restart."""


@pytest.fixture(scope="module")
def external(run: Run) -> Kube:
    kube, image = run.kube, run.images.mcp_server
    kube.apply(server("before", THEIRS, image, sessionStorageRef=STORAGE, **PAIR), *own_store.valkey(run.images))
    kube.apply(*own_store.connected_by_hand(image))
    url = f"redis://{HOST}:6379/{DATABASE}"
    kube.apply(storage(STORAGE, THEIRS, external={"url": url, "secretRef": own_store.SECRET}))
    await_ready(kube, THEIRS, STORAGE)
    kube.apply(server("after", THEIRS, image, sessionStorageRef=STORAGE, **PAIR))
    return kube


def test_the_storage_is_ready_once_a_write_has_succeeded_and_has_no_valkey_of_ours(external: Kube) -> None:
    assert storages.await_finding(external, (THEIRS, STORAGE), "ProxiesSupported", "PlainTcp")["status"] == "True"
    assert external.items("statefulsets", THEIRS, f"--selector={names.LABEL_STORAGE}={STORAGE}") == []


def test_the_user_default_is_no_user_name_to_consumers(external: Kube) -> None:
    name = secret(external, own_store.SECRET, THEIRS)["username"]
    handed_out = set(secret(external, f"{STORAGE}-connection", THEIRS))
    assert name == "default"
    assert handed_out == {names.KEY_REDIS_URL, names.KEY_REDIS_PASSWORD, names.KEY_STORAGE_TYPE}


@pytest.mark.parametrize("name", SERVERS)
def test_toolhives_proxies_use_the_external_store(external: Kube, name: str) -> None:
    def led() -> bool:
        native = read(external, "mcpservers", name, THEIRS)["spec"].get("sessionStorage", {})
        return (native.get("address"), native.get("db")) == (f"{HOST}:6379", DATABASE)

    until(f"{name} uses the external store", led, 30)


@pytest.mark.parametrize("name", SERVERS)
def test_a_session_of_one_proxy_continues_through_the_other(external: Kube, name: str) -> None:
    proxies = Proxies(external, name, THEIRS)
    one, other = proxies.await_ready(2)
    session, count = proxies.open_session(one)
    assert [count, proxies.count(other, session), proxies.count(one, session)] == [1, 2, 3]


def test_the_external_store_holds_prefixed_sessions_and_nothing_else(run: Run, external: Kube) -> None:
    external.apply(clients.client("reader", THEIRS, run.images, f"{STORAGE}-connection"))
    clients.await_client(external, "reader", THEIRS)
    found = clients.keys(external, "reader", THEIRS, f"{HOST} -n {DATABASE}")
    prefixes = [names.key_prefix("MCPServer", THEIRS, name) for name in SERVERS]
    assert all(any(key.startswith(prefix) for key in found) for prefix in prefixes)
    # The reconciler's own key exists for some seconds after each check of the store.
    assert [key for key in found if not key.startswith((*prefixes, PROBE_PREFIX))] == []


@pytest.fixture(scope="module")
def beside(external: Kube) -> Iterator[str]:
    """Name the store as a pod beside it would, while a Service of that name beside the reconciler leads nowhere."""
    decoy = {"name": "valkey", "namespace": installation.NAMESPACE}
    external.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": decoy, "spec": {"ports": [{"port": 6379}]}},
        storage(
            BESIDE,
            THEIRS,
            external={"url": f"redis://valkey:6379/{DATABASE}", "secretRef": {"name": own_store.SECRET}},
            allowedNamespaces=[STRANGERS],
        ),
    )
    yield BESIDE
    external.run("delete", storages.KIND, BESIDE, namespace=THEIRS)
    external.run("delete", "service", "valkey", namespace=installation.NAMESPACE)


def test_the_bare_name_of_a_service_means_the_one_beside_the_storage(external: Kube, beside: str) -> None:
    await_ready(external, THEIRS, beside)
    leads_there = secret(external, f"{beside}-connection", THEIRS)["REDIS_URL"].endswith(f"@{HOST}:6379/{DATABASE}")
    assert leads_there


@pytest.mark.parametrize("namespace", [THEIRS, STRANGERS])
def test_it_means_the_same_to_consumers_of_every_namespace(
    run: Run, external: Kube, beside: str, namespace: str
) -> None:
    storages.await_finding(external, (THEIRS, beside), "ProxiesSupported", "PlainTcp")
    reference = {"name": beside, "namespace": THEIRS}
    asked = json.dumps(server("asked", namespace, run.images.mcp_server, sessionStorageRef=reference))

    def address() -> str:
        made = json.loads(external.run("create", "--dry-run=server", "--output=json", "--filename=-", stdin=asked))
        return str(made["spec"].get("sessionStorage", {}).get("address"))

    until("the webhook knows that proxies can use the store", lambda: address() == f"{HOST}:6379", 10)


@dataclass(frozen=True)
class Opened:
    """A session through the only proxy of a server, what its tool said there, and the uids of the proxy's pods."""

    session: McpSession
    said: str
    uids: frozenset[str]


def opened(kube: Kube, consumer: Consumer) -> Opened:
    proxies = consumer.proxies(kube)
    (pod,) = proxies.await_ready(1)
    session, said = proxies.open(pod, BY_HAND[consumer])
    return Opened(session, said, frozenset(each["metadata"]["uid"] for each in proxies.pods()))


def continued(kube: Kube, consumer: Consumer, before: Opened) -> str:
    """Call the tool once more in a session, through another proxy than the one that opened it."""
    proxies = consumer.proxies(kube)
    (pod,) = proxies.await_ready(1, other_than=before.uids)
    return proxies.call(pod, before.session, BY_HAND[consumer])


@dataclass(frozen=True)
class Move:
    """What each server's tool said in one session, before the move and after it, and how long the move took."""

    said: dict[str, tuple[str, str]]
    seconds: float


@pytest.fixture(scope="module")
def moved(external: Kube) -> Iterator[Move]:
    """Move servers with open sessions in, by the two applies of the page.

    It takes some 20 s on a busy machine, most of it for the proxies to start anew.
    """
    sessions = {each: opened(external, each) for each in BY_HAND}
    begun = time.monotonic()
    external.apply(own_store.stand_in())
    for condition in ("Ready", "ProxiesSupported"):
        external.await_condition(f"{storages.KIND}/{MOVED}", f"condition={condition}", THEIRS)
    references = yaml.safe_dump_all(own_store.referring())
    # The webhook may know the condition a moment later than kubectl.
    until("the references are applied", lambda: not external.refusal("apply", "-f", "-", stdin=references), 10)
    said = {each.name: (before.said, continued(external, each, before)) for each, before in sessions.items()}
    yield Move(said, time.monotonic() - begun)
    # The nodes are short of room for what comes later.
    external.run("delete", *own_store.targets(), "--wait=false", namespace=THEIRS)


def test_sessions_of_servers_that_a_user_has_connected_go_on_after_the_documented_move(
    moved: Move, figures: list[str]
) -> None:
    figures.append(f"two applies move servers in with their sessions: {moved.seconds:.1f} s")
    before, after = moved.said[GATEWAY.name]
    assert before == after
    assert moved.said[REMOTE.name] == ("1", "2")


@pytest.mark.usefixtures("moved")
def test_a_name_of_two_labels_is_dialled_and_handed_on_as_it_is(external: Kube) -> None:
    leads_there = secret(external, f"{MOVED}-connection", THEIRS)["REDIS_URL"].endswith(f"@{TWO_LABELS}:6379")
    assert leads_there
    for each in BY_HAND:
        native = read(external, each.resource, each.name, THEIRS)["spec"]["sessionStorage"]
        assert (native["address"], native["passwordRef"]["name"]) == (f"{TWO_LABELS}:6379", f"{MOVED}-connection")


def test_consumers_get_a_changed_password(external: Kube) -> None:
    before = secret(external, f"{STORAGE}-connection", THEIRS)["REDIS_PASSWORD"]
    changed = passwords.generate()
    external.apply(own_store.login(changed))
    external.run("rollout", "restart", "deployment/valkey", namespace=THEIRS)

    def is_handed_on() -> bool:
        now = secret(external, f"{STORAGE}-connection", THEIRS)["REDIS_PASSWORD"]
        return now == changed and now != before

    until("the connection Secret has the new password", is_handed_on, 15)
    external.run("rollout", "status", "deployment/valkey", "--timeout=60s", namespace=THEIRS)
    await_ready(external, THEIRS, STORAGE)

    def is_rotated() -> bool:
        found = storages.condition(read(external, storages.KIND, STORAGE, THEIRS), "CredentialRotated")
        return bool(found.get("reason") == "Discarded")

    until("consumers have restarted", is_rotated, ROTATION_SECONDS)
    for name in SERVERS:
        Proxies(external, name, THEIRS).await_ready(2)
