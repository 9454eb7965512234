"""What the objects of a managed storage are to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete
from reconciler.failover.decision import PRIMARY_SILENT, LookAgain
from reconciler.manifests import disruption_budget, network_policy, services, valkey_config
from reconciler.manifests.stateful_set import Image, InstanceSpec, stateful_set
from reconciler.manifests.storage import Storage
from reconciler.rotation.phases import RotationSettings
from reconciler.state.instance import Instance
from reconciler.state.owned_objects import is_owned_by
from reconciler.state.primary_record import PrimaryRecord
from shared import names
from shared.objects.field_path import read
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
)
from shared.session_storage.sizes import DEFAULT_SIZE, PRESETS, Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object, Resource
    from shared.session_storage.models import SessionStorageSpec
    from shared.session_storage.sizes import Preset


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """The settings of the installation that apply to every storage.

    Attributes:
        image: Image of Valkey.
        peers: Pods that may reach storages besides the consumers.
        rotation: How passwords change.
        priority_class: PriorityClass of the pods of instances; empty means the cluster's default.
        updates_at_once: How many storages the reconciler may update at the same time.
    """

    image: Image
    peers: network_policy.Peers
    rotation: RotationSettings = field(default_factory=RotationSettings)
    priority_class: str = ""
    updates_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The instances that a storage is to have.

    Attributes:
        instances: Their numbers.
        may_share: Numbers of those that need not be on a node of their own.
    """

    instances: Sequence[int]
    may_share: frozenset[int] = frozenset()


def owner_of(storage: DeclaredStorage) -> Storage:
    """Pick what the children of a storage depend on."""
    return Storage(storage.name, storage.namespace, storage.uid)


def workloads(state: StorageState) -> dict[int, Object]:
    """Find the StatefulSets of all instances, by number."""
    return {
        index: obj
        for (plural, name), obj in state.children.items()
        if plural == STATEFUL_SETS.plural and (index := names.instance_of(state.storage.name, name)) is not None
    }


def build(
    state: StorageState,
    spec: SessionStorageSpec,
    group: ReplicationGroup,
    layout: Layout,
    settings: StorageSettings,
) -> Iterator[tuple[Resource, Object]]:
    """Build the objects of a storage in the order of the proposal: without Secrets, and what depends on the primary."""
    owner = owner_of(state.storage)
    yield NETWORK_POLICIES, network_policy.network_policy(owner, settings.peers, state.sharing.namespaces)
    yield CONFIG_MAPS, valkey_config.config_map(owner, group.primary.index, layout.instances, group.service_host)
    for index in layout.instances:
        yield STATEFUL_SETS, workload(state, spec, index, settings, is_spread=index not in layout.may_share)
    yield SERVICES, services.headless_service(owner)
    if group.preset.is_redundant:
        yield SERVICES, services.replicas_service(owner)
        yield DISRUPTION_BUDGETS, disruption_budget.replicas_budget(owner)


def clients_way(
    state: StorageState, group: ReplicationGroup, decision: Decision, *, is_held: bool = False
) -> Iterator[tuple[Resource, Object]]:
    """Build what leads clients to the primary: the EndpointSlices of its Service, then the Service.

    A Service that still has a selector loses it only once its EndpointSlices exist. While the reconciler waits for the
    fence of a primary that nobody hears, new connections are refused: a client that dials into a node which is cut off
    would not notice that another instance takes over, because Linux repeats the dial to the former address. What such a
    primary still took would be lost.

    Nor does anybody get to an instance that is still a replica, as on a first start until all instances can be
    compared. No client could write there, and each other instance would try to follow it a thousand times a second:
    Valkey (9.1) does so if the other one refuses commands because it has no primary itself.

    Args:
        state: The state of the storage.
        group: Its instances.
        decision: What to do about the primary.
        is_held: Whether a primary whose pod is ending goes on until another instance takes over.
    """
    owner, service = owner_of(state.storage), group.service
    if service is None:
        yield SERVICES, services.primary_service(owner, PrimaryRecord(1, group.primary.index))
        return
    record = service.record if service.families[0] not in service.slices else None
    is_silent = isinstance(decision, LookAgain) and decision.reason == PRIMARY_SILENT
    leads_nowhere = is_silent or (group.primary.is_loaded and not group.primary.is_primary)
    primary = Instance(group.primary.index) if leads_nowhere else group.primary
    for endpoint_slice in services.primary_slices(owner, service.families, primary, record, is_held=is_held):
        yield ENDPOINT_SLICES, endpoint_slice
    # The Service keeps a copy of the last change, for the case that somebody deletes the EndpointSlice.
    is_last = service.record.epoch and not service.record.is_under_way
    yield SERVICES, services.primary_service(owner, service.record if is_last else None)


