"""Whether the pods of a consumer all run with a given revision of its credential. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shared.names import ANNOTATION_REVISION
from shared.objects.conditions import holds
from shared.objects.resources import is_terminating

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from shared.consumers.credential_revision import CredentialRevision
    from shared.consumers.identity import Consumer
    from shared.objects.resources import Object

_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet that runs pods of a consumer, and those pods."""

    obj: Object
    pods: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class StampPlace:
    """Where a consumer gets the stamp that restarts it.

    Attributes:
        annotation: Name of the annotation.
        is_bare: Whether the object has no annotation yet.
    """

    annotation: str = ANNOTATION_REVISION
    is_bare: bool = False

    @classmethod
    def of(cls, consumer: Object, annotation: str) -> Self:
        """Look whether a consumer has annotations; one that is connected to a storage does."""
        return cls(annotation, is_bare=not consumer["metadata"].get("annotations"))


@dataclass(frozen=True, slots=True)
class CredentialRollout:
    """How far one user of a credential is with a revision of it.

    Attributes:
        name: What messages call the user of the credential.
        consumer: The consumer that uses the credential; None for a pod of no consumer, which a stamp cannot restart.
        stamp: The stamp that the consumer got, if it is for this revision.
        is_done: Whether all its pods started with the revision and are ready.
        obstacle: Why it is not done; messages put it after the name and a colon.
        is_refused: Whether the API server lately refused to stamp it.
        addresses: Addresses of its pods that started with the revision.
        place: Where to stamp it.
    """

    name: str
    consumer: Consumer | None = None
    stamp: CredentialRevision | None = None
    is_done: bool = False
    obstacle: str = ""
    is_refused: bool = False
    addresses: frozenset[str] = frozenset()
    place: StampPlace = StampPlace()

    def is_stuck(self, patience: timedelta, now: datetime) -> bool:
        """Tell whether other consumers no longer wait for it: it is not done, and the reconciler cannot speed it up."""
        if self.is_done:
            return False
        return self.is_refused or self.consumer is None or (self.stamp is not None and now - self.stamp.at >= patience)


def rollout_of(consumer: Consumer, stamp: CredentialRevision, workloads: Iterable[Workload]) -> CredentialRollout:
    """Tell how far a stamped consumer is, by its workloads."""
    seen = tuple(workloads)
    obstacle = next(filter(None, (_obstacle(workload, stamp) for workload in seen)), "")
    current = [pod for workload in seen for pod in workload.pods if _started_with(pod, stamp)]
    addresses = frozenset(address for pod in current for address in addresses_of(pod))
    return CredentialRollout(str(consumer), consumer, stamp, not obstacle, obstacle, addresses=addresses)


def addresses_of(pod: Object) -> list[str]:
    """List the addresses of a pod, of every family."""
    return [entry["ip"] for entry in pod.get("status", {}).get("podIPs", []) if entry.get("ip")]


def is_alive(pod: Object) -> bool:
    """Tell whether a process may run in a pod now or later; also while Kubernetes is ending it."""
    return pod.get("status", {}).get("phase") not in _ENDED


def _obstacle(workload: Workload, stamp: CredentialRevision) -> str:
    metadata, status = workload.obj["metadata"], workload.obj.get("status", {})
    alive = [pod for pod in workload.pods if is_alive(pod)]
    if before := [pod["metadata"]["name"] for pod in alive if not _started_with(pod, stamp)]:
        return f"pod {before[0]} started with the former credential"
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return f"the rollout of {metadata['name']} has not begun"
    wanted, ready = workload.obj["spec"].get("replicas", 1), sum(map(_is_ready, alive))
    return f"{ready} of {wanted} pods of {metadata['name']} are ready" if ready < wanted else ""


def _started_with(pod: Object, stamp: CredentialRevision) -> bool:
    annotations: Object = pod["metadata"].get("annotations") or {}
    return bool(annotations.get(stamp.annotation) == stamp.revision)


def _is_ready(pod: Object) -> bool:
    return not is_terminating(pod) and holds(pod, "Ready")
