"""Which nodes take instances, and which pods must leave their node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.state.kubernetes_nodes import KubernetesNodes, trimmed_node
from shared.objects.resources import Object

LINUX = {"kubernetes.io/os": "linux"}
VALUES = Path(__file__).parents[4] / "deploy" / "chart" / "values.yaml"
DRAIN_TAINTS: list[str] = yaml.safe_load(VALUES.read_text())["valkey"]["drainTaints"]
"""Those of an installation with default values."""


def host(name: str, labels: Object = LINUX, **spec: object) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def tainted(key: str, effect: str = "NoSchedule") -> Object:
    return host("t", taints=[{"key": key, "value": "x", "effect": effect}])


HOSTS = KubernetesNodes.of(
    [
        host("a"),
        host("b", unschedulable=False),
        host("c", unschedulable=True),
        {"metadata": {"name": "d", "labels": LINUX}},
    ]
)


def test_a_cordoned_node_is_closing_and_all_others_are_open() -> None:
    assert KubernetesNodes(frozenset("abd"), frozenset("c")) == HOSTS
    assert KubernetesNodes.of([]) == KubernetesNodes()


@pytest.mark.parametrize(
    "key",
    [
        "node.kubernetes.io/unschedulable",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "ToBeDeletedByClusterAutoscaler",
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/scheduled-maintenance",
        "aws-node-termination-handler/asg-lifecycle-termination",
        "aws-node-termination-handler/rebalance-recommendation",
        "cloud.google.com/impending-node-termination",
        "remediator.kubernetes.azure.com/unschedulable",
        "remediator.aks.microsoft.com/unschedulable",
    ],
)
@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute", "PreferNoSchedule"])
def test_a_node_that_an_autoscaler_or_a_termination_handler_marks_is_closing(key: str, effect: str) -> None:
    marked = tainted(key, effect)
    for node in (marked, trimmed_node(marked)):
        assert KubernetesNodes.of([node], DRAIN_TAINTS) == KubernetesNodes(closing=frozenset("t"))


def test_a_candidate_for_removal_is_not_closing_because_autoscalers_change_their_minds() -> None:
    candidate = tainted("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule")
    assert KubernetesNodes.of([candidate], DRAIN_TAINTS) == KubernetesNodes(frozenset("t"))


@pytest.mark.parametrize(
    ("node", "is_open"),
    [
        (tainted("node-role.kubernetes.io/control-plane"), False),
        (tainted("pool", "NoExecute"), False),
        (tainted("node.kubernetes.io/not-ready"), False),
        (tainted("pool", "PreferNoSchedule"), True),
        (host("t", {"kubernetes.io/os": "windows"}), False),
        (host("t", {}), False),
        (host("t", taints=None), True),
    ],
    ids=["control plane", "reserved", "not ready", "preferably not", "windows", "no system", "free"],
)
def test_only_a_node_that_instances_tolerate_and_select_is_open(node: Object, *, is_open: bool) -> None:
    found = KubernetesNodes.of([trimmed_node(node)], DRAIN_TAINTS)
    assert (found.open, found.closing) == (frozenset("t" if is_open else ""), frozenset())


@pytest.mark.parametrize(
    ("pod", "is_leaving"),
    [
        ({"spec": {"nodeName": "c"}}, True),
        ({"spec": {"nodeName": "a"}}, False),
        ({"spec": {"nodeName": "unknown"}}, False),
        ({"spec": {}}, False),
        ({}, False),
        (None, False),
        ({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}}, True),
        ({"status": {"conditions": [{"type": "DisruptionTarget", "status": "False"}]}}, False),
    ],
    ids=str,
)
def test_only_a_pod_on_a_closing_node_or_one_that_kubernetes_disrupts_is_leaving(pod: Any, *, is_leaving: bool) -> None:
    assert HOSTS.is_leaving(pod) is is_leaving


def test_the_cache_keeps_only_used_fields_of_a_node_so_that_its_heartbeat_causes_no_pass() -> None:
    full: Object = {
        "metadata": {
            "name": "a",
            "uid": "u",
            "resourceVersion": "7",
            "labels": LINUX | {"zone": "x"},
            "managedFields": [],
        },
        "spec": {
            "unschedulable": True,
            "podCIDR": "10.0.0.0/24",
            "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": "now"}],
        },
        "status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": "now"}]},
    }
    kept = trimmed_node(full)
    assert kept == {
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "labels": LINUX},
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
    }
    assert KubernetesNodes.of([kept]) == KubernetesNodes.of([full])
    bare = {"metadata": {"name": "a"}, "spec": {"unschedulable": False, "taints": []}}
    assert trimmed_node({"metadata": {"name": "a"}}) == bare
