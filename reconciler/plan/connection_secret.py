"""How the connection Secret and its copies become what they should be: what consumers are handed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.plan.drift import versioned
from reconciler.plan.mirrors import mirror_steps
from reconciler.state.mirrored_secrets import sharing_namespaces
from shared import names
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from reconciler.actions.plan import Step
    from reconciler.rotation.phases import Record
    from reconciler.state.storage_state import Observed
    from shared.objects.resources import Object


def hand_out(observed: Observed, desired: Object | None, record: Record, present: Object | None) -> tuple[Step, ...]:
    """Say how the connection Secret and its copies become what they should be."""
    if desired is None:
        return ()
    namespaces = sharing_namespaces(observed.storage, observed.usages)
    # Who decides on it from what is past must lose, or consumers get a password that is gone.
    write = versioned(SECRETS, _annotated(desired, record) if record.text else desired, present)
    mirrors = mirror_steps(desired, namespaces, observed.mirrors)
    return tuple(step for step in (write, *mirrors) if step)


def _annotated(secret: Object, record: Record) -> Object:
    metadata = secret["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_ROTATION: record.text}
    return {**secret, "metadata": {**metadata, "annotations": annotations}}
