"""What to tell users about a storage: phase, conditions and Events, from what was observed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Self

from reconciler import pods
from reconciler.mirrors import taken
from shared import names
from shared.conditions import Finding, conditions
from shared.sessionstorage import Phase, RotationPhase
from shared.sharing import is_admitted
from shared.sizes import DEFAULT_SIZE, Size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.observe import Observed
    from reconciler.rotating import Turn
    from shared.resources import Object
    from shared.sessionstorage import SessionStorageSpec

READY: Final = "Ready"
REDUNDANT: Final = "Redundant"
SIZE_APPLIED: Final = "SizeApplied"
CONSUMERS_ADMITTED: Final = "ConsumersAdmitted"

PRIMARY_ROLE: Final = "master"
_ORDINARY: Final = frozenset({"Provisioning", "Starting", "LoadingData"})
"""Reasons that every storage passes through."""
_CALM: Final = frozenset(phase.value for phase in RotationPhase)
"""Reasons that every rotation passes through."""
MAX_QUOTED: Final = 1024
"""Characters of other people's words that a message repeats."""
LISTED_CONSUMERS: Final = 10
"""How many names a message holds; the rest is counted."""


@dataclass(frozen=True, slots=True)
class EventNote:
    """One Event about a storage, before it has a time."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a storage in one sentence.

    Attributes:
        phase: Its phase.
        reason: Why it is or is not ready, as one CamelCase word.
        message: The same as a sentence, with the next step if somebody must act.
        primary: The node that takes writes, if one does.
        connection_secret: Name of the connection Secret, once there is one.
        also: What else there is to say, each as a condition.
        rotation: How far the newest rotation is, as the status has it.
        size: The size that runs, if that is known now.
    """

    phase: Phase
    reason: str
    message: str
    primary: str = ""
    connection_secret: str = ""
    also: tuple[Finding, ...] = ()
    rotation: Object | None = field(default=None, hash=False)
    size: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether consumers can use the storage."""
        return self.phase in {Phase.READY, Phase.ROTATING}

    def rotating(self, turn: Turn) -> Self:
        """Tell of a rotation too; a storage that rotates can be used all the time."""
        phase = Phase.ROTATING if turn.is_under_way and self.is_ready else self.phase
        also = (*self.also, turn.finding) if turn.finding is not None else self.also
        return replace(self, phase=phase, also=also, rotation=turn.progress)

    @classmethod
    def invalid(cls, problems: str) -> Self:
        """The spec cannot be read; only objects from before the CRD's rules get here."""
        return cls(Phase.FAILED, "InvalidSpec", problems)

    @classmethod
    def name_taken(cls, taken: Sequence[str]) -> Self:
        """Objects of our names belong to somebody else, or to a storage of this name that is being deleted."""
        return cls(
            Phase.PENDING,
            "NameTaken",
            f"{', '.join(taken)} in this namespace does not belong to this storage:"
            " delete it, or give the storage another name",
        )

    @classmethod
    def refused(cls, error: str) -> Self:
        """The API server refused a write, and would refuse it again."""
        return cls(Phase.FAILED, "ApplyRefused", f"Kubernetes refused an object of this storage: {error[:MAX_QUOTED]}")


def was_ready(storage: Object) -> bool:
    """Tell whether consumers could use the storage at some time before."""
    return storage.get("status", {}).get("phase") in {Phase.READY, Phase.ROTATING, Phase.DEGRADED}


def judge(observed: Observed, spec: SessionStorageSpec, running: Size, now: datetime) -> Verdict:
    """Sum up a managed storage."""
    name = observed.storage["metadata"]["name"]
    has_connection = ("secrets", names.connection_secret(name)) in observed.children
    facts = observed.node.facts
    is_primary = facts is not None and facts.role == PRIMARY_ROLE and not facts.is_loading
    is_serving = has_connection and is_primary and not observed.node.problem
    reason, message = ("StorageReady", "Storage is ready and secured") if is_serving else _obstacle(observed, now)
    unready_phase = Phase.DEGRADED if was_ready(observed.storage) else Phase.PROVISIONING
    return Verdict(
        phase=Phase.READY if is_serving else unready_phase,
        reason=reason,
        message=message,
        primary=names.valkey_node(name, 0) if is_serving else "",
        connection_secret=names.connection_secret(name) if has_connection else "",
        also=tuple(finding for finding in (_redundancy(spec), _size(spec, running)) if finding),
        size=running.value,
    )


