"""Installing, upgrading and uninstalling the chart harms nobody and leaves nothing behind."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest

from deploy.demo import installation
from deploy.demo.installation import NAMESPACE, PODS, WEBHOOK_CONFIGURATION
from deploy.demo.kube import Kube, until
from tests.e2e.conftest import Run
from tests.e2e.namespaces import SERVERS, STORAGES
from tests.e2e.storages import read, server

READY_BOUND_SECONDS = 60
FORGETTING_SECONDS = 10


def pods(kube: Kube) -> set[str]:
    return {pod["metadata"]["uid"] for pod in kube.items("pods", NAMESPACE, f"--selector={PODS}")}


def accepts(kube: Kube, **spec: object) -> str:
    """Try to create an MCPServer in a dry run; return why it is refused, empty if it is not."""
    wanted = server("anybody", SERVERS, "an-image:1", **spec)
    return kube.refusal("create", "--dry-run=server", "-f", "-", stdin=json.dumps(wanted))


def test_an_upgrade_without_changes_restarts_no_pod(run: Run) -> None:
    before = pods(run.kube)
    run.install()
    assert pods(run.kube) == before


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
        selector = f"--selector={PODS},app.kubernetes.io/component={process.rpartition('-')[2]}"
        found = kube.items("pods", NAMESPACE, selector)
        assert len({pod["spec"]["nodeName"] for pod in found}) == len(found) == 2
