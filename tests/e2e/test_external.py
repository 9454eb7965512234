"""A user's own Valkey keeps the sessions of ToolHive's proxies, under the same rules as a managed one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.demo import installation, storages
from deploy.demo.images import Images
from deploy.demo.kube import Kube, Object, until
from deploy.demo.proxies import Proxies
from reconciler.apply import passwords
from reconciler.valkey.external_answers import PROBE_PREFIX
from shared import names
from tests.e2e import clients
from tests.e2e.conftest import Run
from tests.e2e.namespaces import STRANGERS, THEIRS
from tests.e2e.storages import await_ready, read, secret, server, storage

HOST: Final = f"valkey.{THEIRS}.svc"
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
    kube.apply(server("before", THEIRS, image, sessionStorageRef=STORAGE, **PAIR), *valkey(run.images))
    url = f"redis://{HOST}:6379/{DATABASE}"
    kube.apply(storage(STORAGE, THEIRS, external={"url": url, "secretRef": "valkey"}))
    await_ready(kube, THEIRS, STORAGE)
    kube.apply(server("after", THEIRS, image, sessionStorageRef=STORAGE, **PAIR))
    return kube


def valkey(images: Images) -> list[Object]:
    """Build a Valkey with a password, as a user might run it."""
    labels = {"app": "valkey"}
    configured = 'printf "requirepass %s\\n" "$PASSWORD" | exec valkey-server - --bind 0.0.0.0 --save ""'
    container = {
        "name": "valkey",
        "image": images.valkey,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", configured],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "valkey", "key": "password"}}}],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    metadata = {"name": "valkey", "namespace": THEIRS}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            # The tests of passwords find it by this label.
            "metadata": {**metadata, "labels": {names.LABEL_STORAGE: STORAGE}},
            "stringData": {"password": passwords.generate()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 6379}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    ]


def test_the_storage_is_ready_once_a_write_has_succeeded_and_has_no_valkey_of_ours(external: Kube) -> None:
    assert storages.await_finding(external, (THEIRS, STORAGE), "ProxiesSupported", "PlainTcp")["status"] == "True"
    assert external.items("statefulsets", THEIRS, f"--selector={names.LABEL_STORAGE}={STORAGE}") == []


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
            external={"url": f"redis://valkey:6379/{DATABASE}", "secretRef": {"name": "valkey"}},
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


def test_consumers_get_a_changed_password(external: Kube) -> None:
    before = secret(external, f"{STORAGE}-connection", THEIRS)["REDIS_PASSWORD"]
    changed = passwords.generate()
    external.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "valkey", "namespace": THEIRS, "labels": {names.LABEL_STORAGE: STORAGE}},
            "stringData": {"password": changed},
        }
    )
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
