"""Observations of a healthy storage; each test removes or changes the part that it is about."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.credentials.login import Login
from reconciler.manifests import disruption_budget, network_policy, secrets, services, valkey_config
from reconciler.manifests.instance_spec import Image
from reconciler.manifests.network_policy import Peers
from reconciler.manifests.storage import Storage
from reconciler.plan import desired_objects
from reconciler.plan.desired_objects import StorageSettings
from reconciler.rotation.phases import RotationSettings
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import IPV4, PrimaryService
from reconciler.state.replication_info import PRIMARY, REPLICA, AttachedReplica, Replication
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.session_storage import DeclaredStorage
from reconciler.state.storage_state import Sharing, StorageState
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
)
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.sizes import PRESETS, Size
from shared.session_storage.status import SessionStorageStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.consumers.identity import Usage

NOW: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED: Final = "2026-11-23T10:00:00Z"
"""When the objects were created."""
STARTED: Final = "2026-11-23T11:59:50Z"
"""When the pods were created: so recently that a server may still be starting."""
STORAGE: Final = Storage("mine", "team", "uid-1")
HOST: Final = "mine-valkey.team.svc"
CLUSTER_IP: Final = "10.0.0.9"
SERVICE: Final = "mine-valkey"
"""Name of the Service of the primary, and of its EndpointSlice."""
PASSWORDS: Final = {key: f"{key.title():x<32}".replace("-", "0") for key in identities.PASSWORD_KEYS}
RING: Final = KeyRing(PASSWORDS)
OPERATOR: Final = Login("operator", PASSWORDS["operator-password"])
REPLICATION: Final = Login("replication", PASSWORDS["replication-password"])
IMAGE: Final = Image("registry.example/valkey:9", "IfNotPresent")
SETTINGS: Final = StorageSettings(
    IMAGE,
    Peers("session-storage-system", {"app.kubernetes.io/name": "ours"}),
    RotationSettings(refresh=timedelta(0)),  # there is no kubelet that would refresh a mounted file
)
OTHER_IMAGE: Final = replace(SETTINGS, image=Image("registry.example/valkey:10", "IfNotPresent"))
HOSTS: Final = KubernetesNodes(frozenset({"host-0", "host-1", "host-2"}))
LINEAGE: Final = "a" * 40
OFFSET: Final = 50 << 20
"""Length of the replication history that all instances have, in bytes."""


def session_storage(spec: object, **metadata: object) -> Object:
    """Build a SessionStorage as the API server stores it."""
    own = {"name": "mine", "namespace": "team", "uid": "uid-1", "generation": 1}
    return {"metadata": own | metadata, "spec": spec}


def stored(obj: Object) -> Object:
    """Add the fields that the API server adds to an object."""
    server_fields = {"uid": f"uid-of-{obj['metadata']['name']}", "resourceVersion": "7", "creationTimestamp": CREATED}
    return {**obj, "metadata": obj["metadata"] | server_fields}


def workload(index: int, size: Size, settings: StorageSettings = SETTINGS) -> Object:
    """Build the StatefulSet of an instance, as the planner creates it."""
    return desired_objects.workload(
        state_of(session_storage({"size": size}), nodes=HOSTS), SessionStorageSpec(size=size), index, settings
    )


def children(size: Size, *, primary: int = 0, indexes: tuple[int, ...] = ()) -> dict[tuple[str, str], Object]:
    """Build everything that belongs to a storage, for the named instances or as many as its size has."""
    preset = PRESETS[size]
    indexes = indexes or tuple(range(preset.replicas))
    of_replicas = preset.is_redundant
    made = {
        SECRETS: [
            secrets.auth_secret(STORAGE, RING),
            secrets.connection_secret(STORAGE, PASSWORDS["password"]),
        ],
        NETWORK_POLICIES: [network_policy.network_policy(STORAGE, SETTINGS.peers)],
        CONFIG_MAPS: [valkey_config.config_map(STORAGE, primary, indexes, CLUSTER_IP)],
        STATEFUL_SETS: [workload(index, size) for index in indexes],
        SERVICES: [
            services.headless_service(STORAGE),
            *([services.replicas_service(STORAGE)] if of_replicas else []),
        ],
        DISRUPTION_BUDGETS: [
            disruption_budget.primary_budget(STORAGE),
            *([disruption_budget.replicas_budget(STORAGE)] if of_replicas else []),
        ],
    }
    built = {
        (resource.plural, obj["metadata"]["name"]): stored(obj) for resource, objects in made.items() for obj in objects
    }
    return built | clients_way(primary)


def clients_way(primary: int = 0, record: PrimaryRecord | None = None) -> dict[tuple[str, str], Object]:
    """Build the Service that sends clients to an instance, and its EndpointSlice."""
    seen = Instance(primary, pod(primary))
    service = stored(services.primary_service(STORAGE, record))
    service["spec"] |= {"clusterIP": CLUSTER_IP, "ipFamilies": [IPV4]}
    (endpoint_slice,) = services.primary_slices(STORAGE, (IPV4,), seen, record)
    return {(SERVICES.plural, SERVICE): service, (ENDPOINT_SLICES.plural, SERVICE): stored(endpoint_slice)}


def primary_service(primary: int = 0, record: PrimaryRecord | None = None) -> PrimaryService:
    """Build the observation of both."""
    seen = _primary_service(clients_way(primary, record))
    assert seen is not None
    return seen


def pod(index: int = 0, size: Size = Size.SMALL, role: str = ROLE_PRIMARY, **metadata: Any) -> Object:
    """Build the pod of an instance; each pod has a node of its own."""
    template = copy.deepcopy(workload(index, size)["spec"]["template"])
    labels = template["metadata"]["labels"] | {names.LABEL_ROLE: role}
    own: Object = {
        "name": names.valkey_pod("mine", index),
        "namespace": "team",
        "uid": f"uid-of-pod-{index}",
        "creationTimestamp": STARTED,
        "labels": labels,
        "annotations": template["metadata"]["annotations"],
    }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": CREATED}
    status = {"phase": "Running", "podIP": address(index), "conditions": [ready]}
    return {"metadata": own | metadata, "spec": {"nodeName": f"host-{index}"}, "status": status}


def address(index: int) -> str:
    """Tell where an instance can be reached."""
    return f"10.1.0.{index + 1}"


def primary(index: int = 0, size: Size = Size.SMALL, *replicas: int) -> Instance:
    """Build the observation of a primary and of the replicas that follow it."""
    attached = tuple(AttachedReplica(address(each), is_online=True) for each in replicas)
    facts = InstanceFacts(
        role=PRIMARY,
        is_loading=False,
        hashes=RING.accepted,
        replication=Replication(lineage=LINEAGE, offset=OFFSET, replicas=attached, good_replicas=len(attached), keys=3),
        fence=1 if PRESETS[size].is_redundant else 0,
        upstream_hash=identities.sha256(REPLICATION.password),
    )
    return Instance(index, pod(index, size), facts, operator=OPERATOR)


def replica(index: int, size: Size = Size.LARGE, upstream: str = HOST) -> Instance:
    """Build the observation of a replica that could take over."""
    facts = InstanceFacts(
        role=REPLICA,
        is_loading=False,
        hashes=RING.accepted,
        replication=Replication(
            lineage=LINEAGE, offset=OFFSET, upstream=upstream, is_linked=True, is_streaming=True, silence=0, keys=3
        ),
        fence=1 if PRESETS[size].is_redundant else 0,
        upstream_hash=identities.sha256(REPLICATION.password),
    )
    return Instance(index, pod(index, size, ROLE_REPLICA), facts, operator=OPERATOR)


def replicated(instance: Instance, **changes: Any) -> Instance:
    """Change an instance's replication facts."""
    assert instance.facts is not None
    return replace(instance, facts=replace(instance.facts, replication=replace(instance.facts.replication, **changes)))


