"""Storages that are used from other namespaces, and storages that go, on a real API server."""

from __future__ import annotations

import json

import pytest

from shared.resources import Object
from tests.integration.conftest import Kubectl, Process, eventually
from tests.integration.mcpservers import RECORD, await_wiring, server, stored
from tests.integration.storages import await_ready, await_reason, condition, read, storage

USE = "session-storage-use"


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubelet: None, kubectl: Kubectl) -> None:
    await_wiring(kubectl)


@pytest.fixture
def home(kubectl: Kubectl, namespace: str) -> str:
    """A namespace with a storage `mine` that is ready."""
    kubectl.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    return namespace


@pytest.fixture
def away(kubectl: Kubectl, namespace: str) -> str:
    """Another namespace, in which user `ann` may do everything."""
    name = f"{namespace}-away"
    kubectl("create", "namespace", name)
    kubectl("create", "rolebinding", "ann", "--clusterrole=admin", "--user=ann", "-n", name)
    kubectl("create", "role", "servers", "--verb=*", "--resource=mcpservers.toolhive.stacklok.dev", "-n", name)
    kubectl("create", "rolebinding", "ann-servers", "--role=servers", "--user=ann", "-n", name)
    return name


def referring(away: str, home: str, **annotations: str) -> str:
    return json.dumps(server(away, annotations=annotations, sessionStorageRef={"name": "mine", "namespace": home}))


def mirror(kubectl: Kubectl, away: str, home: str) -> Object:
    return read(kubectl, "secret", f"{home}.mine-connection", away)


def has_mirror(kubectl: Kubectl, away: str, home: str) -> bool:
    return f"secret/{home}.mine-connection" in kubectl("get", "secrets", "-n", away, "-o", "name").split()


def test_who_lacks_the_right_is_told_which_and_gets_nothing(kubectl: Kubectl, home: str, away: str) -> None:
    said = kubectl.fails("create", "--as=ann", "-f", "-", stdin=referring(away, home))
    assert f'user "ann" may not use SessionStorage "{home}/mine"' in said
    assert 'verb "use" on sessionstorages.toolhive.stacklok.dev "mine"' in said
    kubectl("create", "rolebinding", "ann", f"--clusterrole={USE}", "--user=ann", "-n", home)
    eventually(
        lambda: "created" in kubectl("create", "--as=ann", "-f", "-", stdin=referring(away, home)), what="admitted"
    )
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy")
    own = read(kubectl, "secret", "mine-connection", home)
    assert mirror(kubectl, away, home)["data"] == own["data"]
    policy = read(kubectl, "networkpolicy", "mine-valkey", home)
    assert away in json.dumps(policy["spec"])


def test_a_forged_record_grants_nothing(kubectl: Kubectl, home: str, away: str) -> None:
    forged = {"by": "field", "for": "all", "granted": True, "made": [], "put": {}, "storage": f"{home}/mine"}
    said = kubectl.fails("create", "--as=ann", "-f", "-", stdin=referring(away, home, **{RECORD: json.dumps(forged)}))
    assert "may not use" in said
    kubectl("create", "--as=ann", "-f", "-", stdin=json.dumps(server(away)))
    kubectl("annotate", "--as=ann", "mcpserver", "srv", "-n", away, f"{RECORD}={json.dumps(forged)}")
    assert RECORD not in stored(kubectl, away)["metadata"].get("annotations", {})
    assert not has_mirror(kubectl, away, home)


def test_a_shared_namespace_needs_no_right_and_what_is_no_longer_shared_is_taken_away(
    kubectl: Kubectl, home: str, away: str
) -> None:
    kubectl.apply(storage("mine", home, size="small", allowedNamespaces=[away]))

    def is_created() -> bool:
        return "created" in kubectl("create", "--as=ann", "-f", "-", stdin=referring(away, home))

    eventually(is_created, what="the webhook knows of it")
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy")
    # ToolHive's operator writes the object too, and has no right of its own.
    kubectl("patch", "--as=ann", "mcpserver", "srv", "-n", away, "--type=merge", "-p", '{"spec":{"image":"other"}}')
    kubectl.apply(storage("mine", home, size="small", allowedNamespaces=[]))
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy goes")
    found = await_reason(kubectl, home, "mine", "NotPermitted", "ConsumersAdmitted")
    assert f"MCPServer {away}/srv" in found["message"]
    kubectl("patch", "--as=ann", "mcpserver", "srv", "-n", away, "--type=merge", "-p", '{"spec":{"image":"third"}}')
    kubectl("delete", "mcpserver", "srv", "-n", away)
    eventually(lambda: not condition(kubectl, home, "mine", "ConsumersAdmitted"), what="nobody waits")


def test_a_copy_is_repaired_and_goes_with_the_last_consumer(kubectl: Kubectl, home: str, away: str) -> None:
    kubectl("create", "-f", "-", stdin=referring(away, home))
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy")
    kubectl("delete", "secret", f"{home}.mine-connection", "-n", away)
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy comes back")
    kubectl("delete", "mcpserver", "srv", "-n", away)
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy goes")


def test_a_copy_goes_with_its_storage_even_if_nobody_was_there(
    kubectl: Kubectl, home: str, away: str, processes: dict[str, Process]
) -> None:
    kubectl("create", "-f", "-", stdin=referring(away, home))
    eventually(lambda: has_mirror(kubectl, away, home), what="the copy")
    processes["reconciler"].kill()
    kubectl("annotate", "sessionstorage", "mine", "-n", home, "toolhive.stacklok.dev/force-delete=true")
    kubectl("delete", "sessionstorage", "mine", "-n", home)
    processes["reconciler"].start()
    processes["reconciler"].await_ready()
    eventually(lambda: not has_mirror(kubectl, away, home), what="the copy goes", seconds=60)


def test_a_storage_that_is_used_is_not_deleted_but_for_force_or_with_its_namespace(kubectl: Kubectl, home: str) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(server(home, sessionStorageRef="mine")))

    def is_refused() -> bool:
        said = kubectl.fails("delete", "sessionstorage", "mine", "-n", home, "--dry-run=server")
        return f"used by MCPServer {home}/srv" in said

    eventually(is_refused, what="the webhook knows the consumer")
    kubectl("delete", "namespace", home, "--wait=true", "--timeout=60s")
    kubectl("create", "namespace", home)


def test_the_proxys_deployment_reads_the_secret(kubectl: Kubectl, home: str) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(server(home, sessionStorageRef="mine")))
    owner = stored(kubectl, home)
    labels = {"toolhive": "true", "app.kubernetes.io/name": "mcpserver", "app": "mcpserver"}
    proxy: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "srv",
            "namespace": home,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": "MCPServer",
                    "name": "srv",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "toolhive", "image": "x"}]}},
        },
    }

    def sources() -> object:
        found = json.loads(kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(proxy)))
        return found["spec"]["template"]["spec"]["containers"][0].get("envFrom")

    eventually(lambda: sources() == [{"secretRef": {"name": "mine-connection"}}], what="envFrom")
