"""What to do about a storage, decided from what was observed. Pure.

The steps come in the order of the proposal: auth Secret, NetworkPolicy, configuration, workload, Services,
connection Secret, status. Each can be repeated, and a crash between any two is met by planning again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.drift import is_covered
from reconciler.status import EventNote, Verdict, judge, status_of
from shared import credentials, errors, manifests, names
from shared.manifests import Peers, Storage
from shared.resources import CONFIG_MAPS, NETWORK_POLICIES, SECRETS, SERVICES, STATEFUL_SETS, Object, Resource
from shared.sessionstorage import SessionStorageSpec, parse_spec
from shared.sizes import DEFAULT_SIZE, PRESETS, Preset, Size
from shared.workload import Image, Node, stateful_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconciler.observe import Observed

RECHECK_SECONDS: Final = 10.0
"""How often a storage that is well is looked at, without any event."""
STARTING_SECONDS: Final = 0.2
"""How soon a node that has an address but no answer is asked again; Valkey starts in about 0.1 s."""
WAITING_SECONDS: Final = 5.0
FOR_THE_USER_SECONDS: Final = 60.0
"""How often something is looked at that only a person can change, where no event would tell."""


_SIZES: Final[Mapping[str, Size]] = {size.value: size for size in Size}


@dataclass(frozen=True, slots=True)
class WriteAuth:
    """Create or complete the auth Secret; missing passwords are made up when the step is carried out.

    Attributes:
        storage: Whose.
        kept: Passwords that stay, by key.
        resource_version: Of the Secret to replace; empty to create it.
    """

    storage: Storage
    kept: Mapping[str, str]
    resource_version: str

    def __repr__(self) -> str:
        return f"WriteAuth(storage={self.storage.name!r}, kept={sorted(self.kept)})"


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply an object server-side."""

    resource: Resource
    obj: Object

    def __repr__(self) -> str:
        return f"Apply({self.resource.kind}, {self.obj['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod, if it still is the one that was seen; its StatefulSet makes a new one."""

    namespace: str
    name: str
    uid: str


Step: TypeAlias = WriteAuth | Apply | DeletePod


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order.

    Attributes:
        steps: Writes to the storage's objects.
        status: The new status, or None if the present one holds.
        events: What happened, for people.
        requeue_after_seconds: When to look again without an event; 0 means at once.
    """

    steps: tuple[Step, ...] = ()
    status: Object | None = None
    events: tuple[EventNote, ...] = ()
    requeue_after_seconds: float = RECHECK_SECONDS


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides about every storage."""

    image: Image
    peers: Peers


