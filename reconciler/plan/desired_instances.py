"""What the instances of a storage are to be, and how far each is from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.manifests.pod_template import placement_hash, template_hash
from reconciler.plan.placement import is_spread, node_of
from reconciler.state import pod_status
from shared.objects.resources import last_written
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from reconciler.state.instance import Instance
    from reconciler.state.kubernetes_nodes import KubernetesNodes
    from shared.objects.resources import Object

NO_ROOM_AFTER: Final = timedelta(seconds=30)
"""After so long without a node for a pod, the reconciler assumes that there is none. A cluster autoscaler takes longer
to add one, but a storage that must restart must not wait for an autoscaler that may not exist."""
SETTLING: Final = timedelta(seconds=3)
"""How long a move that can wait leaves kube-proxy to learn of an instance that has become ready. kube-proxy takes
changes at most once a second (Kubernetes 1.36, `pkg/proxy/runner`, `minSyncPeriod`), so a move right after another
change takes that second, during which clients cannot write. Kubernetes rounds the time at which a pod became ready to
whole seconds, and that change itself may have to wait for the one before it."""


@dataclass(frozen=True, slots=True)
class DesiredInstances:
    """What the instances of a storage are to be, beside what there is.

    Attributes:
        count: How many instances there are to be in the end.
        present: StatefulSet of each instance, by its number.
        target: StatefulSet from which each of these instances is to be made, by its number: as the API server stores
            it, which may differ for good from what the reconciler wants. None, while updates are to wait.
        volume_claims: PersistentVolumeClaim of each instance that has one, by its number.
        undersized: Instances whose volume is too small, and cannot grow.
        requested_switchover: The user's request to move the primary, if it is a new one; empty otherwise.
        may_update: Whether it is this storage's turn for an update.
        is_resizing: Whether the installation asks for another number of instances, which waits for a turn.
        is_growing: Whether the installation has raised the number of instances, and the storage is at it.
        may_share: Numbers of the instances that need not be on a node of their own.
        gave_slot_back: Whether it had its turn and got nowhere.
        taken: Numbers that the StatefulSets of others have.
        left_volumes: Numbers of instances that are gone, and whose volumes are still the storage's.
        foreign_volumes: Numbers that no new instance may have, because it would mount somebody else's volume.
    """

    count: int
    present: Mapping[int, Object]
    target: Mapping[int, Object]
    volume_claims: Mapping[int, Object]
    undersized: frozenset[int]
    nodes: KubernetesNodes
    requested_switchover: str
    may_update: bool
    now: datetime
    may_share: frozenset[int] = frozenset()
    is_resizing: bool = False
    is_growing: bool = False
    gave_slot_back: bool = False
    taken: frozenset[int] = frozenset()
    left_volumes: frozenset[int] = frozenset()
    foreign_volumes: frozenset[int] = frozenset()

    @property
    def indexes(self) -> tuple[int, ...]:
        """Numbers of the instances that exist, in order."""
        return tuple(sorted(self.present))

    def is_stale(self, instance: Instance) -> bool:
        """Tell whether an instance is not what it is to be."""
        return instance.index in self.undersized or self.is_outdated(instance) or self.waits_in_vain(instance)

    def is_outdated(self, instance: Instance) -> bool:
        """Tell whether an instance's pod was made from another template than its StatefulSet has now."""
        target = self.target.get(instance.index)
        return target is not None and instance.pod is not None and template_hash(instance.pod) != template_hash(target)

    def waits_in_vain(self, instance: Instance) -> bool:
        """Tell whether a pod has never run, and a new one may: by now, another node would do, or others' credentials.

        So it is if its instance need not be spread any more, or if the installation has changed where pods run or how
        kubelet pulls their image.
        """
        pod, target = instance.pod, self.target.get(instance.index)
        if pod is None or pod_status.has_run(pod):
            return False
        if instance.index in self.may_share and not node_of(instance) and is_spread(pod):
            return True
        return target is not None and placement_hash(pod) != placement_hash(target)

    def is_leaving(self, instance: Instance) -> bool:
        """Tell whether an instance runs on a node that is being drained."""
        return self.nodes.is_leaving(instance.pod)

    def is_settling(self, instance: Instance) -> bool:
        """Tell whether an instance is about to become ready, or nodes may still be learning that it is."""
        since = pod_status.ready_since(instance.pod)
        if since is None:
            return pod_status.is_starting(instance.pod, self.now)
        return self.now - since < SETTLING

    def has_no_room(self, instance: Instance) -> bool:
        """Tell whether no node takes an instance's pod, or a quota does not even let the pod be created."""
        workload = self.present.get(instance.index)
        if instance.pod is not None:
            is_waiting = pod_status.is_unschedulable(instance.pod)
            since = instance.pod["metadata"]["creationTimestamp"]
        elif workload is not None:
            # A StatefulSet replaces a deleted pod at once. One that cannot create its pod reports no replicas, and
            # nobody writes it after that.
            is_waiting = not workload.get("status", {}).get("replicas")
            since = last_written(workload)
        else:
            return False
        return is_waiting and self.now - parse_time(since) > NO_ROOM_AFTER

    def unused_indexes(self, used: Collection[int], count: int) -> list[int]:
        """Find numbers that no instance has: those whose volume is still there, then the smallest, so that none grows.

        `used` are the numbers that are not free.
        """
        left = sorted(self.left_volumes.difference(used))
        taken = {*used, *left, *self.foreign_volumes, *self.taken}
        return [*left, *(index for index in range(len(taken) + count) if index not in taken)][:count]
