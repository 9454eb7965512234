"""Conditions as Kubernetes' API conventions define them ("Typical status properties"). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.objects.field_path import read
from shared.objects.timestamps import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reconcile found out about one aspect of an object: a condition before it has a time.

    Attributes:
        type: Which aspect, as CamelCase adjective.
        status: Whether it holds.
        reason: One CamelCase word for programs.
        message: A sentence for people, with what they can do if something waits for them.
    """

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def condition_of(obj: Object, kind: str) -> Object | None:
    """Return an object's condition of one type; None if it has none, or its status has another shape."""
    found = read(obj, ("status", "conditions"))
    items = found if isinstance(found, list) else ()
    return next((item for item in items if isinstance(item, dict) and item.get("type") == kind), None)


def holds(obj: Object, kind: str) -> bool:
    """Tell whether an object's condition of one type is known to be true."""
    condition = condition_of(obj, kind)
    return condition is not None and condition.get("status") == "True"


def conditions(findings: Iterable[Finding], existing: Sequence[Object], generation: int, now: datetime) -> list[Object]:
    """Turn findings into conditions; one whose status did not change keeps its transition time."""
    since = {item.get("type"): item for item in existing}
    return [_condition(finding, since.get(finding.type), generation, now) for finding in findings]


def _condition(finding: Finding, existing: Object | None, generation: int, now: datetime) -> Object:
    changed = existing is None or existing.get("status") != finding.status
    since = written(now) if changed or existing is None else existing["lastTransitionTime"]
    return {
        "type": finding.type,
        "status": finding.status,
        "reason": finding.reason,
        "message": finding.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }
