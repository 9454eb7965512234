"""Builds SessionStorages, and reads them and their objects, on a real API server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from shared import names
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from tests.integration.api import KINDS
from tests.integration.processes import eventually

if TYPE_CHECKING:
    from shared.objects.resources import Object
    from tests.integration.control_plane import Kubectl

CHILD_KINDS = (
    *(SECRETS, CONFIG_MAPS, SERVICES, ENDPOINT_SLICES),
    *(STATEFUL_SETS, NETWORK_POLICIES, DISRUPTION_BUDGETS),
)


def storage(name: str, namespace: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "SessionStorage",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def read(kubectl: Kubectl, kind: str, name: str, namespace: str) -> Object:
    return kubectl.api.get(KINDS[kind], namespace, name)


def status(kubectl: Kubectl, namespace: str, name: str) -> Object:
    found: Object = read(kubectl, "sessionstorage", name, namespace).get("status", {})
    return found


def primary(kubectl: Kubectl, namespace: str, name: str = "mine") -> int:
    """Tell the number of the instance that clients reach."""
    endpoint_slice = read(kubectl, "endpointslice", names.valkey(name), namespace)
    return int(endpoint_slice["metadata"]["labels"][names.LABEL_INSTANCE])


def condition(kubectl: Kubectl, namespace: str, name: str, kind: str) -> Object:
    found: list[Object] = status(kubectl, namespace, name).get("conditions", [])
    return {item["type"]: item for item in found}.get(kind, {})


def await_ready(kubectl: Kubectl, namespace: str, name: str) -> None:
    eventually(lambda: status(kubectl, namespace, name).get("phase") == "Ready", what=f"{namespace}/{name} Ready")


def await_reason(kubectl: Kubectl, namespace: str, name: str, reason: str, kind: str = "Ready") -> Object:
    eventually(
        lambda: condition(kubectl, namespace, name, kind).get("reason") == reason,
        what=f"{namespace}/{name}: {kind} with reason {reason}",
    )
    return condition(kubectl, namespace, name, kind)


def secret_value(kubectl: Kubectl, namespace: str, name: str, key: str) -> str:
    data = read(kubectl, "secret", name, namespace)["data"]
    return base64.b64decode(data[key]).decode()


def children(kubectl: Kubectl, namespace: str, name: str) -> set[str]:
    """List the objects of a storage by the names that `kubectl get -o name` prints."""
    labels = f"toolhive.stacklok.dev/storage={name}"
    found = [(each, kubectl.api.list(each, namespace, labels)) for each in CHILD_KINDS]
    return {
        f"{_word(resource)}/{obj['metadata']['name']}"
        for resource, objects in found
        for obj in objects
        # Kubernetes copies a Service's labels to the EndpointSlices that it makes for it.
        if obj["metadata"]["ownerReferences"][0]["kind"] == "SessionStorage"
    }


def _word(resource: Resource) -> str:
    return ".".join(part for part in (resource.kind.lower(), resource.group) if part)


def expected_children(name: str, instances: int = 1) -> set[str]:
    of_replicas = {f"service/{name}-valkey-replicas", f"poddisruptionbudget.policy/{name}-valkey-replica"}
    workloads = {f"statefulset.apps/{name}-valkey-{index}" for index in range(instances)}
    return (
        (of_replicas if instances > 1 else set())
        | workloads
        | {
            f"secret/{name}-auth",
            f"secret/{name}-connection",
            f"configmap/{name}-valkey",
            f"service/{name}-valkey",
            f"service/{name}-valkey-nodes",
            f"endpointslice.discovery.k8s.io/{name}-valkey",
            f"poddisruptionbudget.policy/{name}-valkey-primary",
            f"networkpolicy.networking.k8s.io/{name}-valkey",
        }
    )
