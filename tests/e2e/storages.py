"""Builds, reads and awaits storages and servers on the cluster."""

from __future__ import annotations

import time

from deploy.demo.kube import Kube, Object
from deploy.demo.storages import KIND
from reconciler.credentials import identities

CHILD_KINDS = "secrets,configmaps,services,endpointslices,statefulsets,networkpolicies,poddisruptionbudgets"


def storage(name: str, namespace: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1alpha1",
        "kind": "SessionStorage",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def server(name: str, namespace: str, image: str, **spec: object) -> Object:
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": "MCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": image, "transport": "streamable-http", **spec},
    }


def await_ready(kube: Kube, namespace: str, name: str, seconds: float = 60) -> None:
    kube.await_condition(f"{KIND}/{name}", "condition=Ready", namespace, seconds)


def seconds_to_ready(kube: Kube, wanted: Object) -> float:
    """Measure as a user does: from calling `kubectl apply` to the return of `kubectl wait`."""
    metadata = wanted["metadata"]
    begun = time.monotonic()
    kube.apply(wanted)
    await_ready(kube, metadata["namespace"], metadata["name"])
    return time.monotonic() - begun


def read(kube: Kube, kind: str, name: str, namespace: str) -> Object:
    found = kube.get(kind, name, namespace)
    assert found is not None, f"there is no {kind} {namespace}/{name}"
    return found


def secret(kube: Kube, name: str, namespace: str) -> dict[str, str]:
    """Read a Secret; never compare it in an assertion, whose message would show it."""
    return identities.decoded(read(kube, "secret", name, namespace)["data"])


def has_one_password(kube: Kube, name: str, namespace: str) -> bool:
    """Return whether the connection Secret and the auth Secret hold the same password for consumers."""
    handed_out = secret(kube, f"{name}-connection", namespace)["REDIS_PASSWORD"]
    return identities.is_password(handed_out) and handed_out == secret(kube, f"{name}-auth", namespace)["password"]


def children(kube: Kube, name: str, namespace: str) -> set[str]:
    found = kube.items(CHILD_KINDS, namespace, f"--selector=toolhive.stacklok.dev/storage={name}")
    # Kubernetes copies a Service's labels to the EndpointSlices that it makes for it.
    owned = [child for child in found if child["metadata"]["ownerReferences"][0]["kind"] == "SessionStorage"]
    return {f"{child['kind']}/{child['metadata']['name']}" for child in owned}


def expected_children(name: str, instance: int = 0) -> set[str]:
    return {
        f"Secret/{name}-auth",
        f"NetworkPolicy/{name}-valkey",
        f"ConfigMap/{name}-valkey",
        f"StatefulSet/{name}-valkey-{instance}",
        f"Service/{name}-valkey",
        f"Service/{name}-valkey-nodes",
        f"EndpointSlice/{name}-valkey",
        f"Secret/{name}-connection",
        f"PodDisruptionBudget/{name}-valkey-primary",
    }
