"""Labels and owner, which all objects of a storage have in common. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shared import names
from shared.objects.resources import SESSION_STORAGES
from shared.session_storage.validation import FREE_KEY_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.objects.resources import Object


@dataclass(frozen=True, slots=True)
class Inherited:
    """Labels and annotations that the objects of a storage inherit (`spec.inheritedMetadata`)."""

    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def record(self) -> dict[str, str]:
        """The annotation that tells which of an object's labels and annotations are inherited; empty if none is.

        By it the reconciler finds what an object has inherited, and is not to have any more.
        """
        keys = {"annotations": sorted(self.annotations), "labels": sorted(self.labels)}
        return {names.ANNOTATION_INHERITED: json.dumps(keys, separators=(",", ":"))} if any(keys.values()) else {}

    @property
    def harmless(self) -> Inherited:
        """What pods and Secrets inherit: labels whose names are the users' own, and no annotations.

        Annotations, and labels under a domain, are how people tell other controllers to put a container into a pod or
        to copy a Secret. Names without a domain are the users' (Kubernetes, "Labels and Selectors"), and so are those
        of the recommended labels that the product leaves free.
        """
        own = (key for key in self.labels if "/" not in key or re.fullmatch(FREE_KEY_PATTERN, key))
        return Inherited({key: self.labels[key] for key in own})


@dataclass(frozen=True, slots=True)
class Storage:
    """The part of a SessionStorage that its objects depend on."""

    name: str
    namespace: str
    uid: str
    inherited: Inherited = field(default_factory=Inherited)

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
        return {**self.inherited_by(name), "namespace": self.namespace, "ownerReferences": [self.control]}

    def secret_metadata(self, name: str) -> Object:
        """Build the metadata of a Secret of the storage, which inherits what no controller takes an order from."""
        return replace(self, inherited=self.inherited.harmless).metadata(name)

    def inherited_by(self, name: str) -> Object:
        """Build an object's name, labels and annotations: what it inherits gives way to the product's own."""
        annotations = {**self.inherited.annotations, **self.inherited.record}
        return {
            "name": name,
            "labels": {**self.inherited.labels, **labels_of(self.name)},
            **({"annotations": annotations} if annotations else {}),
        }


def labels_of(storage: str) -> dict[str, str]:
    """Labels of everything that belongs to a storage."""
    return {
        names.LABEL_STORAGE: storage,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        "app.kubernetes.io/name": "valkey",
        names.LABEL_APP_INSTANCE: storage,
    }
