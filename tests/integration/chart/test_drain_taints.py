"""The chart tells the reconciler which taints mark a node that is about to go; Helm renders, no cluster is asked."""

from __future__ import annotations

from reconciler.settings import Settings
from reconciler.state.kubernetes_nodes import KubernetesNodes
from shared.objects.resources import Object
from tests.integration.chart.pods import environment, template
from tests.integration.installation import NAMESPACE, chart_objects

OWN = {"POD_NAME": "one", "POD_NAMESPACE": NAMESPACE}


def closing(*values: str) -> frozenset[str]:
    """Say which of four nodes the reconciler of an installation with these values takes primaries off."""
    told = environment(template(chart_objects(*values), "reconciler"))
    keys = ("karpenter.sh/disrupted", "example.com/retiring", "pool.example.com/drain-3", "example.com/other")
    nodes = [marked(key) for key in keys]
    return KubernetesNodes.of(nodes, Settings.from_environ(OWN | told).drain_taints).closing


def marked(key: str) -> Object:
    """Build a node with a taint, named after the taint."""
    labels = {"kubernetes.io/os": "linux"}
    return {"metadata": {"name": key, "labels": labels}, "spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}}


def test_taints_that_the_platform_team_names_take_the_place_of_the_defaults() -> None:
    assert closing() == {"karpenter.sh/disrupted"}
    named = closing("valkey.drainTaints={example.com/retiring,pool.example.com/*}")
    assert named == {"example.com/retiring", "pool.example.com/drain-3"}
