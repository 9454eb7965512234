"""What the objects of a managed storage are to be. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.manifests import config_map, disruption_budget, network_policy, services
from reconciler.manifests.stateful_set import InstanceSpec, stateful_set
from reconciler.manifests.storage import Storage
from reconciler.state.mirrored_secrets import sharing_namespaces
from shared import names
from shared.objects.field_path import read
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    SERVICES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from shared.session_storage.sizes import DEFAULT_SIZE, PRESETS, Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.settings import Settings
    from reconciler.state.storage_state import Observed
    from shared.session_storage.models import SessionStorageSpec

_GIBIBYTES: Final = "Gi"
_SPREAD: Final = (
    *("spec", "template", "spec", "affinity", "podAntiAffinity"),
    "requiredDuringSchedulingIgnoredDuringExecution",
)


def storage_of(observed: Observed) -> Storage:
    """Pick what its children depend on."""
    metadata = observed.storage["metadata"]
    return Storage(metadata["name"], metadata["namespace"], metadata["uid"])


def workloads(observed: Observed) -> dict[int, Object]:
    """Find the StatefulSets of all instances, by number."""
    return {
        names.instance_index(name): obj
        for (plural, name), obj in observed.children.items()
        if plural == STATEFUL_SETS.plural
    }


def objects(
    observed: Observed, spec: SessionStorageSpec, group: ReplicationGroup, instances: Sequence[int], settings: Settings
) -> Iterable[tuple[Resource, Object]]:
    """Build what a storage with these instances consists of, but for Secrets and what depends on its primary."""
    storage = storage_of(observed)
    sharing = sharing_namespaces(observed.storage, observed.usages)
    yield NETWORK_POLICIES, network_policy.network_policy(storage, settings.peers, sharing)
    yield CONFIG_MAPS, config_map.config_map(storage, group.primary.index, instances)
    for index in instances:
        yield STATEFUL_SETS, workload(observed, spec, index, settings)
    yield SERVICES, services.headless_service(storage)
    if group.preset.is_redundant:
        yield from _of_replicas(storage)


def superfluous(observed: Observed, group: ReplicationGroup) -> Iterable[tuple[Resource, Object]]:
    """Find what was made for replicas that there are not to be any more."""
    if group.preset.is_redundant:
        return
    for resource, obj in _of_replicas(storage_of(observed)):
        if present := observed.child(resource, obj["metadata"]["name"]):
            yield resource, present


def _of_replicas(storage: Storage) -> Iterable[tuple[Resource, Object]]:
    yield SERVICES, services.replicas_service(storage)
    yield DISRUPTION_BUDGETS, disruption_budget.replicas_budget(storage)


def workload(observed: Observed, spec: SessionStorageSpec, index: int, settings: Settings) -> Object:
    """Build the StatefulSet of an instance."""
    storage, present = storage_of(observed), workloads(observed).get(index)
    instance = _instance(observed, spec, index, present)
    desired = stateful_set(
        storage.metadata(names.valkey_instance(storage.name, index)), instance, settings.image, settings.placement
    )
    if present is not None:
        # The API refuses every change of them, even of the owner after a storage was deleted without its children.
        desired["spec"].pop("volumeClaimTemplates", None)
        if claims := present["spec"].get("volumeClaimTemplates"):
            desired["spec"]["volumeClaimTemplates"] = claims
    return desired


def undersized(observed: Observed, spec: SessionStorageSpec) -> frozenset[int]:
    """Number the instances whose volume is smaller than it is to be: only another instance can have a larger one."""
    wanted = _wanted_disk(observed, spec)
    return frozenset(index for index, present in workloads(observed).items() if _disk(present) < wanted)


def running_size(group: ReplicationGroup, spec: SessionStorageSpec) -> Size:
    """Tell how large the primary is."""
    return group.size or spec.size or DEFAULT_SIZE


def _instance(observed: Observed, spec: SessionStorageSpec, index: int, present: Object | None) -> InstanceSpec:
    size = spec.size or DEFAULT_SIZE
    metadata = observed.storage["metadata"]
    # An instance that is there keeps what it was made with: neither its volume nor where it may run can change in
    # place.
    disk = _wanted_disk(observed, spec) if present is None else _disk(present)
    is_spread = len(observed.nodes.open) >= PRESETS[size].replicas if present is None else _is_spread(present)
    return InstanceSpec(metadata["name"], metadata["namespace"], index, size, disk, is_spread)


def _wanted_disk(observed: Observed, spec: SessionStorageSpec) -> int:
    """Tell how large a volume is to be: disks grow with the size, and never shrink."""
    preset = PRESETS[spec.size or DEFAULT_SIZE]
    return max(preset.disk_gib if preset.is_persistent else 0, *map(_disk, workloads(observed).values()), 0)


def _disk(workload: Object) -> int:
    """Read the size of an instance's volume in GiB; 0 if its data goes with its pod."""
    claims: list[Object] = workload["spec"].get("volumeClaimTemplates") or []
    sizes = (str(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims)
    return max((int(size.removesuffix(_GIBIBYTES)) for size in sizes if size.endswith(_GIBIBYTES)), default=0)


def _is_spread(workload: Object) -> bool:
    return bool(read(workload, _SPREAD))
