"""A primary moves off a node that somebody marks by a taint which the platform team has named."""

from __future__ import annotations

from typing import Final

import pytest

from reconciler.state.kubernetes_nodes import KubernetesNodes
from shared.session_storage.sizes import Size
from tests.support.simulated import Simulation

NAMED: Final = ("example.com/retiring", "pool.example.com/*")
"""What the chart value `valkey.drainTaints` might say."""


def nodes(marked: str, key: str) -> KubernetesNodes:
    """Look at four nodes, one of which has a taint, as an installation with these taints does."""
    found = [
        {
            "metadata": {"name": f"host-{number}", "labels": {"kubernetes.io/os": "linux"}},
            "spec": {"taints": [{"key": key, "effect": "NoSchedule"}] if f"host-{number}" == marked else []},
        }
        for number in range(4)
    ]
    return KubernetesNodes.of(found, NAMED)


@pytest.mark.parametrize("size", Size)
@pytest.mark.parametrize(
    ("key", "moves"),
    [("example.com/retiring", True), ("pool.example.com/drain-3", True), ("karpenter.sh/disrupted", False)],
)
async def test_a_primary_moves_off_a_node_with_a_taint_that_the_chart_value_names(
    size: Size, key: str, *, moves: bool
) -> None:
    simulation = Simulation()
    await simulation.ask_for(size=size.value)
    await simulation.settle()
    before = simulation.status["primary"]
    host = simulation.kubelets.pods[f"{before}-0"]["spec"]["nodeName"]
    simulation.nodes = nodes(host, key)
    for _ in range(2):
        await simulation.settle()
    moved = simulation.status
    assert (moved["primary"] != before) is moves
    assert moved.get("lastFailover", {}).get("reason") == ("NodeIsDrained" if moves else None)
