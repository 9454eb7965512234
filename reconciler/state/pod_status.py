"""What a pod's status says about the server in it: where it is, and why it does not run. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.state.obstacle import Obstacle
from shared.objects.conditions import condition_of, holds
from shared.objects.resources import last_written
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object

START_LIMIT: Final = timedelta(seconds=20)
"""A server that takes longer to start counts as not answering; Valkey takes 0.1 s, or seconds on a cold node."""
POD_LIMIT: Final = timedelta(seconds=3)
"""A StatefulSet without a pod for longer cannot make one: it takes some 0.1 s."""
_SCHEDULED: Final = "PodScheduled"
_UNSCHEDULABLE: Final = "Unschedulable"
"""The scheduler's reason for a pod that no node takes."""
_ORDINARY_WAITS: Final = frozenset({None, "ContainerCreating", "PodInitializing"})
_BACK_OFF: Final = "ImagePullBackOff"
_PULLING: Final = frozenset({_BACK_OFF, "ErrImagePull"})
_CRASHING: Final = "CrashLoopBackOff"

_ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers never start again; its controller makes another pod."""
_WITHOUT_SERVER: Final = _ENDED | {"Pending"}


def obstacle(pod: Object) -> Obstacle | None:
    """Tell what keeps a pod from running, by its status; None if it only needs time, or the status does not say."""
    name = pod["metadata"]["name"]
    if is_unschedulable(pod):
        words = (condition_of(pod, _SCHEDULED) or {}).get("message", "")
        return Obstacle.quoting(_UNSCHEDULABLE, f"no node takes pod {name}", words)
    container = _waiting_container(pod)
    return _waiting(name, container) if container is not None else None


def _waiting_container(pod: Object) -> Object | None:
    """Find the status of a container that waits for something else than its turn."""
    status = pod.get("status", {})
    containers = [each for key in ("initContainerStatuses", "containerStatuses") for each in status.get(key) or []]
    reasons = ((each, each.get("state", {}).get("waiting", {}).get("reason")) for each in containers)
    return next((each for each, reason in reasons if reason not in _ORDINARY_WAITS), None)


def _waiting(name: str, container: Object) -> Obstacle:
    """Say why a container waits, in words that stay the same while kubelet tries again and again."""
    reason, words = container["state"]["waiting"]["reason"], container["state"]["waiting"].get("message", "")
    if reason in _PULLING:
        # Kubelet alternates between both reasons, and from Kubernetes 1.32 on says the same of both at the end.
        step = "check that the node may pull it, or set the chart values valkey.image and valkey.imagePullSecrets"
        text = Obstacle.quoting(_BACK_OFF, f"pod {name} waits for its image", words.rpartition("ErrImagePull: ")[2])
        return Obstacle(text.reason, f"{text.message}: {step}")
    if reason == _CRASHING:  # kubelet's words count the seconds to the next start
        ended = container.get("lastState", {}).get("terminated", {})
        how = f"exit code {ended.get('exitCode', 'unknown')}, {ended.get('reason') or 'no reason given'}"
        return Obstacle(reason, f"pod {name} waits: it crashes again and again ({how}): see `kubectl logs --previous`")
    return Obstacle.quoting(reason, f"pod {name} waits", words)


def address(pod: Object | None) -> str:
    """Tell a running pod's address, else an empty string: an ended pod's address may be another pod's by now."""
    return next(iter(addresses(pod)), "")


def addresses(pod: Object | None) -> tuple[str, ...]:
    """List a running pod's addresses, one for each IP family, the cluster's first family first."""
    status = (pod or {}).get("status", {})
    if status.get("phase") != "Running":
        return ()
    listed = tuple(each["ip"] for each in status.get("podIPs") or [])
    return listed or tuple(filter(None, (status.get("podIP", ""),)))


def is_gone(pod: Object | None) -> bool:
    """Tell whether the API says that no server runs in a pod; False in doubt.

    The API also says so of a pod that somebody deleted by force, although its server may go on running on a node that
    is cut off (Kubernetes, "Force Delete StatefulSet Pods"). A caller that needs proof needs a second sign.
    """
    status = (pod or {}).get("status", {})
    if pod is None or status.get("phase") in _WITHOUT_SERVER:
        return True
    states = [container.get("state", {}) for container in status.get("containerStatuses", [])]
    return bool(states) and all("terminated" in state or "waiting" in state for state in states)


def has_run(pod: Object) -> bool:
    """Tell whether a container of a pod runs or ever ran; True in doubt, as while kubelet starts it."""
    if not pod.get("spec", {}).get("nodeName"):
        return False
    states = pod.get("status", {}).get("containerStatuses") or []
    waiting = [each for each in states if each.get("state", {}).get("waiting", {}).get("reason") not in _ORDINARY_WAITS]
    return len(waiting) < max(len(states), 1) or any(
        each.get("restartCount") or each.get("lastState") for each in waiting
    )


def is_unschedulable(pod: Object) -> bool:
    """Tell whether the scheduler finds no node for a pod."""
    return (condition_of(pod, _SCHEDULED) or {}).get("status") == "False"


def is_overdue(workload: Object, now: datetime) -> bool:
    """Tell whether a StatefulSet without a pod should have made one by now.

    It replaces a deleted pod at once. One that cannot says so in Events alone, and nobody writes it meanwhile.
    """
    return now - parse_time(last_written(workload)) >= POD_LIMIT


def is_stuck(pod: Object, now: datetime) -> bool:
    """Tell whether a pod should have started by now, and no container says why it has not."""
    if pod.get("status", {}).get("phase") != "Pending" or _waiting_container(pod) is not None:
        return False
    return now - parse_time(pod["metadata"]["creationTimestamp"]) >= START_LIMIT


def is_disrupted(pod: Object) -> bool:
    """Tell whether Kubernetes ends a pod because of its node, an eviction or a pod that matters more.

    Source: Kubernetes, "Disruptions: Pod disruption conditions".
    """
    return holds(pod, "DisruptionTarget")


def has_restarted(pod: Object) -> bool:
    """Tell whether a pod's server has ended before, and Kubernetes started it again."""
    return any("terminated" in each.get("lastState", {}) for each in pod.get("status", {}).get("containerStatuses", []))


def has_nothing(pod: Object | None) -> bool:
    """Tell whether no node keeps files of a pod, or will start it again: another start begins with fresh ones.

    A server that has merely stopped does not count: its container starts again with the files that its pod has.
    """
    return pod is None or not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in _ENDED


def ready_since(pod: Object | None) -> datetime | None:
    """Tell since when a pod is ready, in whole seconds; None if it is not."""
    ready = condition_of(pod or {}, "Ready")
    if ready is None or ready.get("status") != "True" or "lastTransitionTime" not in ready:
        return None
    return parse_time(ready["lastTransitionTime"])


def is_starting(pod: Object | None, now: datetime) -> bool:
    """Tell whether a pod's server may still be starting."""
    if pod is None:
        return True
    running = [
        container["state"]["running"]["startedAt"]
        for container in pod.get("status", {}).get("containerStatuses", [])
        if container.get("state", {}).get("running")
    ]
    started = max(running, default=pod["metadata"]["creationTimestamp"])
    return now - parse_time(started) < START_LIMIT
