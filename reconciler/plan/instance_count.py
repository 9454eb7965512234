"""How many instances a storage is to have by now, if the installation asks for another number. Pure.

A user's change of the size takes effect at once. What the installation puts behind the sizes changes in all storages,
so each storage waits for its turn, and has as many instances as before until then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.plan.volumes import workloads
from shared.session_storage.sizes import DEFAULT_SIZE

if TYPE_CHECKING:
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import SessionStorageSpec
    from shared.session_storage.sizes import Preset, Sizes


def is_of_another_size(state: StorageState, spec: SessionStorageSpec) -> bool:
    """Tell whether an instance was made for another size than its user asks for by now."""
    return any(each.size not in {None, spec.size or DEFAULT_SIZE} for each in state.instances)


def preset_for_now(state: StorageState, spec: SessionStorageSpec, sizes: Sizes) -> Preset:
    """Tell what the size of a storage decides by now: without a turn, not yet another number of instances."""
    asked = sizes.of(spec.size)
    if state.may_update or is_of_another_size(state, spec):
        return asked
    return replace(asked, replicas=_kept(state, asked.replicas))


def is_growing(state: StorageState, spec: SessionStorageSpec, group: ReplicationGroup) -> bool:
    """Tell whether the installation has raised the number of instances, and the storage is at it.

    It is as long as an instance that was made since is not in sync: to copy its data takes as much as an update does.
    """
    wanted = group.preset.replicas
    if not state.may_update or is_of_another_size(state, spec):
        return False
    has_former = any(each.made_for is not None and each.made_for < wanted for each in group.instances)
    added = [each for each in group.others if each.made_for is None or each.made_for >= wanted]
    return has_former and (len(workloads(state)) < wanted or not all(map(group.is_synced, added)))


def _kept(state: StorageState, asked: int) -> int:
    """Tell how many instances a storage keeps until its turn.

    It is the number in the middle: of what the installation asks for, what the newest pods were made for, and what
    there is. So a storage that has lost an instance gets it back, one that has a second instance for a moment loses
    that, and one that had begun to change goes on.
    """
    made_for = max((each.made_for for each in state.instances if each.made_for is not None), default=asked)
    return max(sorted((asked, made_for, len(workloads(state))))[1], 1)
