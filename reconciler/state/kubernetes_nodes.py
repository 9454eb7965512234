"""Kubernetes' nodes: which of them take instances, and which are being emptied. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Self

from reconciler.state import pod_status
from reconciler.state.scheduling import OS_LABEL, Scheduling, taints_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from shared.objects.resources import Object

ANYWHERE: Final = Scheduling()
"""The rules of an installation that names none: every node of Linux without a taint takes instances."""


@dataclass(frozen=True, slots=True)
class KubernetesNodes:
    """The nodes of a cluster.

    Attributes:
        open: Names of nodes that the scheduler may choose for an instance.
        closing: Names of nodes that somebody empties: cordoned, or marked by one of the taints that say so.
    """

    open: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, nodes: Iterable[Object], drain_taints: Sequence[str] = (), scheduling: Scheduling = ANYWHERE) -> Self:
        """Sort nodes by whether they take instances, or are to lose them.

        Args:
            nodes: As the API server lists them, or trimmed.
            drain_taints: Keys of the taints that mark a node which is about to go; `*` stands for any characters.
            scheduling: Where the scheduler may put instances.
        """
        found = list(nodes)
        closing = frozenset(node["metadata"]["name"] for node in found if _is_closing(node, drain_taints))
        eligible = frozenset(node["metadata"]["name"] for node in scheduling.eligible(found))
        return cls(eligible - closing, closing)

    def is_leaving(self, pod: Object | None) -> bool:
        """Tell whether a pod has to leave its node: the node is being emptied, or Kubernetes has chosen the pod."""
        if pod is None:
            return False
        return pod.get("spec", {}).get("nodeName") in self.closing or pod_status.is_disrupted(pod)


def _is_closing(node: Object, drain_taints: Sequence[str]) -> bool:
    """Tell whether somebody empties a node.

    `kubectl drain` begins with a cordon. Autoscalers and handlers of spot instances set a taint, whatever its effect.
    """
    keys = [taint.get("key", "") for taint in taints_of(node)]
    is_marked = any(fnmatchcase(key, pattern) for key in keys for pattern in drain_taints)
    return is_marked or bool(node.get("spec", {}).get("unschedulable"))


def trimmed_node(node: Object, labels: Collection[str] = frozenset({OS_LABEL})) -> Object:
    """Keep what the reconciler reads of a node: kubelets write the rest every few minutes.

    Args:
        node: As the API server lists it.
        labels: Keys of the labels to keep (`Scheduling.node_labels`).
    """
    metadata = {key: node["metadata"][key] for key in ("name", "uid", "resourceVersion") if key in node["metadata"]}
    if kept := {key: value for key, value in (node["metadata"].get("labels") or {}).items() if key in labels}:
        metadata["labels"] = kept
    fields = ("key", "value", "effect")
    taints = [{field: taint[field] for field in fields if taint.get(field)} for taint in taints_of(node)]
    return {
        "metadata": metadata,
        "spec": {"unschedulable": bool(node.get("spec", {}).get("unschedulable")), "taints": taints},
    }
