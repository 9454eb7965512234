"""What the children of a storage have in common: labels and owner. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import names

if TYPE_CHECKING:
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Storage:
    """The part of a SessionStorage that its children depend on."""

    name: str
    namespace: str
    uid: str

    def metadata(self, name: str) -> Object:
        """Metadata of a child: found by label, and deleted with its storage."""
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
        "app.kubernetes.io/instance": storage,
    }
