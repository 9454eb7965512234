"""Where the scheduler may put Valkey's pods, as the installation says: tolerations, node selector, affinity. Pure.

The reconciler judges nodes by the same rules as the scheduler: an instance that shares its node gets another one only
if there is a node that would take it. Source: Kubernetes, `component-helpers/scheduling/corev1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from shared.objects.structured_setting import StructuredSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.objects.resources import Object

OS_LABEL: Final = "kubernetes.io/os"
OS: Final = "linux"
"""Valkey's image is one of Linux."""
PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_EXCLUDING: Final = frozenset({"NoSchedule", "NoExecute"})
"""Effects of a taint that keep pods away; `PreferNoSchedule` only asks the scheduler to avoid the node."""
_NAME: Final = "metadata.name"
"""The only field of a node that a term can name."""


class Toleration(StructuredSetting):
    """A taint, or several, that pods tolerate."""

    key: str = ""
    operator: Literal["", "Equal", "Exists", "Lt", "Gt"] = ""
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: int | None = None

    def tolerates(self, taint: Object) -> bool:
        """Tell whether a pod with it may run on a node with a taint."""
        if self.effect and self.effect != taint.get("effect"):
            return False
        if self.key and self.key != taint.get("key"):
            return False
        found = taint.get("value") or ""
        match self.operator:
            case "Exists":
                return True
            case "Lt" | "Gt":
                return _compares(found, self.operator, self.value)
            case _:
                return bool(self.key) and self.value == found


class Requirement(StructuredSetting):
    """What a label or a field of a node must be."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()

    def is_met(self, attributes: Mapping[str, str]) -> bool:
        """Tell whether a node's labels or fields meet it."""
        found = attributes.get(self.key)
        match self.operator:
            case "In":
                return found in self.values
            case "NotIn":
                return found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
            case _:
                return found is not None and len(self.values) == 1 and _compares(found, self.operator, self.values[0])


class NodeTerm(StructuredSetting):
    """Requirements that a node must meet all together; none of them means no node."""

    match_expressions: tuple[Requirement, ...] = ()
    match_fields: tuple[Requirement, ...] = ()

    def selects(self, node: Object) -> bool:
        """Tell whether a node meets them."""
        fields = {_NAME: node["metadata"]["name"]}
        return bool(self.match_expressions or self.match_fields) and (
            all(each.is_met(_labels(node)) for each in self.match_expressions)
            and all(each.is_met(fields) for each in self.match_fields)
        )


class NodeSelectorTerms(StructuredSetting):
    """Terms of which a node must meet one."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], Field(min_length=1)]


class NodeAffinity(StructuredSetting):
    """Which nodes take the pods, and which they prefer."""

    required: Annotated[NodeSelectorTerms | None, Field(alias=_REQUIRED)] = None
    preferred: Annotated[tuple[dict[str, Any], ...], Field(alias=PREFERRED)] = ()


class PodAffinity(StructuredSetting):
    """Near which pods the pods run, or far from which; the scheduler alone judges that."""

    required: Annotated[tuple[dict[str, Any], ...], Field(alias=_REQUIRED)] = ()
    preferred: Annotated[tuple[dict[str, Any], ...], Field(alias=PREFERRED)] = ()


class Affinity(StructuredSetting):
    """The affinity of Valkey's pods, in Kubernetes' form."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Scheduling(StructuredSetting):
    """Where the scheduler may put Valkey's pods."""

    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    affinity: Affinity = Field(default_factory=Affinity)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that a node must have."""
        return {**self.node_selector, OS_LABEL: OS}

    @property
    def node_labels(self) -> frozenset[str]:
        """Keys of the labels of nodes on which `eligible` depends."""
        keys = (each.key for term in self._terms or () for each in term.match_expressions)
        return frozenset({*self.selector, *keys})

    def eligible(self, nodes: Iterable[Object]) -> list[Object]:
        """List the nodes that the scheduler may choose: the pods tolerate their taints, and select them.

        A node that is not ready has a taint as well (`node.kubernetes.io/not-ready:NoSchedule`).
        """
        selector, terms = self.selector.items(), self._terms
        return [
            node
            for node in nodes
            if selector <= _labels(node).items()
            and (terms is None or any(term.selects(node) for term in terms))
            and self._tolerates(node)
        ]

    def _tolerates(self, node: Object) -> bool:
        taints = (taint for taint in taints_of(node) if taint.get("effect") in _EXCLUDING)
        return all(any(each.tolerates(taint) for each in self.tolerations) for taint in taints)

    @property
    def _terms(self) -> tuple[NodeTerm, ...] | None:
        """Terms of which a node must meet one; None if all nodes will do."""
        wanted = self.affinity.node_affinity
        return wanted.required.node_selector_terms if wanted is not None and wanted.required is not None else None


def taints_of(node: Object) -> list[Object]:
    """List the taints of a node."""
    return node.get("spec", {}).get("taints") or []


def _labels(node: Object) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _compares(found: str, operator: str, limit: str) -> bool:
    """Compare whole numbers; a text that is none compares with nothing."""
    try:
        one, other = int(found), int(limit)
    except ValueError:
        return False
    return one > other if operator == "Gt" else one < other
