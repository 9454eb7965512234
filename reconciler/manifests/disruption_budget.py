"""Builds the PodDisruptionBudgets of a managed storage, which say which of its pods may be evicted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA

if TYPE_CHECKING:
    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object


def primary_budget(storage: Storage, *, is_held: bool = False, is_out_of_service: bool = False) -> Object:
    """Build the PodDisruptionBudget of the primary.

    At rest it lets the primary's pod be evicted: autoscalers look at budgets before they announce anything, and one
    that never allows an eviction keeps its node for ever. From the moment in which the node is known to be emptied
    until another instance is the primary, it holds evictions up.

    Args:
        storage: The storage that the primary belongs to.
        is_held: Whether the reconciler is about to move the primary, which an eviction must not precede.
        is_out_of_service: Whether the primary does not serve, so that holding it up protects nothing. Until that is
            known, a pod that kubelet has not found ready yet stays, some seconds after its server began to serve.
    """
    policy = "AlwaysAllow" if is_out_of_service else "IfHealthyBudget"
    return _budget(storage, ROLE_PRIMARY, {"minAvailable": int(is_held), "unhealthyPodEvictionPolicy": policy})


def replicas_budget(storage: Storage) -> Object:
    """Build the PodDisruptionBudget of replicas, which lets one of them be evicted at a time."""
    return _budget(storage, ROLE_REPLICA, {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"})


def _budget(storage: Storage, role: str, limits: Object) -> Object:
    """Build the budget of a role; the API server refuses to evict a pod that two budgets select.

    Source: Kubernetes, "Specifying a Disruption Budget for your Application".
    """
    selector = {names.LABEL_STORAGE: storage.name, names.LABEL_ROLE: role}
    return {
        "metadata": storage.metadata(names.valkey_budget(storage.name, role)),
        "spec": {**limits, "selector": {"matchLabels": selector}},
    }
