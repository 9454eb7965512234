"""How large the volumes of a storage's instances are, and are to be. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Write
from reconciler.plan.drift import merged
from reconciler.state.owned_objects import is_owned_by
from shared import names
from shared.objects import quantities
from shared.objects.field_path import read
from shared.objects.resources import STATEFUL_SETS, VOLUME_CLAIMS
from shared.session_storage.sizes import DEFAULT_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.manifests.storage import Storage
    from reconciler.plan.repairs import Mending, Repair
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object, Resource
    from shared.session_storage.models import SessionStorageSpec


def workloads(state: StorageState) -> dict[int, Object]:
    """Find the StatefulSets of all instances, by number."""
    return {
        index: obj
        for (plural, name), obj in state.children.items()
        if plural == STATEFUL_SETS.plural and (index := names.instance_of(state.storage.name, name)) is not None
    }


def undersized(state: StorageState, spec: SessionStorageSpec, sizes: Sizes = DEFAULT_SIZES) -> frozenset[int]:
    """List the numbers of instances whose volume is too small: only another instance can have a larger one."""
    wanted = _wanted_disk(state, spec, sizes)
    return frozenset(index for index, present in workloads(state).items() if disk_of(present) < wanted)


def inheriting_claims(claims: Iterable[Object], owner: Storage, mending: Mending) -> Iterator[Repair]:
    """Have the claims that exist inherit too: Kubernetes makes them from a template that nobody can change."""
    for claim in claims:
        desired = {"metadata": {**owner.inherited_by(claim["metadata"]["name"]), "namespace": owner.namespace}}
        if (found := mending.object(_rewrite_metadata, VOLUME_CLAIMS, desired, claim)) is not None:
            yield found


def _rewrite_metadata(resource: Resource, desired: Object, present: Object | None) -> Write:
    known = present or {}
    return Write(resource, {**known, "metadata": merged(desired, known)["metadata"]}, desired)


def new_disk(state: StorageState, spec: SessionStorageSpec, index: int, sizes: Sizes) -> int:
    """Tell how large a volume a new instance gets in GiB: the one that waits for it, or what its size asks for."""
    return _left_disk(state, index) or _wanted_disk(state, spec, sizes)


def disk_of(workload: Object) -> int:
    """Read the size of an instance's volume in GiB; 0 if its data goes with its pod."""
    claims: list[Object] = workload["spec"].get("volumeClaimTemplates") or []
    return max(map(_requested, claims), default=0)


def _wanted_disk(state: StorageState, spec: SessionStorageSpec, sizes: Sizes) -> int:
    """Tell how large a volume is to be: disks grow with the size, and never shrink."""
    left = (_left_disk(state, index) for index in state.claims)
    return max(sizes.of(spec.size).volume_gib, *map(disk_of, workloads(state).values()), *left, 0)


def _left_disk(state: StorageState, index: int) -> int:
    """Read the size of a volume that waits for its instance in GiB; 0 if there is none."""
    claim = state.claims.get(index)
    is_left = claim is not None and index not in workloads(state) and is_owned_by(claim, state.storage.uid)
    return _requested(claim) if claim is not None and is_left else 0


def _requested(claim: Object) -> int:
    """Read how large a volume a claim asks for in GiB; 0 if it does not say so in whole GiB."""
    return quantities.gibibytes(str(read(claim, ("spec", "resources", "requests", "storage")) or "")) or 0
