from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.local import readiness
from deploy.local.api import Client
from deploy.local.errors import StepFailed


def deployment(observed: int = 2, **counts: int) -> dict[str, Any]:
    counted = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **counts}
    status = {"observedGeneration": observed, **counted}
    return {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}


def test_a_deployment_that_runs_in_full_is_rolled_out() -> None:
    assert readiness.is_rolled_out(deployment())


@pytest.mark.parametrize(
    "unfinished",
    [
        pytest.param(None, id="absent"),
        pytest.param(deployment(observed=1), id="not yet seen by its controller"),
        pytest.param(deployment(updatedReplicas=1), id="old pods left"),
        pytest.param(deployment(replicas=3), id="old pods left beside new ones"),
        pytest.param(deployment(availableReplicas=1), id="pods not available"),
        pytest.param({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": {}}, id="new"),
        pytest.param({"metadata": {"generation": 1}, "spec": {"replicas": 1}}, id="without a status yet"),
    ],
)
def test_a_deployment_is_not_rolled_out_while(unfinished: dict[str, Any] | None) -> None:
    assert not readiness.is_rolled_out(unfinished)


def daemon_set(**counts: int) -> dict[str, Any]:
    counted = {"currentNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3, **counts}
    status = {"observedGeneration": 1, "desiredNumberScheduled": 3, **counted}
    return {"metadata": {"generation": 1}, "spec": {}, "status": status}


def test_a_daemon_set_is_rolled_out_once_each_node_runs_its_latest_version() -> None:
    assert readiness.is_rolled_out(daemon_set())
    assert not readiness.is_rolled_out(daemon_set(numberAvailable=2))
    assert not readiness.is_rolled_out(daemon_set(updatedNumberScheduled=2))
    assert not readiness.is_rolled_out(daemon_set(observedGeneration=0))


class Answering:
    """Stands for the API server: it has one node."""

    def __init__(self, *taints: str) -> None:
        self._taints = [{"key": key, "effect": "NoSchedule"} for key in taints]

    def get(self, _: str) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": "True"}]
        return {"spec": {"taints": self._taints}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("has", "is_ready"),
    [
        pytest.param([], True, id="none"),
        pytest.param(["pool"], True, id="its own"),
        pytest.param(["node.kubernetes.io/not-ready"], False, id="Kubernetes'"),
        pytest.param(["pool", "node.kubernetes.io/unschedulable"], False, id="its own and a cordon's"),
    ],
)
def test_a_node_is_ready_if_it_has_no_taint_but_its_own(has: list[str], *, is_ready: bool) -> None:
    client = cast("Client", Answering(*has))
    assert readiness.node_is_ready(client, "node1", ["pool"]) is is_ready


def test_a_condition_counts_only_when_true() -> None:
    def with_ready(status: str) -> dict[str, Any]:
        return {"status": {"conditions": [{"type": "Ready", "status": status}]}}

    assert readiness.has_condition(with_ready("True"), "Ready")
    assert not readiness.has_condition(with_ready("Unknown"), "Ready")
    assert not readiness.has_condition({"status": {}}, "Ready")
    assert not readiness.has_condition(None, "Ready")


def test_a_timeout_names_the_step_and_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "DEADLINE_SECONDS", 0)
    log = tmp_path / "kubelet.log"
    log.write_text("out of luck\n")
    with pytest.raises(StepFailed, match=r"(?s)node1 is ready.*out of luck.*kubelet\.log"):
        readiness.wait("node1 is ready", lambda: False, log)


def test_waiting_ends_when_the_condition_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readiness.wait("node1 is ready", lambda: True, tmp_path / "log")
    assert "node1 is ready" in capsys.readouterr().out


def pod(started: str, *, ready: str = "True", kind: str = "containerStatuses") -> dict[str, Any]:
    containers = [{"state": {"running": {"startedAt": started}}}]
    return {"status": {"conditions": [{"type": "Ready", "status": ready}], kind: containers}}


@pytest.mark.parametrize(
    ("pods", "is_up_to_date"),
    [
        pytest.param([], True, id="a new node"),
        pytest.param([pod("2026-11-23T10:00:05Z")], True, id="started after the boot"),
        pytest.param([pod("2026-11-23T10:00:00Z")], True, id="started in the second of the boot"),
        pytest.param([pod("2026-11-23T09:59:00Z")], False, id="said to run since before the boot"),
        pytest.param([pod("2026-11-23T09:59:00Z", ready="False")], False, id="not ready, and yet said to run"),
        pytest.param([pod("2026-11-23T09:59:00Z", kind="initContainerStatuses")], False, id="a sidecar from before"),
        pytest.param([{"status": {"phase": "Pending"}}], True, id="of which the kubelet has not told"),
        pytest.param([{"status": {"containerStatuses": [{"state": {"waiting": {}}}]}}], True, id="known to wait"),
    ],
)
def test_the_status_of_pods_from_before_the_boot_does_not_count(
    pods: list[dict[str, Any]], *, is_up_to_date: bool
) -> None:
    boot = datetime.fromisoformat("2026-11-23T10:00:00.5Z")
    assert readiness.is_up_to_date(pods, boot) == is_up_to_date
