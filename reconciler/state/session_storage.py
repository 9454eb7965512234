"""A SessionStorage, parsed once: who it is, what its spec and annotations ask for, and its last status. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from shared import errors, names
from shared.objects.resources import annotation_of, is_terminating
from shared.session_storage.models import parse_spec
from shared.session_storage.status import Condition, InstanceStatus, SessionStorageStatus

if TYPE_CHECKING:
    from shared.objects.resources import Key, Object
    from shared.session_storage.models import SessionStorageSpec


@dataclass(frozen=True, slots=True)
class Requests:
    """What users ask for by annotations; an empty string asks for nothing.

    Attributes:
        rotation: Each new value starts one rotation of the passwords.
        forced_rotation: The revision whose rotation is to end without waiting for the consumers that are left.
        switchover: Each new value moves the primary to another instance once.
        promotion: `<instance>@<incident>`: the instance to promote although the failover is blocked in this incident.
        adoption: UIDs of the objects of a backup, or of a former storage, that the storage is to take over.
    """

    rotation: str = ""
    forced_rotation: str = ""
    switchover: str = ""
    promotion: str = ""
    adoption: frozenset[str] = frozenset()

    @classmethod
    def of(cls, storage: Object) -> Self:
        """Read the annotations of a SessionStorage."""
        return cls(
            rotation=annotation_of(storage, names.ANNOTATION_ROTATE),
            forced_rotation=annotation_of(storage, names.ANNOTATION_ROTATE_FORCE),
            switchover=annotation_of(storage, names.ANNOTATION_SWITCHOVER),
            promotion=annotation_of(storage, names.ANNOTATION_PROMOTE),
            adoption=frozenset(map(str.strip, annotation_of(storage, names.ANNOTATION_ADOPT).split(","))) - {""},
        )


@dataclass(frozen=True, slots=True)
class DeclaredStorage:
    """A SessionStorage as the API server keeps it.

    Attributes:
        generation: Counts the changes of its spec.
        is_terminating: Whether somebody has deleted it, and it still exists.
        spec: What the user asks for; None if it cannot be read.
        spec_problem: Why the spec cannot be read.
        requests: What the annotations ask for.
        status: What the reconciler wrote about it last; empty if nothing, or nothing that the schema allows.
    """

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    is_terminating: bool = False
    spec: SessionStorageSpec | None = None
    spec_problem: str = ""
    requests: Requests = field(default_factory=Requests)
    status: SessionStorageStatus = field(default_factory=SessionStorageStatus)

    @classmethod
    def of(cls, storage: Object) -> Self:
        """Parse a SessionStorage."""
        spec, problem = None, ""
        try:
            spec = parse_spec(storage)
        except errors.InvalidSpec as error:
            problem = str(error)
        metadata = storage["metadata"]
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            is_terminating=is_terminating(storage),
            spec=spec,
            spec_problem=problem,
            requests=Requests.of(storage),
            status=_status(storage),
        )

    @property
    def key(self) -> Key:
        """Its (namespace, name)."""
        return self.namespace, self.name

    def instance(self, name: str) -> InstanceStatus | None:
        """Look up what the last status says of an instance."""
        return next((each for each in self.status.nodes if each.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        """Look a condition of the last status up by its type."""
        return next((each for each in self.status.conditions if each.type == kind), None)


def _status(storage: Object) -> SessionStorageStatus:
    try:
        return SessionStorageStatus.model_validate(storage.get("status") or {})
    except ValidationError:
        return SessionStorageStatus()
