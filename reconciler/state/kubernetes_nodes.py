"""What the hosts of a cluster mean for the nodes of a storage. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of a cluster.

    Attributes:
        open: Names of those that take pods.
        closing: Names of those that were cordoned, which is how a drain begins.
    """

    open: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, hosts: Iterable[Object]) -> Self:
        """Sort hosts by whether they take pods."""
        by_state: dict[bool, set[str]] = {False: set(), True: set()}
        for host in hosts:
            by_state[bool(host.get("spec", {}).get("unschedulable"))].add(host["metadata"]["name"])
        return cls(frozenset(by_state[False]), frozenset(by_state[True]))

    def is_leaving(self, pod: Object | None) -> bool:
        """Tell whether a pod runs where it cannot stay."""
        return (pod or {}).get("spec", {}).get("nodeName") in self.closing


def trimmed(host: Object) -> Object:
    """Keep of a host what is looked at: kubelets write the rest every few minutes."""
    metadata = {key: host["metadata"][key] for key in ("name", "uid", "resourceVersion") if key in host["metadata"]}
    return {"metadata": metadata, "spec": {"unschedulable": bool(host.get("spec", {}).get("unschedulable"))}}
