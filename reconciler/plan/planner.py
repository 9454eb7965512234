"""What to do about a storage, decided from its observed state. Pure.

Each step can be repeated, and after a crash between any two the reconciler just plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import Plan, apart
from reconciler.plan import desired_objects, external_storage, secrets
from reconciler.plan.change import FOLLOWING_SECONDS
from reconciler.plan.deletion import status_of_deleted
from reconciler.plan.health import was_ready
from reconciler.plan.instance_count import preset_for_now
from reconciler.plan.managed_storage import WAITING_SECONDS, lead_clients, plan_managed
from reconciler.plan.ownership import Ownership
from reconciler.plan.repairs import Mending
from reconciler.plan.status import report
from reconciler.plan.troubles import troubled
from reconciler.plan.verdict import Verdict
from reconciler.rotation.rotation_plan import plan_external_rotation
from reconciler.state.external_store import ExternalFacts
from shared import names

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import External, SessionStorageSpec

FOR_THE_USER_SECONDS: Final = 60.0
"""How often the reconciler looks at something that only a person can change, where no event would tell."""


def plan(state: StorageState, settings: StorageSettings, now: datetime) -> Plan:
    """Decide what to do about one storage."""
    spec = state.storage.spec
    if state.storage.is_terminating:
        status, events = status_of_deleted(state.storage, now)
        return Plan(status=status, events=events, requeue_after_seconds=FOR_THE_USER_SECONDS)
    if spec is None:
        return report(state, Verdict.invalid(state.storage.spec_problem), now, FOR_THE_USER_SECONDS)
    if (unsettled := _plan_ownership(state, spec, settings, now)) is not None:
        return unsettled
    if spec.external is not None:
        return _plan_external(state, spec.external, settings, now)
    return plan_managed(state, spec, settings, now)


def _plan_ownership(
    state: StorageState, spec: SessionStorageSpec, settings: StorageSettings, now: datetime
) -> Plan | None:
    """Take over what a person has agreed to, or wait for that; None once all that exists is the storage's own."""
    ownership = Ownership.of(state)
    if obstacle := ownership.obstacle:
        told = report(state, obstacle, now, WAITING_SECONDS)
        if spec.external is None and ownership.leads_clients:
            return lead_clients(told, state, preset_for_now(state, spec, settings.sizes), now)
        return replace(told, strands=apart(ownership.safeguards))
    if ownership.is_pending or ownership.adoptions:
        return Plan(apart(ownership.adoptions), requeue_after_seconds=FOLLOWING_SECONDS)
    return None


def _plan_external(state: StorageState, spec: External, settings: StorageSettings, now: datetime) -> Plan:
    """Publish a connection once it has worked; until a new one works, consumers keep the one that they have."""
    facts, mending = state.external or ExternalFacts(), Mending(state.outcomes, now)
    owner, present = desired_objects.owner_of(state.storage), secrets.connection_of(state)
    record = external_storage.record_after(facts, present, state.rotation, now)
    desired = external_storage.desired_connection(owner, facts, present)
    noted = record.put_on(desired) if desired is not None else None
    publication = secrets.publish(noted, state, mending)
    published = present if publication.is_over else None
    rotation = plan_external_rotation(publication.known_to(state), record, settings.rotation, now, published=published)
    name = names.connection_secret(state.storage.name) if desired is not None else ""
    verdict = external_storage.judge(spec, facts, was_ready=was_ready(state.storage), connection_secret=name)
    pause = rotation.pause
    if pause is None:
        pause = external_storage.pause_seconds(facts, external_storage.failing_for(state.storage, now))
    verdict = troubled(state, verdict.rotating(rotation), publication, ())
    strands = (*apart(publication.steps), rotation.steps)
    return replace(report(state, verdict, now, pause), strands=tuple(filter(None, strands)))
