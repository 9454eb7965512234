"""One protocol for each call on the Kubernetes API, for callers that need only some; `client.Cluster` has all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.objects.resources import Object, Resource


class Getter(Protocol):
    """Reads one object."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read an object, or raise NotFound."""


class Creator(Protocol):
    """Creates objects."""

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Create an object, or raise AlreadyExists."""


class Replacer(Protocol):
    """Replaces objects."""

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Replace an object by resourceVersion, or raise Conflict."""


class Applier(Protocol):
    """Applies objects server-side."""

    async def apply(self, resource: Resource, obj: Object, *, field_manager: str, subresource: str = "") -> Object:
        """Apply an object server-side."""


class Patcher(Protocol):
    """Patches objects."""

    async def patch(
        self, resource: Resource, namespace: str, name: str, operations: list[Object], *, field_manager: str
    ) -> Object:
        """Apply RFC 6902 operations to an object."""


class Deleter(Protocol):
    """Deletes objects."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object if it still has that uid."""


class Writer(Creator, Replacer, Applier, Patcher, Deleter, Protocol):
    """Every call that writes."""
