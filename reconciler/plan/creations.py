"""Which steps of a plan make new objects: a cache may not know of an object that has such a name already. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Apply, Write, WriteAuth
from shared import names
from shared.objects.resources import SECRETS, VOLUME_CLAIMS

if TYPE_CHECKING:
    from reconciler.actions.plan import Plan, Step
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Resource

EARLIEST_SECONDS: Final = 1.0
LATEST_SECONDS: Final = 5.0
"""When the reconciler tries again to make what it has left out."""


def creations(plan: Plan, state: StorageState) -> list[tuple[Resource, str]]:
    """List kind and name of the objects that a plan makes and the observer did not see.

    A claim is among them that a new StatefulSet would make: if there is one, the StatefulSet would take it as it is.
    """
    made = [each for step in plan.steps if (each := _creation(step, state)) is not None]
    claims = (_claim(step, state) for step in plan.steps if _creation(step, state) is not None)
    return [*made, *((VOLUME_CLAIMS, claim) for claim in claims if claim)]


def without_creations(plan: Plan, state: StorageState) -> Plan:
    """Leave out the steps that make an object which the observer did not see, and look again soon."""
    pause = min(max(plan.requeue_after_seconds, EARLIEST_SECONDS), LATEST_SECONDS)
    kept = (tuple(step for step in strand if _creation(step, state) is None) for strand in plan.strands)
    return replace(plan, strands=tuple(filter(None, kept)), requeue_after_seconds=pause)


def _creation(step: Step, state: StorageState) -> tuple[Resource, str] | None:
    match step:
        case WriteAuth():
            made = SECRETS, names.auth_secret(step.storage.name)
        case Write() if "resourceVersion" in step.obj["metadata"]:
            return None
        case Apply() | Write():
            made = step.resource, step.obj["metadata"]["name"]
        case _:
            return None
    return made if state.child(*made) is None else None


def _claim(step: Step, state: StorageState) -> str:
    """Name the claim that a new StatefulSet makes; empty if it makes none, or if the observer has seen that."""
    if not isinstance(step, Apply) or not step.obj.get("spec", {}).get("volumeClaimTemplates"):
        return ""
    index = names.instance_index(step.obj["metadata"]["name"])
    return names.valkey_claim(state.storage.name, index) if index not in state.claims else ""