def plan(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """Decide what to do about one storage."""
    if observed.storage["metadata"].get("deletionTimestamp"):
        return Plan(requeue_after_seconds=FOR_THE_USER_SECONDS)
    try:
        spec = parse_spec(observed.storage)
    except errors.InvalidSpec as error:
        return _concluded(observed, Verdict.invalid(str(error)), now, FOR_THE_USER_SECONDS)
    if spec.external is not None:
        verdict = Verdict.external(spec.external.secret_ref, observed.external_secret)
        return _concluded(observed, verdict, now, FOR_THE_USER_SECONDS)
    if taken := _foreign_children(observed):
        return _concluded(observed, Verdict.name_taken(taken), now, WAITING_SECONDS)
    return _managed(observed, spec, settings, now)


def _managed(observed: Observed, spec: SessionStorageSpec, settings: Settings, now: datetime) -> Plan:
    storage = _storage(observed)
    if write := _auth(observed, storage):
        verdict = judge(observed, spec, _running_size(observed, spec))
        concluded = _concluded(observed, verdict, now, 0)
        return Plan((write,), concluded.status, concluded.events, 0)
    size = _running_size(observed, spec)
    steps: list[Step] = [
        Apply(resource, desired)
        for resource, desired in _desired(observed, storage, size, settings)
        if not is_covered(desired, observed.child(resource, desired["metadata"]["name"]) or {})
    ]
    if restart := _outdated_pod(observed):
        steps.append(restart)
    verdict = judge(observed, spec, size)
    concluded = _concluded(observed, verdict, now, _pause(observed, verdict))
    return Plan(tuple(steps), concluded.status, concluded.events, concluded.requeue_after_seconds)


def _desired(observed: Observed, storage: Storage, size: Size, settings: Settings) -> Iterable[tuple[Resource, Object]]:
    preset = PRESETS[size]
    passwords = _passwords(observed)
    workload_metadata = storage.metadata(names.valkey_node(storage.name, 0))
    yield NETWORK_POLICIES, manifests.network_policy(storage, settings.peers)
    yield CONFIG_MAPS, manifests.config_map(storage, preset)
    yield STATEFUL_SETS, stateful_set(workload_metadata, Node(storage.name, 0, size, preset), settings.image)
    yield SERVICES, manifests.headless_service(storage)
    yield SERVICES, manifests.primary_service(storage, 0)
    yield SECRETS, manifests.connection_secret(storage, passwords[names.KEY_PASSWORD])


def _auth(observed: Observed, storage: Storage) -> WriteAuth | None:
    """Say what the auth Secret lacks. A password that consumers hold already outlives the loss of the Secret."""
    secret = observed.child(SECRETS, names.auth_secret(storage.name))
    kept = _passwords(observed)
    missing = set(credentials.PASSWORD_KEYS) - kept.keys()
    if secret is not None and not missing:
        desired = manifests.auth_secret(storage, kept)
        if is_covered(desired, secret):
            return None
    if names.KEY_PASSWORD in missing:
        connection = observed.child(SECRETS, names.connection_secret(storage.name)) or {}
        handed_out = credentials.decoded(connection.get("data")).get(names.KEY_REDIS_PASSWORD, "")
        if credentials.is_password(handed_out):
            kept[names.KEY_PASSWORD] = handed_out
    return WriteAuth(storage, kept, secret["metadata"]["resourceVersion"] if secret else "")


def _passwords(observed: Observed) -> dict[str, str]:
    secret = observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"])) or {}
    values = credentials.decoded(secret.get("data"))
    return {key: values[key] for key in credentials.PASSWORD_KEYS if credentials.is_password(values.get(key, ""))}


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


def _outdated_pod(observed: Observed) -> DeletePod | None:
    """Restart a node that was started with passwords of an auth Secret which is no more."""
    pod, secret = observed.node.pod, observed.child(SECRETS, names.auth_secret(observed.storage["metadata"]["name"]))
    if observed.node.problem != "refused" or pod is None or secret is None:
        return None
    metadata = pod["metadata"]
    changed = max(
        [secret["metadata"]["creationTimestamp"]]
        + [entry["time"] for entry in secret["metadata"].get("managedFields", []) if entry.get("time")]
    )
    if metadata.get("deletionTimestamp") or metadata["creationTimestamp"] > changed:
        return None
    return DeletePod(metadata["namespace"], metadata["name"], metadata["uid"])


def _foreign_children(observed: Observed) -> tuple[str, ...]:
    uid = observed.storage["metadata"]["uid"]
    return tuple(
        f"{obj.get('kind') or plural} {name}"
        for (plural, name), obj in observed.children.items()
        if uid not in [owner.get("uid") for owner in obj["metadata"].get("ownerReferences", [])]
    )


def _storage(observed: Observed) -> Storage:
    metadata = observed.storage["metadata"]
    return Storage(metadata["name"], metadata["namespace"], metadata["uid"])


def _pause(observed: Observed, verdict: Verdict) -> float:
    if verdict.is_ready:
        return RECHECK_SECONDS
    facts = observed.node.facts
    is_starting = observed.node.problem == "unreachable" or (facts is not None and facts.is_loading)
    return STARTING_SECONDS if is_starting else WAITING_SECONDS


def _concluded(observed: Observed, verdict: Verdict, now: datetime, pause: float) -> Plan:
    status, events = status_of(observed, verdict, now)
    return Plan((), status, events, pause)
