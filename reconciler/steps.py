"""What a plan is made of. Pure data; the texts made from it hold no password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.status import EventNote
    from shared.manifests import Storage
    from shared.resources import Object, Resource

RECHECK_SECONDS: Final = 10.0
"""How often a storage that is well is looked at, without any event."""


@dataclass(frozen=True, slots=True)
class WriteAuth:
    """Create or complete the auth Secret; missing passwords are made up when the step is carried out.

    Attributes:
        storage: Whose.
        kept: Passwords that stay, by key.
        resource_version: Of the Secret to replace; empty to create it.
    """

    storage: Storage
    kept: Mapping[str, str]
    resource_version: str

    def __repr__(self) -> str:
        return f"WriteAuth(storage={self.storage.name!r}, kept={sorted(self.kept)})"


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

    def __repr__(self) -> str:
        return f"Delete({self.resource.kind}, {self.namespace}/{self.name})"


Step: TypeAlias = WriteAuth | Apply | Replace | Share | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order.

    Attributes:
        steps: Writes to the storage's objects.
        status: The new status, or None if the present one holds.
        events: What happened, for people.
        requeue_after_seconds: When to look again without an event; 0 means at once.
    """

    steps: tuple[Step, ...] = ()
    status: Object | None = None
    events: tuple[EventNote, ...] = ()
    requeue_after_seconds: float = RECHECK_SECONDS
