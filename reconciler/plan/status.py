"""What the reconciler writes about a storage for its users: status and Events, where they change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import Plan
from reconciler.failover.consent import FAILOVER_BLOCKED
from reconciler.plan.change import PLANNED
from reconciler.plan.failed_pass import RECONCILED
from reconciler.plan.health import AVAILABLE, NO_REPLICA, READY
from reconciler.plan.progress import RECONCILING, STALLED, progress
from reconciler.plan.repairs import CHANGES_ACCEPTED
from reconciler.rotation.overdue import OVERDUE, password_overdue
from shared import names
from shared.objects.conditions import Finding, conditions
from shared.objects.events import EventNote
from shared.session_storage.status import Condition, Phase, RotationPhase, SessionStorageStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.plan.hindrance import Hindrance
    from reconciler.plan.verdict import Verdict
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object

CONSUMERS_ADMITTED: Final = "ConsumersAdmitted"

_ORDINARY: Final = frozenset({"Provisioning", "Starting", "LoadingData", NO_REPLICA})
"""Reasons that every storage passes through."""
_CALM: Final = frozenset(
    {*(phase.value for phase in RotationPhase), "Decided", "Resizing", "UpToDate", "WaitsForItsTurn"}
)
"""Reasons that every rotation, or change, passes through."""
_BAD_IF_TRUE: Final = frozenset({FAILOVER_BLOCKED, OVERDUE})
"""Conditions that are true when something is the matter."""
_IN_FIRST_EVENT: Final = frozenset({READY, AVAILABLE})
"""Conditions whose change the first Event of a pass reports."""
_IN_OTHER_EVENTS: Final = frozenset({RECONCILING, STALLED})
"""Conditions that repeat for tools what another one says."""
LISTED_CONSUMERS: Final = 10
"""How many names a message holds; it counts the rest."""


def report(state: StorageState, verdict: Verdict, now: datetime, pause: float) -> Plan:
    """Plan nothing but the new status and Events."""
    status, events = status_of(state, verdict, now)
    return Plan(status=status, events=events, requeue_after_seconds=pause)


def status_of(state: StorageState, verdict: Verdict, now: datetime) -> tuple[Object | None, tuple[EventNote, ...]]:
    """Build the new status and the Events that tell of a change; (None, ()) if nothing changed."""
    old, generation = state.storage.status, state.storage.generation
    ready = Finding(READY, "True" if verdict.is_ready else "False", verdict.reason, verdict.message)
    further = filter(None, (password_overdue(state, now), progress(verdict)))
    findings = (ready, *verdict.also, *_sharing(state), *further)
    existing = [item.to_object() for item in old.conditions]
    new = SessionStorageStatus(
        phase=verdict.phase,
        reason=verdict.phase_reason,
        message=verdict.phase_message,
        connection_secret=verdict.connection_secret or None,
        endpoint=verdict.endpoint or None,
        primary=verdict.primary or None,
        primary_pod=names.instance_pod(verdict.primary) if verdict.primary else None,
        size=verdict.size or old.size,
        instances=_in_sync(verdict),
        rotation=verdict.rotation,
        nodes=list(verdict.instances),
        last_failover=verdict.last_failover,
        observed_generation=generation,
        conditions=[
            *(Condition.model_validate(item) for item in conditions(findings, existing, generation, now)),
            *(item for item in old.conditions if state.is_failing and item.type == RECONCILED),
        ],
    )
    return (None, ()) if new == old else (new.to_object(), _events(old, new, verdict))


def _in_sync(verdict: Verdict) -> str | None:
    """Count the instances that are in sync, of those that the size asks for; None without an instance of ours."""
    if verdict.wanted is None:
        return None
    return f"{sum(each.synced for each in verdict.instances)}/{verdict.wanted}"


def _sharing(state: StorageState) -> tuple[Finding, ...]:
    """Name the consumers that may not use the storage, and those whose namespace has something in the way."""
    storage, sharing = state.storage, state.sharing
    found = []
    if sharing.refused:
        message = (
            f"not shared with {_listed([str(consumer) for consumer in sharing.refused])}: add their namespaces to"
            " spec.allowedNamespaces, or let somebody who may use this storage take the reference out and put it in"
            " again"
        )
        found.append(("NotPermitted", message))
    if sharing.obstructed:
        name = names.mirrored_connection_secret(storage.name, storage.namespace)
        message = (
            f"somebody else made Secret {name} in {_listed(sharing.obstructed)}: delete it, and the reconciler makes"
            " its own there"
        )
        found.append(("NameTaken", message))
    if not found:
        return ()
    return (Finding(CONSUMERS_ADMITTED, "False", found[0][0], "; ".join(message for _, message in found)),)


def _listed(names_of: Sequence[str]) -> str:
    more = f" and {len(names_of) - LISTED_CONSUMERS} more" if len(names_of) > LISTED_CONSUMERS else ""
    return f"{', '.join(names_of[:LISTED_CONSUMERS])}{more}"


def _events(old: SessionStorageStatus, new: SessionStorageStatus, verdict: Verdict) -> tuple[EventNote, ...]:
    before = {item.type: item for item in old.conditions}
    ready = before.get(READY)
    events = [
        EventNote("Normal" if _is_calm(item, verdict.hindrance) else "Warning", item.reason, item.message)
        for item in new.conditions
        if item.type not in _IN_FIRST_EVENT | _IN_OTHER_EVENTS
        and (item.type != CHANGES_ACCEPTED or item.message != verdict.message)
        and ((was := before.get(item.type)) is None or was.message != item.message)
    ]
    if ready is None or ready.reason != verdict.reason:
        events.insert(0, _readiness(verdict))
    elif new.phase is not old.phase and not (verdict.hindrance and _is_told(verdict.hindrance, events)):
        events.insert(0, _hindrance(verdict.hindrance) if verdict.hindrance else _readiness(verdict))
    if (moved := new.last_failover) is not None and moved != old.last_failover:
        note = f"{new.primary or 'another instance'} is the primary now; that took {moved.seconds:g} s"
        events.append(EventNote("Normal" if moved.reason in PLANNED else "Warning", moved.reason, note))
    return tuple(events)


def _is_calm(item: Condition, hindrance: Hindrance | None) -> bool:
    """Tell whether a condition needs nobody's attention."""
    if hindrance is not None and item.reason == hindrance.reason:
        return False
    return (item.status == "True") is not (item.type in _BAD_IF_TRUE) or item.reason in _CALM


def _readiness(verdict: Verdict) -> EventNote:
    is_calm = verdict.is_ready or (verdict.phase is Phase.PROVISIONING and verdict.reason in _ORDINARY)
    return EventNote("Normal" if is_calm else "Warning", verdict.reason, verdict.message)


def _hindrance(hindrance: Hindrance) -> EventNote:
    return EventNote("Warning", hindrance.reason, hindrance.message)


def _is_told(hindrance: Hindrance, events: Sequence[EventNote]) -> bool:
    """Tell whether the Event of a condition names what hinders the storage."""
    return any(hindrance.message in event.note for event in events)
