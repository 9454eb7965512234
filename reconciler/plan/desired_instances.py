"""What the instances of a storage are to be, and how far they are from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.manifests.stateful_set import template_hash
from reconciler.state import pod_status
from shared.objects.resources import last_written
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.state.instance import Instance
    from reconciler.state.kubernetes_nodes import KubernetesNodes
    from shared.objects.resources import Object

NO_ROOM_AFTER: Final = timedelta(seconds=30)
"""How long a pod may be without a node before there counts as none: a cluster autoscaler that is at work takes longer,
but a storage that must restart must not wait for one that may not exist."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes:
        count: How many instances there are to be in the end.
        present: StatefulSet of each instance, by its number.
        desired: The same, as they are to be.
        claims: On the volumes of instances, by number.
        unfit: Instances whose volume cannot become what it is to be.
        nodes: Where instances can be.
        asked: The user's word for a move, if there is a new one.
        may_update: Whether it is this storage's turn to be brought up to date.
        now: Aware instant.
    """

    count: int
    present: Mapping[int, Object]
    desired: Mapping[int, Object]
    claims: Mapping[int, Object]
    unfit: frozenset[int]
    nodes: KubernetesNodes
    asked: str
    may_update: bool
    now: datetime

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the instances that there are, in order."""
        return tuple(sorted(self.present))

    def is_stale(self, instance: Instance) -> bool:
        """Tell whether an instance is not what it is to be."""
        return instance.index in self.unfit or self.is_outdated(instance)

    def is_outdated(self, instance: Instance) -> bool:
        """Tell whether an instance was started from what it is no longer to be."""
        desired = self.desired.get(instance.index)
        return (
            desired is not None and instance.pod is not None and template_hash(instance.pod) != template_hash(desired)
        )

    def has_no_room(self, instance: Instance) -> bool:
        """Tell whether no node takes an instance's pod, or a quota not even lets there be one."""
        workload = self.present.get(instance.index)
        if instance.pod is not None:
            obstacle = pod_status.obstacle(instance.pod)
            is_waiting = obstacle is not None and obstacle.reason == "Unschedulable"
            since = instance.pod["metadata"]["creationTimestamp"]
        elif workload is not None:
            # A pod that was deleted comes back at once; a set that could not make one says so, and is written no more.
            is_waiting = not workload.get("status", {}).get("replicas")
            since = last_written(workload)
        else:
            return False
        return is_waiting and self.now - parse_time(since) > NO_ROOM_AFTER
