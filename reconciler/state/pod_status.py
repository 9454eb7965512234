"""What a pod's status says about the server in it: where it is, and why it does not run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.objects.conditions import condition_of
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object

START_LIMIT: Final = timedelta(seconds=20)
"""A server that takes longer to start counts as not answering; Valkey takes 0.1 s, or seconds on a cold node."""
_ORDINARY_WAITS: Final = frozenset({None, "ContainerCreating", "PodInitializing"})

_ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers never start again; its controller makes another pod."""
_WITHOUT_SERVER: Final = _ENDED | {"Pending"}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a pod does not run, in Kubernetes' own words."""

    reason: str
    message: str


def obstacle(pod: Object) -> Obstacle | None:
    """Tell what keeps a pod from running; None if it only needs time."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return Obstacle("Unschedulable", f"no node takes pod {name}: {scheduled.get('message', '')}")
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in _ORDINARY_WAITS:
            return Obstacle(waiting["reason"], f"pod {name} waits: {waiting.get('message', '')}")
    return None


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
