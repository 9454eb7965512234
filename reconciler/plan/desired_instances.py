"""What the nodes of a storage are to be, and how far they are from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from reconciler.manifests.stateful_set import template_hash
from reconciler.state import pod_status
from shared.objects.resources import last_written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state.instance import NodeReport
    from reconciler.state.kubernetes_nodes import Hosts
    from shared.objects.resources import Object

NO_ROOM_AFTER: Final = timedelta(seconds=30)
"""How long a pod may be without a host before there counts as none: a cluster autoscaler that is at work takes longer,
but a storage that must restart must not wait for one that may not exist."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        count: How many nodes there are to be in the end.
        present: StatefulSet of each node, by its number.
        desired: The same, as they are to be.
        claims: On the volumes of nodes, by number.
        unfit: Nodes whose volume cannot become what it is to be.
        hosts: Where nodes can be.
        asked: The user's word for a move, if there is a new one.
        may_update: Whether it is this storage's turn to be brought up to date.
        now: Aware instant.
    """

    count: int
    present: Mapping[int, Object]
    desired: Mapping[int, Object]
    claims: Mapping[int, Object]
    unfit: frozenset[int]
    hosts: Hosts
    asked: str
    may_update: bool
    now: datetime

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the nodes that there are, in order."""
        return tuple(sorted(self.present))

    def is_stale(self, node: NodeReport) -> bool:
        """Tell whether a node is not what it is to be."""
        return node.index in self.unfit or self.is_outdated(node)

    def is_outdated(self, node: NodeReport) -> bool:
        """Tell whether a node was started from what it is no longer to be."""
        desired = self.desired.get(node.index)
        return desired is not None and node.pod is not None and template_hash(node.pod) != template_hash(desired)

    def has_no_room(self, node: NodeReport) -> bool:
        """Tell whether no host takes a node's pod, or a quota not even lets there be one."""
        workload = self.present.get(node.index)
        if node.pod is not None:
            obstacle = pod_status.obstacle(node.pod)
            is_waiting = obstacle is not None and obstacle.reason == "Unschedulable"
            since = node.pod["metadata"]["creationTimestamp"]
        elif workload is not None:
            # A pod that was deleted comes back at once; a set that could not make one says so, and is written no more.
            is_waiting = not workload.get("status", {}).get("replicas")
            since = last_written(workload)
        else:
            return False
        return is_waiting and self.now - datetime.fromisoformat(since).astimezone(UTC) > NO_ROOM_AFTER
