"""What keeps an instance from running, in Kubernetes' own words and with a next step. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.resources import Object

MAX_WORDS: Final = 512
"""How many characters of Kubernetes' words a message repeats."""
REFUSED: Final = "FailedCreate"
"""Reason of the Event by which the StatefulSet controller says that it could not create a pod or a claim."""
_TROUBLES: Final = (
    *(REFUSED, "ProvisioningFailed", "FailedAttachVolume", "FailedMount", "FailedMapVolume"),
    *("FailedCreatePodSandBox", "NetworkNotReady"),
)
"""Reasons of Events that tell why a pod does not exist or start; one that comes first counts more."""
_NEXT_STEPS: Final = (
    ("must specify limits.cpu", "set the chart value valkey.cpuLimit, or give the namespace a LimitRange"),
    ("must specify", "give the namespace a LimitRange with default values, or take these resources out of the quota"),
    ("exceeded quota", "raise the quota, or free what others use of it"),
    ("usage per ", "change that LimitRange, or choose another size"),
    (
        "violates PodSecurity",
        "find out which policy changes this pod; as the reconciler makes it, it meets `restricted`",
    ),
    ("no PriorityClass", "create that PriorityClass, or change the chart value valkey.priorityClassName"),
    ("admission webhook", "ask those who run that webhook"),
    ("ValidatingAdmissionPolicy", "ask those who made that policy"),
    ("serviceaccount", "create that ServiceAccount"),
    ("unbound immediate PersistentVolumeClaims", "see the Events of its PersistentVolumeClaim"),
    ("storageclass", "create a default StorageClass, or name one in the chart value valkey.storageClassName"),
    ("security context constraint", "check the chart values valkey.userIds and valkey.podSecurityContext"),
    (
        "has runAsNonRoot and image",  # kubelet's words for an image of root, or of a user without a number
        "set the chart value valkey.userIds to image, or take anyuid away, so that OpenShift chooses the ids",
    ),
    ("node affinity/selector", "add a node that the chart values valkey.nodeSelector and valkey.affinity select"),
    ("topology spread constraints", "free room on a node without an instance of this storage, or add one"),
    ("Insufficient", "free room on a node, or add one"),
    ("untolerated taint", "add a node that takes Valkey's pods, or tolerate the taint by valkey.tolerations"),
)
"""What to do, by a part of Kubernetes' words; the first that fits counts."""
_OF_A_CLAIM: Final = re.compile(r"[Cc]reate Claim .*failed error: |failed to create PVC \S+: ")
"""What precedes the API server's words where it refused a claim (Kubernetes, `pkg/controller/statefulset`).

The controller writes two Events then: one about the claim, and one about the pod that it did not try to create.
Kubernetes 1.36 was seen to begin the first with a capital, although its source has none.
"""
_EPHEMERAL_PORT: Final = re.compile(r"(?<=\d):\d{4,5}->")
"""The local port in Go's words for a connection that failed, which is another one each time."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a pod does not exist or run.

    Attributes:
        reason: Kubernetes' word for it.
        message: A sentence with Kubernetes' words, and a next step if one is known. It stays the same as long as
            Kubernetes says the same, since each change is written to the status.
    """

    reason: str
    message: str

    @classmethod
    def quoting(cls, reason: str, what: str, words: str) -> Self:
        """Say what is the matter, why in Kubernetes' words, and what to do about it."""
        text = _EPHEMERAL_PORT.sub("->", words.strip())[:MAX_WORDS]
        step = next((step for part, step in _NEXT_STEPS if part in text), "")
        return cls(reason, ": ".join(filter(None, (what, text, step))))

    @classmethod
    def told_by(cls, obj: Object, events: Iterable[Object]) -> Self | None:
        """Read what the Events about an object say, which is a pod, its claim or its StatefulSet; None if nothing.

        Args:
            obj: The object, as a cache holds it.
            events: Events of the API group `v1`; those of other objects do not count.
        """
        name, uid = obj["metadata"]["name"], obj["metadata"].get("uid")
        about = [event for event in events if (event.get("involvedObject") or {}).get("uid") == uid]
        found = [event for event in about if event.get("type") == "Warning" and event.get("reason") in _TROUBLES]
        if not found:
            return None
        worst = min(_TROUBLES.index(event["reason"]) for event in found)
        newest = max((each for each in found if _TROUBLES.index(each["reason"]) == worst), key=_last_seen)
        words = str(newest.get("message") or "")
        if newest["reason"] == REFUSED:
            return cls._of_refusal(name, words)
        return cls.quoting(newest["reason"], f"{name} waits", words)

    @classmethod
    def _of_refusal(cls, workload: str, words: str) -> Self:
        """Say what the API server refused to a StatefulSet; the same for both Events about a claim."""
        if claim := _OF_A_CLAIM.search(words):
            what, said = "PersistentVolumeClaim", words[claim.end() :]
        else:  # it begins "Create Pod NAME in StatefulSet NAME failed error: "
            what, said = "pod", words.rpartition("failed error: ")[2]
        return cls.quoting(REFUSED, f"Kubernetes refuses the {what} of {workload}", said)


def _last_seen(event: Object) -> str:
    """Tell when an Event was last repeated, as text that sorts by time."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")
