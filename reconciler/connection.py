"""How the connection Secret and its copies become what they should be: what consumers are handed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drift import has_additions, is_covered
from reconciler.mirrors import mirror_steps, sharing_namespaces
from reconciler.steps import Step, Write
from shared import names
from shared.resources import SECRETS

if TYPE_CHECKING:
    from reconciler.observe import Observed
    from reconciler.rotation import Record
    from shared.resources import Object


def hand_out(observed: Observed, desired: Object | None, record: Record, present: Object | None) -> tuple[Step, ...]:
    """Say how the connection Secret and its copies become what they should be."""
    if desired is None:
        return ()
    namespaces = sharing_namespaces(observed.storage, observed.usages)
    write = _write(_annotated(desired, record) if record.text else desired, present)
    mirrors = mirror_steps(desired, namespaces, observed.mirrors)
    return tuple(step for step in (write, *mirrors) if step)


def _write(desired: Object, present: Object | None) -> Step | None:
    """Say how a Secret that consumers read becomes what it should be; None if it is.

    Never by server-side apply: who decides on it from what is past must lose, or consumers get a password that is gone.
    """
    if present is None:
        return Write(SECRETS, desired)
    if is_covered(desired, present) and not has_additions(desired, present):
        return None
    merged = {
        field: {**present["metadata"].get(field, {}), **desired["metadata"].get(field, {})}
        for field in ("labels", "annotations")
    }
    metadata = {**present["metadata"], **desired["metadata"], **{key: value for key, value in merged.items() if value}}
    return Write(SECRETS, {**desired, "metadata": metadata})


def _annotated(secret: Object, record: Record) -> Object:
    metadata = secret["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_ROTATION: record.text}
    return {**secret, "metadata": {**metadata, "annotations": annotations}}