def _obstacle(observed: Observed, now: datetime) -> tuple[str, str]:
    pod, facts = observed.node.pod, observed.node.facts
    if pod is None:
        return "Provisioning", "Valkey's objects are being created"
    if observed.node.problem == "refused":
        return "CredentialRefused", f"Valkey does not accept the passwords of the auth Secret ({observed.node.detail})"
    if facts is not None and facts.is_loading:
        return "LoadingData", "Valkey is reading its data from disk"
    if blocked := pods.obstacle(pod):
        return blocked.reason, blocked.message
    if pods.is_starting(pod, now):
        return "Starting", "Valkey is starting"
    return (
        "Unreachable",
        f"pod {pod['metadata']['name']} does not answer: see its log and the NetworkPolicies around it",
    )


def _redundancy(spec: SessionStorageSpec) -> Finding | None:
    if spec.size is not Size.LARGE:
        return None
    message = "large runs one primary for now: replicas and automatic failover come with a later release"
    return Finding(REDUNDANT, "False", "NotRedundantYet", message)


def _size(spec: SessionStorageSpec, running: Size) -> Finding | None:
    wanted = spec.size or DEFAULT_SIZE
    if wanted is running:
        return None
    message = (
        f"the storage runs as {running} and was asked to become {wanted}: resizing a running storage comes with a"
        f" later release; set spec.size back to {running}, or create a new SessionStorage"
    )
    return Finding(SIZE_APPLIED, "False", "ResizeWaits", message)


def status_of(observed: Observed, verdict: Verdict, now: datetime) -> tuple[Object | None, tuple[EventNote, ...]]:
    """Write the new status and the Events that tell of a change; (None, ()) if nothing changed."""
    old: Object = observed.storage.get("status", {})
    generation: int = observed.storage["metadata"].get("generation", 0)
    ready = Finding(READY, "True" if verdict.is_ready else "False", verdict.reason, verdict.message)
    findings = (ready, *verdict.also, *_sharing(observed))
    new: Object = {
        "phase": verdict.phase.value,
        "message": verdict.message,
        "connectionSecret": verdict.connection_secret,
        "primary": verdict.primary,
        "rotation": verdict.rotation,
        "size": verdict.size or old.get("size"),
        "observedGeneration": generation,
        "conditions": conditions(findings, old.get("conditions", []), generation, now),
    }
    new = {key: value for key, value in new.items() if value not in ("", None)}
    if new == old:
        return None, ()
    return new, _events(old, new, verdict)


def _sharing(observed: Observed) -> tuple[Finding, ...]:
    """Name the consumers that may not use the storage, and those whose namespace has something in the way."""
    metadata = observed.storage["metadata"]
    refused = [
        str(usage.consumer)
        for usage in observed.usages
        if not usage.is_going and not is_admitted(observed.storage, usage)
    ]
    if refused:
        message = (
            f"not shared with {_listed(refused)}: add their namespaces to spec.allowedNamespaces, or let somebody who"
            " may use this storage take the reference out and put it in again"
        )
        return (Finding(CONSUMERS_ADMITTED, "False", "NotPermitted", message),)
    if blocked := taken((metadata["namespace"], metadata["name"]), observed.mirrors):
        name = names.mirrored_connection_secret(metadata["name"], metadata["namespace"])
        message = f"Secret {name} in {_listed(blocked)} was made by somebody else: delete it, and ours takes its place"
        return (Finding(CONSUMERS_ADMITTED, "False", "NameTaken", message),)
    return ()


def _listed(names_of: Sequence[str]) -> str:
    more = f" and {len(names_of) - LISTED_CONSUMERS} more" if len(names_of) > LISTED_CONSUMERS else ""
    return f"{', '.join(names_of[:LISTED_CONSUMERS])}{more}"


def _events(old: Object, new: Object, verdict: Verdict) -> tuple[EventNote, ...]:
    events = []
    before = {item["type"]: item for item in old.get("conditions", [])}
    after = {item["type"]: item for item in new["conditions"]}
    if (before.get(READY, {}).get("reason"), old.get("phase")) != (verdict.reason, new["phase"]):
        is_calm = verdict.is_ready or (verdict.phase is Phase.PROVISIONING and verdict.reason in _ORDINARY)
        events.append(EventNote("Normal" if is_calm else "Warning", verdict.reason, verdict.message))
    for kind, item in after.items():
        if kind != READY and before.get(kind, {}).get("message") != item["message"]:
            is_calm = item["status"] == "True" or item["reason"] in _CALM
            events.append(EventNote("Normal" if is_calm else "Warning", item["reason"], item["message"]))
    return tuple(events)
