"""Labels and owner, which all objects of a storage have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import names

if TYPE_CHECKING:
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Storage:
    """The part of a SessionStorage that its objects depend on."""

    name: str
    namespace: str
    uid: str

    def metadata(self, name: str) -> Object:
        """Build the metadata of an object of the storage: found by label, and deleted with the storage."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": labels_of(self.name),
            "ownerReferences": [
                {
                    "apiVersion": f"{names.GROUP}/v1alpha1",
                    "kind": "SessionStorage",
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        }


def labels_of(storage: str) -> dict[str, str]:
    """Labels of everything that belongs to a storage."""
    return {
        names.LABEL_STORAGE: storage,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        "app.kubernetes.io/name": "valkey",
        names.LABEL_APP_INSTANCE: storage,
    }
