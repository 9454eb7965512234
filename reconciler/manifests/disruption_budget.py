"""Builds the PodDisruptionBudgets of a managed storage, which say which of its pods may be evicted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA

if TYPE_CHECKING:
    from reconciler.manifests.storage import Storage
    from shared.objects.resources import Object


def primary_budget(storage: Storage, *, is_out_of_service: bool = False) -> Object:
    """Build the PodDisruptionBudget of the primary, which forbids its eviction until it is a replica.

    That holds even while kubelet has not found the primary ready yet, some seconds after it began to serve. Only a
    primary that does not serve may be evicted, or it would hold up a drain for ever.
    """
    policy = "AlwaysAllow" if is_out_of_service else "IfHealthyBudget"
    return _budget(storage, ROLE_PRIMARY, {"minAvailable": 1, "unhealthyPodEvictionPolicy": policy})


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
