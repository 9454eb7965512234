"""What to do about a storage, decided from what was observed. Pure.

The steps come in the order of the proposal: auth Secret, NetworkPolicy, configuration, workload, Services,
connection Secret, status. Each can be repeated, and a crash between any two is met by planning again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Apply, Delete, Replace, Write, WriteAuth
from reconciler.actions.plan import RECHECK_SECONDS, Plan, Step
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.failover.decision import LookAgain, decide_primary
from reconciler.failover.replication import replication_steps
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.manifests import disruption_budget, secrets, services
from reconciler.plan import connection_secret, desired_objects, external_storage
from reconciler.plan.desired_instances import DesiredInstances
from reconciler.plan.drift import has_additions, is_covered, versioned
from reconciler.plan.health import Verdict, is_out_of_service, judge, was_ready
from reconciler.plan.rolling_update import next_change
from reconciler.plan.status import status_of
from reconciler.rotation import next_actions
from reconciler.rotation.phases import Record, revision_of
from reconciler.rotation.progress import Scene
from reconciler.state import external_store, pod_status
from reconciler.state.external_store import ExternalFacts, Outcome
from reconciler.state.primary_record import PrimaryRecord
from shared import errors, names
from shared.objects.resources import (
    DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    SERVICES,
    Object,
    Resource,
    annotation_of,
    last_written,
)
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.models import External, SessionStorageSpec, parse_spec
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from reconciler.failover.decision import Decision
    from reconciler.manifests.storage import Storage
    from reconciler.plan.rolling_update import Change
    from reconciler.plan.settings import Settings
    from reconciler.state.storage_state import Observed

STARTING_SECONDS: Final = 0.2
"""How soon an instance that has an address but no answer yet is asked again; Valkey starts in about 0.1 s."""
WAITING_SECONDS: Final = 5.0
"""How soon an instance that should answer and does not is asked again."""
FOR_THE_USER_SECONDS: Final = 60.0
"""How often something is looked at that only a person can change, where no event would tell."""


def plan(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """Decide what to do about one storage."""
    if observed.storage["metadata"].get("deletionTimestamp"):
        return Plan(requeue_after_seconds=FOR_THE_USER_SECONDS)
    try:
        spec = parse_spec(observed.storage)
    except errors.InvalidSpec as error:
        return _concluded(observed, Verdict.invalid(str(error)), now, FOR_THE_USER_SECONDS)
    if taken := _foreign_children(observed):
        return _concluded(observed, Verdict.name_taken(taken), now, WAITING_SECONDS)
    if spec.external is not None:
        return _external(observed, spec.external, settings, now)
    return _managed(observed, spec, settings, now)


def _external(observed: Observed, spec: External, settings: Settings, now: datetime) -> Plan:
    """Hand out a connection once it has worked; one that does not work leaves consumers with what they have."""
    facts, storage = observed.external or ExternalFacts(), desired_objects.storage_of(observed)
    name, login = names.connection_secret(storage.name), external_store.login_of(spec, facts.secret)
    present = observed.child(SECRETS, name)
    desired, record = present, Record.of(present)
    if login is not None and facts.report is not None and facts.report.outcome is Outcome.OK:
        desired = secrets.external_connection_secret(storage, Endpoint.of_url(spec.url), login)
        if present is not None and facts.secret is not None and external_store.is_other(login, present):
            record = record.start(record.handled, revision_of(facts.secret), now).publish(now)
    handout = connection_secret.hand_out(observed, desired, record, present)
    scene = Scene(observed, settings.rotation, now, is_published=not handout)
    turn, after = next_actions.handed_on(scene, record)
    steps = (*(handout or connection_secret.hand_out(observed, desired, after, present)), *turn.steps)
    verdict = external_storage.judge(
        spec, facts, was_ready=was_ready(observed.storage), connection_secret=name if desired is not None else ""
    )
    pause = external_storage.pause_seconds(facts) if turn.pause is None else turn.pause
    return replace(_concluded(observed, verdict.rotating(turn), now, pause), steps=steps)


def _managed(observed: Observed, spec: SessionStorageSpec, settings: Settings, now: datetime) -> Plan:
    storage, ring = desired_objects.storage_of(observed), _ring(observed)
    group = ReplicationGroup.of(observed, spec.preset, ring)
    decision = decide_primary(group, annotation_of(observed.storage, names.ANNOTATION_PROMOTE))
    change = next_change(group, _desired_instances(observed, spec, group, settings, now))
    verdict = judge(observed, spec, group, decision, now).changing(change, observed.storage)
    if write := _auth(observed, storage):
        return replace(_concluded(observed, verdict, now, 0), steps=(write,))
    budget = disruption_budget.primary_budget(
        storage, is_out_of_service=is_out_of_service(observed.storage, group, now)
    )
    repairs = (
        *_repairs(observed, spec, group, change, settings),
        *_repaired(observed, DISRUPTION_BUDGETS, budget),
    )
    handed_out = secrets.connection_secret(storage, ring.current[names.KEY_PASSWORD])
    present = observed.child(SECRETS, handed_out["metadata"]["name"])
    handout = connection_secret.hand_out(observed, handed_out, Record(), present)
    scene = Scene(observed, settings.rotation, now, is_published=not handout)
    turn = next_actions.managed(scene, storage)
    # A Service that is being put right is not the one that can be claimed.
    is_named = not any(isinstance(step, Write) and step.resource is SERVICES for step in repairs)
    keeping = tuple(replication_steps(group, decision, now)) if is_named else ()
    # Only from calm to calm: what else there is to be done comes first.
    changing = change.steps if not (repairs or handout or keeping) else ()
    steps = (*repairs, *handout, *keeping, *turn.steps, *_outdated_pods(observed), *changing)
    pauses = [_pause(group, verdict, now), turn.pause, _pause_of(decision), change.pause]
    pause = min(each for each in pauses if each is not None)
    concluded = _concluded(observed, verdict.rotating(turn), now, pause)
    return replace(concluded, steps=steps, is_changing=change.is_under_way and observed.may_update)


def _desired_instances(
    observed: Observed, spec: SessionStorageSpec, group: ReplicationGroup, settings: Settings, now: datetime
) -> DesiredInstances:
    present = desired_objects.workloads(observed)
    requested = annotation_of(observed.storage, names.ANNOTATION_SWITCHOVER)
    handled = group.service.record.handled if group.service is not None else ""
    return DesiredInstances(
        count=spec.preset.replicas,
        present=present,
        target={index: desired_objects.workload(observed, spec, index, settings) for index in present},
        volume_claims=observed.claims,
        undersized=desired_objects.undersized(observed, spec),
        nodes=observed.nodes,
        requested_switchover=requested if requested != handled else "",
        # Another size is what this user wants; only what the installation wants of all storages goes one by one.
        may_update=observed.may_update or bool(group.sizes - {spec.size or DEFAULT_SIZE}),
        now=now,
    )


def _repairs(
    observed: Observed, spec: SessionStorageSpec, group: ReplicationGroup, change: Change, settings: Settings
) -> Iterable[Step]:
    for resource, obj in desired_objects.objects(observed, spec, group, change.instances, settings):
        yield from _repaired(observed, resource, obj)
    for resource, obj in desired_objects.superfluous(observed, group):
        yield Delete.of(resource, obj)
    storage, primary = desired_objects.storage_of(observed), group.primary.index
    record = PrimaryRecord.first(primary) if group.service is None else None
    service = services.primary_service(storage, primary, record)
    if step := versioned(SERVICES, service, observed.child(SERVICES, service["metadata"]["name"])):
        yield step


def _repaired(observed: Observed, resource: Resource, desired: Object) -> Iterable[Step]:
    """Say how an object becomes what it should be, if it is not."""
    present = observed.child(resource, desired["metadata"]["name"])
    if present is not None and has_additions(desired, present):
        content = {key: value for key, value in desired.items() if key != "metadata"}
        yield Replace(resource, present | content)
    elif present is None or not is_covered(desired, present):
        yield Apply(resource, desired)


def _auth(observed: Observed, storage: Storage) -> WriteAuth | None:
    """Say what the auth Secret lacks. A password that consumers hold already outlives the loss of the Secret."""
    secret = observed.child(SECRETS, names.auth_secret(storage.name))
    ring, record = KeyRing.of(secret), Record.of(secret)
    needed = set(identities.PASSWORD_KEYS)
    missing, is_staging = needed - ring.current.keys(), bool(ring.staged)
    if secret is not None and not missing and not (is_staging and needed - ring.staged.keys()):
        annotations = {names.ANNOTATION_ROTATION: record.text} if record.text else {}
        desired = secrets.auth_secret(storage, ring, annotations)
        if is_covered(desired, secret) and not has_additions(desired, secret):
            return None
    present = observed.child(SECRETS, names.connection_secret(storage.name))
    if names.KEY_PASSWORD in missing:
        handed_out = identities.decoded((present or {}).get("data")).get(names.KEY_REDIS_PASSWORD, "")
        if identities.is_password(handed_out):
            ring = replace(ring, current={**ring.current, names.KEY_PASSWORD: handed_out})
    if secret is None and present is None:
        # Passwords that nobody has had yet need no rotation, even if one was asked for before they were made.
        record = replace(record, handled=annotation_of(observed.storage, names.ANNOTATION_ROTATE))
    version = secret["metadata"]["resourceVersion"] if secret else ""
    return WriteAuth(storage, ring, version, record.text, is_staging=is_staging)


def _ring(observed: Observed) -> KeyRing:
    return KeyRing.of(observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"])))


def _outdated_pods(observed: Observed) -> Iterable[Delete]:
    """Restart instances that were started with passwords of an auth Secret which is no more."""
    secret = observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"]))
    for instance in observed.instances:
        if instance.problem != "refused" or instance.accepts_operator or instance.pod is None or secret is None:
            continue
        metadata = instance.pod["metadata"]
        if not metadata.get("deletionTimestamp") and metadata["creationTimestamp"] <= last_written(secret):
            yield Delete.of(PODS, instance.pod)


def _foreign_children(observed: Observed) -> tuple[str, ...]:
    metadata = observed.storage["metadata"]
    return tuple(
        f"{obj.get('kind') or plural} {name}"
        for (plural, name), obj in observed.children.items()
        if not _is_owned(obj["metadata"], metadata["uid"])
        and (plural == SECRETS.plural or not _is_orphan(obj["metadata"], metadata["name"]))
    )


def _is_owned(metadata: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid and owner.get("controller") for owner in metadata.get("ownerReferences", []))


def _is_orphan(metadata: Object, storage: str) -> bool:
    """Tell whether an object was this storage's and lost its owner, as in a restore from a backup.

    Not asked of Secrets: who may create one, and nothing else, could choose a storage's passwords.
    """
    labels = metadata.get("labels", {})
    is_labelled = labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY and labels.get(names.LABEL_STORAGE) == storage
    return is_labelled and not any(owner.get("controller") for owner in metadata.get("ownerReferences", []))


def _pause(group: ReplicationGroup, verdict: Verdict, now: datetime) -> float:
    if verdict.is_ready and len(group.synced) == len(group.others):
        return RECHECK_SECONDS
    is_starting = any(
        pod_status.address(instance.pod) and pod_status.is_starting(instance.pod, now) for instance in group.instances
    )
    return STARTING_SECONDS if is_starting else WAITING_SECONDS


def _pause_of(decision: Decision) -> float | None:
    return decision.seconds if isinstance(decision, LookAgain) else None


def _concluded(observed: Observed, verdict: Verdict, now: datetime, pause: float) -> Plan:
    status, events = status_of(observed, verdict, now)
    return Plan((), status, events, pause)
