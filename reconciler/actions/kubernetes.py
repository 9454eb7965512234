"""What a plan does to objects in Kubernetes. Pure data; the `repr` of an action holds no password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from reconciler.state.credential_rollout import StampPlace
from reconciler.state.rotation_record import RotationRecord
from shared import names
from shared.objects.field_path import pointer
from shared.objects.resources import key_of

if TYPE_CHECKING:
    from reconciler.credentials.key_ring import KeyRing
    from reconciler.manifests.storage import Storage
    from shared.consumers.identity import Consumer
    from shared.objects.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class WriteAuth:
    """Create or replace the auth Secret; the applier makes up the passwords that are missing.

    Attributes:
        ring: The passwords that stay.
        resource_version: Version of the Secret to replace; empty to create it.
        record: Record of the newest rotation.
        is_staging: Whether the Secret needs the next passwords too.
    """

    storage: Storage
    ring: KeyRing
    resource_version: str
    record: RotationRecord = field(default_factory=RotationRecord)
    is_staging: bool = False

    def __repr__(self) -> str:
        return f"{'replace' if self.resource_version else 'create'} Secret {names.auth_secret(self.storage.name)}"


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply an object server-side: the fields that are ours become what they should be."""

    resource: Resource
    obj: Object

    def __repr__(self) -> str:
        return f"apply {self.resource.kind} {self.obj['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace an object by resourceVersion: this removes what somebody added to it, which an apply would leave.

    Attributes:
        obj: The whole object to write.
        desired: The fields of it that the reconciler decides.
    """

    resource: Resource
    obj: Object
    desired: Object = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"replace {self.resource.kind} {self.obj['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Write:
    """Create an object, or replace the very version that the observer saw: of two writers at once, one loses.

    Attributes:
        obj: The whole object to write.
        desired: The fields of it that the reconciler decides; empty if the object is to be written once, and not kept.
    """

    resource: Resource
    obj: Object
    desired: Object = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        verb = "replace" if "resourceVersion" in self.obj["metadata"] else "create"
        return f"{verb} {self.resource.kind} {self.obj['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Share:
    """Write a copy of the connection Secret into another namespace, which may be terminating, or not exist.

    Attributes:
        obj: The whole Secret to write.
        desired: The fields of it that the reconciler decides.
    """

    obj: Object
    desired: Object = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"copy the connection to Secret {'/'.join(key_of(self.obj))}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if it still is the one that the observer saw; without a UID, whichever has its name.

    Attributes:
        keeps_dependents: Whether the objects that it owns stay, such as the pod of a StatefulSet.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str = ""
    keeps_dependents: bool = False

    @classmethod
    def of(cls, resource: Resource, obj: Object, *, keeps_dependents: bool = False) -> Self:
        """Delete this very object."""
        return cls(resource, *key_of(obj), obj["metadata"]["uid"], keeps_dependents)

    def __repr__(self) -> str:
        kept = " and keep what it owns" if self.keeps_dependents else ""
        return f"delete {self.resource.kind} {self.namespace}/{self.name}{kept}"


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the pods of a consumer, by a stamp in its annotations that ToolHive's operator copies to its pods."""

    consumer: Consumer
    stamp: str
    place: StampPlace = field(default_factory=StampPlace)

    def __repr__(self) -> str:
        return f"restart {self.consumer}"

    @property
    def operations(self) -> list[Object]:
        """The stamp as RFC 6902 operations."""
        annotation = self.place.annotation
        if self.place.is_bare:
            all_of_them = pointer(("metadata", "annotations"))
            # Somebody may write the first annotation meanwhile, which must not go. To an API server, null is absent.
            still_bare = {"op": "test", "path": all_of_them, "value": None}
            return [still_bare, {"op": "add", "path": all_of_them, "value": {annotation: self.stamp}}]
        return [{"op": "add", "path": pointer(("metadata", "annotations", annotation)), "value": self.stamp}]


@dataclass(frozen=True, slots=True)
class LabelRole:
    """Label the pod of an instance with its role."""

    pod: Object
    role: str

    def __repr__(self) -> str:
        return f"label pod {self.pod['metadata']['name']} as {self.role}"

    @property
    def operations(self) -> list[Object]:
        """The label as RFC 6902 operations; a pod of ours has labels."""
        path = pointer(("metadata", "labels", names.LABEL_ROLE))
        uid = {"op": "test", "path": "/metadata/uid", "value": self.pod["metadata"]["uid"]}
        return [uid, {"op": "add", "path": path, "value": self.role}]
