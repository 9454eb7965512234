"""What to do about a storage that runs Valkey. Pure.

The steps come by importance: first what keeps the storage available, then the way of its clients, then repairs in the
order of the proposal (auth Secret, NetworkPolicy, configuration, workload, Services, connection Secret), copies, a
rotation, and last planned changes. A step that fails holds up only what builds on it. Each can be repeated, and after a
crash between any two the reconciler just plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.plan import RECHECK_SECONDS, STEADY_SECONDS, Plan, apart
from reconciler.actions.valkey import Promote, Resume, SwitchOver
from reconciler.credentials import identities
from reconciler.failover.consent import Consent, Outage
from reconciler.failover.decision import STOPPING_SECONDS, LookAgain, decide_primary
from reconciler.failover.replication import replication_steps, strands_of
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.manifests.disruption_budget import primary_budget
from reconciler.manifests.secrets import connection_secret
from reconciler.plan import desired_objects, placement, secrets, volumes
from reconciler.plan.change import FOLLOWING_SECONDS
from reconciler.plan.desired_instances import DesiredInstances
from reconciler.plan.desired_objects import Layout
from reconciler.plan.drift import repair, repair_if_unchanged
from reconciler.plan.health import is_out_of_service, judge
from reconciler.plan.instance_count import is_growing, is_of_another_size, preset_for_now
from reconciler.plan.ownership import adopt_mounted_claims, foreign_claims, own_claims
from reconciler.plan.repairs import Mending, Repair
from reconciler.plan.rolling_update import may_go_on, next_change
from reconciler.plan.secrets import Publication
from reconciler.plan.status import report
from reconciler.plan.troubles import troubled
from reconciler.plan.verdict import Verdict
from reconciler.rotation.rotation_plan import plan_managed_rotation
from reconciler.state import pod_status
from shared import names
from shared.objects.resources import DISRUPTION_BUDGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.failover.decision import Decision
    from reconciler.plan.change import Change
    from reconciler.plan.desired_objects import StorageSettings
    from reconciler.plan.verdict import Verdict
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object, Resource
    from shared.session_storage.models import SessionStorageSpec
    from shared.session_storage.sizes import Preset, Sizes

STARTING_SECONDS: Final = 0.2
"""How soon the reconciler asks an instance again that has an address but no answer yet; Valkey starts in about
0.1 s."""
WAITING_SECONDS: Final = 5.0
"""How soon the reconciler asks an instance again that should answer and does not."""


def plan_managed(state: StorageState, spec: SessionStorageSpec, settings: StorageSettings, now: datetime) -> Plan:
    """Decide what to do about a managed storage, by importance; what does not build on each other does not wait."""
    owner, preset = desired_objects.owner_of(state.storage), preset_for_now(state, spec, settings.sizes)
    group = ReplicationGroup.of(state, preset)
    mending, decision = Mending(state.outcomes, now), _decide(state, group, now)
    wanted = _desired_instances(state, spec, group, settings.sizes, now)
    change = next_change(group, wanted)
    verdict = judge(state, spec, group, decision, now).changing(change, state.storage)
    serving, unlabelled = _due(state, group, decision, mending)
    auth = secrets.complete_auth(state, owner, mending)
    if auth is not None and (auth.step is not None or not _has_passwords(state)):
        # Whatever else there is depends on the passwords.
        told = troubled(state, verdict, Publication(), (auth, *unlabelled))
        pause = 0 if auth.step is not None else _pause(group, verdict, now)
        return replace(report(state, told, now, pause), strands=(*strands_of(serving), *apart(_steps((auth,)))))
    desired = (
        *desired_objects.build(state, spec, group, Layout(change.instances, wanted.may_share), settings),
        _budget(state, group, wanted, change),
    )
    objects = (
        *mending.objects(repair, desired, state.child),
        *volumes.inheriting_claims(own_claims(state).values(), owner, mending),
    )
    deletions, undeleted = mending.actions(desired_objects.superfluous(state, preset, settings))
    connection = connection_secret(owner, state.key_ring.current[names.KEY_PASSWORD])
    publication = secrets.publish(connection, state, mending)
    reached = publication.known_to(state)
    rotation = plan_managed_rotation(reached, owner, settings.rotation, now, is_published=publication.is_over)
    changes, unchanged = mending.actions(step for step in change.steps if may_go_on(step, objects, serving))
    is_moving = _moves_primary((*serving, *changes), decision)
    way = () if is_moving else _way(state, group, decision, mending, is_held=change.is_held)
    restarts, unrestarted = mending.actions(secrets.restart_outdated_pods(state))
    troubles = (*([auth] if auth else []), *way, *objects, *unlabelled, *undeleted, *unchanged, *unrestarted)
    verdict = troubled(state, verdict.rotating(rotation), publication, troubles)
    waits = decision.seconds if isinstance(decision, LookAgain) else None
    pauses = (_pause(group, verdict, now), rotation.pause, waits, change.pause)
    clients, others = tuple(_steps(way)), apart((*_steps(objects), *deletions))
    strands = (
        change.urgent,
        *strands_of(serving),
        # A new storage comes into being in the order of the proposal: Services after what they lead to.
        *((clients, *others) if group.service is not None else (*others, clients)),
        *apart(publication.steps),
        rotation.steps,
        *apart(adopt_mounted_claims(state)),
        *apart(restarts),
        changes,
    )
    decided = replace(
        report(state, verdict, now, min(each for each in pauses if each is not None)),
        strands=tuple(filter(None, strands)),
        is_changing=change.is_under_way and state.may_update,
        progress=change.progress,
    )
    goes_on = change.finding is not None or rotation.is_under_way or waits is not None
    is_calm = _is_well(group, verdict) and not goes_on and not any(troubles)
    return _less_often(decided, state) if is_calm else decided


def _budget(
    state: StorageState, group: ReplicationGroup, wanted: DesiredInstances, change: Change
) -> tuple[Resource, Object]:
    """Build the budget that keeps a primary from being evicted before it has moved."""
    budget = primary_budget(
        desired_objects.owner_of(state.storage),
        is_held=wanted.is_leaving(group.primary) and not change.lacks_room,
        is_out_of_service=is_out_of_service(state.storage, group, wanted.now),
    )
    return DISRUPTION_BUDGETS, budget


def lead_clients(told: Plan, state: StorageState, preset: Preset, now: datetime) -> Plan:
    """Keep a primary, and lead clients there, although something else of the storage is not its own."""
    group = ReplicationGroup.of(state, preset)
    decision = _decide(state, group, now)
    mending = Mending(state.outcomes, now)
    serving, _ = _due(state, group, decision, mending)
    way = () if _moves_primary(serving, decision) else _way(state, group, decision, mending)
    strands = (*strands_of(serving), *filter(None, (tuple(_steps(way)),)))
    wait = decision.seconds if isinstance(decision, LookAgain) else WAITING_SECONDS
    return replace(told, strands=strands, requeue_after_seconds=min(wait, told.requeue_after_seconds))


def _decide(state: StorageState, group: ReplicationGroup, now: datetime) -> Decision:
    """Decide which instance has to be primary; a person's consent counts in the outage that the last status told of."""
    outage = Outage.of(state.storage, group.service, now)
    return decide_primary(group, Consent.of(state.storage.requests.promotion), outage)


