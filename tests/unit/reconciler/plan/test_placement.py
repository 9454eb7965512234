"""Which instances share a node, and which of them may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.plan.placement import SHARED_AFTER, is_spread, may_share, shared_nodes
from reconciler.state.instance import Instance
from shared.objects.resources import Object
from shared.objects.timestamps import written
from shared.session_storage.sizes import Size
from tests.support.storages import NOW, observed, pod, workload

LARGE = observed("large").instances
SPREAD = {index: workload(index, Size.LARGE) for index in range(3)}


def free(index: int) -> Object:
    """Build the StatefulSet of an instance that need not be spread."""
    made = workload(index, Size.LARGE)
    del made["spec"]["template"]["spec"]["topologySpreadConstraints"]
    return made


def on(instance: Instance, node: str) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod={**instance.pod, "spec": {"nodeName": node}})


def without_node(index: int, waiting: timedelta) -> Instance:
    made = pod(index, Size.LARGE, "replica", creationTimestamp=written(NOW - waiting))
    unschedulable = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}
    return Instance(index, {**made, "spec": {}, "status": unschedulable})


def test_nodes_with_several_instances_are_known_by_name() -> None:
    assert shared_nodes(LARGE) == {}
    crowded = (on(LARGE[0], "b"), on(LARGE[1], "a"), on(LARGE[2], "b"), Instance(3))
    assert shared_nodes(crowded) == {"b": [crowded[0], crowded[2]]}


def test_a_template_and_its_pod_tell_whether_they_are_spread() -> None:
    assert is_spread(SPREAD[0])
    assert is_spread(SPREAD[0]["spec"]["template"])
    assert not is_spread(free(0))
    assert not is_spread(workload(0, Size.MEDIUM))


def test_an_instance_for_which_there_is_no_node_may_share_one_after_a_while() -> None:
    for waiting, sharing in ((SHARED_AFTER, frozenset()), (SHARED_AFTER + timedelta(seconds=1), {2})):
        seen = (*LARGE[:2], without_node(2, waiting))
        assert may_share(SPREAD, seen, NOW) == sharing


def test_an_instance_that_shares_a_node_goes_on_to_do_so_and_one_that_does_not_is_spread_again() -> None:
    present = SPREAD | {2: free(2)}
    assert may_share(present, (*LARGE[:2], without_node(2, timedelta(0))), NOW) == {2}
    assert may_share(present, (*LARGE[:2], Instance(2)), NOW) == {2}
    assert may_share(present, (*LARGE[:2], on(LARGE[2], "host-1")), NOW) == {2}
    assert may_share(present, LARGE, NOW) == frozenset()


def test_instances_that_were_put_on_one_node_by_the_scheduler_are_still_to_be_spread() -> None:
    assert may_share(SPREAD, (*LARGE[:2], on(LARGE[2], "host-1")), NOW) == frozenset()
