"""What the objects of a managed storage are to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.manifests import config_map, disruption_budget, network_policy, services
from reconciler.manifests.stateful_set import InstanceSpec, stateful_set
from reconciler.manifests.storage import Storage
from reconciler.state.primary_record import PrimaryRecord
from shared import names
from shared.objects.field_path import read
from shared.objects.resources import (
    DISRUPTION_BUDGETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from shared.session_storage.sizes import DEFAULT_SIZE, PRESETS, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.settings import StorageSettings
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import SessionStorageSpec

_GIBIBYTES: Final = "Gi"
_SPREAD: Final = (
    *("spec", "template", "spec", "affinity", "podAntiAffinity"),
    "requiredDuringSchedulingIgnoredDuringExecution",
)


@dataclass(frozen=True, slots=True)
class DesiredObjects:
    """What the objects of a managed storage are to be, but for Secrets and the budget of the primary.

    Attributes:
        primary_service: The Service that sends clients to the primary.
        services: All others.
        replicas_budget: PodDisruptionBudget of the replicas; None if the storage is to have none.
        superfluous: Objects that exist for replicas which the storage is no longer to have, each with its kind.
    """

    network_policy: Object
    config_map: Object
    stateful_sets: tuple[Object, ...]
    primary_service: Object
    services: tuple[Object, ...]
    replicas_budget: Object | None
    superfluous: tuple[tuple[Resource, Object], ...] = ()


def owner_of(storage: DeclaredStorage) -> Storage:
    """Pick what the children of a storage depend on."""
    return Storage(storage.name, storage.namespace, storage.uid)


def workloads(state: StorageState) -> dict[int, Object]:
    """Find the StatefulSets of all instances, by number."""
    return {
        names.instance_index(name): obj
        for (plural, name), obj in state.children.items()
        if plural == STATEFUL_SETS.plural
    }


def build(
    state: StorageState,
    spec: SessionStorageSpec,
    group: ReplicationGroup,
    instances: Sequence[int],
    settings: StorageSettings,
) -> DesiredObjects:
    """Build what a storage that is to have these instances, by number, consists of."""
    owner, is_redundant = owner_of(state.storage), group.preset.is_redundant
    replicas_service, replicas_budget = services.replicas_service(owner), disruption_budget.replicas_budget(owner)
    for_replicas = ((SERVICES, replicas_service), (DISRUPTION_BUDGETS, replicas_budget))
    found = ((resource, state.child(resource, obj["metadata"]["name"])) for resource, obj in for_replicas)
    return DesiredObjects(
        network_policy=network_policy.network_policy(owner, settings.peers, state.sharing.namespaces),
        config_map=config_map.config_map(owner, group.primary.index, instances),
        stateful_sets=tuple(workload(state, spec, index, settings) for index in instances),
        primary_service=_primary_service(owner, group),
        services=(services.headless_service(owner), *([replicas_service] if is_redundant else [])),
        replicas_budget=replicas_budget if is_redundant else None,
        superfluous=() if is_redundant else tuple((resource, obj) for resource, obj in found if obj is not None),
    )


def _primary_service(owner: Storage, group: ReplicationGroup) -> Object:
    record = PrimaryRecord.first(group.primary.index) if group.service is None else None
    return services.primary_service(owner, group.primary.index, record)


def workload(state: StorageState, spec: SessionStorageSpec, index: int, settings: StorageSettings) -> Object:
    """Build the StatefulSet of an instance."""
    owner, present = owner_of(state.storage), workloads(state).get(index)
    instance = _instance(state, spec, index, present)
    desired = stateful_set(
        owner.metadata(names.valkey_instance(owner.name, index)), instance, settings.image, settings.placement
    )
    if present is not None:
        # The API refuses every change of them, even of the owner after a storage was deleted without its children.
        desired["spec"].pop("volumeClaimTemplates", None)
        if claims := present["spec"].get("volumeClaimTemplates"):
            desired["spec"]["volumeClaimTemplates"] = claims
    return desired


def undersized(state: StorageState, spec: SessionStorageSpec) -> frozenset[int]:
    """Number the instances whose volume is smaller than it is to be: only another instance can have a larger one."""
    wanted = _wanted_disk(state, spec)
    return frozenset(index for index, present in workloads(state).items() if _disk(present) < wanted)


def running_size(group: ReplicationGroup, spec: SessionStorageSpec) -> Size:
    """Tell how large the primary is."""
    return group.size or spec.size or DEFAULT_SIZE


def _instance(state: StorageState, spec: SessionStorageSpec, index: int, present: Object | None) -> InstanceSpec:
    size, storage = spec.size or DEFAULT_SIZE, state.storage
    # An instance that is there keeps what it was made with: neither its volume nor where it may run can change in
    # place.
    disk = _wanted_disk(state, spec) if present is None else _disk(present)
    is_spread = len(state.nodes.open) >= PRESETS[size].replicas if present is None else _is_spread(present)
    return InstanceSpec(storage.name, storage.namespace, index, size, disk, is_spread)


def _wanted_disk(state: StorageState, spec: SessionStorageSpec) -> int:
    """Tell how large a volume is to be: disks grow with the size, and never shrink."""
    preset = PRESETS[spec.size or DEFAULT_SIZE]
    return max(preset.disk_gib if preset.is_persistent else 0, *map(_disk, workloads(state).values()), 0)


def _disk(workload: Object) -> int:
    """Read the size of an instance's volume in GiB; 0 if its data goes with its pod."""
    claims: list[Object] = workload["spec"].get("volumeClaimTemplates") or []
    sizes = (str(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims)
    return max((int(size.removesuffix(_GIBIBYTES)) for size in sizes if size.endswith(_GIBIBYTES)), default=0)


def _is_spread(workload: Object) -> bool:
    return bool(read(workload, _SPREAD))
