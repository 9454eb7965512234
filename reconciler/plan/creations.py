"""Which steps of a plan make new objects: a cache may not know of an object that has such a name already. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Apply, Write, WriteAuth

if TYPE_CHECKING:
    from reconciler.actions.plan import Plan, Step
    from reconciler.state.storage_state import StorageState


EARLIEST_SECONDS: Final = 1.0
LATEST_SECONDS: Final = 5.0
"""When the reconciler asks again for what the API server did not tell."""


def creates_objects(plan: Plan, state: StorageState) -> bool:
    """Tell whether a plan makes an object that the observer did not see."""
    return any(_is_creation(step, state) for step in plan.steps)


def without_creations(plan: Plan, state: StorageState) -> Plan:
    """Leave out the steps that make an object which the observer did not see, and look again soon."""
    pause = min(max(plan.requeue_after_seconds, EARLIEST_SECONDS), LATEST_SECONDS)
    steps = tuple(step for step in plan.steps if not _is_creation(step, state))
    return replace(plan, steps=steps, requeue_after_seconds=pause)


def _is_creation(step: Step, state: StorageState) -> bool:
    match step:
        case WriteAuth():
            return not step.resource_version
        case Apply() | Write():
            return state.child(step.resource, step.obj["metadata"]["name"]) is None
        case _:
            return False
