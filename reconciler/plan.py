"""What to do about a storage, decided from what was observed. Pure.

The steps come in the order of the proposal: auth Secret, NetworkPolicy, configuration, workload, Services,
connection Secret, status. Each can be repeated, and a crash between any two is met by planning again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from reconciler import connection, external, pods, rotating, rotation
from reconciler.drift import has_additions, is_covered
from reconciler.external import ExternalFacts
from reconciler.mirrors import sharing_namespaces
from reconciler.rotation import Record, revision_of
from reconciler.status import Verdict, judge, status_of, was_ready
from reconciler.steps import RECHECK_SECONDS, Apply, Delete, Plan, Replace, Step, WriteAuth
from shared import credentials, errors, manifests, names
from shared.endpoint import Endpoint
from shared.external_store import Outcome
from shared.keyring import KeyRing
from shared.manifests import Peers, Storage
from shared.resources import (
    CONFIG_MAPS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from shared.sessionstorage import External, SessionStorageSpec, parse_spec
from shared.sizes import DEFAULT_SIZE, PRESETS, Preset, Size
from shared.workload import Image, Node, stateful_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.observe import Observed

STARTING_SECONDS: Final = 0.2
"""How soon a node that has an address but no answer yet is asked again; Valkey starts in about 0.1 s."""
WAITING_SECONDS: Final = 5.0
"""How soon a node that should answer and does not is asked again."""
FOR_THE_USER_SECONDS: Final = 60.0
"""How often something is looked at that only a person can change, where no event would tell."""


_SIZES: Final[Mapping[str, Size]] = {size.value: size for size in Size}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides about every storage."""

    image: Image
    peers: Peers
    rotation: rotation.Settings = field(default_factory=rotation.Settings)


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
    facts, storage = observed.external or ExternalFacts(), _storage(observed)
    name, login = names.connection_secret(storage.name), external.login_of(spec, facts.secret)
    present = observed.child(SECRETS, name)
    desired, record = present, Record.of(present)
    if login is not None and facts.report is not None and facts.report.outcome is Outcome.OK:
        desired = manifests.external_connection_secret(storage, Endpoint.of_url(spec.url), login)
        if present is not None and facts.secret is not None and external.is_other(login, present):
            record = record.start(record.handled, revision_of(facts.secret), now).publish(now)
    handout = connection.hand_out(observed, desired, record, present)
    scene = rotating.Scene(observed, settings.rotation, now, is_published=not handout)
    turn, after = rotating.handed_on(scene, record)
    steps = (*(handout or connection.hand_out(observed, desired, after, present)), *turn.steps)
    verdict = external.judge(
        spec, facts, was_ready=was_ready(observed.storage), connection_secret=name if desired is not None else ""
    )
    pause = external.pause_seconds(facts) if turn.pause is None else turn.pause
    return replace(_concluded(observed, verdict.rotating(turn), now, pause), steps=steps)


def _managed(observed: Observed, spec: SessionStorageSpec, settings: Settings, now: datetime) -> Plan:
    storage = _storage(observed)
    size = _running_size(observed, spec)
    verdict = judge(observed, spec, size, now)
    if write := _auth(observed, storage):
        return replace(_concluded(observed, verdict, now, 0), steps=(write,))
    repairs = (
        _repair(resource, desired, observed.child(resource, desired["metadata"]["name"]))
        for resource, desired in _desired(observed, storage, size, settings)
    )
    handed_out = manifests.connection_secret(storage, _ring(observed).current[names.KEY_PASSWORD])
    present = observed.child(SECRETS, handed_out["metadata"]["name"])
    handout = connection.hand_out(observed, handed_out, Record(), present)
    scene = rotating.Scene(observed, settings.rotation, now, is_published=not handout)
    turn = rotating.managed(scene, storage)
    steps = tuple(step for step in (*repairs, *handout, *turn.steps, _outdated_pod(observed)) if step)
    pause = _pause(observed, verdict, now) if turn.pause is None else turn.pause
    return replace(_concluded(observed, verdict.rotating(turn), now, pause), steps=steps)


def _repair(resource: Resource, desired: Object, present: Object | None) -> Step | None:
    """Say how an object becomes what it should be; None if it is."""
    if present is not None and has_additions(desired, present):
        content = {key: value for key, value in desired.items() if key != "metadata"}
        return Replace(resource, present | content)
    return None if present is not None and is_covered(desired, present) else Apply(resource, desired)


def _desired(observed: Observed, storage: Storage, size: Size, settings: Settings) -> Iterable[tuple[Resource, Object]]:
    preset = PRESETS[size]
    sharing = sharing_namespaces(observed.storage, observed.usages)
    yield NETWORK_POLICIES, manifests.network_policy(storage, settings.peers, sharing)
    yield CONFIG_MAPS, manifests.config_map(storage, preset)
    yield STATEFUL_SETS, _workload(observed, storage, size, settings)
    yield SERVICES, manifests.headless_service(storage)
    yield SERVICES, manifests.primary_service(storage, 0)


