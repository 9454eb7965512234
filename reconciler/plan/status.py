"""What is written about a storage for its users: status and Events, where they change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.plan.health import AVAILABLE, FAILOVER_BLOCKED, READY, Verdict
from reconciler.plan.rolling_update import PLANNED
from reconciler.state.mirrored_secrets import taken
from shared import names
from shared.consumers.access import is_admitted
from shared.objects.conditions import Finding, conditions
from shared.objects.events import EventNote
from shared.session_storage.models import Phase, RotationPhase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.state.storage_state import Observed
    from shared.objects.resources import Object

CONSUMERS_ADMITTED: Final = "ConsumersAdmitted"

_ORDINARY: Final = frozenset({"Provisioning", "Starting", "LoadingData"})
"""Reasons that every storage passes through."""
_CALM: Final = frozenset(
    {*(phase.value for phase in RotationPhase), "Decided", "Resizing", "UpToDate", "WaitsForItsTurn"}
)
"""Reasons that every rotation, or change, passes through."""
_TOLD_ALREADY: Final = frozenset({READY, AVAILABLE})
"""Conditions whose change is told by the first Event of a pass."""
LISTED_CONSUMERS: Final = 10
"""How many names a message holds; the rest is counted."""


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
        "size": verdict.size or old.get("size"),
        "rotation": verdict.rotation,
        "nodes": list(verdict.instances),
        "lastFailover": verdict.last_failover,
        "observedGeneration": generation,
        "conditions": conditions(findings, old.get("conditions", []), generation, now),
    }
    new = {key: value for key, value in new.items() if value not in ("", None, [])}
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
        if kind not in _TOLD_ALREADY and before.get(kind, {}).get("message") != item["message"]:
            is_calm = (item["status"] == "True") is not (kind == FAILOVER_BLOCKED) or item["reason"] in _CALM
            events.append(EventNote("Normal" if is_calm else "Warning", item["reason"], item["message"]))
    if (moved := new.get("lastFailover")) and moved != old.get("lastFailover"):
        note = f"{new.get('primary') or 'another instance'} is the primary now; that took {moved['seconds']:g} s"
        events.append(EventNote("Normal" if moved["reason"] in PLANNED else "Warning", moved["reason"], note))
    return tuple(events)
