"""Which nodes take pods, and which pods must leave their node."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.state.storage_state import KubernetesNodes, trimmed_node
from shared.objects.resources import Object


def host(name: str, **spec: object) -> Object:
    return {"metadata": {"name": name}, "spec": spec}


HOSTS = KubernetesNodes.of(
    [host("a"), host("b", unschedulable=False), host("c", unschedulable=True), {"metadata": {"name": "d"}}]
)


def test_a_cordoned_node_is_closing_and_all_others_are_open() -> None:
    assert KubernetesNodes(frozenset("abd"), frozenset("c")) == HOSTS
    assert KubernetesNodes.of([]) == KubernetesNodes()


@pytest.mark.parametrize(
    ("pod", "is_leaving"),
    [
        ({"spec": {"nodeName": "c"}}, True),
        ({"spec": {"nodeName": "a"}}, False),
        ({"spec": {"nodeName": "unknown"}}, False),
        ({"spec": {}}, False),
        ({}, False),
        (None, False),
    ],
    ids=str,
)
def test_only_a_pod_on_a_closing_node_is_leaving(pod: Any, *, is_leaving: bool) -> None:
    assert HOSTS.is_leaving(pod) is is_leaving


def test_the_cache_keeps_only_used_fields_of_a_node_so_that_its_heartbeat_causes_no_pass() -> None:
    full: Object = {
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "labels": {"zone": "x"}, "managedFields": []},
        "spec": {"unschedulable": True, "podCIDR": "10.0.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": "now"}]},
    }
    kept = trimmed_node(full)
    assert kept == {
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7"},
        "spec": {"unschedulable": True},
    }
    assert KubernetesNodes.of([kept]) == KubernetesNodes.of([full])
    assert trimmed_node({"metadata": {"name": "a"}}) == {"metadata": {"name": "a"}, "spec": {"unschedulable": False}}