def _workload(observed: Observed, storage: Storage, size: Size, settings: Settings) -> Object:
    metadata = storage.metadata(names.valkey_node(storage.name, 0))
    desired = stateful_set(metadata, Node(storage.name, 0, size, PRESETS[size]), settings.image)
    present = observed.child(STATEFUL_SETS, metadata["name"]) or {"spec": {}}
    if claims := present["spec"].get("volumeClaimTemplates"):
        # The API refuses every change of them, even of the owner after a storage was deleted without its children.
        desired["spec"]["volumeClaimTemplates"] = claims
    return desired


def _auth(observed: Observed, storage: Storage) -> WriteAuth | None:
    """Say what the auth Secret lacks. A password that consumers hold already outlives the loss of the Secret."""
    secret = observed.child(SECRETS, names.auth_secret(storage.name))
    ring, record = KeyRing.of(secret), Record.of(secret)
    needed = set(credentials.PASSWORD_KEYS)
    missing, is_staging = needed - ring.current.keys(), bool(ring.staged)
    if secret is not None and not missing and not (is_staging and needed - ring.staged.keys()):
        annotations = {names.ANNOTATION_ROTATION: record.text} if record.text else {}
        desired = manifests.auth_secret(storage, ring, annotations)
        if is_covered(desired, secret) and not has_additions(desired, secret):
            return None
    present = observed.child(SECRETS, names.connection_secret(storage.name))
    if names.KEY_PASSWORD in missing:
        handed_out = credentials.decoded((present or {}).get("data")).get(names.KEY_REDIS_PASSWORD, "")
        if credentials.is_password(handed_out):
            ring = replace(ring, current={**ring.current, names.KEY_PASSWORD: handed_out})
    if secret is None and present is None:
        # Passwords that nobody has had yet need no rotation, even if one was asked for before they were made.
        word = observed.storage["metadata"].get("annotations", {}).get(names.ANNOTATION_ROTATE, "")
        record = replace(record, handled=word)
    version = secret["metadata"]["resourceVersion"] if secret else ""
    return WriteAuth(storage, ring, version, record.text, is_staging=is_staging)


def _ring(observed: Observed) -> KeyRing:
    return KeyRing.of(observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"])))


def _running_size(observed: Observed, spec: SessionStorageSpec) -> Size:
    """Tell the size of the node that runs: its volumes cannot change in place, so it keeps its size."""
    workload = observed.child(STATEFUL_SETS, names.valkey_node(observed.storage["metadata"]["name"], 0))
    wanted = spec.size or DEFAULT_SIZE
    if workload is None:
        return wanted
    label: str = workload["metadata"].get("labels", {}).get(names.LABEL_SIZE, "")
    labelled = _SIZES.get(label, wanted)
    # A label can be edited by hand, and volumes cannot: where the two differ, the volumes tell the truth.
    claims: list[Object] = workload["spec"].get("volumeClaimTemplates") or []
    disks = [claim["spec"]["resources"]["requests"]["storage"] for claim in claims]
    return next((size for size in (labelled, wanted, *Size) if _claimed_disks(PRESETS[size]) == disks), labelled)


def _claimed_disks(preset: Preset) -> list[str]:
    return [f"{preset.disk_gib}Gi"] if preset.is_persistent else []


def _outdated_pod(observed: Observed) -> Delete | None:
    """Restart a node that was started with passwords of an auth Secret which is no more."""
    pod, secret = observed.node.pod, observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"]))
    if observed.node.problem != "refused" or observed.node.can_be_told or pod is None or secret is None:
        return None
    metadata = pod["metadata"]
    changed = max(
        [secret["metadata"]["creationTimestamp"]]
        + [entry["time"] for entry in secret["metadata"].get("managedFields", []) if entry.get("time")]
    )
    if metadata.get("deletionTimestamp") or metadata["creationTimestamp"] > changed:
        return None
    return Delete(PODS, metadata["namespace"], metadata["name"], metadata["uid"])


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


def _storage(observed: Observed) -> Storage:
    metadata = observed.storage["metadata"]
    return Storage(metadata["name"], metadata["namespace"], metadata["uid"])


def _pause(observed: Observed, verdict: Verdict, now: datetime) -> float:
    if verdict.is_ready:
        return RECHECK_SECONDS
    has_address = bool(pods.address(observed.node.pod))
    return STARTING_SECONDS if has_address and pods.is_starting(observed.node.pod, now) else WAITING_SECONDS


def _concluded(observed: Observed, verdict: Verdict, now: datetime, pause: float) -> Plan:
    status, events = status_of(observed, verdict, now)
    return Plan((), status, events, pause)
