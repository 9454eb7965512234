"""A real API server refuses the pods or claims of a storage, and the storage's status says so in its words."""

from __future__ import annotations

import pytest

from shared.objects.resources import Object
from tests.integration.control_plane import Kubectl
from tests.integration.processes import eventually
from tests.integration.storages import await_ready, await_reason, status, storage

pytestmark = pytest.mark.usefixtures("processes", "kubelet")
WORDS = "failed quota: team: must specify limits.cpu for: valkey"


def quota(namespace: str, resource: str = "limits.cpu", amount: str = "8") -> Object:
    """Build a quota; by default it takes no container without a CPU limit."""
    spec = {"hard": {resource: amount}}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team", "namespace": namespace},
        "spec": spec,
    }


def test_a_quota_that_refuses_the_first_pod_is_quoted_with_a_next_step(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(quota(namespace))
    kubectl.api.apply(storage("mine", namespace, size="small"))
    said = await_reason(kubectl, namespace, "mine", "FailedCreate")
    assert said["status"] == "False"
    assert WORDS in said["message"]
    assert "LimitRange" in said["message"]


def test_a_quota_that_refuses_a_replica_is_quoted_while_the_primary_serves(kubectl: Kubectl, namespace: str) -> None:
    kubectl.api.apply(storage("mine", namespace, size="large"))
    await_ready(kubectl, namespace, "mine")
    kubectl.apply(quota(namespace))
    replica = next(each["name"] for each in status(kubectl, namespace, "mine")["nodes"] if each["role"] == "replica")
    kubectl("delete", "pod", f"{replica}-0", "-n", namespace)

    def is_quoted() -> bool:
        seen = status(kubectl, namespace, "mine")
        return seen["phase"] == "Degraded" and WORDS in seen["message"]

    eventually(is_quoted, what="the status quotes the quota")
    assert await_reason(kubectl, namespace, "mine", "StorageReady")["status"] == "True"


def test_a_limit_range_that_refuses_the_pod_is_quoted_with_a_next_step(kubectl: Kubectl, namespace: str) -> None:
    limit = {"type": "Container", "max": {"memory": "64Mi"}}
    metadata = {"name": "small", "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [limit]}})
    kubectl.api.apply(storage("mine", namespace, size="small"))
    said = await_reason(kubectl, namespace, "mine", "FailedCreate")
    assert "maximum memory usage per Container is 64Mi" in said["message"]
    assert "change that LimitRange" in said["message"]


def test_a_quota_that_refuses_the_claim_is_quoted_with_a_next_step(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(quota(namespace, "persistentvolumeclaims", "0"))
    kubectl("wait", "--for=jsonpath={.status.used.persistentvolumeclaims}=0", "resourcequota/team", "-n", namespace)
    kubectl.api.apply(storage("mine", namespace, size="medium"))
    said = await_reason(kubectl, namespace, "mine", "FailedCreate")
    assert said["status"] == "False"
    assert said["message"] == (
        "Kubernetes refuses the PersistentVolumeClaim of mine-valkey-0:"
        ' persistentvolumeclaims "data-mine-valkey-0-0" is forbidden: exceeded quota: team,'
        " requested: persistentvolumeclaims=1, used: persistentvolumeclaims=0,"
        " limited: persistentvolumeclaims=0: raise the quota, or free what others use of it"
    )
    # The controller tells of it by two Events, and the status says the same of either.
    fields = "--field-selector=reason=FailedCreate,involvedObject.kind=StatefulSet"
    events = kubectl("get", "events", "-n", namespace, fields, "-o", "name")
    assert len(events.split()) == 2
    kubectl.api.apply(storage("other", namespace, size="small"))
    await_ready(kubectl, namespace, "other")
