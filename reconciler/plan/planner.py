"""What to do about a storage, decided from its observed state. Pure.

The steps come by importance: first what keeps the storage available, then the way of its clients, then repairs in the
order of the proposal (auth Secret, NetworkPolicy, configuration, workload, Services, connection Secret), copies, a
rotation, and last planned changes. A step that fails holds up only what builds on it. Each can be repeated, and after a
crash between any two the reconciler just plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import RECHECK_SECONDS, Plan, apart
from reconciler.actions.valkey import Promote, Resume, SwitchOver
from reconciler.credentials import identities
from reconciler.failover.consent import Consent, Outage
from reconciler.failover.decision import STOPPING_SECONDS, LookAgain, decide_primary
from reconciler.failover.replication import replication_steps, strands_of
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.manifests.disruption_budget import primary_budget
from reconciler.manifests.secrets import connection_secret
from reconciler.plan import desired_objects, external_storage, placement, secrets
from reconciler.plan.change import FOLLOWING_SECONDS
from reconciler.plan.desired_instances import DesiredInstances
from reconciler.plan.desired_objects import Layout
from reconciler.plan.drift import repair, repair_if_unchanged
from reconciler.plan.health import Verdict, is_out_of_service, judge, was_ready
from reconciler.plan.ownership import Ownership, adopt_mounted_claims, foreign_claims, own_claims
from reconciler.plan.repairs import Mending, Repair
from reconciler.plan.rolling_update import may_go_on, next_change
from reconciler.plan.secrets import Publication
from reconciler.plan.status import status_of
from reconciler.plan.troubles import troubled
from reconciler.rotation.rotation_plan import plan_external_rotation, plan_managed_rotation
from reconciler.state import pod_status
from reconciler.state.external_store import ExternalFacts
from shared import names
from shared.objects.resources import DISRUPTION_BUDGETS, SECRETS
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.failover.decision import Decision
    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.state.credential_rollout import CredentialRollout
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Resource
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
    if state.storage.is_terminating:
        return Plan(requeue_after_seconds=FOR_THE_USER_SECONDS)
    if spec is None:
        return _report(state, Verdict.invalid(state.storage.spec_problem), now, FOR_THE_USER_SECONDS)
    if (unsettled := _plan_ownership(state, spec, now)) is not None:
        return unsettled
    if spec.external is not None:
        return _plan_external(state, spec.external, settings, now)
    return _plan_managed(state, spec, settings, now)


def _plan_ownership(state: StorageState, spec: SessionStorageSpec, now: datetime) -> Plan | None:
    """Take over what a person has agreed to, or wait for that; None once all that exists is the storage's own."""
    ownership = Ownership.of(state)
    if obstacle := ownership.obstacle:
        report = _report(state, obstacle, now, WAITING_SECONDS)
        if spec.external is None and ownership.leads_clients:
            return _lead_clients(report, state, spec, now)
        return replace(report, strands=apart(ownership.safeguards))
    if ownership.is_pending or ownership.adoptions:
        return Plan(apart(ownership.adoptions), requeue_after_seconds=FOLLOWING_SECONDS)
    return None


def _decide(state: StorageState, group: ReplicationGroup, now: datetime) -> Decision:
    """Decide which instance has to be primary; a person's consent counts in the outage that the last status told of."""
    outage = Outage.of(state.storage, group.service, now)
    return decide_primary(group, Consent.of(state.storage.requests.promotion), outage)


def _lead_clients(report: Plan, state: StorageState, spec: SessionStorageSpec, now: datetime) -> Plan:
    """Keep a primary, and lead clients there, although something else of the storage is not its own."""
    group = ReplicationGroup.of(state, spec.preset)
    decision = _decide(state, group, now)
    mending = Mending(state.outcomes, now)
    serving, _ = _due(state, group, decision, mending)
    way = () if _moves_primary(serving, decision) else _way(state, group, decision, mending)
    strands = (*strands_of(serving), *filter(None, (tuple(_steps(way)),)))
    wait = decision.seconds if isinstance(decision, LookAgain) else WAITING_SECONDS
    return replace(report, strands=strands, requeue_after_seconds=min(wait, report.requeue_after_seconds))


