"""Which instances a rotation waits for, and why. Pure.

A rotation takes a step only once the reconciler saw every instance know the passwords of the auth Secret: accept all
that it must, and log in to its primary with the present one. Until then, instances accept the former ones. So an
instance that was cut off, could not resolve a name, or restarted with what kubelet had mounted, finds a password that
works whenever it comes back, and lets the reconciler in.

An instance that does not answer may come back with what its pod has: the ACL file that it saved, and what kubelet
mounted. The rotation does not wait for one whose pod has nothing, because it has never been on a node, or whose pod is
being deleted, so that all of it goes. What starts in its place has what the auth Secret held at most
`RotationSettings.refresh` ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.rotation import phases
from reconciler.state import pod_status
from shared import names
from shared.objects.resources import STATEFUL_SETS, is_terminating

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.rotation.phases import RotationSettings
    from reconciler.state.instance import Instance
    from reconciler.state.storage_state import StorageState


@dataclass(frozen=True, slots=True)
class Awaited:
    """An instance that a rotation waits for.

    Attributes:
        name: Its StatefulSet.
        reason: What is the matter with it, to follow the words "which ...".
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}, which {self.reason}"


def hindrances(state: StorageState, settings: RotationSettings, now: datetime) -> tuple[Awaited, ...]:
    """List what keeps a rotation from its next step, in the order of the instances' numbers."""
    if not state.instances:
        return (Awaited(state.storage.name, "has no instance yet"),)
    is_mounted_anew = state.rotation.has_stood_for(settings.refresh, now)
    waiting = (
        instance
        for instance in state.instances
        if not phases.knows(instance, state.key_ring) and not (is_mounted_anew and _loses_all(state, instance))
    )
    return tuple(Awaited(_name(state, instance), _reason(instance, now)) for instance in waiting)


def _loses_all(state: StorageState, instance: Instance) -> bool:
    """Tell whether nothing comes back of what an instance had: neither its memory nor the files of its pod."""
    if instance.responds:
        return False
    if pod_status.has_nothing(instance.pod):
        return True
    # Consumers may still reach a primary that the reconciler does not, until another instance takes over.
    is_primary = state.primary_service is None or state.primary_service.primary == instance.index
    workload = state.child(STATEFUL_SETS, _name(state, instance))
    return not is_primary and (is_terminating(instance.pod) or is_terminating(workload))


def _name(state: StorageState, instance: Instance) -> str:
    return names.valkey_instance(state.storage.name, instance.index)


def _reason(instance: Instance, now: datetime) -> str:
    if instance.accepts_operator:
        return "does not know the present passwords yet"
    if instance.problem == "refused":
        return "does not let the reconciler in"
    if obstacle := instance.obstacle:
        return f"does not run: {obstacle.message}"
    if instance.pod is None:
        return "has no pod"
    return "is starting" if pod_status.is_starting(instance.pod, now) else "does not answer"
