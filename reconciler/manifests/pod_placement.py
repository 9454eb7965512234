"""Builds the part of a pod's spec that says where its instance runs. Pure.

It takes effect when the scheduler chooses a node. So a change of it needs no new pod, unless a pod waits for a node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.state.scheduling import PREFERRED
from shared import names

if TYPE_CHECKING:
    from reconciler.manifests.instance_spec import InstanceSpec
    from reconciler.state.scheduling import Scheduling
    from shared.objects.resources import Object

SPREAD: Final = "topologySpreadConstraints"
"""Field of a pod's spec that says which nodes must not have more instances than others."""
_HOSTNAME: Final = "kubernetes.io/hostname"
_ZONE: Final = "topology.kubernetes.io/zone"
_ANTI_AFFINITY: Final = "podAntiAffinity"


def scheduling_fields(instance: InstanceSpec, scheduling: Scheduling) -> Object:
    """Build what the installation says, and what the instances of a storage prefer of each other."""
    affinity = scheduling.affinity.to_object()
    if instance.preset.is_redundant:
        anti_affinity = affinity.get(_ANTI_AFFINITY, {})
        preferred = [*anti_affinity.get(PREFERRED, []), *_preferred(instance)]
        affinity = {**affinity, _ANTI_AFFINITY: {**anti_affinity, PREFERRED: preferred}}
    tolerations = [each.to_object() for each in scheduling.tolerations]
    return {
        "nodeSelector": scheduling.selector,
        **({"tolerations": tolerations} if tolerations else {}),
        **({"affinity": affinity} if affinity else {}),
    }


def spread(instance: InstanceSpec) -> Object:
    """Keep a storage's instances apart: on nodes of their own, as far as there are any.

    The constraint counts only nodes whose taints the pod tolerates and which it selects. So three instances share two
    nodes if the third node is not for them, and must be on three nodes once it is. A pod anti-affinity knows no such
    difference. The selector is the storage's own label, so instances of other storages may share a node with these.
    """
    if not (instance.preset.is_redundant and instance.is_spread):
        return {}
    needed = {
        "topologyKey": _HOSTNAME,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        **_others(instance),
    }
    return {SPREAD: [needed]}


def _preferred(instance: InstanceSpec) -> list[Object]:
    return [
        {"weight": weight, "podAffinityTerm": _others(instance) | {"topologyKey": key}}
        for weight, key in ((100, _HOSTNAME), (50, _ZONE))
    ]


def _others(instance: InstanceSpec) -> Object:
    """Select the instances of the same storage."""
    return {"labelSelector": {"matchLabels": {names.LABEL_STORAGE: instance.storage}}}
