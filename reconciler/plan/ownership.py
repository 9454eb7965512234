"""Whether the objects under the names of a storage's children really are its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names
from shared.objects.resources import SECRETS

if TYPE_CHECKING:
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object


def foreign_children(state: StorageState) -> tuple[str, ...]:
    """Name the objects that have the name of a child, and belong to somebody else."""
    storage = state.storage
    return tuple(
        f"{obj.get('kind') or plural} {name}"
        for (plural, name), obj in state.children.items()
        if not _is_owned(obj["metadata"], storage.uid)
        and (plural == SECRETS.plural or not _is_orphan(obj["metadata"], storage.name))
    )


def _is_owned(metadata: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid and owner.get("controller") for owner in metadata.get("ownerReferences", []))


def _is_orphan(metadata: Object, storage: str) -> bool:
    """Tell whether an object was this storage's and lost its owner, as in a restore from a backup.

    Secrets are never asked about: whoever may create one, and nothing else, could choose a storage's passwords.
    """
    labels = metadata.get("labels", {})
    is_labelled = labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY and labels.get(names.LABEL_STORAGE) == storage
    return is_labelled and not any(owner.get("controller") for owner in metadata.get("ownerReferences", []))
