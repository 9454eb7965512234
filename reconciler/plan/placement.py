"""On which nodes instances run: whether they share one, and when they may. Pure."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.manifests.pod_placement import SPREAD
from reconciler.state import pod_status
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.state.instance import Instance
    from shared.objects.resources import Object

SHARED_AFTER: Final = timedelta(minutes=2)
"""After so long without a node for a pod, its instance may share one. An autoscaler has added a node by then, if it
can. What remains is a volume that ties the pod to a node which has another instance already, or a node without room."""


def node_of(instance: Instance) -> str:
    """Name the node that runs an instance's pod; empty as long as it has none."""
    name: str = (instance.pod or {}).get("spec", {}).get("nodeName", "")
    return name


def shared_nodes(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    """Find the nodes that run more than one of these instances, by name."""
    found: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        if node := node_of(instance):
            found[node].append(instance)
    return {node: there for node, there in sorted(found.items()) if len(there) > 1}


def is_spread(pod_or_set: Object) -> bool:
    """Tell whether the scheduler has to spread a pod, or the pods of a StatefulSet."""
    template: Object = pod_or_set["spec"].get("template", pod_or_set)
    return SPREAD in template["spec"]


def may_share(present: Mapping[int, Object], instances: Iterable[Instance], now: datetime) -> frozenset[int]:
    """List the numbers of instances that need not be spread.

    An instance that the scheduler found no node for may share one, and may do so for as long as it does. Once it runs
    on a node of its own, its next pod has to be spread again.

    Args:
        present: StatefulSet of each instance, by its number.
        instances: All instances of the storage.
        now: The API server's time.
    """
    seen = tuple(instances)
    crowded = {instance.index for there in shared_nodes(seen).values() for instance in there}
    return frozenset(
        instance.index
        for instance in seen
        if (workload := present.get(instance.index)) is not None
        and (
            _finds_no_node(instance, now) if is_spread(workload) else not node_of(instance) or instance.index in crowded
        )
    )


def _finds_no_node(instance: Instance, now: datetime) -> bool:
    if instance.pod is None or node_of(instance) or not pod_status.is_unschedulable(instance.pod):
        return False
    return now - parse_time(instance.pod["metadata"]["creationTimestamp"]) > SHARED_AFTER
