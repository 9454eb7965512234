"""Installing, upgrading and uninstalling the chart harms nobody and leaves nothing behind."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE, WEBHOOK_CONFIGURATION
from deploy.demo.kube import Kube, until
from reconciler.state.primary_service import SERVICE_OF, WRITTEN_BY
from shared import names
from tests.e2e.conftest import Run
from tests.e2e.namespaces import SERVERS, STORAGES
from tests.e2e.storages import await_ready, read, server, storage

READY_BOUND_SECONDS = 60
FORGETTING_SECONDS = 10
KUBERNETES = "endpointslice-controller.k8s.io"
"""Who writes the EndpointSlices of Services that have a selector."""
SERVED_SECONDS = 60


def pods(kube: Kube) -> set[str]:
    return {pod["metadata"]["uid"] for pod in installation.pods(kube)}


def accepts(kube: Kube, **spec: object) -> str:
    """Try to create an MCPServer in a dry run; return why it is refused, empty if it is not."""
    wanted = server("anybody", SERVERS, "an-image:1", **spec)
    return kube.refusal("create", "--dry-run=server", "-f", "-", stdin=json.dumps(wanted))


def test_an_upgrade_without_changes_restarts_no_pod(run: Run) -> None:
    before = pods(run.kube)
    run.install()
    assert pods(run.kube) == before


def slices(kube: Kube, name: str) -> dict[str, list[str]]:
    """List where the EndpointSlices of a storage's Service lead, by who writes them."""
    found = kube.items("endpointslices", STORAGES, f"--selector={SERVICE_OF}={names.valkey(name)}")
    return {
        each["metadata"]["labels"][WRITTEN_BY]: [at for point in each["endpoints"] or [] for at in point["addresses"]]
        for each in found
    }


def test_storages_go_on_being_served_after_an_uninstall_even_when_their_pods_move(run: Run) -> None:
    kube, pod = run.kube, names.valkey_pod("left", 0)
    kube.apply(storage("left", STORAGES, size="small"))
    await_ready(kube, STORAGES, "left")
    before = read(kube, "pod", pod, STORAGES)["status"]["podIP"]
    assert slices(kube, "left") == {names.MANAGED_BY: [before]}
    installation.uninstall(kube)
    try:
        assert slices(kube, "left") == {KUBERNETES: [before]}
        kube.run("delete", "pod", pod, namespace=STORAGES)

        def leads_to_new_pod() -> bool:
            address = (kube.get("pod", pod, STORAGES) or {"status": {}})["status"].get("podIP")
            return address not in {None, before} and slices(kube, "left") == {KUBERNETES: [address]}

        until("the Service leads to the new pod", leads_to_new_pod, SERVED_SECONDS)
    finally:
        run.install()
    after = read(kube, "pod", pod, STORAGES)["status"]["podIP"]
    until("the Service is ours again", lambda: slices(kube, "left") == {names.MANAGED_BY: [after]}, SERVED_SECONDS)
    await_ready(kube, STORAGES, "left")
    kube.run("delete", "sessionstorage", "left", namespace=STORAGES)


def test_after_an_uninstall_nobody_is_blocked_and_a_new_installation_is_ready_within_a_minute(
    run: Run, figures: list[str]
) -> None:
    installation.uninstall(run.kube)
    try:
        assert run.kube.get("mutatingwebhookconfiguration", WEBHOOK_CONFIGURATION) is None
        assert accepts(run.kube) == ""
        # API servers need up to a second to learn that a policy is gone.
        refused = partial(accepts, run.kube, sessionStorageRef="any-storage")
        until("no policy judges references", lambda: refused() == "", FORGETTING_SECONDS)
    finally:
        begun = time.monotonic()
        run.install()
        took = time.monotonic() - begun
    figures.append(f"helm install --wait, and at work: {took:.1f} s")
    assert took <= READY_BOUND_SECONDS


@pytest.mark.parametrize("process", installation.PROCESSES)
def test_its_pods_meet_the_restricted_pod_security_standard(kube: Kube, process: str) -> None:
    template = read(kube, "deployment", process, NAMESPACE)["spec"]["template"]["spec"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": process, "namespace": STORAGES},  # this namespace enforces the standard
        "spec": {**template, "serviceAccountName": "default", "serviceAccount": "default"},
    }
    assert kube.refusal("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)) == ""


def test_each_process_runs_on_two_nodes(kube: Kube) -> None:
    for process in installation.PROCESSES:
        component = {"app.kubernetes.io/component": process.rpartition("-")[2]}
        found = [pod for pod in installation.pods(kube) if component.items() <= pod["metadata"]["labels"].items()]
        assert len({pod["spec"]["nodeName"] for pod in found}) == len(found) == 2
