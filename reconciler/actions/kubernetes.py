"""What a plan is made of. Pure data; the texts made from it hold no password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from shared import names
from shared.objects.resources import key_of

if TYPE_CHECKING:
    from reconciler.credentials.key_ring import KeyRing
    from reconciler.manifests.storage import Storage
    from shared.consumers.identity import Consumer
    from shared.objects.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class WriteAuth:
    """Create or replace the auth Secret; missing passwords are made up when the step is carried out.

    Attributes:
        storage: Whose.
        ring: Passwords that stay.
        resource_version: Of the Secret to replace; empty to create it.
        record: Of the rotation, as its annotation; empty if there was none.
        is_staging: Whether the next passwords are needed too.
    """

    storage: Storage
    ring: KeyRing
    resource_version: str
    record: str = ""
    is_staging: bool = False

    def __repr__(self) -> str:
        return f"WriteAuth(storage={self.storage.name!r}, kept={sorted(self.ring.current)}, record={self.record})"


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply an object server-side: what is ours in it becomes as it should be."""

    resource: Resource
    obj: Object

    def __repr__(self) -> str:
        return f"Apply({self.resource.kind}, {self.obj['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace an object by resourceVersion: what somebody has added to it goes, which an apply would leave."""

    resource: Resource
    obj: Object

    def __repr__(self) -> str:
        return f"Replace({self.resource.kind}, {self.obj['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Write:
    """Create an object, or replace the very version of it that was seen: of two writers at once, one loses."""

    resource: Resource
    obj: Object

    def __repr__(self) -> str:
        return f"Write({self.resource.kind}, {self.obj['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Share:
    """Write a copy of the connection Secret into another namespace, which may be going, or never have been."""

    obj: Object

    def __repr__(self) -> str:
        return f"Share({self.obj['metadata']['namespace']}/{self.obj['metadata']['name']})"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if it still is the one that was seen."""

    resource: Resource
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, resource: Resource, obj: Object) -> Self:
        """Delete this very object."""
        return cls(resource, *key_of(obj), obj["metadata"]["uid"])

    def __repr__(self) -> str:
        return f"Delete({self.resource.kind}, {self.namespace}/{self.name})"


@dataclass(frozen=True, slots=True)
class Restart:
    """Have a consumer's pods started anew, by stamping it.

    Attributes:
        consumer: Which.
        stamp: What it gets as annotation.
    """

    consumer: Consumer
    stamp: str

    def __repr__(self) -> str:
        return f"Restart({self.consumer}, {self.stamp})"

    @property
    def operations(self) -> list[Object]:
        """The stamp as RFC 6902 operations; one that is connected has annotations."""
        path = "/metadata/annotations/" + names.ANNOTATION_REVISION.replace("/", "~1")
        return [{"op": "add", "path": path, "value": self.stamp}]


@dataclass(frozen=True, slots=True)
class Mark:
    """Write an instance's role on its pod."""

    pod: Object = field(repr=False)
    role: str

    @property
    def operations(self) -> list[Object]:
        """The label as RFC 6902 operations; a pod of ours has labels."""
        path = "/metadata/labels/" + names.LABEL_ROLE.replace("/", "~1")
        uid = {"op": "test", "path": "/metadata/uid", "value": self.pod["metadata"]["uid"]}
        return [uid, {"op": "add", "path": path, "value": self.role}]
