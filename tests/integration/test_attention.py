"""Consumers that were stored without the webhook, and consumers whose storage is missing, on a real API server."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from shared.objects.resources import DEPLOYMENTS, MCP_SERVERS, Object
from tests.integration.consumers import KINDS, await_injection_of_all, found, referring
from tests.integration.control_plane import Kubectl
from tests.integration.guards import BINDING, WEBHOOK, without
from tests.integration.mcpservers import RECORD, server, stored
from tests.integration.processes import Process, eventually
from tests.integration.storages import await_ready, storage


@pytest.fixture(autouse=True)
def _running(processes: dict[str, Process], kubelet: None, kubectl: Kubectl) -> None:
    await_injection_of_all(kubectl)


def condition(kubectl: Kubectl, namespace: str) -> Any:
    conditions = stored(kubectl, namespace).get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == "SessionStorageResolved"), {})


def test_a_server_stored_without_the_webhook_is_connected_once_it_is_there(kubectl: Kubectl, namespace: str) -> None:
    referring = json.dumps(server(namespace, sessionStorageRef="mine"))
    with without(kubectl, WEBHOOK, BINDING):
        # API servers need up to a second to learn that a policy is no longer bound.
        eventually(lambda: "created" in kubectl("create", "-f", "-", stdin=referring), what="stored unconnected")
        assert "sessionStorage" not in stored(kubectl, namespace)["spec"]
    eventually(lambda: "sessionStorage" in stored(kubectl, namespace)["spec"], what="connected", seconds=60)
    assert '"storage":' in stored(kubectl, namespace)["metadata"]["annotations"][RECORD]


def test_a_proxy_stored_without_the_webhook_reads_the_secret_once_it_is_there(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))

    def sources() -> Any:
        found = kubectl.api.get(DEPLOYMENTS, namespace, "srv")
        return found["spec"]["template"]["spec"]["containers"][0].get("envFrom")

    with without(kubectl, WEBHOOK):
        kubectl.api.create(proxy_of(stored(kubectl, namespace)))
        assert sources() is None
    eventually(lambda: sources() == [{"secretRef": {"name": "mine-connection"}}], what="connected", seconds=60)


def proxy_of(consumer: Object) -> Object:
    """Write a Deployment as ToolHive's operator does for a consumer, with the fields that our processes read."""
    metadata = consumer["metadata"]
    labels = {"toolhive": "true", "app.kubernetes.io/name": "mcpserver", "app.kubernetes.io/instance": metadata["name"]}
    owner = {key: consumer[key] for key in ("apiVersion", "kind")} | {key: metadata[key] for key in ("name", "uid")}
    pod = {"containers": [{"name": "toolhive", "image": "proxyrunner:latest"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def test_a_generated_name_gets_its_key_prefix(kubectl: Kubectl, namespace: str) -> None:
    asked = server(namespace, sessionStorageRef="mine")
    del asked["metadata"]["name"]
    asked["metadata"]["generateName"] = "srv-"
    kubectl.api.create(asked)

    def prefixes() -> list[str]:
        return [item["spec"]["sessionStorage"]["keyPrefix"] for item in kubectl.api.list(MCP_SERVERS, namespace)]

    eventually(lambda: len(prefixes()) == 1 and f"{{{namespace}:srv-" in prefixes()[0], what="own key prefix")


def test_consumers_say_when_their_storage_is_gone_and_when_it_is_back(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="small"))
    await_ready(kubectl, namespace, "mine")
    kubectl.api.create(server(namespace, sessionStorageRef="mine"))
    connected = stored(kubectl, namespace)["spec"]
    kubectl("annotate", "sessionstorage", "mine", "-n", namespace, "toolhive.stacklok.dev/force-delete=true")
    kubectl("delete", "sessionstorage", "mine", "-n", namespace)
    eventually(lambda: condition(kubectl, namespace).get("reason") == "StorageNotFound", what="the condition")
    assert stored(kubectl, namespace)["spec"] == connected
    events = kubectl("events", "-n", namespace, "--for", "mcpserver/srv")
    assert "StorageNotFound" in events
    kubectl.api.apply(storage("mine", namespace, size="small"))
    eventually(lambda: condition(kubectl, namespace).get("status") == "True", what="the condition is true")


def test_consumers_of_every_kind_say_that_their_storage_is_missing(kubectl: Kubectl, namespace: str) -> None:
    for kind in KINDS:
        kubectl.api.create(referring(kind, namespace, "string", "absent"))

    for kind in KINDS:
        eventually(partial(is_told, kubectl, kind, namespace), what=f"{kind} has the condition and an Event")


def is_told(kubectl: Kubectl, kind: str, namespace: str) -> bool:
    conditions = found(kubectl, kind, namespace).get("status", {}).get("conditions", [])
    reasons = [item["reason"] for item in conditions if item["type"] == "SessionStorageResolved"]
    events = kubectl("events", "-n", namespace, "--for", f"{kind.lower()}/srv")
    return reasons == ["StorageNotFound"] and "StorageNotFound" in events