def superfluous(state: StorageState, preset: Preset) -> Iterator[Delete]:
    """Delete what leads clients elsewhere than to the primary, and what replicas need where there are to be none."""
    storage, service = state.storage.name, state.primary_service
    if state.stray_slices and service is not None and service.is_ours_to_point:
        yield from (Delete.of(ENDPOINT_SLICES, each) for each in state.stray_slices)
        # While they are there, one of Kubernetes' controllers makes such EndpointSlices from them.
        yield Delete(ENDPOINTS, *service.key)
    for resource, name in (
        (SERVICES, names.valkey_replicas(storage)),
        (DISRUPTION_BUDGETS, names.valkey_budget(storage, names.ROLE_REPLICA)),
    ):
        if not preset.is_redundant and (obj := state.child(resource, name)) is not None:
            yield Delete.of(resource, obj)


def workload(
    state: StorageState, spec: SessionStorageSpec, index: int, settings: StorageSettings, *, is_spread: bool = True
) -> Object:
    """Build the StatefulSet of an instance, which must be on a node of its own if there are enough, or only should."""
    owner, present = owner_of(state.storage), workloads(state).get(index)
    instance = _instance(state, spec, index, present, is_spread=is_spread)
    metadata = owner.metadata(names.valkey_instance(owner.name, index))
    desired = stateful_set(metadata, instance, settings.image, settings.priority_class)
    if present is not None:
        # The API server refuses every change of volumeClaimTemplates: even of the owner that they name, as after a
        # storage was deleted without its children.
        desired["spec"].pop("volumeClaimTemplates", None)
        if claims := present["spec"].get("volumeClaimTemplates"):
            desired["spec"]["volumeClaimTemplates"] = claims
    return desired


def undersized(state: StorageState, spec: SessionStorageSpec) -> frozenset[int]:
    """List the numbers of instances whose volume is too small: only another instance can have a larger one."""
    wanted = _wanted_disk(state, spec)
    return frozenset(index for index, present in workloads(state).items() if _disk(present) < wanted)


def running_size(group: ReplicationGroup, spec: SessionStorageSpec) -> Size:
    """Tell the size that the primary has; the wanted one if its pod does not say."""
    return group.size or spec.size or DEFAULT_SIZE


def _instance(
    state: StorageState, spec: SessionStorageSpec, index: int, present: Object | None, *, is_spread: bool
) -> InstanceSpec:
    size, storage = spec.size or DEFAULT_SIZE, state.storage
    # An instance that is there keeps the volume that it was made with, which cannot change in place.
    disk = _left_disk(state, index) or _wanted_disk(state, spec) if present is None else _disk(present)
    return InstanceSpec(storage.name, storage.namespace, index, size, disk, is_spread)


def _wanted_disk(state: StorageState, spec: SessionStorageSpec) -> int:
    """Tell how large a volume is to be: disks grow with the size, and never shrink."""
    preset = PRESETS[spec.size or DEFAULT_SIZE]
    left = (_left_disk(state, index) for index in state.claims)
    return max(preset.disk_gib if preset.is_persistent else 0, *map(_disk, workloads(state).values()), *left, 0)


def _left_disk(state: StorageState, index: int) -> int:
    """Read the size of a volume that waits for its instance in GiB; 0 if there is none."""
    claim = state.claims.get(index)
    is_left = claim is not None and index not in workloads(state) and is_owned_by(claim, state.storage.uid)
    return _requested(claim) if claim is not None and is_left else 0


def _disk(workload: Object) -> int:
    """Read the size of an instance's volume in GiB; 0 if its data goes with its pod."""
    claims: list[Object] = workload["spec"].get("volumeClaimTemplates") or []
    return max(map(_requested, claims), default=0)


def _requested(claim: Object) -> int:
    """Read how large a volume a claim asks for in GiB; 0 if it does not say so in GiB."""
    size = str(read(claim, ("spec", "resources", "requests", "storage")) or "")
    return int(size.removesuffix("Gi")) if size.endswith("Gi") and size.removesuffix("Gi").isdecimal() else 0
