"""Kubernetes' nodes, as far as they decide where the instances of a storage can run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class KubernetesNodes:
    """The nodes of a cluster.

    Attributes:
        open: Names of nodes that take pods.
        closing: Names of cordoned nodes; a drain begins with a cordon.
    """

    open: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, nodes: Iterable[Object]) -> Self:
        """Sort nodes by whether they take pods."""
        by_state: dict[bool, set[str]] = {False: set(), True: set()}
        for node in nodes:
            by_state[bool(node.get("spec", {}).get("unschedulable"))].add(node["metadata"]["name"])
        return cls(frozenset(by_state[False]), frozenset(by_state[True]))

    def is_leaving(self, pod: Object | None) -> bool:
        """Tell whether a pod runs where it cannot stay."""
        return (pod or {}).get("spec", {}).get("nodeName") in self.closing


def trimmed(node: Object) -> Object:
    """Keep what the reconciler reads of a node: kubelets write the rest every few minutes."""
    metadata = {key: node["metadata"][key] for key in ("name", "uid", "resourceVersion") if key in node["metadata"]}
    return {"metadata": metadata, "spec": {"unschedulable": bool(node.get("spec", {}).get("unschedulable"))}}
