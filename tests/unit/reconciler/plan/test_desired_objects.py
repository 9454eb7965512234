"""The desired objects of a storage, and which parts of an instance stay as they were created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.failover.decision import KeepPrimary
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.plan import desired_objects, placement, volumes
from reconciler.plan.desired_objects import Layout
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import STATEFUL_SETS, Object
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import (
    HOSTS,
    SETTINGS,
    children,
    observed,
    pod,
    session_storage,
    state_of,
    with_child,
    workload,
)


def built(before: StorageState, size: Size, index: int = 0) -> Object:
    return desired_objects.workload(before, SessionStorageSpec(size=size), index, SETTINGS)


def disk(made: Object) -> str:
    claims = made["spec"].get("volumeClaimTemplates") or []
    found: str = claims[0]["spec"]["resources"]["requests"]["storage"] if claims else ""
    return found


def group_of(before: StorageState, size: Size) -> ReplicationGroup:
    return ReplicationGroup.of(before, PRESETS[size])


def superfluous(before: StorageState, size: Size) -> list[str]:
    return [step.name for step in desired_objects.superfluous(before, PRESETS[size], SETTINGS)]


@pytest.mark.parametrize(
    ("running", "asked", "new"),
    [
        (Size.SMALL, Size.SMALL, ""),
        (Size.SMALL, Size.MEDIUM, "5Gi"),
        (Size.SMALL, Size.LARGE, "10Gi"),
        (Size.MEDIUM, Size.SMALL, "5Gi"),
        (Size.MEDIUM, Size.LARGE, "10Gi"),
        (Size.LARGE, Size.SMALL, "10Gi"),
        (Size.LARGE, Size.MEDIUM, "10Gi"),
    ],
    ids=str,
)
def test_disks_grow_with_the_size_and_never_shrink(running: Size, asked: Size, new: str) -> None:
    assert disk(built(observed(running), asked, index=7)) == new


@pytest.mark.parametrize("asked", Size)
@pytest.mark.parametrize("running", Size)
def test_an_existing_instance_keeps_its_volume(running: Size, asked: Size) -> None:
    before = observed(running)
    made, present = built(before, asked), before.children["statefulsets", "mine-valkey-0"]
    assert made["spec"].get("volumeClaimTemplates") == present["spec"].get("volumeClaimTemplates")
    volumes = {volume["name"] for volume in made["spec"]["template"]["spec"]["volumes"]}
    assert ("data" in volumes) is (running is Size.SMALL)
    assert made["metadata"]["labels"][names.LABEL_SIZE] == asked


@pytest.mark.parametrize(
    ("running", "asked", "unfit"),
    [(a, b, PRESETS[a].disk_gib < PRESETS[b].disk_gib) for a in Size for b in Size],
    ids=str,
)
def test_an_instance_whose_volume_is_too_small_is_unfit(running: Size, asked: Size, *, unfit: bool) -> None:
    before = observed(running)
    every = frozenset(instance.index for instance in before.instances)
    assert volumes.undersized(before, SessionStorageSpec(size=asked)) == (every if unfit else frozenset())


def test_a_volume_of_any_other_capacity_counts_by_its_capacity() -> None:
    before = observed("medium")
    made = workload(0, Size.MEDIUM)
    made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "77Gi"
    larger = with_child(before, ("statefulsets", "mine-valkey-0"), made)
    assert volumes.undersized(larger, SessionStorageSpec(size=Size.LARGE)) == frozenset()
    assert disk(built(larger, Size.LARGE, index=1)) == "77Gi"


@pytest.mark.parametrize("hosts", [HOSTS, KubernetesNodes()], ids=["enough nodes", "too few"])
def test_new_instances_must_be_spread_because_the_scheduler_knows_how_many_nodes_there_are(
    hosts: KubernetesNodes,
) -> None:
    assert placement.is_spread(built(state_of(session_storage({}), nodes=hosts), Size.LARGE))


def test_only_instances_that_may_share_a_node_need_not_be_spread() -> None:
    before = observed("large")
    group, spec = group_of(before, Size.LARGE), SessionStorageSpec(size=Size.LARGE)
    made = desired_objects.build(before, spec, group, Layout((0, 1, 2), frozenset({1})), SETTINGS)
    assert [placement.is_spread(obj) for resource, obj in made if resource is STATEFUL_SETS] == [True, False, True]


def test_the_built_objects_have_different_names_and_complete_the_children() -> None:
    for size in Size:
        before = observed(size)
        indexes = [instance.index for instance in before.instances]
        group, spec = group_of(before, size), SessionStorageSpec(size=size)
        way = desired_objects.clients_way(before, group, KeepPrimary())
        made = [*desired_objects.build(before, spec, group, Layout(indexes), SETTINGS), *way]
        named = {(resource.plural, obj["metadata"]["name"]) for resource, obj in made}
        assert len(named) == len(made)
        secrets = {("secrets", "mine-auth"), ("secrets", "mine-connection")}
        of_primary = {("poddisruptionbudgets", "mine-valkey-primary")}
        assert named | secrets | of_primary == set(children(size))


def test_objects_for_replicas_are_superfluous_without_replicas() -> None:
    assert superfluous(observed("large"), Size.LARGE) == []
    assert superfluous(observed("large"), Size.MEDIUM) == ["mine-valkey-replicas", "mine-valkey-replica"]
    assert superfluous(observed("medium"), Size.MEDIUM) == []


@pytest.mark.parametrize(
    ("label", "size"), [("small", Size.SMALL), ("large", Size.LARGE), ("huge", Size.MEDIUM), (None, Size.MEDIUM)]
)
def test_the_primarys_pod_tells_the_running_size(label: Any, size: Size) -> None:
    made = pod(0, Size.SMALL)
    made["metadata"]["labels"].pop(names.LABEL_SIZE)
    made["metadata"]["labels"] |= {names.LABEL_SIZE: label} if label else {}
    before = observed("small")
    running = replace(before, instances=(replace(before.instances[0], pod=made),))
    assert desired_objects.running_size(group_of(running, Size.MEDIUM), SessionStorageSpec(size=Size.MEDIUM)) is size


def test_without_a_pod_the_requested_size_counts_as_running() -> None:
    nothing = state_of(session_storage({}))
    assert (
        desired_objects.running_size(group_of(nothing, Size.LARGE), SessionStorageSpec(size=Size.LARGE)) is Size.LARGE
    )
    assert desired_objects.running_size(group_of(nothing, Size.MEDIUM), SessionStorageSpec()) is Size.MEDIUM