def _due(
    state: StorageState, group: ReplicationGroup, decision: Decision, mending: Mending
) -> tuple[tuple[Step, ...], tuple[Repair, ...]]:
    """List the steps that keep the storage available, which need all passwords."""
    return mending.actions(replication_steps(group, decision, mending.now) if _has_passwords(state) else ())


def _has_passwords(state: StorageState) -> bool:
    return set(identities.PASSWORD_KEYS) <= state.key_ring.current.keys()


def _plan_external(state: StorageState, spec: External, settings: StorageSettings, now: datetime) -> Plan:
    """Publish a connection once it has worked; until a new one works, consumers keep the one that they have."""
    facts, mending = state.external or ExternalFacts(), Mending(state.outcomes, now)
    owner, present = desired_objects.owner_of(state.storage), state.child(*_connection_of(state))
    record = external_storage.record_after(facts, state.rotation, now)
    desired = external_storage.desired_connection(owner, spec, facts, present)
    noted = record.put_on(desired) if desired is not None else None
    publication = secrets.publish(noted, present, state.sharing, mending)
    published = present if publication.is_over else None
    reached = replace(state, rollouts=_reached(state, publication))
    rotation = plan_external_rotation(reached, record, settings.rotation, now, published=published)
    name = names.connection_secret(state.storage.name) if desired is not None else ""
    verdict = external_storage.judge(spec, facts, was_ready=was_ready(state.storage), connection_secret=name)
    pause = rotation.pause
    if pause is None:
        pause = external_storage.pause_seconds(facts, external_storage.failing_for(state.storage, now))
    verdict = troubled(state, verdict.rotating(rotation), publication, ())
    strands = (*apart(publication.steps), rotation.steps)
    return replace(_report(state, verdict, now, pause), strands=tuple(filter(None, strands)))


def _plan_managed(state: StorageState, spec: SessionStorageSpec, settings: StorageSettings, now: datetime) -> Plan:
    """Decide what to do about a managed storage, by importance; what does not build on each other does not wait."""
    owner, group = desired_objects.owner_of(state.storage), ReplicationGroup.of(state, spec.preset)
    mending = Mending(state.outcomes, now)
    decision = _decide(state, group, now)
    wanted = _desired_instances(state, spec, group, now)
    change = next_change(group, wanted)
    verdict = judge(state, spec, group, decision, now).changing(change, state.storage)
    serving, unlabelled = _due(state, group, decision, mending)
    availability = strands_of(serving)
    auth = secrets.complete_auth(state, owner, mending)
    if auth is not None and (auth.step is not None or not _has_passwords(state)):
        # Whatever else there is depends on the passwords.
        told = troubled(state, verdict, Publication(), (auth, *unlabelled))
        steps = apart([auth.step] if auth.step is not None else ())
        pause = 0 if auth.step is not None else _pause(group, verdict, now)
        return replace(_report(state, told, now, pause), strands=(*availability, *steps))
    desired = desired_objects.build(state, spec, group, Layout(change.instances, wanted.may_share), settings)
    budget = primary_budget(
        owner,
        is_held=wanted.is_leaving(group.primary) and not change.lacks_room,
        is_out_of_service=is_out_of_service(state.storage, group, now),
    )
    objects = mending.objects(repair, (*desired, (DISRUPTION_BUDGETS, budget)), state.child)
    deletions, undeleted = mending.actions(desired_objects.superfluous(state, group.preset))
    password = connection_secret(owner, state.key_ring.current[names.KEY_PASSWORD])
    publication = secrets.publish(password, state.child(*_connection_of(state)), state.sharing, mending)
    reached = replace(state, rollouts=_reached(state, publication))
    rotation = plan_managed_rotation(reached, owner, settings.rotation, now, is_published=publication.is_over)
    changing = tuple(step for step in change.steps if may_go_on(step, objects, serving))
    changes, unchanged = mending.actions(changing)
    is_moving = _moves_primary((*serving, *changes), decision)
    way = () if is_moving else _way(state, group, decision, mending, is_held=change.is_held)
    restarts, unrestarted = mending.actions(secrets.restart_outdated_pods(state))
    troubles = (*([auth] if auth else []), *way, *objects, *unlabelled, *undeleted, *unchanged, *unrestarted)
    verdict = troubled(state, verdict.rotating(rotation), publication, troubles)
    waits = decision.seconds if isinstance(decision, LookAgain) else None
    pauses = (_pause(group, verdict, now), rotation.pause, waits, change.pause)
    report = _report(state, verdict, now, min(each for each in pauses if each is not None))
    clients, others = tuple(_steps(way)), apart((*_steps(objects), *deletions))
    return replace(
        report,
        strands=tuple(
            filter(
                None,
                (
                    change.urgent,
                    *availability,
                    # A new storage comes into being in the order of the proposal: Services after what they lead to.
                    *((clients, *others) if group.service is not None else (*others, clients)),
                    *apart(publication.steps),
                    rotation.steps,
                    *apart(adopt_mounted_claims(state)),
                    *apart(restarts),
                    changes,
                ),
            )
        ),
        is_changing=change.is_under_way and state.may_update,
        progress=f"{change.finding.reason}: {change.finding.message}" if change.finding is not None else "",
    )


