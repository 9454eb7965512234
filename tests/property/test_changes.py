"""From any state of its instances, a storage reaches what its spec asks for step by step, and serves all the time."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.actions.kubernetes import Delete
from reconciler.actions.valkey import Remove, SwitchOver
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.plan.change import Change
from reconciler.plan.desired_instances import DesiredInstances
from reconciler.plan.rolling_update import next_change
from reconciler.state.instance import Instance
from reconciler.state.kubernetes_nodes import KubernetesNodes
from shared import names
from shared.objects.resources import Object
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import NOW, RING, primary, primary_service, replica, replicated, stored, workload

ENOUGH = 60
"""More steps than any mix of instances takes."""
OPEN = 9
"""Number of a node that is never drained."""


@cache
def wanted(index: int, size: Size) -> Object:
    return stored(workload(index, size))


@dataclass
class DrawnInstance:
    """The true state of one instance, from which its observation is built.

    Attributes:
        host: Number of the node on which it runs; None while no node takes it.
        is_stale: Whether its pod was made from an outdated template.
        is_unfit: Whether its volume is too small.
        is_synced: Whether it could take over.
        is_attached: Whether it follows the primary at all.
    """

    host: int | None = OPEN
    is_stale: bool = False
    is_unfit: bool = False
    is_synced: bool = False
    is_attached: bool = False

    @property
    def is_fresh(self) -> bool:
        return not self.is_stale and not self.is_unfit


@dataclass
class Model:
    """A storage and its instances, and a cluster that carries out what the planner decides."""

    size: Size
    instances: dict[int, DrawnInstance]
    primary: int
    closing: frozenset[int]
    asked: str
    has_room: bool

    @property
    def count(self) -> int:
        return PRESETS[self.size].replicas

    @property
    def synced(self) -> set[int]:
        return {index for index, instance in self.instances.items() if index != self.primary and instance.is_synced}

    def decide(self) -> Change:
        others = tuple(self._report(index) for index in sorted(self.instances) if index != self.primary)
        service = primary_service(self.primary)
        key, preset = ("team", "mine"), PRESETS[self.size]
        group = ReplicationGroup(key, service, self._report(self.primary), others, preset, RING)
        present = {index: wanted(index, self.size) for index in self.instances}
        desired = DesiredInstances(
            count=self.count,
            present=present,
            target=present,
            volume_claims={},
            undersized=frozenset(index for index, instance in self.instances.items() if instance.is_unfit),
            nodes=KubernetesNodes(frozenset({f"host-{OPEN}"}), frozenset(f"host-{host}" for host in self.closing)),
            requested_switchover=self.asked,
            may_update=True,
            now=NOW,
        )
        return next_change(group, desired)

    def apply(self, change: Change) -> None:
        for index in set(change.instances) - self.instances.keys():
            self.instances[index] = DrawnInstance(OPEN if self.has_room else None)
        for step in change.steps:
            match step:
                case SwitchOver():
                    self.instances[self.primary].is_synced = self.instances[self.primary].is_attached = True
                    self.primary, self.asked = step.new.index, ""
                case Remove():
                    del self.instances[names.instance_index(step.workload["metadata"]["name"])]
                case Delete():
                    self._restart(names.instance_index(step.name.removesuffix("-0")))
                case _:
                    raise AssertionError(step)

    def pass_time(self) -> None:
        """Let instances catch up, and let the drain evict the pods that it may."""
        for instance in self.instances.values():
            if instance.host is not None and (instance.is_attached or not instance.is_stale):
                instance.is_synced = instance.is_attached = True
        for index, instance in self.instances.items():
            if index != self.primary and instance.host in self.closing and self.synced | {index} == self._others:
                self._restart(index)

    @property
    def _others(self) -> set[int]:
        return self.instances.keys() - {self.primary}

    def _restart(self, index: int) -> None:
        """Replace a pod that has gone; the new pod gets the room of the former one."""
        host = OPEN if self.instances[index].host in self.closing else self.instances[index].host
        self.instances[index] = DrawnInstance(host, is_unfit=self.instances[index].is_unfit)

    def _report(self, index: int) -> Instance:
        instance = self.instances[index]
        attached = [other for other in self._others if self.instances[other].is_attached]
        seen = primary(index, self.size, *attached) if index == self.primary else replica(index, self.size)
        assert seen.pod is not None
        annotations = (
            {names.ANNOTATION_TEMPLATE_HASH: "stale"} if instance.is_stale else seen.pod["metadata"]["annotations"]
        )
        metadata = seen.pod["metadata"] | {"annotations": annotations, "creationTimestamp": "2026-11-23T10:00:00Z"}
        pod = seen.pod | {"metadata": metadata, "spec": {"nodeName": f"host-{instance.host}"}}
        if instance.host is None:
            unschedulable = {"type": "PodScheduled", "status": "False"}
            return Instance(index, pod | {"spec": {}, "status": {"phase": "Pending", "conditions": [unschedulable]}})
        if index == self.primary or instance.is_synced:
            return replace(seen, pod=pod)
        if instance.is_attached:
            return replicated(replace(seen, pod=pod), offset=1)
        return Instance(index, pod, problem="down")


@st.composite
def instances(draw: st.DrawFn) -> DrawnInstance:
    is_attached = draw(st.booleans())
    return DrawnInstance(
        host=draw(st.integers(0, 3)),
        is_stale=draw(st.booleans()),
        is_unfit=draw(st.booleans()),
        is_attached=is_attached,
        is_synced=is_attached and draw(st.booleans()),
    )


@st.composite
def models(draw: st.DrawFn) -> Model:
    present = draw(st.dictionaries(st.integers(0, 5), instances(), min_size=1, max_size=4))
    size = draw(st.sampled_from([Size.MEDIUM, Size.LARGE]))
    return Model(
        size=size,
        instances=present,
        primary=draw(st.sampled_from(sorted(present))),
        closing=draw(st.frozensets(st.integers(0, 3), max_size=3)),
        asked=draw(st.sampled_from(["", "please"])),
        # A redundant storage without room for its instances stays as it is; a unit test covers that.
        has_room=size is Size.LARGE or draw(st.booleans()),
    )


@settings(max_examples=300, deadline=None)
@given(models())
def test_every_storage_reaches_its_spec_and_serves_all_the_time(model: Model) -> None:
    for _ in range(ENOUGH):
        change, former = model.decide(), copy.deepcopy(model)
        before = model.primary, model.synced, model.instances[model.primary]
        model.apply(change)
        _check(model, change, *before)
        if change.finding is not None and change.finding.reason == "NoRoom":
            assert not model.has_room
            assert change.steps == ()
            return
        model.pass_time()
        if model == former:
            break
    assert len(model.instances) == model.count
    assert all(instance.is_fresh for instance in model.instances.values())
    assert model.decide() == Change(tuple(sorted(model.instances)))
    assert model.instances[model.primary].host not in model.closing
    assert model.asked == ""


def _check(model: Model, change: Change, before: int, synced: set[int], head: DrawnInstance) -> None:
    """Assert that a step has removed nothing that anybody needs."""
    assert len(change.steps) <= 1, "only one instance changes at a time"
    assert before in model.instances, "the instance that clients reached is never removed"
    if model.primary != before:
        assert model.primary in synced, "only an instance in sync takes over"
        assert model.instances[model.primary].is_fresh
    elif PRESETS[model.size].is_redundant:
        assert model.instances[before] is head, "the primary of a redundant storage is never restarted"
    elif model.has_room:
        assert model.instances[before] is head, "with room for another instance, no storage's primary is restarted"
    if PRESETS[model.size].is_redundant and synced:
        assert model.synced, "a replica that could take over remains"