def _due(
    state: StorageState, group: ReplicationGroup, decision: Decision, mending: Mending
) -> tuple[tuple[Step, ...], tuple[Repair, ...]]:
    """List the steps that keep the storage available, which need all passwords."""
    return mending.actions(replication_steps(group, decision, mending.now) if _has_passwords(state) else ())


def _has_passwords(state: StorageState) -> bool:
    return set(identities.PASSWORD_KEYS) <= state.key_ring.current.keys()


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
    state: StorageState, spec: SessionStorageSpec, group: ReplicationGroup, sizes: Sizes, now: datetime
) -> DesiredInstances:
    present = volumes.workloads(state)
    may_share = placement.may_share(present, state.instances, now)
    request = state.storage.requests.switchover
    handled = group.service.record.handled if group.service is not None else ""
    return DesiredInstances(
        count=group.preset.replicas,
        present=present,
        target=present,
        volume_claims=state.claims,
        left_volumes=frozenset(own_claims(state)) - present.keys(),
        foreign_volumes=foreign_claims(state) - present.keys(),
        undersized=volumes.undersized(state, spec, sizes),
        nodes=state.nodes,
        requested_switchover=request if request != handled else "",
        # A user's change of the size does not wait; only what the installation changes in all storages takes turns.
        may_update=state.may_update or is_of_another_size(state, spec),
        now=now,
        may_share=may_share,
        is_resizing=group.preset != sizes.of(spec.size),
        is_growing=is_growing(state, spec, group),
        gave_slot_back=state.gave_slot_back,
        taken=state.taken,
    )


def _is_well(group: ReplicationGroup, verdict: Verdict) -> bool:
    return verdict.is_ready and len(group.synced) == len(group.others)


def _less_often(decided: Plan, state: StorageState) -> Plan:
    """Let more time pass until the next look, unless this one has found something to do or to tell, or to suspect."""
    is_new = bool(decided.strands) or decided.status is not None or bool(decided.events)
    is_suspect = any(each.is_unsteady for each in state.instances)
    if is_new or is_suspect:
        return decided
    return replace(decided, requeue_after_seconds=STEADY_SECONDS, is_at_rest=True)


def _pause(group: ReplicationGroup, verdict: Verdict, now: datetime) -> float:
    if _is_well(group, verdict):
        return RECHECK_SECONDS
    is_starting = any(
        pod_status.address(instance.pod) and pod_status.is_starting(instance.pod, now) for instance in group.instances
    )
    if is_starting:
        return STARTING_SECONDS
    # No event tells when a replica has caught up and the primary takes writes again.
    is_fenced = group.is_serving and not group.takes_writes and any(map(group.is_attached, group.others))
    return FOLLOWING_SECONDS if is_fenced else WAITING_SECONDS
