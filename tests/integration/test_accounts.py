"""Who borrows the release's service accounts or labels in its namespace, on a real API server."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from shared.objects.resources import DEPLOYMENTS, PODS, Object
from tests.integration.api import JOBS
from tests.integration.consumers import consumer
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE, RELEASE, chart_objects
from tests.integration.processes import eventually

DRY_RUN = "--dry-run=server"
ACCOUNT = f"{RELEASE}-reconciler"
LABELS = {"app.kubernetes.io/name": "toolhive-session-storage", "app.kubernetes.io/instance": RELEASE}
BORROWED = {"the account": ({}, ACCOUNT), "the labels": (LABELS, "default")}
SAYS = {
    "the account": f'uses service account "{ACCOUNT}", which belongs to the release',
    "the labels": f'has the labels of the release "{RELEASE}"',
}


def workload(kind: str, labels: Any, account: str, name: str = "impostor", namespace: str = NAMESPACE) -> Object:
    """Build an object of any kind that leads to pods with these labels and this service account."""
    pod = {"serviceAccountName": account, "containers": [{"name": "a", "image": "evil"}]}
    own = {"app": "impostor"}
    template = {"metadata": {"labels": {**own, **labels}}, "spec": pod}
    selecting = {"selector": {"matchLabels": own}, "template": template}
    once = {"template": {**template, "spec": {**pod, "restartPolicy": "Never"}}}
    api, spec = {
        "Pod": ("v1", pod),
        "Deployment": ("apps/v1", selecting),
        "ReplicaSet": ("apps/v1", selecting),
        "DaemonSet": ("apps/v1", selecting),
        "StatefulSet": ("apps/v1", {**selecting, "serviceName": "a"}),
        "Job": ("batch/v1", once),
        "CronJob": ("batch/v1", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": once}}),
    }[kind]
    metadata = {"name": name, "namespace": namespace, "labels": labels if kind == "Pod" else {}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def _installed(chart: list[Object], kubectl: Kubectl) -> None:
    asked = workload("Pod", *BORROWED["the account"])
    eventually(lambda: SAYS["the account"] in kubectl.api.refusal(asked, DRY_RUN), what="the policy holds")


@pytest.mark.parametrize("what", BORROWED)
@pytest.mark.parametrize("kind", ["Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "CronJob"])
def test_no_workload_borrows_from_the_release(kubectl: Kubectl, kind: str, what: str) -> None:
    said = kubectl.api.refusal(workload(kind, *BORROWED[what]), DRY_RUN)
    assert f"{kind} {SAYS[what]}" in said
    assert kubectl.api.create(workload(kind, {}, "default"), DRY_RUN)
    assert kubectl.api.create(workload(kind, LABELS, "default", namespace="default"), DRY_RUN)


@pytest.mark.parametrize(
    "spec",
    [
        {"podTemplateSpec": {"spec": {"serviceAccountName": ACCOUNT}}},
        {"podTemplateSpec": {"spec": {"serviceAccount": ACCOUNT}}},
        {"serviceAccount": ACCOUNT},
    ],
)
def test_no_consumer_borrows_a_service_account(kubectl: Kubectl, spec: Any) -> None:
    said = kubectl.api.refusal(consumer("MCPServer", NAMESPACE, **spec), DRY_RUN)
    assert f"MCPServer {SAYS['the account']}" in said
    assert kubectl.api.create(consumer("MCPServer", "default", **spec), DRY_RUN)


def test_no_consumer_borrows_labels_or_the_name_of_a_deployment(kubectl: Kubectl) -> None:
    labelled = consumer("MCPServer", NAMESPACE, podTemplateSpec={"metadata": {"labels": LABELS}})
    assert f"MCPServer {SAYS['the labels']}" in kubectl.api.refusal(labelled, DRY_RUN)
    named = consumer("MCPServer", NAMESPACE)
    named["metadata"]["name"] = ACCOUNT
    assert f'MCPServer "{ACCOUNT}" has the name of a Deployment' in kubectl.api.refusal(named, DRY_RUN)


def test_a_consumer_without_any_of_that_passes_in_the_releases_namespace(kubectl: Kubectl) -> None:
    assert kubectl.api.create(consumer("MCPServer", NAMESPACE, podTemplateSpec={"spec": None}), DRY_RUN)
    assert kubectl.api.create(consumer("MCPServer", NAMESPACE), DRY_RUN)


def test_a_running_pod_gets_no_labels_of_the_release(kubectl: Kubectl) -> None:
    kubectl.api.create(workload("Pod", {}, "default"))
    said = kubectl.api.change_refusal(PODS, NAMESPACE, "impostor", {"metadata": {"labels": LABELS}}, DRY_RUN)
    assert SAYS["the labels"] in said
    kubectl.api.delete(PODS, NAMESPACE, "impostor")


def test_a_replica_set_of_the_right_name_is_not_enough(kubectl: Kubectl) -> None:
    said = kubectl.api.refusal(workload("ReplicaSet", *BORROWED["the account"], name=f"{ACCOUNT}-x"), DRY_RUN)
    assert SAYS["the account"] in said


def test_a_deployment_of_the_right_name_that_somebody_else_controls_is_not_enough(kubectl: Kubectl) -> None:
    owned = workload("Deployment", *BORROWED["the account"], name=ACCOUNT)
    owner = {"apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "name": "srv", "uid": "1"}
    owned["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    assert SAYS["the account"] in kubectl.api.refusal(owned, DRY_RUN)


def test_the_releases_own_pods_come_up(kubectl: Kubectl) -> None:
    def has_pod(component: str) -> bool:
        return bool(kubectl.api.list(PODS, NAMESPACE, f"app.kubernetes.io/component={component}"))

    rendered = chart_objects("reconciler.replicas=1", "webhook.replicas=1")
    ours = [obj for obj in rendered if obj["kind"] == "Deployment"]
    (handover,) = [obj for obj in rendered if obj["kind"] == "Job"]
    assert len(ours) == 2
    try:
        kubectl.api.apply(*ours)
        # Anew: Kubernetes has ended the one of the installation if that was longer ago than its deadline.
        kubectl.api.delete(JOBS, NAMESPACE, handover["metadata"]["name"])
        eventually(lambda: not kubectl.api.list(JOBS, NAMESPACE), what="the former Job is gone")
        kubectl.api.create(handover)
        for component in ("webhook", "reconciler", "handover"):
            eventually(partial(has_pod, component), what=f"a pod of {component} exists")
        name = handover["metadata"]["name"]
        eventually(
            lambda: kubectl.api.get(JOBS, NAMESPACE, name)["status"].get("active") == 1, what="the Job has its pod"
        )
    finally:
        for obj in ours:
            kubectl.api.delete(DEPLOYMENTS, NAMESPACE, obj["metadata"]["name"])