def unlinked(instance: Instance, **changes: Any) -> Instance:
    """Break a replica's link with its primary."""
    return replicated(instance, is_linked=False, is_streaming=False, **changes)


def instances(size: Size) -> tuple[Instance, ...]:
    """Build the observation of every instance of a storage; the first is the primary."""
    others = range(1, PRESETS[size].replicas)
    return (primary(0, size, *others), *(replica(index, size) for index in others))


def state_of(
    storage: Object,
    children: Mapping[tuple[str, str], Object] | None = None,
    *,
    usages: Sequence[Usage] = (),
    secrets: Mapping[str, Object] | None = None,
    **observed: Any,
) -> StorageState:
    """Build the observed state of a storage, parsed as the observer parses it.

    Args:
        storage: The SessionStorage.
        children: Its objects; none, if they are not given.
        usages: The consumers that use it.
        secrets: Secrets that have the name of the connection Secret's copy, by namespace.
        observed: Further fields of the observed state.
    """
    declared = DeclaredStorage.of(storage)
    external = declared.spec is not None and declared.spec.external is not None
    name = names.connection_secret(declared.name) if external else names.auth_secret(declared.name)
    secret = (children or {}).get((SECRETS.plural, name))
    return StorageState(
        storage=declared,
        children=children or {},
        key_ring=KeyRing() if external else KeyRing.of(secret),
        rotation=RotationRecord.of(secret),
        primary_service=_primary_service(children or {}),
        sharing=Sharing.of(storage, usages).with_secrets(declared.key, secrets or {}),
        **observed,
    )


def observed(size: str = "small", *reports: Instance, storage: Object | None = None, **others: Any) -> StorageState:
    """Observe a storage with all its objects, and with the given instances or healthy ones."""
    known = Size(size)
    others = {"children": children(known), "instances": reports or instances(known), "nodes": HOSTS, **others}
    return state_of(storage or session_storage({"size": size}), **others)


def declared(before: StorageState, storage: Object) -> StorageState:
    """Return the same objects and instances for a storage with another spec."""
    return replace(before, storage=DeclaredStorage.of(storage))


def with_children(before: StorageState, children: Mapping[tuple[str, str], Object]) -> StorageState:
    """Return the same storage with other children."""
    auth = children.get((SECRETS.plural, names.auth_secret(before.storage.name)))
    return replace(
        before,
        children=children,
        key_ring=KeyRing.of(auth),
        rotation=RotationRecord.of(auth),
        primary_service=_primary_service(children),
    )


def _primary_service(children: Mapping[tuple[str, str], Object]) -> PrimaryService | None:
    service = children.get((SERVICES.plural, SERVICE))
    slices = [obj for (plural, _), obj in children.items() if plural == ENDPOINT_SLICES.plural]
    return PrimaryService.of(service, slices) if service is not None else None


def without(before: StorageState, *keys: tuple[str, str]) -> StorageState:
    """Remove children."""
    return with_children(before, {key: obj for key, obj in before.children.items() if key not in keys})


def with_child(before: StorageState, key: tuple[str, str], obj: Object) -> StorageState:
    """Replace a child."""
    return with_children(before, {**before.children, key: obj})


def settled(before: StorageState, status: Object | None) -> StorageState:
    """Return the same storage with the status that the planner decided."""
    if status is None:
        return before
    return replace(before, storage=replace(before.storage, status=SessionStorageStatus.model_validate(status)))
