"""What keeps a pod from existing or running, in Kubernetes' words, which stay the same from look to look."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.state import pod_status
from reconciler.state.obstacle import MAX_WORDS, Obstacle
from shared.objects.resources import Object

WORKLOAD: Object = {"metadata": {"name": "s-valkey-0", "namespace": "team", "uid": "u-1"}}
QUOTA = 'pods "s-valkey-0-0" is forbidden: failed quota: team: must specify limits.cpu for: valkey'
CLAIM = (
    'persistentvolumeclaims "data-s-valkey-0-0" is forbidden: exceeded quota: team,'
    " requested: persistentvolumeclaims=1, used: persistentvolumeclaims=0, limited: persistentvolumeclaims=0"
)
LIMIT_RANGE = (
    'persistentvolumeclaims "data-s-valkey-0-0" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi,'
    " but request is 5Gi"
)
POD: Object = {"metadata": {"name": "s-valkey-0-0"}}


def event(words: str, reason: str = "FailedCreate", **further: Any) -> Object:
    return {"type": "Warning", "reason": reason, "message": words, "involvedObject": {"uid": "u-1"}, **further}


def refused(words: str) -> Object:
    """Build the Event of a StatefulSet whose pod the API server refuses."""
    return event(f"Create Pod s-valkey-0-0 in StatefulSet s-valkey-0 failed error: {words}")


def message(*events: Object) -> str:
    found = Obstacle.told_by(WORKLOAD, events)
    return found.message if found is not None else ""


def waiting(reason: str, words: str = "", **status: Any) -> Obstacle | None:
    container = {"state": {"waiting": {"reason": reason, "message": words}}, **status}
    return pod_status.obstacle(POD | {"status": {"containerStatuses": [container]}})


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (QUOTA, "give the namespace a LimitRange"),
        (
            'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4',
            "raise the quota",
        ),
        (
            'pods "x" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi',
            "change that LimitRange",
        ),
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
            "which policy changes this pod",
        ),
        ('pods "x" is forbidden: no PriorityClass with name vital was found', "valkey.priorityClassName"),
        ('admission webhook "house.example" denied the request: no', "ask those who run that webhook"),
        ("ValidatingAdmissionPolicy 'house' with binding 'house' denied request: no", "ask those who made that policy"),
    ],
    ids=["must specify", "exceeded", "limit range", "pod security", "priority", "webhook", "policy"],
)
def test_a_refused_pod_is_told_in_the_api_servers_words_with_a_next_step(words: str, step: str) -> None:
    found = Obstacle.told_by(WORKLOAD, [refused(words)])
    assert found is not None
    assert found.reason == "FailedCreate"
    assert found.message.startswith(f"Kubernetes refuses the pod of s-valkey-0: {words}: ")
    assert step in found.message


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (CLAIM, "raise the quota, or free what others use of it"),
        (LIMIT_RANGE, "change that LimitRange, or choose another size"),
    ],
    ids=["quota", "limit range"],
)
def test_a_refused_claim_is_told_alike_by_both_events_that_kubernetes_writes(words: str, step: str) -> None:
    """The second is about a pod that nobody has tried to create; either may be the newest at any look."""
    claim = event(
        f"Create Claim data-s-valkey-0-0 for Pod s-valkey-0-0 in StatefulSet s-valkey-0 failed error: {words}"
    )
    pod = refused(f"failed to create PVC data-s-valkey-0-0: {words}")
    told = f"Kubernetes refuses the PersistentVolumeClaim of s-valkey-0: {words}: {step}"
    assert [message(claim), message(pod), message(claim, pod), message(pod, claim)] == 4 * [told]


def test_words_that_nobody_knows_are_repeated_without_a_step() -> None:
    assert message(refused("out of luck")) == "Kubernetes refuses the pod of s-valkey-0: out of luck"
    assert len(message(refused("x" * 10_000))) < MAX_WORDS + 100


def test_only_warnings_about_the_object_count() -> None:
    foreign = refused(QUOTA) | {"involvedObject": {"uid": "u-2"}}
    calm = refused(QUOTA) | {"type": "Normal"}
    other = refused(QUOTA) | {"reason": "Unhealthy"}
    assert Obstacle.told_by(WORKLOAD, [foreign, calm, other, {}]) is None


def test_the_newest_of_several_counts_and_what_comes_first_in_a_start() -> None:
    old, new = (event(f"failed error: {day}", lastTimestamp=f"2026-11-{day}T00:00:00Z") for day in ("01", "02"))
    series = event("failed error: 03", series={"lastObservedTime": "2026-11-03T00:00:00.000000Z"})
    assert message(new, old).endswith("02")
    assert message(series, new, old).endswith("03")
    mount = event("MountVolume failed", "FailedMount", lastTimestamp="2026-11-09T00:00:00Z")
    attach = event("volume is attached elsewhere", "FailedAttachVolume", lastTimestamp="2026-11-08T00:00:00Z")
    assert message(mount, attach) == "s-valkey-0 waits: volume is attached elsewhere"


def test_an_image_that_cannot_be_pulled_is_told_alike_in_both_states_of_kubelet() -> None:
    why = 'failed to pull and unpack image "r/v:1": dial tcp 10.0.0.5:{port}->10.0.0.1:53: no such host'
    pulling = waiting("ErrImagePull", why.format(port=41234))
    resting = waiting("ImagePullBackOff", f'Back-off pulling image "r/v:1": ErrImagePull: {why.format(port=51234)}')
    assert pulling is not None
    assert pulling == resting
    assert pulling.reason == "ImagePullBackOff"
    assert "no such host" in pulling.message
    assert "valkey.image" in pulling.message


def test_a_crash_loop_is_told_alike_however_long_kubelet_waits() -> None:
    ended: Object = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    first, later = (waiting("CrashLoopBackOff", f"back-off {s} restarting", **ended) for s in ("10s", "2m40s"))
    assert first is not None
    assert first == later
    assert "exit code 137, OOMKilled" in first.message


def test_a_container_that_somebody_added_counts_too() -> None:
    status = {
        "initContainerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "m"}}}]
    }
    assert pod_status.obstacle(POD | {"status": status}) == Obstacle(
        "CreateContainerConfigError", "pod s-valkey-0-0 waits: m"
    )


@pytest.mark.parametrize(
    "words",
    ["image will run as root", "image has non-numeric user (valkey), cannot verify user is non-root"],
)
def test_a_pod_to_which_nobody_gives_a_user_is_told_with_the_value_that_does(words: str) -> None:
    """OpenShift chooses no id under the SecurityContextConstraint `anyuid`, nor in a namespace that has none at all."""
    said = f'container has runAsNonRoot and {words} (pod: "s-valkey-0-0_team(u-1)", container: valkey)'
    found = waiting("CreateContainerConfigError", said)
    assert found is not None
    assert found.reason == "CreateContainerConfigError"
    assert found.message.startswith(f"pod s-valkey-0-0 waits: {said}: set the chart value valkey.userIds to image, or ")


def test_a_pod_without_a_node_is_told_in_the_schedulers_words() -> None:
    words = "0/3 nodes are available: 3 Insufficient memory."
    status = {"conditions": [{"type": "PodScheduled", "status": "False", "message": words}]}
    assert pod_status.obstacle(POD | {"status": status}) == Obstacle(
        "Unschedulable", f"no node takes pod s-valkey-0-0: {words}: free room on a node, or add one"
    )
