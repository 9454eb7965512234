"""Labels and owner, which all objects of a storage have in common. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import names
from shared.objects.resources import SESSION_STORAGES

if TYPE_CHECKING:
    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Storage:
    """The part of a SessionStorage that its objects depend on."""

    name: str
    namespace: str
    uid: str

    @property
    def reference(self) -> Object:
        """The storage as the owner of a volume's claim, which the storage does not control."""
        return {
            "apiVersion": SESSION_STORAGES.api_version,
            "kind": SESSION_STORAGES.kind,
            "name": self.name,
            "uid": self.uid,
        }

    @property
    def control(self) -> Object:
        """The storage as the owner of an object that it controls."""
        return self.reference | {"controller": True, "blockOwnerDeletion": True}

    def metadata(self, name: str) -> Object:
        """Build the metadata of an object of the storage: found by label, and deleted with the storage."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": labels_of(self.name),
            "ownerReferences": [self.control],
        }


def labels_of(storage: str) -> dict[str, str]:
    """Labels of everything that belongs to a storage."""
    return {
        names.LABEL_STORAGE: storage,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        "app.kubernetes.io/name": "valkey",
        names.LABEL_APP_INSTANCE: storage,
    }
