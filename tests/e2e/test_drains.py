"""Nodes that autoscalers empty, nodes that are not for everybody, and namespaces that refuse pods.

All of it takes some three minutes, half of that for the two `large` storages to start and to settle.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import httpx2
import pytest

from deploy.demo.kube import Kube, Object, until
from deploy.demo.storages import KIND, condition
from deploy.local.topology import CONTROL_PLANE_NODE
from shared.names import ANNOTATION_FORCE_DELETE, LABEL_STORAGE
from shared.session_storage.sizes import Size
from tests.e2e.conftest import Run
from tests.e2e.namespaces import DRAINS, REFUSING, ROTATION, STORAGES
from tests.e2e.storages import await_ready, read, storage

EVICTED_SECONDS: Final = 30
"""How long an autoscaler has to ask until the API server agrees."""
AGAIN_SECONDS: Final = 0.2
"""How often it asks. Autoscalers ask less often, and a pod that is gone is as good to them (Karpenter, `Queue.Evict`).
Asked this often, the API server has to agree while there is a pod: the former primary takes longer than this to end."""
TAINTS: Final = {
    Size.SMALL: "aws-node-termination-handler/spot-itn",
    Size.MEDIUM: "karpenter.sh/disrupted",
    Size.LARGE: "ToBeDeletedByClusterAutoscaler",
}
"""What marks the node of a primary, by its storage's size; `valkey.drainTaints` has the first as a pattern."""
TOLD_SECONDS: Final = 30
"""How long it takes at most until the status says why there is no pod."""
QUOTA: Final = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}}
WORDS: Final = "failed quota: team: must specify limits.cpu for: valkey"


@pytest.fixture(scope="module", autouse=True)
def room(run: Run) -> None:
    """Delete other storages: three nodes of one machine have no room for all of them."""
    for namespace in (STORAGES, ROTATION):
        run.kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        run.kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)


@contextmanager
def made(kube: Kube, name: str, namespace: str, size: Size) -> Iterator[None]:
    """Make a storage, and delete it at the end of the block."""
    kube.apply(storage(name, namespace, size=size.value))
    await_ready(kube, namespace, name)
    try:
        yield
    finally:
        kube.run("delete", KIND, name, "--cascade=foreground", namespace=namespace)


@contextmanager
def tainted(kube: Kube, node: str, key: str) -> Iterator[None]:
    """Keep pods away from a node by a taint until the block ends."""
    kube.run("taint", "node", node, f"{key}=:NoSchedule")
    try:
        yield
    finally:
        kube.run("taint", "node", node, f"{key}:NoSchedule-")


def pods(kube: Kube, name: str) -> list[Object]:
    return kube.items("pods", DRAINS, f"--selector={LABEL_STORAGE}={name}")


def nodes_of_running(kube: Kube, name: str) -> list[str]:
    """Name the node of each pod that runs and is not ending."""
    running = (
        each
        for each in pods(kube, name)
        if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
    )
    return sorted(each["spec"]["nodeName"] for each in running)


def is_redundant(kube: Kube, name: str) -> bool:
    return condition(read(kube, KIND, name, DRAINS), "Redundant").get("status") == "True"


def evicted(kube: Kube, pod: Object) -> float:
    """Ask again and again to evict a pod, and return after how many seconds the API server agreed.

    It is a failure if the pod is gone before the API server has agreed.
    """
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    begun = time.monotonic()
    with kube.served() as url, httpx2.Client(base_url=url) as client:
        while time.monotonic() - begun < EVICTED_SECONDS:
            answer = client.post(f"/api/v1/namespaces/{DRAINS}/pods/{metadata['name']}/eviction", json=eviction)
            if answer.status_code == HTTPStatus.CREATED:
                return time.monotonic() - begun
            assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS, answer.text
            time.sleep(AGAIN_SECONDS)
    raise AssertionError(f"{metadata['name']} was not evicted within {EVICTED_SECONDS} s")


