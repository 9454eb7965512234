"""What keeps instances from taking over, and whether that only takes its time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.plan.change import UPDATING
from reconciler.plan.placement import shared_nodes
from reconciler.plan.server_problem import disk_problem, server_problem
from reconciler.state import pod_status
from shared.objects.conditions import Finding
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance
    from reconciler.state.session_storage import DeclaredStorage

REDUNDANT: Final = "Redundant"
_CHECK: Final = "see its log, and the NetworkPolicies that apply to it"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an instance could not take over.

    Attributes:
        reason: One CamelCase word; Kubernetes' own where Kubernetes gives one.
        message: A sentence that names the instance, and the next step if somebody must act. It has no figure that
            changes from look to look, since each change is written to the status.
        is_lasting: Whether nothing shows that it will pass by itself.
    """

    reason: str
    message: str
    is_lasting: bool = True


@dataclass(frozen=True, slots=True)
class OutOfSync:
    """The instances beside the primary that could not take over.

    Attributes:
        hindered: What hinders those that do not come into sync, as far as is known.
        on_their_way: Names of those that start or catch up; empty if none does.
    """

    hindered: tuple[Hindrance, ...] = ()
    on_their_way: str = ""

    @classmethod
    def of(cls, group: ReplicationGroup, storage: DeclaredStorage, now: datetime) -> Self:
        """Find them, in the order of their numbers; without a primary, no instance could be in sync."""
        if not group.is_serving:
            message = f"{group.name(group.primary)} is the primary, and does not serve"
            return cls((Hindrance("PrimaryMissing", message, is_lasting=False),))
        apart = [each for each in group.in_order if each is not group.primary and not group.is_synced(each)]
        found = [(each, _hindrance(group, each, now, is_overdue=_is_overdue(storage, now))) for each in apart]
        on_their_way = group.name(*(each for each, hindrance in found if hindrance is None))
        return cls(tuple(hindrance for _, hindrance in found if hindrance is not None), on_their_way)

    @property
    def lasting(self) -> Hindrance | None:
        """What has to change before a rotation, an update or the redundancy of the storage can go on; None if nothing.

        All of these wait for instances that only take their time, and would wait for this one for ever.
        """
        return next((hindrance for hindrance in self.hindered if hindrance.is_lasting), None)

    @property
    def summary(self) -> str:
        """Say what is the matter with each, if a replica is missing."""
        waits = [f"waiting for {self.on_their_way} to start or to catch up"] if self.on_their_way else []
        return "; ".join([*(each.message for each in self.hindered), *waits]) or "the reconciler creates the others"


def redundancy(group: ReplicationGroup, apart: OutOfSync) -> Finding | None:
    """Tell whether all replicas could take over; None for a storage that is to have one instance."""
    if not group.preset.is_redundant:
        return None
    wanted, there = group.preset.replicas - 1, len(group.synced)
    if there >= wanted:
        return Finding(REDUNDANT, "True", "InSync", f"{wanted} replicas could take over{_shared(group)}")
    message = f"{there} of {wanted} replicas could take over: {apart.summary}{_shared(group)}"
    return Finding(REDUNDANT, "False", "ReplicasMissing", message)


def _shared(group: ReplicationGroup) -> str:
    """Say which instances would fail together with their node."""
    return "".join(
        f"; {group.name(*there)} share node {node}, and fail with it: add a node that takes Valkey's pods"
        for node, there in shared_nodes(group.in_order).items()
    )


def _is_overdue(storage: DeclaredStorage, now: datetime) -> bool:
    """Tell whether the last status has said for longer than a start takes that an instance is missing or changing.

    The status remembers it, so that another leader judges alike.
    """
    found = ((storage.condition(kind), status) for kind, status in ((REDUNDANT, "False"), (UPDATING, "True")))
    return any(
        condition is not None
        and condition.status == status
        and now - condition.last_transition_time >= pod_status.START_LIMIT
        for condition, status in found
    )


def _hindrance(group: ReplicationGroup, instance: Instance, now: datetime, *, is_overdue: bool) -> Hindrance | None:
    """Say what hinders an instance that is not in sync; None if it starts, or receives what it lacks."""
    if instance.pod is None:
        if instance.warning is not None:
            return Hindrance(instance.warning.reason, instance.warning.message)
        name = group.name(instance)
        missing = f"{name} has no pod: see the Events of the StatefulSet {name}"
        return Hindrance("PodMissing", missing) if is_overdue else None
    if (obstacle := instance.obstacle) is not None:
        # Kubernetes says so of many a new pod, for instance until its volume is bound.
        age = now - parse_time(instance.pod["metadata"]["creationTimestamp"])
        return Hindrance(obstacle.reason, obstacle.message, is_lasting=age >= pod_status.START_LIMIT)
    trouble = _trouble(group, instance) if instance.address else None
    if pod_status.is_starting(instance.pod, now):
        # A server that crashes again and again starts again and again.
        is_crashing = is_overdue and pod_status.has_restarted(instance.pod)
        message = f"{group.name(instance)} has crashed and restarted: {_CHECK}"
        trouble = ("Restarted", message) if is_crashing else None
    return Hindrance(*trouble, is_lasting=is_overdue) if trouble is not None else None


def _trouble(group: ReplicationGroup, instance: Instance) -> tuple[str, str] | None:
    """Say what is the matter with a server that runs; None if it reads its data, or receives the primary's."""
    name, replication = group.name(instance), instance.replication
    if instance.disk_fails:
        return disk_problem(name)
    if instance.problem and (told := server_problem(name, instance)):
        return told
    if not instance.responds:
        return "Unreachable", f"{name} runs, and does not answer: {_CHECK}"
    if not instance.is_loaded or replication.is_copying or group.is_attached(instance):
        return None
    problem = f"its link to {replication.upstream} is down" if replication.upstream else "it follows nobody"
    return "LinkDown", f"{name} runs, and {problem}: {_CHECK}"