def _connection_of(state: StorageState) -> tuple[Resource, str]:
    return SECRETS, names.connection_secret(state.storage.name)


def _reached(state: StorageState, publication: Publication) -> tuple[CredentialRollout, ...] | None:
    return None if state.rollouts is None else publication.reaching(state.rollouts)


def _way(
    state: StorageState, group: ReplicationGroup, decision: Decision, mending: Mending, *, is_held: bool = False
) -> tuple[Repair, ...]:
    leading = desired_objects.clients_way(state, group, decision, is_held=is_held)
    return mending.objects(repair_if_unchanged, leading, state.child)


def _steps(repairs: Iterable[Repair]) -> Iterator[Step]:
    return (each.step for each in repairs if each.step is not None)


def _moves_primary(steps: Iterable[Step], decision: Decision) -> bool:
    """Tell whether this pass moves the primary, or the next one probably does.

    That writes what leads clients to the primary, and only in the version that the observer saw. kube-proxy takes a
    second change only after its minimum time between updates, so a write that stops clients would delay their move.
    """
    is_next = isinstance(decision, LookAgain) and decision.seconds <= STOPPING_SECONDS
    return is_next or any(isinstance(step, Promote | Resume | SwitchOver) for step in steps)


def _desired_instances(
    state: StorageState, spec: SessionStorageSpec, group: ReplicationGroup, now: datetime
) -> DesiredInstances:
    present = desired_objects.workloads(state)
    may_share = placement.may_share(present, state.instances, now)
    request = state.storage.requests.switchover
    handled = group.service.record.handled if group.service is not None else ""
    return DesiredInstances(
        count=spec.preset.replicas,
        present=present,
        target=present,
        volume_claims=state.claims,
        left_volumes=frozenset(own_claims(state)) - present.keys(),
        foreign_volumes=foreign_claims(state) - present.keys(),
        undersized=desired_objects.undersized(state, spec),
        nodes=state.nodes,
        requested_switchover=request if request != handled else "",
        # A user's change of the size does not wait; only what the installation changes in all storages takes turns.
        may_update=state.may_update or bool(group.sizes - {spec.size or DEFAULT_SIZE}),
        now=now,
        may_share=may_share,
        gave_slot_back=state.gave_slot_back,
        taken=state.taken,
    )


def _pause(group: ReplicationGroup, verdict: Verdict, now: datetime) -> float:
    if verdict.is_ready and len(group.synced) == len(group.others):
        return RECHECK_SECONDS
    is_starting = any(
        pod_status.address(instance.pod) and pod_status.is_starting(instance.pod, now) for instance in group.instances
    )
    if is_starting:
        return STARTING_SECONDS
    # No event tells when a replica has caught up and the primary takes writes again.
    is_fenced = group.is_serving and not group.takes_writes and any(map(group.is_attached, group.others))
    return FOLLOWING_SECONDS if is_fenced else WAITING_SECONDS


def _report(state: StorageState, verdict: Verdict, now: datetime, pause: float) -> Plan:
    """Plan nothing but the new status and Events."""
    status, events = status_of(state, verdict, now)
    return Plan(status=status, events=events, requeue_after_seconds=pause)