@pytest.mark.parametrize("size", Size)
def test_a_primary_moves_off_a_node_that_an_autoscaler_marks_and_its_pod_is_evicted(
    kube: Kube, size: Size, figures: list[str]
) -> None:
    name = f"drained-{size}"
    with made(kube, name, DRAINS, size):
        if size is Size.LARGE:
            until(f"{name} is redundant", lambda: is_redundant(kube, name), 60)
        budget = f"{name}-valkey-primary"
        until(
            f"an autoscaler may consider the node of {name}",
            lambda: read(kube, "poddisruptionbudget", budget, DRAINS)["status"].get("disruptionsAllowed") == 1,
            10,
        )
        primary = read(kube, KIND, name, DRAINS)["status"]["primaryPod"]
        assert "Ready to accept connections" in kube.run("logs", primary, namespace=DRAINS)
        pod = read(kube, "pod", primary, DRAINS)
        with tainted(kube, pod["spec"]["nodeName"], TAINTS[size]):
            seconds = evicted(kube, pod)
            figures.append(f"eviction from a node that {TAINTS[size]} marks ({size}): accepted after {seconds:.1f} s")

            def has_moved() -> bool:
                moved = read(kube, KIND, name, DRAINS)["status"]
                return bool(moved["primaryPod"] != primary and moved["lastFailover"]["reason"] == "NodeIsDrained")

            until(f"the status of {name} tells of the move", has_moved, TOLD_SECONDS)


def test_a_pod_that_is_evicted_without_a_warning_goes_once_another_instance_serves(kube: Kube) -> None:
    name = "surprised"
    with made(kube, name, DRAINS, Size.SMALL):
        before = read(kube, KIND, name, DRAINS)["status"]["primaryPod"]
        evicted(kube, read(kube, "pod", before, DRAINS))

        def has_moved() -> bool:
            moved = read(kube, KIND, name, DRAINS)["status"].get("lastFailover", {})
            return bool(moved.get("reason") == "PodIsDeleted")

        until(f"another instance of {name} has taken over in good order", has_moved, 30)


def test_three_instances_run_on_two_nodes_if_the_third_is_not_for_them_and_part_once_it_is(kube: Kube) -> None:
    name, nodes = "crowded", {node["metadata"]["name"] for node in kube.items("nodes")}
    workers = nodes - {CONTROL_PLANE_NODE.name}
    with tainted(kube, CONTROL_PLANE_NODE.name, "node-role.kubernetes.io/control-plane"):
        kube.apply(storage(name, DRAINS, size=Size.LARGE.value))
        until(f"{name} is redundant", lambda: is_redundant(kube, name), 60)
        assert len(nodes_of_running(kube, name)) == 3
        assert set(nodes_of_running(kube, name)) == workers
        said = condition(read(kube, KIND, name, DRAINS), "Redundant")["message"]
        assert "share node" in said
    until("each instance has a node of its own", lambda: set(nodes_of_running(kube, name)) == nodes, 60)
    until(f"{name} is redundant again", lambda: is_redundant(kube, name), 60)
    kube.run("delete", KIND, name, "--cascade=foreground", namespace=DRAINS)


def test_a_quota_that_refuses_a_pod_is_quoted_in_the_status(kube: Kube) -> None:
    kube.run("delete", "resourcequota", "--all", namespace=REFUSING)
    kube.apply(QUOTA | {"metadata": {"name": "team", "namespace": REFUSING}, "spec": {"hard": {"limits.cpu": "8"}}})
    kube.apply(storage("refused", REFUSING, size=Size.SMALL.value))

    def says_why() -> bool:
        ready = condition(read(kube, KIND, "refused", REFUSING), "Ready")
        return ready.get("reason") == "FailedCreate" and WORDS in ready["message"] and "LimitRange" in ready["message"]

    until("the status quotes the quota", says_why, TOLD_SECONDS)
    kube.run("delete", KIND, "refused", namespace=REFUSING)


def test_a_quota_that_refuses_a_replica_is_quoted_while_the_primary_serves(kube: Kube) -> None:
    kube.run("delete", "resourcequota", "--all", namespace=REFUSING)
    with made(kube, "hindered", REFUSING, Size.LARGE):
        kube.apply(QUOTA | {"metadata": {"name": "team", "namespace": REFUSING}, "spec": {"hard": {"limits.cpu": "8"}}})
        status = read(kube, KIND, "hindered", REFUSING)["status"]
        replica = next(each["name"] for each in status["nodes"] if each["role"] == "replica")
        kube.run("delete", "pod", f"{replica}-0", namespace=REFUSING)

        def says_why() -> bool:
            found = read(kube, KIND, "hindered", REFUSING)
            ready = condition(found, "Ready")["status"]
            return (found["status"]["phase"], ready) == ("Degraded", "True") and WORDS in found["status"]["message"]

        until("the status quotes the quota", says_why, TOLD_SECONDS)
    kube.run("delete", "resourcequota", "--all", namespace=REFUSING)
