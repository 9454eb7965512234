"""A storage is ready only if it takes writes, and its phase names what keeps an instance from coming into sync."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions.plan import Plan
from reconciler.actions.valkey import Fence
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.obstacle import Obstacle
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import Object
from shared.session_storage.sizes import Size
from tests.support.storages import (
    CREATED,
    NOW,
    OTHER_IMAGE,
    SETTINGS,
    observed,
    pod,
    primary,
    replica,
    replicated,
    session_storage,
    settled,
    stored,
    unlinked,
    with_child,
    workload,
)

LONG_AGO, JUST_NOW = "2026-11-23T11:59:30Z", "2026-11-23T11:59:55Z"
"""Longer ago than any server takes to start, and not so long ago."""
RUNNING_LONG = {"state": {"running": {"startedAt": LONG_AGO}}}
CRASHED = {"state": {"running": {"startedAt": JUST_NOW}}, "lastState": {"terminated": {"exitCode": 1}}}
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
}
NO_IMAGE = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
CRASH_LOOP = {"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
CREATING = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}
TWO_HOSTS = KubernetesNodes(frozenset({"host-0", "host-1"}))
HEAD, FAR = primary(0, Size.LARGE, 2), replica(2)
"""A primary with one of its two replicas, and that one."""


def near(container: Object = RUNNING_LONG, *, linked: bool = False, **replication: Any) -> Instance:
    """Build the observation of the other replica, whose server answers."""
    old = pod(1, Size.LARGE, "replica", creationTimestamp=LONG_AGO)
    known = replica(1, upstream="10.1.0.1")
    made = replicated(known, **replication) if linked else unlinked(known, **replication)
    return replace(made, pod={**old, "status": {**old["status"], "containerStatuses": [container]}})


def without_server(status: Object, created: str = LONG_AGO, size: Size = Size.LARGE) -> Instance:
    """Build the observation of the other replica, whose pod does not run."""
    return Instance(1, {**pod(1, size, "replica", creationTimestamp=created), "status": status})


def told(before: StorageState, phase: str = "Ready", **conditions: tuple[str, str]) -> StorageState:
    """Give a storage a last status, with the status of conditions and since when they have it."""
    listed = [
        {"type": kind, "status": status, "reason": "StorageReady", "message": "m", "lastTransitionTime": since}
        for kind, (status, since) in ({"Ready": ("True", LONG_AGO)} | conditions).items()
    ]
    return settled(before, {"phase": phase, "conditions": listed})


def decided(instance: Instance, missing_since: str = LONG_AGO) -> Plan:
    return plan(told(observed("large", HEAD, instance, FAR), Redundant=("False", missing_since)), SETTINGS, NOW)


def condition(made: Plan, kind: str) -> Object:
    assert made.status is not None
    return next(dict(each) for each in made.status["conditions"] if each["type"] == kind)


def phase(made: Plan) -> tuple[str, str]:
    """Return the phase, and the condition `Ready` beside it."""
    assert made.status is not None
    return made.status["phase"], condition(made, "Ready")["status"]


# Ready


def fenced(*instances: Instance) -> StorageState:
    return observed("large", *(instances or (primary(0, Size.LARGE), near(), Instance(2))))


def test_a_storage_is_not_ready_while_its_primary_refuses_writes_for_lack_of_a_replica() -> None:
    made = plan(told(fenced()), SETTINGS, NOW)
    assert phase(made) == ("Degraded", "False")
    for kind in ("Ready", "Available"):
        found = condition(made, kind)
        assert (found["status"], found["reason"]) == ("False", "NoReplicaInSync")
    assert made.status is not None
    assert made.status["message"] == (
        "mine-valkey-0 takes no writes without a replica in sync:"
        " mine-valkey-1 runs, and its link to 10.1.0.1 is down: see its log, and the NetworkPolicies that apply to it;"
        " waiting for mine-valkey-2 to start or to catch up"
    )
    assert (made.status["primary"], made.status["nodes"][0]["synced"]) == ("mine-valkey-0", False)
    assert [event.type for event in made.events if event.reason == "NoReplicaInSync"] == ["Warning"]


def test_a_fence_that_is_put_right_in_this_pass_counts_as_it_will_be() -> None:
    alone, followed = primary(0, Size.LARGE), HEAD
    assert alone.facts is not None
    assert followed.facts is not None
    for head, others, ready in (
        (replace(alone, facts=replace(alone.facts, fence=0)), (near(), FAR), "False"),
        (replace(followed, facts=replace(followed.facts, fence=1000)), (near(), FAR), "True"),
        (alone, (Instance(1), Instance(2)), "True"),
    ):
        made = plan(observed("large", head, *others), SETTINGS, NOW)
        assert [step for step in made.steps if isinstance(step, Fence)]
        assert phase(made)[1] == ready


def test_a_new_storage_is_ready_once_its_first_replica_is_in_sync() -> None:
    first = plan(fenced(), SETTINGS, NOW)
    assert phase(first) == ("Provisioning", "False")
    assert [event.type for event in first.events if event.reason == "NoReplicaInSync"] == ["Normal"]
    then = plan(settled(observed("large", HEAD, near(), FAR), first.status), SETTINGS, NOW)
    assert phase(then) == ("Ready", "True")


def test_the_reconciler_looks_soon_while_a_replica_is_about_to_open_the_fence() -> None:
    head, catching_up = primary(0, Size.LARGE), near(linked=True, is_streaming=False)
    head = replace(head, pod=pod(0, Size.LARGE, creationTimestamp=LONG_AGO))
    for instance, seconds in ((catching_up, 0.5), (near(), 5)):
        assert plan(fenced(head, instance, Instance(2)), SETTINGS, NOW).requeue_after_seconds == seconds


# Degraded


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        (without_server(UNSCHEDULABLE), "no node takes pod mine-valkey-1-0: 0/3 nodes are available"),
        (without_server(NO_IMAGE), "pod mine-valkey-1-0 waits"),
        (without_server(CRASH_LOOP), "pod mine-valkey-1-0 waits"),
        (near(), "mine-valkey-1 runs, and its link to 10.1.0.1 is down"),
        (replace(near(), facts=None, problem="unreachable"), "mine-valkey-1 runs, and does not answer"),
        (replace(near(), problem="refused", detail="WRONGPASS"), "auth Secret (WRONGPASS)"),
        (replace(near(CRASHED), facts=None, problem="down"), "mine-valkey-1 has crashed"),
        (Instance(1), "mine-valkey-1 has no pod"),
    ],
    ids=["unschedulable", "no image", "crash loop", "no link", "silent", "refusing", "crashing", "no pod"],
)
def test_what_hinders_a_replica_makes_the_storage_degraded_although_it_is_ready(instance: Instance, text: str) -> None:
    made = decided(instance)
    assert phase(made) == ("Degraded", "True")
    assert made.status is not None
    assert text in made.status["message"]
    redundant = condition(made, "Redundant")
    assert (redundant["status"], redundant["reason"]) == ("False", "ReplicasMissing")
    assert redundant["message"] == f"1 of 2 replicas could take over: {made.status['message']}"
    assert condition(made, "Ready")["message"] == "Storage is ready and secured"
    assert [(event.type, event.reason) for event in made.events] == [("Warning", "ReplicasMissing")]


REFUSED = Obstacle("FailedCreate", "Kubernetes refuses the pod of mine-valkey-1: failed quota: team")


@pytest.mark.parametrize(
    "instance",
    [Instance(1, warning=REFUSED), replace(without_server(CREATING), warning=REFUSED)],
    ids=["no pod", "a pod that does not start"],
)
@pytest.mark.parametrize("missing_since", [LONG_AGO, JUST_NOW])
def test_what_kubernetes_says_of_a_missing_pod_makes_the_storage_degraded_at_once(
    instance: Instance, missing_since: str
) -> None:
    """A refusal does not pass by itself, and the primary serves all the time."""
    made = decided(instance, missing_since)
    assert phase(made) == ("Degraded", "True")
    assert made.status is not None
    assert made.status["message"] == REFUSED.message
    again = plan(settled(observed("large", HEAD, instance, FAR), made.status), SETTINGS, NOW)
    assert (again.status, again.events) == (None, ())


def test_a_new_storage_whose_pod_kubernetes_refuses_says_why() -> None:
    lone = Instance(0, warning=REFUSED)
    made = plan(observed("small", lone), SETTINGS, NOW)
    found = condition(made, "Ready")
    assert (found["status"], found["reason"], found["message"]) == ("False", "FailedCreate", REFUSED.message)
    assert [(event.type, event.reason) for event in made.events] == [("Warning", "FailedCreate")]


def test_instances_that_share_a_node_are_named_because_they_fail_together() -> None:
    head, near_by, far = observed("large").instances
    assert far.pod is not None
    crowded = replace(far, pod={**far.pod, "spec": {"nodeName": "host-1"}})
    made = plan(replace(observed("large", head, near_by, crowded), nodes=TWO_HOSTS), SETTINGS, NOW)
    found = condition(made, "Redundant")
    assert (found["status"], found["message"]) == (
        "True",
        (
            "2 replicas could take over; mine-valkey-1, mine-valkey-2 share node host-1, and fail with it: add a node"
            " that takes Valkey's pods"
        ),
    )


@pytest.mark.parametrize(
    "instance",
    [
        without_server(UNSCHEDULABLE, created=JUST_NOW),
        without_server(CREATING),
        replace(near({"state": {"running": {"startedAt": JUST_NOW}}}), facts=None, problem="down"),
        near(is_copying=True),
        near(linked=True, is_streaming=False),
        near(linked=True, offset=1),
    ],
    ids=["a new pod", "being created", "starting", "copying", "without news yet", "far behind"],
)
def test_what_only_takes_its_time_does_not_make_a_storage_degraded(instance: Instance) -> None:
    made = decided(instance)
    assert phase(made) == ("Ready", "True")
    assert condition(made, "Redundant")["status"] == "False"


@pytest.mark.parametrize("instance", [near(), replace(near(), facts=None, problem="unreachable"), Instance(1)])
def test_a_replica_that_fell_out_a_moment_ago_does_not_make_a_storage_degraded(instance: Instance) -> None:
    assert phase(decided(instance, missing_since=JUST_NOW)) == ("Ready", "True")


def test_a_steady_hindrance_is_written_once() -> None:
    """The figures that Valkey gives grow from look to look."""
    before = told(observed("large", HEAD, near(down_for=30), FAR), Redundant=("False", LONG_AGO))
    degraded = plan(before, SETTINGS, NOW)
    later = replace(settled(before, degraded.status), instances=(HEAD, near(down_for=90), FAR))
    again = plan(later, SETTINGS, NOW + timedelta(minutes=1))
    assert (again.status, again.events) == (None, ())


def test_the_events_tell_once_what_hinders_and_once_that_all_is_well() -> None:
    before = told(observed("large", HEAD, near(), FAR), Redundant=("False", JUST_NOW))
    first = plan(told(before, Redundant=("False", JUST_NOW)), SETTINGS, NOW)
    waiting = settled(before, first.status)
    made = plan(waiting, SETTINGS, NOW + timedelta(minutes=1))
    assert [(event.type, event.reason) for event in made.events] == [("Warning", "LinkDown")]
    well = replace(settled(before, made.status), instances=observed("large").instances)
    after = plan(well, SETTINGS, NOW + timedelta(minutes=2))
    assert phase(after) == ("Ready", "True")
    assert [(event.type, event.reason) for event in after.events] == [("Normal", "StorageReady"), ("Normal", "InSync")]


def test_a_primary_that_does_not_serve_is_what_all_replicas_lack() -> None:
    lost = replace(HEAD, facts=None, problem="unreachable")
    made = plan(told(observed("large", lost, near(), FAR), Redundant=("False", LONG_AGO)), SETTINGS, NOW)
    text = "0 of 2 replicas could take over: mine-valkey-0 is the primary, and does not serve"
    assert condition(made, "Redundant")["message"] == text
    assert phase(made) == ("Degraded", "False")


# What waits for the instance


def test_a_rotation_that_waits_for_an_instance_does_not_hide_what_hinders_it() -> None:
    key, record = ("secrets", "mine-auth"), RotationRecord(revision="r1", begun=LONG_AGO)
    before = observed("large", HEAD, near(), FAR)
    before = with_child(before, key, record.put_on(before.children[key]))
    turning = told(before, "Rotating", Redundant=("False", LONG_AGO))
    made = plan(turning, SETTINGS, NOW)
    assert made.status is not None
    assert made.status["rotation"]["phase"] == "Discarding"
    assert phase(made) == ("Degraded", "True")
    whole = plan(replace(turning, instances=observed("large").instances), SETTINGS, NOW)
    assert phase(whole) == ("Rotating", "True")


def updating(extra: Instance, **storage: Any) -> StorageState:
    """Observe a storage of one instance, while a second one is to take over from it."""
    before = observed("small", primary(0), extra, storage=session_storage({"size": "small"}, **storage))
    for index in (0, 1):
        before = with_child(before, ("statefulsets", f"mine-valkey-{index}"), stored(workload(index, Size.SMALL)))
    return told(before, Updating=("True", LONG_AGO))


ASKED = {"annotations": {names.ANNOTATION_SWITCHOVER: "please"}}


def test_an_update_tells_what_hinders_the_instance_that_it_waits_for() -> None:
    made = plan(updating(without_server(NO_IMAGE, size=Size.SMALL), **ASKED), SETTINGS, NOW)
    found = condition(made, "Updating")
    assert (found["status"], found["reason"]) == ("True", "ImagePullBackOff")
    assert found["message"].startswith("waiting until mine-valkey-1 is in sync: pod mine-valkey-1-0 waits")
    assert phase(made) == ("Degraded", "True")
    assert {event.type for event in made.events} == {"Warning"}


def test_an_update_that_only_takes_its_time_says_what_it_waits_for() -> None:
    made = plan(updating(without_server(CREATING, size=Size.SMALL), **ASKED), SETTINGS, NOW)
    assert condition(made, "Updating")["reason"] == "InstanceStarts"
    assert phase(made) == ("Ready", "True")


def test_an_update_that_finds_another_way_says_so() -> None:
    """With no room for a second instance, the only one restarts where it is."""
    crowded = updating(without_server(UNSCHEDULABLE, created=CREATED))
    for index in (0, 1):
        wanted = stored(workload(index, Size.SMALL, OTHER_IMAGE))
        crowded = with_child(crowded, ("statefulsets", f"mine-valkey-{index}"), wanted)
    extra = crowded.instances[1]
    assert extra.pod is not None
    template = workload(1, Size.SMALL, OTHER_IMAGE)["spec"]["template"]["metadata"]["annotations"]
    fresh = {**extra.pod, "metadata": extra.pod["metadata"] | {"annotations": template}}
    made = plan(replace(crowded, instances=(primary(0), replace(extra, pod=fresh))), OTHER_IMAGE, NOW)
    assert condition(made, "Updating")["reason"] == "RestartsInPlace"


def test_a_change_for_which_there_is_no_room_makes_a_storage_degraded() -> None:
    """Here a quota keeps Kubernetes from making the pod, so no pod tells of it."""
    before = updating(Instance(1), **ASKED)
    made = plan(told(before, Updating=("False", LONG_AGO)), SETTINGS, NOW)
    assert condition(made, "Updating")["reason"] == "NoRoom"
    assert phase(made) == ("Degraded", "True")
    assert made.status is not None
    assert "no node has room" in made.status["message"]
