"""When a storage counts as recovered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.stand import is_recovered, pod_of


def a_storage(size: str = "large", instances: Any = (), observed: int = 3, **conditions: str) -> dict[str, Any]:
    stated = {"Ready": "True", "Redundant": "True", "Updating": "False"} | conditions
    status = {
        "observedGeneration": observed,
        "conditions": [{"type": kind, "status": value} for kind, value in stated.items()],
        "nodes": list(instances),
    }
    return {"metadata": {"generation": 3}, "spec": {"size": size}, "status": status}


def pods(count: int, ready: str = "True", **metadata: str) -> list[dict[str, Any]]:
    return [
        {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}} for _ in range(count)
    ]


def test_a_storage_that_says_so_and_has_all_its_pods_has_recovered() -> None:
    assert is_recovered(a_storage(instances=[{"synced": True}] * 3), pods(3))
    assert is_recovered(a_storage("medium", Redundant="False"), pods(1))


@pytest.mark.parametrize(
    ("storage", "found"),
    [
        pytest.param({}, [], id="the API server does not answer"),
        pytest.param(a_storage(), pods(2), id="a pod is missing"),
        pytest.param(a_storage("medium"), pods(2), id="an instance too many, during a move"),
        pytest.param(a_storage(), pods(3, "False"), id="pods are not ready"),
        pytest.param(a_storage(), pods(3, deletionTimestamp="now"), id="pods are terminating"),
        pytest.param(a_storage(Ready="False"), pods(3), id="it is not ready"),
        pytest.param(a_storage(Redundant="False"), pods(3), id="it is not redundant"),
        pytest.param(a_storage(Updating="True"), pods(3), id="it is being updated"),
        pytest.param(a_storage(observed=2), pods(3), id="its status is older than its spec"),
        pytest.param(a_storage(instances=[{"synced": True}, {"synced": False}]), pods(3), id="an instance lags behind"),
    ],
)
def test_any_other_storage_has_not_recovered(storage: dict[str, Any], found: list[dict[str, Any]]) -> None:
    assert not is_recovered(storage, found)


OLD, NEW, OTHER = (
    {"metadata": {"name": name, "uid": uid}} for name, uid in (("large-0", "1"), ("large-0", "2"), ("large-1", "3"))
)


def endpoints_at(*pods: dict[str, Any]) -> dict[str, Any]:
    return {"endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", **pod["metadata"]}} for pod in pods]}


def test_the_primary_is_the_pod_that_the_endpointslice_names() -> None:
    assert pod_of(endpoints_at(OTHER), [NEW, OTHER]) == OTHER


@pytest.mark.parametrize(
    "endpoints",
    [
        pytest.param(endpoints_at(), id="no endpoint"),
        pytest.param({"endpoints": None}, id="no list, as Kubernetes writes an empty one"),
        pytest.param({"endpoints": [{"addresses": ["10.0.0.1"]}]}, id="no pod"),
        pytest.param(endpoints_at(OLD), id="a pod that is gone, although another one has its name"),
    ],
)
def test_an_endpointslice_that_names_no_pod_of_today_leads_nowhere(endpoints: dict[str, Any]) -> None:
    assert pod_of(endpoints, [NEW, OTHER]) is None
