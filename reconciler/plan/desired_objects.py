"""What the objects of a managed storage are to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete
from reconciler.failover.decision import PRIMARY_SILENT, LookAgain
from reconciler.manifests import disruption_budget, services, valkey_config
from reconciler.manifests.instance_spec import Image, InstanceSpec
from reconciler.manifests.network_policy import NOTHING_ADDED, Peers, network_policy
from reconciler.manifests.stateful_set import stateful_set
from reconciler.manifests.storage import Inherited, Storage
from reconciler.manifests.valkey_pods import DEFAULT_PODS, ValkeyPods
from reconciler.plan import registry_credentials, volumes
from reconciler.plan.volumes import workloads
from reconciler.rotation.phases import RotationSettings
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from shared import names
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from shared.session_storage.sizes import DEFAULT_SIZE, DEFAULT_SIZES, Size, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.manifests.network_policy_settings import NetworkPolicySettings
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
        updates_at_once: How many storages the reconciler may update at the same time.
        pods: How the pods of instances are made.
        network: What is added to the NetworkPolicy of each storage.
        sizes: What the sizes stand for.
    """

    image: Image
    peers: Peers
    rotation: RotationSettings = field(default_factory=RotationSettings)
    updates_at_once: int = 1
    pods: ValkeyPods = DEFAULT_PODS
    network: NetworkPolicySettings = NOTHING_ADDED
    sizes: Sizes = DEFAULT_SIZES


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
    handed_down = storage.spec.inherited_metadata if storage.spec is not None else None
    inherited = Inherited(handed_down.labels, handed_down.annotations) if handed_down is not None else Inherited()
    return Storage(storage.name, storage.namespace, storage.uid, inherited)


def build(
    state: StorageState,
    spec: SessionStorageSpec,
    group: ReplicationGroup,
    layout: Layout,
    settings: StorageSettings,
) -> Iterator[tuple[Resource, Object]]:
    """Build the objects of a storage in the order of the proposal: without Secrets, and what depends on the primary."""
    owner = owner_of(state.storage)
    if settings.network.enabled:
        policy = network_policy(owner, settings.peers, state.sharing.namespaces, settings.network)
        yield NETWORK_POLICIES, policy
    yield CONFIG_MAPS, valkey_config.config_map(owner, group.primary.index, layout.instances, group.service_host)
    yield from ((SECRETS, copy) for copy in registry_credentials.copies(state, owner, settings.pods.pull_sources))
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


def superfluous(state: StorageState, preset: Preset, settings: StorageSettings) -> Iterator[Delete]:
    """Delete what leads clients elsewhere than to the primary, and what the storage is to have no more.

    That is what replicas need where there are to be none, a NetworkPolicy if storages have none, and copies of registry
    credentials that no pod is to name.
    """
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
    policy = state.child(NETWORK_POLICIES, names.valkey(storage))
    if policy is not None and not settings.network.enabled:
        yield Delete.of(NETWORK_POLICIES, policy)
    yield from registry_credentials.superfluous_copies(state, settings.pods.pull_sources)


def workload(
    state: StorageState, spec: SessionStorageSpec, index: int, settings: StorageSettings, *, is_spread: bool = True
) -> Object:
    """Build the StatefulSet of an instance, which must be on a node of its own if there are enough, or only should."""
    owner, present = owner_of(state.storage), workloads(state).get(index)
    instance = _instance(state, spec, index, settings, is_spread=is_spread)
    desired = stateful_set(owner, instance, settings.image, settings.pods)
    if present is not None:
        # The API server refuses every change of volumeClaimTemplates: even of the owner that they name, as after a
        # storage was deleted without its children.
        desired["spec"].pop("volumeClaimTemplates", None)
        if claims := present["spec"].get("volumeClaimTemplates"):
            desired["spec"]["volumeClaimTemplates"] = claims
    return desired


def running_size(group: ReplicationGroup, spec: SessionStorageSpec) -> Size:
    """Tell the size that the primary has; the wanted one if its pod does not say."""
    return group.size or spec.size or DEFAULT_SIZE


def _instance(
    state: StorageState, spec: SessionStorageSpec, index: int, settings: StorageSettings, *, is_spread: bool
) -> InstanceSpec:
    storage, present, sizes = state.storage, workloads(state).get(index), settings.sizes
    # An instance that is there keeps the volume that it was made with, which cannot change in place.
    disk = volumes.new_disk(state, spec, index, sizes) if present is None else volumes.disk_of(present)
    return InstanceSpec(
        storage.name,
        storage.namespace,
        index,
        spec.size or DEFAULT_SIZE,
        disk,
        is_spread,
        sizes,
        spec.storage_class_name or settings.pods.storage_class_name,
    )
