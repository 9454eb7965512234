"""What to do about a storage, decided from its observed state. Pure.

The steps come in the order of the proposal: auth Secret, NetworkPolicy, configuration, workload, Services,
connection Secret, status. Each can be repeated, and after a crash between any two the reconciler just plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Delete, Write
from reconciler.actions.plan import RECHECK_SECONDS, Plan
from reconciler.failover.decision import LookAgain, decide_primary
from reconciler.failover.replication import replication_steps
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.manifests import disruption_budget, secrets
from reconciler.plan import auth_secret, connection_secret, desired_objects, external_storage
from reconciler.plan.desired_instances import DesiredInstances
from reconciler.plan.drift import repair, versioned
from reconciler.plan.health import Verdict, is_out_of_service, judge, was_ready
from reconciler.plan.ownership import foreign_children
from reconciler.plan.rolling_update import next_change
from reconciler.plan.status import status_of
from reconciler.rotation.rotation_plan import plan_external_rotation, plan_managed_rotation
from reconciler.state import pod_status
from reconciler.state.external_store import ExternalFacts
from shared import names
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.plan.desired_objects import DesiredObjects
    from reconciler.plan.settings import StorageSettings
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object, Resource
    from shared.session_storage.models import External, SessionStorageSpec

STARTING_SECONDS: Final = 0.2
"""How soon the reconciler asks an instance again that has an address but no answer yet; Valkey starts in about
0.1 s."""
WAITING_SECONDS: Final = 5.0
"""How soon the reconciler asks an instance again that should answer and does not."""
FOR_THE_USER_SECONDS: Final = 60.0
"""How often the reconciler looks at something that only a person can change, where no event would tell."""


def plan(state: StorageState, settings: StorageSettings, now: datetime) -> Plan:
    """Decide what to do about one storage."""
    spec = state.storage.spec
    if state.storage.is_deleted:
        return Plan(requeue_after_seconds=FOR_THE_USER_SECONDS)
    if spec is None:
        return _concluded(state, Verdict.invalid(state.storage.spec_problem), now, FOR_THE_USER_SECONDS)
    if foreign := foreign_children(state):
        return _concluded(state, Verdict.name_taken(foreign), now, WAITING_SECONDS)
    if spec.external is not None:
        return _plan_external(state, spec.external, settings, now)
    return _plan_managed(state, spec, settings, now)


def _plan_external(state: StorageState, spec: External, settings: StorageSettings, now: datetime) -> Plan:
    """Publish a connection once it has worked; one that does not work leaves consumers with what they have."""
    facts = state.external or ExternalFacts()
    present = state.child(SECRETS, names.connection_secret(state.storage.name))
    record = external_storage.record_after(facts, state.rotation, now)
    desired = external_storage.desired_connection(desired_objects.owner_of(state.storage), spec, facts) or present
    connection = connection_secret.publish(
        record.put_on(desired) if desired is not None else None, present, state.sharing
    )
    rotation = plan_external_rotation(
        state, record, settings.rotation, now, published=present if not connection else None
    )
    verdict = external_storage.judge(
        spec,
        facts,
        was_ready=was_ready(state.storage),
        connection_secret=names.connection_secret(state.storage.name) if desired is not None else "",
    )
    pause = external_storage.pause_seconds(facts) if rotation.pause is None else rotation.pause
    concluded = _concluded(state, verdict.rotating(rotation), now, pause)
    return replace(concluded, steps=(*connection, *rotation.steps))


def _plan_managed(state: StorageState, spec: SessionStorageSpec, settings: StorageSettings, now: datetime) -> Plan:
    """Bring every object to what it should be; only then go on with a rotation, a planned move or an update."""
    owner, group = desired_objects.owner_of(state.storage), ReplicationGroup.of(state, spec.preset)
    decision = decide_primary(group, state.storage.requests.promotion)
    change = next_change(group, _desired_instances(state, spec, group, settings, now))
    verdict = judge(state, spec, group, decision, now).changing(change, state.storage)
    if auth := auth_secret.complete(state, owner):
        return replace(_concluded(state, verdict, now, 0), steps=(auth,))
    budget = disruption_budget.primary_budget(owner, is_out_of_service=is_out_of_service(state.storage, group, now))
    objects = _object_steps(state, desired_objects.build(state, spec, group, change.instances, settings), budget)
    connection = connection_secret.publish(
        secrets.connection_secret(owner, state.key_ring.current[names.KEY_PASSWORD]),
        state.child(SECRETS, names.connection_secret(owner.name)),
        state.sharing,
    )
    # A Service that this pass puts right is not the version that a failover could claim.
    is_service_right = not any(isinstance(step, Write) for step in objects)
    availability = tuple(replication_steps(group, decision, now)) if is_service_right else ()
    rotation = plan_managed_rotation(state, owner, settings.rotation, now, is_published=not connection)
    repairs = (*objects, *connection, *availability)
    waits = decision.seconds if isinstance(decision, LookAgain) else None
    pauses = (_pause(group, verdict, now), rotation.pause, waits, change.pause)
    concluded = _concluded(state, verdict.rotating(rotation), now, min(each for each in pauses if each is not None))
    return replace(
        concluded,
        steps=(
            *repairs,
            *rotation.steps,
            *auth_secret.restart_outdated_pods(state),
            *(() if repairs else change.steps),  # planned changes wait until everything else is right
        ),
        is_changing=change.is_under_way and state.may_update,
    )


def _object_steps(state: StorageState, desired: DesiredObjects, primary_budget: Object) -> tuple[Step, ...]:
    """Bring everything but Secrets to what it should be, in the order of the proposal."""
    service = state.child(SERVICES, names.valkey(state.storage.name))
    return (
        *_repairs(state, NETWORK_POLICIES, desired.network_policy),
        *_repairs(state, CONFIG_MAPS, desired.config_map),
        *_repairs(state, STATEFUL_SETS, *desired.stateful_sets),
        *_repairs(state, SERVICES, *desired.services),
        *filter(None, [versioned(SERVICES, desired.primary_service, service)]),
        *_repairs(state, DISRUPTION_BUDGETS, *filter(None, [desired.replicas_budget]), primary_budget),
        *(Delete.of(resource, obj) for resource, obj in desired.superfluous),
    )


def _repairs(state: StorageState, resource: Resource, *desired: Object) -> Iterator[Step]:
    for obj in desired:
        if step := repair(resource, obj, state.child(resource, obj["metadata"]["name"])):
            yield step


def _desired_instances(
    state: StorageState, spec: SessionStorageSpec, group: ReplicationGroup, settings: StorageSettings, now: datetime
) -> DesiredInstances:
    present = desired_objects.workloads(state)
    request = state.storage.requests.switchover
    handled = group.service.record.handled if group.service is not None else ""
    return DesiredInstances(
        count=spec.preset.replicas,
        present=present,
        target={index: desired_objects.workload(state, spec, index, settings) for index in present},
        volume_claims=state.claims,
        undersized=desired_objects.undersized(state, spec),
        nodes=state.nodes,
        requested_switchover=request if request != handled else "",
        # The user wants another size now; only what the installation wants of all storages goes one by one.
        may_update=state.may_update or bool(group.sizes - {spec.size or DEFAULT_SIZE}),
        now=now,
    )


def _pause(group: ReplicationGroup, verdict: Verdict, now: datetime) -> float:
    if verdict.is_ready and len(group.synced) == len(group.others):
        return RECHECK_SECONDS
    is_starting = any(
        pod_status.address(instance.pod) and pod_status.is_starting(instance.pod, now) for instance in group.instances
    )
    return STARTING_SECONDS if is_starting else WAITING_SECONDS


def _concluded(state: StorageState, verdict: Verdict, now: datetime, pause: float) -> Plan:
    status, events = status_of(state, verdict, now)
    return Plan(status=status, events=events, requeue_after_seconds=pause)
